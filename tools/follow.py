"""Holds one module of each bundled spec against modules that are compiled at other legal sizes.

    python tools/follow.py                    every spec, at small sizes (minutes)
    python tools/follow.py swin* maxvit_t     those whose names match, with or without their folder
    python tools/follow.py --list             which specs compute sizes in their code

With the same weights, outputs and gradients must be the same bits. A line a spec; exit status 1
where any differs.
"""

from __future__ import annotations

import argparse
import sys
import time

from verify import chosen, smaller

import archspec
from archspec.contracts.chosen import elsewhere
from archspec.testing.following import following_mismatches


def held(name: str) -> bool:
    """Whether the module of a spec is right at some other sizes; says so."""
    started = time.monotonic()
    arch = smaller(archspec.load(name, warn=False))
    contract = arch.contract()
    sizes = [each.sizes for each in elsewhere(contract, most=4)]
    found = list(following_mismatches(arch, [contract.input_shape(**each) for each in sizes]))
    said = "; ".join([" ".join(f"{k}={v}" for k, v in each.items()) for each in sizes])
    seconds = time.monotonic() - started
    result = (
        f"differs for {'; '.join(found)}"
        if found
        else f"the same bits at {said or 'no other size'}"
    )
    print(f"{name} as of {arch.input_shape}, {seconds:.0f} s: {result}", flush=True)
    return not found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", metavar="NAME", help="specs, or patterns of names")
    parser.add_argument("--list", action="store_true", help="only say which compute sizes")
    args = parser.parse_args()
    names = list(chosen(args.patterns))
    if args.list:
        for name in names:
            arch = archspec.load(name, warn=False)
            print(f"{name}: {'computes sizes' if arch.emitted is not arch.graph else 'needs none'}")
        return 0
    wrong = [name for name in names if not held(name)]
    print(f"differ: {', '.join(wrong)}" if wrong else "all follow")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
