"""The findings as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

LOOPS = (
    "course",
    "bare",
    "compiled",
    "trainer fp32",
    "trainer tf32",
    "trainer bf16",
    "trainer compiled",
)


def table(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Images a second of every loop, ratios, and what a step does."""
    ratios = ("fp32/course", "fp32/bare", "bf16/course", "bf16/compiled", "compiled/compiled")
    yield "| network | " + " | ".join([*LOOPS, *ratios]) + " |"
    yield "| --- |" + " ---: |" * (len(LOOPS) + len(ratios))
    networks = {name: cells for name, cells in found.items() if name not in ("checks", "compile")}
    for name, cells in networks.items():
        rates = {loop: cells.get(loop, {}).get("images_per_second") for loop in LOOPS}
        row = [name, *(_count(rates[loop]) for loop in LOOPS)]
        for ours, theirs in (
            ("trainer fp32", "course"),
            ("trainer fp32", "bare"),
            ("trainer bf16", "course"),
            ("trainer bf16", "compiled"),
            ("trainer compiled", "compiled"),
        ):
            row.append(_ratio(rates[ours], rates[theirs]))
        yield "| " + " | ".join(row) + " |"
    yield ""
    yield "| network | waits | launches | losses apart (5 steps) | peak | saved + 3 weights |"
    yield "| --- |" + " ---: |" * 5
    for name, cells in networks.items():
        step = cells.get("steps", {})
        stated = step.get("stated_saved", 0) + 3 * step.get("stated_state_dict", 0)
        yield (
            f"| {name} | {_number(step.get('waits_per_step'))} "
            f"| {_number(step.get('launches_per_step'))} "
            f"| {_number(step.get('losses_apart_first_5'))} "
            f"| {_bytes(step.get('peak_memory'))} | {_bytes(stated or None)} |"
        )


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _ratio(one: float | None, other: float | None) -> str:
    return f"{one / other:.2f}" if one and other else ""


def _bytes(value: int | None) -> str:
    return "" if value is None else f"{value / 2**20:,.0f} MiB"
