"""`Architecture`: a checked spec with everything that can be known of it, and how to get one."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, TypeAlias

from archspec.diagnostics.diagnostic import Diagnostic, Source, Span, SpecWarning
from archspec.document.keys.train import plain
from archspec.expand.program import Program, compile_text, read_named
from archspec.ir.graph import Graph, Ref, only, trained_only
from archspec.ir.shape import Shape
from archspec.ir.types import FLOAT, PRECISION
from archspec.record import Record
from archspec.text.limits import DEFAULT, Limits

if TYPE_CHECKING:
    import torch
    from torch import nn

    from archspec.analyses.cost import Costs
    from archspec.analyses.layers import Layer
    from archspec.analyses.summary import Summary
    from archspec.contracts.contract import Contract
    from archspec.ir.precision import DType
    from archspec.recipe.layers import Located
    from archspec.verify import Report
    from archspec.weights import Renames, Weights

InputShape: TypeAlias = Sequence[int] | Mapping[str, Sequence[int]]
Outputs: TypeAlias = Sequence[str] | Mapping[str, str]
"""Paths of nodes whose values are asked for; a mapping calls them by other names."""


class Architecture:
    """A network that has been read, checked and given shapes. Made by `load` and `loads`.

    Nothing here imports torch but `build` and `verify`. Shapes have the batch first, as "N".
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

        return followed(*self._origin[:6]) or self.graph

    @property
    def source(self) -> Source:
        """The text it was read from."""
        return self._program.source

    @property
    def params(self) -> dict[str, Any]:
        """The values of the spec's parameters."""
        return dict(self._program.params)

    @property
    def init(self) -> str | None:
        """The initialisation scheme of the whole network; None for torch's own."""
        init: str | None = self._program.said["init"]
        return init

    @property
    def recipe(self) -> dict[str, Any]:
        """The default recipe, as written."""
        return plain(self._program.said["train"])

    @property
    def located_recipe(self) -> Located:
        """The default recipe with the places where its values stand."""
        located: Located = self._program.said["train"]
        return located

    @property
    def input_span(self) -> Span:
        """Where the spec states its first input."""
        return next(iter(self._program.inputs.values()))

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is suspicious, though it compiles. `load` and `loads` raise it as `SpecWarning`s."""
        return self._program.warnings

    @property
    def input_shape(self) -> Shape | dict[str, Shape]:
        """`("N", 3, 224, 224)`; by name where the spec has several inputs."""
        graph = self.graph
        return only(dict(zip(graph.input_names, graph.inputs, strict=True)))

    @property
    def input_dtype(self) -> str | dict[str, str]:
        """`"float"` (the network's working precision), `"int64"`, `"int32"` or `"bool"`.

        By name where the spec has several inputs.
        """
        types = [each.name for each in self.graph.input_types]
        return only(dict(zip(self.graph.input_names, types, strict=True)))

    @property
    def output_shape(self) -> Shape | dict[str, Shape]:
        """`("N", 10)`, as in `eval()`; by name where several outputs are left there."""
        return only({name: self.graph.shape(ref) for name, ref in self._evaluated.items()})

    @property
    def output_dtype(self) -> str | dict[str, str]:
        """The type of the output, as in `input_dtype`; by name as in `output_shape`."""
        return only({name: self.graph.type(ref).name for name, ref in self._evaluated.items()})

    @property
    def _evaluated(self) -> dict[str, Ref]:
        """The outputs of `eval()`, by name."""
        graph = self.graph
        named = zip(graph.output_names or ("output",), graph.outputs, strict=True)
        return {name: ref for name, ref in named if not trained_only(graph, ref)}

    @property
    def num_parameters(self) -> int:
        """Elements of all parameters, shared ones counted once."""
        return self._costs.total.num_parameters

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates of convolutions and matrix products for one sample, in `eval()`.

        None where a `module` of another package runs what torch's counter does not know, such as
        a recurrent layer; `summary().counted_macs` are those of all else. A network of archspec's
        own ops always has the number.
        """
        return self._costs.total.known_macs

    @property
    def layers(self) -> list[Layer]:
        """Every op in order, merges and functional steps too; their costs add up to the whole."""
        return [layer for layer in self.nodes if not layer.is_block]

    @cached_property
    def nodes(self) -> list[Layer]:
        """`layers`, and before its own layers each group and block with its totals."""
        from archspec.analyses.layers import layers

        return layers(self.graph, self._costs)

    @cached_property
    def _costs(self) -> Costs:
        from archspec.analyses.cost import Costs

        return Costs(self.graph)

    def summary(
        self, depth: int | None = None, batch_size: int = 1, *, dtype: DType = PRECISION
    ) -> Summary:
        """The table of all nodes with totals; `str()` of it is plain text.

        Blocks are folded into one row below `depth` levels. Memory is for `batch_size` samples,
        bytes are those of a network whose floats are of `dtype`: float32, bfloat16, float16 or
        float64, by name or as torch has them.

        Raises ValueError for another `dtype`.
        """
        from archspec.analyses.summary import summarise

        return summarise(
            self.graph,
            self.name,
            depth=depth,
            batch_size=batch_size,
            costs=self._costs if dtype == PRECISION else None,
            precision=_precision(dtype),
        )

    def expand(self) -> str:
        """The resolved spec as YAML: nothing left to evaluate; it reads back as the same graph."""
        from archspec.expand.write import write

        return write(self._program)

    def build(
        self,
        device: torch.device | str | None = "cpu",
        seed: int | None = None,
        *,
        dtype: DType | None = None,
        outputs: Outputs | None = None,
        weights: Weights | None = None,
        weights_map: Renames | None = None,
        partial: bool = False,
    ) -> nn.Module:
        """The network as a `torch.nn.Module`, in `train()` mode.

        Its weights are fresh; with a `seed` they are reproducible, and torch's global random state
        is left alone. `weights` are then loaded over them (see `archspec.weights.load_weights`):
        all, or with `partial` those that fit, of which the rest is warned.

        `dtype` is the precision of its floats, parameters and buffers: `torch.bfloat16` or
        "bfloat16", and likewise float16, float32 and float64; integers and truth values stay. Fresh
        weights are those of float32, rounded, and `weights` are converted; of values too large for
        it is warned. Without, it is torch's default, float32.

        With `outputs` the module returns a dict of the values of those nodes, by their paths as
        the summary prints them, and what they do not need is not built; all keys stay as they are.

        One module serves every size that the `contract` accepts: what a node takes from a value,
        as by `in_height`, is computed when the module runs. For others compile the spec again,
        with `variant`.

        Raises `SpecError` where weights do not fit, or a node of `outputs` is not there,
        ValueError for another `dtype`, and `ModuleNotFoundError` where torch is not installed.
        """
        _need_torch()
        from archspec.emit import emit

        graph = self._tapped(self.emitted, outputs)
        precision = None if dtype is None else _precision(dtype)
        net = emit(
            graph, name=self.name, device=device, init=self.init, seed=seed, precision=precision
        )
        if weights is not None:
            from archspec.weights import load_weights

            # A file holds the whole network, also where `outputs` leaves some of it out.
            whole = net
            if outputs is not None:
                whole = emit(self.graph, name=self.name, device="meta", precision=precision)
            report = load_weights(
                net,
                weights,
                renames=weights_map,
                partial=partial,
                network=self.name,
                whole=whole.state_dict(),
            )
            if not report.fits or report.infinite:
                warnings.warn(str(report), stacklevel=2)
        return net

    def _tapped(self, graph: Graph, outputs: Outputs | None) -> Graph:
        from archspec.ir.taps import tapped

        return graph if outputs is None else tapped(graph, outputs)

    def variant(
        self, params: Mapping[str, Any] | None = None, *, input_shape: InputShape | None = None
    ) -> Architecture:
        """The same spec, compiled with further `params` or for another input (without N).

        Raises `SpecError` where they do not fit it.
        """
        origin = self._spec().changed(params or {}, input_shape)
        return Architecture(origin.compiled(), origin)

    def _spec(self) -> Origin:
        if self._origin is None:
            raise ValueError(f"{self.name} was not read from a spec")
        return self._origin

    def contract(self, symbols: str | Sequence[str] | None = None) -> Contract:
        """At which sizes of its input the spec compiles to this network, and which node asks.

        `symbols` names the last sizes of the input: `"H,W"` for height and width, each by itself;
        `"S,S"` for both as one. By default the channels stay and all others have names.

        Raises `SpecError` where the names do not suit the input.
        """
        from archspec.contracts.derive import derived

        names = symbols.split(",") if isinstance(symbols, str) else symbols
        return derived(*self._spec()[:6], names)

    def verify(
        self,
        batch_sizes: Sequence[int] = (2, 3, 5),
        device: torch.device | str = "cpu",
        *,
        outputs: Outputs | None = None,
        dtype: DType = PRECISION,
    ) -> Report:
        """Runs the real module and compares every static figure with it.

        With `outputs` it is the module that `build` makes for them, and in the precision `dtype`.

        Raises ValueError for a `dtype` that is none.
        """
        _need_torch()
        from archspec.verify import verify

        return verify(
            self._tapped(self.graph, outputs),
            name=self.name,
            emitted=self._tapped(self.emitted, outputs),
            batch_sizes=batch_sizes,
            device=device,
            precision=_precision(dtype),
        )


def _precision(dtype: DType) -> str:
    """The name of a precision. Raises ValueError for what is none."""
    if dtype == PRECISION:
        return PRECISION
    from archspec.ir.precision import precision_of

    return precision_of(dtype)


def _typed(shape: Shape | dict[str, Shape], dtype: str | dict[str, str]) -> str:
    """Shapes as Python shows them, with each type that is not float."""
    if isinstance(shape, dict) and isinstance(dtype, dict):
        shown = [f"{name!r}: {_typed(shape[name], dtype[name])}" for name in shape]
        return f"{{{', '.join(shown)}}}"
    return f"{shape}" if dtype == FLOAT.name else f"{shape} {dtype}"


def _need_torch() -> None:
    """Says what is missing before an import deep inside does."""
    if find_spec("torch") is None:
        raise ModuleNotFoundError(
            "building and verifying a network needs torch, which is not installed: "
            "`pip install torch`",
            name="torch",
        )


def load(
    spec: str | PathLike[str],
    params: Mapping[str, Any] | None = None,
    *,
    input_shape: InputShape | None = None,
    limits: Limits = DEFAULT,
    allow_outside: bool = False,
    allow_modules: Collection[str] = (),
    ignore: Collection[str] = (),
    warn: bool = True,
) -> Architecture:
    """The architecture of a file, or of a bundled spec by name (`archspec.bundled()`).

    `params` override the spec's own; `input_shape` replaces its input, without N. `extends` and
    `use` may name files below the spec's folder only, unless `allow_outside`. `module` nodes may
    run code of the packages in `allow_modules` only.

    What is suspicious is raised as a `SpecWarning`, once for each place, unless `warn` is false.
    Warnings of the codes in `ignore` are left out.

    Raises `SpecError` for anything that is wrong with the spec, with all diagnostics.
    """
    source, folder = read_named(fspath(spec), limits)
    arch = _architecture(
        source, folder, params, input_shape, limits, allow_outside, allow_modules, ignore
    )
    if warn:
        raise_warnings(arch)
    return arch


def loads(
    text: str,
    params: Mapping[str, Any] | None = None,
    *,
    input_shape: InputShape | None = None,
    limits: Limits = DEFAULT,
    name: str = "<text>",
    folder: str | PathLike[str] | None = None,
    allow_outside: bool = False,
    allow_modules: Collection[str] = (),
    ignore: Collection[str] = (),
    warn: bool = True,
) -> Architecture:
    """The architecture of a YAML text. `name` stands for it in diagnostics.

    It may extend bundled specs, and files below `folder` where that is given; with
    `allow_outside` any file, relative names still starting from `folder`. The rest is as in `load`.
    """
    beside = fspath(folder) if folder is not None else None
    arch = _architecture(
        Source(name, text),
        *(beside, params, input_shape, limits, allow_outside, allow_modules, ignore),
    )
    if warn:
        raise_warnings(arch)
    return arch


def raise_warnings(arch: Architecture) -> None:
    """Hands its warnings to Python's `warnings`, as of the line that called our caller."""
    for diagnostic in arch.warnings:
        warnings.warn(SpecWarning(diagnostic), stacklevel=3)


def _architecture(
    source: Source,
    folder: str | None,
    params: Mapping[str, Any] | None,
    input_shape: InputShape | None,
    limits: Limits,
    allow_outside: bool,
    allow_modules: Collection[str],
    ignore: Collection[str],
) -> Architecture:
    if isinstance(allow_modules, str):
        raise TypeError("allow_modules is a list of packages, not one text")
    limits = limits._replace(modules=(*limits.modules, *allow_modules))
    origin = Origin(source, folder, params or {}, input_shape, limits, allow_outside, ignore)
    return Architecture(origin.compiled(), origin)


class Origin(Record):
    """What an architecture is compiled from."""

    source: Source
    folder: str | None
    params: Mapping[str, Any]
    input_shape: InputShape | None
    limits: Limits
    allow_outside: bool
    ignore: Collection[str]

    def compiled(self) -> Program:
        """Raises `SpecError`."""
        return compile_text(*self)

    def changed(self, params: Mapping[str, Any], input_shape: InputShape | None) -> Origin:
        """With further parameters; it keeps its input unless it is given another."""
        params = {**self.params, **params}
        kept = self.input_shape if input_shape is None else input_shape
        return self._replace(params=params, input_shape=kept)


def compile(
    spec: str | PathLike[str],
    params: Mapping[str, Any] | None = None,
    *,
    input_shape: InputShape | None = None,
    allow_modules: Collection[str] = (),
    device: torch.device | str | None = "cpu",
    seed: int | None = None,
    dtype: DType | None = None,
    outputs: Outputs | None = None,
    weights: Weights | None = None,
    weights_map: Renames | None = None,
    partial: bool = False,
) -> nn.Module:
    """`load` and `build` in one call."""
    arch = load(spec, params, input_shape=input_shape, allow_modules=allow_modules, warn=False)
    raise_warnings(arch)
    return arch.build(
        device,
        seed,
        dtype=dtype,
        outputs=outputs,
        weights=weights,
        weights_map=weights_map,
        partial=partial,
    )
