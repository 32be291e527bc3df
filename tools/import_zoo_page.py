"""The lines and tables of tools/import_zoo.py: in a terminal, and in docs/convert.md."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import parity_page
from importables import GROUPS
from importing_one import STAGES, Outcome

PAGE = Path(__file__).resolve().parent.parent / "docs" / "convert.md"
COLUMNS = ("model", *STAGES[1:], "lines", "scalars", "by hand", "seconds")
LONGEST = 110


def verdicts(outcome: Outcome) -> list[str]:
    """What is said of each stage: of those after the first that failed, nothing."""
    reached = STAGES.index(outcome.stage) if outcome.stage else len(STAGES)
    said = [outcome.said.get(stage, "yes") for stage in STAGES[:reached]]
    return [*said, "no", *[""] * len(STAGES)][1 : len(STAGES)]


def cells(outcome: Outcome) -> tuple[str, ...]:
    """A row of the table."""
    figures = (outcome.lines, outcome.scalars, outcome.by_hand, outcome.seconds)
    return (outcome.name, *verdicts(outcome), *(f"{each:g}" if each else "" for each in figures))


def row(outcome: Outcome, seconds: float) -> str:
    """A line for the terminal."""
    found = f"{outcome.stage}: {outcome.message}" if outcome.stage else "equal"
    counts = f"{outcome.lines:5} lines {outcome.scalars:6}/{outcome.by_hand or '-':<5}"
    return f"{outcome.name:36} {seconds:5.0f} s {counts} {found[:250]}"


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """How many are equal in each group, and how long the texts are beside those by hand."""
    lines = []
    for group, title in GROUPS.items():
        inside = [each for each in outcomes if each.group == group]
        if inside:
            equal = sum(not each.stage for each in inside)
            lines.append(f"{equal} of {len(inside)} are equal: {title}.")
    if len(ratios := lengths(outcomes)) > 1:
        middle, ninth = statistics.median(ratios), statistics.quantiles(ratios, n=10)[-1]
        lines.append(
            f"Beside {len(ratios)} specs that a person wrote, an equal one has {middle:.2f} times "
            f"the scalars in the median, and {ninth:.2f} times in the ninth decile."
        )
    return lines


def lengths(outcomes: Sequence[Outcome]) -> list[float]:
    """Scalars of equal specs, as parts of those of the specs that a person wrote."""
    return sorted(
        each.scalars / each.by_hand for each in outcomes if each.by_hand and not each.stage
    )


def reasons(outcomes: Sequence[Outcome]) -> list[str]:
    """What stopped how many, the most frequent first, each with a network that it stopped."""
    failed = [each for each in outcomes if each.stage]
    counted = Counter(reason(each) for each in failed)
    first = {reason(each): each.name for each in reversed(failed)}
    return [f"{count:4} {said} ({first[said]})" for said, count in counted.most_common()]


def reason(outcome: Outcome) -> str:
    """The stage and message without what differs from network to network."""
    said = re.sub(r"[\w./-]+\.py:\d+|[\"'`][^\"'`]*[\"'`]|[\w.]*\d[\w.]*", "…", outcome.message)
    return f"{outcome.stage}: {re.sub(r'[^ ]*…([ ,]*…)*[^ ]*', '…', said)[:LONGEST]}"


def shown(message: str) -> str:
    """A message without the folders of this machine and the marks under its lines."""
    bare = re.sub(r"\S*/site-packages/", "", re.sub(r"\s*\|[ ^|]*", " ", message))
    return bare.replace("<", "&lt;")[:200].strip()


def write_tables(outcomes: Sequence[Outcome], page: Path = PAGE) -> None:
    """Puts the summary, the table and the reasons of what failed into the page."""
    lines = [*(f"- {line}" for line in summary(outcomes)), ""]
    lines += parity_page.markdown(COLUMNS, [cells(each) for each in outcomes])
    failed = [each for each in outcomes if each.stage]
    if failed:
        lines += ["", "Those that are not equal:", ""]
        lines += [f"- {each.name}: {each.stage}: {shown(each.message)}" for each in failed]
    parity_page.rewrite("imported", lines, page)
