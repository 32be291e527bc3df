"""`archspec export SPEC|RUN -o FILE`: a network as a file for other programs."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from archspec.cli.command import Arguments, Command, Option
from archspec.cli.options import COMPILING, SPEC, whole
from archspec.cli.output import note, write, write_diagnostics, write_json
from archspec.cli.specs import load

if TYPE_CHECKING:
    from archspec.exporting import Exported

COMMAND = Command(
    "write a network as an ONNX file, or as an exported program of torch",
    "Write the network of a spec, or the best weights of a run with what it asks of pictures. The\n"
    "file is compared with the module before it is there. ONNX needs archspec-nn[export].",
    "archspec export resnet18 -o resnet18.onnx\n"
    "archspec export unet.yaml --format pt2 --dynamic batch,H,W --weights unet.safetensors "
    "-o unet.pt2\n"
    "archspec export runs/lenet_bn-digits-1 -o digits.onnx",
    (
        SPEC._replace(help=f"{SPEC.help}; or a run folder", metavar="SPEC|RUN"),
        Option("--output", "the file to write", metavar="FILE", also=("-o",)),
        Option("--format", "onnx (default) or pt2", choices=("onnx", "pt2"), default="onnx"),
        Option(
            "--weights",
            "of a spec: a file of weights or the name of weights that torchvision publishes",
            metavar="FILE|NAME",
        ),
        Option(
            "--dynamic",
            "sizes that stay open, as in batch,H,W; `none` for none (default: the batch and the "
            "symbols under `sizes:`, as far as torch can follow them)",
            metavar="NAMES",
        ),
        Option(
            "--opset",
            "the operator set of ONNX (default: torch's)",
            metavar="N",
            type=whole(1),
            expected="a whole number",
        ),
        Option("--last", "of a run: the last weights, not the best", action="store_true"),
        Option("--json", "say what was written as JSON", action="store_true"),
        *COMPILING[1:],
    ),
)


def run(args: Arguments) -> int:
    """Write the file and say what was compared. Raises `SpecError` and `TrainingError`."""
    if args.output is None:
        args.error("-o FILE is needed: the file to write")
    made = _of_run(args) if os.path.isdir(args.spec) else _of_spec(args)
    if args.json:
        write_json(made.as_dict())
        return 0
    for text in made.notes:
        note("export", text)
    opset = f", opset {made.opset}" if made.opset else ""
    beside = f" and {made.data}" if made.data else ""
    write(
        f"{made.path}{beside}: {made.bytes:,} bytes{opset}, {', '.join(made.inputs)} → "
        f"{', '.join(made.outputs)}, open sizes: {', '.join(made.dynamic) or 'none'}"
    )
    write(
        f"it agrees with the module at {'; '.join(made.compared)}: "
        f"the largest difference is {made.difference:.1e} of the largest value"
    )
    return 0


def _of_spec(args: Arguments) -> Exported:
    if args.last:
        args.error("--last needs a run folder")
    arch = load(args)
    write_diagnostics(arch.warnings)
    return arch.export(
        args.output,
        format=args.format,
        weights=args.weights,
        dynamic=args.dynamic,
        opset=args.opset,
    )


def _of_run(args: Arguments) -> Exported:
    for option, given in (
        ("--weights", args.weights),
        ("--set", args.params),
        ("--input", args.inputs),
        ("--size", args.sizes),
    ):
        if given:
            args.error(f"{option} is for a spec: a run has its own")
    from pathlib import Path

    from archspec.training.trained_network import open_trained

    trained = open_trained(
        Path(args.spec),
        last=args.last,
        device="cpu",
        allow_modules=args.allow_module,
        say=partial(note, args.command),
    )
    return trained.export(
        Path(args.output), format=args.format, dynamic=args.dynamic, opset=args.opset
    )
