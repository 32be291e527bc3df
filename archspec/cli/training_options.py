"""The options of `train`, `evaluate`, `predict` and `runs`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

Add = Callable[..., argparse.ArgumentParser]
AddTo = Callable[[argparse.ArgumentParser], None]


class Option(NamedTuple):
    """An option that sets a field of the recipe; a switch where it has no metavar."""

    flag: str
    field: str
    metavar: str | None
    help: str
    group: str
    choices: tuple[str, ...] = ()


SKIP_UNREADABLE = "go on without pictures that cannot be read"

OPTIONS = (
    Option("--data", "dataset", "NAME", "the data: digits, fashion_mnist, …", "data"),
    Option("--resize", "resize", "SIZE", "bring images to this size: 96, or [96, 128]", "data"),
    Option("--augment", "augment", "NAMES", "of training images: [random_crop:4]", "data"),
    Option(
        "--normalize", "normalize", "STATISTICS", "{mean: [0.5], std: [0.25]}, by channel", "data"
    ),
    Option("--validation", "validation", "SHARE", "share that chooses the best: 0.1", "data"),
    Option("--limit-train", "limit_train", "N", "train on N images only", "data"),
    Option("--limit-test", "limit_test", "N", "test on N images only", "data"),
    Option("--skip-unreadable", "skip_unreadable", None, SKIP_UNREADABLE, "data"),
    Option("--epochs", "epochs", "N", "passes over the training images", "recipe"),
    Option("--batch-size", "batch_size", "N", "images of one step, or auto", "recipe"),
    Option("--accumulate", "accumulate", "K", "compute a batch in K pieces", "recipe"),
    Option(
        "--optimizer", "optimizer", "NAME", "sgd, adam or adamw", "recipe", ("sgd", "adam", "adamw")
    ),
    Option("--lr", "lr", "LR", "learning rate", "recipe"),
    Option("--momentum", "momentum", "M", "momentum of sgd", "recipe"),
    Option("--nesterov", "nesterov", None, "Nesterov's momentum", "recipe"),
    Option("--betas", "betas", "BETAS", "averages of adam, adamw: [0.9, 0.999]", "recipe"),
    Option("--eps", "eps", "EPS", "the term that keeps adam from dividing by 0", "recipe"),
    Option("--weight-decay", "weight_decay", "D", "weight decay", "recipe"),
    Option("--decay-all", "decay_all", None, "decay biases and norms too", "recipe"),
    Option(
        "--schedule",
        "schedule",
        "NAME",
        "constant, step, cosine or one_cycle",
        "recipe",
        ("constant", "step", "cosine", "one_cycle"),
    ),
    Option("--step-epochs", "step_epochs", "EPOCHS", "epochs between drops of `step`", "recipe"),
    Option("--gamma", "gamma", "FACTOR", "factor of a drop of `step`", "recipe"),
    Option("--final-lr", "final_lr", "LR", "learning rate where `cosine` ends", "recipe"),
    Option("--warmup", "warmup", "EPOCHS", "epochs of linear warm-up", "recipe"),
    Option("--label-smoothing", "label_smoothing", "S", "label smoothing", "recipe"),
    Option(
        "--loss-weights", "loss_weights", "WEIGHTS", "of each output's loss: {aux: 0.3}", "recipe"
    ),
    Option("--clip-norm", "clip_norm", "NORM", "largest norm of the gradient", "recipe"),
    Option("--init", "init", "SCHEME", "initialisation: xavier_uniform, …", "recipe"),
    Option("--ema", "ema", "DECAY", "average the weights with this decay", "recipe"),
    Option("--patience", "patience", "N", "stop after N epochs without progress", "recipe"),
    Option("--seed", "seed", "N", "seed of weights, splits, order", "recipe"),
    Option("--deterministic", "deterministic", None, "the same bits on a GPU too", "recipe"),
    Option("--device", "device", "D", "auto, cpu, cuda, cuda:1, mps", "machine"),
    Option(
        "--precision",
        "precision",
        "P",
        "auto, fp32, bf16 or fp16",
        "machine",
        ("auto", "fp32", "bf16", "fp16"),
    ),
    Option(
        "--memory-format",
        "memory_format",
        "F",
        "auto, contiguous or channels_last",
        "machine",
        ("auto", "contiguous", "channels_last"),
    ),
    Option("--threads", "threads", "N", "threads of the CPU, or auto: one or all", "machine"),
    Option("--compile", "compile", None, "use torch.compile", "machine"),
    Option(
        "--resident", "resident", "BOOL", "keep the data on the device, or stream it", "machine"
    ),
    Option("--sync-batch-norm", "sync_batch_norm", None, "statistics over processes", "machine"),
    Option("--fsdp", "fsdp", None, "shard the network over processes", "machine"),
    Option("--log-every", "log_every", "SECONDS", "between two lines of metrics", "machine"),
    Option("--save-every", "save_every", "SECONDS", "between checkpoints in an epoch", "machine"),
)
"""One for each field of the recipe; a test holds them against it."""


def adders(add: Add, add_spec: AddTo, add_format: AddTo) -> dict[str, Callable[[Any], None]]:
    """What adds each of the four commands, by name."""
    return {
        "train": partial(_add_train, add=add, add_spec=add_spec),
        "evaluate": partial(_add_evaluate, add=add, add_format=add_format),
        "predict": partial(_add_predict, add=add, add_format=add_format),
        "runs": partial(_add_runs, add=add, add_format=add_format),
    }


def _add_train(commands: Any, add: Add, add_spec: AddTo) -> None:
    parser = add(
        commands,
        "train",
        "train a network with its recipe",
        "Train a network. The recipe is the spec's `train:`, then --config, then these options.\n"
        "All is written to a run folder. Ctrl-C and SIGTERM save and stop (status 130 and 143);\n"
        "--resume goes on as if nothing had happened, after a kill too.",
        "archspec train lenet_bn --data digits\n"
        "archspec train resnet18 --epochs 3 --lr 0.1 --run runs/fast\n"
        "archspec train resnet18 --epochs 3 --lr 0.1 --run runs/fast --resume\n"
        "archspec train densenet --data image_folder:photos --set num_classes=3 --input 3x96x96\n"
        "torchrun --nproc-per-node 2 -m archspec train resnet18 --run-dir runs/r18 --resume",
    )
    add_spec(parser)
    # torchrun takes `--run` for an abbreviation of two options of its own, and refuses it.
    parser.add_argument(
        "--run",
        "--run-dir",
        dest="run",
        metavar="DIR",
        help="the run folder (default: a new one in runs/); behind torchrun say --run-dir",
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in --run")
    parser.add_argument("--config", metavar="FILE", help="a YAML file of recipe fields")
    parser.add_argument("--data-root", metavar="DIR", help="the folder of the data sets")
    titles = dict.fromkeys(option.group for option in OPTIONS)
    groups = {title: parser.add_argument_group(title) for title in titles}
    for option in OPTIONS:
        group = groups[option.group]
        if option.metavar is None:
            group.add_argument(
                option.flag, dest=option.field, action="store_const", const="true", help=option.help
            )
        else:
            group.add_argument(
                option.flag,
                dest=option.field,
                metavar=option.metavar,
                choices=option.choices or None,
                help=option.help,
            )


def _add_allow_module(parser: Any) -> None:
    parser.add_argument(
        "--allow-module",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="let `module` nodes run code of this package, as in training; may be repeated",
    )


def _add_evaluate(commands: Any, add: Add, add_format: AddTo) -> None:
    parser = add(
        commands,
        "evaluate",
        "measure a trained network on its data, or on other data",
        "Measure the best weights of a run on its test images.",
        "archspec evaluate runs/lenet_bn-digits-1\n"
        "archspec evaluate runs/lenet_bn-digits-1 --data mnist --format json",
    )
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument("--data", metavar="NAME", help="other data (default: the run's own)")
    parser.add_argument("--data-root", metavar="DIR", help="the folder of the data sets")
    parser.add_argument(
        "--skip-unreadable", action="store_true", default=None, help=SKIP_UNREADABLE
    )
    parser.add_argument("--last", action="store_true", help="the last weights, not the best")
    parser.add_argument("--device", metavar="D", default="auto", help="auto, cpu, cuda, mps")
    _add_allow_module(parser)
    add_format(parser)


def _add_predict(commands: Any, add: Add, add_format: AddTo) -> None:
    parser = add(
        commands,
        "predict",
        "say what is on pictures",
        "Name the five likeliest classes of each picture, with their probabilities.",
        "archspec predict runs/lenet_bn-digits-1 seven.png\n"
        "archspec predict runs/pets photos/*.jpg --format json",
    )
    parser.add_argument("run", metavar="RUN", help="a run folder")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="picture files")
    parser.add_argument("--last", action="store_true", help="the last weights, not the best")
    parser.add_argument("--device", metavar="D", default="auto", help="auto, cpu, cuda, mps")
    _add_allow_module(parser)
    add_format(parser)


def _add_runs(commands: Any, add: Add, add_format: AddTo) -> None:
    parser = add(
        commands,
        "runs",
        "list and compare runs",
        "List the runs of a folder with their figures. Of several runs, show also the fields of\n"
        "their recipes that differ.",
        "archspec runs\narchspec runs experiments\narchspec runs runs/a runs/b",
    )
    parser.add_argument(
        "folders", metavar="DIR", nargs="*", help="run folders, or folders of them (default: runs)"
    )
    add_format(parser)
