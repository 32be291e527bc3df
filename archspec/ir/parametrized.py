"""Ops that compute some of their weights anew from other parameters, each time that they run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from archspec.ir.op import Doubt, Made, Op, Weight, Weights
from archspec.ir.shape import Dim, N, Shape
from archspec.ir.tape import Tape, Tensor
from archspec.ir.types import ValueType

if TYPE_CHECKING:
    from torch import nn

Keys: TypeAlias = Literal["new", "old"]

Names = tuple[tuple[str, "Parametrization"], ...]
"""Weights of an op by name, each with what computes it."""


class Parametrization(Op, ABC):
    """How a weight is computed from the parameters that replace it.

    It has arguments like an op, but is no op. `attaches` is the path of a function
    that changes a module. With `keys: old` its tensors stand beside the others of the module, under
    the names that torch gave them before `parametrize`.
    """

    attaches: ClassVar[str]
    if TYPE_CHECKING:
        keys: Keys  # each declares it, as its last argument

    @abstractmethod
    def check(self, name: str, shape: Shape, op: type[Op]) -> None:
        """Raises `Refusal` where a weight of this shape cannot have this parametrization."""

    @abstractmethod
    def owned(self, name: str, shape: Shape, op: type[Op]) -> Weights:
        """The parameters that replace the weight, and the buffers, by their keys."""

    @abstractmethod
    def compute(self, tape: Tape, shape: tuple[int, ...], op: type[Op]) -> Tensor:
        """The weight as a value, and what autograd keeps of it."""

    def inferred_for(self, op: type[Op]) -> Mapping[str, Any]:
        """Arguments of the function whose values depend on the op."""
        return {}

    def attach(self, module: nn.Module, name: str, op: type[Op]) -> None:
        """Replaces the module's own parameter, which keeps its value."""
        from importlib import import_module

        package, _, function = self.attaches.rpartition(".")
        arguments = {**vars(self), **self.inferred_for(op)}
        getattr(import_module(package), function)(module, name, **arguments)


class Parametrized(Op):
    """The first base of an op class some of whose weights are computed.

    `computed` says how, by the names of these weights.
    """

    computed: ClassVar[Names] = ()
    plain_class: ClassVar[type[Op]]

    @property
    def plain(self) -> Op:
        """The same op with all weights its own, so that its methods may call each other."""
        made = object.__new__(self.plain_class)
        made.__dict__.update(vars(self))
        return made

    def _shapes(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """The shapes of the weights that are computed."""
        shapes = {weight.name: weight.shape for weight in self.plain.weights(*inputs)}
        return {name: shapes[name] for name, _ in self.computed}

    def infer(self, *inputs: Shape) -> Shape | list[Shape]:
        result = self.plain.infer(*inputs)
        shapes = self._shapes(inputs)
        for name, how in self.computed:
            how.check(name, shapes[name], self.plain_class)
        return result

    def result_type(self, *types: ValueType) -> ValueType | list[ValueType]:
        return self.plain.result_type(*types)

    def doubt(self, *inputs: Shape) -> Doubt | None:
        return self.plain.doubt(*inputs)

    def doubt_of_image(self, *inputs: Shape) -> Doubt | None:
        return self.plain.doubt_of_image(*inputs)

    def weights(self, *inputs: Shape) -> Weights:
        """In torch's state dict order, where what replaces a weight comes after the others."""
        found = list(self.plain.weights(*inputs))
        for name, how in self.computed:
            (own,) = (weight for weight in found if weight.name == name)
            found.remove(own)
            for each in how.owned(name, own.shape, self.plain_class):
                found.insert(_place(found, each), each)
        return tuple(found)

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim | None:
        return self.plain.macs(inputs, outputs)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor | list[Tensor]:
        before = tape.given
        shapes = self._shapes([(N, *x.shape[1:]) if x.batched else x.shape for x in inputs])
        made = {
            name: how.compute(tape, tuple(map(int, shapes[name])), self.plain_class)
            for name, how in self.computed
        }
        tape.given = {**before, **made}
        try:
            return self.plain.record(tape, *inputs)
        finally:
            tape.given = before

    def module_key(self, *inputs: Shape) -> Hashable:
        return self.plain.module_key(*inputs)

    def made(self, *inputs: Shape) -> Made | None:
        """The call that makes the module before its weights are computed."""
        return self.plain.made(*inputs)

    def build(self, *inputs: Shape) -> nn.Module:
        made = self.build_plain(*inputs)
        self.attach(made)
        return made

    def build_plain(self, *inputs: Shape) -> nn.Module:
        """The module before its weights are computed, as an initialisation fills it."""
        made: Any = self.plain.build(*inputs)
        return made  # type: ignore[no-any-return]

    def attach(self, module: nn.Module) -> None:
        """Makes a module that was built plainly compute its weights. Their values stay."""
        # Old keys come first: the class that torch makes for one module must come last.
        for name, how in sorted(self.computed, key=lambda each: each[1].keys == "new"):
            how.attach(module, name, self.plain_class)


def _place(found: Sequence[Weight], new: Weight) -> int:
    """Where a new tensor stands in a state dict.

    A module has its own parameters, then its own buffers, then what its children have.
    """
    holder, _, _ = new.name.rpartition(".")
    start = new.name.partition("parametrizations.")[0] if "parametrizations." in new.name else None
    place = len(found) if start == "" or not holder else 0
    for position, each in enumerate(found):
        if start is not None:
            if each.name.startswith(start):
                place = position + 1
        elif each.name.rpartition(".")[0] == holder and (new.buffer or not each.buffer):
            place = position + 1
    return place


def parametrized(op: Op, computed: Names) -> Op:
    """The op with these weights computed."""
    made = object.__new__(_class_of(type(op), computed))
    made.__dict__.update(vars(op))
    return made


_classes: dict[tuple[type[Op], Names], type[Op]] = {}


def _class_of(base: type[Op], computed: Names) -> type[Op]:
    key = base, computed
    if key not in _classes:
        facts: Mapping[str, object] = {
            "plain_class": base,
            "computed": computed,
            "__doc__": base.__doc__,
            "__module__": base.__module__,
        }
        _classes[key] = type(base.__name__, (Parametrized, base), dict(facts))
    return _classes[key]
