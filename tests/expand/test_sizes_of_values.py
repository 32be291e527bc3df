"""`size(stem, 2)` and `like: stem`: sizes of earlier values of the list."""

from __future__ import annotations

import pytest

import archspec
from archspec.diagnostics.diagnostic import SpecError

HEAD = """\
input: [3, 10, 13]
layers:
  - {name: stem, conv2d: {out_channels: 4, kernel_size: 3}}
  - {name: halves, chunk: 2}
  - {name: small, from: stem, max_pool2d: 2}
"""


def shapes(node):
    arch = archspec.loads(f"{HEAD}  - {node}\n", warn=False)
    return arch.output_shape


def refusal(node, head=HEAD):
    with pytest.raises(SpecError) as raised:
        archspec.loads(f"{head}  - {node}\n", warn=False)
    return str(raised.value)


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        ("interpolate: {size: ['size(stem, 2)', 'size(stem, -1)']}", ("N", 4, 8, 11)),
        ("interpolate: {size: ['size(input, 2)', 'size(\"halves[1]\", 3)']}", ("N", 4, 10, 11)),
        ("interpolate: {size: 'size(stem, 1) + 1'}", ("N", 4, 5, 5)),
        ("interpolate: {like: stem}", ("N", 4, 8, 11)),
        ("interpolate: {like: 'halves[0]', mode: area}", ("N", 4, 8, 11)),
        ("upsample: {like: input, mode: bilinear}", ("N", 4, 10, 13)),
        ("{when: 'size(stem, 2) > size(small, 2)', max_pool2d: 4}", ("N", 4, 1, 1)),
    ],
)
def test_sizes_of_earlier_values(node, shape):
    assert shapes(node) == shape


def test_a_block_reads_the_list_of_its_call_in_its_arguments():
    text = """\
input: [3, 8, 8]
blocks:
  grown: {params: {to: int}, layers: [{interpolate: {size: to}}]}
layers:
  - {name: stem, max_pool2d: 2}
  - {grown: {to: 'size(stem, 2) * 3'}}
"""
    assert archspec.loads(text).output_shape == ("N", 3, 12, 12)


def test_like_takes_a_computed_edge():
    text = """\
input: [3, 8, 8]
layers:
  - name: halved
    parallel: {i: 2}
    max_pool2d: 2 * (i + 1)
  - {name: "p.2", max_pool2d: 8, from: input}
  - repeat: {i: [1, 0]}
    layers:
      - {interpolate: {like: "halved[i]"}, from: "p.{i + 1}"}
      - {name: "p.{i}", add: ["halved[i]", -1]}
  - {name: last, interpolate: {like: "p.{1 + 0}"}}
"""
    shapes = {layer.path: layer.output_shape[2:] for layer in archspec.loads(text).layers}
    assert (shapes["p.1"], shapes["p.0"], shapes["last"]) == ((2, 2), (4, 4), (2, 2))


def test_a_parameter_may_be_called_size():
    text = "input: [4]\nparams: {size: 3}\nlayers: [{name: a, linear: size}, linear: 'size(a, 1)']"
    assert archspec.loads(text).output_shape == ("N", 3)


def test_asking_reads_nothing():
    text = """\
input: [3, 8, 8]
layers:
  - {name: other, max_pool2d: 2}
  - {from: input, interpolate: {like: other}}
"""
    arch = archspec.loads(text, warn=False)
    assert [layer.path for layer in arch.layers] == ["1"]
    assert [each.code for each in arch.warnings] == ["AS901"]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("interpolate: {size: 'size(later, 2)'}", "no node before this one is called 'later'"),
        ("interpolate: {like: later}", "no node before this one is called 'later'"),
        ("interpolate: {size: 'size(stem, 0)'}", "axis 0 of 'stem' is the batch"),
        ("interpolate: {size: 'size(stem, 4)'}", "dim 4 is outside a 4-D input"),
        ("interpolate: {size: 'size(stem, 1.5)'}", "counts axes with whole numbers"),
        ("interpolate: {size: 'size(halves, 2)'}", "'halves' has 2 outputs"),
        ("interpolate: {size: 'size(\"halves[2]\", 2)'}", "'halves' has 2 outputs"),
        ("interpolate: {size: 'size(stem + 1, 2)'}", "takes the name of a node first"),
        ("interpolate: {size: 'size(stem)'}", "takes 2 argument(s), got 1"),
        ("interpolate: {like: [stem]}", "is not a name"),
        ("interpolate: {like: 'halves[2]'}", "'halves' has 2 outputs"),
        ("interpolate: {like: 'halves[1.5]'}", "no node before this one is called"),
        ("interpolate: {like: 'halves[nowhere]'}", "'nowhere'"),
        ("interpolate: {like: stem, size: 3}", "both say its sizes"),
        ("interpolate: {like: stem, scale_factor: 2}", "either size or scale_factor"),
        ("conv2d: {like: stem}", "has no argument 'like'"),
    ],
)
def test_mistakes_are_located(node, said):
    assert said in refusal(node)


def test_sizes_of_the_list_are_not_known_outside_it():
    text = "params: {a: '$(size(stem, 2))'}\ninput: [3, 8, 8]\nlayers: [max_pool2d: a]"
    with pytest.raises(SpecError, match="there is no list of nodes"):
        archspec.loads(text)
    with pytest.raises(SpecError, match="there is no list of nodes"):
        archspec.loads("input: [3, 'size(stem, 2)']\nlayers: [relu]")


def test_a_u_net_that_resizes_runs_at_any_size():
    text = """\
sizes: {H: 30, W: 41}
input: [3, H, W]
layers:
  - {name: stem, conv2d: {out_channels: 4, kernel_size: 3, padding: 1}}
  - max_pool2d: 2
  - interpolate: {like: stem}
  - concat: [stem, '2']
"""
    arch = archspec.loads(text)
    assert arch.contract().text == "H and W ≥ 2"
    assert arch.formulas().output_shapes == {"output": "(N, 8, H, W)"}
