"""Runs checks in a process of their own, so that a hang or a full memory is seen and survived."""

from __future__ import annotations

import importlib
import multiprocessing
import resource
import time
import traceback
import warnings
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import archspec

MEMORY = 2 * 2**30
"""Bytes of address space that a check may add to what its process has at the start."""

SECONDS = 20.0
"""Processor time that one case may take."""

PATIENCE = 15
"""How many times longer a case may take by the clock: other programs run beside it."""


class Case(NamedTuple):
    """One input of a fuzzer. `origin` says what it was made from, and how."""

    text: bytes
    origin: str


@dataclass
class Verdict:
    """What became of a case: its `outcome` is counted, each of `findings` is a bug."""

    outcome: str
    findings: list[str] = field(default_factory=list)


class Sandbox:
    """A process that applies one check (`"module:function"`) to case after case.

    The check takes a `Case` and returns a `Verdict`; `prepare` of its module is called before the
    memory is limited. An exception of any kind, a death of the
    process, or more than the limits of time and memory is a finding.
    """

    def __init__(self, check: str, *, memory: int = MEMORY, seconds: float = SECONDS) -> None:
        self.check, self.memory, self.seconds = check, memory, seconds
        self.process: multiprocessing.process.BaseProcess | None = None
        self.pipe: Connection

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, case: Case) -> Verdict:
        """The verdict on one case."""
        if self.process is None:
            self.start()
        self.pipe.send(case)
        if not self.pipe.poll(self.seconds * PATIENCE):
            self.stop()
            return Verdict("hang", [f"hang: no answer in {self.seconds * PATIENCE:.0f} s"])
        try:
            answer: tuple[Verdict, float] = self.pipe.recv()
        except EOFError:
            assert self.process is not None
            self.process.join()
            code = self.process.exitcode
            self.stop()
            return Verdict("death", [f"death: the process ended with status {code}"])
        verdict, used = answer
        if used > self.seconds:
            verdict.findings.append(f"slow: more than {self.seconds:g} s of computing")
        return verdict

    def start(self) -> None:
        # A fresh interpreter: a fork would inherit locks of torch's threads.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, self.check, self.memory))
        self.process.start()
        theirs.close()
        self.pipe.recv()  # ready: start-up is nobody's time

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.pipe.close()
            self.process = None


def serve(pipe: Connection, name: str, memory: int) -> None:
    """The process's own loop."""
    module, _, function = name.partition(":")
    home = importlib.import_module(module)
    check = getattr(home, function)
    home.prepare()
    limit_memory(memory)
    warnings.simplefilter("ignore", archspec.SpecWarning)  # what a case looks like is no news
    pipe.send("ready")
    while True:
        case = pipe.recv()
        started = time.process_time()
        try:
            verdict = check(case)
        except KeyboardInterrupt:
            return
        except BaseException as error:
            verdict = Verdict("traceback", [described(error)])
        pipe.send((verdict, time.process_time() - started))


def limit_memory(more: int) -> None:
    """Bounds the address space of this process to what it has and `more` bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def described(error: BaseException) -> str:
    """An exception on one line: its type, where it was raised, its text."""
    frames = traceback.extract_tb(error.__traceback__)[-2:]
    where = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
    return f"{type(error).__name__} at {where}: {str(error)[:300]}"
