"""What was compared between the static and the real network, and where they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from archspec.diagnostics.diagnostic import Span
from archspec.ir.types import PRECISION


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One disagreement: at which node (empty for the whole network), in what, and its place."""

    path: str
    what: str
    static: str
    real: str
    span: Span | None = None

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """The row of the table that `str(report)` shows."""
        place = str(self.span) if self.span else ""
        return place, self.path or "(whole network)", self.what, self.static, self.real


@dataclass(slots=True)
class Report:
    """What `verify` found. `no_gradient` lists parameters that a backward pass does not reach.

    `not_counted` lists nodes whose multiply-accumulates nobody knows, so that none were compared.
    `differentiable` is false where no output is of floats, so that no backward pass was run.
    `checked` counts the comparisons made of each kind; `str` gives a table of the mismatches.
    `dtype` is the precision of the run. `elsewhere` are the other sizes of the input at which the
    same module was run too.
    """

    mismatches: list[Mismatch] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    no_gradient: list[str] = field(default_factory=list)
    not_counted: list[str] = field(default_factory=list)
    differentiable: bool = True
    dtype: str = PRECISION
    elsewhere: list[dict[str, int]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.mismatches

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        every = ", ".join(f"{kind} {count:,}" for kind, count in self.checked.items())
        counts = every or "nothing"
        within = "" if self.dtype == PRECISION else f" in {self.dtype}"
        if self.ok:
            yield f"verified{within}: static and real agree ({counts} compared)"
        else:
            number = len(self.mismatches)
            wrong = f"{number} mismatch{'es' * (number > 1)} of static and real"
            yield f"{wrong}{within} ({counts} compared)"
            rows = [("place", "node", "what", "static", "real")]
            rows += [mismatch.cells for mismatch in self.mismatches]
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            for row in rows:
                cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
                yield "  ".join(cells).rstrip()
        if self.elsewhere:
            yield f"the same module was run at {'; '.join(map(_said, self.elsewhere))} too"
        if self.not_counted:
            yield f"MACs not counted, and not compared: {', '.join(self.not_counted)}"
        if self.no_gradient:
            yield f"no gradient reaches: {', '.join(self.no_gradient)}"
        if not self.differentiable:
            yield "no backward pass was run: no output is of floats"

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON output."""
        keys = ("place", "path", "what", "static", "real")
        return {
            "ok": self.ok,
            "checked": dict(self.checked),
            "mismatches": [
                dict(zip(keys, (str(m.span or "") or None, m.path, *m.cells[2:]), strict=True))
                for m in self.mismatches
            ],
            "no_gradient": self.no_gradient,
            "not_counted": self.not_counted,
            "differentiable": self.differentiable,
            "elsewhere": self.elsewhere,
            **({} if self.dtype == PRECISION else {"dtype": self.dtype}),
        }


def _said(sizes: Mapping[str, int]) -> str:
    return ", ".join([f"{name} = {size}" for name, size in sizes.items()])
