"""Export of a network through torch's own exporters, to a file that is proved before it is left."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from archspec.diagnostics.diagnostic import Span
from archspec.exporting.agreement import Agreement, Runner, compare, onnx_runner, program_runner
from archspec.exporting.axes import BATCH, Axes, axes_of
from archspec.exporting.errors import ExportError
from archspec.ir.graph import Graph, walk
from archspec.ir.shape import concrete
from archspec.record import Record
from archspec.runtime.values import drawn

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from archspec.contracts.contract import Contract

FORMATS = ("onnx", "pt2")
NEEDED = ("onnx", "onnxscript", "onnxruntime")
INSTALL = "`pip install 'archspec-nn[export]'`"
LEAST_OPSET = 18
"""Of the operator sets that torch's exporter writes without a conversion that may fail."""
MOST_BYTES = 2**31 - 2**24
"""What one ONNX file can hold, less some room for all that is not weights."""


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

    `inputs` and `outputs` are names, `dynamic` the sizes that are open. `compared` are the sizes
    at which file and module were run; `difference` is the largest one between their outputs, by the
    largest value of the output. `opset` is None for pt2.
    """

    path: Path
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
        return {**self._asdict(), "path": str(self.path)}


def export(
    network: Network,
    path: Path,
    *,
    format: str,
    dynamic: Sequence[str] | None,
    opset: int | None,
) -> Exported:
    """Writes the network to `path`, whole or not at all. Raises `ExportError`."""
    _check(network, format, opset)
    with _whole(path, format) as temporary:
        net, graph = network.net.eval(), network.graph
        axes = axes_of(graph, dynamic, network.declared, network.contract)
        program, axes = _traced(network, axes, strict=dynamic is not None)
        run: Runner
        written: int | None = None
        if format == "onnx":
            written = _write_onnx(program, temporary, network, axes, opset)
            run = onnx_runner(temporary, graph.input_names, network.outputs)
        else:
            _write_program(program, temporary, network.metadata)
            run = program_runner(temporary, network.outputs)
        agreed = compare(net, run, graph, axes, network.outputs, network.contract)
        size = temporary.stat().st_size
    return _exported(network, path, format, written, axes, agreed, size)


def _exported(
    network: Network,
    path: Path,
    format: str,
    opset: int | None,
    axes: Axes,
    agreed: Agreement,
    size: int,
) -> Exported:
    names = network.graph.input_names, network.outputs
    return Exported(
        *(path, format, opset, *names, axes.names, axes.notes),
        *(agreed.sizes, agreed.largest, size),
    )


def _check(network: Network, format: str, opset: int | None) -> None:
    """Refuses what cannot go well before anything is done."""
    if format not in FORMATS:
        raise ExportError(f"{format!r} is no format", expected=" or ".join(FORMATS))
    if format != "onnx":
        if opset is not None:
            raise ExportError("only ONNX has operator sets", help="leave the opset out")
        return
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ExportError(
            f"export to ONNX needs packages that are not installed: {', '.join(missing)}",
            help=INSTALL,
        )
    if opset is not None:
        import onnx

        most = onnx.defs.onnx_opset_version()
        if not LEAST_OPSET <= opset <= most:
            wanted = f"one from {LEAST_OPSET} to {most}"
            raise ExportError(f"the operator set {opset} cannot be written", expected=wanted)
    state = network.net.state_dict()
    size = sum(each.numel() * each.element_size() for each in state.values())
    if size > MOST_BYTES:
        raise ExportError(
            f"the weights take {size:,} bytes, and one ONNX file holds less than 2 GiB",
            help="use the format pt2",
        )


@contextmanager
def _whole(path: Path, suffix: str) -> Iterator[Path]:
    """A file beside `path` that becomes it at the end; after an error there is none."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{suffix}")
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        temporary.touch()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ExportError(f"cannot write {path}: {reason}") from None
    try:
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise ExportError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def _traced(network: Network, axes: Axes, strict: bool) -> tuple[ExportedProgram, Axes]:
    """The program of torch.export, and the axes that it has left open.

    Unless `strict`, symbols that torch cannot follow keep their stated sizes.
    """
    try:
        return _trace(network, axes), axes
    except _refusals() as error:
        symbols = [name for name in axes.names if name != BATCH]
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if strict or not symbols:
            left = f"leave out {', '.join(symbols)}" if symbols else None
            raise ExportError(f"torch.export cannot trace the network: {why}", help=left) from None
    listed = ", ".join(symbols)
    verb = "keep their sizes" if len(symbols) > 1 else "keeps its size"
    kept = tuple(name for name in axes.names if name == BATCH)
    dims = tuple({axis: dim for axis, dim in each.items() if axis == 0} for each in axes.dims)
    note = f"{listed} {verb}: torch.export cannot follow them ({why})"
    narrower = Axes(kept, dims, {}, (*axes.notes, note))
    return _traced(network, narrower, strict=True)


def _refusals() -> tuple[type[Exception], ...]:
    """What torch.export raises where a network, or its open sizes, are not for it."""
    from torch._dynamo.exc import UserError
    from torch.fx.experimental import symbolic_shapes

    return (
        *(UserError, NotImplementedError, symbolic_shapes.ConstraintViolationError),
        symbolic_shapes.GuardOnDataDependentSymNode,
    )


def _trace(network: Network, axes: Axes) -> ExportedProgram:
    graph = network.graph
    batch = 2 if BATCH in axes.names else 1
    shapes = [concrete(shape, batch) for shape in graph.inputs]
    if axes.example:
        contract = network.contract()
        sizes = contract.input_shape(**{**contract.stated, **axes.example})
        shapes = [(batch, *sizes[name]) for name in graph.input_names]
    generator = torch.Generator().manual_seed(0)
    pairs = zip(graph.input_types, shapes, strict=True)
    values = tuple(drawn(kind, shape, generator) for kind, shape in pairs)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(network.net, values, dynamic_shapes=axes.dims, strict=False)


def _write_program(program: ExportedProgram, path: Path, metadata: Mapping[str, str]) -> None:
    # torch.export.save asks for the suffix of a path; a stream it takes as it is.
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={"archspec.json": json.dumps(metadata)})


def _write_onnx(
    program: ExportedProgram, path: Path, network: Network, axes: Axes, opset: int | None
) -> int:
    """Writes the file and gives its operator set. Raises `ExportError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.onnx.export(
                program,
                (),
                dynamo=True,
                verbose=False,
                input_names=list(network.graph.input_names),
                output_names=list(network.outputs),
                opset_version=opset,
                dynamic_shapes=axes.dims,
            )
    except torch.onnx.OnnxExporterError as error:
        raise _unconverted(error, program, network.graph) from None
    assert made is not None
    written = made.model.opset_imports[""]
    if opset is not None and written != opset:
        raise ExportError(f"torch's exporter wrote the operator set {written}, not {opset}")
    _name_nodes(made.model)
    made.model.metadata_props.update(network.metadata)
    made.save(path, external_data=False)
    return int(written)


def _name_nodes(model: Any) -> None:
    """Gives nodes the paths of the modules they come from, and takes out paths of this machine."""
    counts: dict[str, int] = {}
    for node in model.graph.all_nodes():
        scopes = re.findall(r"'([^']*)'", node.metadata_props.get(SCOPES, ""))
        path = scopes[-2] if len(scopes) > 1 else ""
        name = f"{path}/{node.op_type}" if path else node.op_type
        counts[name] = counts.get(name, 0) + 1
        node.name = name if counts[name] == 1 else f"{name}_{counts[name]}"
        node.metadata_props.pop("pkg.torch.onnx.stack_trace", None)
        node.metadata_props["archspec.path"] = path


SCOPES = "pkg.torch.onnx.name_scopes"


def _unconverted(error: BaseException, program: ExportedProgram, graph: Graph) -> ExportError:
    """What torch's exporter could not convert, with the place of its node where that is known."""
    texts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__
    said = next((each for each in texts if "translating node" in each), "")
    target = re.search(r"target=torch\.ops\.\w+\.(\w+)", said)
    if target is None:
        first = (texts[-1].strip().splitlines() or [type(error).__name__])[0]
        return ExportError(f"torch's ONNX exporter cannot convert the network: {first}")
    span, path = _place(program, graph, target[1])
    where = f" (of {path})" if path else ""
    return ExportError(
        f"torch's ONNX exporter cannot convert {target[1]}{where}", span, help="use the format pt2"
    )


def _place(program: ExportedProgram, graph: Graph, target: str) -> tuple[Span | None, str]:
    """The place in the spec, and the path, of the module that first calls a function of torch's."""
    for node in program.graph.nodes:
        stack = node.meta.get("nn_module_stack")
        if stack and re.search(rf"\b{re.escape(target)}\b", str(node.target)):
            path = list(stack.values())[-1][0]
            spans = {visit.path: visit.step.span for visit in walk(graph)}
            return spans.get(path), path
    return None, ""
