"""What a help line proposes is right: the spec, edited as it says, compiles without a word.

Each entry names a spec of specs/, what its help says, and the edit that a reader makes of that.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import archspec

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
        "`from: 0` where the block is called",
        "- head",
        "- {head: , from: 0}",
    ),
    ("blocks/sum_of_one_value", "`{scale: 2, from: y}`", "add: [y, y]", "{scale: 2, from: y}"),
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
    # A parameter that nobody reads is what remains where the help is about another node.
    assert {str(warning.code) for warning in edited.warnings} <= {"AS901"}


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 7])
def test_padding_for_same_multiplies_the_size_by_the_stride(kernel, stride):
    op = archspec.ops.conv.ConvTranspose2d
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
