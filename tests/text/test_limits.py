"""Whatever a text says, the work and the memory that it takes are bounded."""

from __future__ import annotations

import re
import time

import pytest
from listing import first_line, refusal, spec

import archspec
from archspec import Limits

CASES = {
    "repeat": ("- {repeat: 11, relu}", 10, "the number of iterations"),
    "nodes": ("- {repeat: 11, relu}", 10, "the number of nodes"),
    "list_length": ("- {linear: 'len(range(11))'}", 10, "the length of a list"),
    "evaluation_steps": ("- {linear: 'len(range(11))'}", 10, "the work of the whole spec"),
    "expression_length": ("- {linear: 1 + 1 + 1}", 5, "the length of this expression"),
    "expression_depth": ("- {linear: 1 + (1 + (1 + 1))}", 3, "the nesting of this expression"),
    "scalar_length": ("- {name: abcdefghijkl, relu}", 10, "the length of this text"),
    "text_bytes": ("- relu", 10, "the size of the text in bytes"),
    "values": ("- relu\n- tanh", 4, "the number of values (aliases expanded)"),
    "nesting": ("- layers: [{layers: [relu]}]", 4, "the nesting"),
    "depth": ("- layers: [{layers: [relu]}]", 1, "the nesting of groups"),
}


@pytest.mark.parametrize("name", CASES)
def test_limits(name):
    layers, limit, what = CASES[name]
    said = first_line(refusal(spec(layers), limits=Limits(**{name: limit})))
    assert said.endswith(f"error AS701: {what} is over the limit of {limit} ({name})")
    assert archspec.loads(spec(layers)).layers


def test_a_list_to_walk_is_bounded_too():
    said = refusal(spec("- {repeat: {x: 11}, relu}"), limits=Limits(repeat=10))
    assert "the number of iterations is over the limit of 10 (repeat)" in said


def test_a_value_that_no_machine_could_hold_is_refused():
    said = refusal(spec("- {parameter: {shape: [65536, 65536, 512]}}\n- {add: ['0', '0']}"))
    assert "error AS701: " in said and "elements per sample" in said


def test_a_limit_says_how_to_raise_it():
    assert refusal(spec("- {repeat: 11, relu}"), limits=Limits(repeat=10)) == (
        "<text>:3:14: error AS701: the number of iterations is over the limit of 10 (repeat)\n"
        "  3 |   - {repeat: 11, relu}\n"
        "    |              ^^\n"
        "  expected: at most 10\n"
        "  found:    11\n"
        "  help: a caller can raise it: load(..., limits=Limits(repeat=...))"
    )
    assert archspec.loads(spec("- {repeat: 11, relu}"), limits=Limits(repeat=11)).layers


def test_blocks_within_blocks_are_bounded_and_never_overflow_the_stack():
    blocks = "".join(f"  b{i}: {{layers: [b{i + 1}]}}\n" for i in range(500))
    said = refusal(spec("- b0", head=f"blocks:\n{blocks}  b500: {{layers: [relu]}}\n"))
    assert "the nesting of blocks and groups is over the limit of 60 (depth)" in said


def test_repeats_within_repeats_stop_at_the_limit_of_nodes():
    text = spec("- repeat: 100\n  layers:\n    - {repeat: 100, layers: [relu]}\n")
    said = refusal(text, limits=Limits(nodes=2000))
    assert said.count("the number of nodes is over the limit of 2,000 (nodes)") == 1


def test_nothing_is_told_of_the_nodes_past_the_limit():
    said = refusal(
        spec("- {repeat: 9, relu}\n- tanh\n- gelu\n- {silu: , from: input}"),
        limits=Limits(nodes=10),
    )
    assert first_line(said).startswith("5:5: error AS701: the number of nodes is over the limit")
    assert said.count("error") == 1


def test_files_are_counted(tmp_path):
    for i in range(5):
        (tmp_path / f"a{i}.yaml").write_text(f"extends: a{i + 1}.yaml\n")
    (tmp_path / "a5.yaml").write_text("input: [3]\nlayers: [relu]\n")
    assert archspec.load(tmp_path / "a0.yaml").output_shape == ("N", 3)
    with pytest.raises(archspec.SpecError, match="the number of files is over the limit of 3"):
        archspec.load(tmp_path / "a0.yaml", limits=Limits(files=3))


def test_a_long_chain_is_no_recursion():
    arch = archspec.loads(spec("\n".join(["- relu"] * 5000)))
    assert len(arch.layers) == 5000


def test_an_equal_block_is_expanded_once():
    head = "blocks: {a: {layers: [{repeat: 300, relu}]}, b: {layers: [{repeat: 300, a}]}}\n"
    start = time.perf_counter()
    text = spec("- {repeat: 300, b}", head=head)
    arch = archspec.loads(text, limits=Limits(runs=27_000_000))
    assert time.perf_counter() - start < 5  # 27 million nodes one by one would take minutes
    said = first_line(refusal(text))
    assert "the number of ops that one pass runs is over the limit of 1,000,000 (runs)" in said
    assert arch.output_shape == ("N", 4, 8, 8)


def test_the_nesting_that_libyaml_itself_refuses_is_the_same_limit():
    text = "[" * 1_500  # deep enough for libyaml's own limit, where its version has one
    for limits, most in ((Limits(), "150"), (Limits(nesting=1_200), "1,[02]00")):
        said = first_line(refusal(text, limits=limits))
        assert re.search(rf"AS701: the nesting is over the limit of {most} \(nesting\)$", said)


def test_what_is_as_deep_as_can_be_is_expanded_and_read_back():
    node = "{conv2d: {out_channels: 4, kernel_size: [1, 1]}}"
    for _ in range(Limits().depth):
        node = f"{{layers: [{node}]}}"
    arch = archspec.loads(spec(f"- {node}"))
    assert archspec.loads(arch.expand()).expand() == arch.expand()
    assert arch.verify(batch_sizes=(2,)).ok
