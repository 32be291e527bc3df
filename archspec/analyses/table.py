"""The summary as text: laid out for a width in characters, plain or coloured.

Two layouts. Where there is room, every row has its whole path and exact figures. Where there is
not, the paths become a tree of names and MACs are rounded to four digits, so that 80 columns hold
any network; then layers' arguments are cut, and numbers never are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from archspec.diagnostics.diagnostic import Paint, plain
from archspec.ir.shape import Shape
from archspec.ir.types import FLOAT, PRECISION
from archspec.record import Record

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
WARM, HOT = 0.02, 0.1
"""Shares of an op from which its figure is coloured."""


class TableLayout(Record):
    """Cells of every row, cut to the widths of their columns (of `HEADER`), not padded."""

    widths: tuple[int, ...]
    rows: list[tuple[str, ...]]


def lay_out(summary: SummaryFigures, width: int | None) -> TableLayout:
    """The cells for a table of `width` characters (None: as wide as it likes)."""
    layout = _laid_out([_row(layer) for layer in summary.nodes])
    path, layer, *figures = layout.widths
    room = None if width is None else width - sum(figures) - len(GAP) * len(figures) - len(GAP)
    if room is None or path + layer <= room:
        return layout
    if path + COMFORTABLE <= room:
        return _cut(layout, path, room - path)
    layout = _laid_out(list(map(_shortened, summary.nodes, layout.rows)))
    path, layer, *figures = layout.widths
    assert width is not None
    room = width - sum(figures) - len(GAP) * len(figures) - len(GAP)
    path = min(path, max(room - min(layer, NARROW), 8))
    return _cut(layout, path, max(room - path, 8))


def _laid_out(rows: list[tuple[str, ...]]) -> TableLayout:
    columns = zip(HEADER, *rows, strict=True)
    return TableLayout(tuple(max(map(len, column)) for column in columns), rows)


def _row(layer: Layer) -> tuple[str, ...]:
    """The cells in full."""
    return (
        layer.path,
        describe(layer),
        _outputs(layer),
        f"{layer.num_parameters:,}",
        NOT_COUNTED if layer.macs is None else f"{layer.macs:,}",
        "?" if layer.macs is None else percent(layer.share),
    )


def _shortened(layer: Layer, row: tuple[str, ...]) -> tuple[str, ...]:
    """The same with a place in the tree for the path, and MACs of four digits."""
    macs = row[4] if layer.macs is None else rounded(layer.macs)
    return ("  " * layer.depth + layer.name, *row[1:4], macs, row[5])


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
    mark += "frozen: " if layer.frozen and layer.num_parameters else ""
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


def dims(shape: Shape, dtype: str = FLOAT.name) -> str:
    """`N×64×112×112`, the short form that fits a column; `N×16 int64` of another type."""
    text = "×".join(map(str, shape)) or "scalar"
    return text if dtype == FLOAT.name else f"{text} {dtype}"


def _outputs(layer: Layer) -> str:
    values = list(map(dims, layer.output_shapes, layer.output_dtypes))
    first, count = values[0], len(values)
    if count == 1:
        return first
    return f"{count} of {first}" if len(set(values)) == 1 else f"{first}, +{count - 1}"


def dims_by_name(shapes: dict[str, Shape], dtypes: dict[str, str]) -> str:
    """`image N×3×8×8, label N int64`."""
    return ", ".join(f"{name} {dims(shape, dtypes[name])}" for name, shape in shapes.items())


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
    dtypes = summary.output_dtypes
    also = f" (in training also {dims_by_name(trained, dtypes)})" if trained else ""
    batch = f"at batch size {summary.batch_size}"
    precision = [] if summary.dtype == PRECISION else [("Precision", summary.dtype)]
    return [
        ("Input", _named(summary.inputs, summary.input_dtypes)),
        ("Output", _named(summary.outputs, dtypes) + also),
        *precision,
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


def _named(shapes: dict[str, Shape], dtypes: dict[str, str]) -> str:
    if len(shapes) > 1:
        return dims_by_name(shapes, dtypes)
    ((name, shape),) = shapes.items()
    return dims(shape, dtypes[name])


def note(summary: SummaryFigures) -> str:
    """What the figures mean."""
    share = "MACs" if summary.share_of == "macs" else "parameters"
    text = (
        "MACs: multiply-accumulates of convolutions, linear layers and matrix products, for one "
        "sample in evaluation; all else is 0. Activations: what the nodes' outputs occupy after "
        "one training forward pass; saved for backward: what autograd keeps of it, parameters "
        f"left out. Both count distinct storages, in {summary.dtype}. A block's row has the totals "
        f"of what is inside it; shares are of the network's {share}."
    )
    types = {*summary.input_dtypes.values(), *(d for n in summary.nodes for d in n.output_dtypes)}
    if types - {FLOAT.name}:
        text += f" Floats count as {summary.dtype}; an int64 has 8 bytes, an int32 4 and a bool 1."
    if any(layer.training_only for layer in summary.nodes):
        text += ' Layers marked "train:" run in training alone: their MACs are not in these.'
    if any(layer.shares is not None for layer in summary.nodes):
        text += ' "linear = fc" uses the module of fc again and owns nothing.'
    if any(layer.macs is None for layer in summary.nodes):
        text += f' "{NOT_COUNTED}": torch\'s counter does not know the ops of that module.'
    if any(layer.frozen and layer.num_parameters for layer in summary.nodes):
        text += ' Parameters of layers marked "frozen:" are not trained.'
    if any(layer.idle for layer in summary.nodes):
        text += ' Layers marked "idle:" do not run: they keep a module that others use.'
    return text


def summary_text(summary: SummaryFigures, width: int | None = 80, paint: Paint = plain) -> str:
    """The table, the totals and the note, coloured by `paint`."""
    return "\n".join(_lines(summary, width, paint))


def _lines(summary: SummaryFigures, width: int | None, paint: Paint) -> Iterator[str]:
    layout = lay_out(summary, width)
    # Texts stand to the left of their columns, figures to the right.
    columns = [f"{{:{'<' if i < 3 else '>'}{size}}}" for i, size in enumerate(layout.widths)]
    line = GAP.join(columns)
    yield paint("title", summary.name)
    yield ""
    if layout.rows:
        yield paint("title", line.format(*HEADER))
        yield paint("faint", GAP.join("─" * width for width in layout.widths))
        for layer, row in zip(summary.nodes, layout.rows, strict=True):
            if paint is plain:
                yield line.format(*row)
            else:
                cells = [column.format(cell) for column, cell in zip(columns, row, strict=True)]
                yield GAP.join(_painted(layer, cells, paint))
        yield ""
    for label, figure in totals(summary):
        yield f"{paint('faint', f'{label:<18}')}  {figure}"
    yield ""
    for line in _wrapped(note(summary), min(width or 100, 100)):
        yield paint("faint", line)


def _painted(layer: Layer, cells: Sequence[str], paint: Paint) -> list[str]:
    """A block's row is bold; of a path the last name stands out, of a layer its op."""
    path, described, output, *figures = cells
    shown = path.rstrip()
    name = len(shown) - len(layer.name) if shown.endswith(layer.name) else 0
    op = len(described.partition("(")[0])
    row, word, share = "row", "op", "row"
    if layer.is_block:
        row, word, share = "block", "block op", "block"
    elif layer.share >= WARM:
        share = "hot" if layer.share >= HOT else "warm"
    return [
        paint("faint", path[:name]) + paint(row, path[name:]),
        paint(word, described[:op]) + paint("faint", described[op:]),
        paint(row, output),
        *(
            paint("faint" if figure.strip() in ("0", "0%") else role, figure)
            for role, figure in zip((row, row, share), figures, strict=True)
        ),
    ]


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of at most `width`; `textwrap` takes longer to import than most tables to print."""
    line, *words = text.split()
    for word in words:
        if len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}"
    yield line
