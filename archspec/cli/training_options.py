"""The options of `train`, `evaluate`, `predict` and `runs`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

Add = Callable[..., argparse.ArgumentParser]
AddTo = Callable[[argparse.ArgumentParser], None]


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
    _add_fields(parser)


def _add_fields(parser: argparse.ArgumentParser) -> None:
    """An option for each field of the recipe."""
    from archspec.recipe.recipe import documented

    groups: dict[str, Any] = {}
    for field, doc in documented():
        if field.section not in groups:
            groups[field.section] = parser.add_argument_group(field.section)
        how = (
            {"metavar": field.metavar, "choices": field.words or None}
            if field.metavar
            else {"action": "store_const", "const": "true"}
        )
        help_ = doc.replace("%", "%%")
        groups[field.section].add_argument(field.flag, dest=field.name, help=help_, **how)


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
        "--skip-unreadable",
        action="store_true",
        default=None,
        help="go on without pictures that cannot be read",
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
