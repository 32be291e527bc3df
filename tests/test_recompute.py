"""What is computed again in the backward pass: the same bits from less memory."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

import archspec
from archspec.analyses.memory import saved_bytes
from archspec.runtime.measure import measure_saved_bytes
from archspec.runtime.recompute import recomputing

MODES = ("concat", "norms")

DENSE = """
name: dense
input: [2, 6, 6]
layers:
  - conv2d: {out_channels: 3, kernel_size: 3, padding: 1}
  - dense: {num_convs: 3, growth_rate: 4}
  - batch_norm
  - relu
  - conv2d: {out_channels: 5, kernel_size: 1}
  - flatten
  - linear: 3
"""


@st.composite
def dense_networks(draw):
    """Dense blocks of all kinds of norms, layers and lengths, and what reads them."""
    rank = draw(st.sampled_from([1, 2]))
    size = ", ".join(["5"] * rank)
    norms = st.sampled_from(
        [
            "batch_norm",
            "batch_norm: {momentum: null}",
            "batch_norm: {affine: false, eps: 0.01}",
            "batch_norm: {track_running_stats: false}",
            "batch_norm_scratch",
            "layer_norm: {axes: [1]}",
        ]
    )
    lines = ["name: drawn", f"input: [2, {size}]", "layers:"]
    if draw(st.booleans()):
        lines.append(f"  - conv{rank}d: {{out_channels: 3, kernel_size: 3, padding: 1}}")
    for _ in range(draw(st.integers(1, 2))):
        lines += [f"  - repeat: {draw(st.integers(1, 3))}", "    branches:"]
        lines.append(draw(st.sampled_from(["      - []", "      - [relu]"])))
        lines += [f"      - - {draw(norms)}"]
        lines += ["        - relu"] * draw(st.integers(0, 2))
        lines += ["        - dropout: 0.5"] * draw(st.integers(0, 1))
        width = draw(st.integers(1, 4))
        lines.append(
            f"        - conv{rank}d: {{out_channels: {width}, kernel_size: 3, padding: 1}}"
        )
        if draw(st.booleans()):
            lines += [f"        - {draw(norms)}", "        - relu"]
        lines.append("    merge: concat")
        if draw(st.booleans()):
            lines += [f"  - {draw(norms)}", "  - relu"]
        if draw(st.booleans()):
            lines.append(f"  - conv{rank}d: {{out_channels: 2, kernel_size: 1}}")
    return "\n".join([*lines, "  - flatten", "  - linear: 3"])


def passed(net, x, autocast=False):
    """All bits that a pass forth and back leaves."""
    x = x.clone().requires_grad_()
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = net(x)
    (y.float() * torch.arange(1.0, y.numel() + 1).view_as(y)).sum().backward()
    gradients = {name: each.grad for name, each in net.named_parameters()}
    return [y.detach(), x.grad, *gradients.values(), *net.buffers()]


def same(one, other):
    return len(one) == len(other) and all(
        (a is None and b is None) or (a.dtype == b.dtype and torch.equal(a, b))
        for a, b in zip(one, other, strict=True)
    )


def networks(text, mode, training=True, layout=torch.contiguous_format):
    arch = archspec.loads(text, warn=False)
    nets = [arch.build(seed=0, recompute=each).train(training) for each in (None, mode)]
    return arch, *(net.to(memory_format=layout) for net in nets)


@settings(max_examples=40)
@given(dense_networks(), st.sampled_from(MODES), st.booleans(), st.booleans(), st.integers(2, 3))
def test_bits_are_the_same_and_memory_is_as_stated(text, mode, training, autocast, batch):
    arch, plain, again = networks(text, mode, training)
    assert plain.state_dict().keys() == again.state_dict().keys()
    x = torch.rand(batch, *arch.input_shape[1:], generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        assert same(passed(plain, x, autocast), passed(again, x, autocast))
    stated = saved_bytes(arch.graph, batch, training, recompute=mode)
    owned = [*again.parameters(), *again.buffers()]
    assert measure_saved_bytes(lambda: again(x), owned)[1] == stated
    assert stated <= saved_bytes(arch.graph, batch, training)


@pytest.mark.parametrize("mode", MODES)
def test_channels_last_has_the_same_bits(mode):
    _, plain, again = networks(DENSE, mode, layout=torch.channels_last)
    x = torch.rand(3, 2, 6, 6).contiguous(memory_format=torch.channels_last)
    assert same(passed(plain, x), passed(again, x))


class Made(TorchDispatchMode):
    """Weak references to all memory that is filled meanwhile, but that of some tensors."""

    def __init__(self, owned):
        super().__init__()
        self.owned = {each.untyped_storage()._cdata for each in owned}
        self.storages = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for each in result if isinstance(result, tuple | list) else [result]:
            if isinstance(each, torch.Tensor):
                storage = each.untyped_storage()
                if storage._cdata not in self.owned:
                    self.storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        return result

    def alive(self):
        return sum(nbytes for weak, nbytes in self.storages.values() if not weak.expired())


# Of a batch of 2, in floats of 36 places: the input (2 channels), what the block reads (3), its
# outputs (3 of 4) and the last convolution's (5), which the linear layer reads. Two sums of each
# norm, whose inputs have 3, 7, 11 and 15 channels. What is not recomputed beside those: with
# "concat" the first norm's ReLU (3), as its input is no concatenation; without, all of them, and
# the concatenations (7, 11, 15) in place of the outputs.
STATISTICS = 4 * 2 * (3 + 7 + 11 + 15)
BY_HAND = {
    None: 4 * 72 * (2 + 3 + (7 + 11 + 15) + (3 + 7 + 11 + 15) + 5) + STATISTICS,
    "concat": 4 * 72 * (2 + 3 + 3 * 4 + 3 + 5) + STATISTICS,
    "norms": 4 * 72 * (2 + 3 + 3 * 4 + 5) + STATISTICS,
}


@pytest.mark.parametrize("mode", BY_HAND)
def test_what_is_really_alive_after_a_forward_pass(mode):
    """By weak references to memory: nothing here asks the hooks or the tape."""
    arch = archspec.loads(DENSE)
    net, x = arch.build(seed=0, recompute=mode), torch.rand(2, 2, 6, 6)
    with Made([x, *net.parameters(), *net.buffers()]) as made:
        y = net(x)
    assert made.alive() - y.untyped_storage().nbytes() + 4 * x.numel() == BY_HAND[mode]
    assert saved_bytes(arch.graph, 2, recompute=mode) == BY_HAND[mode]
    y.sum().backward()
    assert made.alive() == y.untyped_storage().nbytes()


@pytest.mark.parametrize("mode", MODES)
def test_verify_and_summary_know_it(mode):
    arch = archspec.loads(DENSE)
    assert arch.verify((2,), recompute=mode).ok
    assert arch.summary(batch_size=2, recompute=mode).saved_bytes == BY_HAND[mode]
    report = archspec.loads(DENSE).verify((2,))
    assert report.checked["saved memory"] == 2


def test_another_word_is_refused():
    arch = archspec.loads(DENSE)
    for ask in (arch.build, arch.summary, arch.verify):
        with pytest.raises(ValueError, match="recompute is concat or norms, not 'all'"):
            ask(recompute="all")


@pytest.mark.parametrize("mode", MODES)
def test_a_second_backward_pass_and_second_derivatives(mode):
    _, plain, again = networks(DENSE, mode)
    x = torch.rand(2, 2, 6, 6)
    found = []
    for net in (plain, again):
        inputs = x.clone().requires_grad_()
        total = net(inputs).square().sum()
        first = torch.autograd.grad(total, [inputs, *net.parameters()], retain_graph=True)
        assert same(
            first, torch.autograd.grad(total, [inputs, *net.parameters()], retain_graph=True)
        )
        (slope,) = torch.autograd.grad(total, [inputs], create_graph=True)
        found.append(
            [*first, *torch.autograd.grad(slope.square().sum(), list(net.parameters())[:-1])]
        )
    assert same(*found)


class Spoils(nn.Module):
    """Changes what a concatenation read, or gave, in place."""

    def __init__(self, what):
        super().__init__()
        self.what = what
        self.norm, self.last = nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1)

    def forward(self, x):
        part = x * 2
        joined = torch.cat([part, x], dim=1)
        if self.what == "the part before":
            part.zero_()
        if self.what == "the whole":
            joined.add_(1)
        y = self.last(torch.relu(self.norm(joined)))
        if self.what == "the part after":
            part.zero_()
        return y


@pytest.mark.parametrize("what", ["nothing", "the part before", "the whole", "the part after"])
def test_tensors_that_are_modified_in_place(what):
    plain = Spoils(what)
    again, x = recomputing(copy.deepcopy(plain), "concat"), torch.rand(3, 2, 4, 4)
    if what == "the part after":
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            passed(again, x)
    else:
        assert same(passed(plain, x), passed(again, x))


def test_a_weight_that_is_modified_is_refused_as_without():
    for mode in (None, *MODES):
        net = archspec.loads(DENSE).build(seed=0, recompute=mode)
        total = net(torch.rand(2, 2, 6, 6)).sum()
        with torch.no_grad():
            net.get_parameter("2.weight").mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            total.backward()


def test_copies_compute_again_too():
    arch, x = archspec.loads(DENSE), torch.rand(2, 2, 6, 6)
    net = arch.build(seed=0, recompute="norms")
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        owned = [*other.parameters(), *other.buffers()]
        assert measure_saved_bytes(lambda net=other: net(x), owned)[1] == BY_HAND["norms"]


def test_a_pass_that_fails_leaves_nothing_behind():
    net = archspec.loads(DENSE).build(seed=0, recompute="concat")
    with pytest.raises(RuntimeError):
        net(torch.rand(2, 5, 6, 6))
    a = torch.rand(2, requires_grad=True)
    assert (a * a).grad_fn._raw_saved_self.data is not None  # no hook is there any more
    with torch.no_grad():
        assert net(torch.rand(2, 2, 6, 6)).shape == (2, 3)


def test_threads_may_share_a_network_that_computes_again():
    net = archspec.load("densenet_bc", input_shape=(1, 32, 32), warn=False).build(
        seed=0, recompute="concat"
    )
    net.eval()
    x = torch.randn(2, 1, 32, 32)
    expected = net(x)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: net(x), range(8)))
    assert all(torch.equal(each, expected) for each in found)


def test_a_network_without_memory_runs_too():
    net = archspec.load("densenet_bc", input_shape=(1, 32, 32), warn=False).build(
        "meta", recompute="norms"
    )
    assert net(torch.zeros(2, 1, 32, 32, device="meta")).shape == (2, 10)


def test_a_compiler_keeps_what_it_will():
    arch = archspec.loads(
        "input: [3, 8, 8]\nlayers:\n  - {name: a, conv2d: {out_channels: 3, kernel_size: 1}}\n"
        "  - concat: [a, input]\n  - batch_norm\n  - relu\n",
        warn=False,
    )
    x = torch.randn(2, 3, 8, 8)
    for what in ("concat", "norms"):
        net = torch.compile(arch.build(seed=0, recompute=what), backend="aot_eager")
        assert torch.allclose(net(x), arch.build(seed=0)(x))
