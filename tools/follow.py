"""Runs modules of bundled specs at other sizes than those that they were compiled for.

    python tools/follow.py                    every spec, at small sizes (an hour)
    python tools/follow.py swin* maxvit_t     those whose names match, with or without their folder
    python tools/follow.py --edges            every spec, on both sides of its contract's bounds
    python tools/follow.py --log run.txt      writes the lines to a file too, and leaves out specs
                                              that are right by the lines which it has
    python tools/follow.py --list             which specs compute sizes in their code

One module must give the bits, in `train()` those of its gradients too, of modules that are compiled
at other legal sizes and have its weights. With `--edges` the input is square and of its full size:
the module runs at the sizes beside each bound of the contract that are legal, and at those that are
not torch refuses it, or what is compiled there is another network.

A line a spec; exit status 1 where any is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from contracts import of_rank
from verify import chosen, smaller

import archspec
from archspec.contracts.chosen import elsewhere
from archspec.testing.edges import edges
from archspec.testing.following import following_mismatches


def followed(name: str) -> tuple[bool, str]:
    """Whether the module of a spec is right at some other sizes, and what was run."""
    arch = smaller(archspec.load(name, warn=False))
    contract = arch.contract()
    sizes = [each.sizes for each in elsewhere(contract, most=4)]
    found = list(following_mismatches(arch, [contract.input_shape(**each) for each in sizes]))
    said = "; ".join([" ".join(f"{k}={v}" for k, v in each.items()) for each in sizes])
    right = f"the same bits as of {arch.input_shape} at {said or 'no other size'}"
    return not found, f"differs for {'; '.join(found)}" if found else right


def bounded(name: str) -> tuple[bool, str]:
    """Whether the contract of a spec is right on both sides of its bounds, and what was run."""
    arch = archspec.load(name, warn=False)
    found = list(edges(arch, arch.contract(of_rank(arch, "SS"))))
    return all(each.is_right for each in found), "; ".join(map(str, found))


def said(name: str, check: Callable[[str], tuple[bool, str]], log: Path | None) -> bool:
    """Whether a spec is right, which is said, and noted in the log."""
    started = time.monotonic()
    right, text = check(name)
    line = f"{name}, {time.monotonic() - started:.0f} s, {'right' if right else 'WRONG'}: {text}"
    print(line, flush=True)
    if log is not None:
        with log.open("a", encoding="utf-8") as lines:
            lines.write(f"{line}\n")
    return right


def done(log: Path | None) -> set[str]:
    """The specs that are right by the lines of a log."""
    if log is None or not log.exists():
        return set()
    lines = log.read_text(encoding="utf-8").splitlines()
    return {line.split(",")[0] for line in lines if " s, right: " in line}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("patterns", nargs="*", metavar="NAME", help="specs, or patterns of names")
    parser.add_argument("--edges", action="store_true", help="run beside the bounds of contracts")
    parser.add_argument("--log", type=Path, help="a file of lines, to go on where it ends")
    parser.add_argument("--list", action="store_true", help="only say which compute sizes")
    args = parser.parse_args()
    names = list(chosen(args.patterns))
    if args.list:
        for name in names:
            arch = archspec.load(name, warn=False)
            print(f"{name}: {'computes sizes' if arch.emitted is not arch.graph else 'needs none'}")
        return 0
    check, known = bounded if args.edges else followed, done(args.log)
    wrong = [each for each in names if each not in known and not said(each, check, args.log)]
    print(f"wrong: {', '.join(wrong)}" if wrong else "all are right")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
