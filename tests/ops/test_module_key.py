"""Where `share` may use one module for two inputs: where each would have made the same one."""

import itertools

import pytest
import torch
from torch import nn

from archspec.diagnostics.diagnostic import Refusal
from archspec.emit.module import _description
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY, Op
from archspec.ir.shape import N
from archspec.testing import contract as testing

SHAPES = [
    *((N, 6), (N, 6, 6), (N, 6, 6, 6), (N, 6, 6, 6, 6), (N, 5, 6), (N, 6, 5), (N, 5, 5, 6)),
    *((N, 8, 3, 3), (N, 8, 4)),
    *((N, 3, 6, 5), (N, 6, 5, 5), (N, 6, 3, 4, 4), (N, 2, 2, 6, 6), (1, 3, 5, 4), (9, 3)),
]
MODULES = sorted(
    name for name, op in REGISTRY.items() if op.expression is Op.expression and op.num_inputs == 1
)


def accepted(op, shape):
    try:
        infer(op, [shape])
    except Refusal:
        return False
    return True


def key(op, shape):
    return op.weights(shape), op.module_key(shape)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODULES)
def test_equal_keys_mean_the_same_module_and_no_others_do(name):
    compared = 0
    for call in testing.examples(name):
        op, (own,) = call.op, call.inputs
        shapes = [shape for shape in dict.fromkeys([own, *SHAPES]) if accepted(op, shape)]
        for one, other in itertools.combinations(shapes, 2):
            first, second = op.build(one), op.build(other)
            compared += 1
            assert (key(op, one) == key(op, other)) == (
                _description(first) == _description(second)
            ), (one, other)
            if isinstance(first, nn.Module) and key(op, one) == key(op, other):
                first.eval().load_state_dict(second.eval().state_dict())
                for batch in (2, 3):
                    case = testing.OpCase(op, (other,), call.types)
                    (x,) = testing.drawn_inputs(case, batch)
                    expected = testing.applied(case, second)(x)
                    assert torch.equal(testing.applied(case, first)(x), expected)
    assert compared, "no two shapes were accepted"


def test_the_default_is_a_module_for_each_rank():
    assert Op.module_key(REGISTRY["exp"](), (N, 3), (N, 3, 4)) == (2, 3)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_an_op_builds_a_module_or_is_an_expression(name):
    for call in testing.examples(name):
        names = [f"x{number}" for number in range(len(call.inputs))]
        built = call.op.build(*call.inputs)
        if names or built is None:  # a tensor of its own is the value where it reads none
            assert (built is not None) == ("own" in call.op.source("own", names, call.inputs))
