"""Writes the table of input contracts into docs/sizes.md, and holds contracts against compiling.

python tools/contracts.py                      write the table of the bundled specs
python tools/contracts.py --check              exit with 1 where the table is not up to date
python tools/contracts.py --prove              compile each bundled spec at all sizes up to 300
python tools/contracts.py --prove alexnet nin  the same for some of them
python tools/contracts.py --pairs 300 SPEC …   height and width each by itself, at random pairs
python tools/contracts.py --graphs 500         random graphs, at all sizes up to 40

The proofs say what differs, and exit with 1 where anything does.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

import archspec
from archspec.architecture import Architecture
from archspec.contracts.contract import Contract
from archspec.diagnostics.diagnostic import SpecError
from archspec.testing.contracts import contract_mismatches
from archspec.testing.graphs import specs, to_text

PAGE = Path(__file__).resolve().parent.parent / "docs" / "sizes.md"
BEGIN = "<!-- Written by tools/contracts.py from the bundled specs: -->"
END = "<!-- End of what is written. -->"

LARGEST = 300


# --- the table -----------------------------------------------------------------------------------


def table() -> str:
    """The contracts of all bundled specs over square images; those that are alike share a row."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for name in archspec.bundled():
        arch = archspec.load(name, warn=False)
        contract = arch.contract(of_rank(arch, "SS"))
        askers = "; ".join(dict.fromkeys(_asker(contract)))
        says = _cell(contract.compiles_text, contract), _cell(contract.text, contract), askers
        rows.setdefault(says, []).append(name)
    lines = [
        "| specs | compiles at | as built it fits | asked for by |",
        "| --- | --- | --- | --- |",
    ]
    for (compiles, fits, askers), names in rows.items():
        lines.append(f"| {', '.join(names)} | {compiles} | {fits} | {askers} |")
    return "\n".join(lines)


def of_rank(arch: Architecture, letters: str) -> list[str]:
    """The symbols of the sizes of an image; the last one alone for a sequence of tokens."""
    most = max(len(shape) for shape in arch.graph.inputs) - 1
    return list(letters[-most:])


def _asker(contract: Contract) -> Iterator[str]:
    for each in contract.requirements:
        if each.node is not None:
            yield f"`{each.node}` ({each.kind})"


def _cell(text: str, contract: Contract) -> str:
    return text if contract.is_complete else f"{text}, and more"


def page(text: str) -> str:
    """The page with the table in its place."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def write(check: bool) -> int:
    """Writes the page, or says whether it is up to date."""
    text = PAGE.read_text(encoding="utf-8")
    new = page(text)
    if check:
        if new != text:
            print("docs/sizes.md is not up to date: python tools/contracts.py")
        return int(new != text)
    PAGE.write_text(new, encoding="utf-8")
    return 0


# --- the proofs ----------------------------------------------------------------------------------


def prove(names: Sequence[str]) -> int:
    """Square inputs of each size up to the largest."""
    return _prove(names, "SS", lambda _: [{"S": size} for size in range(1, LARGEST + 1)])


def prove_pairs(names: Sequence[str], count: int) -> int:
    """Random heights and widths, the same ones in each run."""

    def pairs(name: str) -> list[dict[str, int]]:
        draw = random.Random(name)
        return [{each: draw.randint(1, LARGEST) for each in "HW"} for _ in range(count)]

    return _prove(names, "HW", pairs)


def _prove(names: Sequence[str], letters: str, sizes: Callable[[str], list[dict[str, int]]]) -> int:
    """The contracts of some specs, at the sizes that are chosen by the name of each."""
    failed = 0
    for name in names:
        arch, start = archspec.load(name, warn=False), time.perf_counter()
        contract = arch.contract(of_rank(arch, letters))
        took = time.perf_counter() - start
        tried = [{each: values[each] for each in contract.symbols} for values in sizes(name)]
        failed += _say(name, contract, list(contract_mismatches(arch, contract, tried)), took)
    return int(failed > 0)


def prove_graphs(count: int) -> int:
    """Random graphs that compile, the last size of their input as the symbol."""
    seen, failed = 0, 0

    @settings(
        max_examples=count * 4,
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(specs())
    def check(spec: Any) -> None:
        nonlocal seen, failed
        if seen >= count or (arch := _loaded(to_text(spec))) is None:
            return
        seen += 1
        contract = arch.contract(["S"])
        found = list(contract_mismatches(arch, contract, [{"S": size} for size in range(1, 41)]))
        if found:
            failed += 1
            print(f"{to_text(spec)}\n{found[:3]}", flush=True)

    check()
    print(f"{seen} random graphs, {failed} with a wrong contract")
    return int(failed > 0 or seen < count)


def _loaded(text: str) -> Architecture | None:
    try:
        return archspec.loads(text, warn=False)
    except SpecError:
        return None


def _say(name: str, contract: Contract, found: Sequence[str], took: float) -> bool:
    says = "" if contract.is_complete else "; more are not listed"
    print(f"{name}: {contract.text}{says} ({took:.2f} s): {found[:3] or 'ok'}", flush=True)
    return bool(found)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("specs", nargs="*")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--prove", action="store_true")
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--graphs", type=int)
    args = parser.parse_args()
    names = args.specs or list(archspec.bundled())
    if args.graphs:
        return prove_graphs(args.graphs)
    if args.pairs:
        return prove_pairs(names, args.pairs)
    return prove(names) if args.prove else write(args.check)


if __name__ == "__main__":
    sys.exit(main())
