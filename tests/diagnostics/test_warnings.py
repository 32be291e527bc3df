"""Warnings: what they see through, what they leave alone, and how they are silenced."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

import archspec
from archspec.cli import main


def warned(layers: str, head: str = "", **more: object) -> list[str]:
    """`AS903:4` for each warning: its code and line, the spec beginning at line 1."""
    lines = "".join(f"  {line}\n" for line in layers.strip("\n").split("\n"))
    text = f"input: [4, 8, 8]\n{head}layers:\n{lines}"
    return [f"{w.code}:{w.span.line}" for w in archspec.loads(text, **more).warnings]


CONV = "conv2d: {out_channels: 4, kernel_size: 1}"


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        (f"- {CONV}\n- batch_norm", ["AS903:3"]),
        (f"- {CONV}\n- batch_norm_scratch", ["AS903:3"]),
        (f"- {CONV}\n- instance_norm", ["AS903:3"]),
        (f"- {CONV}\n- identity\n- batch_norm", ["AS903:3"]),
        (f"- layers: [{{{CONV}}}]\n- batch_norm", ["AS903:3"]),
        ("- flatten\n- linear: 8\n- batch_norm", ["AS903:4"]),
        # What keeps a bias: no bias, other norms, other readers, another axis, a layer between.
        ("- conv2d: {out_channels: 4, kernel_size: 1, bias: false}\n- batch_norm", []),
        (f"- {CONV}\n- layer_norm: {{axes: [1]}}", []),
        (f"- {CONV}\n- {{group_norm: 2}}", []),
        (f"- {CONV}\n- relu\n- batch_norm", []),
        (f"- {{name: c, {CONV}}}\n- {{name: n, batch_norm: }}\n- add: [c, n]", []),
        ("- linear: 8\n- batch_norm", []),
        (f"- {{name: c, {CONV}}}\n- batch_norm\n- share: c", []),
    ],
)
def test_a_bias_before_batch_norm(layers, found):
    assert warned(layers) == found


@pytest.mark.parametrize(("reads", "found"), [("[n, input]", ["AS903:10"]), ("[n, s]", [])])
def test_all_readers_of_a_bias_count_in_a_network_of_many_runs(reads, found):
    # After 28³ runs a block that was met before is not walked again, here the second `seen`.
    head = (
        "blocks:\n  a: {layers: [{repeat: 28, layers: [{dropout: 0.1}]}]}\n"
        "  b: {layers: [{repeat: 28, a: }]}\n  c: {layers: [{repeat: 28, b: }]}\n"
        "  seen: {layers: [{dropout: 0.2}]}\n"
    )
    layers = (
        f"- seen\n- c\n- {{name: c, {CONV}}}\n- {{name: n, batch_norm: , from: c}}\n"
        f"- {{name: s, seen: , from: c}}\n- concat: {reads}"
    )
    said = warned(layers, head)
    assert [each for each in said if each.startswith("AS903")] == found


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ("- relu\n- relu", ["AS904:4"]),
        ("- relu\n- tanh", ["AS904:4"]),
        ("- layers: [relu]\n- layers: [identity, relu]", ["AS904:4"]),
        ("- repeat: 2\n  layers: [relu]", ["AS904:4"]),
        ("- relu\n- dropout\n- relu\n- linear: 4", []),
        ("- relu\n- {softmax: 1}", []),
        ("- {name: a, relu: }\n- {name: b, tanh: , from: input}\n- add: [a, b]", []),
    ],
)
def test_two_activations_in_a_row(layers, found):
    assert warned(layers) == found


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ("- linear: 4\n- dropout", ["AS905:4"]),
        ("- linear: 4\n- dropout2d\n- flatten\n- {softmax: 1}", ["AS905:4"]),
        ("- dropout\n- linear: 4", []),
        ("- {name: d, dropout: }\n- add: [d, input]", []),
    ],
)
def test_dropout_after_the_last_layer(layers, found):
    assert warned(layers) == found


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        (f"- {CONV}\n- layer_norm", ["AS907:4"]),
        (f"- {CONV}\n- rms_norm", ["AS907:4"]),
        (f"- {CONV}\n- {{rms_norm: {{axes: [3]}}}}\n- relu\n- linear: 2", ["AS907:4", "AS907:6"]),
        # A sum or concatenation of images is one, with the input too, and with a scale.
        (f"- {CONV}\n- add: [-1, input]\n- layer_norm", ["AS907:5"]),
        (f"- {{name: c, {CONV}}}\n- relu\n- concat: [c, -1]\n- rms_norm", ["AS907:6"]),
        (
            f"- {{name: c, {CONV}}}\n- global_avg_pool2d\n- mul: [c, -1]\n- layer_norm",
            ["AS907:6"],
        ),
        (f"- {CONV}\n- rms_norm: {{axes: [1]}}", []),
        (f"- {CONV}\n- rms_norm: {{axes: [2, 3]}}", []),
        (f"- {CONV}\n- permute: [0, 2, 3, 1]\n- rms_norm", []),
        (
            f"- {{name: c, {CONV}}}\n- {{name: p, reshape: [4, 8, 8], from: input}}\n"
            "- add: [c, p]\n- rms_norm",
            [],
        ),
        ("- relu\n- add: [-1, input]\n- rms_norm", []),
    ],
)
def test_the_width_of_an_image_alone(layers, found):
    assert warned(layers) == found


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ("- add: [input, input]", ["AS906:3"]),
        ("- branches: [[], []]\n  merge: concat", ["AS906:4"]),
        ("- branches: [[], [identity], [tanh]]\n  merge: add", ["AS906:4"]),
        ("- {name: halves, chunk: 2}\n- mul: ['halves[0]', 'halves[1]']", []),
        ("- branches: [[], [tanh]]\n  merge: add", []),
    ],
)
def test_one_value_twice(layers, found):
    assert warned(layers) == found


def test_two_inputs_are_two_values():
    arch = archspec.loads("inputs: {a: [4], b: [4]}\nlayers:\n  - add: [a, b]\n")
    assert arch.warnings == ()


BLOCK = f"blocks:\n  stem:\n    layers:\n      - {CONV}\n      - batch_norm\n"


def test_a_place_in_a_block_is_shown_once_with_its_calls():
    (warning,) = archspec.loads(
        f"input: [4, 8, 8]\n{BLOCK}layers:\n  - stem\n  - {{repeat: 3, stem: }}\n"
    ).warnings
    assert [note.message for note in warning.notes] == [
        "in the block stem, called here",
        "called once more, with the same result: line 9",
    ]
    assert warning.notes[0].span.line == 8


def test_two_mistakes_of_one_place_in_a_block_both_stay():
    """They have one code and one place; only what further calls repeat is left out."""
    text = (
        "input: [4]\nblocks:\n  b:\n    params: {c: int}\n    layers:\n"
        "      - linear: {out_features: $(c - 9), bias: $(c)}\n"
        "layers:\n  - b: {c: 1}\n  - {b: {c: 2}, from: input}\n"
    )
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(text)
    found = [(d.span.column, d.message, len(d.notes)) for d in raised.value.diagnostics]
    assert found == [
        (32, "linear: out_features cannot be -8", 2),
        (48, "linear: bias cannot be 1", 2),
    ]


def test_a_comment_silences_its_line_and_calls_from_its_line():
    comment = "  # archspec: ignore AS903"
    assert warned(f"- {CONV}{comment}\n- batch_norm") == []
    assert warned(f"- {CONV}  # archspec: ignore AS904, AS903\n- batch_norm") == []
    assert warned(f"- {CONV}  # archspec: ignore AS904\n- batch_norm") == ["AS903:3"]
    assert warned("- stem", BLOCK.replace(CONV, CONV + comment)) == []
    assert warned(f"- stem{comment}\n- stem", BLOCK) == ["AS903:5"]


def test_a_key_silences_the_file():
    assert warned(f"- {CONV}\n- batch_norm\n- relu\n- relu", "ignore: [AS903]\n") == ["AS904:7"]
    assert warned(f"- {CONV}\n- batch_norm", "ignore: AS903\n") == []


def test_the_key_of_a_variant_holds_for_its_base_too(tmp_path):
    (tmp_path / "base.yaml").write_text(f"input: [4, 8, 8]\nlayers:\n  - {CONV}\n  - batch_norm\n")
    load = archspec.loads
    assert len(load("extends: base.yaml", folder=tmp_path).warnings) == 1
    assert load("extends: base.yaml\nignore: [AS903]", folder=tmp_path).warnings == ()


def test_the_caller_silences_codes():
    assert warned(f"- {CONV}\n- batch_norm", ignore=["AS903"]) == []
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads("input: [3]\nlayers: [relu]\n", ignore=["AS401"])
    assert str(raised.value).startswith(
        "error AS205: AS401 is an error, and only warnings can be ignored"
    )


def test_the_command_line_silences_codes(tmp_path, capsys):
    path = tmp_path / "net.yaml"
    path.write_text(f"input: [4, 8, 8]\nlayers:\n  - {CONV}\n  - batch_norm\n")
    for command in ("check", "compile", "expand"):
        assert main([command, str(path)]) == 0
        assert "AS903" in capsys.readouterr().err
        assert main([command, str(path), "--ignore", "AS903"]) == 0
        assert capsys.readouterr().err == ""


def test_an_expanded_spec_keeps_silent_about_what_was_silenced():
    text = f"input: [4, 8, 8]\nignore: [AS903]\nlayers:\n  - {CONV}\n  - batch_norm\n"
    assert archspec.loads(archspec.loads(text).expand()).warnings == ()


@pytest.mark.parametrize("name", archspec.bundled())
def test_no_bundled_spec_gives_a_warning(name):
    assert archspec.load(name).warnings == ()


def test_a_permuted_image_as_deep_as_wide_is_no_image():
    permuted = "- conv2d: {out_channels: 8, kernel_size: 3, padding: 1}\n- permute: [0, 2, 3, 1]\n"
    assert warned(f"{permuted}- linear: 10") == []


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ("[4, 5, 3]", ["AS910:1"]),
        ("[5, 4, 1]", ["AS910:1"]),
        ("[5, 5, 4]", ["AS910:1"]),
        ("[5, 5, 2]", []),
        ("[5, 5, 5]", []),
        ("[3, 5, 3]", []),
        ("[5, 3, 3]", []),
    ],
)
def test_an_image_whose_channels_stand_last(sizes, found):
    conv = "- conv2d: {out_channels: 4, kernel_size: 1, bias: false}\n"
    text = f"input: {sizes}\nlayers:\n- relu\n"
    assert [f"{w.code}:{w.span.line}" for w in archspec.loads(text + conv).warnings] == found
    # No convolution reads it, or what reads it has turned it around.
    assert not archspec.loads(text).warnings
    assert not archspec.loads(f"{text}- permute: [0, 3, 1, 2]\n{conv}").warnings


@pytest.mark.parametrize(("times", "found"), [(58, ["AS903:6"]), (59, [])])
def test_nothing_is_said_of_a_giant(times, found):
    # 58**3 runs are less than the 200,000 that are examined, and 59**3 are more.
    head = (
        f"blocks:\n  a: {{layers: [{{repeat: {times}, layers: [{{dropout: 0.1}}]}}]}}\n"
        f"  b: {{layers: [{{repeat: {times}, a: }}]}}\n"
    )
    layers = f"- {CONV}\n- batch_norm\n- {{repeat: {times}, b: }}"
    assert [each for each in warned(layers, head) if "AS903" in each] == found


# --- in Python -----------------------------------------------------------------------------------

BIASED = f"input: [4, 8, 8]\nlayers:\n  - {CONV}\n  - batch_norm\n  - relu\n  - relu\n"


def test_each_warning_is_raised_once_with_its_place(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(BIASED)
    with pytest.warns(archspec.SpecWarning) as raised:
        arch = archspec.load(path)
        line = sys._getframe().f_lineno - 1
    assert [warning.message.diagnostic for warning in raised] == list(arch.warnings)
    assert [str(warning.message).split(" warning ")[0] for warning in raised] == [
        f"{path}:3:5:",
        f"{path}:6:5:",
    ]
    text = str(raised[1].message)
    assert "warning AS904: " in text and "help: " in text
    assert {(warning.filename, warning.lineno) for warning in raised} == {(__file__, line)}
    again = pickle.loads(pickle.dumps(raised[0].message))
    assert str(again) == str(raised[0].message)


def test_what_takes_a_spec_raises_and_points_at_its_caller(tmp_path, monkeypatch):
    finished = SimpleNamespace(net=None, history=None)
    monkeypatch.setattr("archspec.training.session.train", lambda session: finished)
    path = tmp_path / "net.yaml"
    path.write_text("input: [1, 8, 8]\nlayers: [relu, relu, flatten, {linear: 10}]\n")
    calls = [
        lambda: archspec.load(path),
        lambda: archspec.loads(BIASED, ignore=["AS904"]),
        lambda: archspec.compile(path, device="meta"),
        lambda: archspec.train(path),
    ]
    for call in calls:
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always")
            call()
        spec_warnings = [each for each in raised if each.category is archspec.SpecWarning]
        assert [each.filename for each in spec_warnings] == [__file__], call


def test_nothing_else_raises_them_again(tmp_path):
    arch = archspec.loads(BIASED)
    with warnings.catch_warnings():
        warnings.simplefilter("error", archspec.SpecWarning)
        arch.build()
        arch.expand()
        arch.summary()
        arch.verify(batch_sizes=(2,))
        assert arch.variant(input_shape=(4, 6, 6)).warnings
        assert archspec.loads(BIASED, warn=False).warnings
        archspec.loads(BIASED, ignore=["AS903", "AS904"])
        archspec.loads(BIASED.replace("relu", "relu  # archspec: ignore AS904"), ignore=["AS903"])
        archspec.loads(f"ignore: [AS903, AS904]\n{BIASED}")


def test_pythons_filters_hold():
    with warnings.catch_warnings():
        warnings.simplefilter("error", archspec.SpecWarning)
        with pytest.raises(archspec.SpecWarning) as raised:
            archspec.loads(BIASED)
    assert raised.value.diagnostic.code == "AS903"
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", ".*AS903", archspec.SpecWarning)
        archspec.loads(BIASED)
    assert [str(each.message.diagnostic.code) for each in seen] == ["AS904"]


def test_a_program_is_told_and_the_command_line_says_it_once(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(BIASED)
    environment = {**os.environ, "PYTHONPATH": str(Path(archspec.__file__).parents[1])}

    def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, env=environment
        )

    program = f"import archspec\narchspec.load({str(path)!r})\n"
    told = ran("-c", program)
    assert told.returncode == 0
    assert told.stderr.count("SpecWarning: ") == told.stderr.count("warning AS9") == 2
    # Python reads -W before it can import what is installed, so only the base class can be named.
    stopped = ran("-W", "error::UserWarning", "-c", program)
    assert stopped.returncode == 1
    assert "archspec.diagnostics.diagnostic.SpecWarning: " in stopped.stderr
    said = ran("-W", "error::UserWarning", "-m", "archspec", "check", str(path))
    assert said.returncode == 0 and said.stderr.count("AS903") == 1
    assert "SpecWarning" not in said.stderr
