"""Saved memory of chains whose axes lie in memory in every order, many of size 1, against torch.

Which of two layouts a kernel writes shows in what a later one copies; where an axis has size 1,
both may hold at once.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import archspec
from archspec.analyses.memory import saved_bytes
from archspec.diagnostics.diagnostic import Refusal
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N, Shape, concrete
from archspec.runtime.measure import measure_saved_bytes
from archspec.testing import graphs

BATCHES = (1, 2, 3)
"""A batch of one is an axis of size 1 too."""
LONELY = "Expected more than 1 value per channel when training"


def check(text: str) -> None:
    """Static and real saved bytes are equal at every batch size, in train() and in eval()."""
    arch = archspec.loads(text)
    net = arch.build(seed=0)
    owned = [*net.parameters(), *net.buffers()]
    for training in (True, False):
        net.train(training)
        for batch in BATCHES:
            x = torch.ones(concrete(arch.graph.inputs[0], batch))
            try:
                _, real = measure_saved_bytes(lambda x=x: net(x), owned)
            except ValueError as error:
                assert LONELY in str(error) and batch == 1 and training
                continue
            stated = saved_bytes(arch.graph, batch, training)
            assert stated == real, (stated, real, batch, training, text)


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("input: [1, 4, 4]\nlayers: [{permute: [0, 3, 2, 1]}, batch_norm, exp, {linear: 3}]", 416),
        (
            "input: [5, 8]\nlayers: [{unflatten: {dim: 2, unflattened_size: [8, 1]}}, "
            "{permute: [0, 2, 3, 1]}, batch_norm, relu, flatten, {linear: 3}]",
            1024,
        ),
        # Two images of 16 numbers, read through one more norm: 128 bytes each of its input, of
        # the permuted one, of the exponentials, and of their copy in rows; 4 means and
        # deviations of a channel, and 2 of each of 2 samples.
        (
            "input: [1, 4, 4]\nlayers: [{layer_norm: {axes: [1, 2, 3]}}, {permute: [0, 3, 2, 1]}, "
            "batch_norm, exp, {linear: 3}]",
            4 * 128 + 2 * 4 * 4 + 2 * 2 * 4,
        ),
    ],
)
def test_batch_norm_after_a_permute_of_an_axis_of_one(text, stated):
    assert saved_bytes(archspec.loads(text).graph, 2) == stated
    check(text)


def views(shape: Shape) -> st.SearchStrategy[dict[str, Any]]:
    """Nodes that look at the same elements in another way."""
    rank = len(shape)
    dims = st.integers(1, rank - 1)
    order = st.permutations(range(1, rank)).map(lambda rest: [0, *rest])
    permute = order.map(lambda dims: {"permute": dims})
    split = st.tuples(dims, st.booleans()).map(
        lambda drawn: {
            "unflatten": {
                "dim": drawn[0],
                "unflattened_size": [-1, 1] if drawn[1] else [1, -1],
            }
        }
    )
    part = dims.map(lambda dim: {"slice": {"dim": dim, "end": 1}})
    fold = dims.map(lambda dim: {"flatten": {"start_dim": dim, "end_dim": min(dim + 1, rank - 1)}})
    return st.one_of(permute, permute, split, part, fold)


def choosers(shape: Shape) -> st.SearchStrategy[dict[str, Any]]:
    """Nodes whose kernels choose a layout, or copy by it."""
    conv = {"out_channels": 2, "kernel_size": 1}
    nodes = [
        {"batch_norm": {}},
        {"batch_norm": {"affine": False}},
        {"batch_norm_scratch": {}},
        {"instance_norm": {"track_running_stats": True}},
        {"group_norm": 1},
        {"layer_norm": {"axes": [1]}},
        {"layer_norm": {}},
        {"local_response_norm": 2},
        {"conv1d": {**conv, "kernel_size": 3, "padding": 1}},
        {"conv2d": conv},
        {"conv2d": {**conv, "kernel_size": 3, "padding": 2, "padding_mode": "replicate"}},
        {"conv_transpose2d": {**conv, "kernel_size": 2, "stride": 2}},
        {"max_pool2d": 1},
        {"avg_pool2d": {"kernel_size": 2, "padding": 1}},
        {"adaptive_avg_pool2d": [2, 1]},
        {"adaptive_max_pool2d": 1},
        {"global_avg_pool2d": {}},
        {"interpolate": {"scale_factor": 2.0}},
        {"pad": [0, 1]},
        {"roll": {"shifts": 1, "dims": 1}},
        {"normalize": {}},
        {"softmax": -1},
        {"dropout": 0.5},
        {"stochastic_depth": 0.5},
        {"linear": 2},
        {"prelu": {}},
        {"relu6": {}},
        {"exp": {}},
        {"scale": 2.0},
    ]
    return st.sampled_from(nodes)


@st.composite
def chains(draw: st.DrawFn) -> str:
    """A spec of views and choosers in turn; what does not fit the shape is left out."""
    size = st.sampled_from([1, 1, 1, 2, 3, 4])
    sizes = draw(st.lists(size, min_size=1, max_size=4))
    shape, layers = (N, *sizes), []
    for _ in range(draw(st.integers(2, 6))):
        for kind in (views, choosers):
            node = draw(kind(shape))
            try:
                ((name, given),) = node.items()
                op = REGISTRY[name]
                args = given if isinstance(given, dict) else {str(op.primary): given}
                made = op(**{k: tuple(v) if isinstance(v, list) else v for k, v in args.items()})
                (shape,) = infer(made, [shape])
            except Refusal:
                continue
            layers.append(node)
    return graphs.to_text({"input": sizes, "layers": [*layers, {"linear": 1}]})


@settings(max_examples=120)
@given(chains())
def test_saved_memory_where_axes_have_size_one(text: str) -> None:
    check(text)
