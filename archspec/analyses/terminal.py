"""The summary for a terminal: the plain table's layout, styled with rich."""

from __future__ import annotations

import textwrap

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from archspec.analyses.layers import Layer
from archspec.analyses.summary import Summary
from archspec.analyses.table import GAP, HEADER, lay_out, line, note, totals

WARM, HOT = 0.02, 0.1
"""Shares from which a leaf's figure is coloured."""


def terminal_view(summary: Summary, width: int) -> RenderableType:
    """What `rich` prints for a terminal of `width` columns."""
    layout = lay_out(summary, width)
    parts: list[RenderableType] = [Text(summary.name, style="bold"), Text()]
    if layout.rows:
        parts.append(_text(line(HEADER, layout.widths), "bold"))
        parts.append(_text(GAP.join("─" * w for w in layout.widths), "dim"))
        for layer, row in zip(summary.nodes, layout.rows, strict=True):
            parts.append(_row(layer, row, layout.widths))
        parts.append(Text())
    figures = Table.grid(padding=(0, 2))
    for label, figure in totals(summary):
        figures.add_row(Text(label, style="dim"), Text(figure))
    meaning = textwrap.fill(note(summary), min(width, 100))
    return Group(*parts, figures, Text(), _text(meaning, "dim"))


def _text(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ignore")


def _row(layer: Layer, cells: tuple[str, ...], widths: tuple[int, ...]) -> Text:
    """A block's row is bold; of a path the last name stands out, of a layer its op."""
    text = _text(line(cells, widths), "bold" if layer.is_block else "")
    path, described = cells[:2]
    starts = [sum(widths[:i]) + i * len(GAP) for i in range(len(widths))]
    name = len(path) - len(layer.name)
    if path.endswith(layer.name):
        text.stylize("dim", 0, name)
    op = starts[1] + len(described.partition("(")[0])
    text.stylize("magenta" if layer.is_block else "cyan", starts[1], op)
    text.stylize("dim", op, starts[1] + len(described))
    for start, width, figure in zip(starts[3:], widths[3:], cells[3:], strict=True):
        if figure in ("0", "0%"):
            text.stylize("dim", start, start + width)
    if not layer.is_block and layer.share >= WARM:
        text.stylize("red" if layer.share >= HOT else "yellow", starts[5], starts[5] + widths[5])
    return text
