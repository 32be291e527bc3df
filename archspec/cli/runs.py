"""`archspec runs`: lists runs, and compares their recipes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.cli.command import Arguments, Command, Option
from archspec.cli.options import formats
from archspec.cli.output import write, write_diagnostics, write_json
from archspec.diagnostics.diagnostic import SpecError
from archspec.recipe.recipe import Recipe, fields
from archspec.training.errors import TrainingError

if TYPE_CHECKING:
    from archspec.training.store.runs import Run

COMMAND = Command(
    "list and compare runs",
    "List the runs of a folder with their figures. Of several runs, show also the fields of\n"
    "their recipes that differ.",
    "archspec runs\narchspec runs experiments\narchspec runs runs/a runs/b",
    (
        Option(
            "folders",
            "run folders, or folders of them (default: runs)",
            metavar="DIR",
            nargs="*",
        ),
        *formats(),
    ),
)


def run(args: Arguments) -> int:
    """Print a line for each run; 1 where one is damaged. Raises `TrainingError` without any."""
    from archspec.training.store.runs import FOLDER, find_runs

    folders = [Path(folder) for folder in args.folders] or [FOLDER]
    found: list[Run] = []
    for folder in folders:
        runs = find_runs(folder)
        if not runs:
            raise TrainingError(f"{folder} holds no runs")
        found += runs
    rows, recipes, status = [], [], 0
    for each in found:
        try:
            row, recipe = _figures(each), each.recipe()
        except TrainingError as error:
            write(f"archspec runs: error: {error}", sys.stderr)
            status = 1
        except SpecError as error:
            write_diagnostics(error.diagnostics)
            status = 1
        else:
            rows.append(row)
            recipes.append(recipe)
    changes = _differences(recipes)
    if args.format == "json":
        write_json(
            [{**row, "recipe": recipe.as_json()} for row, recipe in zip(rows, recipes, strict=True)]
        )
        return status
    columns = ["run", "network", "data", "epochs", "validation", "test", "state"]
    table = [[*columns, *changes]]
    for row, recipe in zip(rows, recipes, strict=True):
        cells = [
            f"{row[key]:.2%}" if isinstance(row[key], float) else _cell(row[key]) for key in columns
        ]
        table.append([*cells, *(_cell(getattr(recipe, name)) for name in changes)])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        write("  ".join(cells).rstrip())
    return status


def _figures(run: Run) -> dict[str, Any]:
    """The run's figures: those of its best weights, or of its best epoch so far."""
    about, result, recipe = run.about(), run.result(), run.recipe()
    rows = list(run.rows("epoch"))
    best = max(rows, key=lambda row: row.get("validation_accuracy") or 0.0, default={})
    figures: dict[str, Any] = {}
    for split in ("validation", "test"):
        if result is not None:
            figures[split] = (result["best"].get(split) or {}).get("accuracy")
        else:
            figures[split] = best.get(f"{split}_accuracy")
    return {
        "run": str(run.folder),
        "network": about["name"],
        "data": recipe.dataset,
        "parameters": about["parameters"],
        "epochs": f"{max((row['epoch'] for row in rows), default=0)}/{recipe.epochs}",
        **figures,
        "state": "unfinished" if result is None else "finished",
        "started": about["started"],
    }


def _differences(recipes: list[Recipe]) -> list[str]:
    """The fields that are not the same in all runs, those shown anyway left out."""

    shown = {"dataset", "epochs"}
    return [
        name
        for name in fields()
        if name not in shown and len({repr(getattr(recipe, name)) for recipe in recipes}) > 1
    ]


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
