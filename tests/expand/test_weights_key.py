"""`weights: {weight: EDGE}`: tensors in the place of an op's own."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import archspec

TIED = """
params: {vocab: 11, width: 8}
input: {shape: [6], dtype: int64, below: vocab}
layers:
  - {name: wte, embedding: {num_embeddings: vocab, embedding_dim: width}}
  - {name: mlp, linear: width}
  - {name: lm_head, linear: {out_features: vocab, bias: false}, weights: {weight: wte.weight}}
"""


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wte, self.mlp = nn.Embedding(11, 8), nn.Linear(8, 8)
        self.lm_head = nn.Linear(8, 11, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens):
        return self.lm_head(self.mlp(self.wte(tokens)))


class Computed(nn.Module):
    """A convolution, a linear layer, a norm and a table whose weights are computed or given."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.gain = nn.Parameter(torch.randn(4, 1, 1, 1))
        self.conv = nn.Module()
        self.conv.bias = nn.Parameter(torch.randn(4))
        self.matrix, self.scale = nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.randn(4))
        self.norm = nn.Module()
        self.norm.bias = nn.Parameter(torch.randn(4))

    def forward(self, x):
        x = F.conv2d(x, self.kernel * self.gain, self.conv.bias, stride=2, padding=1)
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, (4,), self.scale, self.norm.bias)
        return F.linear(x, self.matrix * 0.5)


COMPUTED = """
input: [3, 6, 6]
layers:
  - {name: kernel, parameter: {shape: [4, 3, 3, 3], init: kaiming_uniform}}
  - {name: gain, parameter: {shape: [4, 1, 1, 1], init: ones}}
  - {name: product, mul: [kernel, gain]}
  - name: conv
    from: input
    conv2d: {out_channels: 4, kernel_size: 3, stride: 2, padding: 1}
    weights: {weight: product}
  - {name: last, permute: [0, 2, 3, 1]}
  - {name: scale, parameter: [4]}
  - {name: norm, from: last, layer_norm: , weights: {weight: scale}}
  - {name: matrix, parameter: {shape: [5, 4], init: xavier_normal}}
  - {name: halved, scale: 0.5}
  - {from: norm, linear: {out_features: 5, bias: false}, weights: {weight: halved}}
"""


def agree(net, hand, x):
    """Outputs and gradients are those of the module written by hand, bit for bit."""
    assert sorted(net.state_dict()) == sorted(hand.state_dict())
    net.load_state_dict(hand.state_dict())
    y = hand(x)
    assert torch.equal(net(x), y)
    way = torch.randn_like(y)
    y.backward(way)
    net(x).backward(way)
    theirs = dict(hand.named_parameters())
    for key, parameter in net.named_parameters():
        assert torch.equal(parameter.grad, theirs[key].grad), key


def test_a_parameter_of_another_node_has_two_keys_and_counts_once():
    arch, hand = archspec.loads(TIED), Tied()
    net = arch.build()
    assert net.lm_head.weight is net.wte.weight
    agree(net, hand, torch.randint(11, (2, 6)))
    summary = arch.summary()
    assert summary.num_parameters == sum(p.numel() for p in hand.parameters())
    assert summary.macs == 6 * 8 * 8 + 6 * 8 * 11
    assert arch.build(dtype=torch.bfloat16).lm_head.weight.dtype == torch.bfloat16


def test_values_stand_in_the_place_of_weights():
    arch = archspec.loads(COMPUTED)
    agree(arch.build(), Computed(), torch.randn(2, 3, 6, 6))
    assert arch.summary().macs == 3 * 3 * 4 * 27 + 9 * 4 * 5


@pytest.mark.parametrize(
    "text",
    [
        TIED,
        COMPUTED,
        COMPUTED.replace("scale, parameter: [4]}", "scale, parameter: [4], trainable: false}"),
    ],
)
def test_it_is_verified_and_expands_to_itself(text):
    arch = archspec.loads(text)
    for dtype in ("float32", "bfloat16"):
        assert arch.verify(dtype=dtype).ok, arch.verify(dtype=dtype)
    again = archspec.loads(arch.expand())
    assert again.expand() == arch.expand()
    assert again.build().code == arch.build().code


def test_an_owner_that_nobody_reads_keeps_its_module():
    text = (
        TIED.replace(
            "linear: width",
            "{embedding: {num_embeddings: vocab, embedding_dim: width}, from: input}",
        )
        .replace("mlp, {", "mlp, ")
        .replace("input}}", "input}")
    )
    arch = archspec.loads(text, warn=False)
    net = arch.build()
    assert sorted(net.state_dict()) == ["lm_head.weight", "mlp.weight", "wte.weight"]
    assert arch.verify().ok, arch.verify()
    assert archspec.loads(arch.expand(), warn=False).expand() == arch.expand()


def test_files_of_weights_may_have_either_key(tmp_path):
    from safetensors.torch import save_file

    arch = archspec.loads(TIED)
    state = arch.build(seed=1).state_dict()
    for lost in ("lm_head.weight", "wte.weight"):
        path = tmp_path / f"{lost}.safetensors"
        save_file({key: value for key, value in state.items() if key != lost}, path)
        net = arch.build(weights=path)
        assert torch.equal(net.lm_head.weight, state["wte.weight"])
        assert net.lm_head.weight is net.wte.weight
    torch.save(state, tmp_path / "both.pth")
    assert torch.equal(arch.build(weights=tmp_path / "both.pth").wte.weight, state["wte.weight"])
    save_file(
        {"emb.weight": state["wte.weight"], **{k: v for k, v in state.items() if k[:3] == "mlp"}},
        path,
    )
    net = arch.build(weights=path, weights_map={"emb": "wte"})
    assert torch.equal(net.lm_head.weight, state["wte.weight"])


def test_files_with_two_different_values_are_refused():
    arch = archspec.loads(TIED)
    state = {key: value.clone() for key, value in arch.build().state_dict().items()}
    state["lm_head.weight"] += 1
    with pytest.raises(archspec.WeightsError) as raised:
        arch.build(weights=state)
    assert "lm_head.weight: differs from wte.weight" in str(raised.value)


def test_a_frozen_owner_freezes_the_second_key_and_not_the_other_way_round():
    for name, frozen in (("wte", True), ("lm_head", False)):
        line = next(each for each in TIED.splitlines() if f"name: {name}" in each)
        arch = archspec.loads(TIED.replace(line, line[:-1] + ", trainable: false}"))
        assert arch.build().lm_head.weight.requires_grad is not frozen
        assert arch.verify().ok, arch.verify()


def test_a_dotted_name_comes_before_its_parameter():
    text = TIED.replace("wte.weight", "wte_.weight").replace("wte", "transformer.wte")
    text = text.replace("wte_", "wte").replace("name: transformer.wte", 'name: "transformer.wte"')
    text = text.replace("weight: transformer.wte.weight", 'weight: "transformer.wte.weight"')
    arch = archspec.loads(text)
    net = arch.build()
    assert set(net.state_dict()) == {
        *("transformer.wte.weight", "mlp.weight", "mlp.bias", "lm_head.weight")
    }
    assert net.lm_head.weight is net.transformer.wte.weight
    assert arch.verify().ok, arch.verify()
    assert archspec.loads(arch.expand()).expand() == arch.expand()


def test_weights_stand_beside_a_layers_parameter():
    arch = archspec.loads(
        "input: [8]\nparams: {fc: {linear: 8}}\nlayers:\n- {name: a, linear: 8}\n"
        "- {name: b, $fc: , weights: {weight: a.weight}}\n"
        "- {name: c, $fc: {bias: false}, weights: {weight: a.weight}}\n"
    )
    net, x = arch.build(seed=0), torch.randn(3, 8)
    assert list(net.state_dict()) == ["a.weight", "a.bias", "b.weight", "b.bias", "c.weight"]
    assert net.a.weight is net.b.weight is net.c.weight
    linear = torch.nn.functional.linear
    b = linear(linear(x, net.a.weight, net.a.bias), net.a.weight, net.b.bias)
    assert torch.equal(net(x), linear(b, net.a.weight))
    with pytest.raises(archspec.SpecError, match="stands on ops, and a group is none"):
        archspec.loads(
            "input: [8]\nparams: {fc: layers}\nlayers:\n- {name: a, linear: 8}\n"
            "- {$fc: , weights: {weight: a.weight}}\n",
            params={"fc": ["relu", {"linear": 8}]},
        )


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (
            "branches: [[{linear: 8}], []], merge: add",
            "`weights` stands on ops, and branches is none",
        ),
        ("repeat: 2, layers: [{linear: 8}]", "`weights` stands on ops, and a group is none"),
        ("parallel: 2, layers: [{linear: 8}], merge: add", "`weights` stands on ops, and a group"),
        ("b: ", "`weights` stands on ops, and b is none"),
        ("repeat: 2, linear: 8, share: true", "`weights` beside `share: true`: what is shared is"),
        ("parallel: 2, linear: 8, share: true, merge: add", "`weights` beside `share: true`: what"),
    ],
)
def test_weights_that_would_be_left_out_are_refused(node, said):
    head = "input: [8]\nblocks: {b: {layers: [{linear: 8}]}}\nlayers:\n"
    text = (
        f"{head}- {{name: p, parameter: [8, 8]}}\n- {{{node}, from: input, weights: {{weight: p}}}}"
    )
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(text)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.message.startswith(said)
