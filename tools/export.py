"""Exports all specs to ONNX and prints a table: open sizes, difference, size, seconds, speed.

    python tools/export.py lenet_bn zoo/vae.yaml       these specs; without names all bundled ones
                                                       and those of zoo/
    python tools/export.py --state FILE                keeps what is done, and goes on from there
    python tools/export.py --state FILE --print        the table of what is done, and nothing more
    python tools/export.py --part 2/4                  every fourth spec, for several processes

Each is compared with its module by onnxruntime before its file is there (docs/convert.md). Specs of
more than 30 G MACs whose input has open sizes are exported at the least of these that are half the
stated ones: the row says which. Speed is eager's processor time over onnxruntime's, on one thread
at a batch of 1, in turns in this one process; networks of more than 100 M parameters are not timed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import torch

import archspec
from archspec.contracts.chosen import elsewhere
from archspec.runtime.values import drawn

ROOT = Path(__file__).parents[1]
MOST_MACS = 30e9
MOST_TIMED = 100_000_000
ROUNDS = 7
LEAST_SECONDS = 0.02
"""Of one turn: small networks are called several times."""
COLUMNS = ("spec", "open sizes", "compared at", "difference", "MB", "seconds", "speed")


def names() -> Iterator[str]:
    yield from archspec.bundled()
    yield from sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("zoo/**/*.yaml"))


def smaller(arch: archspec.Architecture) -> archspec.Architecture:
    """The same at less work, where the sizes of its input are open."""
    if not arch.sizes or (arch.macs or 0) < MOST_MACS:
        return arch
    found = elsewhere(arch.contract(), 4)
    known = [each for each in found if min(each.sizes.values()) > 32] or found
    return arch.variant(sizes=known[0].sizes) if known else arch


def ratio(arch: archspec.Architecture, path: Path) -> float:
    """Eager's time over onnxruntime's: medians of turns, of processor time, so that other programs
    on the machine count little."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    net, graph = arch.build(seed=0).eval(), arch.graph
    shapes = [(1, *map(int, shape[1:])) for shape in graph.inputs]
    values = [drawn(*each) for each in zip(graph.input_types, shapes, strict=True)]
    arrays = {name: v.numpy() for name, v in zip(graph.input_names, values, strict=True)}
    runs = (lambda: net(*values)), (lambda: session.run(None, arrays))
    with torch.inference_mode():
        for run in runs:
            run()
        calls = 1 + int(LEAST_SECONDS / max(seconds(runs[1]), 1e-5))
        times = [[seconds(run, calls) for run in runs] for _ in range(ROUNDS)]
    return statistics.median(eager for eager, _ in times) / statistics.median(o for _, o in times)


def seconds(run: Callable[[], object], calls: int = 1) -> float:
    start = time.process_time()
    for _ in range(calls):
        run()
    return time.process_time() - start


def measure(name: str) -> dict[str, Any] | None:
    """A row; None for a file of blocks without a network."""
    path = ROOT / name
    try:
        arch = smaller(archspec.load(path if path.exists() else name, warn=False))
    except archspec.SpecError as error:
        if any("has no `layers`" in each.message for each in error.diagnostics):
            return None
        raise
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.onnx"
        start = time.process_time()
        try:
            made = arch.export(file)
        except archspec.SpecError as error:
            return {"refused": error.diagnostics[0].message}
        row = {**made.as_dict(), "seconds": time.process_time() - start}
        row["speed"] = ratio(arch, file) if arch.num_parameters <= MOST_TIMED else None
    return row


def shown(name: str, row: dict[str, Any]) -> str:
    label = name.removesuffix(".yaml")
    if "refused" in row:
        return f"| {label} | refused: {row['refused']} |" + " |" * (len(COLUMNS) - 2)
    speed = "" if row["speed"] is None else f"{row['speed']:.2f}"
    compared = "; ".join(each.replace("batch ", "") for each in row["compared"])
    opened = ", ".join(row["dynamic"]) or "none"
    figures = f"{row['difference']:.0e} | {row['bytes'] / 1e6:.1f} | {row['seconds']:.0f}"
    return f"| {label} | {opened} | {compared} | {figures} | {speed} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--state", type=Path)
    parser.add_argument("--part", default="1/1", metavar="K/N")
    parser.add_argument("--print", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    done = json.loads(args.state.read_text()) if args.state and args.state.exists() else {}
    part, of = map(int, args.part.split("/"))
    wanted = (args.names or list(names()))[part - 1 :: of]
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for name in wanted:
        if name not in done and not args.print:
            done[name] = measure(name)
            if args.state:
                args.state.write_text(json.dumps(done))
        if done.get(name):
            print(shown(name, done[name]), flush=True)


if __name__ == "__main__":
    main()
