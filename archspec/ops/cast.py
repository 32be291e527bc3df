"""Values of one type as values of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from archspec.ir.op import Example, Made, ShapeKeeping
from archspec.ir.shape import Shape
from archspec.ir.tape import Tape, Tensor, empty_like
from archspec.ir.types import EVERY, INT64, ValueType, named_elsewhere


class To(ShapeKeeping, name="to", primary="dtype"):
    """The same values as `float`, `int64`, `int32` or `bool`, as torch's `Tensor.to`.

    A float loses what stands behind the point, and is true where it is not 0. `float` is the
    network's own precision, which it follows: after `.half()`, or built with
    `dtype="float16"`, it makes float16. Gradients flow from a float to a float only.
    """

    dtype: Literal["float", "int64", "int32", "bool"]

    takes = EVERY
    takes_unbatched = True
    any_rank = True
    examples = (
        Example({"dtype": "float"}, inputs=[("N", 3, 4)], types=[INT64]),
        Example({"dtype": "float"}, inputs=[("N", 3, 4)]),
        Example({"dtype": "int64"}, inputs=[("N", 3, 4)]),
        Example({"dtype": "int32"}, inputs=[("N", 3)], types=[INT64]),
        Example({"dtype": "bool"}, inputs=[("N",)]),
        Example({"dtype": "float"}, inputs=[(3, 4)], types=[INT64]),
    )

    @classmethod
    def instead(cls, argument: str, word: str, given: Mapping[str, Any]) -> str | None:
        known = named_elsewhere(word)
        own = ", the network's own precision" if known == "float" else ""
        return known and f"write `to: {known}`{own}"

    def result_type(self, *types: ValueType) -> ValueType:
        (kind,) = types
        if kind.name == self.dtype:
            return kind
        below = 2 if kind.name == "bool" else kind.below
        if self.dtype in ("float", "bool") or (self.dtype == "int32" and below and below > 2**31):
            below = None
        return ValueType(self.dtype, below)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        result = self.result_type(x.type)
        if result == x.type:
            return x
        return empty_like(tape, x._replace(type=result), requires_grad=False)

    def made(self, *inputs: Shape) -> Made | None:
        return Made("archspec.runtime.modules.ToOwnPrecision") if self.dtype == "float" else None

    def source(self, own: str, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        if self.dtype == "float":
            return self.call(own, values, inputs)
        return self.expression(values, inputs)

    def expression(self, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        return f"{values[0]}.to(torch.{self.dtype})"
