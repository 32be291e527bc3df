"""`sizes:`: symbols in the sizes of inputs, by `load`, in the terminal, and their mistakes."""

from __future__ import annotations

import json

import pytest

import archspec
from archspec.cli import main
from archspec.diagnostics.diagnostic import SpecError

SPEC = """\
name: halved
sizes: {H: 8, W: 12}
input: [3, H, W]
layers:
  - {name: pool, max_pool2d: 2}
  - {conv_transpose2d: {out_channels: 3, kernel_size: 2, stride: 2}}
  - add: [input, '1']
"""


def refusal(text, **given):
    with pytest.raises(SpecError) as raised:
        archspec.loads(text, **given)
    return str(raised.value)


def test_symbols_have_the_sizes_that_are_stated():
    arch = archspec.loads(SPEC)
    assert arch.input_shape == ("N", 3, 8, 12)
    assert arch.sizes == {"H": 8, "W": 12}


def test_the_caller_gives_other_sizes():
    assert archspec.loads(SPEC, sizes={"H": 20}).input_shape == ("N", 3, 20, 12)
    arch = archspec.loads(SPEC).variant(sizes={"W": 4})
    assert arch.input_shape == ("N", 3, 8, 4)
    assert arch.sizes == {"H": 8, "W": 4}
    given = archspec.loads(SPEC, input_shape=(3, 6, 6))
    assert (given.input_shape, given.sizes) == (("N", 3, 6, 6), {})


def test_the_contract_is_that_of_the_declared_symbols():
    found = archspec.loads(SPEC).contract()
    assert found.stated == {"H": 8, "W": 12}
    assert found.text == "H and W a multiple of 2"
    assert [each.span.line for each in found.requirements] == [7, 7]


def test_expressions_of_symbols_are_sizes_too():
    text = "sizes: {H: 4, W: 6}\nparams: {c: 2}\ninput: [H * W + 1, c]\nlayers: [linear: 5]"
    arch = archspec.loads(text)
    assert arch.input_shape == ("N", 25, 2)
    assert "input: [H * W + 1, 2]" in arch.expand().replace('"', "")
    assert arch.formulas().output_shapes == {"output": "(N, H·W + 1, 5)"}


def test_what_expand_writes_has_the_same_contract():
    again = archspec.loads(archspec.loads(SPEC).expand())
    assert again.contract().text == "H and W a multiple of 2"
    assert again.expand() == archspec.loads(SPEC).expand()


def test_a_spec_that_extends_may_give_other_sizes(tmp_path):
    (tmp_path / "base.yaml").write_text(SPEC)
    (tmp_path / "own.yaml").write_text("extends: base.yaml\nsizes: {H: 16}\n")
    assert archspec.load(tmp_path / "own.yaml").input_shape == ("N", 3, 16, 12)


def test_a_size_that_is_not_legal_is_refused_with_its_neighbours():
    for said in (refusal(SPEC, sizes={"H": 9}), refusal(SPEC.replace("H: 8", "H: 9"))):
        assert "help: H = 9 is not legal here: 8 and 10 are" in said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{H: 8, W: 12}", "[8, 12]", "`sizes` must be a mapping"),
        ("{H: 8,", "{H: 0,", "cannot be 0"),
        ("{H: 8,", "{H: '8',", "cannot be '8'"),
        ("{H: 8,", "{in_height: 8,", "is a name of the language"),
        ("{H: 8,", "{H: 8, T: 3,", "no input has the size 'T'"),
        ("{H: 8,", "{A: 8,", "the name 'H' is not known here"),
        ("name: halved", "params: {H: 3}", "'H' is a parameter too"),
    ],
)
def test_mistakes_in_sizes_are_located(old, new, said):
    assert said in refusal(SPEC.replace(old, new))


def test_a_symbol_is_no_name_elsewhere():
    assert "the name 'H' is not known here" in refusal(
        "sizes: {H: 8}\ninput: [H]\nlayers: [linear: H]"
    )


def test_the_terminal_takes_and_shows_sizes(tmp_path, capsys):
    file = tmp_path / "halved.yaml"
    file.write_text(SPEC)
    assert main(["compile", str(file), "--size", "H=10", "--summary"]) == 0
    out = capsys.readouterr().out
    assert "\ncontract: H and W a multiple of 2\n" in out
    assert "\nshapes: (N, 3, H, W) → (N, 3, H, W)\n" in out
    assert "\nMACs: 9·H·W\n" in out
    assert main(["compile", str(file), "--at", "H=100", "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["at"]["sizes"] == {"H": 100, "W": 12}
    assert said["at"]["macs"] == 9 * 100 * 12
    assert said["contract"]["requirements"][0]["text"] == "H a multiple of 2"
    assert said["macs"] == 9 * 8 * 12


def test_the_terminal_refuses_sizes_that_are_not_legal(tmp_path, capsys):
    file = tmp_path / "halved.yaml"
    file.write_text(SPEC)
    assert main(["compile", str(file), "--at", "H=7"]) == 1
    assert "H = 7, W = 12 is not legal: H a multiple of 2" in capsys.readouterr().err
    assert main(["compile", str(file), "--size", "Q=7"]) == 1
    assert "the spec has no size 'Q'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compile", "nin", "--at", "H=7"])
