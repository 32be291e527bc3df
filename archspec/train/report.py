"""What is left of a run to look at: curves, the confusion matrix, a report in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.train.files import write_text, write_whole
from archspec.train.progress import closing_table
from archspec.train.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
MOST_CELLS = 20
"""Classes up to which the matrix has its numbers written in."""


def write_report(
    run: Run, rows: Sequence[Row], confusion: Sequence[Sequence[int]], classes: Sequence[str]
) -> None:
    """Writes `report.md`, and the pictures where matplotlib is installed."""
    pictures = find_spec("matplotlib") is not None
    if pictures:
        draw_curves(run, rows)
        draw_confusion(run, confusion, classes)
    write_text(run.folder / "report.md", _markdown(run, rows, confusion, classes, pictures))


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


def draw_confusion(run: Run, confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
    """`confusion.png`: which class was taken for which, as shares of each true class."""
    from matplotlib.figure import Figure

    shares = [[n / max(sum(row), 1) for n in row] for row in confusion]
    size = min(max(4.0, 0.5 * len(classes)), 20.0)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes: Axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(classes) <= 50:
        axes.set_xticks(range(len(classes)), classes, rotation=60, ha="right")
        axes.set_yticks(range(len(classes)), classes)
    if len(classes) <= MOST_CELLS:
        for i, row in enumerate(confusion):
            for j, count in enumerate(row):
                if count:
                    colour = "white" if shares[i][j] > 0.5 else "black"
                    axes.text(j, i, str(count), ha="center", va="center", color=colour, fontsize=8)
    _save(figure, run.folder / "confusion.png")


def _save(figure: Figure, path: Path) -> None:
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=150)
    write_whole(path, picture.getvalue())


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
    pictures: bool,
) -> str:
    about, result, recipe = run.about(), run.result() or {}, run.recipe()
    lines = [
        f"# {about['name']} on {recipe.dataset}",
        "",
        f"{about['parameters']:,} parameters, {_macs(about['macs'])} multiply-accumulates an "
        f"image, trained for {len(rows)} epochs of {about['train_images']:,} images.",
        "",
        "```text",
        closing_table(result),
        "```",
        "",
        *(f"- {line}" for line in about["statements"]),
        "",
    ]
    if pictures:
        lines += ["![Loss and accuracy by epoch](curves.png)", ""]
    lines += [
        "## By class",
        "",
        "On the test images, with the best weights.",
        "",
        "| class | precision | recall | F1 | images |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, (precision, recall, f1, images) in zip(
        classes, class_figures(confusion), strict=True
    ):
        cell = name.replace("|", "\\|")
        lines.append(f"| {cell} | {precision:.1%} | {recall:.1%} | {f1:.1%} | {images} |")
    if pictures:
        lines += ["", "![Which class was taken for which](confusion.png)"]
    lines += ["", "## By epoch", "", *_epochs(rows), "", "## Recipe", "", "```yaml"]
    lines += [run.read_text("config.yaml").rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _macs(count: int | None) -> str:
    return "an unknown number of" if count is None else f"{count:,}"


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
