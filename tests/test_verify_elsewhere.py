"""`verify` runs one module at several legal sizes, and holds it against the graph at each."""

from __future__ import annotations

import pytest

import archspec
from archspec.analyses.cost import Costs
from archspec.analyses.memory import memory
from archspec.contracts.chosen import elsewhere
from archspec.verify import verify

HEAD = "archspec: 1\nname: net\ninput: [2, 12, 15]\nlayers:\n"

FOLLOWING = HEAD + "  - {pad: [0, in_width % 2, 0, 1]}\n  - {reshape: [-1, in_width]}\n"
"""The width is rounded up to an even one."""


def loaded(text: str) -> archspec.Architecture:
    return archspec.loads(text, warn=False)


def test_the_least_sizes_and_some_between_are_run():
    arch = loaded(HEAD + "  - {conv2d: {out_channels: 2, kernel_size: 5}}\n  - relu\n")
    report = arch.verify()
    assert report.ok
    # 5 + (12 - 5) // 2 and 5 + (15 - 5) // 2 + 2, made odd.
    assert report.elsewhere == [{"H": 5, "W": 5}, {"H": 9, "W": 13}]
    assert str(report).splitlines()[1] == (
        "the same module was run at H = 5, W = 5; H = 9, W = 13 too"
    )
    assert report.as_dict()["elsewhere"] == report.elsewhere
    assert not arch.verify(elsewhere=False).elsewhere


def test_a_module_that_holds_a_size_is_found_out():
    arch = loaded(FOLLOWING)
    others = arch.elsewhere()
    assert verify(arch.graph, name="net", emitted=arch.emitted, elsewhere=others).ok
    literal = verify(arch.graph, name="net", elsewhere=others)  # with numbers for 12 x 15
    found = [(each.path, each.what) for each in literal.mismatches]
    assert found and all(", W=" in what for _, what in found)


def test_figures_are_those_of_the_graph_there():
    arch = loaded(HEAD + "  - {conv2d: {out_channels: 3, kernel_size: 3, stride: 2}}\n  - relu\n")
    others = arch.elsewhere()
    assert len(others) == 2
    for other in others:
        shape = (2, other.sizes["H"], other.sizes["W"])
        there = arch.variant(input_shape=shape).graph
        assert [step.outputs for step in other.graph.steps] == [s.outputs for s in there.steps]
        assert Costs(other.graph).total == Costs(there).total
        assert memory(other.graph, 2) == memory(there, 2)


@pytest.mark.parametrize(
    "text",
    [
        "  - {flatten: {}}\n  - {linear: 3}\n",  # its weight allows one size alone
        "  - {module: torch.nn.Softsign}\n",  # code of a package runs at known sizes alone
    ],
)
def test_a_network_of_one_size_is_run_at_that(text: str):
    arch = archspec.loads(HEAD + text, warn=False, allow_modules=["torch.nn"])
    report = arch.verify()
    assert report.ok and not report.elsewhere


def test_no_larger_inputs_are_chosen():
    arch = archspec.load("resnet18", input_shape=(1, 96, 64), warn=False)
    chosen = [each.sizes for each in elsewhere(arch.contract())]
    assert chosen == [{"H": 1, "W": 1}, {"H": 49, "W": 35}]
    squares = "archspec: 1\nname: net\ninput: [2, 64, 64]\nlayers:\n"
    squares += "  - {unflatten: {dim: 2, unflattened_size: [-1, 64]}}\n"
    squares += "  - {unflatten: {dim: 4, unflattened_size: [-1, 64]}}\n"
    assert not loaded(squares).elsewhere()  # the next legal size has twice as many elements
