"""Casts against torch, and the precision that `to: float` follows."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_oracle import described, shape, strided

import archspec
from archspec.ir.infer import infer_types
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N, concrete
from archspec.ir.tape import Storage, Tape
from archspec.ir.types import BOOL, FLOAT, INT32, INT64, NAMES, ValueType
from archspec.ops.cast import To
from archspec.testing import contract as testing

VALUES = torch.tensor([[-1.7, -0.5, 0.0, 0.4, 2.9]])


def cast(dtype, x):
    call = testing.OpCase(To(dtype=dtype), (shape(*x.shape[1:]),))
    return testing.applied(call, call.op.build(*call.inputs))(x)


def test_a_float_loses_what_stands_behind_the_point():
    assert cast("int64", VALUES).tolist() == [[-1, 0, 0, 0, 2]]
    assert cast("int64", VALUES).dtype == torch.int64
    assert cast("int32", VALUES).dtype == torch.int32
    assert cast("bool", VALUES).tolist() == [[True, True, False, True, True]]


def test_a_truth_value_is_0_or_1():
    truths = torch.tensor([[True, False]])
    assert cast("int64", truths).tolist() == [[1, 0]]
    assert cast("float", truths).tolist() == [[1.0, 0.0]]
    assert cast("float", truths).dtype == torch.float32


@pytest.mark.parametrize(
    ("dtype", "kind", "result"),
    [
        ("int64", ValueType("int32", 5), ValueType("int64", 5)),
        ("int32", ValueType("int64", 5), ValueType("int32", 5)),
        ("int32", ValueType("int64", 2**31), ValueType("int32", 2**31)),
        ("int32", ValueType("int64", 2**31 + 1), INT32),
        ("int64", ValueType("int64", 5), ValueType("int64", 5)),
        ("int64", BOOL, ValueType("int64", 2)),
        ("int64", FLOAT, INT64),
        ("bool", ValueType("int64", 5), BOOL),
        ("float", ValueType("int64", 5), FLOAT),
        ("float", FLOAT, FLOAT),
    ],
)
def test_a_bound_survives_between_integers(dtype, kind, result):
    assert infer_types(To(dtype=dtype), [(N, 3)], [kind], 1) == (result,)


@settings(max_examples=80)
@given(
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    st.lists(st.integers(1, 3), max_size=3).map(lambda sizes: shape(*sizes)),
    st.booleans(),
    st.data(),
)
def test_layout_storage_and_gradient_are_as_in_torch(dtype, name, x, learns, data):
    tensor = data.draw(strided(concrete(x, 2), ValueType(name)))
    tensor.requires_grad_(learns and name == "float")
    result = cast(dtype, tensor)
    storage = Storage(tensor.untyped_storage().nbytes())
    y = To(dtype=dtype).record(Tape(), described(tensor, storage))
    assert (y.shape, y.strides) == (tuple(result.shape), result.stride())
    assert (y.type.name, y.requires_grad) == (dtype, result.requires_grad)
    assert (y.storage is storage) == (result is tensor) == (dtype == name)


SPEC = """
archspec: 1
name: casts
input: [4]
layers:
  - {name: whole, to: int64}
  - {name: own, to: float}
  - {linear: 2, name: fc}
"""


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_float_is_the_module_s_own_precision(dtype):
    net = archspec.loads(SPEC).build()
    assert set(net.state_dict()) == {"fc.weight", "fc.bias"}
    for module in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        module.to(dtype)
        assert module(VALUES[:, :4].to(dtype)).dtype == dtype
    assert net.float()(VALUES[:, :4]).dtype == torch.float32


def test_a_whole_number_is_cast_in_the_open():
    assert To(dtype="int32").expression(["x"], [shape(2)]) == "x.to(torch.int32)"
    assert To(dtype="int32").build(shape(2)) is None
    assert REGISTRY["to"].primary == "dtype"
