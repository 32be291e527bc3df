import pytest
import torch
from torch import nn

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.fields import ArgumentsError
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N
from archspec.ir.tape import Tape

MODULES = [
    ("relu", {}, nn.ReLU()),
    ("relu6", {}, nn.ReLU6()),
    ("leaky_relu", {}, nn.LeakyReLU()),
    ("leaky_relu", {"negative_slope": 0.3}, nn.LeakyReLU(0.3)),
    ("prelu", {}, nn.PReLU()),
    ("prelu", {"num_parameters": 4, "init": 0.1}, nn.PReLU(4, 0.1)),
    ("elu", {}, nn.ELU()),
    ("elu", {"alpha": 2}, nn.ELU(2.0)),
    ("gelu", {}, nn.GELU()),
    ("gelu", {"approximate": "tanh"}, nn.GELU("tanh")),
    ("silu", {}, nn.SiLU()),
    ("sigmoid", {}, nn.Sigmoid()),
    ("tanh", {}, nn.Tanh()),
    ("hardswish", {}, nn.Hardswish()),
    ("hardsigmoid", {}, nn.Hardsigmoid()),
    ("softplus", {}, nn.Softplus()),
    ("softplus", {"beta": 2, "threshold": 1}, nn.Softplus(2.0, 1.0)),
    ("softmax", {"dim": 2}, nn.Softmax(2)),
]


@pytest.mark.parametrize(("name", "args", "torchs"), MODULES)
def test_is_torchs_module(name, args, torchs):
    shape = (N, 4, 5)
    op = REGISTRY[name](**args)
    assert infer(op, [shape]) == (shape,)
    module = op.build(shape)
    assert type(module) is type(torchs)
    assert repr(module) == repr(torchs)
    x = 4 * torch.randn(3, 4, 5)
    assert torch.equal(module(x), torchs(x))


@pytest.mark.parametrize(
    ("name", "kept"),
    [(name, "output") for name in ("relu", "sigmoid", "tanh")]
    + [
        (name, "input")
        for name in (
            *("relu6", "leaky_relu", "prelu", "elu", "gelu"),
            *("silu", "hardswish", "hardsigmoid", "softplus"),
        )
    ],
)
def test_keeps_one_tensor_for_backward(name, kept):
    tape = Tape()
    x = tape.new((2, 4, 5), requires_grad=True)
    y = REGISTRY[name]().record(tape, x)
    assert list(tape.saved) == [{"input": x, "output": y}[kept].storage]


@pytest.mark.parametrize(
    ("shape", "num_parameters", "legal"),
    [
        ((N, 4, 5), 4, True),
        ((N, 4, 5), 5, False),
        ((N, 4), 4, True),
        ((N,), 1, True),
        ((N,), 2, False),
        ((7, 2), 2, True),
        ((7, 2), 7, False),
    ],
)
def test_prelu_has_one_slope_per_channel(shape, num_parameters, legal):
    op = REGISTRY["prelu"](num_parameters=num_parameters)
    x = torch.randn([2 if dim is N else dim for dim in shape])
    if legal:
        assert infer(op, [shape]) == (shape,)
        assert nn.PReLU(num_parameters)(x).shape == x.shape
    else:
        with pytest.raises(Refusal, match="num_parameters"):
            infer(op, [shape])
        with pytest.raises(RuntimeError, match="parameter numbers"):
            nn.PReLU(num_parameters)(x)


@pytest.mark.parametrize(
    ("dim", "code"),
    [(0, Code.MIXES_BATCH), (-3, Code.MIXES_BATCH), (3, Code.RANK), (-4, Code.RANK)],
)
def test_softmax_refuses_the_batch_and_what_is_not_there(dim, code):
    with pytest.raises(Refusal) as refused:
        infer(REGISTRY["softmax"](dim=dim), [(N, 4, 5)])
    assert refused.value.code is code
    if code is Code.RANK:
        with pytest.raises(IndexError):
            nn.Softmax(dim)(torch.randn(2, 4, 5))


def test_activations_read_learned_tensors():
    for name in ("relu", "prelu", "gelu", "identity", "dropout"):
        assert infer(REGISTRY[name](), [(1, 7)]) == ((1, 7),)
    assert infer(REGISTRY["softmax"](dim=0), [(3, 7)]) == ((3, 7),)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("relu", {"inplace": True}),
        ("gelu", {"approximate": "erf"}),
        ("leaky_relu", {"negative_slope": float("nan")}),
        ("elu", {"alpha": True}),
        ("prelu", {"num_parameters": 0}),
        ("softplus", {"beta": 0}),
        ("softplus", {"threshold": 1e39}),
        ("elu", {"alpha": -1e300}),
        ("softmax", {}),
        ("softmax", {"dim": 1.0}),
    ],
)
def test_schema_refuses(name, args):
    with pytest.raises(ArgumentsError):
        REGISTRY[name](**args)
