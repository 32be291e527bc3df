"""`archspec evaluate RUN`: the figures of a trained network."""

from __future__ import annotations

import sys
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from archspec.cli.command import Arguments, Command, Option
from archspec.cli.options import formats
from archspec.cli.output import columns_of, note, padded, write, write_json
from archspec.cli.trained import OPENING, RUN, opened_run
from archspec.data.text import one_line

if TYPE_CHECKING:
    from archspec.training.evaluate import Evaluation
    from archspec.training.trained_network import TrainedNetwork

COMMAND = Command(
    "measure a trained network on its data, or on other data",
    "Measure the best weights of a run on its test images.",
    "archspec evaluate runs/lenet_bn-digits-1\n"
    "archspec evaluate runs/lenet_bn-digits-1 --data mnist --format json",
    (
        RUN,
        Option("--data", "other data (default: the run's own)", metavar="NAME"),
        Option("--data-root", "the folder of the data sets", metavar="DIR"),
        Option(
            "--skip-unreadable",
            "go on without pictures that cannot be read",
            action="store_const",
            const=True,
        ),
        *OPENING,
        *formats(),
    ),
)


def run(args: Arguments) -> int:
    """Print accuracy and loss, overall and by class.

    Raises `SpecError`, `TrainingError` and `DataError`.
    """
    from archspec.training.progress import reading_to
    from archspec.training.report import class_figures

    trained = opened_run(args)
    with closing(reading_to(sys.stderr)) as reading:
        found = trained.evaluate(
            args.data,
            args.data_root,
            say=partial(note, "evaluate"),
            skip_unreadable=args.skip_unreadable,
            progress=reading,
        )
    name = args.data or trained.recipe.dataset
    show = _json if args.format == "json" else _table
    show(name, trained, found, class_figures(found.confusion.tolist()))
    return 0


ByClass = list[tuple[float, float, float, int]]


def _json(name: str, trained: TrainedNetwork, found: Evaluation, by_class: ByClass) -> None:
    keys = ("name", "precision", "recall", "f1", "images")
    rows = [(each, *row) for each, row in zip(trained.classes, by_class, strict=True)]
    write_json(
        {
            "data": name,
            "epoch": trained.epoch,
            "images": found.figures.examples,
            "loss": found.figures.loss,
            "accuracy": found.figures.accuracy,
            "classes": [dict(zip(keys, row, strict=True)) for row in rows],
            "confusion": found.confusion.tolist(),
        }
    )


def _table(data: str, trained: TrainedNetwork, found: Evaluation, by_class: ByClass) -> None:
    figures = found.figures
    write(
        f"{data}: accuracy {figures.accuracy:.2%}, loss {figures.loss:.4f} on "
        f"{figures.examples:,} test images (weights of epoch {trained.epoch})\n"
    )
    names = [one_line(name) for name in trained.classes]
    width = max(5, *map(columns_of, names))
    write(f"{'class':{width}}  precision  recall      F1  images")
    for name, (precision, recall, f1, images) in zip(names, by_class, strict=True):
        write(f"{padded(name, width)}  {precision:9.1%}  {recall:6.1%}  {f1:6.1%}  {images:6}")
