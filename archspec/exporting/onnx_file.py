"""A traced network as an ONNX file."""

from __future__ import annotations

import re
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from archspec.diagnostics.diagnostic import Span
from archspec.exporting.errors import ExportError, SizesError
from archspec.ir.graph import Graph, walk

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from archspec.exporting.axes import Axes
    from archspec.exporting.network import Network

NEEDED = ("onnx", "onnxscript", "onnxruntime")
INSTALL = "`pip install 'archspec-nn[export]'`"
LEAST_OPSET = 18
"""Of the operator sets that torch's exporter writes without a conversion that may fail."""
MOST_BYTES = 2**31 - 2**24
"""What one ONNX file can hold, less some room for all that is not weights."""
SCOPES = "pkg.torch.onnx.name_scopes"


def check_installed() -> None:
    """Raises `ExportError` where a package that ONNX needs is missing."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ExportError(
            f"export to ONNX needs packages that are not installed: {', '.join(missing)}",
            help=INSTALL,
        )


def check_opset(opset: int) -> None:
    """Raises `ExportError` for an operator set that cannot be written."""
    import onnx

    most = onnx.defs.onnx_opset_version()
    if not LEAST_OPSET <= opset <= most:
        wanted = f"one from {LEAST_OPSET} to {most}"
        raise ExportError(f"the operator set {opset} cannot be written", expected=wanted)


def names_of_outputs(network: Network) -> dict[str, str]:
    """The outputs by name, with their names in the file: other than those of inputs."""
    found: dict[str, str] = {}
    taken = {*network.graph.input_names, *network.outputs}
    for name in network.outputs:
        own = name
        while own in network.graph.input_names or (own != name and own in taken):
            own += "_output"
        taken.add(own)
        found[name] = own
    return found


def write_onnx(
    program: ExportedProgram,
    path: Path,
    network: Network,
    axes: Axes,
    opset: int | None,
    data: str,
) -> int:
    """Writes the file and gives its operator set. Raises `ExportError`.

    Weights that are too many for one file go into a file `data` beside it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = torch.onnx.export(
                program,
                (),
                dynamo=True,
                verbose=False,
                input_names=list(network.graph.input_names),
                output_names=list(names_of_outputs(network).values()),
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
    _save(made.model, path, data)
    return int(written)


def _save(model: Any, path: Path, data: str) -> None:
    import onnx_ir

    weights = model.graph.initializers.values()
    size = sum(each.const_value.nbytes for each in weights if each.const_value is not None)
    onnx_ir.save(model, path, external_data=data if size > MOST_BYTES else None)


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


def _unconverted(error: BaseException, program: ExportedProgram, graph: Graph) -> ExportError:
    """What torch's exporter could not convert, with the place of its node where that is known."""
    texts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__
    said = next((each for each in texts if each.startswith("Error when translating node")), "")
    found = re.search(r"node %(\w+) .*?target=torch\.ops\.\w+\.(\w+)", said, re.DOTALL)
    if found is None:
        first = (texts[-1].strip().splitlines() or [type(error).__name__])[0]
        return SizesError(f"torch's ONNX exporter cannot convert the network: {first}")
    span, path = _place(program, graph, *found.groups())
    where = f" (of {path})" if path else ""
    return ExportError(
        f"torch's ONNX exporter cannot convert {found[2]}{where}", span, help="use the format pt2"
    )


def _place(
    program: ExportedProgram, graph: Graph, name: str, target: str
) -> tuple[Span | None, str]:
    """The place in the spec, and the path, of the module that calls a function of torch's.

    Torch's exporter rewrites the program first, into the functions that others are made of. Where
    no node has the name any more, the first one that calls the function stands for it.
    """
    rewritten = program.run_decompositions()
    nodes = [node for node in rewritten.graph.nodes if node.meta.get("nn_module_stack")]
    called = [node for node in nodes if re.search(rf"\b{re.escape(target)}\b", str(node.target))]
    for node in [*(each for each in called if each.name == name), *called]:
        path = list(node.meta["nn_module_stack"].values())[-1][0]
        spans = {visit.path: visit.step.span for visit in walk(graph)}
        return spans.get(path), path
    return None, ""
