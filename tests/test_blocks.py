"""The standard blocks that are not covered by the reference networks, and the spec variants."""

from __future__ import annotations

import pytest
import torch
from comparing import fill
from torch import nn

import archspec

CASES = [
    ("residual: {out_channels: 3}", (3, 6, 6), (3, 6, 6)),
    ("residual: {out_channels: 6, stride: 2}", (3, 6, 6), (6, 3, 3)),
    ("residual: {out_channels: 3, use_1x1conv: true}", (3, 6, 6), (3, 6, 6)),
    ("basic_block: {channels: 6, stride: 2}", (3, 6, 6), (6, 3, 3)),
    ("bottleneck: {channels: 4, stride: 2}", (3, 6, 6), (16, 3, 3)),
    ("dense: {num_convs: 2, growth_rate: 10}", (3, 8, 8), (23, 8, 8)),
    ("dense_bottleneck: {num_convs: 2, growth_rate: 10}", (3, 8, 8), (23, 8, 8)),
    ("transition: {out_channels: 10}", (23, 8, 8), (10, 4, 4)),
    ("vgg_block: {num_convs: 2, out_channels: 5}", (3, 8, 8), (5, 4, 4)),
    ("nin_block: {out_channels: 5, kernel_size: 3, stride: 2}", (3, 9, 9), (5, 4, 4)),
    ("inception: {c1: 2, c2: [3, 4], c3: [1, 5], c4: 6}", (3, 9, 9), (17, 9, 9)),
    ("conv_norm_act: {out_channels: 4, kernel_size: 5, dilation: 2}", (3, 9, 9), (4, 9, 9)),
    ("basic_conv2d: {out_channels: 4, kernel_size: 3, stride: 2}", (3, 9, 9), (4, 4, 4)),
    ("squeeze_excitation: {squeeze_channels: 2}", (3, 9, 9), (3, 9, 9)),
    ("inverted_residual: {out_channels: 4, hidden: 9, stride: 2}", (3, 9, 9), (4, 5, 5)),
    ("fire: {squeeze: 2, expand: 5}", (3, 9, 9), (10, 9, 9)),
    ("channel_shuffle: {groups: 3}", (6, 9, 9), (6, 9, 9)),
    ("imagenet_to_unit", (3, 9, 9), (3, 9, 9)),
    ("mlp: {hidden: 12}", (5, 4), (5, 4)),
    ("mlp: {hidden: 12, out_features: 3, dropout: 0.1, act: relu}", (5, 4), (5, 3)),
    ("transformer_encoder_layer: {num_heads: 2, mlp_features: 12}", (5, 4), (5, 4)),
    ("window_partition: {window: [2, 3]}", (4, 9, 5), (6, 6, 5)),
    ("window_merge: {window: [2, 3], rows: 2}", (6, 6, 5), (4, 9, 5)),
    ("split_heads: {num_heads: 2}", (6, 5, 4), (6, 2, 5, 2)),
    ("join_heads", (6, 2, 5, 2), (6, 5, 4)),
    ("split_heads: {num_heads: 2}", (5, 4), (2, 5, 2)),
    ("join_heads", (2, 5, 2), (5, 4)),
    ("feed_forward: {hidden: 12, out_features: 3, dropout: 0.1, act: relu}", (5, 4), (5, 3)),
    ("patch_embedding: {patch_size: 2, features: 5, norm: layer_norm}", (3, 4, 6), (6, 5)),
    ("conv_bn_act: {out_channels: 4, kernel_size: 5, dilation: 2}", (3, 9, 9), (4, 9, 9)),
    ("c2f: {out_channels: 6, depth: 2, residual: false}", (3, 9, 9), (6, 9, 9)),
]


def one_node(node: str, shape: tuple[int, ...]) -> archspec.Architecture:
    """A network of one node."""
    return archspec.loads(f"archspec: 1\nname: one\ninput: {list(shape)}\nlayers:\n  - {node}\n")


@pytest.mark.parametrize(("node", "shape", "expected"), CASES)
def test_block_shapes(node: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    arch = one_node(node, shape)
    assert arch.output_shape == ("N", *expected)
    assert arch.build()(torch.rand(2, *shape)).shape == (2, *expected)


@pytest.mark.parametrize(
    ("node", "has_projection"),
    [
        ("residual: {out_channels: 3}", False),
        ("residual: {out_channels: 4}", True),
        ("residual: {out_channels: 3, stride: 2}", True),
        ("residual: {out_channels: 3, use_1x1conv: true}", True),
    ],
)
def test_residual_projects_where_the_shape_changes(node: str, has_projection: bool) -> None:
    keys = set(one_node(node, (3, 6, 6)).build().state_dict())
    assert ("0.conv3.weight" in keys) == has_projection


def test_conv_norm_act_is_torchvisions() -> None:
    misc = pytest.importorskip("torchvision.ops.misc")
    text = "conv_norm_act: {out_channels: 6, stride: 2, groups: 3, dilation: 2, act: hardswish}"
    reference = misc.Conv2dNormActivation(
        3, 6, stride=2, groups=3, dilation=2, activation_layer=nn.Hardswish
    )
    assert_same(one_node(text, (3, 9, 9)), reference)


def test_conv_norm_act_without_normalisation_has_a_bias_and_no_gap_in_the_numbers() -> None:
    misc = pytest.importorskip("torchvision.ops.misc")
    text = "conv_norm_act: {out_channels: 6, norm: identity, act: prelu}"
    reference = misc.Conv2dNormActivation(
        3, 6, norm_layer=None, activation_layer=nn.PReLU, inplace=None
    )
    assert_same(one_node(text, (3, 9, 9)), reference)


@pytest.mark.parametrize(
    ("node", "options"),
    [
        ("bottleneck: {channels: 16, stride: 2}", {"stride": 2}),
        ("bottleneck: {channels: 16, groups: 4, base_width: 8}", {"groups": 4, "base_width": 8}),
    ],
)
def test_bottleneck_is_torchvisions(node: str, options: dict[str, int]) -> None:
    resnet = pytest.importorskip("torchvision.models.resnet")
    downsample = nn.Sequential(
        nn.Conv2d(3, 64, 1, options.get("stride", 1), bias=False), nn.BatchNorm2d(64)
    )
    reference = resnet.Bottleneck(3, 16, downsample=downsample, **options)
    assert_same(one_node(node, (3, 9, 9)), reference)


@pytest.mark.parametrize(
    ("node", "options"),
    [
        ("squeeze_excitation: {squeeze_channels: 2}", {}),
        (
            "squeeze_excitation: {squeeze_channels: 2, act: silu, gate: hardsigmoid}",
            {"activation": nn.SiLU, "scale_activation": nn.Hardsigmoid},
        ),
    ],
)
def test_squeeze_excitation_is_torchvisions(node: str, options: dict[str, type]) -> None:
    misc = pytest.importorskip("torchvision.ops.misc")
    assert_same(one_node(node, (3, 9, 9)), misc.SqueezeExcitation(3, 2, **options))


def test_fire_is_torchvisions() -> None:
    squeezenet = pytest.importorskip("torchvision.models.squeezenet")
    assert_same(one_node("fire: {squeeze: 2, expand: 5}", (3, 9, 9)), squeezenet.Fire(3, 2, 5, 5))


def test_channel_shuffle_is_torchvisions_at_any_image_size() -> None:
    shufflenetv2 = pytest.importorskip("torchvision.models.shufflenetv2")
    net = one_node("channel_shuffle: {groups: 2}", (6, 9, 9)).build()
    images = torch.rand(2, 6, 5, 4)
    assert torch.equal(net(images), shufflenetv2.channel_shuffle(images, 2))
    assert net(images)[0, :, 0, 0].tolist() == images[0, [0, 3, 1, 4, 2, 5], 0, 0].tolist()


@pytest.mark.parametrize(
    ("hidden", "out_channels", "stride", "squeezes"),
    [(24, 3, 1, True), (24, 3, 1, False), (24, 16, 1, True), (24, 3, 2, False)],
)
def test_inverted_residual_is_torchvisions(
    hidden: int, out_channels: int, stride: int, squeezes: bool
) -> None:
    mobilenetv3 = pytest.importorskip("torchvision.models.mobilenetv3")
    # torchvision rounds every width to a multiple of 8, but for the input's.
    config = mobilenetv3.InvertedResidualConfig(
        3, 5, hidden, out_channels, squeezes, "HS", stride, 1, width_mult=1.0
    )
    config.input_channels, config.out_channels = 3, out_channels
    reference = mobilenetv3.InvertedResidual(config, nn.BatchNorm2d)
    node = (
        f"inverted_residual: {{out_channels: {out_channels}, hidden: {hidden}, kernel_size: 5, "
        f"stride: {stride}, act: hardswish, gate: hardsigmoid, "
        f"squeeze_channels: {8 if squeezes else 0}}}"
    )
    assert_same(one_node(node, (3, 9, 9)), reference)


def test_inverted_residual_without_widening_is_efficientnets_first_block() -> None:
    efficientnet = pytest.importorskip("torchvision.models.efficientnet")
    config = efficientnet.MBConvConfig(1, 3, 1, 8, 8, 1)
    node = (
        "inverted_residual: {out_channels: 8, hidden: 8, act: silu, squeeze_act: silu, "
        "squeeze_channels: 2, drop_rate: 0.5}"
    )
    assert_same(one_node(node, (8, 9, 9)), efficientnet.MBConv(config, 0.5, nn.BatchNorm2d))


def test_dense_bottleneck_drops_at_its_rate() -> None:
    densenet = pytest.importorskip("torchvision.models.densenet")
    text = "dense_bottleneck: {num_convs: 2, growth_rate: 6, bn_size: 2, drop_rate: 0.5}"
    assert_same(one_node(text, (3, 9, 9)), densenet._DenseBlock(2, 3, 2, 6, 0.5))


def assert_same(arch: archspec.Architecture, reference: nn.Module) -> None:
    """Same keys below the node's path `0`, and the same outputs in both modes."""
    fill(reference, torch.Generator().manual_seed(3))  # no two norms or biases are alike
    net = arch.build()
    net.load_state_dict({f"0.{key}": value for key, value in reference.state_dict().items()})
    images = torch.rand(2, *arch.input_shape[1:])
    for training in (True, False):
        torch.manual_seed(4)
        expected = reference.train(training)(images)
        torch.manual_seed(4)
        assert torch.equal(net.train(training)(images), expected)


def test_group_norm_variant_replaces_every_batch_norm() -> None:
    net = archspec.load("resnet18_group_norm").build(device="meta")
    kinds = [type(module) for module in net.modules()]
    # The stem has one, each of the eight residual blocks two.
    assert kinds.count(nn.GroupNorm) == 17
    assert nn.BatchNorm2d not in kinds


def test_deep_stem_variant_changes_the_stem_alone() -> None:
    base = archspec.load("resnet18").build(device="meta").state_dict()
    deep = archspec.load("resnet18_deep_stem").build(device="meta").state_dict()
    assert {key for key in base if key not in deep} == set()
    changed = {key for key in deep if key not in base or deep[key].shape != base[key].shape}
    assert changed == {"stem.conv.weight"} | {
        f"stem.{position}.{key}"
        for position in (0, 1)
        for key in (
            "0.weight",
            "1.weight",
            "1.bias",
            "1.running_mean",
            "1.running_var",
            "1.num_batches_tracked",
        )
    }


def test_bottleneck_densenet_variant() -> None:
    arch = archspec.load("densenet_bc")
    # 64 channels grow by 4 x 12 in each block and are halved after the first three.
    assert [layer.output_shape[1] for layer in arch.nodes if layer.op == "dense_bottleneck"] == [
        112,
        104,
        100,
        98,
    ]
    assert [layer.op for layer in arch.nodes][-2:] == ["dropout", "linear"]


def test_scratch_batch_norm_variant_keeps_its_statistics_in_the_state_dict() -> None:
    net = archspec.compile("lenet_bn_scratch")
    before = {key: value.clone() for key, value in net.state_dict().items()}
    net.train()(torch.rand(4, 1, 28, 28))
    moved = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    parameters = {key for key, _ in net.named_parameters()}
    assert moved and moved.isdisjoint(parameters)
    assert {key.partition(".")[0] for key in moved} == {"1", "5", "10", "13"}


@pytest.mark.parametrize(
    ("there", "back", "shape"),
    [
        (
            "window_partition: {window: [2, 3]}",
            "window_merge: {window: [2, 3], rows: 2}",
            (4, 9, 5),
        ),
        ("split_heads: {num_heads: 2}", "join_heads", (6, 5, 4)),
        ("split_heads: {num_heads: 2}", "join_heads", (5, 4)),
    ],
)
def test_a_partition_is_undone(there: str, back: str, shape: tuple[int, ...]) -> None:
    x = torch.randn(2, *shape)
    parts = one_node(there, shape).build()(x)
    assert torch.equal(one_node(back, tuple(parts.shape[1:])).build()(parts), x)


def test_windows_are_cut_row_by_row() -> None:
    cells = torch.arange(24.0).reshape(1, 4, 6, 1)
    windows = one_node("window_partition: {window: [2, 3]}", (4, 6, 1)).build()(cells)
    assert windows.flatten(2).tolist() == [
        [
            [0, 1, 2, 6, 7, 8],
            [3, 4, 5, 9, 10, 11],
            [12, 13, 14, 18, 19, 20],
            [15, 16, 17, 21, 22, 23],
        ]
    ]


def test_transformer_encoder_layer_is_torchvisions() -> None:
    models = pytest.importorskip("torchvision.models.vision_transformer")
    reference = models.EncoderBlock(2, 4, 12, dropout=0.1, attention_dropout=0.2)
    node = (
        "transformer_encoder_layer: {num_heads: 2, mlp_features: 12, dropout: 0.1, "
        "attention_dropout: 0.2, norm: {layer_norm: {eps: 1e-6}}}"
    )
    net = one_node(node, (5, 4)).build()[0]
    net.load_state_dict(reference.state_dict())
    x = torch.randn(3, 5, 4)
    for training in (True, False):
        torch.manual_seed(1)
        expected = reference.train(training)(x)
        torch.manual_seed(1)
        assert torch.equal(net.train(training)(x), expected)


def test_frozen_batch_norm_is_torchvisions() -> None:
    ops = pytest.importorskip("torchvision.ops")
    reference = ops.FrozenBatchNorm2d(3, eps=0.5)
    state = {name: torch.rand(3) + 0.5 for name in reference.state_dict()}
    reference.load_state_dict(state)
    net = archspec.loads("input: [3, 4, 5]\nlayers: [frozen_batch_norm: {eps: 0.5}]").build()
    net.load_state_dict({f"0.{name}": value for name, value in state.items()}, strict=True)
    x = torch.randn(2, 3, 4, 5)
    assert list(net.parameters()) == []
    assert torch.equal(net.train()(x), reference(x))


@pytest.mark.parametrize("name", ["merge", "when", "share"])
def test_a_block_is_not_called_as_a_key_of_nodes(name):
    text = f"input: [4]\nblocks:\n  {name}: {{layers: [relu]}}\nlayers: [relu]\n"
    with pytest.raises(archspec.SpecError) as caught:
        archspec.loads(text)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.span.line, diagnostic.span.column) == ("AS208", 3, 3)
