"""Finds where a loss that is not finite comes from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from archspec.training.optimise import local

BAD_IMAGES = "the images hold values that are not finite"


def first_bad(net: nn.Module, images: Tensor, run: Callable[[], Tensor]) -> str | None:
    """The first place where a value is not finite: the images, a weight, a layer, the loss.

    None where all is finite. `run` computes the loss of the batch with `net`, whose modules are
    watched meanwhile. It is always called, because several processes may have to call it together.
    """
    found: list[str] = []
    handles = [
        module.register_forward_hook(partial(_watch, found, name))
        for name, module in net.named_modules()
        if name
    ]
    try:
        with torch.no_grad():
            loss = run()
    finally:
        for handle in handles:
            handle.remove()
    if not _finite(images):
        return BAD_IMAGES
    for name, weight in net.named_parameters():
        if not _finite(local(weight)):
            return (
                f"the weight {name} is not finite: the update before was too large, "
                "or its gradient overflowed"
            )
    if found:
        return f"it first appeared in the output of layer {found[0]}"
    if _finite(loss):
        return None
    return "every layer's output is finite: it appeared in the loss itself"


def _watch(found: list[str], name: str, module: nn.Module, inputs: object, output: object) -> None:
    """Notes the first module with a bad output. Inner modules run before those around them."""
    if not found and isinstance(output, Tensor) and not _finite(output):
        found.append(f"{name} ({type(module).__name__})")


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
