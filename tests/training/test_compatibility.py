from __future__ import annotations

import pytest

import archspec
from archspec.data import opening
from archspec.diagnostics.diagnostic import SpecError
from archspec.ir.op import REGISTRY
from archspec.ir.types import EVERY
from archspec.training import compatibility
from archspec.training.compatibility import check_data, check_sizes, image_size, outputs_of, takes

SPEC = """\
input: [1, 28, 28]
params: {num_classes: 10}
layers:
  - conv2d: {out_channels: 4, kernel_size: 3}
  - flatten
  - linear: num_classes
"""


def load(text=SPEC):
    return archspec.loads(text, name="net.yaml")


def message(check, *arguments):
    with pytest.raises(SpecError) as caught:
        check(*arguments)
    return str(caught.value)


def test_another_number_of_classes_names_the_parameter_that_mends_it():
    assert message(check_data, load(), "cifar100", 1, 100) == (
        "net.yaml:6:5: error AS401: the network tells 10 classes apart; cifar100 has 100\n"
        "  6 |   - linear: num_classes\n"
        "    |     ^^^^^^\n"
        "  expected: 100 values for each image\n"
        "  found:    10\n"
        "  help: say so: --set num_classes=100"
    )
    check_data(load().variant({"num_classes": 100}), "cifar100", 1, 100)


def test_a_number_that_stands_in_the_layers_has_no_mend():
    text = SPEC.replace("linear: num_classes", "linear: 10").replace("num_classes", "width")
    assert "--set" not in message(check_data, load(text), "cifar100", 1, 100)


def test_other_channels_name_the_input_that_mends_it():
    assert message(check_data, load(), "cifar10", 3, 10) == (
        "net.yaml:1:8: error AS401: the network takes images of 1 channels; cifar10 has 3\n"
        "  1 | input: [1, 28, 28]\n"
        "    |        ^^^^^^^^^^^\n"
        "  expected: 3 channels\n"
        "  found:    1 channels\n"
        "  help: compile it for them: --input 3x28x28"
    )
    named = SPEC.replace("[1, 28, 28]", "[colours, 28, 28]").replace("{num", "{colours: 1, num")
    assert message(check_data, load(named), "c", 3, 10).endswith("them: --set colours=3")


def test_channels_hide_no_number_of_classes():
    text = message(check_data, load(), "cifar100", 3, 100)
    assert "takes images of 1 channels; cifar100 has 3" in text
    assert "tells 10 classes apart; cifar100 has 100" in text
    assert "--input 3x28x28" in text and "--set num_classes=100" in text


def test_every_output_says_its_number_of_classes():
    heads = SPEC.replace("- linear: num_classes", "- {name: a, linear: 3}") + (
        "  - {name: b, linear: 4, from: 1}\noutputs: {a: a, b: b}\n"
    )
    text = message(check_data, load(heads.replace("params: {num_classes: 10}\n", "")), "d", 1, 10)
    assert "'a' tells 3 classes" in text and "'b' tells 4 classes" in text


def test_the_network_is_compiled_for_the_size_of_the_images():
    assert image_size(load(), None) == (28, 28)
    assert image_size(load(), 96) == (96, 96)
    assert check_sizes(load(), (96, 64)).input_shape == ("N", 1, 96, 64)
    assert check_sizes(archspec.load("resnet18"), (96, 96)).output_shape == ("N", 10)
    said = message(check_sizes, load(), (2, 2))
    assert "note: the recipe brings images to 2x2; --resize asks for another size" in said


def test_outputs():
    assert outputs_of(load()) == ("output", ("output",))
    text = SPEC + (
        "  - {name: aux, linear: num_classes, from: 1, training_only: true}\n"
        "outputs: {main: 2, aux: aux}\n"
    )
    assert outputs_of(load(text)) == ("main", ("main", "aux"))


def test_what_is_no_image_classifier_is_refused():
    flat = "input: [7]\nlayers: [{linear: 3}]\n"
    assert "the trainer feeds it images" in message(image_size, load(flat), None)
    maps = "input: [1, 8, 8]\nlayers: [{conv2d: {out_channels: 10, kernel_size: 1}}]\n"
    assert "is not a classification" in message(check_data, load(maps), "digits", 1, 10)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "{shape: [16], dtype: int64, below: 9}",
            "net.yaml:1:8: error AS407: net takes int64; the trainer feeds it images of floats\n"
            "  1 | input: {shape: [16], dtype: int64, below: 9}\n"
            "    |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
            "  expected: input: [channels, height, width]\n"
            "  found:    (N, 16) int64",
        ),
        (
            "{shape: [1, 8, 8], dtype: bool}",
            "net.yaml:1:8: error AS407: net takes bool; the trainer feeds it images of floats\n"
            "  1 | input: {shape: [1, 8, 8], dtype: bool}\n"
            "    |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
            "  expected: input: [channels, height, width]\n"
            "  found:    (N, 1, 8, 8) bool",
        ),
        (
            "[]",
            "net.yaml:1:8: error AS401: net takes 0 sizes; the trainer feeds it images\n"
            "  1 | input: []\n"
            "    |        ^^\n"
            "  expected: input: [channels, height, width]",
        ),
    ],
)
def test_an_input_that_is_no_image_of_floats_is_refused(given, message, monkeypatch, tmp_path):
    monkeypatch.setattr(REGISTRY["identity"], "takes", EVERY)
    text = f"input: {given}\nlayers: [identity]\n"
    with pytest.raises(SpecError) as caught:
        image_size(load(text), None)
    assert str(caught.value) == message
    (tmp_path / "net.yaml").write_text(text)
    with pytest.raises(SpecError, match="the trainer feeds it images"):
        archspec.train(str(tmp_path / "net.yaml"), dataset="digits", epochs=1, resize=12)


def test_an_integer_input_beside_the_image_is_named():
    text = "inputs: {x: [1, 8, 8], label: {shape: [], dtype: int64}}\nlayers: [relu]\n"
    said = message(image_size, archspec.loads(text, warn=False), None)
    assert "network has 2 inputs (x, label int64); the trainer feeds images to one" in said


def test_classes_that_are_no_floats_are_no_classification(monkeypatch):
    monkeypatch.setattr(REGISTRY["identity"], "takes", EVERY)
    text = (
        "inputs: {x: [1, 8, 8], y: {shape: [10], dtype: int64}}\n"
        "layers: [relu, {identity: , from: y}]\n"
    )
    arch = archspec.loads(text, warn=False, name="net.yaml")
    assert message(compatibility._classes, arch) == (
        "net.yaml:2:17: error AS407: an output of shape (N, 10) int64 is not a classification\n"
        "  2 | layers: [relu, {identity: , from: y}]\n"
        "    |                 ^^^^^^^^\n"
        "  expected: (N, classes) of float\n"
        "  help: end with `flatten` and `linear: num_classes`"
    )


def test_a_softmax_at_the_end_is_warned_of_through_groups(small):
    from archspec.training.compatibility import warn_of_probabilities

    text = "input: [1, 8, 8]\nlayers:\n  - flatten\n  - name: head\n"
    text += "    layers: [{linear: 10}, {softmax: 1}]\n"
    said = warn_of_probabilities(archspec.loads(text))
    assert said.startswith(
        "warning: the network ends with softmax (<text>:5:29), and the loss takes"
    )
    assert warn_of_probabilities(small) is None


OPEN = """
name: open
sizes: {H: 32, W: 32}
input: [1, H, W]
layers:
  - conv2d: {out_channels: 4, kernel_size: 5, stride: 2}
  - adaptive_avg_pool2d: 1
  - flatten
  - linear: 10
"""


def test_a_contract_says_which_images_a_spec_takes():
    arch = archspec.loads(OPEN)
    assert takes(arch, (8, 8)) and takes(arch, (5, 300))  # a kernel of 5
    assert not takes(arch, (4, 8)) and not takes(arch, (8, 4))
    square = archspec.loads(OPEN.replace("{H: 32, W: 32}", "{S: 32}").replace("H, W", "S, S"))
    assert takes(square, (8, 8)) and not takes(square, (8, 9)) and not takes(square, (4, 4))
    assert not takes(archspec.load("resnet18"), (8, 8))  # it declares none
    twice = archspec.loads(OPEN.replace("H: 32, W: 32", "H: 16").replace("H, W", "2 * H, 2 * H"))
    assert takes(twice, (8, 8)) and not takes(twice, (9, 9)) and not takes(twice, (4, 4))


def test_many_symbols_do_not_make_it_slow():
    names = [f"S{number}" for number in range(26)]
    sizes, total = ", ".join(f"{name}: 1" for name in names), " + ".join(names)
    text = OPEN.replace("{H: 32, W: 32}", f"{{{sizes}}}").replace("H, W", f"{total}, {total}")
    assert not takes(archspec.loads(text), (8, 8))


@pytest.mark.parametrize(
    ("kernel", "resize", "size", "said"),
    [
        (5, None, 8, "size: 8×8, the images' own (--resize asks for another)"),
        (9, None, 32, "size: 32×32, the spec's, which does not take the images' own 8×8"),
        (5, 16, 16, None),
    ],
)
def test_images_keep_their_size_where_it_is_legal(kernel, resize, size, said, tmp_path, capsys):
    arch = archspec.loads(OPEN.replace("kernel_size: 5", f"kernel_size: {kernel}"))
    given = {"limit_train": 32, "limit_test": 10, "epochs": 1, "validation": 0, "resize": resize}
    net, _ = archspec.train(arch, run=tmp_path / "run", dataset="digits", quiet=False, **given)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("size:")] == [said] * (said is not None)
    resolved = archspec.load(tmp_path / "run" / "spec.yaml")
    assert resolved.input_shape == ("N", 1, size, size)
    assert type(net).__name__ == "Open"


def test_a_data_set_is_opened_once(tmp_path, monkeypatch):
    opened = []
    entry, argument = opening.find("digits")

    def opener(root):
        opened.append(root)
        return entry.opener(root)

    monkeypatch.setattr(opening, "find", lambda name: (entry._replace(opener=opener), argument))
    given = {"limit_train": 32, "limit_test": 10, "epochs": 1, "validation": 0, "quiet": True}
    archspec.train(archspec.loads(OPEN), run=tmp_path / "run", dataset="digits", **given)
    assert len(opened) == 1
