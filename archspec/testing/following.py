"""One module at many sizes: held, bit for bit, against one that is compiled at each of them.

from hypothesis import given
from archspec import testing

@given(testing.following_specs())
def test_following(spec):
    testing.check_follows(testing.to_text(spec))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import torch
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from torch import Tensor, nn

import archspec
from archspec.architecture import Architecture
from archspec.diagnostics.diagnostic import SpecError
from archspec.ir.graph import Graph
from archspec.ir.shape import concrete
from archspec.runtime.values import drawn

Data: TypeAlias = Any


def check_follows(text: str, reach: int = 6) -> SpecError | None:
    """Asserts that the module of a spec is right at all sizes near its own that are accepted.

    The refusal, for a spec that is refused.
    """
    try:
        arch = archspec.loads(text, warn=False)
    except SpecError as refusal:
        return refusal
    contract = arch.contract()
    stated = list(contract.stated.items())
    cases = [dict(stated)]
    for step in range(1, reach + 1):
        cases += [
            {**dict(stated), name: size + sign * step}
            for name, size in stated
            for sign in (1, -1)
            if size + sign * step > 0
        ]
        cases.append({name: size + step for name, size in stated})
    legal = [values for values in cases if contract.accepts(**values)]
    shapes = [contract.input_shape(**values) for values in legal]
    assert not (found := list(following_mismatches(arch, shapes))), f"{found}\n{text}"
    return None


def following_mismatches(
    arch: Architecture, shapes: Iterable[dict[str, tuple[int, ...]]]
) -> Iterator[str]:
    """Inputs for which the module of a spec is not the one that it has there, in words.

    With the same weights, outputs and gradients must be the same bits. `shapes` are sizes by input.
    """
    net = arch.build(seed=0)
    for shape in shapes:
        there = arch.variant(input_shape=shape)
        own = there.build(seed=1)
        own.load_state_dict(net.state_dict())
        for training in (False, True):
            a, b = (_results(each.train(training), there.graph) for each in (net, own))
            if len(a) != len(b) or not all(map(same_bits, a, b)):
                yield f"{shape} in {'train' if training else 'eval'}()"


def same_bits(a: Tensor | None, b: Tensor | None) -> bool:
    """Whether two values have the same shape, type and bits, those of NaN among them."""
    if a is None or b is None:
        return a is b
    bits = [each.detach().reshape(-1).contiguous().view(torch.uint8) for each in (a, b)]
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(*bits)


def _results(net: nn.Module, graph: Graph) -> list[Tensor | None]:
    """What the module gives for drawn inputs, gradients too in `train()`; it stays as it was."""
    kept = {key: value.clone() for key, value in net.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    inputs = [
        drawn(kind, concrete(shape, 2), generator)
        for kind, shape in zip(graph.input_types, graph.inputs, strict=True)
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        result = net(*inputs)
        found: list[Tensor | None] = [
            *(
                result.values()
                if isinstance(result, dict)
                else [result]
                if isinstance(result, Tensor)
                else result
            )
        ]
        if net.training:
            ends = [each for each in found if each is not None and each.requires_grad]
            if ends:
                torch.autograd.backward(ends, [torch.rand_like(each) for each in ends])
            found += [parameter.grad for parameter in net.parameters()]
    net.zero_grad(set_to_none=True)
    net.load_state_dict(kept)
    return found


# --- drawing -------------------------------------------------------------------------------------

HEIGHTS = ("in_height", "in_height // 2", "(in_height + 1) // 2", "ceil(in_height / 3)")
"""Sizes as they are taken from a map."""

BLOCKS: dict[str, Data] = {
    "cells": {
        "doc": "A map as a list of cells, and back.",
        "params": {"rows": "$in_height", "columns": "$in_width", "channels": "$in_channels"},
        "layers": [
            {"reshape": ["channels", "rows * columns"]},
            {"softmax": -1},
            {"uncut": {"rows": "rows", "columns": "columns"}},
        ],
    },
    "uncut": {
        "doc": "Cells as a map, whose sizes the caller gives.",
        "params": {"rows": "int", "columns": "int"},
        "layers": [{"reshape": ["in_shape[0]", "rows", "columns"]}, "relu"],
    },
    "windows": {
        "doc": "Works within windows of a map that is filled up to whole ones.",
        "params": {
            "side": 2,
            "height": "$in_height",
            "width": "$in_width",
            "rows": "$(ceil(height / side))",
            "columns": "$(ceil(width / side))",
        },
        "layers": [
            {"pad": [0, "columns * side - width", 0, "rows * side - height"]},
            {"permute": [0, 2, 3, 1]},
            {"window_partition": {"window": "[side, side]"}},
            {"linear": "in_features"},
            {"window_merge": {"window": "[side, side]", "rows": "rows", "columns": "columns"}},
            {"permute": [0, 3, 1, 2]},
            {"slice": {"dim": 2, "end": "height"}},
            {"slice": {"dim": 3, "end": "width"}},
        ],
    },
}


@st.composite
def following_specs(draw: DrawFn) -> dict[str, Data]:
    """Specs of images whose nodes take arguments from the sizes of what they read."""
    sizes = [draw(st.integers(5, 12)) for _ in range(2)]
    draft = _Draft(draw)
    layers = draft.nodes(draw(st.integers(1, 4)), 2)
    if draw(st.booleans()):
        layers += ["global_avg_pool2d", "flatten", {"linear": 3}]
    return {"input": [2, *sizes], "blocks": BLOCKS, "layers": layers}


class _Draft:
    def __init__(self, draw: DrawFn) -> None:
        self.draw, self.names = draw, 0

    def choose(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def size(self, axis: str) -> str:
        text: str = self.choose(*HEIGHTS)
        return text.replace("in_height", axis)

    def pair(self) -> list[str]:
        return [self.size("in_height"), self.size("in_width")]

    def name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    def nodes(self, count: int, depth: int) -> list[Data]:
        """Nodes that read an image and give one."""
        forms = [self.changing, self.moved, self.pooled, self.resized, self.called, self.number]
        forms += [self.like]
        if depth:
            forms += [self.nested, self.joined, self.shared]
        found: list[Data] = []
        for _ in range(count):
            found += self.choose(*forms)(depth)
        return found

    def changing(self, depth: int) -> list[Data]:
        kernel, stride = self.choose((1, 1), (2, 2), (3, 2), (3, 1))
        conv = {"out_channels": 2, "kernel_size": kernel, "stride": stride}
        return [{"conv2d": {**conv, "padding": self.choose(0, kernel // 2)}}]

    def moved(self, depth: int) -> list[Data]:
        dim, axis = self.choose((2, "in_height"), (3, "in_width"))
        return [
            self.choose(
                {"pad": [0, "in_width % 3", "in_height % 2", self.choose(0, 1)]},
                {"slice": {"dim": dim, "end": self.size(axis)}},
                {"slice": {"dim": dim, "start": f"{axis} // 2", "step": self.choose(1, 2)}},
                {"roll": {"shifts": f"-({axis} // 2)", "dims": dim}},
                {"roll": {"shifts": self.pair(), "dims": [2, 3]}},
            )
        ]

    def pooled(self, depth: int) -> list[Data]:
        kernel = [self.size("in_height"), self.choose(1, 2)]
        return [
            self.choose(
                {"adaptive_avg_pool2d": self.pair()},
                {"adaptive_max_pool2d": self.pair()},
                {"max_pool2d": {"kernel_size": kernel, "stride": 1}},
                {"avg_pool2d": {"kernel_size": self.size("in_width"), "stride": self.pair()}},
            )
        ]

    def resized(self, depth: int) -> list[Data]:
        op, mode = self.choose("upsample", "interpolate"), self.choose("nearest", "bilinear")
        return [
            {
                op: {
                    "size": self.choose(self.pair(), ["2 * in_height", "in_width + 1"]),
                    "mode": mode,
                }
            }
        ]

    def like(self, depth: int) -> list[Data]:
        """A map that is brought to the sizes of an earlier one."""
        name = self.name()
        kept = {"name": name, **self._mapping(self.pooled(0)[0])}
        size = self.choose({"like": name}, {"size": [f"size({name}, 2)", f"size({name}, -1) + 1"]})
        return [kept, *self.changing(0), {"interpolate": {**size, "mode": "bilinear"}}]

    def called(self, depth: int) -> list[Data]:
        return [self.choose("cells", {"windows": {"side": self.choose(2, 3)}})]

    def number(self, depth: int) -> list[Data]:
        return [{self.choose("mul", "add"): {"other": f"{self.size('in_height')} - 1"}}]

    def nested(self, depth: int) -> list[Data]:
        node: Data = {"layers": self.nodes(self.choose(1, 2), depth - 1)}
        return [{**node, "repeat": self.choose(1, 2)} if self.choose(True, False) else node]

    def joined(self, depth: int) -> list[Data]:
        """Two ways to maps of one size, which is taken from the first."""
        paths = [self.nodes(1, depth - 1), self.nodes(1, depth - 1)]
        size = {"adaptive_avg_pool2d": ["ceil(in_height / 2)", "ceil(in_width / 2)"]}
        kept = [[*path, size] if self.choose(True, False) else path for path in paths]
        return [
            {"branches": kept, "merge": self.choose("add", "concat")},
            {"conv2d": {"out_channels": 2, "kernel_size": 1}},
        ]

    def shared(self, depth: int) -> list[Data]:
        name = self.name()
        return [{"name": name, **self._mapping(self.called(0)[0])}, *self.moved(0), {"share": name}]

    def _mapping(self, node: Data) -> dict[str, Data]:
        return node if isinstance(node, dict) else {node: None}
