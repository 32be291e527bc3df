import subprocess
import sys

import pytest
import torch
from drafts import Draft, image, network
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import archspec
from archspec.emit import emit
from archspec.ir.graph import Graph
from archspec.ir.schemes import SCHEMES
from archspec.ir.types import INT64


def values(net: nn.Module) -> list[Tensor]:
    return [value.clone() for value in net.state_dict().values()]


def equal(first: nn.Module, second: nn.Module) -> bool:
    return all(map(torch.equal, values(first), values(second)))


def test_a_seed_gives_the_same_weights_and_leaves_the_global_state_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = emit(network(), name="net", seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert equal(first, emit(network(), name="net", seed=3))
    assert not equal(first, emit(network(), name="net", seed=4))


def test_the_global_state_is_restored_where_building_fails():
    before = torch.get_rng_state()
    draft = Draft(image(4))
    draft.op("linear", out_features=4)
    draft.op("linear", name="0", out_features=4)
    with pytest.raises(ValueError, match="two nodes"):
        emit(draft.graph(), name="net", seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def two_layers() -> Graph:
    draft = Draft(image(3, 5, 5))
    draft.op("conv2d", out_channels=4, kernel_size=3)
    draft.op("flatten")
    draft.op("linear", out_features=2)
    return draft.graph()


def test_without_a_seed_the_weights_are_torchs_own_from_the_global_state():
    torch.manual_seed(5)
    net = emit(two_layers(), name="net")
    after = torch.rand(1)
    torch.manual_seed(5)
    hand = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(36, 2))
    assert equal(net, hand)
    assert torch.equal(after, torch.rand(1))


def test_a_scheme_fills_kernels_and_leaves_biases():
    net = emit(two_layers(), name="net", seed=0, init="xavier_uniform")
    plain = emit(two_layers(), name="net", seed=0)
    assert torch.equal(net[0].bias, plain[0].bias)
    torch.manual_seed(0)
    hand = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(36, 2))
    for layer in (hand[0], hand[2]):
        nn.init.xavier_uniform_(layer.weight)
    assert equal(net, hand)


@pytest.mark.parametrize("features", [{}, {"kdim": 5, "vdim": 6}])
def test_a_scheme_fills_the_projections_that_attention_has(features):
    key, value = features.get("kdim", 8), features.get("vdim", 8)
    text = f"""
        init: xavier_uniform
        inputs: {{query: [3, 8], key: [4, {key}], value: [4, {value}]}}
        layers:
          - {{name: att, multi_head_attention: 2, from: [query, key, value]}}
    """
    built = archspec.loads(text).build(seed=0)
    torch.manual_seed(0)
    hand = nn.MultiheadAttention(8, 2, batch_first=True, **features)
    own = ["q_proj_weight", "k_proj_weight", "v_proj_weight"] if features else ["in_proj_weight"]
    for matrix in (*[getattr(hand, name) for name in own], hand.out_proj.weight):
        nn.init.xavier_uniform_(matrix)
    assert equal(built.att, hand)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_changes_every_kernel(scheme):
    net, plain = (emit(two_layers(), name="net", seed=0, init=init) for init in (scheme, None))
    changed = [not torch.equal(a, b) for a, b in zip(values(net), values(plain), strict=True)]
    assert changed == [True, False, True, False]
    assert all(value.isfinite().all() for value in values(net))


ONE_MORE = """
from archspec.ir.schemes import SCHEMES, Scheme
SCHEMES["all_equal"] = Scheme("constant_", {"val": 0.5})
import archspec
from archspec.cli import main
from archspec.document.schema import spec_schema
spec = "init: all_equal\\ninput: [4]\\nlayers: [{linear: 2}]\\ntrain: {init: all_equal}"
arch = archspec.loads(spec)
assert arch.build()[0].weight.tolist() == [[0.5] * 4] * 2
assert "all_equal" in spec_schema()["properties"]["init"]["enum"]
open("spec.yaml", "w").write(spec)
assert not main(["check", "spec.yaml"])
try:
    archspec.loads(spec.replace("init: all_equal", "init: all_equals", 1))
except archspec.SpecError as error:
    print(error)
"""


def test_a_scheme_is_one_entry(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ONE_MORE], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "trunc_normal, all_equal" in done.stdout
    assert "did you mean 'all_equal'?" in done.stdout


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match=r"no scheme 'xavier'.*xavier_uniform"):
        emit(two_layers(), name="net", init="xavier")


def test_kaiming_has_the_gain_of_relu():
    draft = Draft(image(1000))
    draft.op("linear", out_features=500)
    net = emit(draft.graph(), name="net", seed=0, init="kaiming_normal")
    assert net[0].weight.std().item() == pytest.approx((2 / 1000) ** 0.5, rel=0.02)


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("init", [None, *SCHEMES])
def test_on_meta_nothing_is_allocated_or_drawn(seed, init):
    before = torch.get_rng_state()
    huge = Draft(image(2**20))
    huge.op("linear", out_features=2**20)
    output = huge.op("batch_norm")
    huge.op("parameter", name="scale", reads=(), shape=(2**20,), init="trunc_normal")
    graph = huge.graph(output)
    net = emit(graph, name="net", device="meta", seed=seed, init=init)
    assert {value.device.type for value in net.state_dict().values()} == {"meta"}
    assert torch.equal(torch.get_rng_state(), before)


class Calls(TorchDispatchMode):
    """Names of the tensor operations that run inside."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_on_meta_no_time_is_spent_on_filling():
    with Calls() as calls:
        emit(network(), name="net", device="meta", init="orthogonal")
    assert "empty" in calls.names
    assert [name for name in calls.names if name.endswith("_")] == []  # nothing in place


def test_the_default_device_is_torchs():
    with torch.device("meta"):
        assert emit(network(), name="net").fc.weight.is_meta
        assert not emit(network(), name="net", device="cpu", seed=1).fc.weight.is_meta
        assert emit(network(), name="net", seed=1).fc.weight.is_meta


def test_to_empty_and_loading_make_a_meta_module_real():
    real = emit(network(), name="net", seed=0)
    net = emit(network(), name="net", device="meta").to_empty(device="cpu")
    net.load_state_dict(real.state_dict())
    x = torch.randn(2, 2, 8, 8)
    assert torch.equal(net.eval()(x), real.eval()(x))


@pytest.mark.cuda
def test_a_seed_gives_the_same_weights_on_a_gpu_and_leaves_its_state_alone():
    before = torch.cuda.get_rng_state()
    net = emit(network(), name="net", device="cuda", seed=3)
    assert net.fc.weight.is_cuda
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert equal(net.cpu(), emit(network(), name="net", seed=3))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_leaves_the_rows_of_an_embedding(scheme):
    draft = Draft(image(), types=(INT64,))
    draft.op("embedding", num_embeddings=5, embedding_dim=4, padding_idx=0)
    draft.op("linear", out_features=2)
    net = emit(draft.graph(), name="net", seed=0, init=scheme)
    torch.manual_seed(0)
    assert torch.equal(net[0].weight, nn.Embedding(5, 4, padding_idx=0).weight)
    assert not torch.equal(net[1].weight, nn.Linear(4, 2).weight)
