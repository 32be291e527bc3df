"""Ops whose weights are computed: what they own and keep, against torch."""

import pytest

from archspec.ir.op import REGISTRY
from archspec.ir.parametrized import parametrized
from archspec.ir.weight_norms import SpectralNorm, WeightNorm
from archspec.testing import contract

OPS = ("batch_norm", "conv2d", "conv_transpose1d", "embedding", "group_norm", "linear", "prelu")
OPS += ("qkv_linear", "rms_norm")


@pytest.mark.parametrize("name", OPS)
def test_an_op_that_computes_its_weight_keeps_its_contract(name):
    call = next(contract.examples(name))
    shape = next(w.shape for w in call.op.weights(*call.inputs) if w.name == "weight")
    for keys in ("new", "old"):
        hows = [WeightNorm(dim=dim, keys=keys) for dim in (None, *range(len(shape)))]
        hows += [SpectralNorm(keys=keys)] if len(shape) > 1 else []
        for how in hows:
            op = parametrized(call.op, (("weight", how),))
            assert contract.check_call(call._replace(op=op))


def test_ops_that_read_weights_in_their_own_way_are_known():
    own = {name for name, op in REGISTRY.items() if op.own_weights}
    assert own == {
        *("batch_norm_scratch", "gru", "lstm", "module", "multi_head_attention", "rnn"),
    }
