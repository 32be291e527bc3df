"""A copy of a module whose tensors have no memory, and the state that a run may change."""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class _ToMeta(TorchFunctionMode):
    """Copies of tensors become tensors on the meta device; `real` keeps what they copy."""

    def __init__(self) -> None:
        super().__init__()
        self.real: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is Tensor.__deepcopy__:
            tensor, memo = args
            if id(tensor) not in memo:
                memo[id(tensor)] = self.on_meta(tensor)
            return memo[id(tensor)]
        return func(*args, **(kwargs or {}))

    def on_meta(self, tensor: Tensor) -> Tensor:
        made = torch.empty_like(tensor, device="meta")
        if isinstance(tensor, nn.Parameter):
            made = nn.Parameter(made, requires_grad=tensor.requires_grad)
        self.real[id(made)] = (made, tensor)
        return made


def meta_copy(net: nn.Module) -> tuple[nn.Module, list[tuple[Tensor, Tensor]]]:
    """A copy of the module on the meta device, and each of its tensors beside the given one."""
    mode = _ToMeta()
    with torch.no_grad():
        tensors = [*net.parameters(), *net.buffers()]
        memo: dict[int, Any] = {id(tensor): mode.on_meta(tensor) for tensor in tensors}
        with mode:
            made = copy.deepcopy(net, memo)
    return made, list(mode.real.values())


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Random numbers drawn inside change none outside: torch's, Python's and NumPy's."""
    numpy = sys.modules.get("numpy")
    python, arrays = random.getstate(), numpy.random.get_state() if numpy else None
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python)
            if numpy and arrays is not None:
                numpy.random.set_state(arrays)
