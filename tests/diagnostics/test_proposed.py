"""What a help line proposes is right: the spec, edited as it says, compiles without a word.

Each entry names a spec of specs/, what its help says, and the edit that a reader makes of that.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import archspec
from archspec.ir.op import REGISTRY

FOLDER = Path(__file__).parent / "specs"

PROPOSED = [
    ("shapes/unet_of_an_odd_size", "`input: [3, 96, 96]`", "[3, 100, 100]", "[3, 96, 96]"),
    ("shapes/unet_of_an_odd_size", "`[3, 104, 104]`", "[3, 100, 100]", "[3, 104, 104]"),
    (
        "shapes/unet_of_an_odd_size",
        '`output_padding: 1` on "u3"',
        "out_channels: 32, kernel_size: 2, stride: 2",
        "out_channels: 32, kernel_size: 2, stride: 2, output_padding: 1",
    ),
    ("shapes/unet_interpolated", "`input: [3, 68, 88]`", "[3, 70, 90]", "[3, 68, 88]"),
    ("shapes/unet_interpolated", "`[3, 72, 92]`", "[3, 70, 90]", "[3, 72, 92]"),
    ("shapes/unet_of_blocks", "`input: [3, 96, 88]`", "[3, 100, 90]", "[3, 96, 88]"),
    ("shapes/reshape_remainder", "`input: [3, 28, 28]`", "[3, 32, 32]", "[3, 28, 28]"),
    ("shapes/conv2d_reflect", "`input: [3, 33, 33]`", "[3, 32, 32]", "[3, 33, 33]"),
    ("shapes/conv2d_same_with_stride", "`padding: 1`", "padding: same", "padding: 1"),
    ("shapes/conv2d_same_with_strides", "`padding: 2`", "padding: same", "padding: 2"),
    ("shapes/parameter_before_a_norm", "`from: proj`", "layer_norm", "{layer_norm: , from: proj}"),
    (
        "shapes/parameter_at_the_start",
        '`from: input` on the "linear" at line 4',
        "linear: 32",
        "{linear: 32, from: input}",
    ),
    (
        "shapes/parameter_before_a_block",
        '`from: 0` on the "head"',
        "- head",
        "- {head: , from: 0}",
    ),
    ("edges/outputs_names_no_node", "`name: logits`", "{linear: 10}", "{linear: 10, name: logits}"),
    ("edges/outputs_unknown", "`fc`", "fd", "fc"),
    (
        "repeats/name_is_a_number",
        '`name: "linear{index}"`',
        'name: "{index}"',
        'name: "linear{index}"',
    ),
    (
        "repeats/merge_of_its_input",
        "`{repeat: 2, layers: [{add: [input, input]}]}`",
        "{repeat: 2, add: [input, input]}",
        "{repeat: 2, layers: [{add: [input, input]}]}",
    ),
    (
        "repeats/named_merge",
        "`{repeat: 2, layers: [{add: [input, b]}], from: a}`",
        "{name: r, repeat: 2, add: [a, b]}",
        "{repeat: 2, layers: [{add: [input, b]}], from: a}",
    ),
    (
        "yaml/repeat_over_a_list_without_layers",
        "write `layers:` on a line between",
        "repeat: 3\n",
        "repeat: 3\n    layers:\n",
    ),
    (
        "parameters/number_in_quotes_in_arithmetic",
        "write 8 without quotes",
        'width: "8"',
        "width: 8",
    ),
    ("edges/merge_of_one", "`add: [input, stem]`", "add: [stem]", "add: [input, stem]"),
    ("edges/counted_back", "the relu at line 4 is '1'", "[-2, -3]", "[1, 0]"),
    (
        "schema/input_by_name",
        "`[3, 32, 32]`",
        "{channels: 3, height: 32, width: 32}",
        "[3, 32, 32]",
    ),
    ("schema/softmax_without_a_dim", "`softmax: 1`", "- softmax", "- softmax: 1"),
    (
        "schema/lists_of_positions",
        "`max_pool2d: {kernel_size: 2, stride: 2, padding: 0}`",
        "- conv2d: [16, 3]\n  - conv2d: 16\n  - max_pool2d: [2, 2, 0]\n  - [relu]",
        "- max_pool2d: {kernel_size: 2, stride: 2, padding: 0}",
    ),
    ("schema/percent_for_a_share", "write 0.5", "50\n", "0.5\n  - linear: 1\n"),
    ("shapes/attention_heads", "may be 6 or 10", "attention: 8", "attention: 6"),
    ("shapes/attention_heads", "may be 6 or 10", "attention: 8", "attention: 10"),
    ("shapes/conv2d_groups", "`groups` may be 1", "groups: 2", "groups: 1"),
    ("shapes/conv2d_groups_of_outputs", "`groups` may be 1", "groups: 3", "groups: 1"),
    ("shapes/group_norm_groups", "may be 5 or 10", "group_norm: 8", "group_norm: 10"),
    ("shapes/image_without_channels", "`input: [1, 28, 28]`", "[28, 28]", "[1, 28, 28]"),
    ("parameters/expression_large_in_between", "at every step", "2**70 // 2**68", "2**(70 - 68)"),
    ("blocks/sum_of_one_value", "`{scale: 2, from: y}`", "add: [y, y]", "{scale: 2, from: y}"),
    ("edges/lone_number", "`add: {other: 2}`", "add: 2", "add: {other: 2}"),
    ("edges/lone_number", "`add: [input, '2']`", "add: 2", "add: [input, '2']"),
    ("edges/lone_fraction", "`mul: {other: 0.5}`", "mul: 0.5", "mul: {other: 0.5}"),
    ("shapes/embedding_of_floats", "`to: int64`", "- embedding", "- to: int64\n  - embedding"),
    ("shapes/fraction_beside_integers", "`to: float`", "- mul", "- to: float\n  - mul"),
    ("shapes/more_values_than_rows", "`num_embeddings: 2`", "gs: 1", "gs: 2"),
    (
        "blocks/sum_of_one_integer",
        "`{mul: {other: 2}, from: y}`",
        "add: [y, y]",
        "{mul: {other: 2}, from: y}",
    ),
    ("blocks/layer_norm_on_an_image", "`axes: [1]`", "layer_norm", "layer_norm: {axes: [1]}"),
    (
        "blocks/layer_norm_on_an_image",
        "`axes: [1, 2, 3]`",
        "layer_norm",
        "layer_norm: {axes: [1, 2, 3]}",
    ),
]


@pytest.mark.parametrize(
    ("spec", "said", "old", "new"), PROPOSED, ids=[f"{p[0]}-{i}" for i, p in enumerate(PROPOSED)]
)
def test_an_edit_that_a_help_proposes_compiles(spec, said, old, new):
    path = FOLDER / f"{spec}.yaml"
    text = path.read_text(encoding="utf-8")
    assert said in path.with_suffix(".txt").read_text(encoding="utf-8")
    assert old in text
    edited = archspec.loads(text.replace(old, new, 1))
    # What no help was about: a parameter that nobody reads, a sum of the input with itself.
    assert {str(warning.code) for warning in edited.warnings} <= {"AS901", "AS906", "AS907"}


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 7])
def test_padding_for_same_multiplies_the_size_by_the_stride(kernel, stride):
    op = REGISTRY["conv_transpose2d"]
    said = op.instead("padding", "same", {"kernel_size": kernel, "stride": stride})
    written = said.split("`")[1]
    node = f"{{out_channels: 2, kernel_size: {kernel}, stride: {stride}, {written}}}"
    arch = archspec.loads(f"input: [3, 7, 10]\nlayers:\n  - conv_transpose2d: {node}\n")
    assert arch.output_shape[1:] == (2, 7 * stride, 10 * stride)


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_padding_for_same_divides_the_size_by_the_stride(kernel, stride):
    head = "input: [3, 12, 13]\nlayers:\n  - conv2d: "
    rest = f"{{out_channels: 2, kernel_size: {kernel}, stride: {stride}, padding: %s}}"
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(head + rest % "same")
    padding = raised.value.diagnostics[0].help.split("`")[1].removeprefix("padding: ")
    arch = archspec.loads(head + rest % padding)
    assert arch.output_shape[1:] == (2, -(-12 // stride), -(-13 // stride))


def test_the_scaled_value_is_the_sum_of_one():
    import torch

    text = (FOLDER / "blocks" / "sum_of_one_value.yaml").read_text()
    build = [
        archspec.loads(t).build()
        for t in (text, text.replace("add: [y, y]", "{scale: 2, from: y}"))
    ]
    build[1].load_state_dict(build[0].state_dict())
    x = torch.randn(4, 16)
    assert torch.equal(build[0](x), build[1](x))


CALLS = {
    "nn.Conv2d(3, 8, kernel_size=3)": "conv2d: {out_channels: 8, kernel_size: 3}",
    "nn.Conv2d(3, 8, 3, 2, 1, bias=False)": (
        "conv2d: {out_channels: 8, kernel_size: 3, stride: 2, padding: 1, bias: false}"
    ),
    "conv2d(8, 3)": "conv2d: {out_channels: 8, kernel_size: 3}",
    "nn.ConvTranspose2d(64, 32, (2, 2), stride=2)": (
        "conv_transpose2d: {out_channels: 32, kernel_size: [2, 2], stride: 2}"
    ),
    "nn.MaxPool2d(2, 2)": "max_pool2d: {kernel_size: 2, stride: 2}",
    "nn.BatchNorm2d(64)": "batch_norm",
    "nn.GroupNorm(3, 64)": "group_norm: 3",
    "nn.Linear(512, 10, bias=False)": "linear: {out_features: 10, bias: false}",
    "Linear(10)": "linear: 10",
    "nn.ReLU(inplace=True)": "relu",
    "nn.LeakyReLU(0.2)": "leaky_relu: 0.2",
    "nn.Dropout(p=0.5)": "dropout: 0.5",
    "nn.Flatten()": "flatten",
    "nn.AdaptiveAvgPool2d((1, 1))": "adaptive_avg_pool2d: [1, 1]",
    "residual(3, use_1x1conv=True)": "residual: {out_channels: 3, use_1x1conv: true}",
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_of_python_is_shown_as_a_node(call):
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(f"input: [3, 16, 16]\nlayers:\n  - {call}\n")
    (diagnostic,) = raised.value.diagnostics
    assert f"`{CALLS[call]}`" in diagnostic.help
    archspec.loads(f"input: [3, 16, 16]\nlayers:\n  - {CALLS[call]}\n")


def test_another_mistake_hides_no_input_that_fits():
    text = (FOLDER / "shapes" / "unet_interpolated.yaml").read_text()
    other = "  - {conv2d: {out_channels: 8, kernel_size: 3, groups: 2}, from: input}\n"
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(text + other)
    merge, groups = raised.value.diagnostics
    assert "`input: [3, 68, 88]`" in merge.help and groups.help == "`groups` may be 1"
