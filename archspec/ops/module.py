"""The escape hatch: a Python class of another package as a node."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from archspec.ir.fields import Problem
from archspec.ir.op import Example, Made, Op, Weights
from archspec.ir.shape import Dim, Shape
from archspec.ir.tape import Tape, Tensor
from archspec.ir.types import EVERY, ValueType
from archspec.record import Record

if TYPE_CHECKING:
    from torch import nn

Plain: TypeAlias = str | int | float | bool | None
Value: TypeAlias = Plain | tuple[Plain | tuple[Plain, ...], ...]

MAX_INPUTS = 500
"""Values that one such node may read."""

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)


class Reads(Record):
    """The types of what it reads, and the names by which it is given, where `from` has names."""

    types: tuple[ValueType, ...] = ()
    names: tuple[str, ...] = ()


class ForeignModule(Op, name="module", primary="type"):
    """An `nn.Module` of another package, by its path: `module: torchvision.ops.Permute`.

    It runs that package's code, so it is refused unless the package is allowed by name. `args` and
    `kwargs` go to the class: numbers, text, truth values and lists of them. It reads one value or
    several: `from: [a, b]` gives them in the order of its `forward`, and `from: {x: a, memory: b}`
    by the names that `forward` has. It gives one value or several. Its types and figures are
    not static: they come from runs on the meta device and on the CPU, in `train()` and `eval()`,
    when the spec is compiled; memory when it is asked for. What archspec's own ops promise is
    checked as far as runs can: that the first axis stays the batch, that the cost grows with it,
    and that the inputs are left as they were. Multiply-accumulates are not counted where torch's
    counter does not know an op, as of a recurrent layer.
    """

    type: str
    args: tuple[Value, ...] = ()
    kwargs: Mapping[str, Value] = {}

    num_inputs = MAX_INPUTS
    optional_inputs = MAX_INPUTS - 1
    names_its_inputs = True
    takes = EVERY
    any_rank = True
    own_weights = True
    gives_several = True
    examples = (
        Example({"type": "torch.nn.Softsign"}, inputs=[("N", 3, 4)]),
        Example({"type": "torch.nn.GLU", "kwargs": {"dim": 1}}, inputs=[("N", 6, 5)]),
        Example({"type": "torch.nn.Linear", "args": (7, 5)}, inputs=[("N", 3, 7)]),
        Example({"type": "torch.nn.Bilinear", "args": (4, 3, 2)}, inputs=[("N", 4), ("N", 3)]),
        Example(
            {
                "type": "torch.nn.MultiheadAttention",
                "args": (4, 2),
                "kwargs": {"batch_first": True},
            },
            inputs=[("N", 5, 4), ("N", 3, 4), ("N", 3, 4)],
        ),
    )

    reads: ClassVar[Reads] = Reads()

    def __eq__(self, other: object) -> bool:
        """Whether both make the same module, whatever it reads."""
        return isinstance(other, ForeignModule) and self.arguments() == other.arguments()

    def __hash__(self) -> int:
        return hash((self.type, self.args, *self.kwargs))  # a mapping has no hash

    def problems(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        if not _PATH.fullmatch(self.type):
            message = "it is the path of a class, such as torchvision.ops.Permute"
            yield Problem("rule", "type", message)

    @property
    def foreign(self) -> str:
        return self.type

    @property
    def given_names(self) -> tuple[str, ...]:
        return self.reads.names

    def reading(self, types: Sequence[ValueType], names: Sequence[str]) -> ForeignModule:
        return self.changed({**vars(self), "reads": Reads(tuple(types), tuple(names))})

    def infer(self, *inputs: Shape) -> Shape | list[Shape]:
        from archspec.runtime.foreign import facts

        return facts(self, inputs).shapes

    def result_type(self, *types: ValueType) -> ValueType | list[ValueType]:
        from archspec.runtime.foreign import result_types

        return result_types(self, types)

    def weights(self, *inputs: Shape) -> Weights:
        from archspec.runtime.foreign import facts

        return facts(self, inputs).weights

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim | None:
        from archspec.runtime.foreign import facts

        return facts(self, inputs).macs

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor | list[Tensor]:
        from archspec.runtime.foreign import record

        return record(self, tape, inputs)

    def made(self, *inputs: Shape) -> Made:
        return Made(self.type, self.kwargs, self.args)

    def build(self, *inputs: Shape) -> nn.Module:
        from archspec.runtime.foreign import made

        return made(self)

    def call(self, own: str, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        if self.reads.names:
            named = zip(self.reads.names, values, strict=True)
            values = [f"{name}={value}" for name, value in named]
        return super().call(own, values, inputs)
