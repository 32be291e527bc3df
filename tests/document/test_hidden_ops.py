"""An op that came later means what it meant before in files that are older than it."""

from __future__ import annotations

import re

import pytest
from listing import keys, listed, listing, loaded, refused, write_files

import archspec
from archspec.cli import main
from archspec.ir.op import REGISTRY

GLU = "  glu: {params: {size: 3}, layers: [{linear: size}]}\n"
OWN = f"blocks:\n{GLU}"


def warned(arch: archspec.Architecture) -> list[str]:
    return [str(warning.code) for warning in arch.warnings]


def test_a_file_s_own_block_hides_an_op_that_came_later():
    arch = loaded("- glu: {size: 5}\n- glu", input="[4]", head=OWN)
    assert keys(arch) == ["0.0.weight", "0.0.bias", "1.0.weight", "1.0.bias"]
    assert listing(arch)[::2] == ["0 = glu(input) -> 5", "1 = glu(0) -> 3"]
    assert warned(arch) == ["AS911"]
    assert (
        str(arch.warnings[0])
        .splitlines()[0]
        .endswith(
            "warning AS911: the block 'glu' hides the op of that name, which came with archspec 0.2"
        )
    )


def test_a_block_of_a_used_file_hides_it_too(tmp_path):
    write_files(tmp_path, mine=OWN, glu="layers: [{linear: 7}]\n")
    for use, size in (("mine.yaml", 3), ("glu.yaml", 7)):
        text = f"use: {use}\ninput: [4]\nlayers: [glu, relu]\n"
        arch = archspec.loads(text, folder=tmp_path)
        assert arch.output_shape == ("N", size) and warned(arch) == ["AS911"]
        assert arch.warnings[0].span.source.name.endswith(use)


def test_the_warning_is_silenced_as_others_are():
    head = OWN.replace("\n  glu:", "\n  glu:  # archspec: ignore AS911\n   ")
    assert warned(loaded("- glu", input="[4]", head="ignore: [AS911]\n" + OWN)) == []
    assert warned(loaded("- glu", input="[4]", head=head)) == []


def test_a_file_without_such_a_block_has_the_op():
    assert listed("- {glu: 1}") == ["0 = glu(input) -> 2x8x8"]


def test_an_op_that_was_always_there_is_hidden_by_none():
    assert "error AS208: 'relu' is a primitive op" in refused(
        "- relu", head="blocks: {relu: {layers: [tanh]}}\n"
    )


def test_arguments_of_the_op_are_none_of_the_block():
    said = refused("- {glu: {dim: 1}}", input="[4]", head=OWN)
    assert "error AS206" in said and "expected: one of size" in said


@pytest.mark.parametrize("default", ["glu", "[glu, glu]", "{glu: 3}"])
def test_a_default_that_names_a_later_op_stays_a_value(default):
    head = f"params: {{kind: {default}}}\n"
    arch = loaded("- {tanh: , when: kind == 'no'}\n- relu", head=head)
    assert [layer.op for layer in arch.layers] == ["relu"]


def test_a_default_that_stands_for_a_node_is_the_op():
    head = "params: {act: glu}\n"
    assert listed("- $act", input="[4]", head=head) == ["0 = glu(input) -> 2"]
    assert listed("- {$act: {dim: 1}}", head=head) == ["0 = glu(input) -> 2x8x8"]
    inner = "blocks: {b: {params: {act: layers}, layers: [$act]}}\n"
    assert listed("- b: {act: $act}", head=head + inner)[1] == "0.0 = glu(input) -> 4x8x4"
    assert listed("- b", head="blocks: {b: {params: {a: glu}, layers: [{layers: [$a]}]}}\n")


def test_a_text_for_a_block_s_parameter_stays_a_text():
    head = (
        "params: {kind: glu}\n"
        "blocks: {b: {params: {kind: glu}, layers: [{relu: , when: kind == 'glu'}, tanh]}}\n"
    )
    kinds = [layer.op for layer in loaded("- b: {kind: $kind}", head=head).layers]
    assert kinds == ["relu", "tanh"]


def test_every_later_op_says_its_version():
    assert all(re.fullmatch(r"\d+\.\d+", op.since) for op in REGISTRY.values() if op.since)


def test_check_says_it_once(tmp_path, capsys):
    write_files(tmp_path, net=f"input: [4]\n{OWN}layers: [glu, glu, {{glu: {{size: 2}}}}]\n")
    assert main(["check", str(tmp_path / "net.yaml")]) == 0
    out = capsys.readouterr()
    assert (out.out + out.err).count("AS911") == 1
