"""Records which lines of the package each test runs, and how long it takes.

    python -m mutation.record TREE OUT TEST…

runs the tests in TREE, a copy of the repository, and writes a `Record` to OUT as JSON.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import _lru_cache_wrapper
from pathlib import Path
from typing import Any

import pytest

from mutation import tracing


@dataclass
class Record:
    """Seconds and lines (`path:number`) of each test, the lines that ran on import before the first
    test, and the modules of others."""

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    imported: list[str] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Recorder:
    """A pytest plugin. Lines that a shared fixture ran count for every test that uses it."""

    def __init__(self, tree: Path, log: Path) -> None:
        self.tree, self.log, self.read = f"{tree}/", log, 0
        self.record = Record()
        self.of_fixture: dict[Any, set[str]] = {}
        self.lines: set[str] = set()
        self.caches: list[_lru_cache_wrapper[Any]] = []
        self.modules = 0

    def empty_caches(self) -> None:
        """Empty caches, or only the first test would run the lines of a cached function."""
        if self.modules != len(sys.modules):  # it is slow to look at all objects
            self.modules = len(sys.modules)
            found = (each for each in gc.get_objects() if type(each) is _lru_cache_wrapper)
            self.caches = [each for each in found if each.__module__.startswith("archspec")]
        for each in self.caches:
            each.cache_clear()

    def ran(self) -> set[str]:
        """The lines since the last call."""
        with self.log.open() as file:
            file.seek(self.read)
            found = {line.removeprefix(self.tree) for line in file.read().split()}
            self.read = file.tell()
        tracing.forget()
        return found

    def pytest_collection_finish(self) -> None:
        self.record.imported = sorted(self.ran())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.empty_caches()
        tracing.go_on()
        self.ran()
        self.lines = set()
        started = time.monotonic()
        result = yield
        self.record.seconds[item.nodeid] = time.monotonic() - started
        self.lines |= self.ran()
        for definitions in getattr(item, "_fixtureinfo").name2fixturedefs.values():  # noqa: B009
            for definition in definitions:
                self.lines |= self.of_fixture.get(definition, set())
        self.record.lines[item.nodeid] = sorted(self.lines)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        self.lines |= self.ran()
        result = yield
        found = self.ran()
        self.lines |= found
        if fixturedef.scope != "function":
            self.of_fixture[fixturedef] = self.of_fixture.get(fixturedef, set()) | found
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.record.failed.append(report.nodeid)


def main() -> None:
    tree, out, *tests = sys.argv[1:]
    log = Path(out).with_suffix(".log")
    log.write_text("")
    recorder = Recorder(Path(tree), log)
    tracing.start(f"{tree}/archspec", str(log))
    pytest.main(["-q", "--no-summary", "-p", "no:cacheprovider", *tests], plugins=[recorder])
    sys.settrace(None)
    record = recorder.record
    # Without `__main__`, and without what another process could not import in the same way.
    record.modules = [
        name
        for name, module in list(sys.modules.items())
        if (path := getattr(module, "__file__", None))
        and not path.startswith(tree)
        and not name.startswith(("_pytest", "__", "mutation"))
    ]
    log.unlink()
    Path(out).write_text(json.dumps(asdict(record)))


if __name__ == "__main__":
    main()
