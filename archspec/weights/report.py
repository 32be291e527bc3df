"""What became of each key of a file of weights, for people and programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """A key that was not loaded, and why."""

    key: str
    why: str


@dataclass(slots=True)
class LoadReport:
    """What of each key. `matched` were loaded, or would have been where others did not fit.

    `missing` are keys of the network that the file has not, `unexpected` keys of the file that
    the network has not; those of `other_shape` stand in both, with another shape or kind of
    number. `kept` have their first value, because files of that age lack them all. Values of the
    `infinite` keys are too large for the network's precision. `notes` say what was taken of the
    file, renamed and converted, `help` what would fix it.
    """

    source: str
    network: str
    matched: list[str] = field(default_factory=list)
    missing: list[Difference] = field(default_factory=list)
    unexpected: list[Difference] = field(default_factory=list)
    other_shape: list[Difference] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    infinite: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    help: str | None = None

    @property
    def fits(self) -> bool:
        """Whether every key of the one has its match in the other."""
        return not (self.missing or self.unexpected or self.other_shape)

    @property
    def total(self) -> int:
        """Keys of the network."""
        return len(self.matched) + len(self.kept) + len(self.missing) + len(self.other_shape)

    @property
    def differences(self) -> list[tuple[str, Difference]]:
        """All that did not match, each with its kind in words."""
        kinds = (
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("other shape", self.other_shape),
        )
        return [(kind, each) for kind, found in kinds for each in found]

    def __str__(self) -> str:
        lines = [f"weights {self.source}: {len(self.matched)} of {self.total} keys match"]
        lines += [f"  {note}" for note in self.notes]
        width = max((len(each.key) for _, each in self.differences), default=0)
        for kind, each in self.differences:
            lines.append(f"  {kind:<11}  {each.key:<{width}}  {each.why}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON output."""
        return {
            "source": self.source,
            "network": self.network,
            "matched": self.matched,
            "missing": [each._asdict() for each in self.missing],
            "unexpected": [each._asdict() for each in self.unexpected],
            "other_shape": [each._asdict() for each in self.other_shape],
            "kept": self.kept,
            "notes": self.notes,
        }
