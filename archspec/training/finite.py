"""The check before a network is saved: its weights and statistics must be finite."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from archspec.training.distributed import Processes
from archspec.training.optimise import local


class FiniteCheck:
    """Checks the weights and buffers of some networks, in all processes together."""

    def __init__(self, nets: Sequence[nn.Module], processes: Processes) -> None:
        """Buffers that are not finite from the start, such as masks, are not checked."""
        self.nets, self.processes = nets, processes
        self.finite = [
            {name for name, each in _buffers(net).items() if each.isfinite().all()} for net in nets
        ]

    def problem(self) -> str | None:
        """What is not finite, by name; None where all is."""
        weights = self._named([dict(net.named_parameters()) for net in self.nets])
        buffers = self._named(
            [
                {name: each for name, each in _buffers(net).items() if name in finite}
                for net, finite in zip(self.nets, self.finite, strict=True)
            ]
        )
        everything = {**weights, **buffers}
        if not everything:
            return None
        # One kernel for all: a norm is finite where its tensor is, unless that is far too large.
        norms = torch._foreach_norm(list(everything.values()))
        overflown = self._bad(everything, [~norm.isfinite() for norm in norms])
        if not overflown:
            return None
        bad = self._bad(everything, [~each.isfinite().all() for each in everything.values()])
        if spoiled := bad & weights.keys():
            return f"the weights {_some(spoiled)} are not finite"
        if bad:
            return f"the buffers {_some(bad)}, which follow the values of batches, are not finite"
        if large := overflown & weights.keys():
            return f"the weights {_some(large)} are too large for float32"
        return None

    def _named(self, found: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        of = ("", *(" (of the average)" for _ in found[1:]))
        return {
            f"{name}{where}": local(each.detach())
            for where, tensors in zip(of, found, strict=True)
            for name, each in tensors.items()
        }

    def _bad(self, named: dict[str, Tensor], flags: list[Tensor]) -> set[str]:
        """The names whose flag is set in any of the processes."""
        anywhere = self.processes.largest(torch.stack(flags).to(torch.float32)).tolist()
        return {name for name, flag in zip(named, anywhere, strict=True) if flag}


def _buffers(net: nn.Module) -> dict[str, Tensor]:
    """The buffers that are saved and hold floating-point numbers."""
    saved = net.state_dict().keys()
    return {
        name: buffer
        for name, buffer in net.named_buffers()
        if name in saved and buffer.is_floating_point()
    }


def _some(names: set[str]) -> str:
    return ", ".join(sorted(names)[:3])
