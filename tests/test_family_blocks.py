"""The standard blocks that every family repeats, against modules of torch and torchvision, and
against others written here by hand with the names of timm and Ultralytics."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from comparing import fill
from torch import Tensor, nn
from torch.nn import functional

import archspec
from archspec.document import blocks


def test_a_spec_reads_the_blocks_alone_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_LIBRARY", {})
    archspec.load("torchvision/resnet50")
    assert set(blocks._LIBRARY) == {"basic_block", "bottleneck"}


def assert_same(text: str, reference: nn.Module, inputs: Sequence[Tensor], prefix: str = "") -> int:
    """Same keys, parameters, and outputs in both modes; the number of parameters."""
    fill(reference, torch.Generator().manual_seed(3))  # no two norms or biases are alike
    arch = archspec.loads(text)
    net = arch.build()
    state = {f"{prefix}{key}": value for key, value in reference.state_dict().items()}
    net.load_state_dict(state, strict=True)
    for training in (True, False):
        torch.manual_seed(4)
        expected = reference.train(training)(*inputs)
        torch.manual_seed(4)
        given = net.train(training)(*inputs)
        if isinstance(expected, Tensor):
            expected, given = {"": expected}, {"": given}
        for one, other in zip(expected.values(), given.values(), strict=True):
            assert torch.equal(one, other)
    counted = sum(each.numel() for each in reference.parameters())
    assert arch.num_parameters == counted
    return counted


# --- transformers --------------------------------------------------------------------------------


class Attention(nn.Module):
    """With the names of timm, and its order: queries, keys and values of all heads."""

    def __init__(self, features: int, num_heads: int, bias: bool, normalised: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(features, 3 * features, bias=bias)
        each = features // num_heads
        self.q_norm = nn.LayerNorm(each) if normalised else nn.Identity()
        self.k_norm = nn.LayerNorm(each) if normalised else nn.Identity()
        self.proj = nn.Linear(features, features)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, features = x.shape
        parts = self.qkv(x).reshape(batch, tokens, 3, self.num_heads, features // self.num_heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        q, k = self.q_norm(q), self.k_norm(k)
        y = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(batch, tokens, features))


@pytest.mark.parametrize(
    ("text", "bias", "normalised", "count"),
    [
        # 12 x 36 and 12 x 12 weights, with the biases.
        ("qkv_attention: {num_heads: 3}", True, False, 624),
        # Without the bias of 36, with two norms of 4 features.
        ("qkv_attention: {num_heads: 3, qkv_bias: false, qk_norm: layer_norm}", False, True, 604),
    ],
)
def test_qkv_attention_is_timms(text: str, bias: bool, normalised: bool, count: int) -> None:
    reference = Attention(12, 3, bias, normalised)
    x = torch.randn(2, 5, 12)
    assert assert_same(f"input: [5, 12]\nlayers: [{text}]", reference, [x], "0.") == count


def test_qkv_attention_drops_weights_and_result() -> None:
    text = "qkv_attention: {num_heads: 3, attention_dropout: 0.5, dropout: 0.5}"
    net = archspec.loads(f"input: [5, 12]\nlayers: [{text}]").build()
    x = torch.randn(1, 5, 12)
    state = net.state_dict()
    torch.manual_seed(2)
    q, k, v = (x @ state["0.qkv.weight"].T + state["0.qkv.bias"]).chunk(3, 2)
    q, k, v = (each.unflatten(2, (3, 4)).transpose(1, 2) for each in (q, k, v))
    y = functional.scaled_dot_product_attention(q, k, v, dropout_p=0.5)
    y = y.transpose(1, 2).flatten(2) @ state["0.proj.weight"].T + state["0.proj.bias"]
    expected = functional.dropout(y, 0.5)
    torch.manual_seed(2)
    torch.testing.assert_close(net.train()(x), expected)


def test_attend_masks_and_serves_several_heads_of_queries() -> None:
    text = """
      inputs: {q: [4, 3, 8], k: [2, 3, 8], v: [2, 3, 8], mask: {shape: [1, 1, 3], dtype: bool}}
      layers: [{attend: {grouped: true, scale: 0.5}, from: [q, k, v, mask]}]
    """
    q, k, v = (torch.randn(2, heads, 3, 8) for heads in (4, 2, 2))
    mask = torch.tensor([[True, True, False], [True, False, True]])
    k4, v4 = (each.repeat_interleave(2, 1) for each in (k, v))
    logits = 0.5 * q @ k4.transpose(2, 3)
    weights = logits.masked_fill(~mask[:, None, None], -torch.inf).softmax(3)
    expected = (weights @ v4).transpose(1, 2).flatten(2)
    given = archspec.loads(text).build()(q, k, v, mask[:, None, None])
    torch.testing.assert_close(given, expected)


def test_attend_hides_later_tokens() -> None:
    text = "inputs: {q: [2, 4, 8]}\nlayers: [{attend: {causal: true}, from: [q, q, q]}]"
    net = archspec.loads(text).build()
    q = torch.randn(1, 2, 4, 8)
    other = net(torch.cat([q[:, :, :3], -q[:, :, 3:]], 2))
    torch.testing.assert_close(net(q)[:, :3], other[:, :3])
    assert not torch.allclose(net(q)[:, 3], other[:, 3])


class FeedForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 12), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.dropout(functional.gelu(self.fc1(x)), 0.3, self.training)
        return functional.dropout(self.fc2(x), 0.3, self.training)


def test_feed_forward_is_timms_mlp() -> None:
    text = "input: [5, 4]\nlayers: [feed_forward: {hidden: 12, dropout: 0.3}]"
    assert assert_same(text, FeedForward(), [torch.randn(2, 5, 4)], "0.") == 60 + 52


class PatchEmbedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj, self.norm = nn.Conv2d(3, 5, 2, 2, bias=False), nn.LayerNorm(5)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x).flatten(2).transpose(1, 2))


def test_patch_embedding_is_timms() -> None:
    node = "patch_embedding: {patch_size: 2, features: 5, bias: false, norm: layer_norm}"
    text = f"input: [3, 4, 6]\nlayers: [{node}]"
    assert assert_same(text, PatchEmbedding(), [torch.randn(2, 3, 4, 6)], "0.") == 60 + 10


@pytest.mark.parametrize("norm_first", [False, True])
def test_decoder_layer_is_torchs(norm_first: bool) -> None:
    reference = nn.TransformerDecoderLayer(
        8, 2, 12, activation="gelu", batch_first=True, norm_first=norm_first
    )
    options = f"num_heads: 2, mlp_features: 12, act: gelu, norm_first: {str(norm_first).lower()}"
    text = f"""
      inputs: {{x: [5, 8], memory: [7, 8]}}
      layers: [{{name: decoder, transformer_decoder_layer: {{{options}}}, from: [x, memory]}}]
    """
    assert_same(text, reference, [torch.randn(2, 5, 8), torch.randn(2, 7, 8)], "decoder.")


class Decoder(nn.Module):
    """Stacked and masked as in machine translation."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerDecoderLayer(8, 2, 12, batch_first=True)
        self.decoder = nn.TransformerDecoder(layer, 2)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        later = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return self.decoder(x, memory, later, memory_key_padding_mask=mask)


def test_decoder_layers_repeat_and_mask() -> None:
    text = """
      inputs: {x: [5, 8], memory: [7, 8], mask: {shape: [7], dtype: bool}}
      layers:
        - name: decoder.layers
          repeat: 2
          from: [x, memory, mask]
          transformer_decoder_layer: {num_heads: 2, mlp_features: 12, causal: true}
    """
    mask = torch.zeros(2, 7, dtype=torch.bool)
    mask[0, 5:] = True
    assert_same(text, Decoder(), [torch.randn(2, 5, 8), torch.randn(2, 7, 8), mask])


def test_rotary_turns_pairs_of_features() -> None:
    text = """
      inputs: {x: [2, 5, 6], tokens: [5, 3]}
      layers:
        - {name: angles, rotary_angles: {features: 6, theta: 100.0}, from: tokens}
        - {name: cos, cos}
        - {name: sin, sin, from: angles}
        - {rotary: , from: [x, cos, sin]}
    """
    x = torch.randn(2, 2, 5, 6)
    # Features i and i + 3 are a complex number, and its turn is a product.
    turns = torch.outer(torch.arange(5.0), 100.0 ** (-torch.arange(3) / 3))
    turned = torch.complex(x[..., :3], x[..., 3:]) * torch.polar(torch.ones(5, 3), turns)
    given = archspec.loads(text).build()(x, torch.zeros(2, 5, 3))
    torch.testing.assert_close(given, torch.cat([turned.real, turned.imag], 3))


@pytest.mark.parametrize("features", [3, 7])
def test_rotary_refuses_an_odd_number_of_features(features: int) -> None:
    said = rf"cannot divide dim \d by the sizes given: {features} is not a multiple of 2"
    with pytest.raises(archspec.SpecError, match=f"<text>:3:5: .*{said}"):
        archspec.loads(f"input: [5]\nlayers:\n  - rotary_angles: {{features: {features}}}\n")
    inputs = f"{{x: [5, {features}], cos: [5, {features}], sin: [5, {features}]}}"
    with pytest.raises(archspec.SpecError, match=f"<text>:3:6: .*{said}"):
        archspec.loads(f"inputs: {inputs}\nlayers:\n  - {{rotary: , from: [x, cos, sin]}}\n")


# --- images --------------------------------------------------------------------------------------


class Conv(nn.Module):
    """A convolution with the names of Ultralytics, and of timm."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.bn(self.conv(x)))


def test_conv_bn_act_has_the_names_of_timm() -> None:
    node = (
        "conv_bn_act: {out_channels: 4, kernel_size: 5, stride: 2, act: silu, "
        "norm: {batch_norm: {eps: 0.001, momentum: 0.03}}}"
    )
    text = f"input: [3, 9, 9]\nlayers: [{node}]"
    assert assert_same(text, Conv(3, 4, 5, 2), [torch.randn(2, 3, 9, 9)], "0.") == 300 + 8


class Unit(nn.Module):
    def __init__(self, channels: int, residual: bool) -> None:
        super().__init__()
        self.cv1, self.cv2 = Conv(channels, channels), Conv(channels, channels)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x)) if self.residual else self.cv2(self.cv1(x))


class C2f(nn.Module):
    """With the names of Ultralytics."""

    def __init__(self, inputs: int, outputs: int, depth: int, residual: bool) -> None:
        super().__init__()
        half = outputs // 2
        self.cv1 = Conv(inputs, outputs, 1)
        self.m = nn.ModuleList(Unit(half, residual) for _ in range(depth))
        self.cv2 = Conv((2 + depth) * half, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.cv1(x).chunk(2, 1))
        for unit in self.m:
            parts.append(unit(parts[-1]))
        return self.cv2(torch.cat(parts, 1))


@pytest.mark.parametrize(("depth", "residual"), [(1, True), (2, False)])
def test_c2f_is_ultralytics(depth: int, residual: bool) -> None:
    node = f"c2f: {{out_channels: 6, depth: {depth}, residual: {str(residual).lower()}}}"
    reference = C2f(3, 6, depth, residual)
    assert_same(f"input: [3, 7, 7]\nlayers: [{node}]", reference, [torch.randn(2, 3, 7, 7)], "0.")


class SqueezeExcite(nn.Module):
    """With the names of timm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_reduce, self.conv_expand = nn.Conv2d(6, 2, 1), nn.Conv2d(2, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.conv_expand(functional.silu(self.conv_reduce(means))))


def test_squeeze_excitation_has_the_names_of_timm() -> None:
    node = (
        "squeeze_excitation: {squeeze_channels: 2, act: silu, reduce: conv_reduce, "
        "expand: conv_expand}"
    )
    text = f"input: [6, 5, 5]\nlayers: [{node}]"
    assert assert_same(text, SqueezeExcite(), [torch.randn(2, 6, 5, 5)], "0.") == 14 + 18


class Pyramid(nn.Module):
    """torchvision's pyramid of named maps."""

    def __init__(self, fpn: nn.Module) -> None:
        super().__init__()
        self.fpn = fpn

    def forward(self, *maps: Tensor) -> dict[str, Tensor]:
        return self.fpn({f"{i}": each for i, each in enumerate(maps)})


@pytest.mark.parametrize(
    ("options", "extra"),
    [
        ("", None),
        (", extra: p6p7", "LastLevelP6P7"),
        (", extra: {max_pool2d: {kernel_size: 1, stride: 2}}", "LastLevelMaxPool"),
    ],
)
def test_fpn_is_torchvisions(options: str, extra: str | None) -> None:
    ops = pytest.importorskip("torchvision.ops")
    made = {
        None: lambda: None,
        "LastLevelP6P7": lambda: ops.feature_pyramid_network.LastLevelP6P7(6, 6),
        "LastLevelMaxPool": ops.feature_pyramid_network.LastLevelMaxPool,
    }[extra]()
    reference = Pyramid(ops.FeaturePyramidNetwork([3, 4, 5], 6, extra_blocks=made))
    text = f"""
      inputs: {{c3: [3, 9, 10], c4: [4, 5, 5], c5: [5, 3, 3]}}
      layers: [{{name: fpn, fpn: {{channels: 6{options}}}, from: [c3, c4, c5]}}]
      outputs: fpn
    """
    maps = [torch.randn(2, 3, 9, 10), torch.randn(2, 4, 5, 5), torch.randn(2, 5, 3, 3)]
    assert_same(text, reference, maps)


def test_c2f_halves_an_odd_number_of_channels_as_ultralytics_does():
    """Ultralytics' C2f computes `c = int(out * 0.5)`, and gives its first convolution `2 * c`."""
    arch = archspec.loads("input: [4, 8, 8]\nlayers: [{name: c, c2f: {out_channels: 7, depth: 2}}]")
    shapes = {key: tuple(value.shape) for key, value in arch.build().state_dict().items()}
    assert shapes["c.cv1.conv.weight"] == (6, 4, 1, 1)
    assert shapes["c.m.0.cv1.conv.weight"] == (3, 3, 3, 3)
    assert shapes["c.cv2.conv.weight"] == (7, 12, 1, 1)
