"""`archspec list` with filters; the figures are those of torchvision's own documentation."""

from __future__ import annotations

import json

import pytest

from archspec.cli import main

Capture = pytest.CaptureFixture[str]


def listed(capsys: Capture, *options: str) -> list[str]:
    assert main(["list", *options, "--json"]) == 0
    return [entry["spec"] for entry in json.loads(capsys.readouterr().out)]


def test_bounds_of_parameters(capsys: Capture) -> None:
    found = listed(capsys, "--name", "resnet*", "--min-params", "12M", "--max-params", "25.557032M")
    assert found == ["torchvision/resnet34", "torchvision/resnet50"]
    found = listed(capsys, "--name", "resnet50", "--max-params", "25557031")
    assert found == []


def test_bounds_of_macs(capsys: Capture) -> None:
    found = listed(capsys, "--name", "torchvision/vgg1?", "--max-macs", "8G")
    assert found == ["torchvision/vgg11"]
    found = listed(capsys, "--name", "torchvision/vgg1?", "--min-macs", "15g")
    assert found == ["torchvision/vgg16", "torchvision/vgg19"]


def test_a_pattern_counts_with_and_without_the_folder(capsys: Capture) -> None:
    assert listed(capsys, "--name", "lenet_bn") == ["lenet_bn"]
    assert listed(capsys, "--name", "squeezenet*") == [
        "torchvision/squeezenet1_0",
        "torchvision/squeezenet1_1",
    ]
    assert main(["list", "--names", "--name", "squeezenet1_1"]) == 0
    assert capsys.readouterr().out == "torchvision/squeezenet1_1\n"


def test_the_table_shows_what_is_left(capsys: Capture) -> None:
    assert main(["list", "--max-params", "45k", "--name", "lenet_bn"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "lenet_bn  1×28×28    10             44,878         281,640"
    ]


@pytest.mark.parametrize("text", ["5MM", "-5", "five", "1e6", "", "٥"])
def test_what_is_no_count_is_wrong_usage(text: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["list", f"--max-params={text}"])
    assert stop.value.code == 2
    assert "is not a count, such as 500k, 5M or 1.5G" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--ops", "--name", "x"], ["--names", "--max-macs", "1G"]])
def test_a_filter_that_does_nothing_is_wrong_usage(options: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["list", *options])
    assert stop.value.code == 2
    assert "filters" in capsys.readouterr().err
