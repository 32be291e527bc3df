"""Folds networks that are written out in full, and compares the specs with those written by hand.

    python tools/fold.py                        every bundled spec and all of zoo/
    python tools/fold.py resnet50 zoo/t5.yaml   some of them
    python tools/fold.py --unnamed              without the names of the standard blocks
    python tools/fold.py --flat                 without parameters and loops
    python tools/fold.py --show resnet50        also print the text

A row has the YAML scalars of the hand-written spec, with all that it extends and the blocks that it
uses, those of the folded one, their ratio, and the seconds that folding took. Each folded text is
compiled again, and must be the same graph. The exit status is 1 where one is not.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

import archspec
from archspec.importing.rewriting import rewritten
from archspec.ir.facts import facts
from archspec.ir.graph import Graph, walk

ROOT = Path(__file__).resolve().parent.parent
UNCOUNTED = frozenset({"doc", "train", "ignore"})
"""Keys that say nothing of how a network is built."""


def specs() -> list[Path]:
    """All specs that stand alone, smallest names first."""
    folders = (ROOT / "specs", ROOT / "specs" / "torchvision", ROOT / "zoo")
    return [path for folder in folders for path in sorted(folder.glob("*.yaml")) if alone(path)]


def alone(path: Path) -> bool:
    """Whether a file is a spec, and no file of blocks."""
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    return "layers" in said or "extends" in said


def scalars(node: yaml.Node) -> int:
    """The scalars below a node that are written out, without those of `UNCOUNTED` keys."""
    if isinstance(node, yaml.ScalarNode):
        return int(node.start_mark.index != node.end_mark.index)
    if isinstance(node, yaml.MappingNode):
        pairs = [(k, v) for k, v in node.value if k.value not in UNCOUNTED]
        return sum(scalars(key) + scalars(value) for key, value in pairs)
    assert isinstance(node, yaml.SequenceNode)
    return sum(map(scalars, node.value))


def by_hand(path: Path, used: set[str]) -> int:
    """The scalars of a spec, of all that it extends, and of the blocks that it uses."""
    text = path.read_text(encoding="utf-8")
    count = scalars(yaml.compose(text))
    said = yaml.safe_load(text)
    if base := said.get("extends"):
        near = path.parent / base
        count += by_hand(near if near.exists() else bundled(base), used)
    for name in said.get("use", []):
        count += used_blocks(path.parent / name, used)
    return count


def used_blocks(path: Path, used: set[str]) -> int:
    """The scalars of those blocks of a file that a network uses."""
    node = yaml.compose(path.read_text(encoding="utf-8"))
    blocks = [v for k, v in node.value if k.value == "blocks"]
    if not blocks:
        return scalars(node)
    return sum(scalars(k) + scalars(v) for k, v in blocks[0].value if k.value in used)


def bundled(name: str) -> Path:
    """The file of a bundled spec."""
    return ROOT / "specs" / (name if name.endswith(".yaml") else f"{name}.yaml")


def blocks_of(graph: Graph) -> set[str]:
    """The names of all blocks that a network has."""
    bodies = [visit.step.body for visit in walk(graph)]
    return {body.block for body in bodies if body is not None and body.block is not None}


def row(path: Path, options: argparse.Namespace) -> tuple[int, int, float, bool]:
    """Scalars by hand and folded, the seconds, and whether it is the same graph."""
    arch = archspec.load(str(path), warn=False)
    start = time.perf_counter()
    text = rewritten(arch, flat=options.flat, named=not options.unnamed)
    seconds = time.perf_counter() - start
    again = archspec.loads(text, warn=False)
    same = facts(again.graph) == facts(arch.graph)
    if options.show:
        print(text)
    return by_hand(path, blocks_of(arch.graph)), scalars(yaml.compose(text)), seconds, same


def table(paths: Sequence[Path], options: argparse.Namespace) -> Iterator[tuple[float, bool]]:
    """Prints a row for each spec, and gives its ratio."""
    print(f"{'spec':42} {'hand':>6} {'folded':>6} {'ratio':>6} {'s':>5}")
    for path in paths:
        name = str(path.relative_to(ROOT).with_suffix(""))
        hand, folded, seconds, same = row(path, options)
        wrong = "" if same else "  another graph"
        print(
            f"{name:42} {hand:6} {folded:6} {folded / hand:6.2f} {seconds:5.1f}{wrong}", flush=True
        )
        yield folded / hand, same


def found(name: str) -> Path:
    """The file of a spec by its path or name."""
    places = (name, f"specs/{name}.yaml", f"specs/torchvision/{name}.yaml", f"zoo/{name}.yaml")
    return next(ROOT / place for place in places if (ROOT / place).is_file())


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("specs", nargs="*", help="names or paths")
    made.add_argument("--unnamed", action="store_true", help="hide the names of blocks")
    made.add_argument("--flat", action="store_true", help="write everything out")
    made.add_argument("--show", action="store_true", help="print the texts")
    return made


def main() -> int:
    options = parser().parse_args()
    paths = [found(name) for name in options.specs] or specs()
    rows = list(table(paths, options))
    ratios = sorted(ratio for ratio, _ in rows)
    ninth = ratios[min(len(ratios) - 1, int(len(ratios) * 0.9))]
    same = sum(same for _, same in rows)
    print(f"{len(rows)} specs, {same} the same graph")
    print(f"ratio: median {statistics.median(ratios):.2f}, ninth decile {ninth:.2f}")
    return int(same < len(rows))


if __name__ == "__main__":
    sys.exit(main())
