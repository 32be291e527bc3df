"""The types that ops take and give, against torch on the CPU."""

from __future__ import annotations

import pytest

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer, infer_types
from archspec.ir.op import REGISTRY, Op
from archspec.ir.shape import N
from archspec.ir.types import BOOL, FLOAT, INT32, INT64, NAMES, ValueType
from archspec.ops.arithmetic import Scale
from archspec.ops.merge import Add, Concat, Mul
from archspec.ops.regularization import Identity
from archspec.ops.reshape import Chunk, Flatten, Permute, Reshape, Unflatten
from archspec.ops.slicing import Pad, Roll, Slice
from archspec.testing import contract as testing

INTEGERS, ALL_BUT_FLOAT = {"int64", "int32"}, {"int64", "int32", "bool"}

TORCH_TAKES_MORE = {
    # They make float32 of it, which no later node of a network in another precision would take.
    **dict.fromkeys(("cos", "exp", "log", "logsumexp", "rsqrt", "sin", "sqrt"), ALL_BUT_FLOAT),
    "local_response_norm": {"int64"},
    "rescale": ALL_BUT_FLOAT,
    "scale": ALL_BUT_FLOAT,  # `mul` with `other` keeps integers
    "sigmoid": ALL_BUT_FLOAT,
    "tanh": ALL_BUT_FLOAT,
    # It has no truth values to bound.
    "clamp": {"bool"},
    # The CPU has a kernel, and a GPU has none.
    **dict.fromkeys(("einsum", "matmul"), INTEGERS),
    **dict.fromkeys(("max_pool2d", "max_pool3d"), INTEGERS),
    # Means are rounded to whole numbers.
    **{key: {"int64"} for key in ("avg_pool1d", "avg_pool2d", "avg_pool3d")},
    # They make float32 of integers.
    **dict.fromkeys(("lp_pool1d", "lp_pool2d", "lp_pool3d"), ALL_BUT_FLOAT),
    # Of truth values, windows that overlap have no sum.
    **{key: {"bool"} for key in ("fold", "unfold")},
    # It would be the only activations of integers.
    **dict.fromkeys(("hardtanh", "relu", "relu6", "threshold"), INTEGERS),
    # They make float32 of integers, and truth values have no sign.
    **dict.fromkeys(("softsign", "tanhshrink"), INTEGERS),
    # What they read is learned, or the scores of an attention.
    "relative_position_bias": ALL_BUT_FLOAT,
    "shifted_window_mask": ALL_BUT_FLOAT,
}
"""Types that torch takes in every example of an op, and archspec does not."""

OF_MASKS_ALONE = {
    **{key: {"bool"} for key in ("multi_head_attention", "scaled_dot_product_attention")},
    "module": {"bool", "int32", "int64"},  # its class decides
}
"""Types that an op does not take for all of its inputs."""


def retyped(call: testing.OpCase, name: str) -> testing.OpCase:
    """The call with inputs of the type `name`, within the bounds that its own inputs have.

    The condition of `where` stays one, and so do positions.
    """
    bounds = [kind.below if name in INTEGERS else None for kind in call.input_types]
    types = [ValueType(name, below) for below in bounds]
    if call.op.op_name == "where":
        types[0] = BOOL
    if call.op.op_name in ("gather", "index_select", "take_along_dim"):
        types[1] = call.types[1]
    return call._replace(types=tuple(types))


def keeps_out(call: testing.OpCase, kind: str) -> bool:
    """Whether arguments keep a type out: `decimals` all but floats, some margins truth values."""
    arguments = call.op.arguments()
    mirrored = arguments.get("mode") in ("reflect", "replicate")
    return ("decimals" in arguments and kind != "float") or (mirrored and kind == "bool")


def given_by_torch(call: testing.OpCase) -> set[tuple[str, ...]] | None:
    """The types of the outputs in each mode; None where torch fails in one of them."""
    try:
        passes = [testing.real_call(call, 2, training) for training in (True, False)]
    except testing.FAILURES:
        return None
    return {tuple(y.type for y in each.outputs) for each in passes}


@pytest.mark.parametrize("name", sorted(n for n, op in REGISTRY.items() if op.num_inputs))
def test_an_op_takes_and_gives_the_types_that_torch_does(name):
    taken = set()
    for kind in NAMES:
        given = [call for call in testing.examples(name) if not keeps_out(call, kind)]
        calls = [retyped(call, kind) for call in given]
        found = [given_by_torch(call) for call in calls]
        if None in found:
            continue
        taken.add(kind)
        if kind in REGISTRY[name].takes:
            for call, types in zip(calls, found, strict=True):
                assert types == {stated(call, types)}, call
    some = OF_MASKS_ALONE.get(name, set())
    assert taken == (REGISTRY[name].takes | TORCH_TAKES_MORE.get(name, set())) - some


def stated(call, types):
    """The types that the op states; those of torch where it refuses the number beside them."""
    (of_torch,) = types
    outputs = infer(call.op, call.inputs)
    try:
        return tuple(
            t.name for t in infer_types(call.op, call.inputs, call.input_types, len(outputs))
        )
    except Refusal as refusal:
        assert refusal.code is Code.DTYPE
        assert call.op.fields().keys() & {"other", "value", "min"}
        return of_torch


def test_the_list_of_what_torch_takes_more_is_no_longer_than_that():
    for name, more in TORCH_TAKES_MORE.items():
        assert more and not more & REGISTRY[name].takes


BOUNDED = ValueType("int64", 7)


@pytest.mark.parametrize(
    ("op", "types", "result"),
    [
        (Identity(), [BOUNDED], BOUNDED),
        (Flatten(), [BOUNDED], BOUNDED),
        (Reshape(shape=(2, 3)), [BOUNDED], BOUNDED),
        (Unflatten(dim=1, unflattened_size=(2, 3)), [BOUNDED], BOUNDED),
        (Permute(dims=(0, 2, 1)), [BOUNDED], BOUNDED),
        (Slice(dim=1), [BOUNDED], BOUNDED),
        (Roll(shifts=1, dims=1), [BOUNDED], BOUNDED),
        (Chunk(chunks=2), [BOUNDED], BOUNDED),
        (Concat(), [BOUNDED, ValueType("int64", 9)], ValueType("int64", 9)),
        (Concat(), [BOUNDED, ValueType("int32", 9)], ValueType("int64", 9)),
        (Concat(), [BOUNDED, INT64], INT64),
        (Concat(), [BOUNDED, BOOL, FLOAT], FLOAT),
        (Concat(), [BOOL, BOOL], BOOL),
        (Pad(pad=(1, 1)), [BOUNDED], BOUNDED),
        (Pad(pad=(1, 1), value=6.0), [BOUNDED], BOUNDED),
        (Pad(pad=(1, 1), value=7.0), [BOUNDED], ValueType("int64", 8)),
        (Pad(pad=(1, 1), value=-1.0), [BOUNDED], INT64),
        (Pad(pad=(0, 0), value=-1.5), [BOUNDED], BOUNDED),
        (Pad(pad=(-1, 0), value=-1.5), [BOUNDED], BOUNDED),
        (Pad(pad=(1, 1), mode="reflect"), [BOUNDED], BOUNDED),
        (Pad(pad=(1, 1), mode="circular"), [BOOL], BOOL),
        (Pad(pad=(1, 1), value=7.0), [INT32], INT32),
        (Pad(pad=(1, 1), value=1.0), [BOOL], BOOL),
        (Add(), [BOUNDED, BOUNDED], INT64),
        (Add(), [INT32, BOOL], INT32),
        (Add(), [BOOL, BOOL], BOOL),
        (Add(), [INT64, FLOAT], FLOAT),
        (Mul(), [FLOAT, BOOL], FLOAT),
        (Mul(), [INT32, INT64], INT64),
        (Add(other=1), [BOUNDED], INT64),
        (Add(other=1), [ValueType("int32", 7)], INT32),
        (Add(other=1), [BOOL], INT64),
        (Add(other=1), [FLOAT], FLOAT),
        (Mul(other=0.5), [FLOAT], FLOAT),
    ],
)
def test_a_bound_survives_what_moves_values_alone(op: Op, types, result):
    assert set(infer_types(op, [(N, 6)] * len(types), types, 2)) == {result}


@pytest.mark.parametrize(
    ("op", "kind", "message", "help_"),
    [
        (
            Mul(other=0.5),
            INT64,
            "int64 and the number 0.5 would make float32, whatever the precision of the network",
            "put `to: float` before it",
        ),
        (
            Add(other=2.0),
            BOOL,
            "bool and the number 2.0 would make float32, whatever the precision of the network",
            "put `to: float` before it, or write `other: 2`",
        ),
        (
            Pad(pad=(1, 0), value=0.5),
            INT32,
            "a margin of 0.5 around values of the type int32",
            "put `to: float` before it, if they are to be floats",
        ),
        (
            Pad(pad=(1, 0), value=2.0**31),
            INT64,
            "a margin of 2.14748e+09 around values of the type int64",
            "put `to: float` before it, if they are to be floats",
        ),
        (
            Pad(pad=(1, 0), value=2.0),
            BOOL,
            "a margin of 2 around values of the type bool",
            "put `to: float` before it, if they are to be floats",
        ),
        (
            Scale(factor=3.0),
            INT32,
            "it takes float, and reads int32",
            "put `to: float` before it, or write `mul: {other: 3}`",
        ),
        (
            Scale(factor=0.5),
            INT32,
            "it takes float, and reads int32",
            "put `to: float` before it",
        ),
        (REGISTRY["relu"](), INT64, "it takes float, and reads int64", "put `to: float` before it"),
    ],
)
def test_a_number_that_would_change_the_type_is_refused(op, kind, message, help_):
    with pytest.raises(Refusal) as refused:
        infer_types(op, [(N, 6)], [kind], 1)
    assert (refused.value.code, refused.value.message) == (Code.DTYPE, message)
    assert refused.value.help == help_
