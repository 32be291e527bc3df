"""Copies of the repository, in which tests are recorded and mutants run."""

from __future__ import annotations

import compileall
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mutation.record import Record

ROOT = Path(__file__).resolve().parent.parent.parent
NOT_COPIED = (".*", "__pycache__", "build", "dist", "runs", "fuzz-findings", "*.egg-info")
TOOLS = Path(__file__).resolve().parent.parent


def copy(to: Path) -> Path:
    """Copy the working tree as it is, and compile the package in the copy."""
    shutil.copytree(ROOT, to, ignore=shutil.ignore_patterns(*NOT_COPIED))
    compileall.compile_dir(to / "archspec", quiet=1)
    return to


def recorded(tests: list[Path]) -> Record:
    """Which test runs which line of the package, from an earlier record if there is one."""
    names = [path.relative_to(ROOT).as_posix() for path in tests]
    cache = Path(tempfile.gettempdir()) / f"archspec-mutation-{os.getuid()}"
    cache.mkdir(exist_ok=True)
    kept = cache / f"{_digest(*names)}.json"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="archspec-mutants-") as folder:
            tree = copy(Path(folder) / "tree")
            command = [sys.executable, "-m", "mutation.record", str(tree)]
            out = Path(folder) / "record.json"
            environment = _environment(tree, TOOLS / "mutation" / "traced")
            subprocess.run([*command, str(out), *names], cwd=tree, env=environment, check=True)
            shutil.move(out, kept)
    return Record(**json.loads(kept.read_text()))


def _digest(*words: str) -> str:
    """Identifies the state of the working tree, the interpreter and some words."""
    digest = hashlib.sha256("\n".join([sys.version, *words]).encode())
    for folder in ("archspec", "specs", "tests", "tools"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"\n{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:20]


def _environment(tree: Path, *more: Path) -> dict[str, str]:
    """The environment in which the tests' own processes import the package from the copy too."""
    path = os.pathsep.join(map(str, (tree, *more, TOOLS)))
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **one, "PYTHONPATH": path}


class Server:
    """A process of `mutation.server` with a copy of its own."""

    def __init__(self, folder: Path, record: Record) -> None:
        tree = copy(folder / "tree")
        known = folder / "known.json"
        files = sorted({test.partition("::")[0] for test in record.lines})
        known.write_text(json.dumps({"modules": record.modules, "tests": files}))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mutation.server", str(tree), str(known)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tree,
            env=_environment(tree),
        )

    def run(self, file: str, text: str, tests: list[str], seconds: float) -> str:
        """The verdict on one mutant, which is another text of a file."""
        assert self.process.stdin is not None and self.process.stdout is not None
        job = {"file": file, "text": text, "tests": tests, "seconds": seconds}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return str(json.loads(self.process.stdout.readline()))

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
