"""What `tools/fold.py` counts."""

from __future__ import annotations

import fold
import yaml


def test_scalars_are_those_that_are_written_out():
    text = """
name: a  # 2
doc: not counted
layers:  # 1
  - relu  # 1
  - {name: b, tanh}  # 3
  - conv2d: {out_channels: 8, kernel_size: [3, 3]}  # 6
"""
    assert fold.scalars(yaml.compose(text)) == 13


def test_a_variant_counts_with_all_that_it_extends():
    base, variant = (fold.found(f"torchvision/{name}") for name in ("resnet18", "resnet50"))
    own = fold.scalars(yaml.compose(variant.read_text(encoding="utf-8")))
    assert fold.by_hand(variant, set()) == own + fold.by_hand(base, set())


def test_a_row_says_whether_it_is_the_same_network():
    options = fold.parser().parse_args(["lenet_bn"])
    hand, folded, seconds, same = fold.row(fold.found("lenet_bn"), options)
    assert same
    assert 0 < folded <= 2 * hand
    assert seconds < 30
