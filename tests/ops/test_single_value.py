"""What is left where a normalisation has one value to work on, against torch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N


@pytest.mark.parametrize(
    ("groups", "shape", "fails"),
    [
        (8, (8, 1, 1), True),
        (8, (8,), True),
        (1, (1, 1), True),
        (4, (8, 1, 1), False),
        (8, (8, 1, 2), False),
        (1, (1, 2), False),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_group_norm_is_refused_where_torch_refuses_one_image(groups, shape, fails, training):
    op = REGISTRY["group_norm"](num_groups=groups)
    module = nn.GroupNorm(groups, shape[0]).train(training)
    x = torch.randn(1, *shape)
    if not fails:
        assert infer(op, [(N, *shape)]) == ((N, *shape),)
        assert module(x).shape == x.shape
        return
    with pytest.raises(Refusal) as refused:
        infer(op, [(N, *shape)])
    assert refused.value.code is Code.SINGLE_VALUE
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        module(x)
    assert torch.allclose(module(torch.randn(3, *shape)), torch.zeros(1), atol=1e-3)


@pytest.mark.parametrize(
    ("name", "args", "shape", "doubted"),
    [
        ("softmax", {"dim": 1}, (N, 1), True),
        ("softmax", {"dim": -2}, (N, 4, 1, 3), True),
        ("softmax", {"dim": 1}, (N, 2), False),
        ("layer_norm", {}, (N, 4, 1), True),
        ("layer_norm", {"axes": (2, 3)}, (N, 4, 1, 1), True),
        ("layer_norm", {"axes": (1, 3)}, (N, 3, 4, 1), False),
        ("normalize", {}, (N, 1), True),
        ("normalize", {"dim": -1}, (N, 1, 2), False),
        ("batch_norm", {}, (N, 1), False),
    ],
)
def test_a_doubtful_op_gives_the_same_for_any_size_of_its_input(name, args, shape, doubted):
    op = REGISTRY[name](**args)
    assert (op.doubt(shape) is not None) == doubted
    if name != "batch_norm":
        x = torch.rand(3, *shape[1:], generator=torch.Generator().manual_seed(0)) + 0.5
        module = op.build(shape) or (lambda x: nn.functional.normalize(x, dim=args.get("dim", 1)))
        assert torch.allclose(module(x), module(3 * x**2), atol=1e-3) == doubted
