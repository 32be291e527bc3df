import inspect
import math

import pytest
import torch
from torch import nn

from archspec.ir.fields import ArgumentsError
from archspec.ir.infer import infer
from archspec.ir.op import Weight
from archspec.ir.tape import Tape
from archspec.ops.parameter import ParameterOp


def built(**args):
    torch.manual_seed(0)
    return ParameterOp(**args).build().detach()


def torchs(fill, *shape):
    torch.manual_seed(0)
    return fill(torch.empty(shape))


def test_is_a_tensor_without_batch_under_its_own_path():
    op = ParameterOp(shape=(1, 5, 8))
    assert infer(op, []) == ((1, 5, 8),)
    assert op.weights() == (Weight("", (1, 5, 8)),)
    assert isinstance(op.build(), nn.Parameter)
    assert op.build().requires_grad


@pytest.mark.parametrize(
    ("args", "fill"),
    [
        ({}, nn.init.zeros_),
        ({"init": "zeros"}, nn.init.zeros_),
        ({"init": "ones"}, nn.init.ones_),
        ({"init": "arange"}, lambda t: t.copy_(torch.arange(t.numel()).reshape(t.shape))),
        ({"init": "xavier_uniform"}, nn.init.xavier_uniform_),
        ({"init": "xavier_normal"}, nn.init.xavier_normal_),
        ({"init": "kaiming_uniform"}, lambda t: nn.init.kaiming_uniform_(t, nonlinearity="relu")),
        ({"init": "kaiming_normal"}, lambda t: nn.init.kaiming_normal_(t, nonlinearity="relu")),
        ({"init": "orthogonal"}, nn.init.orthogonal_),
        ({"init": 1e-6}, lambda t: nn.init.constant_(t, 1e-6)),
        ({"init": 2}, lambda t: nn.init.constant_(t, 2.0)),
        ({"init": "normal"}, nn.init.normal_),
        ({"init": "normal", "mean": 3, "std": 0.02}, lambda t: nn.init.normal_(t, 3.0, 0.02)),
        ({"init": "trunc_normal"}, nn.init.trunc_normal_),
        (
            {"init": "trunc_normal", "std": 0.5, "low": -0.1, "high": 0.2},
            lambda t: nn.init.trunc_normal_(t, 0.0, 0.5, -0.1, 0.2),
        ),
        ({"init": "uniform"}, nn.init.uniform_),
        ({"init": "uniform", "low": -3, "high": -1}, lambda t: nn.init.uniform_(t, -3.0, -1.0)),
    ],
)
def test_is_filled_as_torch_fills_it(args, fill):
    assert torch.equal(built(shape=(40, 5), **args), torchs(fill, 40, 5))


def test_costs_neither_memory_nor_macs():
    tape = Tape()
    op = ParameterOp(shape=(3, 4))
    value = op.record(tape)
    tape.save(value)
    assert (value.shape, value.strides, value.requires_grad) == ((3, 4), (4, 1), True)
    assert tape.saved_bytes == tape.allocated_bytes == 0
    assert op.macs([], [(3, 4)]) == 0


def test_a_single_number_may_be_learned():
    assert infer(ParameterOp(shape=()), []) == ((),)
    assert built(shape=(), init=0.5).item() == 0.5


@pytest.mark.parametrize(
    ("args", "where", "says"),
    [
        ({"shape": (0,)}, "shape", "greater than 0"),
        ({"shape": (3, True)}, "shape", "valid integer"),
        ({"shape": (3,), "std": 0.1}, "std", "`init: zeros` does not read `std`"),
        (
            {"shape": (3,), "init": "uniform", "mean": 0.5},
            "mean",
            "`init: uniform` does not read `mean`",
        ),
        ({"shape": (3,), "init": 0.5, "low": 0}, "low", "`init: 0.5` does not read `low`"),
        ({"shape": (3,), "init": "normal", "std": 0}, "std", "greater than 0"),
        ({"shape": (3,), "init": "uniform", "low": 1}, "", "low is 1, which is not below high, 1"),
        (
            {"shape": (3,), "init": "trunc_normal", "low": 3, "high": -3},
            "",
            "low is 3, which is not below high, -3",
        ),
        ({"shape": (3,), "init": math.inf}, "init", "finite"),
        ({"shape": (3,), "init": "xavier"}, "init", "'zeros', 'ones'"),
        ({}, "shape", "required"),
    ],
)
def test_schema_refuses(args, where, says):
    with pytest.raises(ArgumentsError) as refused:
        ParameterOp(**args)
    problems = refused.value.problems
    assert any(p.argument == where and says in p.message for p in problems), problems


def test_defaults_are_torch_s_own():
    def defaults(function, *names):
        return [inspect.signature(function).parameters[name].default for name in names]

    op = ParameterOp(shape=(2,))
    assert [op.mean, op.std] == defaults(nn.init.normal_, "mean", "std")
    drawn = ParameterOp(shape=(2,), init="trunc_normal")
    expected = defaults(nn.init.trunc_normal_, "mean", "std", "a", "b")
    assert [drawn.mean, drawn.std, *drawn._bounds()] == expected
    assert [*ParameterOp(shape=(2,), init="uniform")._bounds()] == defaults(
        nn.init.uniform_, "a", "b"
    )
    assert op.init == "zeros" and op.build().tolist() == [0.0, 0.0]
