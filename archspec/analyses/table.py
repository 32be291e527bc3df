"""The summary as a table: laid out for a width in characters, and as plain text.

Two layouts. Where there is room, every row has its whole path and exact figures. Where there is
not, the paths become a tree of names and MACs are rounded to four digits, so that 80 columns hold
any network; then layers' arguments are cut, and numbers never are.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from archspec.ir.shape import Shape

if TYPE_CHECKING:
    from archspec.analyses.figures import SummaryFigures
    from archspec.analyses.layers import Layer
    from archspec.ir.op import Op

HEADER = ("Path", "Layer", "Output", "Params", "MACs", "Share")
GAP = "  "
COMFORTABLE = 24
"""Width of the layer column below which whole paths are given up for a tree."""
NOT_COUNTED = "not counted"
NARROW = 16
"""Width of the layer column below which names are cut too."""


class TableLayout(NamedTuple):
    """Cells of every row, cut to the widths of their columns (of `HEADER`), not padded."""

    widths: tuple[int, ...]
    rows: list[tuple[str, ...]]


def lay_out(summary: SummaryFigures, width: int | None) -> TableLayout:
    """The cells for a table of `width` characters (None: as wide as it likes)."""
    texts = [(describe(layer), _outputs(layer.output_shapes)) for layer in summary.nodes]
    layout = _cells(summary, texts, compact=False)
    path, layer, *figures = layout.widths
    room = None if width is None else width - sum(figures) - len(GAP) * len(figures) - len(GAP)
    if room is None or path + layer <= room:
        return layout
    if path + COMFORTABLE <= room:
        return _cut(layout, path, room - path)
    layout = _cells(summary, texts, compact=True)
    path, layer, *figures = layout.widths
    assert width is not None
    room = width - sum(figures) - len(GAP) * len(figures) - len(GAP)
    path = min(path, max(room - min(layer, NARROW), 8))
    return _cut(layout, path, max(room - path, 8))


def _cells(summary: SummaryFigures, texts: Sequence[tuple[str, str]], compact: bool) -> TableLayout:
    rows: list[tuple[str, ...]] = [
        (_path(layer, compact), *text, *_figures(layer, compact))
        for layer, text in zip(summary.nodes, texts, strict=True)
    ]
    columns = zip(HEADER, *rows, strict=True)
    return TableLayout(tuple(max(map(len, column)) for column in columns), rows)


def _path(layer: Layer, compact: bool) -> str:
    return "  " * layer.depth + layer.name if compact else layer.path


def _figures(layer: Layer, compact: bool) -> tuple[str, str, str]:
    parameters, macs = f"{layer.num_parameters:,}", layer.macs
    if macs is None:
        return parameters, NOT_COUNTED, "?"
    return parameters, rounded(macs) if compact else f"{macs:,}", percent(layer.share)


def _cut(layout: TableLayout, path: int, layer: int) -> TableLayout:
    rows = [(cut(row[0], path), cut(row[1], layer), *row[2:]) for row in layout.rows]
    layer = max(len(HEADER[1]), *(len(row[1]) for row in rows)) if rows else layer
    return TableLayout((path, layer, *layout.widths[2:]), rows)


def cut(text: str, width: int) -> str:
    """`text`, ending in an ellipsis where it is longer than `width`."""
    return text if len(text) <= width else text[: width - 1] + "…"


def describe(layer: Layer) -> str:
    """The op with its arguments as a spec writes them: `conv2d(64, 7, stride=2, bias=false)`."""
    mark = "idle: " if layer.idle else "train: " if layer.training_only else ""
    if layer.shares is not None:
        return f"{mark}{layer.op} = {layer.shares}"
    shown = _arguments(layer.operation) if layer.operation else []
    return f"{mark}{layer.op}({', '.join(shown)})" if shown else f"{mark}{layer.op}"


def _arguments(op: Op) -> list[str]:
    """What differs from the defaults; the required and primary ones at the start go unnamed."""
    fields, bare, shown = op.fields(), True, []
    for key, value in op.arguments().items():
        bare = bare and (fields[key].is_required or key == op.primary)
        shown.append(literal(value) if bare else f"{key}={literal(value)}")
    return shown


def literal(value: Any) -> str:
    """A value as YAML writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    return str(value)


def dims(shape: Shape) -> str:
    """`N×64×112×112`, the short form that fits a column."""
    return "×".join(map(str, shape)) or "scalar"


def _outputs(shapes: Sequence[Shape]) -> str:
    first, count = dims(shapes[0]), len(shapes)
    if count == 1:
        return first
    return f"{count} of {first}" if len(set(shapes)) == 1 else f"{first}, +{count - 1}"


def rounded(count: int) -> str:
    """`1.735 G`: four digits and a unit; exact below ten thousand."""
    if count < 10_000:
        return f"{count:,}"
    amount, unit = count / 1000, "K"
    for larger in "MGT":
        if amount < 999.95:
            break
        amount, unit = amount / 1000, larger
    digits = 3 if amount < 9.9995 else 2 if amount < 99.995 else 1
    return f"{amount:,.{digits}f} {unit}"


def macs_text(macs: int | None, counted: int = 0) -> str:
    """The figure; where it is not known, what is `counted` of it."""
    if macs is not None:
        return f"{macs:,}"
    return f"at least {counted:,}, the rest {NOT_COUNTED}" if counted else NOT_COUNTED


def percent(share: float) -> str:
    """`12.3%`; `100%` and `0%` only for all and none."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return f"{min(max(share, 0.001), 0.999):.1%}"


def size(nbytes: int) -> str:
    """`1.25 MiB (1,310,720 bytes)`."""
    amount, unit = float(nbytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    exact = f"{nbytes:,} bytes"
    return exact if unit == "bytes" else f"{amount:.2f} {unit} ({exact})"


def totals(summary: SummaryFigures) -> list[tuple[str, str]]:
    """The lines under the table: what is counted, and the figure."""
    trained = summary.training_outputs
    frozen = summary.num_parameters - summary.num_trainable_parameters
    macs = macs_text(summary.macs, summary.counted_macs)
    if summary.training_macs != summary.macs:
        macs += f" (in training {macs_text(summary.training_macs)})"
    also = f" (in training also {_listed(trained)})" if trained else ""
    batch = f"at batch size {summary.batch_size}"
    return [
        ("Input", _named(summary.inputs)),
        ("Output", _named(summary.outputs) + also),
        (
            "Parameters",
            f"{summary.num_parameters:,} "
            f"({summary.num_trainable_parameters:,} trainable, {frozen:,} not)",
        ),
        ("Buffers", f"{summary.num_buffers:,}"),
        ("MACs", macs),
        ("Activations", f"{size(summary.activation_bytes)} {batch}"),
        ("Saved for backward", f"{size(summary.saved_bytes)} {batch}"),
        ("State dict", size(summary.state_dict_bytes)),
    ]


def _named(shapes: dict[str, Shape]) -> str:
    return dims(*shapes.values()) if len(shapes) == 1 else _listed(shapes)


def _listed(shapes: dict[str, Shape]) -> str:
    return ", ".join(f"{name} {dims(shape)}" for name, shape in shapes.items())


def note(summary: SummaryFigures) -> str:
    """What the figures mean."""
    share = "MACs" if summary.share_of == "macs" else "parameters"
    text = (
        "MACs: multiply-accumulates of convolutions, linear layers and matrix products, for one "
        "sample in evaluation; all else is 0. Activations: what the nodes' outputs occupy after "
        "one training forward pass; saved for backward: what autograd keeps of it, parameters "
        "left out. Both count distinct storages, in float32. A block's row has the totals of "
        f"what is inside it; shares are of the network's {share}."
    )
    if any(layer.training_only for layer in summary.nodes):
        text += ' Layers marked "train:" run in training alone: their MACs are not in these.'
    if any(layer.shares is not None for layer in summary.nodes):
        text += ' "linear = fc" uses the module of fc again and owns nothing.'
    if any(layer.macs is None for layer in summary.nodes):
        text += f' "{NOT_COUNTED}": torch\'s counter does not know the ops of that module.'
    if any(layer.idle for layer in summary.nodes):
        text += ' Layers marked "idle:" do not run: they keep a module that others use.'
    return text


def plain_text(summary: SummaryFigures, width: int | None = 80) -> str:
    """The table, the totals and the note as text without any styling."""
    layout = lay_out(summary, width)
    lines = [summary.name, ""]
    if layout.rows:
        lines += [line(HEADER, layout.widths), GAP.join("─" * w for w in layout.widths)]
        lines += [line(row, layout.widths) for row in layout.rows]
        lines.append("")
    lines += [f"{label:<18}  {figure}" for label, figure in totals(summary)]
    lines += ["", *textwrap.wrap(note(summary), min(width or 100, 100))]
    return "\n".join(lines)


def line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """One row, texts to the left and figures to the right of their columns."""
    texts = [c.ljust(w) for c, w in zip(cells[:3], widths[:3], strict=True)]
    figures = [c.rjust(w) for c, w in zip(cells[3:], widths[3:], strict=True)]
    return GAP.join(texts + figures)
