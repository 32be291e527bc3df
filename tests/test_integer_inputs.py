"""Networks that read integers and truth values, from the text to the trained weights' file."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import archspec
from archspec.analyses.memory import saved_bytes
from archspec.cli import main
from archspec.ir.facts import facts
from archspec.runtime.measure import measure_saved_bytes

BAG_OF_WORDS = """\
input: {shape: [16], dtype: int64, below: 100}
layers:
  - {name: words, embedding: {num_embeddings: 100, embedding_dim: 8}}
  - {permute: [0, 2, 1]}
  - {unflatten: {dim: 2, unflattened_size: [16, 1]}}
  - global_avg_pool2d
  - flatten
  - {name: fc, linear: 4}
"""

CONDITIONAL = """\
inputs:
  image: [3, 8, 8]
  label: {shape: [], dtype: int64, below: 10}
layers:
  - {name: stem, conv2d: {out_channels: 6, kernel_size: 3, padding: 1}, from: image}
  - {name: shift, embedding: {num_embeddings: 10, embedding_dim: 6}, from: label}
  - {name: spread, reshape: [6, 1, 1]}
  - {add: [stem, spread]}
  - relu
  - {name: head, conv2d: {out_channels: 3, kernel_size: 1}}
"""

MASKED = """\
inputs:
  tokens: {shape: [5], dtype: int32, below: 20}
  mask: {shape: [5], dtype: bool}
outputs: {features: features, kept: mask}
layers:
  - {name: rows, embedding: {num_embeddings: 20, embedding_dim: 4}, from: tokens}
  - {name: fc, linear: 4}
  - {name: column, reshape: [5, 1], from: mask}
  - {name: features, mul: [fc, column]}
"""

TIMED = """\
inputs:
  x: [7]
  t: {shape: [], dtype: int64, below: 1000}
layers:
  - {name: time, to: float, from: t}
  - {name: scaled, mul: {other: 0.001}}
  - {name: column, reshape: [1]}
  - {name: embed, linear: 7}
  - {add: [x, embed]}
  - {name: out, linear: 2}
"""


class BagOfWords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(100, 8)
        self.fc = nn.Linear(8, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc(self.words(tokens).mean(1))


class Conditional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.shift = nn.Embedding(10, 6)
        self.head = nn.Conv2d(6, 3, 1)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        return self.head(torch.relu(self.stem(image) + self.shift(label)[:, :, None, None]))


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Embedding(20, 4)
        self.fc = nn.Linear(4, 4)

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        rows = self.fc(self.rows(tokens))
        return {"features": rows.masked_fill(~mask[..., None], 0.0), "kept": mask}


class Timed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(1, 7)
        self.out = nn.Linear(7, 2)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.out(x + self.embed(t[:, None] * 0.001))


def integers(below: int, *shape: int) -> Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(1))


def image(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


NETWORKS: dict[str, tuple[str, type[nn.Module], tuple[Tensor, ...]]] = {
    "bag of words": (BAG_OF_WORDS, BagOfWords, (integers(100, 3, 16),)),
    "conditional": (CONDITIONAL, Conditional, (image(3, 3, 8, 8), integers(10, 3))),
    "masked": (MASKED, Masked, (integers(20, 3, 5).int(), integers(2, 3, 5).bool())),
    "timed": (TIMED, Timed, (image(3, 7), integers(1000, 3))),
}
EACH = pytest.mark.parametrize("name", NETWORKS)


def named(result: Any) -> dict[str, Tensor]:
    return result if isinstance(result, dict) else {"output": result}


def same(found: Any, expected: Any) -> None:
    found, expected = named(found), named(expected)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value)


@EACH
def test_static_figures_are_those_of_real_runs(name: str) -> None:
    report = archspec.loads(NETWORKS[name][0]).verify()
    assert report.ok, report
    assert report.no_gradient == []
    assert report.checked["types"] == report.checked["shapes"] > 0
    assert report.checked["gradients"] == report.checked["weights"]


@EACH
def test_it_computes_what_the_hand_written_module_computes(name: str) -> None:
    text, written, inputs = NETWORKS[name]
    net, reference = archspec.loads(text).build(seed=0), written()
    assert set(net.state_dict()) == set(reference.state_dict())
    reference.load_state_dict(net.state_dict())
    found, expected = named(net(*inputs)), named(reference(*inputs))
    same(found, expected)
    for outputs in (found, expected):
        sum(value.sum() for value in outputs.values() if value.is_floating_point()).backward()
    for (key, own), (_, theirs) in zip(
        sorted(net.named_parameters()), sorted(reference.named_parameters()), strict=True
    ):
        torch.testing.assert_close(own.grad, theirs.grad, msg=key)


@EACH
def test_memory_is_what_autograd_keeps(name: str) -> None:
    text, _, inputs = NETWORKS[name]
    arch = archspec.loads(text)
    net = arch.build()
    _, kept = measure_saved_bytes(lambda: net(*inputs), [*net.parameters(), *net.buffers()])
    assert saved_bytes(arch.graph, 3) == kept


def test_memory_of_the_bag_of_words_by_hand() -> None:
    tokens = 2 * 16 * 8  # int64, for the gradient of the rows
    means = 2 * 8 * 4  # what the linear layer reads; a mean keeps only its sizes
    assert saved_bytes(archspec.loads(BAG_OF_WORDS).graph, 2) == tokens + means


@EACH
def test_expansion_reads_back_as_the_same_network(name: str) -> None:
    arch = archspec.loads(NETWORKS[name][0])
    again = archspec.loads(arch.expand())
    assert facts(again.graph) == facts(arch.graph)
    assert again.graph.input_types == arch.graph.input_types


@EACH
def test_weights_are_saved_and_loaded(name: str, tmp_path) -> None:
    text, _, inputs = NETWORKS[name]
    arch = archspec.loads(text)
    net, other = arch.build(seed=1).eval(), arch.build(seed=2).eval()
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    same(other(*inputs), net(*inputs))


@EACH
def test_networks_are_pickled_scripted_exported_and_traced(name: str) -> None:
    text, _, inputs = NETWORKS[name]
    net = archspec.loads(text).build(seed=1).eval()
    expected = net(*inputs)
    same(pickle.loads(pickle.dumps(net))(*inputs), expected)
    same(torch.jit.script(net)(*inputs), expected)
    same(torch.export.export(net, inputs).module()(*inputs), expected)
    same(torch.fx.symbolic_trace(net)(*inputs), expected)


@pytest.mark.parametrize(
    ("text", "outputs", "types"),
    [
        (CONDITIONAL, ["shift", "stem"], ["float32", "float32"]),
        (MASKED, ["column", "features"], ["bool", "float32"]),
        (TIMED, ["time"], ["float32"]),
    ],
)
def test_other_outputs_are_tapped(text: str, outputs: list[str], types: list[str]) -> None:
    inputs = next(inputs for spec, _, inputs in NETWORKS.values() if spec is text)
    given = archspec.loads(text).build(outputs=outputs)(*inputs)
    assert list(given) == outputs
    assert [str(value.dtype) for value in given.values()] == [f"torch.{kind}" for kind in types]


def test_a_head_of_train_alone_may_read_integers() -> None:
    text = TIMED.replace("layers:", "outputs: {main: out, aux: aux, age: age}\nlayers:")
    text += """\
  - {name: age, reshape: [1], from: t, training_only: true}
  - {name: cast, to: float, training_only: true}
  - {name: aux, linear: 3, training_only: true}
"""
    arch = archspec.loads(text)
    report = arch.verify()
    assert report.ok, report
    net, inputs = arch.build(), NETWORKS["timed"][2]
    given = net(*inputs)
    assert list(given) == ["main", "aux", "age"] and given["age"].dtype == torch.int64
    assert net.eval()(*inputs).shape == (3, 2)


def test_half_precision_is_followed_by_casts() -> None:
    net = archspec.loads(TIMED).build().half()
    x, t = NETWORKS["timed"][2]
    assert net(x.half(), t).dtype == torch.float16
    assert not any("time" in key for key in net.state_dict())


def test_a_module_is_not_shared_with_values_of_another_type() -> None:
    text = """\
input: {shape: [4], dtype: int64, below: 3}
layers:
  - {name: cast, to: int32}
  - {name: rows, embedding: {num_embeddings: 3, embedding_dim: 2}}
  - {name: again, share: rows, from: input}
  - {add: [rows, again]}
"""
    with pytest.raises(archspec.SpecError) as refused:
        archspec.loads(text)
    said = str(refused.value)
    assert "AS507: the module of 'rows' does not fit an input of (N, 4) int64" in said
    assert "expected: an input like (N, 4) int32" in said
    arch = archspec.loads(text.replace("from: input", "from: cast"))
    assert arch.verify().ok and arch.num_parameters == 6


def test_the_module_of_another_package_reads_integers_within_their_bound() -> None:
    node = "module: {type: torch.nn.Embedding, args: [9, 4]}"
    text = f"input: {{shape: [4], dtype: int64, below: 9}}\nlayers: [{{{node}}}]\n"
    arch = archspec.loads(text, allow_modules=["torch"])
    assert (arch.output_shape, arch.num_parameters, arch.macs) == (("N", 4, 4), 36, 0)
    assert arch.verify().ok
    with pytest.raises(archspec.SpecError) as refused:
        archspec.loads(text.replace("below: 9", "below: 10"), allow_modules=["torch"])
    (diagnostic,) = refused.value.diagnostics
    assert diagnostic.code == "AS401"
    assert "IndexError: index out of range" in str(diagnostic)


@EACH
def test_the_command_line_shows_and_checks_it(name: str, tmp_path, capsys) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(NETWORKS[name][0])
    assert main(["compile", str(path), "--summary", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["num_parameters"] == sum(p.numel() for p in NETWORKS[name][1]().parameters())
    assert main(["compile", str(path), "--verify"]) == 0
    assert "static and real agree" in capsys.readouterr().out
    assert main(["expand", str(path)]) == 0
    assert "dtype: int" in capsys.readouterr().out


def test_another_process_reads_a_pickled_network(tmp_path) -> None:
    net = archspec.loads(CONDITIONAL).build(seed=1).eval()
    (tmp_path / "net.pickle").write_bytes(pickle.dumps(net))
    code = (
        "import pickle, sys, torch\n"
        "net = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(net(torch.zeros(2, 3, 8, 8), torch.tensor([0, 9])).shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "net.pickle")], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("torch.Size([2, 3, 8, 8])\n", "")
