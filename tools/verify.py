"""Verifies every bundled spec: static figures against real forward and backward passes.

    python tools/verify.py                     at full size (hours on two cores)
    python tools/verify.py --small             at the smallest of 64, 96, 224 … pixels that fits
    python tools/verify.py --small resnet* torchvision/vit_b_16
    python tools/verify.py --small --dtype bfloat16

It prints one line for each spec. The exit status is 1 if anything disagrees.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase

import archspec
from archspec import Architecture, SpecError

SIZES = (64, 96, 128, 160, 224, 256)
"""Image heights and widths, in pixels, that are tried instead of a larger one."""


def chosen(patterns: list[str]) -> Iterator[str]:
    """The names of the specs that match one of the patterns. Without patterns, all names."""
    for name in archspec.bundled():
        ends = name, name.rpartition("/")[2]
        if not patterns or any(fnmatchcase(end, each) for end in ends for each in patterns):
            yield name


def smaller(arch: Architecture) -> Architecture:
    """The same network for the smallest of `SIZES` that it can take."""
    shape = arch.input_shape
    if isinstance(shape, dict) or len(shape) != 4:
        return arch
    for side in SIZES:
        if side >= shape[2]:
            break
        try:
            return arch.variant(input_shape=(shape[1], side, side))
        except SpecError:
            continue
    return arch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", metavar="NAME", help="specs, or patterns of names")
    parser.add_argument("--small", action="store_true", help="smaller images where they fit")
    parser.add_argument("--dtype", default="float32", help="the precision (default: float32)")
    args = parser.parse_args()
    wrong = []
    for name in chosen(args.patterns):
        started = time.monotonic()
        arch = archspec.load(name)
        arch = smaller(arch) if args.small else arch
        report = arch.verify(dtype=args.dtype)
        size = (
            "x".join(map(str, arch.input_shape[1:])) if isinstance(arch.input_shape, tuple) else ""
        )
        print(f"{name} at {size}, {time.monotonic() - started:.0f} s: {report}", flush=True)
        if not report.ok:
            wrong.append(name)
    print(f"disagree: {', '.join(wrong)}" if wrong else "all agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
