"""Standard blocks are found by structure, with the arguments that a person would give."""

from __future__ import annotations

import pytest

import archspec
from archspec.folding.tree import Leaf
from archspec.importing.standard import match


def matched(node):
    graph = archspec.loads(f"input: [16, 32, 32]\nlayers:\n  - {node}\n", warn=False).graph
    body = graph.steps[0].body
    body.block = None
    return match(body)


def said(node):
    found = matched(node)
    return found.block, {n: v for n, v in found.values.items() if n not in found.usual}


@pytest.mark.parametrize(
    ("node", "block", "arguments"),
    [
        (
            "layers: [{conv2d: {out_channels: 8, kernel_size: 3, padding: 1, bias: false}}, "
            "batch_norm, relu6]",
            "conv_norm_act",
            {"out_channels": 8, "act": Leaf("relu6", {})},
        ),
        ("bottleneck: {channels: 4}", "bottleneck", {"channels": 4}),
        ("bottleneck: {channels: 8, stride: 2}", "bottleneck", {"channels": 8, "stride": 2}),
        (
            "inverted_residual: {out_channels: 16, hidden: 96, squeeze_channels: 4}",
            "inverted_residual",
            {"out_channels": 16, "hidden": 96, "squeeze_channels": 4},
        ),
        (
            "inverted_residual: {out_channels: 16, hidden: 16, kernel_size: 5}",
            "inverted_residual",
            {"out_channels": 16, "hidden": 16, "kernel_size": 5},
        ),
    ],
)
def test_arguments_are_those_that_differ_from_defaults(node, block, arguments):
    assert said(node) == (block, arguments)


@pytest.mark.parametrize(
    "node",
    [
        # The last is no activation, and the one in the middle no norm.
        "layers: [{conv2d: {out_channels: 8, kernel_size: 3}}, relu, {max_pool2d: 2}]",
        # With a bias before a norm it is another list.
        "layers: [{linear: 8}, batch_norm, relu]",
        "layers: [relu, tanh]",
    ],
)
def test_other_lists_are_none(node):
    assert matched(node) is None
