"""The escape hatch: a Python class of another package as a node."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from archspec.ir.fields import Problem
from archspec.ir.op import Example, Op, Weights
from archspec.ir.shape import Dim, Shape
from archspec.ir.tape import Tape, Tensor
from archspec.ir.types import ValueType

if TYPE_CHECKING:
    from torch import nn

Plain: TypeAlias = str | int | float | bool | None
Value: TypeAlias = Plain | tuple[Plain | tuple[Plain, ...], ...]

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)


class ForeignModule(Op, name="module", primary="type"):
    """An `nn.Module` of another package, by its path: `module: torchvision.ops.Permute`.

    It runs that package's code, so it is refused unless the package is allowed by name. `args` and
    `kwargs` go to the class: numbers, text, truth values and lists of them. It reads one value of
    floats and gives one value or several, of float, int64, int32 or bool. Its types and figures are
    not static: they come from runs on the meta device and on the CPU, in `train()` and `eval()`,
    when the spec is compiled; memory when it is asked for. What archspec's own ops promise is
    checked as far as runs can: that the first axis stays the batch, that the cost grows with it,
    and that the input is left as it was. Multiply-accumulates are not counted where torch's counter
    does not know an op, as of a recurrent layer.
    """

    type: str
    args: tuple[Value, ...] = ()
    kwargs: Mapping[str, Value] = {}

    any_rank = True
    own_weights = True
    gives_several = True
    examples = (
        Example({"type": "torch.nn.Softsign"}, inputs=[("N", 3, 4)]),
        Example({"type": "torch.nn.GLU", "kwargs": {"dim": 1}}, inputs=[("N", 6, 5)]),
        Example({"type": "torch.nn.Linear", "args": (7, 5)}, inputs=[("N", 3, 7)]),
    )

    def __hash__(self) -> int:
        return hash((self.type, self.args, *self.kwargs))  # a mapping has no hash

    def problems(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        if not _PATH.fullmatch(self.type):
            message = "it is the path of a class, such as torchvision.ops.Permute"
            yield Problem("rule", "type", message)

    @property
    def foreign(self) -> str:
        return self.type

    def infer(self, *inputs: Shape) -> Shape | list[Shape]:
        from archspec.runtime.foreign import facts

        return facts(self, inputs[0]).shapes

    def result_type(self, *types: ValueType) -> ValueType | list[ValueType]:
        from archspec.runtime.foreign import result_types

        return result_types(self)

    def help_for_type(self, given: ValueType) -> str | None:
        if self.type == "torch.nn.Embedding":
            return "the op `embedding` looks rows up by integers"
        return super().help_for_type(given)

    def weights(self, *inputs: Shape) -> Weights:
        from archspec.runtime.foreign import facts

        return facts(self, inputs[0]).weights

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim | None:
        from archspec.runtime.foreign import facts

        return facts(self, inputs[0]).macs

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor | list[Tensor]:
        from archspec.runtime.foreign import record

        return record(self, tape, inputs[0])

    def build(self, *inputs: Shape) -> nn.Module:
        from archspec.runtime.foreign import made

        return made(self)
