"""Ejected files against the modules that they stand for, in a process without archspec."""

from __future__ import annotations

from pathlib import Path

import eject
import ejected
import pytest
from hypothesis import given, settings

import archspec
from archspec import testing

SPECS = {
    "several": """
inputs: {image: [3, 8, 8], ids: {shape: [5], dtype: int64, below: 7}}
layers:
  - {name: stem, conv2d: {out_channels: 4, kernel_size: 3}, from: image}
  - {name: pooled, global_avg_pool2d}
  - flatten
  - {name: words, embedding: {num_embeddings: 7, embedding_dim: 4}, from: ids}
  - {name: states, lstm: {hidden_size: 4}}
  - {name: last, slice: {dim: 1, start: 4}}
  - flatten
  - {name: both, concat: ["2", "6"]}
outputs: {scores: both, map: stem}
""",
    "trained": """
input: [4]
layers:
  - {name: body, linear: 6}
  - {name: aux, linear: 2, training_only: true}
  - {name: fixed, linear: 6, from: body, trainable: false}
  - {name: drop, dropout: 0.5}
  - {name: head, linear: 3}
outputs: {logits: head, aux: aux}
""",
    "shared": """
input: [4, 6]
blocks:
  gate:
    doc: Says "how much" of \\\\ each feature passes.
    inputs: [x, by]
    params: {width: int}
    layers:
      - {name: gate, linear: width, from: by}
      - sigmoid
      - mul: [x, -1]
layers:
  - {name: token, parameter: {shape: [1, 1, 6], init: trunc_normal, std: 0.02}}
  - concat: [token, input]
  - {name: first, linear: {out_features: 6, bias: false}}
  - {name: second, share: first}
  - {name: gated, gate: {width: 6}, from: [first, second]}
  - {name: again, gate: {width: 1}, from: [gated, first]}
  - {name: steps, constant: {arange: "size(again, 1)", dtype: float, batch: true}}
  - unsqueeze: 2
  - add: [again, -1]
  - {name: normed, linear: 6, parametrize: {weight: weight_norm}}
  - {name: tied, linear: {out_features: 6, bias: false}, weights: {weight: first.weight}}
""",
    "names": """
input: [3, 6, 6]
layers:
  - {name: type, conv2d: {out_channels: 3, kernel_size: 3, padding: 1}}
  - {name: x-1, conv2d: {out_channels: 3, kernel_size: 3, padding: 1}}
  - {name: class, conv2d: {out_channels: 3, kernel_size: 3, padding: 1, bias: false}}
  - {add: [input, class]}
  - {conv2d: {out_channels: 3, kernel_size: 3, padding: 1, bias: false}}
  - {name: half, layers: [{linear: 6}, relu, {linear: 6}]}
""",
    "sizes": """
input: [2, H, W]
sizes: {H: 12, W: 8}
layers:
  - {name: down.0, conv2d: {out_channels: 4, kernel_size: 3, stride: 2, padding: 1}}
  - {name: down.1, conv2d: {out_channels: 4, kernel_size: 3, stride: 2, padding: 1}}
  - {name: up, interpolate: {like: down.0}}
  - concat: [down.0, up]
  - reshape: [8, in_height * in_width]
  - {name: last, linear: 3, when: false}
""",
}
MOVES = ("shared",)
"""Specs whose ejected modules are pickled, copied and exported too."""
NETWORKS = {
    "lenet_bn_scratch": {},
    "densenet_bc": {"params": {"growth_rate": 4}, "input_shape": (1, 32, 32)},
    "lstm_classifier": {},
    "unet": {"params": {"width": 4, "depth": 2}, "sizes": {"H": 60, "W": 60}},
    "gpt2": {
        "params": {"vocab": 20, "context": 8, "width": 8, "depth": 2, "num_heads": 2},
        "sizes": {"T": 8},
    },
    "torchvision/shufflenet_v2_x0_5": {"input_shape": (3, 32, 32)},
    "torchvision/squeezenet1_1": {"input_shape": (3, 32, 32)},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ejected")
    for name, text in SPECS.items():
        eject.note(archspec.loads(text, warn=False), folder / f"{name}.py", moves=name in MOVES)
    for name, how in NETWORKS.items():
        arch = archspec.load(name, warn=False, **how)
        eject.note(arch, folder / f"{name.replace('/', '_')}.py")
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return eject.compared(folder)


@pytest.mark.parametrize("name", [*SPECS, *[name.replace("/", "_") for name in NETWORKS]])
def test_an_ejected_file_is_the_module(found, name):
    expected = dict.fromkeys((*ejected.CHECKS, *["pickle", "export"] * (name in MOVES)), True)
    assert found[name] == expected


def test_ejected_files_need_no_formatter(folder):
    assert eject.is_formatted(sorted(folder.glob("*.py")))


def test_ejected_files_name_nothing_of_archspec(folder):
    assert [path.name for path in folder.glob("*.py") if "archspec" in path.read_text()] == []


@settings(max_examples=12)
@given(spec=testing.specs(5))
def test_random_networks_are_the_same_when_ejected(spec, tmp_path_factory):
    try:
        arch = archspec.loads(testing.to_text(spec), warn=False)
    except archspec.SpecError:
        return
    path = tmp_path_factory.mktemp("random") / f"random_{abs(hash(str(spec)))}.py"
    eject.note(arch, path)
    assert ejected.compare(path) == dict.fromkeys(ejected.CHECKS, True)


def test_what_cannot_be_written_out_is_one_diagnostic():
    text = "input: [4]\nlayers:\n  - {name: training, linear: 3}\n"
    with pytest.raises(archspec.SpecError) as refused:
        archspec.loads(text, warn=False).eject()
    (diagnostic,) = refused.value.diagnostics
    assert diagnostic.code == "AS201"
    assert "'training'" in diagnostic.message and diagnostic.help == "give the node another name"


def test_a_class_of_another_package_is_imported():
    node = "module: {type: torch.nn.modules.activation.Threshold, kwargs: {threshold: 1, value: 2}}"
    text = f"input: [4]\nlayers: [{{{node}}}, {{linear: 2}}]"
    made = archspec.loads(text, warn=False, allow_modules=["torch"]).eject()
    assert "from torch.nn.modules.activation import Threshold\n" in made
    assert "Threshold(1, 2)" in made
