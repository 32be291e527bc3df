"""Looks for inputs that archspec answers wrongly. There should be none: each finding is a bug.

    python tools/fuzz.py bytes    --minutes 5 --seed 1   mutated bytes: an answer, always
    python tools/fuzz.py document --minutes 5 --seed 1   mutated documents: an answer that holds
    python tools/fuzz.py semantic --minutes 5 --seed 1   mutated networks, held against real runs
    python tools/fuzz.py sizes    --minutes 5 --seed 1   random graphs at other sizes of their input

* `bytes`: any bytes give a network or a `SpecError`, within bounds of time and memory. With
  `--engine atheris` the mutations are guided by coverage (`pip install atheris`).
* `document`: the same for mutated YAML trees. What is accepted can be summarised, reads back from
  its expansion as the same network, and builds on the meta device. Each diagnostic has a place and
  can be printed.
* `semantic`: small networks with another size, edge or node. What is accepted runs on the CPU in
  `train()` and `eval()` at N = 2, 3 and 5, with the stated shapes. What a shape rule refuses fails
  there too, or falls under a documented rule. At least a third of the mutants that the schema lets
  through must be refused, or the fuzzer is too tame.
* `sizes`: random graphs. Their contract must say what compiling at each size does, and one module,
  built at their own size, must give the bits of a module built at others that it accepts.

The cases run in another process, with limits of time and address space. Inputs with a finding are
written to `--out`, and the exit status is then 1. Equal arguments give equal cases.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from fuzzing.sandbox import Case, Sandbox


class Fuzzer(NamedTuple):
    """Where a fuzzer's `cases` and `check` live, and the limits of a case."""

    module: str
    seconds: float
    memory: int


FUZZERS = {
    "bytes": Fuzzer("fuzzing.texts", 20.0, 1 * 2**30),
    "document": Fuzzer("fuzzing.documents", 20.0, 2 * 2**30),
    "semantic": Fuzzer("fuzzing.semantics", 60.0, 6 * 2**30),
    "sizes": Fuzzer("fuzzing.sizes", 60.0, 6 * 2**30),
}

SHARE = 1 / 3
"""Least share of the counted semantic mutants that a shape rule must refuse."""


@dataclass
class Result:
    """The result of a run of a fuzzer. `findings` maps each kind to its smallest case."""

    fuzzer: str
    cases: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[str, Case] = field(default_factory=dict)

    @property
    def counted(self) -> int:
        """The number of semantic mutants that were held against a real run."""
        return self.outcomes["accepted"] + self.outcomes["refused by a shape rule"]

    @property
    def too_tame(self) -> bool:
        refused = self.outcomes["refused by a shape rule"]
        return self.fuzzer == "semantic" and refused < SHARE * self.counted

    def __str__(self) -> str:
        lines = [f"{self.fuzzer}: {self.cases:,} cases in {self.seconds:,.0f} s"]
        lines += [f"  {number:>9,} {name}" for name, number in self.outcomes.most_common()]
        if self.fuzzer == "semantic" and self.counted:
            share = self.outcomes["refused by a shape rule"] / self.counted
            lines.append(f"  {self.counted:>9,} counted, {share:.0%} refused by a shape rule")
        lines.append(f"  {len(self.findings):>9,} findings")
        return "\n".join(lines)


def fuzz(
    name: str,
    seed: int,
    *,
    seconds: float = float("inf"),
    most: int | None = None,
    tell: Callable[[str, Case], None] = lambda what, case: None,
) -> Result:
    """Run a fuzzer for `seconds`, or for `most` cases. `tell` is called with each new finding."""
    fuzzer, result = FUZZERS[name], Result(name)
    made: Iterator[Case] = import_module(fuzzer.module).cases(random.Random(seed))
    started = time.monotonic()
    limits = {"memory": fuzzer.memory, "seconds": fuzzer.seconds}
    with Sandbox(f"{fuzzer.module}:check", **limits) as sandbox:  # type: ignore[arg-type]
        while result.seconds < seconds and (most is None or result.cases < most):
            case = next(made)
            verdict = sandbox.run(case)
            result.cases += 1
            result.outcomes[verdict.outcome] += 1
            for what in verdict.findings:
                note(result, what, case, tell)
            result.seconds = time.monotonic() - started
    return result


def note(result: Result, what: str, case: Case, tell: Callable[[str, Case], None]) -> None:
    """Keep the smallest case of each kind of finding."""
    kind = re.sub(r"'[^']*'|\d+", "…", what)[:120]
    known = result.findings.get(kind)
    if known is None or len(case.text) < len(known.text):
        result.findings[kind] = case
        tell(what, case)


def save(folder: Path, name: str, what: str, case: Case) -> None:
    """Write the input of a finding, and beside it what is wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = re.sub(r"'[^']*'|\d+", "…", what)[:120]
    stem = f"{name}-{hashlib.sha256(kind.encode()).hexdigest()[:10]}"
    (folder / f"{stem}.yaml").write_bytes(case.text)
    (folder / f"{stem}.txt").write_text(f"{what}\n\nmade from {case.origin}\n", encoding="utf-8")
    print(f"finding: {what}\n  made from {case.origin}\n  {folder / stem}.yaml", flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("fuzzer", choices=FUZZERS)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--engine", choices=("plain", "atheris"), default="plain")
    args = parser.parse_args(arguments)
    if args.engine == "atheris":
        if args.fuzzer != "bytes":
            parser.error("--engine atheris is for the fuzzer of bytes")
        from fuzzing import coverage

        return coverage.run(args.seed, args.minutes * 60, args.out)
    result = fuzz(
        args.fuzzer,
        args.seed,
        seconds=args.minutes * 60,
        tell=lambda what, case: save(args.out, args.fuzzer, what, case),
    )
    print(result)
    if result.too_tame:
        print("too few were refused: a third of those counted is the least")
    return int(bool(result.findings) or result.too_tame)


if __name__ == "__main__":
    sys.exit(main())
