"""The first fuzzer: bytes. Any of them give a network or a `SpecError`, within bounds."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import archspec
from archspec.diagnostics.diagnostic import Code
from fuzzing.corpus import TOKENS, texts
from fuzzing.oracle import diagnostics_findings, outcome
from fuzzing.sandbox import Case, Verdict

LARGEST = 4_100_000
"""Bytes of a mutant: a little more than `Limits.text_bytes`."""

_folder = tempfile.TemporaryDirectory(prefix="fuzz-")


def cases(rng: random.Random) -> Iterator[Case]:
    """Mutants of the corpus, for ever."""
    seeds = [(name, text.encode()) for name, text in texts()]
    while True:
        name, data = rng.choice(seeds)
        done = []
        for _ in range(rng.choice((1, 1, 2, 3, 5, 10))):
            mutate = rng.choice(MUTATIONS)
            data = mutate(data, rng)[:LARGEST]
            done.append(mutate.__name__[1:])
        yield Case(data, f"{name}: {', '.join(done)}")


def prepare() -> None:
    """Fill caches, so that no case pays for that."""
    archspec.load("lenet_bn")


def check(case: Case) -> Verdict:
    """Load the bytes as a file. Whatever is wrong must be a `SpecError` that can be shown."""
    path = Path(_folder.name) / "case.yaml"
    path.write_bytes(case.text)
    try:
        archspec.load(path)
    except archspec.SpecError as error:
        # A file that cannot be read as text has no place to show.
        placeless = {Code.FILE, Code.ENCODING, Code.LIMIT}
        return Verdict(outcome(error), diagnostics_findings(error.diagnostics, placeless))
    return Verdict("accepted")


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return b"\x00"
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(data))
    piece = rng.choice(TOKENS) if rng.random() < 0.8 else rng.randbytes(rng.randint(1, 8))
    return data[:at] + piece + data[at:]


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(data))
    piece = rng.choice(TOKENS)
    return data[:at] + piece + data[at + len(piece) :]


def _delete(data: bytes, rng: random.Random) -> bytes:
    start, end = _range(data, rng)
    return data[:start] + data[end:]


def _duplicate(data: bytes, rng: random.Random) -> bytes:
    start, end = _range(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 1, 2, 10)) + data[end:]


def _swap_lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def _indent(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = lines[at].lstrip() if rng.random() < 0.3 else b" " * rng.randint(1, 4) + lines[at]
    return b"\n".join(lines)


def _splice(data: bytes, rng: random.Random) -> bytes:
    other = rng.choice(texts())[1].encode()
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


def _flood(data: bytes, rng: random.Random) -> bytes:
    """Repeat one token: deep nesting, long words, many nodes."""
    if rng.random() < 0.9:
        return _insert(data, rng)  # it is slow, so it must be rare
    at = rng.randint(0, len(data))
    piece = rng.choice(
        (*TOKENS, b"- relu\n", b"a: 1\n", b"- [\n", b"{a: ", b"- linear: 3\n", b"1+")
    )
    return data[:at] + piece * int(10 ** rng.uniform(1, 5.5)) + data[at:]


def _range(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randint(0, len(data))
    return start, min(len(data), start + int(2 ** rng.uniform(0, 8)))


MUTATIONS = (
    *(_flip, _insert, _overwrite, _delete, _duplicate, _swap_lines, _indent, _splice, _flood),
)
