"""What is proposed where shapes do not fit, and that the spec is sound once it is done."""

from __future__ import annotations

import pytest
from listing import loaded, refused

CONV = "conv2d: {out_channels: 4, kernel_size: "
STRIDED = f"- {{name: a, {CONV}1, stride: 2}}}}\n"

# Layers, the help, what is edited in the layers and in what way, for an input of (4, 8, 8).
EDITS = {
    "the shortcut, which stands last, is changed first": (
        "- {name: a, conv2d: {out_channels: 8, kernel_size: 1}}\n"
        "- {name: b, conv2d: {out_channels: 6, kernel_size: 1}, from: input}\n- add: [a, b]",
        '`out_channels: 8` on "b" at line 4 makes the shapes fit',
        ("6, ", "8, "),
    ),
    "what both inputs follow from is left as it is": (
        "- {name: a, conv2d: {out_channels: 8, kernel_size: 1}}\n"
        "- {name: b, conv2d: {out_channels: 16, kernel_size: 1}}\n- add: [b, a]",
        '`out_channels: 8` on "b" at line 4 makes the shapes fit',
        ("16, ", "8, "),
    ),
    "two arguments at once": (
        "- {name: a, conv2d: {out_channels: 8, kernel_size: 1, stride: 2}}\n"
        "- {name: b, conv2d: {out_channels: 6, kernel_size: 1}, from: input}\n- add: [a, b]",
        '`out_channels: 8, stride: 2` on "b" at line 4 makes the shapes fit',
        ("6, kernel_size: 1", "8, kernel_size: 1, stride: 2"),
    ),
    "the padding that keeps the size": (
        f"- {{name: a, {CONV}5}}}}\n- add: [a, input]",
        '`padding: 2` on "a" at line 3 makes the shapes fit',
        ("5}", "5, padding: 2}"),
    ),
    "the padding that keeps the size of a dilated kernel": (
        f"- {{name: a, {CONV}3, dilation: 2}}}}\n- add: [a, input]",
        '`padding: 2` on "a" at line 3 makes the shapes fit',
        ("2}", "2, padding: 2}"),
    ),
    "the padding that leads to the size of the other": (
        f"- {{name: a, {CONV}4}}}}\n- {{name: b, {CONV}2}}, from: input}}\n- add: [a, b]",
        '`padding: 1` on "a" at line 3 makes the shapes fit',
        ("4}", "4, padding: 1}"),
    ),
    "the padding of every second pixel": (
        f"- {{name: a, {CONV}3, stride: 2}}}}\n- {{name: b, {CONV}1, stride: 2}}, from: input}}\n"
        "- add: [b, a]",
        '`padding: 1` on "a" at line 3 makes the shapes fit',
        ("3, ", "3, padding: 1, "),
    ),
    "the op that gave the shape, however far above": (
        "- {name: a, conv2d: {out_channels: 6, kernel_size: 1}}\n- relu\n- {name: n, batch_norm: }"
        "\n- add: [n, input]",
        '`out_channels: 4` on "a" at line 3 makes the shapes fit',
        ("6, ", "4, "),
    ),
    "no argument of a shared module": (
        "- {name: a, conv2d: {out_channels: 6, kernel_size: 1}}\n- {share: a, from: input}\n"
        "- {name: c, concat: [input, input]}\n- add: ['1', c]\n- concat: [a, '3']",
        'project "c" at line 5 first: `conv2d: {out_channels: 6, kernel_size: 1}`',
        ("- add: ['1', c]", "- conv2d: {out_channels: 6, kernel_size: 1}\n- add: ['1', '3']"),
    ),
    "a longer stride": (
        f"{STRIDED}- {{name: p, max_pool2d: 4, from: input}}\n- add: [a, p]",
        '`stride: 4` on "a" at line 3 makes the shapes fit',
        ("stride: 2", "stride: 4"),
    ),
    "no stride where nothing else helps": (
        f"{STRIDED}- add: [a, input]",
        '`stride: 1` on "a" at line 3 makes the shapes fit',
        (", stride: 2", ""),
    ),
    "a whole factor of scale": (
        f"{STRIDED}- {{name: u, upsample: {{scale_factor: 4}}}}\n- add: [u, input]",
        '`scale_factor: 2` on "u" at line 4 makes the shapes fit',
        ("4}}\n- add", "2}}\n- add"),
    ),
    "one size of a resized image": (
        "- {name: u, upsample: {size: 10}}\n- add: [u, input]",
        '`size: 8` on "u" at line 3 makes the shapes fit',
        ("10", "8"),
    ),
    "axes of size 1 for a gate": (
        "- global_avg_pool2d\n- flatten\n- mul: ['1', input]",
        'add "reshape: [4, 1, 1]" after the "flatten" at line 4',
        ("- mul: ['1'", "- reshape: [4, 1, 1]\n- mul: ['2'"),
    ),
}


@pytest.mark.parametrize("case", EDITS)
def test_an_edit_that_makes_it_fit(case):
    layers, said, (before, after) = EDITS[case]
    assert f"help: {said}" in refused(layers).splitlines()[-1]
    assert layers.count(before) == 1
    loaded(layers.replace(before, after))


# Two inputs that are added, and the help.
PROJECTIONS = {
    "of a vector": ("[4]", "[8]", 'project "y" first: `linear: {out_features: 4}`'),
    "of a sequence": (
        "[4, 10]",
        "[8, 10]",
        'project "y" first: `conv1d: {out_channels: 4, kernel_size: 1}`',
    ),
    "of the longer sequence": (
        "[4, 10]",
        "[8, 5]",
        'project "x" first: `conv1d: {out_channels: 8, kernel_size: 1, stride: 2}`',
    ),
    "of the larger image": (
        "[4, 6, 6]",
        "[4, 18, 18]",
        'project "y" first: `conv2d: {out_channels: 4, kernel_size: 1, stride: 3}`',
    ),
}


def test_positions_are_not_projected():
    head = "inputs: {x: [4, 10], y: {shape: [8, 10], dtype: int64, below: 4}}\n"
    said = refused("- take_along_dim: {dim: 2}\n  from: [x, y]", input="", head=head)
    assert said.endswith('help: project "x" first: `conv1d: {out_channels: 8, kernel_size: 1}`')


@pytest.mark.parametrize("case", PROJECTIONS)
def test_a_projection_of_an_input(case):
    x, y, said = PROJECTIONS[case]
    head = f"inputs: {{x: {x}, y: {y}}}\n"
    assert refused("- add: [x, y]", input="", head=head).endswith(f"help: {said}")
    name, layer = said.split('"')[1], said.split("`")[1]
    other = "x" if name == "y" else "y"
    loaded(f"- {{{layer}, from: {name}}}\n- add: ['0', {other}]", input="", head=head)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("[4, 6, 6]", "[4, 12, 18]"),  # one stride cannot do for both axes
        ("[4, 6, 6]", "[4, 7, 7]"),
        ("[4, 3, 3, 3]", "[8, 3, 3, 3]"),  # no op projects five axes
    ],
)
def test_nothing_is_proposed_where_nothing_helps(x, y):
    said = refused("- add: [x, y]", input="", head=f"inputs: {{x: {x}, y: {y}}}\n")
    assert "AS401" in said and "help:" not in said


def test_no_odd_margin_is_padded():
    said = refused(
        f"- {{name: a, {CONV}4}}}}\n- {{name: c, {CONV}3}}, from: input}}\n- add: [a, c]"
    )
    assert "AS401" in said and "help:" not in said


def test_sizes_of_two_axes_are_proposed_as_a_list():
    layers = "- {name: u, upsample: {size: [10, 12]}, from: x}\n- add: [u, y]"
    head = "inputs: {x: [4, 5, 5], y: [4, 6, 9]}\n"
    said = refused(layers, input="", head=head)
    assert said.endswith('help: `size: [6, 9]` on "u" at line 3 makes the shapes fit')
    loaded(layers.replace("[10, 12]", "[6, 9]"), input="", head=head)


@pytest.mark.parametrize(
    ("kernel", "found"), [(9, True), (2049, True), (4096, True), (4097, False)]
)
def test_the_smallest_input_for_a_window(kernel, found):
    said = refused(f"- max_pool2d: {kernel}", input="[1, 8, 8]").splitlines()[-1]
    smallest = f"height and width here are {kernel}: `input: [1, {kernel}, {kernel}]`"
    assert said.endswith(smallest) is found
    assert said.startswith("  help: a kernel_size of at most 8 fits")


def test_other_arguments_of_a_block_are_proposed_where_shapes_do_not_fit_alone():
    said = refused("- conv_norm_act: {out_channels: 4, stride: 0}")
    assert "AS205: conv2d: stride cannot be 0" in said and "the shapes fit" not in said


def test_a_node_that_is_read_by_many_ways_is_looked_at_once():
    ways = "".join(f"- {{name: n{i}, mul: [n{i - 1}, n{i - 1}]}}\n" for i in range(1, 60))
    start = "- {name: n0, relu: }\n- {name: x, conv2d: {out_channels: 6, kernel_size: 1}}\n"
    said = refused(f"{start}{ways}- add: [x, n59]")  # else a way for each of 2**59
    assert said.endswith('help: `out_channels: 4` on "x" at line 4 makes the shapes fit')
