"""`archspec train SPEC`: trains a network, and says how it goes."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from archspec.cli.command import Arguments, Command, Option
from archspec.cli.options import COMPILING, WEIGHTS, refuse_idle_weights, renames
from archspec.cli.output import write, write_diagnostics
from archspec.cli.specs import load
from archspec.recipe.layers import file_layer, located_layer, option_layer
from archspec.recipe.recipe import Recipe, documented, fields, layers_for, resolve
from archspec.training.errors import Stopped

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.weights.first import FirstWeights

COMMAND = Command(
    "train a network with its recipe",
    "Train a network. The recipe is the spec's `train:`, then --config, then these options.\n"
    "All is written to a run folder. Ctrl-C and SIGTERM save and stop (status 130 and 143);\n"
    "--resume goes on as if nothing had happened, after a kill too.",
    "archspec train lenet_bn --data digits\n"
    "archspec train resnet18 --epochs 3 --lr 0.1 --run runs/fast\n"
    "archspec train resnet18 --epochs 3 --lr 0.1 --run runs/fast --resume\n"
    "archspec train resnet18 --data digits --weights r18.safetensors --partial\n"
    "archspec train densenet --data image_folder:photos --set num_classes=3 --input 3x96x96\n"
    "torchrun --nproc-per-node 2 -m archspec train resnet18 --run-dir runs/r18 --resume",
    (
        *COMPILING,
        Option(
            "--run",
            "the run folder (default: a new one in runs/); behind torchrun say --run-dir",
            metavar="DIR",
            # torchrun takes `--run` for an abbreviation of two options of its own, and refuses it.
            also=("--run-dir",),
        ),
        Option("--resume", "continue the run in --run", action="store_true"),
        *WEIGHTS,
        Option("--config", "a YAML file of recipe fields", metavar="FILE"),
        Option("--data-root", "the folder of the data sets", metavar="DIR"),
        *(
            Option(
                field.flag,
                doc,
                metavar=field.metavar,
                choices=field.words or None,
                dest=field.name,
                action="store" if field.metavar else "store_const",
                const=None if field.metavar else "true",
                group=field.section,
            )
            for field, doc in documented()
        ),
    ),
)


def run(args: Arguments) -> int:
    """Train; 128 + N after signal N.

    Raises `SpecError`, `TrainingError` and `DataError`.
    """
    if args.resume and not args.run:
        args.error("--resume needs --run DIR, the folder to continue")
    refuse_idle_weights(args)
    arch = load(args)
    recipe = _recipe(args, arch)
    keep_freed_memory()
    write_diagnostics(arch.warnings)
    from archspec.training.progress import closing_table, progress_to, reading_to
    from archspec.training.session import Session, train

    try:
        with closing(reading_to(sys.stderr)) as reading:
            finished = train(
                Session(
                    arch=arch,
                    recipe=recipe,
                    folder=Path(args.run) if args.run else None,
                    data_root=args.data_root,
                    resume=args.resume,
                    weights=_first_weights(args),
                    listeners=(progress_to(sys.stdout),),
                    say=_say,
                    reading=reading,
                )
            )
    except Stopped as stopped:
        write(f"archspec train: {stopped}; go on with --resume", sys.stderr)
        return stopped.status
    if finished.is_main:
        report = finished.run.folder / "report.md"
        write(f"\n{closing_table(finished.result)}\n\nreport: {report}")
    return 0


def _first_weights(args: Arguments) -> FirstWeights | None:
    from archspec.weights.first import FirstWeights

    return FirstWeights(args.weights, renames(args), args.partial) if args.weights else None


def _recipe(args: Arguments, arch: Architecture) -> Recipe:
    config = file_layer(Path(args.config)) if args.config else None
    options = option_layer(
        (field, text)
        for name, field in fields().items()
        if (text := getattr(args, name)) is not None
    )
    own = located_layer(arch.located_recipe)
    size = args.inputs[0][1] if len(args.inputs) == 1 else ()
    if len(size) == 3:
        # An input that is asked for is the size that images are brought to.
        own = own._replace(values={**own.values, "resize": tuple(size[1:])})
    return resolve(layers_for(own, config, options))


def _say(line: str) -> None:
    write(line)
    sys.stdout.flush()


def keep_freed_memory() -> None:
    """Lets glibc keep what is freed: the next step needs the same memory again.

    By default each large tensor is mapped and unmapped anew, and the kernel clears its pages every
    time. The numbers are malloc.h's. Only a program may choose this for itself, never a library.
    """
    import ctypes

    trim_threshold, mmap_max = -1, -4
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(mmap_max, 0)
            libc.mallopt(trim_threshold, 2**31 - 1)
