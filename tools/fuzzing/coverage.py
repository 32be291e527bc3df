"""The fuzzer of bytes, guided by coverage: `atheris` (libFuzzer for Python) chooses the mutations.

It runs in a process of its own and ends it at the first finding. libFuzzer watches time and memory.
Texts that reached new code are kept for the next run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

SECONDS = 20
MEMORY_MB = 1536
LARGEST = 8_192
"""Bytes of an input: libFuzzer is at its best with small ones."""

_START = "import sys; from fuzzing import coverage; coverage.target(sys.argv[1], sys.argv[2:])"


def run(seed: int, seconds: float, out: Path) -> int:
    """Fuzz for `seconds`. Returns 1 if libFuzzer found something and wrote it to `out`, else 0."""
    corpus = out / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    _write_seeds(corpus)
    words = out / "words.dict"
    words.write_text("".join(f'"{word}"\n' for word in _words()))
    counts = out / "counts.json"
    counts.unlink(missing_ok=True)
    options = {
        "seed": seed or 1,  # libFuzzer takes 0 for "any"
        "max_total_time": int(seconds),
        "timeout": SECONDS,
        "rss_limit_mb": MEMORY_MB,
        "max_len": LARGEST,
        "dict": words,
        "artifact_prefix": f"{out}/bytes-",
        "verbosity": 0,
    }
    flags = [f"-{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-c", _START, str(counts), *flags, str(corpus)]
    status = subprocess.run(command, env=_environment(), check=False).returncode
    if counts.exists():
        print(f"bytes, guided: {counts.read_text()}")
    return int(status != 0)


def target(counts: str, flags: list[str]) -> None:
    """What the process runs. It does not return."""
    import atheris  # type: ignore[import-untyped]

    with atheris.instrument_imports(include=["archspec"]):
        from fuzzing import texts
        from fuzzing.sandbox import Case
    texts.prepare()
    outcomes: Counter[str] = Counter()

    def one(data: bytes) -> None:
        verdict = texts.check(Case(data, "libFuzzer"))
        outcomes[verdict.outcome] += 1
        if sum(outcomes.values()) % 500 == 0:
            Path(counts).write_text(json.dumps(outcomes))
        if verdict.findings:
            raise AssertionError("; ".join(verdict.findings))

    atheris.Setup(["fuzz", *flags], one)
    atheris.Fuzz()


def _write_seeds(corpus: Path) -> None:
    from fuzzing.corpus import texts

    for number, (name, text) in enumerate(texts()):
        data = text.encode()
        if len(data) <= LARGEST:
            (corpus / f"{number}-{name}").write_bytes(data)


def _words() -> list[str]:
    """The words that it inserts, escaped as libFuzzer reads them."""
    from fuzzing.corpus import TOKENS, keys

    words = {*TOKENS, *(key.encode() for key in keys())}
    return ["".join(f"\\x{byte:02x}" for byte in word) for word in sorted(words)]


def _environment() -> dict[str, str]:
    tools = Path(__file__).resolve().parent.parent
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(tools), str(tools.parent)))}
