"""Modules of archspec's own that a network which it emitted has: each is one op."""

from __future__ import annotations

from typing import Any

from archspec.importing.functions import leaf
from archspec.importing.lifting import Lifted, Lifter
from archspec.importing.trace import Value


@leaf("archspec.runtime.modules.BatchNormScratch")
def batch_norm_scratch(lift: Lifter, module: Any, x: Value) -> Lifted:
    path = lift.call.inside.path
    given = {"eps": module.eps, "momentum": module.momentum}
    made: Lifted = lift.node("batch_norm_scratch", x, owner=path, **given)
    return made


@leaf("archspec.runtime.attention.QKVLinear")
def qkv_linear(lift: Lifter, module: Any, input: Value) -> Lifted:
    x = lift(input)
    lift.axis(x, len(x.axes) - 1)
    width: int = module.out_features
    path = lift.call.inside.path
    axes = (*x.axes[:-1], (width,))
    made: Lifted = lift.node("qkv_linear", x, axes=axes, owner=path, features=width // 3)
    return made


@leaf("archspec.runtime.attention.ShiftedWindowMask")
def shifted_window_mask(lift: Lifter, module: Any, logits: Value, windows: Any) -> Lifted:
    axes = len(module.window)
    sizes = list(windows)
    given = [sizes[:axes], module.window, module.shift]
    if len(sizes) > axes:
        given = [sizes[:axes], sizes[axes : 2 * axes], sizes[2 * axes :]]
    names = ("windows", "window", "shift")
    made: Lifted = lift.node("shifted_window_mask", logits, **dict(zip(names, given, strict=True)))
    return made
