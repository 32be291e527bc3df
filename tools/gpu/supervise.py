"""Cells that run in forked children, each within a time limit; what they find is kept at once.

The parent has torch imported and never touches a device, so that a child starts in milliseconds
and may be killed whatever it waits for.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

Result = dict[str, Any]


class Cell(NamedTuple):
    """One measurement: `run()` gives its figures, in at most `limit` seconds."""

    group: str
    name: str
    limit: float
    run: Callable[[], Result]


@dataclass
class Findings:
    """All results by group and name, written to `path` whenever one comes."""

    path: Path
    head: Mapping[str, Any]
    found: dict[str, dict[str, Result]] = field(default_factory=dict)

    def add(self, cell: Cell, result: Result) -> None:
        self.found.setdefault(cell.group, {})[cell.name] = result
        line = ", ".join(f"{k} {_shown(v)}" for k, v in result.items())
        print(f"{cell.group} {cell.name}: {line}", flush=True)
        beside = self.path.with_name(f".{self.path.name}")
        beside.write_text(json.dumps({**self.head, "cells": self.found}, indent=1) + "\n")
        beside.replace(self.path)


def _shown(value: Any) -> str:
    text = f"{value:,.4g}" if isinstance(value, float) else str(value)
    return text if len(text) < 300 else f"{text[:140]} … {text[-140:]}"


@dataclass
class _Child:
    """A process that runs cells one after the other, and says when it begins and ends each."""

    cells: list[Cell]
    process: Any
    pipe: Connection
    deadline: float = 0.0


def run(chains: Sequence[Sequence[Cell]], findings: Findings, deadline: float) -> None:
    """Runs every chain of cells, all chains at once; a cell that is late ends, the next follow.

    At `deadline` (of `time.monotonic`) everything ends.
    """
    children = [_start(list(chain)) for chain in chains if chain]
    while children:
        now = time.monotonic()
        until = min([deadline, *(child.deadline for child in children)])
        ready = wait([child.pipe for child in children], timeout=max(0.0, until - now))
        for child in list(children):
            follower = None
            if child.pipe in ready:
                follower = _hear(child, findings)
            elif time.monotonic() >= min(child.deadline, deadline):
                follower = _cut(child, findings, over=time.monotonic() >= deadline)
            else:
                continue
            if follower is not child:
                children.remove(child)
                if follower is not None:
                    children.append(follower)


def _start(cells: list[Cell]) -> _Child:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(cells, sender))
    process.start()
    sender.close()
    return _Child(cells, process, receiver, time.monotonic() + cells[0].limit)


def _work(cells: Sequence[Cell], pipe: Connection) -> None:
    os.setsid()  # its own processes end with it
    for cell in cells:
        started = time.monotonic()
        try:
            result = cell.run()
        # Whatever goes wrong in one cell is its finding, and the next ones are still measured.
        except BaseException as error:
            result = {"error": f"{type(error).__name__}: {error}"[:2000]}
            result["traceback"] = traceback.format_exc()[-3000:]
        pipe.send({**result, "seconds": round(time.monotonic() - started, 2)})
    pipe.close()


def _hear(child: _Child, findings: Findings) -> _Child | None:
    """The child, or who follows it: itself, one for the rest where it broke, or nobody."""
    try:
        result = child.pipe.recv()
    except EOFError:
        child.process.join()
        if not child.cells:
            return None
        broken, *rest = child.cells
        findings.add(broken, {"error": f"the process ended with {child.process.exitcode}"})
        return _start(rest) if rest else None
    findings.add(child.cells.pop(0), result)
    if child.cells:
        child.deadline = time.monotonic() + child.cells[0].limit
    return child


def _cut(child: _Child, findings: Findings, *, over: bool) -> _Child | None:
    if child.process.pid is not None:
        for kill in (os.killpg, os.kill):
            try:
                kill(child.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    child.process.join()
    late, *rest = child.cells or [None]
    if late is None:
        return None
    if over:
        for cell in child.cells:
            findings.add(cell, {"error": "no time was left"})
        return None
    findings.add(late, {"error": f"took over {late.limit:g} s"})
    return _start(rest) if rest else None


def failures(found: Mapping[str, Mapping[str, Result]]) -> Iterator[str]:
    """The cells that broke or were late, and the checks that did not hold."""
    for group, cells in found.items():
        for name, result in cells.items():
            if "error" in result:
                yield f"{group} {name}: {result['error']}"
            elif result.get("holds") is False:
                yield f"{group} {name}: does not hold"
