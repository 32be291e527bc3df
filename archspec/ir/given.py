"""Ops that are given some of their weights: values of their list, or parameters of other nodes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.op import Doubt, Made, Op, Weights
from archspec.ir.shape import Dim, Shape, is_batched, show
from archspec.ir.tape import Tape, Tensor
from archspec.ir.types import ValueType

if TYPE_CHECKING:
    from torch import Tensor as TorchTensor
    from torch import nn

GIVEN = "given_weights"
"""The attribute of a module that names the weights it is given.

Code reads the module's other weights and never calls the module."""


class GivenWeights(Op):
    """The first base of an op class whose last inputs replace weights.

    `given` names these weights in the order of the inputs. `tied` names those that are parameters
    of other nodes, which are not inputs. The op owns neither kind.
    """

    given: ClassVar[tuple[str, ...]] = ()
    tied: ClassVar[tuple[str, ...]] = ()

    base: ClassVar[type[Op]]

    @property
    def _plain(self) -> Op:
        """The same op with all weights its own, so that its methods may call each other."""
        made = object.__new__(self.base)
        made.__dict__.update(vars(self))
        return made

    def own_inputs(self, inputs: Sequence[object]) -> Sequence[object]:
        return inputs[: len(inputs) - len(self.given)]

    def _shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return tuple(inputs[: len(inputs) - len(self.given)])

    def infer(self, *inputs: Shape) -> Shape | list[Shape]:
        own = self._shapes(inputs)
        result = self._plain.infer(*own)
        wanted = {weight.name: weight.shape for weight in self._plain.weights(*own)}
        for name, shape in zip(self.given, inputs[len(own) :], strict=True):
            if is_batched(shape):
                raise Refusal(
                    f"its {name} would be another for each sample: {show(shape)}",
                    code=Code.MIXES_BATCH,
                    expected=f"a tensor without N, of the shape {show(wanted[name])}",
                    found=show(shape),
                )
            check_weight(name, wanted[name], shape)
        if self.given:
            # Refuses an op that takes no other weights.
            self.source("own", [f"x{i}" for i in range(len(inputs))], inputs)
        return result

    def output_types(
        self, inputs: Sequence[Shape], types: Sequence[ValueType]
    ) -> ValueType | list[ValueType]:
        count = len(types) - len(self.given)
        for name, kind in zip(self.given, types[count:], strict=True):
            if not kind.is_float:
                raise Refusal(
                    f"its {name} is of floats, and is given {kind.name}",
                    code=Code.DTYPE,
                    expected="float",
                    found=kind.name,
                    help="put `to: float` before it",
                )
        return self._plain.output_types(inputs[:count], types[:count])

    def doubt(self, *inputs: Shape) -> Doubt | None:
        return self._plain.doubt(*self._shapes(inputs))

    def doubt_of_image(self, *inputs: Shape) -> Doubt | None:
        return self._plain.doubt_of_image(*self._shapes(inputs))

    def weights(self, *inputs: Shape) -> Weights:
        others = {*self.given, *self.tied}
        every = self._plain.weights(*self._shapes(inputs))
        return tuple([weight for weight in every if weight.name not in others])

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim | None:
        return self._plain.macs(self._shapes(inputs), outputs)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor | list[Tensor]:
        count = len(inputs) - len(self.given)
        before = tape.given
        tape.given = {**before, **dict(zip(self.given, inputs[count:], strict=True))}
        try:
            return self._plain.record(tape, *inputs[:count])
        finally:
            tape.given = before

    def module_key(self, *inputs: Shape) -> Hashable:
        return self._plain.module_key(*self._shapes(inputs))

    def made(self, *inputs: Shape) -> Made | None:
        """The call that makes the module with all weights; None where it has no weight left."""
        if self.given and not self.weights(*inputs) and not self.tied:
            return None
        return self._plain.made(*self._shapes(inputs))

    def build(self, *inputs: Shape) -> nn.Module | TorchTensor | None:
        """Its module without the given weights; None where it has no other weights."""
        if self.given and not self.weights(*inputs) and not self.tied:
            return None
        made = self._plain.build(*self._shapes(inputs))
        for name in self.given:
            made.register_parameter(name, None)  # type: ignore[union-attr]
        if self.given:
            setattr(made, GIVEN, self.given)
        return made

    def source(self, own: str, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        shapes = self._shapes(inputs)
        if not self.given:
            return self._plain.source(own, values, shapes)
        weights = {weight.name: f"{own}.{weight.name}" for weight in self._plain.weights(*shapes)}
        weights.update(zip(self.given, values[len(shapes) :], strict=True))
        return self.with_weights(values[: len(shapes)], weights, shapes)


def check_weight(name: str, wanted: Shape, given: Shape) -> None:
    """Refuses a tensor whose shape differs from that of the weight it replaces."""
    if len(wanted) != len(given) or wanted != given:
        raise Refusal(
            f"its {name} has the shape {show(wanted)}, and is given {show(given)}",
            expected=show(wanted),
            found=show(given),
        )


def with_weights(op: Op, given: tuple[str, ...], tied: tuple[str, ...]) -> Op:
    """The op with other tensors in place of these weights."""
    made = object.__new__(_class_of(type(op), given, tied))
    made.__dict__.update(vars(op))
    return made


_classes: dict[tuple[type[Op], tuple[str, ...], tuple[str, ...]], type[Op]] = {}


def _class_of(base: type[Op], given: tuple[str, ...], tied: tuple[str, ...]) -> type[Op]:
    key = base, given, tied
    if key not in _classes:
        _classes[key] = _made(base, given, tied)
    return _classes[key]


def _made(base: type[Op], given: tuple[str, ...], tied: tuple[str, ...]) -> type[Op]:
    facts: Mapping[str, object] = {
        "base": base,
        "given": given,
        "tied": tied,
        "kernels": tuple([kernel for kernel in base.kernels if kernel not in (*given, *tied)]),
        "bias_axis": None if "bias" in (*given, *tied) else base.bias_axis,
        "__doc__": base.__doc__,
        "__module__": base.__module__,
    }
    return type(base.__name__, (GivenWeights, base), dict(facts))
