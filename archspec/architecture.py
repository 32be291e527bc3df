"""`Architecture`: a checked spec with everything that can be known of it, and how to get one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from archspec.errors import Diagnostic, Source
from archspec.ir.graph import Graph, trained_only
from archspec.ir.shape import Shape
from archspec.language.limits import DEFAULT, Limits
from archspec.language.program import Program, compile_text, read_named

if TYPE_CHECKING:
    import torch
    from torch import nn

    from archspec.analyses.cost import Costs
    from archspec.analyses.layers import Layer
    from archspec.analyses.summary import Summary
    from archspec.verify import Report

InputShape: TypeAlias = Sequence[int] | Mapping[str, Sequence[int]]


class Architecture:
    """A network that has been read, checked and given shapes. Made by `load` and `loads`.

    Nothing here imports torch but `build` and `verify`. Shapes have the batch first, as "N".
    """

    def __init__(self, program: Program) -> None:
        self._program = program

    def __repr__(self) -> str:
        return (
            f"<Architecture {self.name}: {self.input_shape} -> {self.output_shape}, "
            f"{self.num_parameters:,} parameters, {self.macs:,} MACs>"
        )

    @property
    def name(self) -> str:
        return self._program.name

    @property
    def doc(self) -> str:
        return self._program.doc

    @property
    def graph(self) -> Graph:
        """The graph of primitive ops."""
        return self._program.graph

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
        return self._program.init

    @property
    def train(self) -> dict[str, Any]:
        """The default recipe, as written."""
        return dict(self._program.train)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is suspicious, though it compiles."""
        return self._program.warnings

    @property
    def input_shape(self) -> Shape | dict[str, Shape]:
        """`("N", 3, 224, 224)`; by name where the spec has several inputs."""
        graph = self.graph
        if len(graph.inputs) == 1:
            return graph.inputs[0]
        return dict(zip(graph.input_names, graph.inputs, strict=True))

    @property
    def output_shape(self) -> Shape | dict[str, Shape]:
        """`("N", 10)`, as in `eval()`; by name where several outputs are left there."""
        graph = self.graph
        names = graph.output_names or ("output",)
        alive = {
            name: graph.shape(ref)
            for name, ref in zip(names, graph.outputs, strict=True)
            if not trained_only(graph, ref)
        }
        return next(iter(alive.values())) if len(alive) == 1 else alive

    @property
    def num_parameters(self) -> int:
        """Elements of all parameters, shared ones counted once."""
        return self._costs.total.num_parameters

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and matrix products for one sample, in `eval()`."""
        return self._costs.total.macs

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

    def summary(self, depth: int | None = None, batch_size: int = 1) -> Summary:
        """The table of all nodes with totals; `str()` of it is plain text.

        Blocks are folded into one row below `depth` levels. Memory is for `batch_size` samples.
        """
        from archspec.analyses.summary import summarise

        return summarise(
            self.graph, self.name, depth=depth, batch_size=batch_size, costs=self._costs
        )

    def expand(self) -> str:
        """The resolved spec as YAML: nothing left to evaluate; it reads back as the same graph."""
        from archspec.language.write import write

        return write(self._program)

    def build(
        self, device: torch.device | str | None = "cpu", seed: int | None = None
    ) -> nn.Module:
        """The network as a `torch.nn.Module`, in `train()` mode with fresh weights.

        With a `seed` the weights are reproducible and torch's global random state is left alone.
        """
        from archspec.emit import emit

        return emit(self.graph, name=self.name, device=device, init=self.init, seed=seed)

    def verify(
        self, batch_sizes: Sequence[int] = (2, 3, 5), device: torch.device | str = "cpu"
    ) -> Report:
        """Runs the real module and compares every static figure with it."""
        from archspec.verify import verify

        return verify(self.graph, name=self.name, batch_sizes=batch_sizes, device=device)


def load(
    spec: str | PathLike[str],
    params: Mapping[str, Any] | None = None,
    *,
    input_shape: InputShape | None = None,
    limits: Limits = DEFAULT,
    allow_outside: bool = False,
) -> Architecture:
    """The architecture of a file, or of a bundled spec by name (`archspec.bundled()`).

    `params` override the spec's own; `input_shape` replaces its input, without N. `extends` and
    `use` may name files below the spec's folder only, unless `allow_outside`.

    Raises `SpecError` for anything that is wrong with the spec, with all diagnostics.
    """
    source, folder = read_named(fspath(spec), limits)
    return Architecture(
        compile_text(source, folder, params or {}, input_shape, limits, allow_outside)
    )


def loads(
    text: str,
    params: Mapping[str, Any] | None = None,
    *,
    input_shape: InputShape | None = None,
    limits: Limits = DEFAULT,
    name: str = "<text>",
    folder: str | PathLike[str] | None = None,
) -> Architecture:
    """The architecture of a YAML text. `name` stands for it in diagnostics.

    It may extend bundled specs, and files below `folder` where that is given.
    """
    beside = Path(folder) if folder is not None else None
    source = Source(name, text)
    return Architecture(compile_text(source, beside, params or {}, input_shape, limits))


def compile(
    spec: str | PathLike[str],
    params: Mapping[str, Any] | None = None,
    *,
    input_shape: InputShape | None = None,
    device: torch.device | str | None = "cpu",
    seed: int | None = None,
) -> nn.Module:
    """`load` and `build` in one call."""
    return load(spec, params, input_shape=input_shape).build(device=device, seed=seed)
