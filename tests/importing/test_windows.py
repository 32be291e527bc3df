"""What stands in the batch of the real tensors becomes an axis of its own, for every op."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import archspec
from archspec.ir.graph import walk


class Net(nn.Module):
    """A function, with the layers that it uses as attributes."""

    def __init__(self, function: Callable[..., Tensor], **layers: object) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(self, *inputs)


def ops(net: nn.Module, *inputs: Tensor) -> list[str]:
    """The ops of a module's spec, which the import has compared with it in both modes."""
    torch.manual_seed(0)
    graph = archspec.from_module(net, inputs, flat=True).graph
    return [visit.step.op.op_name for visit in walk(graph) if visit.step.op is not None]


def in_windows(x: Tensor) -> Tensor:
    """Four windows of each image, in the batch."""
    n, c, h, w = x.shape
    return (
        x.view(n, c, 2, h // 2, 2, w // 2).permute(0, 2, 4, 1, 3, 5).reshape(-1, c, h // 2, w // 2)
    )


def together(x: Tensor, n: int) -> Tensor:
    return x.reshape(n, -1)


IMAGE = torch.zeros(2, 3, 8, 8)
TOKENS = torch.zeros(2, 5, 4)


@pytest.mark.parametrize(
    ("layer", "op"),
    [
        (nn.MaxPool2d(2), "max_pool2d"),
        (nn.AvgPool2d(3, 1, 1), "avg_pool2d"),
        (nn.AdaptiveAvgPool2d(1), "adaptive_avg_pool2d"),
        (nn.BatchNorm2d(3), "batch_norm"),
    ],
)
def test_layers_of_windows_are_those_of_channels(layer: nn.Module, op: str) -> None:
    net = Net(lambda net, x: together(net.layer(in_windows(x)), x.shape[0]), layer=layer)
    assert ops(net, IMAGE).count(op) == 1


@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_of_windows_has_a_group_for_each(bias: bool) -> None:
    conv = nn.Conv2d(3, 6, 3, stride=2, padding=1, groups=3, bias=bias)
    net = Net(lambda net, x: together(net.conv(in_windows(x)), x.shape[0]), conv=conv)
    found = ops(net, IMAGE)
    assert found.count("conv2d") == 1
    assert found.count("tile") == 1 + bias


def test_a_norm_of_tokens_that_stand_in_the_batch() -> None:
    net = Net(lambda net, x: net.bn(x.flatten(0, 1)).reshape_as(x), bn=nn.BatchNorm1d(4))
    assert "batch_norm" in ops(net, TOKENS)


def test_weights_standardised_by_batch_norm() -> None:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        weight = net.conv.weight.reshape(1, 6, -1)
        flat = functional.batch_norm(weight, None, None, net.gain.view(-1), None, True, 0.0, 1e-6)
        return functional.conv2d(x, flat.reshape_as(net.conv.weight), net.conv.bias)

    net = Net(forward, conv=nn.Conv2d(3, 6, 3), gain=nn.Parameter(torch.randn(6, 1, 1, 1)))
    assert "layer_norm" in ops(net, IMAGE)


def test_group_norm_without_a_bias() -> None:
    norm = nn.GroupNorm(1, 3)
    norm.weight, norm.bias = nn.Parameter(torch.randn(3)), None
    assert ops(Net(lambda net, x: net.norm(x), norm=norm), IMAGE)[:2] == ["group_norm", "parameter"]


@pytest.mark.parametrize(
    "function",
    [
        lambda net, x: x.repeat_interleave(3, dim=2),
        lambda net, x: x.repeat_interleave(3, dim=0).reshape(x.shape[0], -1),
        lambda net, x: x.unfold(1, 3, 2),
        lambda net, x: x.unfold(2, 2, 2),
        lambda net, x: torch.tensor_split(x, (1, 3), dim=1)[1],
        lambda net, x: torch.cat([x[:, :0], x[:, :2]], dim=1),
        lambda net, x: functional.max_pool1d(functional.pad(x, (1, 0), value=-torch.inf), 2),
    ],
)
def test_elements_are_repeated_and_cut_as_in_torch(function: Callable[..., Tensor]) -> None:
    ops(Net(function), TOKENS)


@pytest.mark.parametrize(
    "equation", ["bij,bkj->bik", "...ij,...kj->...ik", "bij,kj->kbi", "ibj,kj->ibk"]
)
def test_einsum_has_the_batch_first(equation: str) -> None:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        first = x.transpose(0, 1) if equation.startswith("ib") else x
        second = net.weight if ",kj" in equation else x
        made = torch.einsum(equation, first, second)
        axis = equation.partition("->")[2].find("b")
        return made.movedim(axis, 0) if axis > 0 else made

    weight = {"weight": nn.Parameter(torch.randn(3, 4))} if ",kj" in equation else {}
    assert "einsum" in ops(Net(forward, **weight), TOKENS)


def test_einsum_of_heads_that_stand_in_the_batch() -> None:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        heads = x.reshape(x.shape[0], 5, 2, 2).transpose(1, 2).reshape(-1, 5, 2)
        return torch.einsum("bij,kj->bik", heads, net.weight).reshape(x.shape[0], 2, 5, 3)

    assert "einsum" in ops(Net(forward, weight=nn.Parameter(torch.randn(3, 2))), TOKENS)


def test_a_product_with_the_rows_of_all_samples() -> None:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        rows = x.permute(1, 0, 2).reshape(5, -1, 4)
        return (rows @ net.weight).permute(1, 0, 2)

    assert "matmul" in ops(Net(forward, weight=nn.Parameter(torch.randn(5, 4, 3))), TOKENS)


def test_one_element_of_each_sample_at_its_own_position() -> None:
    net = Net(lambda net, x: x[torch.arange(x.shape[0]), x.argmax(1)[:, 0]])
    assert "take_along_dim" in ops(net, TOKENS)


def test_pairs_of_constant_positions() -> None:
    rows, columns = torch.tensor([[0, 2], [1, 1]]), torch.tensor([[3, 0], [2, 3]])
    table = nn.Parameter(torch.randn(3, 4, 6))
    net = Net(lambda net, x: x + net.table[rows, columns].sum(-1).flatten(), table=table)
    assert "index_select" in ops(net, torch.zeros(2, 4))


def test_a_learned_map_is_resized_for_each_sample() -> None:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        return x + functional.interpolate(net.map, size=(8, 8), mode="bilinear")

    assert "interpolate" in ops(Net(forward, map=nn.Parameter(torch.randn(1, 3, 4, 4))), IMAGE)


def test_a_constant_map_is_projected_and_repeated_for_the_batch() -> None:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        rows = torch.arange(8.0).expand(1, 3, 8, 8)
        return x + net.conv(rows).repeat(x.shape[0], 1, 1, 1)

    assert "conv2d" in ops(Net(forward, conv=nn.Conv2d(3, 3, 1)), IMAGE)


def test_parameters_that_are_not_trained_stay_so() -> None:
    fixed = nn.Parameter(torch.randn(4), requires_grad=False)
    arch = archspec.from_module(Net(lambda net, x: x * net.fixed, fixed=fixed), TOKENS)
    assert [each.requires_grad for each in arch.build().parameters()] == [False]


class Tied(nn.Module):
    """A module that is never called has the weights of one that is, as in T5."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Embedding(9, 4)
        self.embed = nn.Embedding(9, 4)
        self.embed.weight = self.shared.weight

    def forward(self, tokens: Tensor) -> Tensor:
        made: Tensor = self.embed(tokens)
        return made


def test_a_key_of_a_module_that_is_never_called_is_kept() -> None:
    arch = archspec.from_module(Tied(), torch.zeros(2, 5, dtype=torch.int64))
    built = arch.build()
    assert sorted(built.state_dict()) == ["embed.weight", "shared.weight"]
    assert len(list(built.parameters())) == 1
