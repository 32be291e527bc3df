"""Nothing that is no number is saved: weights, buffers, and those of the average."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from archspec.training import train
from archspec.training.distributed import Processes
from archspec.training.errors import TrainingError
from archspec.training.finite import FiniteCheck
from archspec.training.loop import Trainer
from archspec.training.store import checkpoint


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)


@pytest.fixture
def net():
    return Net()


@pytest.fixture
def watch(net):
    return FiniteCheck((net, deepcopy(net)), Processes())


def test_a_sound_network_with_a_mask_of_infinities_is_left_alone(net, watch):
    net.scratch.fill_(torch.nan)  # is not saved
    net.norm.running_var.fill_(1e30)  # large, and its square too large, but a number
    assert watch.problem() is None


def test_what_is_not_finite_is_named(net, watch):
    net.norm.running_var[1] = torch.inf
    assert watch.problem() == (
        "the buffers norm.running_var, which follow the values of batches, are not finite"
    )
    watch.nets[1].linear.bias.data[0] = torch.nan
    assert watch.problem() == "the weights linear.bias (of the average) are not finite"


def test_weights_whose_norm_overflows_are_named(net, watch):
    net.linear.weight.data.fill_(1e38)
    assert watch.problem() == "the weights linear.weight are too large for float32"


@pytest.mark.parametrize("more", [{}, {"ema": 0.9}])
def test_statistics_that_overflow_are_not_saved(more, small, tmp_path):
    """Values whose squares overflow give a variance of infinity, and then a finite loss."""

    class Loud(Trainer):
        def forward(self, images, labels):
            return super().forward(images * (1e25 if self.position.step == 8 else 1), labels)

    with pytest.raises(TrainingError) as caught:
        train(small, run=tmp_path / "run", trainer=Loud, limit_train=100, limit_test=40, **more)
    too = ", 1.running_var (of the average)" if more else ""
    assert str(caught.value) == (
        f"the buffers 1.running_var{too}, which follow the values of batches, are not finite after "
        "step 12, at a learning rate of 0.01. The last checkpoint is intact. A smaller --lr, "
        "--warmup or --clip-norm may help"
    )
    tree = checkpoint.load(tmp_path / "run" / "checkpoints" / checkpoint.LAST)
    assert tree["position"]["step"] == 6
    assert all(tensor.isfinite().all() for tensor in tree["model"].values())
