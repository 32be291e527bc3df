"""Pooling over the axes after the channels."""

from __future__ import annotations

from typing import Any

from archspec.importing.axes import BATCH_AXIS
from archspec.importing.functions import handles
from archspec.importing.functions.layers import short
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.trace import Value, cannot


def pooled(lift: Lifter, op: str, input: Value, **args: Any) -> Lifted:
    """A node that works on each channel alone: windows that stand in the batch become channels."""
    x = lift(input)
    made: Lifted
    if not x.batched or len(x.axes[0]) != 2 or x.axes[0][0] is not None:
        made = lift.node(op, x, **args)
        return made
    windows, channels = x.axes[0][1], x.shape[1]
    assert windows is not None
    rest = tuple((size,) for size in lift.call.made[0].shape[2:])
    beside = lift.regroup(x, (BATCH_AXIS, (windows * channels,), *x.axes[2:]))
    axes = (BATCH_AXIS, (windows * channels,), *rest)
    made = lift.node(op, beside, axes=axes, **args)
    return lift.regroup(made, (x.axes[0], (channels,), *rest))


@handles(
    *(f"max_pool{n}d" for n in (1, 2, 3)),
    *(f"_max_pool{n}d" for n in (1, 2, 3)),
    "boolean_dispatch",
)
def max_pool(
    lift: Lifter,
    input: Value,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Lifted:
    if return_indices:
        raise cannot("max_pool with return_indices is not known")
    return pooled(
        lift,
        f"max_pool{len(input.shape) - 2}d",
        input,
        kernel_size=short(kernel_size),
        stride=_stride(stride, kernel_size),
        padding=short(padding),
        dilation=short(dilation),
        ceil_mode=ceil_mode,
    )


def _stride(stride: Any, kernel_size: Any) -> Any:
    """The stride of a pool; None where it is the kernel's size, which is the default."""
    if stride is None or stride == []:
        return None
    return None if short(stride) == short(kernel_size) else short(stride)


@handles("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(
    lift: Lifter,
    input: Value,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Lifted:
    more = {} if divisor_override is None else {"divisor_override": divisor_override}
    return pooled(
        lift,
        lift.call.name,
        input,
        kernel_size=short(kernel_size),
        stride=_stride(stride, kernel_size),
        padding=short(padding),
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        **more,
    )


@handles(
    *(f"adaptive_avg_pool{n}d" for n in (1, 2, 3)),
    *(f"adaptive_max_pool{n}d" for n in (1, 2, 3)),
)
def adaptive_pool(
    lift: Lifter, input: Value, output_size: Any, return_indices: bool = False
) -> Lifted:
    ones = isinstance(output_size, tuple | list) and None in output_size
    size = list(output_size) if ones else short(output_size)
    return pooled(lift, lift.call.name, input, output_size=size)


@handles("lp_pool1d", "lp_pool2d", "lp_pool3d")
def lp_pool(
    lift: Lifter,
    input: Value,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Lifted:
    return pooled(
        lift,
        lift.call.name,
        input,
        norm_type=norm_type,
        kernel_size=short(kernel_size),
        stride=_stride(stride, kernel_size),
        ceil_mode=ceil_mode,
    )
