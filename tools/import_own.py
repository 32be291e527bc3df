"""Imports the modules that archspec emits, and compares each graph with the one it was made of.

    python tools/import_own.py                        every bundled spec and all of zoo/
    python tools/import_own.py resnet50 zoo/t5.yaml   some of them
    python tools/import_own.py --most 50              no network of more million parameters
    python tools/import_own.py --folded               with blocks and loops; else written out flat

A network is the same where each output is computed of the same ops with the same keys
(tests/importing/same_network.py). The exit status is 1 where one is another network, or is refused.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from fold import ROOT, specs

import archspec
from archspec.diagnostics.diagnostic import SpecError

sys.path.insert(0, str(ROOT / "tests" / "importing"))

from same_network import computed

TYPES = {
    "float": torch.float32,
    "int64": torch.int64,
    "int32": torch.int32,
    "bool": torch.bool,
}


def differs(arch: archspec.Architecture, flat: bool) -> str:
    """Where the import of a network is another one; nothing where it is the same."""
    graph = arch.graph
    inputs = {
        name: torch.empty(2, *shape[1:], dtype=TYPES[kind.name], device="meta")
        for name, shape, kind in zip(
            graph.input_names, graph.inputs, graph.input_types, strict=True
        )
    }
    net = arch.build()
    try:
        again = archspec.from_module(net, tuple(inputs.values()), flat=flat, verify=False)
    except SpecError as error:
        return " ".join(str(error.diagnostics[0].message).split())
    ours, theirs = computed(graph), computed(again.graph)
    if ours.keys() != theirs.keys():
        return f"its outputs are {', '.join(theirs)}"
    wrong = [name for name in ours if ours[name] != theirs[name]]
    return f"the output {wrong[0]} is computed otherwise" if wrong else ""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("specs", nargs="*", help="names or files (default: all)")
    parser.add_argument("--most", type=float, default=float("inf"), help="million parameters")
    parser.add_argument("--folded", action="store_true", help="with blocks and loops")
    options = parser.parse_args(arguments)
    same = tried = 0
    for path in options.specs or specs():
        arch = archspec.load(str(path), warn=False)
        if arch.num_parameters > options.most * 1e6:
            continue
        started = time.perf_counter()
        found = differs(arch, not options.folded)
        tried, same = tried + 1, same + (not found)
        seconds = time.perf_counter() - started
        print(f"{Path(path).stem:28} {seconds:5.1f} s  {found or 'the same'}", flush=True)
    print(f"{same} of {tried} come back as the same network")
    return 0 if same == tried else 1


if __name__ == "__main__":
    sys.exit(main())
