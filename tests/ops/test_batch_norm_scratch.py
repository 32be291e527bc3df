import pytest
import torch
from torch import nn

from archspec.ir.op import REGISTRY
from archspec.ir.shape import N
from archspec.runtime.modules import BatchNormScratch


def course_text(x, gamma, beta, moving_mean, moving_var, training, eps=1e-5, momentum=0.9):
    """The function as the course text has it, for (n, c) and (n, c, h, w)."""
    if not training:
        x_hat = (x - moving_mean) / torch.sqrt(moving_var + eps)
    else:
        axes = (0,) if x.dim() == 2 else (0, 2, 3)
        mean = x.mean(dim=axes, keepdim=True)
        var = ((x - mean) ** 2).mean(dim=axes, keepdim=True)
        x_hat = (x - mean) / torch.sqrt(var + eps)
        moving_mean = momentum * moving_mean + (1.0 - momentum) * mean
        moving_var = momentum * moving_var + (1.0 - momentum) * var
    return gamma * x_hat + beta, moving_mean, moving_var


def filled(shape, **args):
    module = REGISTRY["batch_norm_scratch"](**args).build(shape)
    with torch.no_grad():
        module.gamma.uniform_(0.5, 2.0)
        module.beta.uniform_(-1.0, 1.0)
    return module


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5, 6)])
def test_follows_the_course_text_bit_for_bit(shape):
    module = filled((N, *shape[1:]), eps=0.01, momentum=0.8)
    mean = var = torch.zeros(1, 3, *(1 for _ in shape[2:]))
    for _ in range(3):
        x = torch.randn(shape)
        y, mean, var = course_text(x, module.gamma, module.beta, mean, var, True, 0.01, 0.8)
        assert torch.equal(module.train()(x), y)
        assert torch.equal(module.moving_mean, mean)
        assert torch.equal(module.moving_var, var)
    y, _, _ = course_text(x, module.gamma, module.beta, mean, var, False, 0.01)
    assert torch.equal(module.eval()(x), y)
    assert torch.equal(module.moving_mean, mean)


def test_normalises_as_torch_does_in_training():
    scratch, torchs = filled((N, 3, 5, 6)), nn.BatchNorm2d(3)
    torchs.weight.data, torchs.bias.data = scratch.gamma.data.flatten(), scratch.beta.data.flatten()
    x = torch.randn(4, 3, 5, 6, requires_grad=True)
    ours, theirs = scratch(x), torchs(x)
    assert torch.allclose(ours, theirs, atol=1e-5)
    (ours_grad,), (theirs_grad,) = (torch.autograd.grad((y**3).sum(), x) for y in (ours, theirs))
    assert torch.allclose(ours_grad, theirs_grad, atol=1e-3)


def test_statistics_start_at_zero_and_are_buffers():
    module = REGISTRY["batch_norm_scratch"]().build((N, 3, 5, 6))
    assert list(module.state_dict()) == ["gamma", "beta", "moving_mean", "moving_var"]
    assert [name for name, _ in module.named_buffers()] == ["moving_mean", "moving_var"]
    assert not module.moving_mean.any()
    assert not module.moving_var.any()
    assert module.double().moving_var.dtype is torch.float64


def test_the_buffers_stay_the_same_tensors():
    module = BatchNormScratch(3, rank=2)
    before = module.moving_mean
    module(torch.randn(4, 3) + 1)
    assert module.moving_mean is before
    assert before.all()


def test_can_be_traced_and_exported():
    module = filled((N, 3, 5, 6)).eval()
    x = torch.randn(2, 3, 5, 6)
    assert torch.equal(torch.fx.symbolic_trace(module)(x), module(x))
    assert torch.equal(torch.export.export(module, (x,)).module()(x), module(x))
