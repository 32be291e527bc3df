"""Formulas of figures against the figures of compiling at other sizes."""

from __future__ import annotations

import re

import pytest

import archspec
from archspec.analyses.cost import Costs
from archspec.analyses.memory import memory
from archspec.contracts.derive import _way
from archspec.sizes.formula import Formula
from archspec.sizes.size import Size


def test_resnet_is_written_as_people_write_it():
    found = archspec.load("torchvision/resnet18", warn=False).formulas("H,W")
    assert found.input_shapes == {"input": "(N, 3, H, W)"}
    assert found.macs.text.startswith("9408·⌈H/2⌉·⌈W/2⌉ + ")
    assert found.macs.text.endswith(" + 512000")
    shapes = {node.path: node.output_shapes[0] for node in found.nodes}
    assert shapes["conv1"] == "(N, 64, ⌈H/2⌉, ⌈W/2⌉)"
    assert shapes["layer4"] == "(N, 512, ⌈H/32⌉, ⌈W/32⌉)"


def test_products_stay_factored():
    found = archspec.load("alexnet", warn=False).formulas("S,S")
    node = next(node for node in found.nodes if node.op == "flatten")
    assert node.output_shapes == ("(N, 256·(⌈S/32⌉ - 2)²)",)


def written(text: str, **values: int) -> int:
    """What a person computes who reads the formula."""
    python = re.sub(r"⌈([^⌉]*)/([0-9]+)⌉", r"(-(-(\1) // \2))", text)
    python = re.sub(r"⌊([^⌋]*)/([0-9]+)⌋", r"((\1) // \2)", python)
    python = python.replace("·", "*").replace("²", "**2")
    return eval(python, {"__builtins__": {}}, values)


@pytest.mark.parametrize(("spec", "sizes"), [("resnet18", (96, 333)), ("nin", (67, 100, 225))])
def test_formulas_give_the_figures_of_other_sizes(spec, sizes):
    arch = archspec.load(spec, warn=False)
    contract = arch.contract("S,S")
    text = arch.formulas("S,S").macs.text
    for size in sizes:
        other = arch.variant(input_shape=(1, size, size))
        graph = contract.graph_at(S=size)
        assert Costs(graph).total.macs == other.macs == written(text, S=size)
        assert memory(graph, 1).saved_bytes == other.summary().saved_bytes


def test_the_value_of_a_formula_is_the_stated_figure():
    arch = archspec.load("densenet", warn=False)
    found, summary = arch.formulas("S,S"), arch.summary()
    assert found.macs.value == arch.macs
    assert found.saved_bytes.value == summary.saved_bytes
    assert found.activation_bytes.value == summary.activation_bytes


def test_few_formulas_are_made_for_the_many_nodes_of_densenet(monkeypatch):
    made: list[Formula] = []
    begin = Formula.__init__
    monkeypatch.setattr(Formula, "__init__", lambda *args: made.append(begin(*args)))
    way = _way(archspec.load("torchvision/densenet121")._origin, ("H", "W"))
    graph = way.compile(way.stated).graph
    assert isinstance(Costs(graph).total.macs, Size)
    assert 100 < len(made) < 300  # there are 427 ops, in 66 groups and blocks


def test_a_sum_of_too_many_terms_says_where_it_holds():
    layers, pooled, read = [], [], "input"
    for i in range(80):
        layers.append(f"{{name: c{i}, conv1d: {{out_channels: 1, kernel_size: 2}}, from: {read}}}")
        convolution = f"conv1d: {{out_channels: 1, kernel_size: 1, stride: {2 + i % 13}}}"
        layers += [f"{{name: p{i}, {convolution}}}", f"{{name: m{i}, amax: {{dim: 2}}}}"]
        read = f"c{i}"
        pooled.append(f"m{i}")
    text = "input: [1, 300]\nlayers:\n" + "".join(f"  - {each}\n" for each in layers)
    found = archspec.loads(f"{text}  - concat: [{', '.join(pooled)}]\n", warn=False).formulas("L")
    sizes = [300 - i for i in range(1, 81)]
    assert found.macs.value == sum(2 * n + -(-n // (2 + i % 13)) for i, n in enumerate(sizes))
    assert found.macs.where.startswith("289 ≤ L ≤ 302")
