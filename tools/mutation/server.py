"""A process that has loaded everything but the package, and forks for every mutant.

    python -m mutation.server TREE KNOWN

TREE is a copy of the repository that nobody else uses. KNOWN is a JSON file with `modules` to
import and files of `tests`. Each line of standard input is a job, `{"file", "text", "tests",
"seconds"}`. The answer is a line with a verdict: "survived", "killed" or "timed out".
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

import pytest


class Choice:
    """A pytest plugin that runs the chosen tests in the given order, and shrinks no failure."""

    def __init__(self, tests: list[str]) -> None:
        self.place = {name: number for number, name in enumerate(tests)}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        from hypothesis import Phase, settings

        phases = [Phase.explicit, Phase.generate, Phase.target]
        settings.register_profile("mutation", settings(), phases=phases)
        settings.load_profile("mutation")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        kept = [item for item in items if item.nodeid in self.place]
        items[:] = sorted(kept, key=lambda item: self.place[item.nodeid])


def preload(names: list[str]) -> None:
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)


def compile_tests(tests: list[str]) -> None:
    """Let pytest rewrite the tests once for all later processes, because that is slow."""
    child = os.fork()
    if child == 0:
        sys.dont_write_bytecode = False
        run_pytest(["--collect-only", *tests], [])
    os.waitpid(child, 0)


_texts = count(1)


@contextmanager
def written(path: Path, text: str) -> Iterator[None]:
    """Give the file another text for a while. Its time comes back too: compiled files go by it.

    They go by whole seconds and the size, so that each text gets a second of its own.
    """
    before, times = path.read_bytes(), path.stat()
    path.write_text(text, encoding="utf-8")
    second = int(times.st_mtime) + next(_texts)
    os.utime(path, (second, second))
    try:
        yield
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def run(tree: Path, job: dict[str, Any]) -> str:
    until = time.monotonic() + job["seconds"]
    with written(tree / job["file"], job["text"]):
        for tests in batches(job["tests"]):
            child = os.fork()
            if child == 0:
                run_tests(tree, tests)
            found = verdict(child, until)
            if found != "survived":
                return found
    return "survived"


def batches(tests: list[str]) -> Iterator[list[str]]:
    """Tests of two files, then of four more, and so on. Most mutants die before all are loaded."""
    files: dict[str, list[str]] = {}
    for test in tests:
        files.setdefault(test.partition("::")[0], []).append(test)
    left, size = list(files.values()), 2
    while left:
        yield list(chain.from_iterable(left[:size]))
        left, size = left[size:], 2 * size


def verdict(child: int, until: float) -> str:
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # processes that its tests left
            code = os.waitstatus_to_exitcode(status)
            return "survived" if code == pytest.ExitCode.OK else "killed"
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timed out"


def run_tests(tree: Path, tests: list[str]) -> None:
    """Run the tests, in the child. It does not return."""
    files = list(dict.fromkeys(name.partition("::")[0] for name in tests))
    run_pytest(["-x", f"--basetemp={tree.parent / 'tmp'}", *files], [Choice(tests)])


def run_pytest(arguments: list[str], plugins: list[object]) -> None:
    """Run pytest in a child, without output. It does not return."""
    code = 70
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nowhere, number)
        code = int(pytest.main(["-q", "-p", "no:cacheprovider", *arguments], plugins=plugins))
    finally:
        os._exit(code)


def main() -> None:
    tree = Path(sys.argv[1])
    sys.dont_write_bytecode = True
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    known = json.loads(Path(sys.argv[2]).read_text())
    preload(known["modules"])
    compile_tests(known["tests"])
    for line in sys.stdin:
        answers.write(json.dumps(run(tree, json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
