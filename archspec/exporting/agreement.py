"""A written file beside the module that it was made of, run at the same inputs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from archspec.contracts.chosen import elsewhere
from archspec.contracts.contract import Contract
from archspec.exporting.axes import BATCH, Axes
from archspec.exporting.errors import ExportError, SizesError
from archspec.ir.graph import Graph
from archspec.ir.shape import concrete
from archspec.record import Record
from archspec.runtime.values import drawn

NEAR = 1e-4
"""Largest difference, by the largest value of an output: other programs add in another order."""
BATCHES = (1, 2, 3, 5)
MOST_SIZES = 4

Runner: TypeAlias = Callable[[Sequence[Tensor]], Mapping[str, Tensor]]
"""What runs the file: inputs in the spec's order to outputs by name."""


class Agreement(Record):
    """The sizes at which file and module agree, and the largest difference (see `NEAR`)."""

    sizes: tuple[str, ...]
    largest: float


def named_outputs(result: object, names: Sequence[str]) -> dict[str, Tensor]:
    """What a module returned, by the names of the outputs in eval()."""
    if isinstance(result, Mapping):
        return dict(result)
    values = result if isinstance(result, tuple | list) else (result,)
    return dict(zip(names, values, strict=True))


def onnx_runner(path: Path, inputs: Sequence[str], outputs: Mapping[str, str]) -> Runner:
    """Runs an ONNX file on the CPU. `outputs` are the names in the spec, with those in the file.

    Raises `SizesError` where onnxruntime refuses it.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    refusals = (
        *(state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf),
        *(state.NotImplemented, state.RuntimeException),
    )

    def refused(error: Exception, what: str) -> ExportError:
        first = str(error).splitlines()[0]
        return SizesError(f"onnxruntime does not {what} the exported network: {first}")

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except refusals as error:
        raise refused(error, "load") from None

    def run(values: Sequence[Tensor]) -> Mapping[str, Tensor]:
        feed = {name: each.numpy() for name, each in zip(inputs, values, strict=True)}
        try:
            found = session.run(list(outputs.values()), feed)
        except refusals as error:
            raise refused(error, "run") from None
        return {n: torch.from_numpy(each) for n, each in zip(outputs, found, strict=True)}

    return run


def program_runner(path: Path, outputs: Sequence[str]) -> Runner:
    """Runs a saved program of torch.export. Raises `SizesError` where it refuses the sizes."""
    module = torch.export.load(path).module()

    def run(values: Sequence[Tensor]) -> Mapping[str, Tensor]:
        try:
            return named_outputs(module(*values), outputs)
        except (AssertionError, RuntimeError) as error:
            if not re.match(r"Guard failed|Runtime assertion failed", str(error)):
                raise
            raise SizesError(f"the exported network refuses legal sizes: {error}") from None

    return run


@torch.no_grad()
def compare(
    net: nn.Module,
    run: Runner,
    graph: Graph,
    axes: Axes,
    outputs: Sequence[str],
    contract: Callable[[], Contract],
) -> Agreement:
    """Runs both at several batch sizes and legal sizes. Raises `SizesError` where they differ."""
    largest = 0.0
    said = []
    for seed, (at, shapes) in enumerate(_cases(graph, axes, contract)):
        generator = torch.Generator().manual_seed(seed)
        kinds = graph.input_types
        pairs = zip(kinds, shapes, strict=True)
        values = [drawn(kind, shape, generator) for kind, shape in pairs]
        expected = named_outputs(net(*values), outputs)
        found = run(values)
        for name in outputs:
            difference = _difference(expected[name], found[name])
            if not difference <= NEAR:
                raise SizesError(
                    "the exported network does not compute what the module computes: "
                    "no file is written",
                    expected=f"output {name!r} within {NEAR:g} of its largest value",
                    found=f"a difference of {difference:.2g} at {at}",
                )
            largest = max(largest, difference)
        said.append(at)
    return Agreement(tuple(said), largest)


def _difference(expected: Tensor, found: Tensor) -> float:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return float("inf")
    if not expected.is_floating_point():
        return 0.0 if torch.equal(expected, found) else float("inf")
    if not expected.numel():
        return 0.0
    finite = expected.isfinite()
    if not torch.equal(expected[~finite].nan_to_num(), found[~finite].nan_to_num()):
        return float("inf")
    if not finite.any():
        return 0.0
    apart = (expected[finite].double() - found[finite].double()).abs().max().item()
    scale = expected[finite].double().abs().max().item()
    return apart / scale if scale else (float("inf") if apart else 0.0)


def _cases(
    graph: Graph, axes: Axes, contract: Callable[[], Contract]
) -> Iterator[tuple[str, list[tuple[int, ...]]]]:
    """Sizes in words, and the shapes of the inputs there: large ones in small batches."""
    batches = BATCHES if BATCH in axes.names else (1,)
    if not axes.symbols:
        for batch in batches:
            yield f"batch {batch}", [concrete(shape, batch) for shape in graph.inputs]
        return
    known = contract()
    found = _sizes(known, axes)
    for position in range(max(len(batches), len(found))):
        batch = batches[min(position, len(batches) - 1)]
        values = found[min(position, len(found) - 1)]
        at = ", ".join(f"{name} = {values[name]}" for name in axes.symbols)
        shapes = known.input_shape(**values)
        yield f"batch {batch}, {at}", [(batch, *shapes[name]) for name in graph.input_names]


def _sizes(contract: Contract, axes: Axes) -> list[dict[str, int]]:
    """The stated sizes and a few other legal ones of the open symbols, the largest first."""
    found = [contract.stated]
    others = [each.sizes for each in elsewhere(contract, MOST_SIZES)]
    for each in [axes.least(), *others, axes.example]:
        values = {**contract.stated, **{name: each[name] for name in axes.symbols}}
        is_open = all(values[name] in sizes.sizes for name, sizes in axes.open_.items())
        is_legal = contract.lists(**values) and contract.accepts(**values)
        if values not in found and is_open and is_legal:
            found.append(values)
    return sorted(found[:MOST_SIZES], key=lambda each: math.prod(each.values()), reverse=True)
