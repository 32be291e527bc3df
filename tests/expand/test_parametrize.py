"""`parametrize: {weight: weight_norm}`: weights computed of others, as torch computes them."""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import archspec

HOWS = {
    "weight_norm": ("weight_norm", {}),
    "{weight_norm: {dim: 1}}": ("weight_norm", {"dim": 1}),
    "{weight_norm: {dim: null, keys: old}}": ("weight_norm", {"dim": None, "keys": "old"}),
    "{weight_norm: {keys: old}}": ("weight_norm", {"keys": "old"}),
    "spectral_norm": ("spectral_norm", {}),
    "{spectral_norm: {n_power_iterations: 3, eps: 1e-6, dim: 1}}": (
        *("spectral_norm", {"n_power_iterations": 3, "eps": 1e-6, "dim": 1}),
    ),
    "{spectral_norm: {keys: old, n_power_iterations: 2}}": (
        *("spectral_norm", {"n_power_iterations": 2, "keys": "old"}),
    ),
}


def text(how: str | None) -> str:
    """A network whose weights are computed so, or none of them."""
    weight = f", parametrize: {{weight: {how}}}" if how else ""
    both = f", parametrize: {{weight: {how}, bias: weight_norm}}" if how else ""
    return f"""
input: [3, 6, 6]
layers:
  - {{name: conv, conv2d: {{out_channels: 4, kernel_size: 3}}{weight}}}
  - {{name: up, conv_transpose2d: {{out_channels: 2, kernel_size: 2}}{weight}}}
  - {{name: head, linear: 5{both}}}
"""


def by_torch(net: nn.Module, how: str) -> nn.Module:
    """torch's own functions, applied to each layer in turn."""
    kind, given = HOWS[how]
    given = dict(given)
    place = nn.utils if given.pop("keys", "new") == "old" else parametrizations
    for layer in (net.conv, net.up, net.head):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the functions of old are deprecated
            getattr(place, kind)(layer, **given)
    parametrizations.weight_norm(net.head, "bias")
    return net


@pytest.mark.parametrize("how", HOWS)
def test_it_is_torchs_own_function_on_our_module(how):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = archspec.loads(text(how)).build()
        torch.manual_seed(0)
        hand = by_torch(archspec.loads(text(None)).build(), how)
    assert list(net.state_dict()) == list(hand.state_dict())
    x = torch.randn(2, 3, 6, 6)
    for training in (True, False, True):
        y, found = (each.train(training)(x) for each in (hand, net))
        assert torch.equal(found, y)
    way = torch.randn_like(y)
    for each in (y, found):
        each.backward(way)
    for key, value in hand.state_dict(keep_vars=True).items():
        ours = net.state_dict(keep_vars=True)[key]
        assert torch.equal(ours, value), key
        assert ours.grad is None if value.grad is None else torch.equal(ours.grad, value.grad), key


@pytest.mark.parametrize("how", HOWS)
def test_it_is_verified_and_expands_to_itself(how):
    arch = archspec.loads(text(how))
    assert arch.verify().ok, arch.verify()
    again = archspec.loads(arch.expand())
    assert again.expand() == arch.expand()
    assert list(again.build().state_dict()) == list(arch.build().state_dict())


@pytest.mark.parametrize("how", ["weight_norm", "{spectral_norm: {keys: old}}"])
def test_it_is_verified_in_short_floats_and_frozen(how):
    arch = archspec.loads(text(how))
    for dtype in ("bfloat16", "float64"):
        assert arch.verify(dtype=dtype).ok, arch.verify(dtype=dtype)
    frozen = archspec.loads(text(how).replace(", parametrize", ", trainable: false, parametrize"))
    assert frozen.verify().ok, frozen.verify()
    assert not any(p.requires_grad for p in frozen.build().parameters())
    assert frozen.summary().num_trainable_parameters == 0


def test_parameters_memory_and_macs():
    plain, norm, spectral = (
        archspec.loads(text(how)).summary() for how in (None, "weight_norm", "spectral_norm")
    )
    # A magnitude for each output, for each input of the transposed one, and for each bias.
    assert norm.num_parameters == plain.num_parameters + 4 + 4 + 5 + 5
    # A vector of the outputs and one of what an output reads; and the magnitudes of the bias.
    vectors = (4 + 27) + (2 + 16) + (5 + 5)
    assert spectral.num_parameters == plain.num_parameters + 5
    assert spectral.num_buffers == vectors
    assert norm.macs == spectral.macs == plain.macs


def test_the_values_are_those_without_it_and_follow_init():
    for init in ("", "init: kaiming_normal\n"):
        plain = archspec.loads(init + text(None)).build(seed=3)
        net = archspec.loads(init + text("weight_norm")).build(seed=3)
        old = archspec.loads(init + text("{spectral_norm: {keys: old}}")).build(seed=3)
        assert torch.equal(net.conv.parametrizations.weight.original1, plain.conv.weight)
        assert torch.equal(old.up.weight_orig, plain.up.weight)
        torch.testing.assert_close(net.conv.weight, plain.conv.weight)
        norms = plain.conv.weight.flatten(1).norm(dim=1)
        torch.testing.assert_close(net.conv.parametrizations.weight.original0.flatten(), norms)


@pytest.mark.parametrize("how", ["weight_norm", "{weight_norm: {keys: old}}", "spectral_norm"])
def test_the_module_is_copied_pickled_and_exported(how):
    net, x = archspec.loads(text(how)).build(seed=0), torch.randn(2, 3, 6, 6)
    net(x).sum().backward()
    y = net.eval()(x)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(x), y)
        assert [type(each).__name__ for each in twin.modules()] == [
            type(each).__name__ for each in net.modules()
        ]
        twin.train()(x).sum().backward()
        again = pickle.loads(pickle.dumps(twin))
        assert list(again.state_dict()) == list(net.state_dict())
    exported = torch.export.export(net, (x,)).module()
    torch.testing.assert_close(exported(x), y)
    if "old" not in how:
        parametrize.remove_parametrizations(net.conv, "weight")
        torch.testing.assert_close(net(x), y)


def test_on_the_meta_device_it_has_its_keys():
    for how in HOWS:
        arch = archspec.loads(text(how))
        meta = arch.build(device="meta").state_dict()
        assert list(meta) == list(arch.build().state_dict())
        assert all(value.is_meta for value in meta.values())


def test_files_of_weights_may_have_either_keys(tmp_path):
    for kind in ("weight_norm", "spectral_norm"):
        new, old = (archspec.loads(text(how)) for how in (kind, f"{{{kind}: {{keys: old}}}}"))
        x = torch.randn(2, 3, 6, 6)
        for giver, taker in ((new, old), (old, new)):
            net = giver.build(seed=1)
            torch.save(net.state_dict(), tmp_path / "weights.pth")
            found = taker.build(weights=tmp_path / "weights.pth")
            torch.testing.assert_close(found.eval()(x), net.eval()(x))


def test_a_shared_module_and_other_ties_go_with_it():
    arch = archspec.loads(
        "input: [4]\nlayers:\n- {name: a, linear: 4, parametrize: {weight: weight_norm}}\n"
        "- {name: b, share: a, keys: both}\n"
        "- {name: c, linear: 4, parametrize: {weight: spectral_norm}, weights: {bias: a.bias}}\n"
        "- {repeat: 2, share: true, name: d, linear: 4, parametrize: {weight: weight_norm}}\n"
    )
    net = arch.build(seed=0)
    assert net.b is net.a and net.c.bias is net.a.bias
    assert "b.parametrizations.weight.original0" in net.state_dict()
    assert arch.verify().ok, arch.verify()
    assert archspec.loads(arch.expand()).expand() == arch.expand()


def test_it_stands_beside_layers_that_a_parameter_holds():
    arch = archspec.loads(
        "input: [4]\nparams: {fc: {linear: 4}, axis: 1}\nlayers:\n"
        "- {$fc: , parametrize: {weight: {weight_norm: {dim: axis}}}}\n"
        "- {repeat: {d: [0, 1]}, $fc: , parametrize: {weight: {weight_norm: {dim: d}}}}\n"
    )
    shapes = [p.shape for key, p in arch.build().named_parameters() if key.endswith("original0")]
    assert shapes == [(1, 4), (4, 1), (1, 4)]
    assert arch.verify().ok
