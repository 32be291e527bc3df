"""The checks that users get must notice an op that lies, and let a true one pass."""

import pytest
from hypothesis import find, given, settings

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY, Weight
from archspec.ir.shape import N
from archspec.ir.types import INT64
from archspec.ops.linear import Linear
from archspec.ops.merge import Mul
from archspec.ops.reshape import Chunk
from archspec.testing import contract as testing


class WrongShape(Linear):
    def infer(self, *inputs):
        return (*inputs[0][:-1], self.out_features + 1)


class ForgottenBias(Linear):
    def weights(self, *inputs):
        return super().weights(*inputs)[:1]


class WrongDtype(Linear):
    def weights(self, *inputs):
        weight, bias = super().weights(*inputs)
        return weight, Weight(bias.name, bias.shape, type=INT64)


class CountsOneRow(Linear):
    def macs(self, inputs, outputs):
        return inputs[0][-1] * self.out_features


class ForgetsToSave(Linear):
    def record(self, tape, *inputs):
        return tape.new((*inputs[0].shape[:-1], self.out_features), requires_grad=True)


class WrongLayout(Linear):
    def record(self, tape, *inputs):
        y = super().record(tape, *inputs)
        return y.viewed(y.shape, tuple(reversed(y.strides)))


class RefusesTooMuch(Linear):
    def infer(self, *inputs):
        raise Refusal("not today")


@pytest.mark.parametrize(
    "kind",
    [
        *(WrongShape, ForgottenBias, WrongDtype, CountsOneRow),
        *(ForgetsToSave, WrongLayout, RefusesTooMuch),
    ],
)
def test_a_lie_is_noticed(kind):
    shape = (N, 3, 7)
    assert testing.check_call(testing.OpCase(Linear(out_features=5), (shape,)))
    with pytest.raises(AssertionError):
        testing.check_call(testing.OpCase(kind(out_features=5), (shape,)))


def test_an_op_that_accepts_too_much_is_noticed():
    class Careless(Mul):
        def infer(self, *inputs):
            return inputs[0]

    call = testing.OpCase(Careless(), ((N, 3), (N, 4)))
    with pytest.raises(RuntimeError, match="must match the size"):
        testing.check_call(call)


def test_a_copy_stated_for_a_view_is_noticed():
    class Copies(Chunk):
        def record(self, tape, *inputs):
            return [
                tape.new(y.shape, requires_grad=y.requires_grad, strides=y.strides)
                for y in super().record(tape, *inputs)
            ]

    with pytest.raises(AssertionError):
        testing.check_call(testing.OpCase(Copies(chunks=2), ((N, 4, 3),)))


def test_a_documented_rule_needs_no_failure_of_torch():
    softmax = REGISTRY["softmax"](dim=0)
    assert testing.real_call(testing.OpCase(softmax, ((N, 7),)), 2).outputs[0].shape == (2, 7)
    assert not testing.check_call(testing.OpCase(softmax, ((N, 7),)))


@pytest.mark.parametrize(("name", "op"), sorted(REGISTRY.items()))
def test_drawn_calls_fit_the_schema_and_the_arity(name, op):
    @settings(max_examples=20)
    @given(testing.op_calls(name))
    def fits(call):
        assert type(call.op) is op
        assert op(**call.op.arguments()) == call.op
        assert all(dim is N or dim >= 1 for shape in call.inputs for dim in shape)
        try:
            infer(call.op, call.inputs)
        except Refusal as refusal:
            assert refusal.code is not Code.ARITY

    fits()


def test_every_optional_argument_is_drawn_sometimes():
    for field in REGISTRY["conv2d"].fields():
        call = find(testing.op_calls("conv2d"), lambda c, f=field: f in c.op.arguments())
        assert field in call.op.arguments()
