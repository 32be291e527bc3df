"""A tap behind a shared module, where steps before its owner are left out."""

from __future__ import annotations

import torch

import archspec

SPEC = """
input: [4]
layers:
  - {name: idle, linear: 3}
  - {name: more, linear: 3, from: idle}
  - {name: own, linear: 4, from: input}
  - {name: again, share: own, from: own}
  - {name: head, linear: 2, from: again}
outputs: {head: head, more: more}
"""


def test_a_cut_network_shares_what_the_whole_one_shares():
    arch = archspec.loads(SPEC)
    whole = arch.build(seed=0).eval()
    cut = arch.build(outputs=["again", "head"], seed=0).eval()
    state = whole.state_dict()
    assert set(cut.state_dict()) == {key for key in state if key.startswith(("own.", "head."))}
    cut.load_state_dict({key: state[key] for key in cut.state_dict()})
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    found = cut(x)
    twice = whole.own(whole.own(x))
    assert torch.equal(found["again"], twice)
    assert torch.equal(found["head"], whole.head(twice))
