"""Recurrent layers: a sequence read step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir import tape as tapes
from archspec.ir.fields import Bounds, Problem
from archspec.ir.op import (
    Doubt,
    Example,
    Made,
    NonNegativeInt,
    Op,
    PositiveInt,
    Probability,
    Weight,
    Weights,
)
from archspec.ir.shape import Dim, N, Shape, expect_rank, show
from archspec.ir.tape import Tape, Tensor


class _Recurrent(Op):
    """Base of the recurrent layers.

    A layer has a cell for each direction. `gates` counts the matrices of a cell, and `kept` the
    tensors of hidden size that autograd keeps at each step, of which `keeps_output` says whether h
    is one. `with_states` is the function that turns the states of the module's result.
    """

    hidden_size: PositiveInt
    num_layers: Annotated[int, Bounds(gt=0, le=1000)] = 1
    bias: bool = True
    dropout: Probability = 0.0
    bidirectional: bool = False
    return_state: bool = False

    since = "0.2"
    primary = "hidden_size"
    num_inputs = 2
    optional_inputs = 1
    input_names: ClassVar[tuple[str, ...]] = ("input", "h")
    gives_several = True
    drops = True
    own_weights = True
    any_rank = True
    gates: ClassVar[int]
    kept: ClassVar[int]
    keeps_output: ClassVar[bool] = False
    with_states: ClassVar[str] = "with_state"
    examples: ClassVar[tuple[Example, ...]] = (
        Example({"hidden_size": 7}, inputs=[("N", 4, 5)]),
        Example(
            {"hidden_size": 3, "num_layers": 2, "bidirectional": True, "dropout": 0.2},
            inputs=[("N", 4, 5)],
        ),
        Example({"hidden_size": 3, "bias": False, "return_state": True}, inputs=[("N", 4, 5)]),
        Example({"hidden_size": 3, "num_layers": 2}, inputs=[("N", 4, 5), ("N", 2, 3)]),
    )

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _out(self) -> int:
        """Features that a direction gives at each step."""
        return self.hidden_size

    def _state_shapes(self) -> tuple[Shape, ...]:
        """The states of all layers and directions, the batch first."""
        return ((N, self.num_layers * self._directions, self._out),)

    def infer(self, *inputs: Shape) -> Shape | list[Shape]:
        x, *states = inputs
        expect_rank(x, 3, unbatched=2)
        shapes = self._state_shapes()
        if states and len(states) != len(shapes):
            raise Refusal(
                f"it reads {' and '.join(self.input_names[1:])}, or neither",
                code=Code.ARITY,
                expected=f"1 or {1 + len(shapes)} inputs",
                found=str(len(inputs)),
            )
        for name, given, shape in zip(self.input_names[1:], states, shapes, strict=False):
            if given != shape:
                raise Refusal(
                    f"the state {name} is {show(given)}",
                    expected=f"{show(shape)}: N, layers times directions, features",
                    found=show(given),
                )
        y = (*x[:2], self._directions * self._out)
        return [y, *shapes] if self.return_state else y

    def doubt(self, *inputs: Shape) -> Doubt | None:
        if not self.dropout or self.num_layers > 1:
            return None
        return Doubt(
            "its `dropout` is between layers, and it has one",
            "remove it, or put `dropout` after the node",
        )

    def _cells(self, features: Dim) -> Iterator[tuple[str, Dim]]:
        """The suffix of each cell's weights, and the features that it reads."""
        for layer in range(self.num_layers):
            for suffix in ("", "_reverse")[: self._directions]:
                yield f"l{layer}{suffix}", features
            features = self._directions * self._out

    def weights(self, *inputs: Shape) -> Weights:
        owned: list[Weight] = []
        rows = self.gates * self.hidden_size
        for cell, features in self._cells(inputs[0][2]):
            owned.append(Weight(f"weight_ih_{cell}", (rows, features)))
            owned.append(Weight(f"weight_hh_{cell}", (rows, self._out)))
            if self.bias:
                owned += [Weight(f"bias_{which}_{cell}", (rows,)) for which in ("ih", "hh")]
            owned += self._projection(cell)
        return tuple(owned)

    def _projection(self, cell: str) -> list[Weight]:
        return []

    def macs(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim:
        x = inputs[0]
        rows = self.gates * self.hidden_size
        cells = [rows * (features + self._out) for _, features in self._cells(x[2])]
        cells += [self.hidden_size * self._out for _ in cells if self._out != self.hidden_size]
        return x[1] * sum(cells)

    def record(self, tape: Tape, *inputs: Tensor) -> Tensor | list[Tensor]:
        batch, length, _ = inputs[0].shape
        learns = not tape.frozen or any(x.requires_grad for x in inputs)
        x = _swapped(inputs[0])
        initial = self._record_initial(tape, inputs[1:], batch)
        if learns:
            tape.save(*initial[tape.frozen :])
        for layer in range(self.num_layers):
            if layer and self.dropout and tape.training:
                noise = tape.new(() if self.dropout == 1 else x.shape, requires_grad=False)
                x = tape.new(x.shape, requires_grad=learns)
                if learns:
                    tape.save(noise)
            for _ in range(self._directions if learns else 0):
                if not tape.frozen:
                    tape.save(tapes.reshape(tape, x, (length * batch, x.shape[2])))
                self._record_steps(tape, length, batch)
            x = tape.new((length, batch, self._directions * self._out), requires_grad=learns)
        if not self.return_state:
            return _swapped(x)
        shapes = [(shape[1], batch, shape[2]) for shape in self._state_shapes()]
        ends = [tape.new(shape, requires_grad=learns) for shape in shapes]
        return [_swapped(each) for each in (x, *ends)]

    def _record_initial(self, tape: Tape, given: Sequence[Tensor], batch: int) -> list[Tensor]:
        """The states before the first step, as torch has them: zeros where they are not given."""
        if given:
            return [tapes.contiguous(tape, _swapped(state)) for state in given]
        shapes = [(shape[1], batch, shape[2]) for shape in self._state_shapes()]
        return [tape.new(shape, requires_grad=False) for shape in shapes]

    def _record_steps(self, tape: Tape, length: int, batch: int) -> None:
        """What a cell keeps of its steps, but for the states before the first.

        Each step has tensors of its own; those of all steps are one here, with as many bytes.
        """
        hidden = (length, batch, self.hidden_size)
        tape.save(*[tape.new(hidden, requires_grad=True) for _ in range(self.kept)])
        if not tape.frozen and not self.keeps_output:  # what each next step multiplies
            tape.save(tape.new((length - 1, batch, self._out), requires_grad=True))

    def made(self, *inputs: Shape) -> Made:
        given = {key: value for key, value in vars(self).items() if key != "return_state"}
        if self.num_layers == 1:
            given["dropout"] = 0.0  # torch warns of it
        path = f"torch.nn.{self.op_name.upper()}"
        return Made(path, {"input_size": inputs[0][2], **given, "batch_first": True})

    def call(self, own: str, values: Sequence[str], inputs: Sequence[Shape]) -> str:
        x, *states = values
        swapped = [f"{state}.transpose(0, 1).contiguous()" for state in states]
        given = [x, f"({', '.join(swapped)})" if len(swapped) > 1 else "".join(swapped)]
        result = f"{own}({', '.join(filter(None, given))})"
        if not self.return_state:
            return f"{result}[0]"
        return f"{self.with_states}({result})"


class LSTM(_Recurrent, name="lstm"):
    """Long short-term memory (N, L, features) to (N, L, hidden_size), by torch's `LSTM`.

    Hochreiter and Schmidhuber, Long Short-Term Memory (1997). Both directions stand side by side
    in the last axis. `dropout` is between layers; `proj_size` maps each h to fewer features. With
    `return_state` it also gives the last states h and c, (N, layers * directions, features): `y[1]`
    and `y[2]` of a node `y`. The first states are inputs h and c, or zeros. Its weights are drawn
    as torch draws them, whatever a network's `init:` is. Memory is what torch's own cell keeps: a
    fused kernel, as oneDNN's and cuDNN's, keeps a workspace of its own instead.
    """

    proj_size: NonNegativeInt = 0

    num_inputs = 3
    optional_inputs = 2
    input_names = ("input", "h", "c")
    gates = 4
    kept = 5
    with_states = "with_states"
    examples = (
        *_Recurrent.examples[:-1],
        Example(
            {"hidden_size": 3, "num_layers": 2, "return_state": True},
            inputs=[("N", 4, 5), ("N", 2, 3), ("N", 2, 3)],
        ),
        Example(
            {"hidden_size": 3, "bidirectional": True, "proj_size": 2},
            inputs=[("N", 4, 5), ("N", 2, 2), ("N", 2, 3)],
        ),
    )

    def problems(self, given: Mapping[str, Any]) -> Iterator[Problem]:
        if self.proj_size >= self.hidden_size:
            yield Problem("rule", "proj_size", f"it is below hidden_size, {self.hidden_size}")

    @property
    def _out(self) -> int:
        return self.proj_size or self.hidden_size

    def _state_shapes(self) -> tuple[Shape, ...]:
        count = self.num_layers * self._directions
        return (N, count, self._out), (N, count, self.hidden_size)

    def _projection(self, cell: str) -> list[Weight]:
        shape = (self.proj_size, self.hidden_size)
        return [Weight(f"weight_hr_{cell}", shape)] if self.proj_size else []

    def _record_steps(self, tape: Tape, length: int, batch: int) -> None:
        super()._record_steps(tape, length, batch)
        more = length - 1  # the cell states between steps
        if self.proj_size and not tape.frozen:
            more += length  # what is projected
        tape.save(tape.new((more, batch, self.hidden_size), requires_grad=True))


class GRU(_Recurrent, name="gru"):
    """Gated recurrent units (N, L, features) to (N, L, hidden_size), by torch's `GRU`.

    Cho et al. (arXiv 1406.1078), with the reset gate after the product, as torch has it. Both
    directions stand side by side in the last axis. `dropout` is between layers. With
    `return_state` it also gives the last state (N, layers * directions, hidden_size): `y[1]` of a
    node `y`. The first state is an input h, or zeros. Its weights are drawn as torch draws them.
    """

    gates = 3
    kept = 6


class RNN(_Recurrent, name="rnn"):
    """A plain recurrent layer (N, L, features) to (N, L, hidden_size), by torch's `RNN`.

    Elman, Finding Structure in Time (1990): h = tanh(W x + U h), or `relu`. Both directions stand
    side by side in the last axis. `dropout` is between layers. With `return_state` it also gives
    the last state (N, layers * directions, hidden_size): `y[1]` of a node `y`. The first state is
    an input h, or zeros. Its weights are drawn as torch draws them.
    """

    nonlinearity: Literal["tanh", "relu"] = "tanh"

    gates = 1
    kept = 1
    keeps_output = True


def _swapped(x: Tensor) -> Tensor:
    """The first two axes exchanged: torch puts the steps first."""
    (a, b, c), (down, right, step) = x.shape, x.strides
    return x.viewed((b, a, c), (right, down, step))
