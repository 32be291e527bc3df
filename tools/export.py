"""Exports bundled specs to ONNX and prints a table: size, seconds, agreement, speed.

    python tools/export.py lenet_bn densenet           these specs; without names all bundled ones
    python tools/export.py --state FILE                keeps what is done, and goes on from there

Speed is eager's time over onnxruntime's, one thread and a batch of 1 each, in this one process.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch

import archspec
from archspec.runtime.values import drawn


def seconds(run: Callable[[], object]) -> float:
    run()
    times = []
    for _ in range(7):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return sorted(times)[3]


def row(name: str) -> str:
    arch = archspec.load(name, warn=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        start = time.perf_counter()
        try:
            made = arch.export(path)
        except archspec.SpecError as error:
            return f"| {name} | | | {error.diagnostics[0].message[:90]} | |"
        took = time.perf_counter() - start
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        net = arch.build(seed=0).eval()
        graph = arch.graph
        shapes = [(1, *map(int, shape[1:])) for shape in graph.inputs]
        values = [drawn(*each) for each in zip(graph.input_types, shapes, strict=True)]
        arrays = {n: v.numpy() for n, v in zip(graph.input_names, values, strict=True)}
        with torch.no_grad():
            ratio = seconds(lambda: net(*values)) / seconds(lambda: session.run(None, arrays))
    size = f"{made.bytes / 1e6:.1f} MB"
    return f"| {name} | {size} | {took:.0f} | {made.difference:.0e} | {ratio:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--state", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    done = json.loads(args.state.read_text()) if args.state and args.state.exists() else {}
    print("| spec | file | seconds | difference | speed |\n| --- | --- | --- | --- | --- |")
    for name in args.names or archspec.bundled():
        done[name] = done.get(name) or row(name)
        print(done[name], flush=True)
        if args.state:
            args.state.write_text(json.dumps(done))


if __name__ == "__main__":
    main()
