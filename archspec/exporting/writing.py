"""Export of a network through torch's own exporters, to a file that is proved before it is left."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from archspec.exporting.agreement import Agreement, Runner, compare, onnx_runner, program_runner
from archspec.exporting.axes import Axes, axes_of
from archspec.exporting.errors import ExportError, SizesError
from archspec.exporting.network import Network
from archspec.exporting.onnx_file import check_installed, check_opset, names_of_outputs, write_onnx
from archspec.exporting.tracing import traced
from archspec.exporting.whole import data_name, whole
from archspec.record import Record

if TYPE_CHECKING:
    from torch.export import ExportedProgram

FORMATS = ("onnx", "pt2")


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
    outputs = {name: name for name in network.outputs}
    if format == "onnx":
        outputs = names_of_outputs(network)
    renamed = [
        f"the output {name} is called {own}: {name} is an input, and ONNX has one name for each"
        for name, own in outputs.items()
        if own != name
    ]
    return Exported(
        *(path, path.with_name(data.name) if len(files) > 1 else None, format, written),
        *(network.graph.input_names, tuple(outputs.values()), axes.names),
        (*axes.notes, *renamed),
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
        run = onnx_runner(file, network.graph.input_names, names_of_outputs(network))
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
    # On a full disk torch's own writer ends the process.
    written = io.BytesIO()
    torch.export.save(program, written, extra_files={"archspec.json": json.dumps(metadata)})
    path.write_bytes(written.getbuffer())
