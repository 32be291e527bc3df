"""Batch normalisation whose statistics are those of all processes' images together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm

from archspec.runtime.modules import BatchNormScratch
from archspec.training.errors import TrainingError


def synchronised(net: nn.Module, device: torch.device) -> nn.Module:
    """`net` with its batch normalisations synchronised, under the same names.

    Raises `TrainingError` where torch has no such thing for the device.
    """
    if device.type != "cuda" and any(isinstance(each, _BatchNorm) for each in net.modules()):
        raise TrainingError("--sync-batch-norm needs GPUs: torch has it for no other device")
    if not dist.is_initialized():
        return net
    for module in net.modules():
        if type(module) is BatchNormScratch:
            module.__class__ = SyncBatchNormScratch  # it keeps its weights and statistics
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
    return converted


class SyncBatchNormScratch(BatchNormScratch):
    """`BatchNormScratch` over the batches of all processes, which may differ in size."""

    def _mean(self, x: Tensor) -> Tensor:
        sums = x.sum(dim=self.axes, keepdim=True)
        count = sums.new_tensor([x.numel() / sums.numel()])
        total = _SumOverAll.apply(torch.cat([sums.flatten(), count]))
        assert isinstance(total, Tensor)
        return (total[:-1] / total[-1]).view_as(sums)


class _SumOverAll(torch.autograd.Function):
    """Every process has the sum, so a gradient with respect to a part is the sum of all theirs."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _summed(x: Tensor) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total
