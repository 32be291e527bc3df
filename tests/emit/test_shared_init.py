"""A module that is used twice is filled once."""

from __future__ import annotations

import pytest
import torch
from drafts import Draft, image
from torch import nn

from archspec.emit import emit


@pytest.mark.parametrize("nested", [False, True])
def test_a_scheme_fills_a_shared_module_once(nested: bool):
    draft = Draft(image(4))
    if nested:
        body = Draft(image(4), block="stage")
        body.op("linear", name="fc", out_features=4)
        stage = body.graph()
        first = draft.body(stage, name="first")
        draft.body(stage, name="second", shares=first)
    else:
        first = draft.op("linear", name="first", out_features=4)
        draft.op("linear", name="second", out_features=4, shares=first)
    draft.op("linear", name="last", out_features=4)
    net = emit(draft.graph(), name="net", seed=3, init="orthogonal")
    torch.manual_seed(3)
    first_by_hand, last_by_hand = nn.Linear(4, 4), nn.Linear(4, 4)
    for layer in (first_by_hand, last_by_hand):
        nn.init.orthogonal_(layer.weight)
    own = net.first.fc if nested else net.first
    assert torch.equal(own.weight, first_by_hand.weight)
    assert torch.equal(net.last.weight, last_by_hand.weight)
    assert torch.equal(net.last.bias, last_by_hand.bias)
