"""Where and how a module's weights get their first values: device, seed, named schemes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from archspec.emit.children import child_of
from archspec.ir.graph import Graph, walk
from archspec.ir.op import Op
from archspec.ir.parametrized import Parametrized
from archspec.ir.schemes import SCHEMES
from archspec.ir.shape import Shape


@torch.no_grad()
def initialize(module: nn.Module, graph: Graph, scheme: str) -> None:
    """Fills the kernels of every op (`Op.kernels`) by a scheme; all else keeps torch's values."""
    if scheme not in SCHEMES:
        raise ValueError(f"no scheme {scheme!r} of initialisation: choose {', '.join(SCHEMES)}")
    function, arguments = SCHEMES[scheme]
    fill: Callable[[Tensor], Tensor] = partial(getattr(nn.init, function), **arguments)
    for visit in walk(graph):
        if visit.step.op is not None and not visit.shared:
            for kernel in _owned_kernels(visit.step.op, visit.step.input_shapes):
                path = f"{visit.module_path}.{kernel}" if kernel else visit.module_path
                parameter = child_of(module, path)
                assert isinstance(parameter, nn.Parameter)
                if not parameter.is_meta:  # there is nothing to fill
                    fill(parameter)


def _owned_kernels(op: Op, inputs: Sequence[Shape]) -> list[str]:
    """Those of its kernels that it has with these inputs, before any weights are computed."""
    plain = op.plain if isinstance(op, Parametrized) else op
    owned = {weight.name for weight in plain.weights(*inputs)} if op.kernels else ()
    return [kernel for kernel in op.kernels if kernel in owned]


class SkipFilling(TorchFunctionMode):
    """Leaves out what would fill tensors: on the meta device there is nothing to fill."""

    _FILLS = frozenset({Tensor.fill_, Tensor.zero_, Tensor.uniform_, Tensor.normal_, Tensor.copy_})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in self._FILLS or getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
