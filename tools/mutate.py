"""Breaks the package on purpose, one small edit at a time, and shows which no test notices.

    python tools/mutate.py archspec/training --count 100 --seed 1
    python tools/mutate.py archspec/verify --count 50 --tests tests/test_verify.py

Lines are drawn evenly from the folder or file. Each gets one mutation: another comparison,
constant, operator or function, a negated or dropped condition, swapped or dropped arguments, or a
statement removed. The tests that run the line are run against the mutant, until one fails: first
those of its room, then the quickest. They run in a copy of the repository, so the working tree
stays as it is. Equal arguments give equal mutants.

A mutant that survives is printed with its place. It is a hole in the tests, or the same program in
other words: look at it. The exit status is 0 in any case.

Which tests run which lines is recorded once for each state of the repository and choice of tests,
and kept in the folder for temporary files. The tests of `archspec/training` are `tests/training`,
and those of `archspec/verify` are `tests/test_verify.py`; `--tests` names others.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from mutation import copies
from mutation.record import Record
from mutation.sites import Mutation, is_another_program, mutations


def sources(target: Path) -> dict[str, str]:
    """The text of a file, or of all files of a folder, by path in the repository."""
    paths = sorted(target.rglob("*.py")) if target.is_dir() else [target]
    return {
        path.relative_to(copies.ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths
    }


def draw(texts: dict[str, str], count: int, seed: int) -> list[Mutation]:
    """At most `count` different mutations. Their lines are drawn evenly from all that have one."""
    lines: dict[tuple[str, int], list[Mutation]] = {}
    for file, text in texts.items():
        for mutation in mutations(file, text):
            lines.setdefault((file, mutation.line), []).append(mutation)
    chance, drawn = random.Random(seed), []
    while lines and len(drawn) < count:
        line = chance.choice(sorted(lines))
        mutation = lines[line].pop(chance.randrange(len(lines[line])))
        if not lines[line]:
            del lines[line]
        if is_another_program(texts[mutation.file], mutation):
            drawn.append(mutation)
    return drawn


def tests_of(mutation: Mutation, record: Record) -> list[str]:
    """The tests that can notice a mutation, file by file, the quickest first."""
    first, last = mutation.lines
    places = {f"{mutation.file}:{line}" for line in range(first, last + 1)}
    found = [test for test, lines in record.lines.items() if not places.isdisjoint(lines)]
    room = mutation.file.removesuffix(".py").split("/")[1]
    tests = in_order(found, record, room)
    if mutation.at_import or not places.isdisjoint(record.imported):
        # Any test may notice it, whichever lines it runs. The likeliest come first.
        mark = f"{mutation.file}:"
        near = [t for t, lines in record.lines.items() if any(x.startswith(mark) for x in lines)]
        tests += in_order(near, record, room) + in_order(list(record.lines), record, room)
    return [test for test in dict.fromkeys(tests) if test not in record.failed]


def in_order(tests: list[str], record: Record, room: str) -> list[str]:
    """The tests of the room first, then the quickest.

    The tests of a file stay together, because they may share a slow fixture.
    """
    files: dict[str, float] = {}
    for test in tests:
        file = test.partition("::")[0]
        files[file] = files.get(file, 0.0) + record.seconds[test]

    def key(test: str) -> tuple[bool, float, str, float]:
        file = test.partition("::")[0]
        elsewhere = file.split("/")[1].removesuffix(".py").removeprefix("test_") != room
        return elsewhere, files[file], file, record.seconds[test]

    return sorted(tests, key=key)


def verdicts(
    drawn: list[Mutation], texts: dict[str, str], record: Record, jobs: int, limit: float
) -> Iterator[tuple[Mutation, str]]:
    """Each mutation with what became of it: "killed", "timed out", "survived" or "not run"."""
    free: SimpleQueue[copies.Server] = SimpleQueue()

    def outcome(mutation: Mutation) -> str:
        tests = tests_of(mutation, record)
        if not tests:
            return "not run"
        seconds = min(limit, 10 + 3 * sum(record.seconds[test] for test in tests))
        server = free.get()
        try:
            return server.run(mutation.file, mutation.applied(texts[mutation.file]), tests, seconds)
        finally:
            free.put(server)

    with tempfile.TemporaryDirectory(prefix="archspec-mutants-") as folder:
        servers = [copies.Server(Path(folder) / str(number), record) for number in range(jobs)]
        for server in servers:
            free.put(server)
        try:
            with ThreadPoolExecutor(jobs) as pool:
                yield from zip(drawn, pool.map(outcome, drawn), strict=True)
        finally:
            for server in servers:
                server.stop()


def shown(mutation: Mutation, text: str, verdict: str) -> str:
    """A mutation for people: its place, and the lines that differ."""
    before, after = text.splitlines(), mutation.applied(text).splitlines()
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    lines = [f"{mutation.file}:{mutation.line}  {mutation.kind}, {verdict}"]
    for sign, rows in (("-", before), ("+", after)):
        lines += [f"  {sign} {rows[i].strip()}" for i in changed if rows[i].strip()]
    return "\n".join(lines)


def own_tests(target: Path) -> Path:
    """The tests of a folder or file of the package: what mirrors it under `tests`."""
    room = target.relative_to(copies.ROOT / "archspec").parts
    name = Path(room[0]).stem if room else ""
    for path in (copies.ROOT / "tests" / name, copies.ROOT / "tests" / f"test_{name}.py"):
        if path.exists():
            return path
    raise SystemExit(f"{target} has no tests of its own: name some with --tests")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", type=Path, help="a folder or a file of archspec/")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for one mutant")
    parser.add_argument("--tests", type=Path, nargs="+", help="files or folders of tests")
    args = parser.parse_args(arguments)
    target = args.target.resolve()
    tests = [path.resolve() for path in args.tests or [own_tests(target)]]
    texts = sources(target)
    drawn = draw(texts, args.count, args.seed)
    record = copies.recorded(tests)
    for test in record.failed:
        print(f"{test} fails without any mutation, and is left out", flush=True)
    outcomes: Counter[str] = Counter()
    for mutation, verdict in verdicts(drawn, texts, record, args.jobs, args.limit):
        outcomes[verdict] += 1
        if verdict not in ("killed", "timed out"):
            print(shown(mutation, texts[mutation.file], verdict), flush=True)
    dead = outcomes["killed"] + outcomes["timed out"]
    details = ", ".join(f"{number} {verdict}" for verdict, number in outcomes.most_common())
    print(f"{dead} of {len(drawn)} killed, {dead / max(len(drawn), 1):.1%} ({details})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
