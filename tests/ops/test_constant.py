import math

import pytest
import torch
from torch import nn

import archspec
from archspec.ops.constant import Constant
from archspec.testing.following import check_follows


def text_with(args):
    """A network that adds the constant to its input."""
    written = ", ".join(f"{key}: {item}" for key, item in args.items())
    return f"input: [1, 1]\nlayers: [{{name: c, constant: {{{written}}}}}, add: [input, c]]"


CASES = [
    ({"value": "[1, 2.5, 3]"}, torch.tensor([1.0, 2.5, 3.0])),
    ({"value": '"[sin(i) for i in range(3)]"'}, torch.tensor([0.0, math.sin(1), math.sin(2)])),
    ({"value": "[[1, 2], [3, 4]]"}, torch.tensor([[1, 2], [3, 4]])),
    ({"arange": 4}, torch.arange(4)),
    ({"arange": "[1, 2, 0.25]"}, torch.arange(1, 2, 0.25)),
    ({"arange": "[5, 0, -2]"}, torch.arange(5, 0, -2)),
    ({"linspace": "[0, 1, 5]"}, torch.linspace(0, 1, 5)),
    ({"eye": 3}, torch.eye(3)),
    ({"tril": "[2, 3]", "diagonal": 1}, torch.ones(2, 3).tril(1)),
    ({"full": "[2, 2]", "value": 0.5}, torch.full((2, 2), 0.5)),
]


@pytest.mark.parametrize(("args", "expected"), CASES)
@pytest.mark.parametrize("persistent", [False, True])
def test_is_torch_s_tensor(args, expected, persistent):
    net = archspec.loads(text_with({**args, "persistent": str(persistent).lower()})).build()
    given = torch.zeros(2, 1, 1)
    assert torch.equal(net(given), given + expected)
    assert list(net.state_dict()) == (["c"] if persistent else [])
    if persistent:
        assert torch.equal(net.c, expected) and net.c.dtype == expected.dtype


@pytest.mark.parametrize("args", [args for args, _ in CASES])
def test_expands_to_itself_and_is_verified(args):
    arch = archspec.loads(text_with(args))
    again = archspec.loads(arch.expand())
    assert again.expand() == arch.expand()
    assert again.build().code == arch.build().code
    for dtype in ("float32", "bfloat16"):
        assert arch.verify(dtype=dtype).ok, arch.verify(dtype=dtype)


@pytest.mark.parametrize(
    ("args", "below"),
    [
        ({"arange": 5}, 5),
        ({"arange": (2, 9, 3)}, 9),
        ({"arange": (7, -1, -2)}, 8),
        ({"arange": (5, -4, -3)}, None),
        ({"value": (3, 0, 2)}, 4),
        ({"value": (3, -1)}, None),
        ({"eye": 2, "dtype": "int64"}, 2),
        ({"full": (2,), "value": 6}, 7),
        ({"value": 1.5}, None),
    ],
)
def test_whole_numbers_have_a_bound(args, below):
    assert Constant(**args).result_type().below == below


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"arange": "[0, 3.0e38, 1.0e-300]"}, "a step of 1e-300 makes more numbers"),
        ({"arange": "[0.0, -1.0, -1.0e-320]"}, "a step of -1e-320 makes more numbers"),
        ({"tril": 3, "diagonal": 2**31}, "diagonal"),
    ],
)
def test_numbers_that_torch_cannot_count_are_refused(args, message):
    with pytest.raises(archspec.SpecError, match=message):
        archspec.loads(text_with(args))


class HandWritten(nn.Module):
    """A small GPT's embeddings, with learned queries behind the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(50, 8), nn.Embedding(20, 8)
        self.register_buffer("scale", torch.arange(8) / 2, persistent=False)
        self.queries = nn.Parameter(torch.empty(3, 8))

    def forward(self, tokens):
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = (self.wte(tokens) + self.wpe(positions)) * self.scale
        return torch.cat((x, self.queries.expand(len(x), -1, -1)), dim=1)


GPT = """
params: {vocab: 50, width: 8}
sizes: {T: 12}
input: {shape: [T], dtype: int64, below: vocab}
layers:
  - {name: wte, embedding: {num_embeddings: vocab, embedding_dim: width}}
  - {name: positions, constant: {arange: "size(input, 1)"}}
  - {name: wpe, embedding: {num_embeddings: 20, embedding_dim: width}}
  - {name: both, add: [wte, wpe]}
  - {name: scale, constant: "[i / 2 for i in range(width)]"}
  - {name: scaled, mul: [both, scale]}
  - {name: queries, parameter: {shape: [3, width], init: normal, batch: true}}
  - concat: [scaled, queries]
"""


def test_positions_follow_the_tensor_and_bound_the_contract():
    arch, hand = archspec.loads(GPT), HandWritten()
    net = arch.build(seed=0)
    assert sorted(net.state_dict()) == sorted(hand.state_dict())
    hand.load_state_dict(net.state_dict())
    for length in (1, 12, 20):
        tokens = torch.randint(50, (2, length))
        assert torch.equal(net(tokens), hand(tokens))
    assert "1 ≤ T ≤ 20" in str(arch.contract())
    with pytest.raises(ValueError, match="T = 21 is not legal"):
        net(torch.zeros(1, 21, dtype=torch.int64))
    assert arch.verify().ok
    check_follows(GPT)


def test_gradients_reach_what_is_expanded():
    net, hand = archspec.loads(GPT).build(seed=0), HandWritten()
    hand.load_state_dict(net.state_dict())
    tokens, way = torch.randint(50, (2, 4)), torch.randn(2, 7, 8)
    for each in (net, hand):
        each(tokens).backward(way)
    theirs = dict(hand.named_parameters())
    for key, parameter in net.named_parameters():
        assert torch.equal(parameter.grad, theirs[key].grad), key


def test_floats_follow_the_precision_and_integers_do_not():
    text = "input: [3]\nlayers: [{name: c, constant: {arange: 3, dtype: float}}, mul: [input, c]]"
    net = archspec.loads(text).build(dtype=torch.bfloat16)
    assert net(torch.ones(1, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16
    text = "input: [3]\nlayers: [{name: c, constant: {value: [1, 2, 3]}}, mul: [input, c]]"
    assert archspec.loads(text).build().half().c.dtype == torch.int64
