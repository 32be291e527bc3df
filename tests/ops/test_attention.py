"""Attention and its parts against torch, torchvision and masks made by hand."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)

import archspec
from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.shape import N
from archspec.ops.attention import MultiHeadAttention, QKVLinearOp, ShiftedWindowMaskOp
from archspec.runtime.attention import QKVLinear
from archspec.testing import contract as testing

SPEC = "archspec: 1\nname: one\ninput: [5, 8]\nlayers:\n  - {name: attention, %s}\n"
LAYOUTS = ("row-major", "channels-last", "part")


@pytest.mark.parametrize("bias", [True, False])
def test_self_attention_is_torchs(bias: bool) -> None:
    text = f"multi_head_attention: {{num_heads: 2, dropout: 0.3, bias: {str(bias).lower()}}}"
    net = archspec.loads(SPEC % text).build()
    reference = nn.MultiheadAttention(8, 2, dropout=0.3, bias=bias, batch_first=True)
    net.load_state_dict({f"attention.{k}": v for k, v in reference.state_dict().items()})
    x = torch.randn(3, 5, 8)
    for training in (True, False):
        net.train(training), reference.train(training)
        torch.manual_seed(4)
        expected, _ = reference(x, x, x, need_weights=False)
        torch.manual_seed(4)
        assert torch.equal(net(x), expected)


def test_self_attention_is_drawn_as_torch_draws_it() -> None:
    torch.manual_seed(7)
    reference = nn.MultiheadAttention(8, 2, batch_first=True).state_dict()
    net = archspec.loads(SPEC % "multi_head_attention: 2").build(seed=7)
    assert all(torch.equal(net.state_dict()[f"attention.{k}"], v) for k, v in reference.items())


@pytest.mark.parametrize("dropout", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("shape", [(1, 6), (4, 1), (3, 4)])
def test_self_attention_keeps_the_contract(shape: tuple[int, int], dropout: float) -> None:
    heads = 1 if shape[1] == 1 else 2
    call = testing.OpCase(MultiHeadAttention(num_heads=heads, dropout=dropout), ((N, *shape),))
    assert testing.check_call(call, layouts=LAYOUTS)


def test_self_attention_costs_its_projections_and_products() -> None:
    x = (N, 5, 8)
    in_projection, out_projection = 5 * 8 * 24, 5 * 8 * 8
    products = 2 * (2 * 5 * 5 * 4)  # for each of 2 heads of 4 features: q k^T, then a v
    stated = MultiHeadAttention(num_heads=2).macs([x], [x])
    assert stated == in_projection + products + out_projection


@pytest.mark.parametrize(
    ("heads", "x", "code", "message"),
    [
        (3, (N, 5, 8), Code.SHAPE, "cannot divide features by num_heads: 8 is not a multiple of 3"),
        (2, (N, 8), Code.UNBATCHED, "needs 3-D input (N included), got 2-D"),
        (2, (N, 8, 4, 4), Code.RANK, "needs 3-D input (N included), got 4-D"),
    ],
)
def test_self_attention_refuses(heads: int, x: tuple[int, ...], code: Code, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        infer(MultiHeadAttention(num_heads=heads), [x])
    assert (refused.value.code, refused.value.message) == (code, message)


def test_keys_of_qkv_linear_have_no_bias() -> None:
    module = QKVLinearOp(features=2).build((N, 5, 3))
    assert isinstance(module, QKVLinear)
    x = torch.randn(4, 5, 3)
    bias = module.bias.detach().clone()
    bias[2:4] = 0
    assert torch.equal(module(x), F.linear(x, module.weight, bias))
    module(x).sum().backward()
    assert module.bias.grad is not None
    assert module.bias.grad.tolist() == [20, 20, 0, 0, 20, 20]


def test_mask_of_one_row_by_hand() -> None:
    # Cells 0 to 5, rolled by -1 and cut in two: 1 2 3 | 4 5 0. Cell 0 is no neighbour of 4 and 5.
    module = ShiftedWindowMaskOp(windows=(1, 2), window=(1, 3), shift=(0, 1)).build((N, 2, 1, 3, 3))
    assert isinstance(module, nn.Module)
    mask = module(torch.zeros(1, 2, 1, 3, 3), (1, 2))
    assert mask[0, 0, 0].tolist() == [[0, 0, 0]] * 3
    assert mask[0, 1, 0].tolist() == [[0, 0, -100], [0, 0, -100], [-100, -100, 0]]


@pytest.mark.parametrize("shift", [(1, 2), (2, 0), (0, 0)])
def test_mask_lets_only_true_neighbours_see_each_other(shift: tuple[int, int]) -> None:
    windows, window = (2, 3), (3, 4)
    sizes = [count * size for count, size in zip(windows, window, strict=True)]
    cells = torch.cartesian_prod(*map(torch.arange, sizes)).reshape(*sizes, 2)
    rolled = cells.roll([-step for step in shift], (0, 1))
    module = ShiftedWindowMaskOp(windows=windows, window=window, shift=shift).build(
        (N, 6, 1, 12, 12)
    )
    assert isinstance(module, nn.Module)
    mask = module(torch.zeros(1, 6, 1, 12, 12), windows)[0, :, 0]
    for row, column in product(range(windows[0]), range(windows[1])):
        block = rolled[3 * row : 3 * row + 3, 4 * column : 4 * column + 4].reshape(12, 2)
        # Cells of one true window are never further apart than its size allows.
        distance = (block[:, None] - block[None]).abs()
        near = (distance < torch.tensor(window)).all(-1)
        assert torch.equal(mask[3 * row + column], torch.where(near, 0.0, -100.0))


@pytest.mark.parametrize("shift", [(1, 1, 2), (0, 0, 1), (1, 0, 0)])
def test_mask_of_a_clip_is_that_of_video_swin(shift: tuple[int, int, int]) -> None:
    swin = pytest.importorskip("torchvision.models.video.swin_transformer")
    windows, window = (2, 1, 3), (2, 3, 4)
    sizes = tuple(count * size for count, size in zip(windows, window, strict=True))
    expected = swin._compute_attention_mask_3d(torch.zeros(1), sizes, window, shift)
    logits = torch.zeros(1, 6, 1, 24, 24)
    op = ShiftedWindowMaskOp(windows=windows, window=window, shift=shift)
    module = op.build((N, 6, 1, 24, 24))
    assert isinstance(module, nn.Module)
    assert torch.equal(module(logits, windows)[0, :, 0], expected)


def test_mask_of_other_axes_than_its_windows_is_refused() -> None:
    op = ShiftedWindowMaskOp(windows=(1, 2), window=(1, 1, 3), shift=(0, 1))
    with pytest.raises(Refusal) as refused:
        op.infer((N, 2, 1, 3, 3))
    assert refused.value.message == (
        "windows (1, 2), window (1, 1, 3) and shift (0, 1) differ in their number of axes"
    )


def test_mask_follows_windows_and_shifts_that_are_sizes() -> None:
    """One module at two widths against one that is compiled for each."""
    text = """
    input: [4, 1, W, W]
    sizes: {W: 6}
    layers:
      - shifted_window_mask:
          windows: [2, 2]
          window: [1, in_features]
          shift: [0, in_features // 2]
    """
    net = archspec.loads(text).build()
    for width in (3, 6, 10):
        logits = torch.randn(2, 4, 1, width, width)
        expected = archspec.loads(text, sizes={"W": width}).build()(logits)
        assert torch.equal(net(logits), expected)


def test_mask_follows_dtype_and_needs_no_state() -> None:
    module = ShiftedWindowMaskOp(windows=(1, 2), window=(1, 3), shift=(0, 1)).build((N, 2, 1, 3, 3))
    assert isinstance(module, nn.Module)
    assert not module.state_dict()
    assert module(torch.zeros(1, 2, 1, 3, 3, dtype=torch.float64), (1, 2)).dtype == torch.float64
    traced = torch.fx.symbolic_trace(module, concrete_args={"windows": (1, 2)})
    logits = torch.randn(2, 2, 1, 3, 3)
    assert torch.equal(traced(logits, (1, 2)), module(logits, (1, 2)))
