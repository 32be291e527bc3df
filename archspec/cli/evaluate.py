"""`archspec evaluate RUN`: the figures of a trained network."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from archspec.cli.output import write, write_diagnostics, write_json
from archspec.data.text import one_line
from archspec.diagnostics.diagnostic import SpecError
from archspec.training.errors import TrainingError

if TYPE_CHECKING:
    from archspec.training.evaluate import Evaluation
    from archspec.training.trained_network import TrainedNetwork


def run(args: Namespace) -> int:
    """Print accuracy and loss, overall and by class; 1 where the run or the data do not serve."""
    from archspec.data import DataError
    from archspec.training.progress import reading_to
    from archspec.training.report import class_figures
    from archspec.training.trained_network import open_trained

    try:
        trained = open_trained(
            Path(args.run),
            last=args.last,
            device=args.device,
            allow_modules=args.allow_module,
            say=_note,
        )
        with closing(reading_to(sys.stderr)) as reading:
            found = trained.evaluate(
                args.data,
                args.data_root,
                say=_note,
                skip_unreadable=args.skip_unreadable,
                progress=reading,
            )
    except SpecError as error:
        write_diagnostics(error.diagnostics)
        return 1
    except (TrainingError, DataError) as error:
        write(f"archspec evaluate: error: {error}", sys.stderr)
        return 1
    name = args.data or trained.recipe.dataset
    show = _json if args.format == "json" else _table
    show(name, trained, found, class_figures(found.confusion.tolist()))
    return 0


def _note(text: str) -> None:
    write(f"archspec evaluate: note: {text}", sys.stderr)


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
    from rich.cells import cell_len, set_cell_size

    names = [one_line(name) for name in trained.classes]
    width = max(5, *map(cell_len, names))
    write(f"{'class':{width}}  precision  recall      F1  images")
    for name, (precision, recall, f1, images) in zip(names, by_class, strict=True):
        cell = set_cell_size(name, width)
        write(f"{cell}  {precision:9.1%}  {recall:6.1%}  {f1:6.1%}  {images:6}")
