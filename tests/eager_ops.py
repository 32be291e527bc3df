"""What single ops and expressions mean in torch and in Python, for the second reading of a spec."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

FUNCTIONS = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "hardswish": nn.Hardswish,
    "identity": nn.Identity,
    "leaky_relu": nn.LeakyReLU,
    "max_pool2d": nn.MaxPool2d,
    "avg_pool2d": nn.AvgPool2d,
    "softmax": nn.Softmax,
    "flatten": nn.Flatten,
    "dropout": nn.Dropout,
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "embedding": nn.Embedding,
}
PRIMARY = {
    "linear": "out_features",
    "dropout": "p",
    "group_norm": "num_groups",
    "adaptive_avg_pool2d": "output_size",
    "permute": "dims",
    "reshape": "shape",
    "to": "dtype",
}


def constant(args: dict[str, Any]) -> Tensor:
    """What torch makes of a literal, or of one of the rules that are drawn."""
    if "full" in args:
        return torch.full(args["full"], args["value"])
    if "eye" in args:
        return torch.eye(args["eye"])
    return torch.arange(args["arange"]) if "arange" in args else torch.tensor(args["value"])


def made(op: str, args: dict[str, Any], x: Tensor) -> nn.Module:
    """torch's module for the op on inputs like `x`."""
    if op == "conv2d":
        return nn.Conv2d(x.shape[1], **args)
    if op == "linear":
        return nn.Linear(x.shape[-1], **args)
    if op == "batch_norm":
        kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
        return kind[x.ndim](x.shape[1])
    if op == "group_norm":
        return nn.GroupNorm(num_channels=x.shape[1], **args)
    if op == "layer_norm":
        return nn.LayerNorm(x.shape[-1])
    if op == "global_avg_pool2d":
        if x.ndim != 4:
            raise ValueError("images are pooled")
        return nn.AdaptiveAvgPool2d(1)
    if isinstance(args.get("kernel_size"), list):
        args = {**args, "kernel_size": tuple(args["kernel_size"])}
    return FUNCTIONS[op](**args)


def computed(module: nn.Module, how: Any, variables: dict[str, Any]) -> None:
    """Lets torch compute the weight, whose parameters get their pattern."""
    ((kind, args),) = (how if isinstance(how, dict) else {how: {}}).items()
    args = {
        key: evaluate(value, None, variables, "dtype" if key == "keys" else key)
        for key, value in args.items()
    }
    if args.get("dim", 0) is not None and not 0 <= args.get("dim", 0) < module.weight.ndim:
        raise ValueError("no such axis")
    place = nn.utils if args.pop("keys", "new") == "old" else nn.utils.parametrizations
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the functions of old are deprecated
        getattr(place, kind)(module, **args)
    fill(module)


def fill(module: nn.Module) -> None:
    """Fills the parameters with their pattern, and the vectors of spectral norm with ones."""
    for parameter in module.parameters():
        pattern(parameter)
    for key, buffer in module.named_buffers():
        if key.endswith(("_u", "_v")):
            buffer.fill_(buffer.numel() ** -0.5)


def merged(op: str, values: Sequence[Any]) -> Tensor:
    if len(values) < 2:
        raise ValueError(f"{op} of {len(values)} values")
    if op == "concat":
        return torch.cat(list(values), 1)
    result = values[0]
    for value in values[1:]:
        result = result + value if op == "add" else result * value
    return result


def evaluate(value: Any, x: Tensor | None, variables: dict[str, Any], key: str = "") -> Any:
    """An expression as Python reads it: the texts that are drawn mean the same there."""
    if isinstance(value, str) and key not in ("padding", "dtype", "init"):
        names: dict[str, Any] = {"true": True, "false": False, "len": len} | variables
        if x is None:
            return eval(value, {"__builtins__": {}, **names})
        names |= {"in_shape": list(x.shape[0 if isinstance(x, nn.Parameter) else 1 :])}
        names |= {"in_channels": x.shape[1]} if x.ndim > 1 else {}
        names |= {"in_features": x.shape[-1]}
        names |= {"cos": math.cos, "range": range}
        return eval(value, {"__builtins__": {}, **names})
    return value


def pattern(parameter: nn.Parameter) -> nn.Parameter:
    """Fills a parameter with numbers that depend on its shape alone."""
    with torch.no_grad():
        count = parameter.numel()
        wave = torch.sin(torch.arange(count, dtype=torch.float64) * math.pi / 3 + count)
        parameter.copy_((wave / max(1, count) ** 0.5 + 0.1).reshape(parameter.shape))
    return parameter


def standard(op: str, args: dict[str, Any], x: Tensor, layer: Callable[..., Tensor]) -> Tensor:
    """A standard block, as the papers and the reference networks describe it.

    `layer(key, op, value, **arguments)` runs one of its layers.
    """

    def conv(key: str, value: Tensor, channels: int, kernel: int = 3, stride: int = 1) -> Tensor:
        return layer(
            key,
            "conv2d",
            value,
            out_channels=channels,
            kernel_size=kernel,
            stride=stride,
            padding=kernel // 2,
        )

    match op:
        case "residual":
            channels, stride = args["out_channels"], args.get("stride", 1)
            y = torch.relu(layer("b1", "batch_norm", conv("c1", x, channels, 3, stride)))
            y = layer("b2", "batch_norm", conv("c2", y, channels))
            if stride != 1 or channels != x.shape[1]:
                x = conv("c3", x, channels, 1, stride)
            return torch.relu(y + x)
        case "dense":
            for i in range(args["num_convs"]):
                y = torch.relu(layer(f"b{i}", "batch_norm", x))
                x = torch.cat((x, conv(f"c{i}", y, args["growth_rate"])), 1)
            return x
        case "transition":
            y = torch.relu(layer("b", "batch_norm", x))
            return layer(
                "p",
                "avg_pool2d",
                conv("c", y, args["out_channels"], 1),
                kernel_size=2,
                stride=2,
            )
        case _:
            for i in range(args["num_convs"]):
                x = torch.relu(conv(f"c{i}", x, args["out_channels"]))
            return layer("p", "max_pool2d", x, kernel_size=2, stride=2)
