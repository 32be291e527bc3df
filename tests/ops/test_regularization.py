import warnings

import pytest
import torch
from torch import nn

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import ArgumentsError
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N
from archspec.ir.tape import Tape


@pytest.mark.parametrize(
    ("name", "args", "torchs"),
    [
        ("dropout", {}, nn.Dropout()),
        ("dropout", {"p": 0.2}, nn.Dropout(0.2)),
        ("dropout2d", {"p": 0}, nn.Dropout2d(0.0)),
        ("identity", {}, nn.Identity()),
    ],
)
def test_is_torchs_module(name, args, torchs):
    module = REGISTRY[name](**args).build((N, 3, 4, 5))
    assert type(module) is type(torchs)
    assert repr(module) == repr(torchs)


@pytest.mark.parametrize(
    ("name", "p", "training", "expected"),
    [
        ("dropout", 0.5, True, 2 * 3 * 4 * 5 * 4),  # a float for each element
        ("dropout2d", 0.5, True, 2 * 3 * 4),  # a float for each channel of each sample
        ("dropout", 1.0, True, 4),
        ("dropout2d", 1.0, True, 4),
        ("dropout", 0.0, True, 0),
        ("dropout", 0.5, False, 0),
        ("dropout2d", 0.5, False, 0),
    ],
)
def test_saved_bytes(name, p, training, expected):
    tape = Tape(training=training)
    x = tape.new((2, 3, 4, 5), requires_grad=True)
    y = REGISTRY[name](p=p).record(tape, x)
    assert tape.saved_bytes == expected
    assert (y is x) == (expected == 0)


def test_nothing_is_saved_for_an_input_that_learns_nothing():
    tape = Tape()
    REGISTRY["dropout"]().record(tape, tape.new((2, 3), requires_grad=False))
    assert tape.saved_bytes == 0


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(N,), (N, 3), (N, 3, 4), (N, 3, 4, 5), (N, 3, 4, 5, 2)])
def test_dropout2d_takes_the_ranks_that_torch_takes(shape, p):
    x = torch.randn([2 if dim is N else dim for dim in shape])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if shape == (N,) and p == 0.5:
            with pytest.raises(RuntimeError, match="at least 2 dimensions"):
                nn.Dropout2d(p)(x)
            with pytest.raises(Refusal) as refused:
                infer(REGISTRY["dropout2d"](p=p), [shape])
            assert refused.value.code is Code.RANK
        else:
            assert nn.Dropout2d(p)(x).shape == x.shape
            assert infer(REGISTRY["dropout2d"](p=p), [shape]) == (shape,)


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan"), "0.5", True])
def test_schema_refuses_what_is_no_probability(p):
    for name in ("dropout", "dropout2d"):
        with pytest.raises(ArgumentsError):
            REGISTRY[name](p=p)
