"""Numbers that follow the sizes of values: how generated code computes them, and that it is right.

Modules are held against ones compiled at each size, and code against what one would write by hand.
"""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
from hypothesis import assume, given, settings

import archspec
from archspec import testing
from archspec.ir.shape import N
from archspec.ir.spelling import source_of, spelled
from archspec.sizes.formula import Ring
from archspec.sizes.size import Path
from archspec.testing.following import following_mismatches

HEAD = "archspec: 1\nname: net\ninput: [2, 9, 10]\n"

SIZES = [(9, 10), (10, 9), (13, 17), (8, 24), (31, 12)]


def loaded(text: str) -> archspec.Architecture:
    return archspec.loads(HEAD + text, warn=False)


def code(text: str) -> str:
    net = loaded(text).build("meta")
    return "".join(net.code.splitlines(keepends=True)[1:])


def assert_follows(text: str, sizes: list[tuple[int, int]] = SIZES) -> None:
    shapes = [{"input": (2, *size)} for size in sizes]
    assert list(following_mismatches(loaded(text), shapes)) == []


# --- the code ------------------------------------------------------------------------------------


CALLS = {
    "reshape: [in_channels, in_height * in_width]": (
        "x.reshape(x.shape[0], x.shape[1], x.shape[2] * x.shape[3])"
    ),
    "pad: [0, in_width % 3, in_height % 2, 1]": (
        "F.pad(x, [0, x.shape[3] % 3, x.shape[2] % 2, 1], value=0.0)"
    ),
    "slice: {dim: 2, start: in_height // 2, end: in_height - 1}": (
        "x[:, :, x.shape[2] // 2:x.shape[2] - 1:1]"
    ),
    "roll: {shifts: -in_height // 2, dims: 2}": (
        "torch.roll(x, (-((x.shape[2] + 1) // 2),), (2,))"
    ),
    "avg_pool2d: {kernel_size: [in_height, 2]}": "F.avg_pool2d(x, kernel_size=(x.shape[2], 2))",
    "max_pool2d: {kernel_size: 1, stride: in_height // 2}": (
        "F.max_pool2d(x, kernel_size=1, stride=x.shape[2] // 2)"
    ),
    "adaptive_avg_pool2d: [in_height // 2, 3]": (
        "F.adaptive_avg_pool2d(x, output_size=(x.shape[2] // 2, 3))"
    ),
    "adaptive_max_pool2d: [1, ceil(in_width / 4)]": (
        "F.adaptive_max_pool2d(x, output_size=(1, (x.shape[3] + 3) // 4))"
    ),
    "upsample: {size: [2 * in_height, in_width]}": (
        "F.interpolate(x, size=(2 * x.shape[2], x.shape[3]))"
    ),
    "interpolate: {size: [in_height + 1, 5]}": "F.interpolate(x, size=(x.shape[2] + 1, 5))",
    "unflatten: {dim: 3, unflattened_size: [in_width // 2, 2]}": (
        "torch.unflatten(x, 3, (x.shape[3] // 2, 2))"
    ),
    "mul: {other: in_height - 1}": "x * (x.shape[2] - 1)",
    "add: {other: in_height}": "x + x.shape[2]",
}
"""Nodes, and the calls that they become; `F` stands for `torch.nn.functional`."""


@pytest.mark.parametrize("node", CALLS)
def test_an_argument_reads_the_value_that_it_is_taken_from(node: str) -> None:
    call = CALLS[node].replace("F.", "torch.nn.functional.")
    assert code(f"layers: [{{{node}}}]\n") == f"    return {call}\n"


def test_a_number_of_the_text_stays_that_number() -> None:
    text = "params: {side: 3}\nlayers: [{adaptive_avg_pool2d: side}, {slice: {dim: 2, end: 2}}]\n"
    arch = loaded(text)
    assert arch.emitted is arch.graph
    assert_follows(text)


def test_an_earlier_size_is_read_at_the_start() -> None:
    text = "blocks: {kept: {params: {rows: $in_height}, layers: [{adaptive_avg_pool2d: 3}, "
    text += "{upsample: {size: [rows, 4]}}]}}\nlayers: [kept]\n"
    net = loaded(text).build("meta")
    assert net[0].code == (
        "def forward(self, x):\n"
        "    size = x.shape[2]\n"
        '    x = getattr(self, "0")(x)\n'
        "    return torch.nn.functional.interpolate(x, size=(size, 4))\n"
    )


CELLS = """\
blocks:
  cells:
    params: {rows: $in_height, columns: $in_width}
    layers:
      - reshape: [2, rows * columns]
      - softmax: -1
      - {map: {rows: rows, columns: columns}}
  map:
    params: {rows: int, columns: int}
    layers: [{reshape: [2, rows, columns]}, relu]
layers:
  - {name: conv, conv2d: {out_channels: 2, kernel_size: 3, stride: 2}}
  - {name: cells, cells}
"""


def test_a_block_gets_from_its_caller_what_it_cannot_read() -> None:
    net = loaded(CELLS).build("meta")
    assert net.cells.code == (
        "def forward(self, x):\n"
        "    size = x.shape[2]\n"
        "    size1 = x.shape[3]\n"
        "    x = x.reshape(x.shape[0], 2, x.shape[2] * x.shape[3])\n"
        '    x = getattr(self, "1")(x)\n'
        '    return getattr(self, "2")(x, size, size1)\n'
    )
    assert getattr(net.cells, "2").code == (
        "def forward(self, x, size: int, size1: int):\n"
        "    x = x.reshape(x.shape[0], 2, size, size1)\n"
        '    return getattr(self, "1")(x)\n'
    )
    assert_follows(CELLS)


EARLIER = """\
blocks:
  outer:
    params: {rows: $in_height}
    inputs: [INPUT]
    layers: [{adaptive_avg_pool2d: 2}, {grown: {rows: rows}}]
  grown: {params: {rows: int}, layers: [{upsample: {size: [rows, 3]}}]}
layers: [outer]
"""


def test_a_chain_whose_module_takes_a_size_has_a_forward() -> None:
    text = EARLIER.replace("INPUT", "x")
    assert loaded(text).build("meta")[0].code == (
        "def forward(self, x):\n"
        "    size = x.shape[2]\n"
        '    x = getattr(self, "0")(x)\n'
        '    return getattr(self, "1")(x, size)\n'
    )
    assert_follows(text)


def test_variables_of_sizes_are_not_called_as_an_input() -> None:
    text = EARLIER.replace("INPUT", "size")
    assert "    size1 = size.shape[2]\n" in loaded(text).build("meta")[0].code
    assert_follows(text)


def test_two_inputs_are_followed_each_by_itself() -> None:
    text = """\
archspec: 1
name: net
inputs: {size: [2, 6, 8], x: [2, 3, 4]}
layers:
  - {name: a, adaptive_avg_pool2d: [in_height // 2, in_width // 2], from: size}
  - {name: sum, add: [a, x]}
  - {slice: {dim: 2, end: 2}}
  - {name: flat, reshape: [-1]}
  - {name: kept, slice: {dim: 1, end: in_features // 2}}
"""
    arch = archspec.loads(text, warn=False)
    shapes = [{"size": (2, 2 * h, 2 * w), "x": (2, h, w)} for h, w in [(3, 4), (5, 2), (4, 9)]]
    assert list(following_mismatches(arch, shapes)) == []


# --- one module, every size ----------------------------------------------------------------------

MIXED = """\
layers:
  - {name: conv, conv2d: {out_channels: 2, kernel_size: 3, stride: 2, padding: 1}}
  - {upsample: {size: [in_height + 1, in_width * 2], mode: bilinear}}
  - {avg_pool2d: {kernel_size: [in_height // 2, 1], stride: 1}}
  - {max_pool2d: {kernel_size: [in_height // 2, 1], stride: 1}}
  - {pad: [0, in_width % 3, in_height % 2, 0]}
  - {roll: {shifts: [in_height // 2, 1], dims: [2, 3]}}
  - {slice: {dim: 3, end: in_width - 1}}
  - {interpolate: {size: [in_height, 2]}}
"""


def test_pooled_padded_and_resized_maps_follow() -> None:
    assert_follows(MIXED)


@pytest.mark.parametrize("size", ["like: stem", "size: ['size(stem, 2)', 'size(stem, 3)']"])
def test_sizes_of_earlier_values_follow(size: str) -> None:
    text = f"""\
layers:
  - {{name: stem, conv2d: {{out_channels: 2, kernel_size: 3, padding: 1, stride: 2}}}}
  - max_pool2d: 2
  - {{name: up, interpolate: {{{size}, mode: bilinear}}}}
  - {{add: [up, stem]}}
"""
    arch = loaded(text)
    assert arch.emitted is not arch.graph
    assert_follows(text)


def test_a_module_is_shared_at_sizes_of_two_formulas() -> None:
    # Both are 4 x 4 here; the second follows the input, the first does not.
    text = CELLS[: CELLS.index("layers:\n  - {name: conv")] + (
        "layers:\n"
        "  - {name: first, conv2d: {out_channels: 2, kernel_size: 3, stride: 2}}\n"
        "  - {name: fixed, adaptive_avg_pool2d: [4, 4]}\n"
        "  - {name: cells, cells}\n"
        "  - {name: again, share: cells, from: first}\n"
        "  - {name: mean, global_avg_pool2d}\n"
        "  - {name: other, global_avg_pool2d, from: cells}\n"
        "  - add: [mean, other]\n"
    )
    net = loaded(text).build("meta")
    assert "x.shape[2] * x.shape[3]" in net.cells.code
    assert_follows(text, [(9, 9), (10, 10)])


def test_a_shared_module_takes_what_only_one_of_its_inputs_shows() -> None:
    text = """\
blocks:
  both:
    params: {rows: $in_height}
    layers:
      - {name: fixed, adaptive_avg_pool2d: [9, 10]}
      - {name: grown, layers: [relu, {upsample: {size: [rows, 3]}}], from: input}
      - {name: again, share: grown, from: fixed}
      - add: [grown, again]
layers: [both]
"""
    net = loaded(text).build("meta")
    assert net[0].grown.code.startswith("def forward(self, x, size: int):\n")
    assert loaded(text).contract().accepts(H=13, W=17)
    assert_follows(text)


def test_sizes_within_repeats_groups_and_training_only_nodes() -> None:
    assert_follows("""\
layers:
  - repeat: 2
    layers:
      - {pad: [0, 1, in_height % 2, 0]}
      - layers: [{roll: {shifts: in_width // 2, dims: 3}}]
  - {name: body, conv2d: {out_channels: 2, kernel_size: 3}}
  - name: aux
    training_only: true
    layers: [{avg_pool2d: [in_height, 1]}, {flatten: {start_dim: 2}}, {slice: {dim: 2, end: 1}}]
  - {name: head, adaptive_avg_pool2d: in_height // 2, from: body}
outputs: {head: head, aux: aux}
""")


@settings(max_examples=8)
@given(testing.following_specs())
def test_drawn_specs_follow_their_input(spec: object) -> None:
    assume(testing.check_follows(testing.to_text(spec), reach=2) is None)


def test_an_architecture_pickles_after_it_was_built() -> None:
    arch = loaded(CELLS)
    arch.build("meta")
    twin = pickle.loads(pickle.dumps(arch))
    assert twin.build("meta").cells.code == arch.build("meta").cells.code


def test_taps_of_a_following_network() -> None:
    arch = loaded(CELLS)
    net = arch.build(seed=0, outputs=["cells", "cells.0"])
    there = arch.variant(input_shape=(2, 15, 12)).build(seed=0, outputs=["cells", "cells.0"])
    x = torch.randn(2, 2, 15, 12)
    ours, theirs = net(x), there(x)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


# --- torch's own tools ---------------------------------------------------------------------------


@pytest.mark.parametrize("text", [CELLS, MIXED])
def test_copies_scripts_and_graphs_follow_too(text: str) -> None:
    net = loaded(text).build(seed=0).eval()
    x = torch.randn(2, 2, 13, 18)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twins = (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), torch.jit.script(net))
    for twin in (*twins, torch.fx.symbolic_trace(net)):
        assert torch.equal(twin(x), net(x))


@pytest.mark.parametrize("text", [CELLS, MIXED])
def test_export_at_a_size(text: str) -> None:
    net, x = loaded(text).build(seed=0).eval(), torch.randn(2, 2, 13, 18)
    assert torch.equal(torch.export.export(net, (x,)).module()(x), net(x))


@pytest.mark.parametrize("text", [CELLS, MIXED])
def test_following_networks_verify(text: str) -> None:
    report = loaded(text).verify()
    assert report.ok, str(report)


# --- what is decided when a spec is compiled -----------------------------------------------------


def test_only_a_spec_that_computes_from_sizes_is_compiled_with_symbols() -> None:
    plain = archspec.load("resnet18")
    assert plain.emitted is plain.graph
    # A size in a weight stays: it is a condition of the contract.
    embedded = loaded("layers: [{name: p, parameter: '[1] + in_shape'}, {add: [input, p]}]\n")
    small = loaded("layers: [relu]\n")
    assert small.emitted is small.graph
    assert embedded.build("meta").code.count("shape") == 0


# --- spelling ------------------------------------------------------------------------------------


def spelling(axis: object, wanted: object) -> str | None:
    found = spelled(wanted, [(N, 3, axis)])  # type: ignore[arg-type]
    return found and source_of(found, ["x"])


def test_a_formula_is_spelled_over_what_is_at_hand() -> None:
    h = Path(Ring(), lambda: None).size("H", 224)
    quarter, windows = h // 4, -(-(h // 4) // 7)
    assert spelling(quarter, windows) == "(x.shape[2] + 6) // 7"
    assert spelling(quarter, 7 * windows - quarter) == "7 * ((x.shape[2] + 6) // 7) - x.shape[2]"
    assert spelling(7 * windows, windows) == "x.shape[2] // 7"
    assert spelling(h - h // 2, (h - h // 2) // 3 + 1) == "x.shape[2] // 3 + 1"
    assert spelling(h - 2, h) == "x.shape[2] + 2"
    assert spelling(quarter, h) is None
    assert spelling(quarter, (h + 2) // 8) is None
    assert spelling(quarter, (h + 4) // 8) == "(x.shape[2] + 1) // 2"
