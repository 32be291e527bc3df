"""Norms over the batch, over channels and over the last axes."""

from __future__ import annotations

from typing import Any

from archspec.importing.axes import BATCH_AXIS, plain_axes
from archspec.importing.functions import handles
from archspec.importing.functions.binary import pair
from archspec.importing.lifting import Computed, Lifted, Lifter
from archspec.importing.trace import Value, cannot


@handles("batch_norm")
def batch_norm(
    lift: Lifter,
    input: Value,
    running_mean: Value | None,
    running_var: Value | None,
    weight: Value | None = None,
    bias: Value | None = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Lifted:
    tracked = running_mean is not None
    x = lift(input)
    if not tracked and not x.batched:
        return _each_channel(lift, x, weight, bias, eps)
    if tracked and training != lift.trace.training:
        raise cannot("batch_norm whose statistics stand still in train() is not known")
    weights = {"weight": weight, "bias": bias}
    if tracked:
        weights |= {"running_mean": running_mean, "running_var": running_var}
    owner = lift.owner_of({name: value for name, value in weights.items() if value is not None})
    module = lift.module_at(owner) if owner is not None else None
    counted = module is not None and "num_batches_tracked" in module._buffers
    if (weight is None) != (bias is None) or (tracked and not counted):
        raise cannot("batch_norm with a part of its parameters and statistics is not known")
    if owner is None:
        owner = lift.call.inside.path
    args = {
        "owner": owner if tracked or weight is not None else None,
        "eps": float(eps),
        "momentum": getattr(module, "momentum", momentum),
        "affine": weight is not None,
        "track_running_stats": tracked,
    }
    if x.batched and len(x.axes[0]) == 2 and x.axes[0][0] is None:
        return _folded(lift, x, args)
    made: Lifted = lift.node("batch_norm", lift.plain(x), axes=plain_axes(x.shape), **args)
    return made


def _folded(lift: Lifter, x: Lifted, args: dict[str, Any]) -> Lifted:
    """A norm of tokens or windows that stand in the batch: they become an axis after the channels.

    Of tokens alone an image is made, whose norm torch works out as it does that of rows.
    """
    if len(x.axes) == 2:
        tokens, features = x.axes[0][1:], x.axes[1]
        image = lift.regroup(x, (BATCH_AXIS, tokens, (1,), features))
        first = lift.permute(image, (0, 3, 1, 2))
        normed = lift.node("batch_norm", first, axes=first.axes, **args)
        return lift.regroup(lift.permute(normed, (0, 2, 3, 1)), x.axes)
    turned = [0, 2, 1, *range(3, len(x.ours) + 1)]
    channels, *rest = x.axes[1:]
    axes = (BATCH_AXIS, channels, x.axes[0][1:], *rest)
    first = lift.node("permute", x, axes=axes, dims=turned)
    normed = lift.node("batch_norm", first, axes=axes, **args)
    made: Lifted = lift.node("permute", normed, axes=x.axes, dims=turned)
    return made


def _each_channel(
    lift: Lifter, x: Lifted, weight: Value | None, bias: Value | None, eps: float
) -> Lifted:
    """A learned tensor (1, channels, elements) whose channels get mean 0 and deviation 1."""
    if len(x.axes) != 3 or x.axes[0] != (1,):
        raise cannot("batch_norm of a tensor without a batch is known for (1, channels, elements)")
    args: dict[str, Any] = {"eps": float(eps), "elementwise_affine": False}
    made: Lifted = lift.node("layer_norm", x, axes=x.axes, **args)
    for op, value in (("mul", weight), ("add", bias)):
        if value is not None:
            made = pair(lift, op, made, lift.reshape(lift(value), (x.shape[1], 1)))
    return made


@handles("instance_norm")
def instance_norm(
    lift: Lifter,
    input: Value,
    running_mean: Value | None = None,
    running_var: Value | None = None,
    weight: Value | None = None,
    bias: Value | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Lifted:
    weights = {
        "weight": weight,
        "bias": bias,
        "running_mean": running_mean,
        "running_var": running_var,
    }
    made: Lifted = lift.weighted(
        "instance_norm",
        lift.plain(input),
        weights=weights,
        eps=float(eps),
        momentum=float(momentum),
        affine=weight is not None,
        track_running_stats=running_mean is not None,
    )
    return made


@handles("group_norm")
def group_norm(
    lift: Lifter,
    input: Value,
    num_groups: int,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
) -> Lifted:
    args: dict[str, Any] = {"num_groups": num_groups, "eps": float(eps)}
    x = lift.plain(input)
    made: Lifted
    if (weight is None) == (bias is None):
        both = {"weight": weight, "bias": bias}
        made = lift.weighted("group_norm", x, weights=both, affine=weight is not None, **args)
        return made
    made = lift.node("group_norm", x, affine=False, **args)
    shape = (x.shape[1], *(1,) * (len(x.axes) - 2))
    op, value = ("mul", weight) if weight is not None else ("add", bias)
    assert value is not None
    return pair(lift, op, made, lift.reshape(lift(value), shape))


@handles("layer_norm")
def layer_norm(
    lift: Lifter,
    input: Value,
    normalized_shape: Any,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Lifted:
    x = lift(input)
    made: Lifted = lift.weighted(
        "layer_norm",
        x,
        weights={"weight": weight, "bias": bias},
        axes=x.axes,
        **_trailing(lift, x, len(normalized_shape)),
        eps=float(eps),
        elementwise_affine=weight is not None,
        bias=bias is not None or weight is None,
    )
    return made


def _trailing(lift: Lifter, x: Lifted, count: int) -> dict[str, Any]:
    """The argument `axes` of a norm over the last axes; none for the last one alone."""
    for dim in range(len(x.axes) - count, len(x.axes)):
        lift.axis(x, dim)
    return {} if count == 1 else {"axes": list(range(-count, 0))}


@handles("rms_norm")
def rms_norm(
    lift: Lifter,
    input: Value,
    normalized_shape: Any,
    weight: Value | None = None,
    eps: float | None = None,
) -> Lifted:
    x = lift(input)
    made: Lifted = lift.weighted(
        "rms_norm",
        x,
        weights={"weight": weight},
        axes=x.axes,
        **_trailing(lift, x, len(normalized_shape)),
        eps=eps,
        elementwise_affine=weight is not None,
    )
    return made


@handles("local_response_norm")
def local_response_norm(
    lift: Lifter,
    input: Value,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
) -> Lifted:
    made: Lifted = lift.node(
        "local_response_norm",
        input,
        size=size,
        alpha=float(alpha),
        beta=float(beta),
        k=float(k),
    )
    return made


@handles("_weight_norm")
def weight_norm(lift: Lifter, v: Value, g: Value, dim: int = 0) -> None:
    """A weight of magnitude and direction: no node of its own, but how its layer computes it."""
    said: dict[str, Any] = {} if dim == 0 else {"dim": None if dim == -1 else dim}
    for key in lift.keys.get(v, ()):
        owner, _, last = key.rpartition(".")
        holder, parametrized, name = owner.rpartition("parametrizations.")
        if parametrized and last == "original1":
            lift.compute(Computed(holder.removesuffix("."), name, {"weight_norm": said}))
            return
        if last.endswith("_v"):
            old = {"weight_norm": {**said, "keys": "old"}}
            lift.compute(Computed(owner, last.removesuffix("_v"), old))
            return
    raise cannot("weight_norm of a tensor that is no parameter of a layer is not known")
