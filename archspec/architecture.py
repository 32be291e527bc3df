"""`Architecture` is a checked spec with all its figures."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

from archspec.diagnostics.diagnostic import Diagnostic, Source, Span, SpecError
from archspec.document.keys.train import plain
from archspec.expand.program import Origin, Program, compile_text
from archspec.ir.graph import Graph, Ref, only, trained_only
from archspec.ir.shape import Shape
from archspec.ir.tape import RECOMPUTED
from archspec.ir.types import FLOAT, PRECISION

if TYPE_CHECKING:
    import torch
    from torch import nn

    from archspec.analyses.cost import Costs
    from archspec.analyses.layers import Layer
    from archspec.analyses.summary import Summary
    from archspec.contracts.chosen import Elsewhere
    from archspec.contracts.contract import Contract
    from archspec.contracts.formulas import Formulas
    from archspec.emit.checks import Check
    from archspec.exporting import Exported
    from archspec.ir.precision import DType
    from archspec.recipe.layers import Located
    from archspec.verify import Report
    from archspec.weights import Renames, Weights

InputShape: TypeAlias = Sequence[int] | Mapping[str, Sequence[int]]
Outputs: TypeAlias = Sequence[str] | Mapping[str, str]
"""Paths of the nodes whose values are wanted. A mapping gives each value a name of its own."""


class Architecture:
    """A network that has been read and checked, with the shapes of all its nodes.

    `load` and `loads` make it. Only `build` and `verify` import torch. In every shape the batch
    comes first, as "N".
    """

    def __init__(
        self,
        program: Program,
        origin: Origin | None = None,
    ) -> None:
        self._program = program
        self._origin = origin

    def __repr__(self) -> str:
        macs = "MACs not counted" if self.macs is None else f"{self.macs:,} MACs"
        shapes = f"{_typed(self.input_shape, self.input_dtype)} -> "
        shapes += _typed(self.output_shape, self.output_dtype)
        return f"<Architecture {self.name}: {shapes}, {self.num_parameters:,} parameters, {macs}>"

    @property
    def name(self) -> str:
        return self._program.name

    @property
    def program(self) -> Program:
        """The checked spec, with all that it states."""
        return self._program

    @property
    def doc(self) -> str:
        doc: str = self._program.said["doc"]
        return doc

    @property
    def graph(self) -> Graph:
        """The graph of primitive ops."""
        return self._program.graph

    @cached_property
    def emitted(self) -> Graph:
        """The graph that `build` emits: numbers that follow the sizes of the inputs are formulas.

        It is `graph` itself where there are none.
        """
        if self._origin is None or not self._program.may_follow:
            return self.graph
        from archspec.contracts.followed import followed

        return followed(self._origin) or self.graph

    @property
    def source(self) -> Source:
        """The text it was read from."""
        return self._program.source

    @property
    def params(self) -> dict[str, Any]:
        """The values of the spec's parameters."""
        return dict(self._program.params)

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of the symbols that the spec declares; empty where its inputs are given."""
        return dict(self._program.said["sizes"])

    @property
    def init(self) -> str | None:
        """The initialisation scheme of the whole network. None stands for torch's own."""
        init: str | None = self._program.said["init"]
        return init

    @property
    def recipe(self) -> dict[str, Any]:
        """The default recipe, as written."""
        return plain(self._program.said["train"])

    @property
    def located_recipe(self) -> Located:
        """The default recipe, with the place of each value in the text."""
        located: Located = self._program.said["train"]
        return located

    @property
    def input_span(self) -> Span:
        """Where the spec states its first input."""
        return next(iter(self._program.inputs.values()))

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What looks like a mistake but compiles. `load` and `loads` raise it as `SpecWarning`s."""
        return self._program.warnings

    @property
    def input_shape(self) -> Shape | dict[str, Shape]:
        """For example `("N", 3, 224, 224)`. A dict by name if the spec has several inputs."""
        graph = self.graph
        return only(dict(zip(graph.input_names, graph.inputs, strict=True)))

    @property
    def input_dtype(self) -> str | dict[str, str]:
        """`"float"` (the network's working precision), `"int64"`, `"int32"` or `"bool"`.

        A dict by name if the spec has several inputs.
        """
        types = [each.name for each in self.graph.input_types]
        return only(dict(zip(self.graph.input_names, types, strict=True)))

    @property
    def output_shape(self) -> Shape | dict[str, Shape]:
        """The output in `eval()`, such as `("N", 10)`. A dict by name if there are several."""
        return only({name: self.graph.shape(ref) for name, ref in self._evaluated.items()})

    @property
    def output_dtype(self) -> str | dict[str, str]:
        """The type of the output, named as in `input_dtype`. A dict where `output_shape` is one."""
        return only({name: self.graph.type(ref).name for name, ref in self._evaluated.items()})

    @property
    def _evaluated(self) -> dict[str, Ref]:
        """The outputs of `eval()`, by name."""
        graph = self.graph
        named = zip(graph.output_names or ("output",), graph.outputs, strict=True)
        return {name: ref for name, ref in named if not trained_only(graph, ref)}

    @property
    def num_parameters(self) -> int:
        """The number of elements of all parameters. Shared parameters count once."""
        return self._costs.total.num_parameters

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates of convolutions and matrix products, for one sample in `eval()`.

        None if a `module` of another package runs an op that torch's counter does not know, such
        as a recurrent layer. `summary().counted_macs` then counts everything else. A network of
        archspec's own ops always has the number.
        """
        return self._costs.total.known_macs

    @property
    def layers(self) -> list[Layer]:
        """Every op in order, merges and functions included. Their costs add up to the whole."""
        return [layer for layer in self.nodes if not layer.is_block]

    @cached_property
    def nodes(self) -> list[Layer]:
        """`layers` with groups and blocks. Each stands before its own layers, with its totals."""
        from archspec.analyses.layers import layers

        return layers(self.graph, self._costs)

    @cached_property
    def _costs(self) -> Costs:
        from archspec.analyses.cost import Costs

        return Costs(self.graph)

    def summary(
        self,
        depth: int | None = None,
        batch_size: int = 1,
        *,
        dtype: DType = PRECISION,
        recompute: str | None = None,
    ) -> Summary:
        """The table of all nodes, with totals. `str()` makes plain text of it.

        A block that is `depth` levels down becomes one row. Memory is for `batch_size` samples.
        Bytes are those of a network whose floats are of `dtype`: float32, bfloat16, float16 or
        float64, by name or as torch has them. `recompute` is as in `build`.

        Raises ValueError for another `dtype` or `recompute`.
        """
        from archspec.analyses.summary import summarise

        return summarise(
            self.graph,
            self.name,
            depth=depth,
            batch_size=batch_size,
            costs=self._costs if dtype == PRECISION else None,
            precision=_precision(dtype),
            recompute=_recompute(recompute),
        )

    def expand(self) -> str:
        """The spec as YAML with everything evaluated. It reads back as the same graph.

        Numbers that follow sizes which the spec declares stay expressions over sizes of values.
        """
        from archspec.expand.write import write

        followed = self.emitted if self.sizes else self.graph
        return write(self._program, None if followed is self.graph else followed)

    def eject(self) -> str:
        """The network as the text of one Python file that needs torch alone.

        Its last class is the network, which takes no arguments. A block is a class with its
        parameters. The module has the keys and results of that of `build`; under
        `torch.manual_seed(n)` it has the weights of `build(seed=n)`.

        Raises `SpecError` for an op that cannot be written out, and `ModuleNotFoundError` if torch
        is not installed.
        """
        _need_torch()
        from archspec.diagnostics.diagnostic import Refusal
        from archspec.ejecting import eject

        try:
            return eject(self.emitted, self.name, self.doc, self.init)
        except Refusal as refusal:
            raise SpecError([Diagnostic.of(refusal, self.input_span)]) from None

    def build(
        self,
        device: torch.device | str | None = "cpu",
        seed: int | None = None,
        *,
        dtype: DType | None = None,
        recompute: str | None = None,
        outputs: Outputs | None = None,
        weights: Weights | None = None,
        weights_map: Renames | None = None,
        partial: bool = False,
    ) -> nn.Module:
        """The network as a `torch.nn.Module`, in `train()` mode.

        The weights are drawn anew. A `seed` makes them reproducible and leaves torch's global
        random state alone. Then `weights` are loaded over them, by `archspec.weights.load_weights`.
        All must fit, unless `partial` is true: then those that fit are loaded, with a warning about
        the others.

        `dtype` is the precision of its floats, parameters and buffers: `torch.bfloat16` or
        "bfloat16", and likewise float16, float32 and float64. By default it is torch's own,
        float32. Integers and truth values keep their types. Fresh weights are those of float32,
        rounded. `weights` are converted, with a warning about values that are too large.

        With `recompute` training keeps less memory: "concat" computes concatenations, and batch
        norm and ReLU of them, again in the backward pass; "norms" every batch norm and its ReLU.
        Results, gradients and moving statistics have the same bits. Under torch.compile it changes
        nothing, and torch.jit.script and checkpoints without re-entry do not take such a module.

        `outputs` are paths of nodes, as the summary prints them. The module then returns a dict of
        their values, and contains only what these need. The keys of its state dict stay the same.

        One module serves every size that the `contract` accepts. What a node takes from a value, as
        with `in_height`, is computed when the module runs. For another size, compile the spec again
        with `variant`.

        Raises `SpecError` if weights do not fit or a node of `outputs` does not exist, ValueError
        for another `dtype` or `recompute`, and `ModuleNotFoundError` if torch is not installed.
        """
        _need_torch()
        recompute = _recompute(recompute)
        from archspec.emit import emit

        graph = self._tapped(self.emitted, outputs)
        make = functools.partial(
            emit, name=self.name, precision=None if dtype is None else _precision(dtype)
        )
        checks = self.size_checks() if outputs is None else ()
        net = make(graph, device=device, init=self.init, seed=seed, checks=checks)
        if weights is not None:
            # A file holds the whole network, also where `outputs` leaves some of it out.
            whole = net if outputs is None else make(self.graph, device="meta")
            self._load(net, whole, weights, weights_map, partial)
        if recompute is None:
            return net
        from archspec.runtime.recompute import recomputing

        return recomputing(net, recompute)

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        format: str = "onnx",
        weights: Weights | None = None,
        dynamic: str | Sequence[str] | None = None,
        opset: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Exported:
        """Write the network in `eval()` to a file of `format` "onnx" or "pt2" (torch.export's).

        `weights` are as in `build`, and all must fit; without them they are drawn from a fixed
        seed. `dynamic` names the sizes that stay open: "batch", and symbols of the `contract`, as
        in "batch,H,W"; "none" for none. By default they are the batch and all symbols that the spec
        declares, as far as torch's exporter can follow them; `notes` of the result name the others.
        `opset` is ONNX's operator set. `metadata` is written into the file, beside the spec's text
        and digest.

        Before the file is there, it is run beside the module at several batch sizes and legal
        sizes. ONNX needs onnx, onnxscript and onnxruntime.

        Raises `SpecError` if weights do not fit, `ExportError`, which is one, for all else, and
        `ModuleNotFoundError` if torch is not installed.
        """
        _need_torch()
        from pathlib import Path

        from archspec.emit import emit
        from archspec.exporting import Network, export

        net = emit(self.emitted, name=self.name, device="cpu", init=self.init, seed=0)
        if weights is not None:
            self._load(net, net, weights, None, partial=False)
        names = dynamic.split(",") if isinstance(dynamic, str) else dynamic
        network = Network(
            *(net, self.graph, tuple(self._evaluated), tuple(self.sizes)),
            functools.cache(self.contract),
            {**self._exported_metadata(), **(metadata or {})},
        )
        return export(network, Path(path), format=format, dynamic=names, opset=opset)

    def _exported_metadata(self) -> dict[str, str]:
        """What an exported file says of its spec."""
        import hashlib
        import json

        from archspec import __version__

        inputs = zip(self.graph.input_names, self.graph.inputs, strict=True)
        said = {
            "params": self.params,
            "sizes": self.sizes,
            "inputs": {name: [str(size) for size in shape] for name, shape in inputs},
            "outputs": list(self._evaluated),
        }
        text = self.source.text
        return {
            "archspec.version": __version__,
            "archspec.name": self.name,
            "archspec.spec": text,
            "archspec.spec_sha256": hashlib.sha256(text.encode()).hexdigest(),
            **{f"archspec.{name}": json.dumps(value, default=str) for name, value in said.items()},
        }

    def size_checks(self) -> tuple[Check, ...]:
        """What a module checks when it is called, where the spec declares sizes."""
        if not self.sizes:
            return ()
        from archspec.emit.checks import checks_of

        return checks_of(self.contract())

    def _load(
        self,
        net: nn.Module,
        whole: nn.Module,
        weights: Weights,
        renames: Renames | None,
        partial: bool,
    ) -> None:
        """Loads weights into what `build` made of the `whole`; warns its caller of those left."""
        from archspec.weights import load_weights

        keys = whole.state_dict()
        report = load_weights(
            net, weights, renames=renames, partial=partial, network=self.name, whole=keys
        )
        if not report.fits or report.infinite:
            warnings.warn(str(report), stacklevel=3)

    def _tapped(self, graph: Graph, outputs: Outputs | None) -> Graph:
        from archspec.ir.taps import tapped

        return graph if outputs is None else tapped(graph, outputs)

    def variant(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        input_shape: InputShape | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> Architecture:
        """The same spec, compiled with more `params` or for another input shape (without N).

        `sizes` are other ones for symbols that the spec declares: `{"H": 96}`.

        Raises `SpecError` where they do not fit it.
        """
        origin = self._spec().changed(params or {}, input_shape, sizes or {})
        return Architecture(compile_text(*origin), origin)

    def _spec(self) -> Origin:
        if self._origin is None:
            raise ValueError(f"{self.name} was not read from a spec")
        return self._origin

    def contract(self, symbols: str | Sequence[str] | None = None) -> Contract:
        """At which sizes of its input the spec compiles to this network, and which node asks.

        `symbols` names the last sizes of the input: `"H,W"` for height and width, each by itself;
        `"S,S"` for both as one. By default they are those that the spec declares under `sizes:`;
        without any the channels stay and all other sizes have names, as H and W, or H_image and
        W_image where there are several inputs.

        Raises `SpecError` where the names do not suit the input.
        """
        from archspec.contracts.derive import derived

        names = symbols.split(",") if isinstance(symbols, str) else symbols
        return derived(self._spec(), names)

    def formulas(
        self, symbols: str | Sequence[str] | None = None, *, dtype: DType = PRECISION
    ) -> Formulas:
        """Shapes, MACs and memory as formulas of the sizes that `symbols` name.

        They hold at all sizes of `contract(symbols)`, which has the rest. Memory is that of a
        network in the precision `dtype`.
        """
        from archspec.contracts.formulas import Formulas

        return Formulas(self.contract(symbols), _precision(dtype))

    def elsewhere(self) -> list[Elsewhere]:
        """Some other sizes that the contract accepts, each with its graph, to verify it there.

        There are none where no size of an input has a name, or where code of other packages runs.
        """
        from archspec.contracts.chosen import elsewhere

        try:
            return elsewhere(self.contract())
        except SpecError:
            return []

    def verify(
        self,
        batch_sizes: Sequence[int] = (2, 3, 5),
        device: torch.device | str = "cpu",
        *,
        outputs: Outputs | None = None,
        dtype: DType = PRECISION,
        recompute: str | None = None,
        elsewhere: bool = True,
    ) -> Report:
        """Run the real module, and compare every static figure with what it does.

        Unless `elsewhere` is false, the same module is also run at the least sizes that the
        `contract` accepts, and at some between them and the stated ones.

        With `outputs`, it is the module that `build` makes for them. Its precision is `dtype`, and
        it computes again what `recompute` says.

        Raises ValueError if `dtype` is no precision, or for another `recompute`.
        """
        _need_torch()
        from archspec.verify import verify

        return verify(
            self._tapped(self.graph, outputs),
            name=self.name,
            emitted=self._tapped(self.emitted, outputs),
            elsewhere=[
                each._replace(graph=self._tapped(each.graph, outputs))
                for each in (self.elsewhere() if elsewhere else ())
            ],
            checks=self.size_checks() if outputs is None else (),
            batch_sizes=batch_sizes,
            device=device,
            precision=_precision(dtype),
            recompute=_recompute(recompute),
        )


def _recompute(what: str | None) -> str | None:
    if what is not None and what not in RECOMPUTED:
        raise ValueError(f"recompute is {' or '.join(RECOMPUTED)}, not {what!r}")
    return what


def _precision(dtype: DType) -> str:
    """The name of a precision. Raises ValueError for what is none."""
    if dtype == PRECISION:
        return PRECISION
    from archspec.ir.precision import precision_of

    return precision_of(dtype)


def _typed(shape: Shape | dict[str, Shape], dtype: str | dict[str, str]) -> str:
    """Shapes as Python shows them, each with its type unless that is float."""
    if isinstance(shape, dict) and isinstance(dtype, dict):
        shown = [f"{name!r}: {_typed(shape[name], dtype[name])}" for name in shape]
        return f"{{{', '.join(shown)}}}"
    return f"{shape}" if dtype == FLOAT.name else f"{shape} {dtype}"


def _need_torch() -> None:
    """Raise a clear error where torch is missing, before an import deep inside fails."""
    if find_spec("torch") is None:
        raise ModuleNotFoundError(
            "building and verifying a network needs torch, which is not installed: "
            "`pip install torch`",
            name="torch",
        )
