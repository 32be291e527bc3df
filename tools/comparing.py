"""What the comparisons of a spec with a module of PyTorch are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn

from archspec.emit.initialize import SkipFilling

SEED = 20
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass
class Step:
    """Everything that one forward and backward pass in `train()` leaves behind."""

    outputs: dict[str, Tensor]
    gradients: dict[str, Tensor]
    buffers: dict[str, Tensor]


@contextmanager
def unfilled() -> Iterator[None]:
    """Models made inside get no initial values, except constants such as positions.

    torch's `trunc_normal_` draws until all values are within its bounds, so it must not start.
    """
    with SkipFilling(), patch.object(nn.init, "trunc_normal_", lambda tensor, *a, **k: tensor):
        yield


def fill(module: nn.Module, generator: torch.Generator) -> None:
    """Give every parameter and buffer a random value that keeps activations in a sane range.

    Kernels have the scale of He et al. (arXiv 1502.01852); normalisation has weights near 1, and
    positive variances above 1 that keep sums of residual branches from growing.
    """
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if not tensor.is_floating_point():
                if name.endswith("num_batches_tracked"):  # any other holds positions
                    tensor.random_(1, 100, generator=generator)
            elif tensor.dim() > 1:
                tensor.normal_(0.0, (2.0 / tensor[0].numel()) ** 0.5, generator=generator)
            elif name.endswith("running_var"):
                tensor.uniform_(1.0, 2.0, generator=generator)
            else:
                is_scale = name.endswith("weight")
                tensor.normal_(1.0 if is_scale else 0.0, 0.1, generator=generator)


def settle(module: nn.Module, apply: Callable[[], object], generator: torch.Generator) -> None:
    """Move running statistics near to those of what `apply` feeds, but not onto them.

    With random statistics, many deep networks have equal outputs for all inputs.
    """

    def near(norm: nn.Module, values: tuple[Tensor, ...]) -> None:
        (x,) = values
        axes = (0, *range(2, x.dim()))
        mean, var = x.mean(axes), x.var(axes, correction=0)
        drift = 0.2 * torch.randn(mean.shape, generator=generator)
        assert isinstance(norm.running_mean, Tensor) and isinstance(norm.running_var, Tensor)
        norm.running_mean.copy_(mean + drift * var.sqrt())
        norm.running_var.copy_(var * (0.5 + torch.rand(var.shape, generator=generator)) + 1e-3)

    norms = [each for each in module.modules() if isinstance(each, NORMS)]
    hooks = [norm.register_forward_pre_hook(near) for norm in norms]
    module.eval()
    with torch.no_grad():
        apply()
    for hook in hooks:
        hook.remove()


def patterns(shape: tuple[int, ...]) -> Tensor:
    """Images with structure: white noise would look the same to every network that averages."""
    generator = torch.Generator().manual_seed(SEED + 1)
    coarse = torch.randn(*shape[:2], 4, 4, generator=generator)
    fine = torch.randn(*shape, generator=generator)
    return 2 * nn.functional.interpolate(coarse, size=shape[2:], mode="bilinear") + 0.5 * fine


def training_step(module: nn.Module, images: Tensor) -> Step:
    """One pass in `train()` from a fixed seed, with random gradients at the outputs."""
    module.train().zero_grad()
    torch.manual_seed(SEED)
    result = module(images)
    outputs = named_outputs(result)
    generator = torch.Generator().manual_seed(SEED + 2)
    cotangents = [torch.randn(o.shape, generator=generator) for o in outputs.values()]
    torch.autograd.backward(list(outputs.values()), cotangents)
    step = Step(
        {key: output.detach() for key, output in outputs.items()},
        {key: p.grad for key, p in module.named_parameters() if p.grad is not None},
        dict(module.named_buffers()),
    )
    module.zero_grad()
    return step


def named_outputs(result: Tensor | Mapping[str, Tensor] | tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Outputs by name. torchvision returns a named tuple, and a compiled module a dict."""
    if isinstance(result, Tensor):
        return {"": result}
    if isinstance(result, Mapping):
        return dict(result)
    return dict(result._asdict())  # type: ignore[attr-defined]


@contextmanager
def one_deterministic_thread() -> Iterator[None]:
    """Sums are in a fixed order inside, so that equal computations give equal bits."""
    threads, deterministic = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
    )
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)


def count_lines(spec: Path) -> int:
    """Lines of a spec that are not blank."""
    return sum(bool(line.strip()) for line in spec.read_text(encoding="utf-8").splitlines())
