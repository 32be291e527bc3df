"""A block that calls itself: under a `when` that ends it, or refused with one message."""

from __future__ import annotations

import time

import pytest
import torch
from listing import first_line, listed, loaded, refused
from torch import nn

import archspec

TREE = """
blocks:
  tree:
    params: {levels: int}
    layers:
      - {name: left, conv2d: {out_channels: 4, kernel_size: 1}, when: levels == 1}
      - {name: left, tree: {levels: levels - 1}, when: levels > 1}
      - {name: right, tree: {levels: levels - 1}, from: left, when: levels > 1}
      - {name: root, add: [left, right]}
"""


class Tree(nn.Module):
    def __init__(self, levels: int) -> None:
        super().__init__()
        self.left = nn.Conv2d(4, 4, 1) if levels == 1 else Tree(levels - 1)
        self.right = None if levels == 1 else Tree(levels - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left = self.left(x)
        return left + (left if self.right is None else self.right(left))


def test_a_tree_of_blocks_is_the_module_written_by_hand():
    net = loaded("- {name: t, tree: {levels: 4}}", head=TREE).build()
    wanted = nn.ModuleDict({"t": Tree(4)})
    assert {k: v.shape for k, v in net.state_dict().items()} == {
        k: v.shape for k, v in wanted.state_dict().items()
    }
    wanted.load_state_dict(net.state_dict())
    x = torch.rand(2, 4, 8, 8)
    assert torch.equal(net(x), wanted["t"](x))


def test_each_level_is_listed_below_the_one_that_calls_it():
    rows = listed("- {name: t, tree: {levels: 2}}", head=TREE)
    assert rows[:3] == [
        "t = tree(input) -> 4x8x8",
        "t.left = tree(input) -> 4x8x8",
        "t.left.left = conv2d(input) -> 4x8x8",
    ]
    assert "t.right.left = conv2d(input) -> 4x8x8" in rows


def test_equal_calls_are_expanded_once_at_each_level():
    head, layers = TREE, "- {tree: {levels: 14}}"
    text = f"input: [4, 2, 2]\n{head}layers:\n  {layers}\n"
    # 8,192 convolutions run; the nodes of each level are placed once.
    arch = archspec.loads(text, limits=archspec.Limits(nodes=14 * 4), warn=False)
    assert arch.num_parameters == 2**13 * (4 * 4 + 4)


def test_its_expansion_calls_nothing_twice_and_is_the_same_network():
    arch = loaded("- {name: t, tree: {levels: 4}}", head=TREE)
    again = archspec.loads(arch.expand())
    assert again.expand() == arch.expand()
    assert list(again.build().state_dict()) == list(arch.build().state_dict())


def test_a_patch_reaches_into_one_level_alone(tmp_path):
    text = f"input: [4, 8, 8]\n{TREE}layers:\n  - {{name: t, tree: {{levels: 3}}}}\n"
    (tmp_path / "base.yaml").write_text(text)
    changed = "extends: base.yaml\npatch: [{replace: t.left.right.left, with: {linear: 8}}]\n"
    (tmp_path / "changed.yaml").write_text(changed)
    arch = archspec.load(tmp_path / "changed.yaml")
    ops = {layer.path: layer.op for layer in arch.layers if layer.path.endswith(".left")}
    assert [path for path, op in ops.items() if op == "linear"] == ["t.left.right.left"]
    assert arch.num_parameters == 3 * (4 * 4 + 4) + (8 * 8 + 8)


@pytest.mark.parametrize(
    ("blocks", "call"),
    [
        ("{b: {layers: [relu, b]}}", "b"),
        ("{b: {layers: [{b: , from: input}, {b: , from: input}]}}", "b"),
        ("{b: {params: {n: 0}, layers: [{b: {n: n + 1}}, {b: {n: n + 2}, from: input}]}}", "b"),
        ("{a: {layers: [b]}, b: {layers: [relu, a]}}", "a"),
        ("{b: {layers: [{layers: [{repeat: 2, layers: [b]}]}]}}", "b"),
        ("{b: {layers: [{branches: [[b], [b]], merge: add}]}}", "b"),
        ("{b: {params: {body: {b: }}, layers: [$body]}}", "b"),
    ],
)
def test_an_endless_one_gets_one_message(blocks, call):
    started = time.process_time()
    said = refused(f"- {call}", head=f"blocks: {blocks}\n")
    assert said.count("error ") == 1
    assert f"error AS604: the block '{call}' calls itself, and " in first_line(said)
    assert "blocks and groups may stand 60 deep" in said
    assert time.process_time() - started < 5


def test_an_end_that_comes_too_late_is_refused_and_the_limit_can_be_raised():
    text = "input: [4, 8, 8]\n" + TREE + "layers: [{tree: {levels: 9}}]\n"
    with pytest.raises(archspec.SpecError, match="may stand 5 deep"):
        archspec.loads(text, limits=archspec.Limits(depth=5))
    assert archspec.loads(text, limits=archspec.Limits(depth=9)).output_shape == ("N", 4, 8, 8)
