"""Contracts held against real runs on both sides of each bound, where torch itself decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice

import torch
from torch import Tensor, nn

from archspec.architecture import Architecture
from archspec.contracts.contract import Contract
from archspec.contracts.regions import Values
from archspec.diagnostics.diagnostic import SpecError
from archspec.emit import emit
from archspec.ir.graph import Graph
from archspec.record import Record
from archspec.runtime.values import drawn
from archspec.sizes.sets import Sizes
from archspec.testing.following import same_bits
from archspec.verify import RUN_ERRORS

MOST_STRETCHES = 6
"""Stretches of neighbouring sizes whose ends are tried."""


class Edge(Record):
    """What real runs say of some sizes of the symbols, in words.

    `legal` is what the contract says of them, and `is_right` whether that is so.
    """

    sizes: Values
    legal: bool
    is_right: bool
    found: str

    def __str__(self) -> str:
        said = " ".join(f"{name}={size}" for name, size in self.sizes.items())
        return f"{said}: {'' if self.is_right else 'WRONG, '}{self.found}"


def edges(arch: Architecture, contract: Contract) -> Iterator[Edge]:
    """Sizes on both sides of each bound of each symbol, the others as stated, with what is there.

    The module is built at the stated sizes, without the lines that refuse others. At legal sizes it
    must run, in `eval()` and in `train()`, and give the bits of a module that is compiled there and
    has its weights. At others torch must refuse it, in one mode at least; where the spec compiles
    there, that module may have other weights, or give other bits, instead.

    Where the spec compiles at sizes that the module does not fit, the bounds of these are tried
    too, each with a module that is compiled at the last size before it.

    Not for specs whose nodes are chosen by a size: torch runs what they leave out elsewhere.
    """
    main = _Module(arch, contract)
    for name, stated in contract.stated.items():
        for size in beside(contract.sizes[name], stated):
            values = {**contract.stated, name: size}
            yield main.held(values, contract.accepts(**values))
        compiles = contract.compiles[name]
        for size in beside(compiles, stated) if compiles != contract.sizes[name] else ():
            values = {**contract.stated, name: size}
            outside = [each for each in (size - 1, size + 1) if each and each not in compiles]
            if outside and contract.graph_at(**values) is not None:
                there = _Module(_at(arch, contract, values), contract)
                yield there.held(values, legal=True)
                for each in outside:
                    yield there.held({**values, name: each}, legal=False)


def beside(sizes: Sizes, stated: int) -> list[int]:
    """The stated size, and those near each change of a set, over one period of its tail.

    Of each stretch of neighbours its first two and its last two, and the ones before and after.
    """
    until = sizes.settled + sizes.period - 1
    tried = {stated}
    for first, last in islice(sizes.runs(until), MOST_STRETCHES):
        tried |= {first - 1, first, min(first + 1, last), max(first, last - 1), last, last + 1}
    return sorted(size for size in tried if size > 0)


class _Module:
    """A module at its own sizes, to be tried at others."""

    def __init__(self, arch: Architecture, contract: Contract) -> None:
        self.arch, self.contract = arch, contract
        self.net = emit(arch.emitted, name=arch.name, seed=0)

    def held(self, values: Values, legal: bool) -> Edge:
        """What happens at these sizes."""
        try:
            there = _at(self.arch, self.contract, values)
        except SpecError:
            failure = self._failure(values)
            found = f"torch fails {failure}" if failure else "torch runs what does not compile"
            return Edge(values, legal, not legal and failure is not None, found)
        other = self._other(there, values)
        return Edge(values, legal, legal is (other is None), other or "the same bits")

    def _run(self, net: nn.Module, values: Values, training: bool) -> list[Tensor | None] | str:
        return _run(net, self.arch.graph, self.contract.input_shape(**values), training)

    def _failure(self, values: Values) -> str | None:
        for training in (False, True):
            if isinstance(found := self._run(self.net, values, training), str):
                return found
        return None

    def _other(self, there: Architecture, values: Values) -> str | None:
        """How the module differs from the one that is compiled there; None where it does not."""
        own, kept = emit(there.emitted, name=there.name, device="meta"), self.net.state_dict()
        for key, value in own.state_dict().items():
            if key not in kept or kept[key].shape != value.shape:
                return f"another network, {key} is {tuple(value.shape)}"
        if len(kept) > len(own.state_dict()):
            return "another network, of fewer weights"
        own.load_state_dict(kept, assign=True)
        if any(value.is_meta for value in chain(own.parameters(), own.buffers())):
            own = emit(there.emitted, name=there.name, seed=1)  # it has constants without a key
            own.load_state_dict(kept)
        for training in (False, True):
            ours, theirs = (self._run(net, values, training) for net in (self.net, own))
            if isinstance(theirs, str):
                return f"what is compiled there fails {theirs}"
            if isinstance(ours, str):
                return f"another network, this one fails {ours}"
            if not all(map(same_bits, ours, theirs)):
                return f"another network, of other bits in {_mode(training)}"
        return None


def _at(arch: Architecture, contract: Contract, values: Values) -> Architecture:
    return arch.variant(input_shape=contract.input_shape(**values))


def _run(
    net: nn.Module, graph: Graph, shapes: Mapping[str, tuple[int, ...]], training: bool
) -> list[Tensor | None] | str:
    """What a module gives for drawn inputs; the mode and the text of the error, if it raises one.

    In `train()` there are two samples: batch norm takes no single value.
    """
    generator = torch.Generator().manual_seed(0)
    inputs = [
        drawn(kind, (1 + training, *shapes[name]), generator)
        for kind, name in zip(graph.input_types, graph.input_names, strict=True)
    ]
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        try:
            result = net.train(training)(*inputs)
        except RUN_ERRORS as error:
            return f"in {_mode(training)}: {str(error).splitlines()[0][:120]}"
    if isinstance(result, Tensor):
        return [result]
    return list(result.values() if isinstance(result, dict) else result)


def _mode(training: bool) -> str:
    return "train()" if training else "eval()"
