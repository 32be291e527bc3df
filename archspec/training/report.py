"""What is left of a run to look at: curves, the confusion matrix, a report in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.analyses.table import macs_text
from archspec.training.labels import axis_labels, markdown
from archspec.training.progress import closing_table
from archspec.training.store.files import write_text, write_whole
from archspec.training.store.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
MOST_LABELS = 50
"""Classes up to which the axes of the matrix have their names."""

MOST_CELLS = 20
"""Classes up to which the matrix has its numbers written in."""


def write_report(
    run: Run, rows: Sequence[Row], confusion: Sequence[Sequence[int]], classes: Sequence[str]
) -> None:
    """Writes `report.md`, and the pictures where matplotlib is installed.

    Raises `TrainingError` where they cannot be written.
    """
    pictures = find_spec("matplotlib") is not None
    numbered = False
    if pictures:
        from matplotlib import rc_context

        # The user's own settings may ask for LaTeX, which may not be there, and reads `$` and `_`.
        with rc_context({"text.usetex": False}):
            draw_curves(run, rows)
            numbered = draw_confusion(run, confusion, classes)
    text = _markdown(run, rows, confusion, classes, pictures=pictures, numbered=numbered)
    write_text(run.folder / "report.md", text)


def draw_curves(run: Run, rows: Sequence[Row]) -> None:
    """`curves.png`: training loss, training, validation and test accuracy by epoch."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes: Axes = figure.subplots()
    epochs = [row["epoch"] for row in rows]
    styles = {
        "train_loss": ("training loss", "-"),
        "train_accuracy": ("training accuracy", "--"),
        "validation_accuracy": ("validation accuracy", ":"),
        "test_accuracy": ("test accuracy", "-."),
    }
    for key, (label, style) in styles.items():
        values = [row.get(key) for row in rows]
        if any(value is not None for value in values):
            shown = [float("nan") if value is None else value for value in values]
            axes.plot(epochs, shown, style, label=label, marker="." if len(epochs) < 3 else None)
    axes.set_xlabel("epoch")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, run.folder / "curves.png")


def draw_confusion(run: Run, confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> bool:
    """`confusion.png`: which class was taken for which, as shares of each true class.

    Whether the axes show the classes' numbers, because no font has the letters of their names.
    """
    from matplotlib.figure import Figure

    shares = [[n / max(sum(row), 1) for n in row] for row in confusion]
    size = min(max(4.0, 0.5 * len(classes)), 20.0)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes: Axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    numbered = False
    if len(classes) <= MOST_LABELS:
        labels, fonts, numbered = axis_labels(classes)
        # A name is text: `$` in it begins no formula.
        style: dict[str, Any] = {"fontfamily": fonts, "parse_math": False}
        turned: dict[str, Any] = {} if numbered else {"rotation": 60, "ha": "right"}
        axes.set_xticks(range(len(classes)), labels, **turned, **style)
        axes.set_yticks(range(len(classes)), labels, **style)
    if len(classes) <= MOST_CELLS:
        for i, row in enumerate(confusion):
            for j, count in enumerate(row):
                if count:
                    colour = "white" if shares[i][j] > 0.5 else "black"
                    axes.text(j, i, str(count), ha="center", va="center", color=colour, fontsize=8)
    _save(figure, run.folder / "confusion.png")
    return numbered


def _save(figure: Figure, path: Path) -> None:
    data = BytesIO()
    figure.savefig(data, format="png", dpi=150)
    write_whole(path, data.getvalue())


def class_figures(confusion: Sequence[Sequence[int]]) -> list[tuple[float, float, float, int]]:
    """Precision, recall, F1 and number of images of each class."""
    figures = []
    for index, row in enumerate(confusion):
        hits, images = row[index], sum(row)
        predicted = sum(other[index] for other in confusion)
        precision = hits / predicted if predicted else 0.0
        recall = hits / images if images else 0.0
        f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
        figures.append((precision, recall, f1, images))
    return figures


def _markdown(
    run: Run,
    rows: Sequence[Row],
    confusion: Sequence[Sequence[int]],
    classes: Sequence[str],
    *,
    pictures: bool,
    numbered: bool,
) -> str:
    about, result, recipe = run.about(), run.result() or {}, run.recipe()
    lines = [
        f"# {markdown(about['name'])} on {markdown(recipe.dataset)}",
        "",
        f"{about['parameters']:,} parameters, {macs_text(about['macs'])} multiply-accumulates an "
        "image, "
        f"trained for {len(rows)} epochs of {about['train_images']:,} images.",
        "",
        "```text",
        closing_table(result),
        "```",
        "",
        *(f"- {markdown(line)}" for line in about["statements"]),
        "",
    ]
    if pictures:
        lines += ["![Loss and accuracy by epoch](curves.png)", ""]
    lines += [
        "## By class",
        "",
        "On the test images, with the best weights.",
        "",
        *_by_class(confusion, classes, numbered),
    ]
    if pictures:
        lines += ["", "![Which class was taken for which](confusion.png)"]
    if numbered:
        lines += ["", "The axes show the numbers of the classes: no font here has all letters."]
    lines += ["", "## By epoch", "", *_epochs(rows), "", "## Recipe", "", "```yaml"]
    lines += [run.read_text("config.yaml").rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _by_class(
    confusion: Sequence[Sequence[int]], classes: Sequence[str], numbered: bool
) -> list[str]:
    number, line = ("| number ", "| ---: ") if numbered else ("", "")
    lines = [
        f"{number}| class | precision | recall | F1 | images |",
        f"{line}| --- | ---: | ---: | ---: | ---: |",
    ]
    figures = zip(classes, class_figures(confusion), strict=True)
    for index, (name, (precision, recall, f1, images)) in enumerate(figures):
        cells = [str(index)] if numbered else []
        cells += [markdown(name), f"{precision:.1%}", f"{recall:.1%}", f"{f1:.1%}", str(images)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _epochs(rows: Sequence[Row]) -> list[str]:
    columns = [
        ("epoch", "{}"),
        ("lr", "{:.3g}"),
        ("train_loss", "{:.4f}"),
        ("train_accuracy", "{:.2%}"),
        ("validation_accuracy", "{:.2%}"),
        ("test_accuracy", "{:.2%}"),
        ("examples_per_second", "{:,.0f}"),
    ]
    lines = [
        "| " + " | ".join(key.replace("_", " ") for key, _ in columns) + " |",
        "|" + " ---: |" * len(columns),
    ]
    for row in rows:
        cells = ["" if row.get(key) is None else shape.format(row[key]) for key, shape in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return lines
