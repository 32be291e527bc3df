"""Export of a network through torch's own exporters, to a file that is proved before it is left."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from archspec.exporting.agreement import Agreement, Runner, compare, onnx_runner, program_runner
from archspec.exporting.axes import Axes, axes_of
from archspec.exporting.errors import ExportError, SizesError
from archspec.exporting.onnx_file import check_installed, check_opset, write_onnx
from archspec.exporting.tracing import traced
from archspec.exporting.whole import data_name, whole
from archspec.ir.graph import Graph
from archspec.record import Record

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from archspec.contracts.contract import Contract

FORMATS = ("onnx", "pt2")


class Network(Record):
    """What is exported: `net` computes `graph` in eval() and has no checks of its sizes.

    `outputs` are the names of its outputs in eval(). `declared` are the symbols of the spec's
    `sizes:`; `contract` derives their legal sizes.
    """

    net: nn.Module
    graph: Graph
    outputs: tuple[str, ...]
    declared: tuple[str, ...]
    contract: Callable[[], Contract]
    metadata: dict[str, str]


class Exported(Record):
    """A written file, and what was compared before it was left.

    `data` is the file of weights beside it, where these are too many for one ONNX file. `inputs`
    and `outputs` are names, `dynamic` the sizes that are open. `compared` are the sizes at which
    file and module were run; `difference` is the largest one between their outputs, by the largest
    value of the output. `opset` is None for pt2. `bytes` count both files.
    """

    path: Path
    data: Path | None
    format: str
    opset: int | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dynamic: tuple[str, ...]
    notes: tuple[str, ...]
    compared: tuple[str, ...]
    difference: float
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data for JSON output."""
        data = None if self.data is None else str(self.data)
        return {**self._asdict(), "path": str(self.path), "data": data}


def export(
    network: Network,
    path: Path,
    *,
    format: str,
    dynamic: Sequence[str] | None,
    opset: int | None,
) -> Exported:
    """Writes the network to `path`, whole or not at all. Raises `ExportError`.

    Sizes are left open as `dynamic` names them; where it is None, as many as torch can follow.
    """
    _check(format, opset)
    with whole(path, format) as file:
        network.net.eval()
        axes = axes_of(network.graph, dynamic, network.declared, network.contract)
        while True:
            try:
                written, agreed = _attempt(network, file, path, axes, format, opset)
                break
            except SizesError as error:
                bounded = axes.bounded(error.bounds)
                if bounded is None and (dynamic is not None or not axes.names):
                    raise
                axes = bounded or axes.narrower(error.diagnostics[0], error.symbols)
        data = file.with_name(data_name(path))
        files = [file, data] if data.exists() else [file]
        size = sum(each.stat().st_size for each in files)
    return Exported(
        *(path, path.with_name(data.name) if len(files) > 1 else None, format, written),
        *(network.graph.input_names, network.outputs, axes.names, axes.notes),
        *(agreed.sizes, agreed.largest, size),
    )


def _attempt(
    network: Network, file: Path, path: Path, axes: Axes, format: str, opset: int | None
) -> tuple[int | None, Agreement]:
    """Writes `file` with these open sizes: its operator set, and how it compares with the module.

    Raises `SizesError` where fewer open sizes may help, `ExportError` for all else.
    """
    described = network._replace(metadata={**network.metadata, **axes.metadata()})
    program = traced(network, axes)
    run: Runner
    written: int | None = None
    if format == "onnx":
        written = write_onnx(program, file, described, axes, opset, data_name(path))
        run = onnx_runner(file, network.graph.input_names, network.outputs)
    else:
        _write_program(program, file, described.metadata)
        run = program_runner(file, network.outputs)
    return written, compare(
        network.net, run, network.graph, axes, network.outputs, network.contract
    )


def _check(format: str, opset: int | None) -> None:
    """Refuses what cannot go well before anything is done."""
    if format not in FORMATS:
        raise ExportError(f"{format!r} is no format", expected=" or ".join(FORMATS))
    if format == "onnx":
        check_installed()
        if opset is not None:
            check_opset(opset)
    elif opset is not None:
        raise ExportError("only ONNX has operator sets", help="leave the opset out")


def _write_program(program: ExportedProgram, path: Path, metadata: Mapping[str, str]) -> None:
    program.example_inputs = None  # else they are saved too
    torch.export.save(program, path, extra_files={"archspec.json": json.dumps(metadata)})
