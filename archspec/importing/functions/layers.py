"""Convolutions, linear layers, embeddings and resampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archspec.importing.axes import BATCH_AXIS, plain_axes
from archspec.importing.functions import handles
from archspec.importing.functions.binary import pair
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.trace import Value, cannot


def short(value: Any) -> Any:
    """A list of equal numbers as one number; a tuple as a list."""
    if isinstance(value, tuple | list):
        return value[0] if len(set(value)) == 1 else list(value)
    return value


@handles("linear")
def linear(lift: Lifter, input: Value, weight: Value, bias: Value | None = None) -> Lifted:
    x = lift(input)
    lift.axis(x, len(x.axes) - 1)
    made: Lifted = lift.weighted(
        "linear",
        x,
        weights={"weight": weight, "bias": bias},
        axes=(*x.axes[:-1], (weight.shape[0],)),
        out_features=weight.shape[0],
        bias=bias is not None,
    )
    return made


@handles("conv1d", "conv2d", "conv3d")
def conv(
    lift: Lifter,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Lifted:
    sizes = {"stride": stride, "padding": padding, "dilation": dilation}
    args: dict[str, Any] = {
        "out_channels": weight.shape[0],
        "kernel_size": short(weight.shape[2:]),
        **{name: short(size) for name, size in sizes.items()},
        "groups": groups,
        "bias": bias is not None,
    }
    x = lift(input)
    if x.batched and len(x.axes[0]) == 2 and x.axes[0][0] is None:
        return _conv_of_windows(lift, x, weight, bias, args)
    args["weights"] = {"weight": weight, "bias": bias}
    if not x.batched and x.axes[0] == (1,):
        return _for_each_sample(lift, lift.weighted, lift.call.name, x, args)
    axes = plain_axes(lift.call.made[0].shape)
    made: Lifted = lift.weighted(lift.call.name, lift.plain(x), axes=axes, **args)
    return made


def _for_each_sample(
    lift: Lifter, make: Callable[..., Any], op: str, x: Lifted, args: dict[str, Any]
) -> Lifted:
    """A tensor that has 1 for its batch, by an op that needs one: once for each sample."""
    sizes = plain_axes(lift.call.made[0].shape)[1:]
    repeated = lift.batched(x._replace(axes=(BATCH_AXIS, *x.axes[1:])))
    made = make(op, repeated, axes=(BATCH_AXIS, *sizes), **args)
    alone: Lifted = lift.node("unsqueeze", made, axes=((1,), *sizes), dim=1)
    return alone


def _conv_of_windows(
    lift: Lifter, x: Lifted, weight: Value, bias: Value | None, args: dict[str, Any]
) -> Lifted:
    """A convolution of windows that stand in the batch: groups that have the same kernels."""
    windows, channels = x.axes[0][1], x.shape[1]
    assert windows is not None
    rest = tuple((size,) for size in lift.call.made[0].shape[2:])
    beside = lift.regroup(x, (BATCH_AXIS, (windows * channels,), *x.axes[2:]))
    out = windows * weight.shape[0]
    values = {"weight": _tiled(lift, weight, windows)}
    if bias is not None:
        values["bias"] = _tiled(lift, bias, windows)
    args |= {"out_channels": out, "groups": windows * args["groups"]}
    axes = (BATCH_AXIS, (out,), *rest)
    made: Lifted = lift.node(lift.call.name, beside, axes=axes, **args)
    node: Any = made.edge.node
    node.weights = {name: value.edge for name, value in values.items()}
    lift.nodes.remove(node)
    lift.nodes.append(node)
    return lift.regroup(made, (x.axes[0], (weight.shape[0],), *rest))


def _tiled(lift: Lifter, weight: Value, times: int) -> Lifted:
    """A tensor whose first axis is repeated."""
    x = lift(weight)
    axes = ((times * weight.shape[0],), *x.axes[1:])
    made: Lifted = lift.node("tile", x, axes=axes, dims=[times, *(1,) * (len(axes) - 1)])
    return made


@handles("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(
    lift: Lifter,
    input: Value,
    weight: Value,
    bias: Value | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Lifted:
    made: Lifted = lift.weighted(
        lift.call.name,
        lift.plain(input),
        weights={"weight": weight, "bias": bias},
        out_channels=weight.shape[1] * groups,
        kernel_size=short(weight.shape[2:]),
        stride=short(stride),
        padding=short(padding),
        output_padding=short(output_padding),
        groups=groups,
        bias=bias is not None,
        dilation=short(dilation),
    )
    return made


@handles("embedding")
def embedding(
    lift: Lifter,
    input: Value,
    weight: Value,
    padding_idx: int | None = None,
    max_norm: Any = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Lifted:
    if max_norm is not None:
        raise cannot("embedding with max_norm changes its rows as it reads them")
    rows, width = weight.shape
    if padding_idx is not None:
        padding_idx %= rows
    x = lift(input)
    made: Lifted = lift.weighted(
        "embedding",
        x,
        weights={"weight": weight},
        axes=(*x.axes, (width,)),
        num_embeddings=rows,
        embedding_dim=width,
        padding_idx=padding_idx,
    )
    return made


@handles("interpolate", "upsample", "upsample_nearest", "upsample_bilinear")
def interpolate(
    lift: Lifter,
    input: Value,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Lifted:
    if antialias:
        raise cannot("interpolate with antialias is not known")
    if recompute_scale_factor and scale_factor is not None:
        size, scale_factor = lift.call.made[0].shape[2:], None
    given: dict[str, Any] = {"size": short(size)} if size is not None else {}
    if scale_factor is not None:
        scale = short(scale_factor)
        given["scale_factor"] = int(scale) if scale == int(scale) else scale
    args = {"mode": mode, "align_corners": align_corners, **given}
    x = lift(input)
    if not x.batched and x.axes[0] == (1,):
        return _for_each_sample(lift, lift.node, "interpolate", x, args)
    made: Lifted = lift.node("interpolate", x, **args)
    return made


@handles("pixel_shuffle")
def pixel_shuffle(lift: Lifter, input: Value, upscale_factor: int) -> Lifted:
    made: Lifted = lift.node("pixel_shuffle", input, upscale_factor=upscale_factor)
    return made


@handles("pixel_unshuffle")
def pixel_unshuffle(lift: Lifter, input: Value, downscale_factor: int) -> Lifted:
    made: Lifted = lift.node("pixel_unshuffle", input, downscale_factor=downscale_factor)
    return made


@handles("unfold")
def unfold(
    lift: Lifter,
    input: Value,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Lifted:
    made: Lifted = lift.node(
        "unfold",
        input,
        kernel_size=short(kernel_size),
        dilation=short(dilation),
        padding=short(padding),
        stride=short(stride),
    )
    return made


@handles("fold")
def fold(
    lift: Lifter,
    input: Value,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Lifted:
    made: Lifted = lift.node(
        "fold",
        input,
        output_size=short(output_size),
        kernel_size=short(kernel_size),
        dilation=short(dilation),
        padding=short(padding),
        stride=short(stride),
    )
    return made


@handles("grid_sample")
def grid_sample(
    lift: Lifter,
    input: Value,
    grid: Value,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Lifted:
    made: Lifted = lift.node(
        "grid_sample",
        input,
        grid,
        mode=mode,
        padding_mode=padding_mode,
        align_corners=bool(align_corners),
    )
    return made


@handles("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(lift: Lifter, input: Value, groups: int) -> Lifted:
    x = lift.plain(input)
    _, (channels,), *rest = x.axes
    assert channels is not None
    parted = lift.regroup(x, (BATCH_AXIS, (groups,), (channels // groups,), *rest))
    order = (0, 2, 1, *range(3, len(parted.axes)))
    return lift.regroup(lift.permute(parted, order), plain_axes(x.shape))


@handles("bilinear")
def bilinear(
    lift: Lifter, input1: Value, input2: Value, weight: Value, bias: Value | None = None
) -> Lifted:
    raise cannot("a bilinear layer is not known", help="multiply by a linear layer of one input")


@handles("cosine_similarity")
def cosine_similarity(
    lift: Lifter, x1: Value, x2: Value, dim: int = 1, eps: float = 1e-8
) -> Lifted:
    raise cannot("cosine_similarity is not known", help="normalize both and multiply them")


__all__ = ["pair", "short"]
