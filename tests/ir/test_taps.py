"""Feature taps: the values of chosen nodes, against those of the whole network."""

from __future__ import annotations

import copy
import pickle
import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archspec
from archspec import SpecError

NETWORKS = {
    "torchvision/resnet18": (3, 64, 64),
    "torchvision/googlenet": (3, 64, 64),
    "torchvision/densenet121": (3, 64, 64),
    "torchvision/mobilenet_v3_small": (3, 64, 64),
    "torchvision/shufflenet_v2_x0_5": (3, 64, 64),
    "torchvision/vit_b_32": (3, 64, 64),
    "torchvision/swin_t": (3, 64, 64),
}


def values_by_hooks(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The first value of every module that gives a tensor, as torch's own hooks see it."""
    found: dict[str, Tensor] = {}

    def note(path: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                found.setdefault(path, output)

        return hook

    for path, module in net.named_modules():
        if path:
            module.register_forward_hook(note(path))
    with torch.no_grad():
        net.eval()(x)
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_any_nodes_give_what_the_whole_network_computes_there(name: str) -> None:
    arch = archspec.load(name, input_shape=NETWORKS[name])
    x = torch.randn(2, *NETWORKS[name], generator=torch.Generator().manual_seed(0))
    whole = arch.build(seed=0)
    state = whole.state_dict()
    keys = set(state)
    expected = values_by_hooks(whole, x)
    paths = [layer.path for layer in arch.nodes if layer.path in expected]
    chooser = random.Random(name)
    for count in (1, 7, len(paths)):
        wanted = chooser.sample(paths, count)
        net = arch.build(device="meta", outputs=wanted).eval()
        own = net.state_dict()
        assert set(own) <= keys
        net.load_state_dict({key: state[key] for key in own}, strict=True, assign=True)
        with torch.no_grad():
            found = net(x)
        assert list(found) == wanted
        assert all(torch.equal(found[path], expected[path]) for path in wanted)


def test_the_tail_is_not_built() -> None:
    arch = archspec.load("torchvision/resnet18")
    net = arch.build(device="meta", outputs=["layer2"])
    assert [name for name, _ in net.named_children()] == [
        "conv1",
        "bn1",
        "relu",
        "maxpool",
        "layer1",
        "layer2",
    ]
    inside = arch.build(device="meta", outputs=["layer2.0.conv1"])
    assert [name for name, _ in inside.layer2.named_children()] == ["0"]
    assert [name for name, _ in inside.layer2[0].named_children()] == ["conv1"]


def test_the_code_is_what_a_careful_person_would_write() -> None:
    net = archspec.load("torchvision/resnet18").build(
        device="meta", outputs={"low": "layer2", "inner": "layer3.0.conv1", "high": "layer4"}
    )
    assert net.code == (
        "def forward(self, x):\n"
        "    x = self.conv1(x)\n"
        "    x = self.bn1(x)\n"
        "    x = self.relu(x)\n"
        "    x = self.maxpool(x)\n"
        "    x = self.layer1(x)\n"
        "    x = self.layer2(x)\n"
        "    x1, x2 = self.layer3(x)\n"
        "    x1 = self.layer4(x1)\n"
        '    return {"low": x, "inner": x2, "high": x1}\n'
    )


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("torchvision/resnet18", ["layer1", "layer4.1.conv2", "layer4"]),
        ("torchvision/resnet18", ["layer4.1.conv2"]),
        ("torchvision/googlenet", ["inception3a.branch2", "inception4e"]),
        ("torchvision/swin_t", ["features.1.0.attn", "features.5"]),
    ],
)
def test_the_cut_network_verifies(name: str, outputs: list[str]) -> None:
    report = archspec.load(name, input_shape=(3, 64, 64)).verify((2,), outputs=outputs)
    assert report.ok, report


BLOCKS = """\
input: [4, 8, 8]
blocks:
  two:
    inputs: [x, skip]
    layers:
      - {name: left, conv2d: {out_channels: 4, kernel_size: 1}, from: x}
      - {name: right, conv2d: {out_channels: 4, kernel_size: 1}, from: skip}
      - add: [left, right]
layers:
  - {name: a, conv2d: {out_channels: 4, kernel_size: 1}}
  - {name: b, conv2d: {out_channels: 4, kernel_size: 1}, from: input}
  - {name: join, two: , from: [a, b]}
  - {name: halves, chunk: 2}
  - {name: enc, layers: [{conv2d: {out_channels: 2, kernel_size: 1}}, relu], from: "halves[1]"}
  - {name: again, share: enc, from: "halves[0]"}
  - {name: token, parameter: [1, 2, 8, 8]}
  - {name: last, add: [again, token, enc]}
"""


def test_what_a_block_no_longer_reads_is_not_computed() -> None:
    net = archspec.loads(BLOCKS).build(outputs=["join.left"])
    assert set(net.state_dict()) == {"a.weight", "a.bias", "join.left.weight", "join.left.bias"}
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(net(x)["join.left"], net.join.left(net.a(x)))


def test_one_output_of_several_and_a_shared_module() -> None:
    arch = archspec.loads(BLOCKS)
    x = torch.randn(2, 4, 8, 8)
    whole = arch.build(seed=0)
    net = arch.build(seed=0, outputs=["halves[1]", "again.0", "enc"])
    net.load_state_dict(whole.state_dict(), strict=False)
    found = net(x)
    halves = whole.join(whole.a(x), whole.b(x)).chunk(2, dim=1)
    assert torch.equal(found["halves[1]"], halves[1])
    assert torch.equal(found["again.0"], whole.enc[0](halves[0]))
    assert torch.equal(found["enc"], whole.enc(halves[1]))
    assert arch.verify(outputs=["halves[1]", "again.0", "enc"]).ok
    assert arch.verify(outputs=["again"]).ok


def test_copies_pickles_and_export() -> None:
    arch = archspec.load("torchvision/resnet18", input_shape=(3, 32, 32))
    net = arch.build(outputs=["layer1.0.conv1", "layer3"]).eval()
    x = torch.randn(2, 3, 32, 32)
    expected = net(x)
    exported = torch.export.export(net, (x,)).module()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), exported):
        found = twin(x)
        assert list(found) == list(expected)
        assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    ("outputs", "code", "words"),
    [
        (["layer22"], "AS501", "did you mean 'layer2'?"),
        (["layer2.7.conv1"], "AS501", "there are 0, 1 in layer2"),
        (["0.conv1"], "AS501", "did you mean 'layer1.0.conv1'?"),
        (["layer2.0.conv3"], "AS501", "did you mean 'conv2'?"),
        (["layer2.projection"], "AS501", "there are 0, 1 in layer2"),
        (["layer2.0.conv1.weight"], "AS501", "no node is inside layer2.0.conv1"),
        (["layer2", "x y"], "AS501", "no node is at 'x y'"),
        ("layer2", "AS505", "a list of paths"),
        ([], "AS505", "a list of paths"),
        ({"a.b": "layer2"}, "AS208", "'a.b' cannot be the name"),
        ({"class": "layer2"}, "AS208", "'class' cannot be the name"),
        (["layer2[١]"], "AS501", "no node is at"),
        (["layer2[1]"], "AS503", "has 1 output"),
    ],
)
def test_what_is_not_there_is_refused(outputs: Any, code: str, words: str) -> None:
    with pytest.raises(SpecError, match=words.replace("[", r"\[").replace("?", r"\?")) as caught:
        archspec.load("torchvision/resnet18").build(device="meta", outputs=outputs)
    assert [d.code for d in caught.value.diagnostics] == [code]


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("halves", "AS503", "'halves' has 2 outputs"),
        ("token", "AS404", "learned tensor"),
    ],
)
def test_what_is_no_one_value_is_refused(path: str, code: str, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        archspec.loads(BLOCKS).build(outputs=[path])
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code
    assert diagnostic.span is not None


def test_a_training_only_node_is_refused_at_its_place() -> None:
    with pytest.raises(SpecError, match=r"'aux1.fc1' is training_only") as caught:
        archspec.load("torchvision/googlenet").build(outputs=["aux1.fc1"])
    assert caught.value.diagnostics[0].span is not None


def test_an_owner_that_the_outputs_do_not_need_is_kept_and_does_not_run():
    arch = archspec.loads(
        "input: [4]\nlayers:\n  - {name: a, linear: 4}\n  - {name: b, share: a, from: input}\n"
        "  - add: [a, b]\n"
    )
    net = arch.build(outputs=["b"])
    assert net.code.count("self.a(x)") == 1 and list(net.state_dict()) == ["a.weight", "a.bias"]
    assert arch.verify((2,), outputs=["b"]).ok


def test_an_idle_owner_has_no_value_to_tap():
    arch = archspec.loads(
        "input: [4]\nlayers:\n  - {name: a, linear: 4}\n  - {name: b, share: a, from: input}\n"
    )
    with pytest.raises(SpecError) as raised:
        arch.build(outputs=["a"])
    assert "error AS501: 'a' does not run: nobody reads it" in str(raised.value)


def test_a_block_that_is_cut_keeps_the_inputs_that_it_reads() -> None:
    spec = """
input: [4]
blocks:
  two:
    inputs: [x, y]
    outputs: [a, sum]
    layers:
      - {name: a, relu: , from: x}
      - {name: b, tanh: , from: y}
      - {name: sum, add: [b, y]}
layers:
  - {name: one, sigmoid: }
  - {name: both, two: , from: [input, one]}
  - {add: ["both[0]", "both[1]"]}
"""
    net = archspec.loads(spec).build(outputs=["both.sum"])
    assert net.both.code == "def forward(self, y):\n    x = self.b(y)\n    return x + y\n"
