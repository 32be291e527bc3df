import pytest
import torch

from archspec.ir.fields import ArgumentsError
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N
from archspec.ir.tape import Tape


def built(shape, **args):
    return REGISTRY["stochastic_depth"](**args).build(shape)


@pytest.mark.parametrize("mode", ["row", "batch"])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("sizes", [(), (3,), (3, 4, 5), (2, 3, 4, 5)])
def test_is_torchvisions_with_the_same_draws(sizes, p, mode):
    ops = pytest.importorskip("torchvision.ops")
    ours, theirs = built((N, *sizes), p=p, mode=mode), ops.StochasticDepth(p, mode)
    x = torch.randn(16, *sizes)
    for training in (True, False):
        found = []
        for module in (ours, theirs):
            torch.manual_seed(3)
            value = x.clone().requires_grad_()
            y = module.train(training)(value)
            (y**2).sum().backward()
            # The draw that follows shows that equally many numbers were taken before it.
            found.append((y, value.grad, torch.rand(1)))
        for a, b in zip(*found, strict=True):
            assert torch.equal(a, b)


def test_whole_samples_are_dropped_and_the_rest_scaled():
    torch.manual_seed(0)
    x = torch.ones(1000, 2, 3)
    y = built((N, 2, 3), p=0.25)(x)
    rows = y.flatten(1)
    assert (rows == rows[:, :1]).all()
    assert set(rows.unique().tolist()) == {0.0, (torch.ones(1) / 0.75).item()}
    assert 0.2 < (rows[:, 0] == 0).float().mean() < 0.3


def test_a_batch_lives_or_dies_together():
    torch.manual_seed(0)
    module = built((N, 3), p=0.5, mode="batch")
    values = [module(torch.ones(4, 3)) for _ in range(50)]
    assert {tuple(y.unique().tolist()) for y in values} == {(0.0,), (2.0,)}


def test_row_is_the_default_mode():
    assert repr(built((N, 3), p=0.2)) == "StochasticDepth(p=0.2, mode=row)"


@pytest.mark.parametrize(
    ("args", "training", "expected"),
    [
        ({"p": 0.5}, True, 4 * 2),  # a float for each sample
        ({"p": 1.0}, True, 4 * 2),
        ({"p": 0.5, "mode": "batch"}, True, 4),
        ({"p": 0.0}, True, 0),
        ({"p": 0.5}, False, 0),
    ],
)
def test_saved_bytes(args, training, expected):
    tape = Tape(training=training)
    x = tape.new((2, 3, 4), requires_grad=True)
    y = REGISTRY["stochastic_depth"](**args).record(tape, x)
    assert tape.saved_bytes == expected
    assert (y is x) == (expected == 0)


def test_nothing_is_saved_for_an_input_that_learns_nothing():
    tape = Tape()
    REGISTRY["stochastic_depth"](p=0.5).record(tape, tape.new((2, 3), requires_grad=False))
    assert tape.saved_bytes == 0


@pytest.mark.parametrize(
    "args", [{}, {"p": 1.5}, {"p": -0.1}, {"p": True}, {"p": 0.5, "mode": "column"}]
)
def test_schema_refuses_what_is_no_rate_or_mode(args):
    with pytest.raises(ArgumentsError):
        REGISTRY["stochastic_depth"](**args)
