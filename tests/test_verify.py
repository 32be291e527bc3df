from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from drafts import SPAN, Draft, image, network, residual
from torch import nn

from archspec.analyses import memory
from archspec.emit import emit
from archspec.ir.graph import INPUT, Graph, Ref
from archspec.ir.op import REGISTRY
from archspec.ir.types import INT32
from archspec.verify import Report, verify


def checked(graph: Graph, **more: Any) -> Report:
    return verify(graph, name="net", batch_sizes=(2, 3), **more)


def tampered(kind: str, **methods: Any) -> Graph:
    """`residual`, in which the first op of this kind makes a false statement about itself."""
    graph = residual(3, 6, 6, 2)
    position = next(i for i, step in enumerate(graph.steps) if step.kind == kind)
    step = graph.steps[position]
    assert step.op is not None
    false = type("False", (type(step.op),), {"__module__": __name__, **methods})
    op = false(**step.op.arguments())
    return changed(graph, position, op=op)


def changed(graph: Graph, position: int, **more: Any) -> Graph:
    steps = list(graph.steps)
    steps[position] = steps[position].changed(**more)
    same = {key: getattr(graph, key) for key in graph.__slots__}
    return Graph(**(same | {"steps": tuple(steps)}))


def rows(report: Report) -> list[tuple[str, ...]]:
    return [(m.path, m.what, m.static, m.real) for m in report.mismatches]


def test_a_true_graph_agrees_in_all_that_is_compared():
    report = checked(network())
    assert report.ok, str(report)
    assert report.no_gradient == []
    # 21 nodes: 6 in the list and 2 groups; 7 and 8 in the residuals. Two modes of two batch
    # sizes, and N = 1 in eval(). 22 parameters, and 12 buffers of four batch norms.
    nodes = 5 + 2 + 7 + 8
    assert report.checked == {
        "shapes": 5 * nodes,
        "types": 5 * nodes,
        "macs": 3 * nodes,
        "weights": 34,
        "saved memory": 4,
        "outputs": 4,
        "gradients": 22,
    }
    assert str(report).startswith(
        "verified: static and real agree (weights 34, shapes 110, types 110,"
    )


def test_a_wrong_shape_is_found_at_its_node_inside_a_block():
    draft = Draft(image(2, 8, 8))
    inner = changed(residual(2, 8, 2), 5, outputs=(image(2, 8, 9),))  # the functional sum
    draft.body(inner, name="block")
    report = checked(draft.graph())
    assert rows(report) == [
        ("block.5", "output shape at N=2 in train()", "(2, 2, 8, 9)", "(2, 2, 8, 8)")
    ]
    assert report.mismatches[0].span is SPAN
    assert "draft.yaml:1:1  block.5  output shape at N=2" in str(report)
    assert report.as_dict()["mismatches"] == [
        {
            "place": "draft.yaml:1:1",
            "path": "block.5",
            "what": "output shape at N=2 in train()",
            "static": "(2, 2, 8, 9)",
            "real": "(2, 2, 8, 8)",
        }
    ]


def test_a_wrong_shape_of_the_whole_output_is_found():
    graph = residual()
    graph = changed(graph, len(graph.steps) - 1, outputs=(image(5, 6, 6),))
    paths = [row[0] for row in rows(checked(graph))]
    assert paths == ["6", ""]


def test_a_weight_of_another_shape_or_key_or_kind_is_found():
    def weights(self: Any, *inputs: Any) -> Any:
        weight, bias = super(type(self), self).weights(*inputs)
        return weight._replace(shape=(1, 2)), bias._replace(name="offset")

    graph = tampered("conv2d", weights=weights)
    assert rows(checked(graph))[:3] == [
        (
            "conv1.weight",
            "weight",
            "parameter (1, 2) of float",
            "parameter (6, 3, 3, 3) of float",
        ),
        ("conv1.offset", "weight", "parameter (6,) of float", "none"),
        ("conv1.bias", "weight", "none", "parameter (6,) of float"),
    ]


def test_a_buffer_taken_for_a_parameter_and_a_wrong_element_size_are_found():
    def weights(self: Any, *inputs: Any) -> Any:
        *others, mean, var, batches = super(type(self), self).weights(*inputs)
        frozen = others[0]._replace(trainable=False)
        mean, batches = mean._replace(buffer=False), batches._replace(type=INT32)
        return frozen, *others[1:], mean, var, batches

    report = checked(tampered("batch_norm", weights=weights))
    assert [(m.path, m.static) for m in report.mismatches] == [
        ("bn1.weight", "parameter (6,) of float, not trainable"),
        ("bn1.running_mean", "parameter (6,) of float"),
        ("bn1.num_batches_tracked", "buffer () of int32"),
    ]


def test_wrong_macs_are_found_at_their_node():
    graph = tampered("conv2d", macs=lambda self, inputs, outputs: 1000)
    real = 6 * 3 * 3 * 3 * 3 * 3  # output channels, input channels, 3x3 kernel, 3x3 positions
    assert rows(checked(graph)) == [("conv1", "MACs at N=2 in eval()", "2,000", f"{2 * real:,}")]


def test_macs_claimed_by_an_op_that_has_none_are_found():
    graph = tampered("add", macs=lambda self, inputs, outputs: 1)
    assert rows(checked(graph)) == [("6", "MACs at N=2 in eval()", "2", "0")]


def test_wrong_saved_memory_is_found(monkeypatch):
    right = memory.saved_bytes
    monkeypatch.setattr("archspec.verify.verifier.saved_bytes", lambda *args: right(*args) + 4)
    stated = right(residual(), 2, True)
    report = checked(residual())
    assert rows(report) == [("", "saved bytes at N=2 in train()", f"{stated + 4:,}", f"{stated:,}")]
    assert not report.ok


def test_an_op_that_forgets_what_autograd_saves_is_found():
    def record(self: Any, tape: Any, x: Any) -> Any:
        return tape.new(x.shape, requires_grad=x.requires_grad)

    report = checked(tampered("batch_norm", record=record))
    assert [m.what for m in report.mismatches] == ["saved bytes at N=2 in train()"]


def test_a_run_that_fails_is_located_and_no_traceback():
    draft = Draft(image(2, 8, 8))
    inner = changed(residual(2, 8, 2), 3, op=REGISTRY["conv2d"](out_channels=2, kernel_size=11))
    draft.body(inner, name="block")
    report = checked(draft.graph())
    assert report.mismatches[0].path == "block.conv2"
    assert report.mismatches[0].what == "run at N=2 in train()"
    assert report.mismatches[0].real.startswith("RuntimeError: Calculated padded input size")
    assert report.mismatches[0].span is SPAN


class OutOfMemory(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 20 GiB")


def test_running_out_of_memory_is_a_mismatch():
    graph = tampered("relu", build=lambda self, *inputs: OutOfMemory())
    report = checked(graph)
    assert [(m.path, m.real) for m in report.mismatches] == [
        ("2", "OutOfMemoryError: CUDA out of memory.")
    ]


def test_a_module_that_cannot_be_built_is_a_mismatch():
    def build(self: Any, *inputs: Any) -> nn.Module:
        return nn.ReLU(inplace="nonsense", nothing=1)  # type: ignore[call-arg]

    (mismatch,) = checked(tampered("relu", build=build)).mismatches
    assert (mismatch.what, mismatch.static) == ("build", "a module")
    assert mismatch.real.startswith("TypeError")


class Coin(nn.Module):
    """Gives another result in every call."""

    calls: ClassVar[int] = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        Coin.calls += 1
        return x.relu() * Coin.calls


def test_two_runs_that_differ_are_found():
    report = checked(tampered("relu", build=lambda self, *inputs: Coin()))
    assert ("", "outputs") in [(m.path, m.what) for m in report.mismatches]


class Warming(nn.Module):
    """Its output depends on a buffer that its forward pass moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros(()), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        return x.relu() * self.passes


def test_two_runs_start_from_the_same_buffers():
    report = checked(tampered("relu", build=lambda self, *inputs: Warming()))
    assert ("", "outputs") not in [(m.path, m.what) for m in report.mismatches]


def test_parameters_without_a_gradient_are_listed_and_are_no_mismatch():
    class Cut(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.detach()

    draft = Draft(image(4))
    draft.op("linear", name="lost", out_features=4)
    draft.op("relu")
    draft.op("linear", name="fc", out_features=3)
    graph = draft.graph()

    def build() -> nn.Module:
        net = emit(graph, name="net")
        net[1] = Cut()
        return net

    report = verify(graph, name="net", batch_sizes=(2,), build=build)
    assert report.no_gradient == ["lost.weight", "lost.bias"]
    assert str(report).endswith("no gradient reaches: lost.weight, lost.bias")


def everything() -> Graph:
    """Shared blocks, learned tensors, several inputs and outputs, dropout, training-only steps."""
    block = Draft(image(4, 4, 4), block="stage")
    block.op("conv2d", name="conv", out_channels=4, kernel_size=3, padding=1)
    block.op("dropout", p=0.5)
    block.op("add", reads=(Ref(1), Ref(INPUT)))
    stage = block.graph()
    draft = Draft(image(4, 4, 4), image(4), names=("picture", "meta"))
    first = draft.body(stage, name="first", reads=(Ref(INPUT, 0),))
    second = draft.body(stage, name="second", shares=first)
    scale = draft.op("parameter", name="scale", reads=(), shape=(4, 1, 1), init="ones")
    draft.op("mul", reads=(second, scale))
    draft.op("global_avg_pool2d")
    flat = draft.op("flatten")
    halves = draft.op("chunk", chunks=2)
    aux = draft.op("linear", name="aux", out_features=2, reads=(flat,), training_only=True)
    draft.op("concat", reads=(halves, Ref(halves.step, 1), Ref(INPUT, 1)))
    main = draft.op("linear", name="fc", out_features=3)
    return draft.graph(main, aux, flat, names=("logits", "aux", "features"))


def test_every_construct_of_graphs_verifies():
    report = checked(everything())
    assert report.ok, str(report)
    assert report.no_gradient == []


def test_a_chain_alone_and_a_graph_without_weights_verify():
    draft = Draft(image(2, 4, 4))
    draft.op("relu")
    assert checked(draft.graph()).ok
    assert checked(Draft(image(3)).graph()).ok


@pytest.mark.parametrize("make", [network, everything])
def test_the_global_random_state_is_left_alone(make: Callable[[], Graph]):
    before = torch.get_rng_state()
    checked(make())
    assert torch.equal(torch.get_rng_state(), before)


def test_the_meta_device_is_no_oracle():
    with pytest.raises(ValueError, match="computes nothing"):
        verify(residual(), name="net", device="meta")


@pytest.mark.cuda
def test_a_gpu_agrees_too_and_its_random_state_is_left_alone():
    before = torch.cuda.get_rng_state()
    report = checked(everything(), device="cuda")
    assert report.ok, str(report)
    assert report.checked["saved memory"] == 0
    assert torch.equal(torch.cuda.get_rng_state(), before)
