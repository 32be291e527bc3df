"""What the rest of PyTorch does with an emitted module."""

import copy
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from drafts import Draft, image, network
from torch import Tensor, nn
from torch.nn.utils import parametrize

from archspec.emit import emit
from archspec.ir.graph import INPUT, Graph, Ref


def build() -> nn.Module:
    return emit(network(), name="small_net", seed=0)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(0))


def double(module: nn.Module, args: object, output: Tensor) -> Tensor:
    return output * 2


def assert_same(copied: nn.Module, net: nn.Module, x: Tensor) -> None:
    assert copied is not net
    assert str(copied) == str(net)
    assert [type(m).__name__ for m in copied.modules()] == [type(m).__name__ for m in net.modules()]
    assert copied.layer1[1].code == net.layer1[1].code
    assert copied.note == "kept"
    assert not any(
        a.data_ptr() == b.data_ptr()
        for a, b in zip(copied.parameters(), net.parameters(), strict=True)
    )
    plain = build().eval()(x)
    assert torch.equal(net.eval()(x), copied.eval()(x))
    assert not torch.equal(net(x), plain)  # the hook is still there


def hooked() -> nn.Module:
    net = build()
    net.note = "kept"
    net.layer1[1].register_forward_hook(double)
    return net


def test_deepcopy_keeps_everything(x):
    net = hooked()
    copied = copy.deepcopy(net)
    assert type(copied) is type(net)
    assert_same(copied, net, x)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_keeps_everything(x, protocol):
    net = hooked()
    assert_same(pickle.loads(pickle.dumps(net, protocol)), net, x)


def test_torch_save_and_load(x):
    net, file = hooked(), io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    assert_same(torch.load(file, weights_only=False), net, x)


def test_a_fresh_process_loads_it_without_the_spec(x, tmp_path):
    net = build().eval()
    torch.save((net, x, net(x)), tmp_path / "net.pt")
    program = (
        "import torch\n"
        f"net, x, y = torch.load({str(tmp_path / 'net.pt')!r}, weights_only=False)\n"
        "assert torch.equal(net(x), y)\n"
        "print(type(net).__name__, type(net.layer1[1]).__name__)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert (done.stdout, done.stderr) == ("SmallNet Residual\n", "")


def test_a_class_derived_from_a_generated_one_is_not_mistaken_for_it(x):
    net = build()
    parametrize.register_parametrization(net.layer1[1].conv1, "weight", nn.Identity())
    assert torch.equal(copy.deepcopy(net).eval()(x), net.eval()(x))
    derived = type("Derived", (type(net),), {})
    net.__class__ = derived
    assert type(copy.deepcopy(net)) is derived


@pytest.mark.parametrize("training", [True, False])
def test_symbolic_trace_keeps_the_mode(x, training):
    draft = Draft(image(2, 8, 8))
    trunk = draft.op("conv2d", name="trunk", out_channels=2, kernel_size=1)
    aux = draft.op("sigmoid", training_only=True)
    graph = draft.graph(trunk, aux, names=("main", "aux"))
    net = emit(graph, name="net").train(training)
    traced = torch.fx.symbolic_trace(net)
    assert isinstance(traced(x), dict) == training
    nested = build().train(training)
    state = {key: value.clone() for key, value in nested.state_dict().items()}
    expected = nested(x)
    nested.load_state_dict(state)
    traced = torch.fx.symbolic_trace(nested)
    assert torch.equal(traced(x), expected)
    assert traced.training == training


def unusual() -> Graph:
    """Every construct of generated code at once: names that are no identifiers among them."""
    draft = Draft(image(4, 3, 3))
    halves = draft.op("chunk", chunks=2)
    first = draft.op("conv2d", name="a-b", out_channels=2, kernel_size=1, reads=(halves,))
    second = draft.op("conv2d", out_channels=2, kernel_size=1, reads=(Ref(halves.step, 1),),
                      shares=first)  # fmt: skip
    scale = draft.op("parameter", reads=(), shape=(2, 1, 1), init="ones")
    scaled = draft.op("mul", reads=(second, scale))
    draft.op("concat", reads=(first, scaled, Ref(INPUT)))
    draft.op("flatten")
    fc = draft.op("linear", name="fc", out_features=3)
    aux = draft.op("relu", training_only=True)
    return draft.graph(fc, aux, names=("logits", "aux"))


def test_torch_compile_takes_it_whole(x):
    for graph, value in ((network(), x), (unusual(), torch.randn(2, 4, 3, 3))):
        net = emit(graph, name="net").eval()
        compiled = torch.compile(net, fullgraph=True, backend="eager")
        assert torch.equal(compiled(value), net(value))
        net.train()
        assert isinstance(compiled(value), type(net(value)))


def test_torch_compile_generates_code(x):
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, RuntimeError) as error:
        pytest.skip(f"no C++ compiler works here: {error}")
    net = emit(unusual(), name="net", seed=0).eval()
    value = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(torch.compile(net, fullgraph=True)(value), net(value))


def test_export(x):
    for graph, value in ((network(), x), (unusual(), torch.randn(2, 4, 3, 3))):
        net = emit(graph, name="net").eval()
        exported = torch.export.export(net, (value,))
        assert torch.equal(exported.module()(value), net(value))
        assert set(exported.state_dict) == set(net.state_dict())


def test_distributed_data_parallel(x, tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        net = build()
        wrapped = nn.parallel.DistributedDataParallel(net)
        wrapped(x).sum().backward()
        assert all(p.grad is not None for p in net.parameters())
    finally:
        dist.destroy_process_group()
