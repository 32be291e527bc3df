"""`archspec import`: a module named on the command line, and the files that are written."""

from __future__ import annotations

import pytest
import torch

import archspec
from archspec.cli import main

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width: int = 4, label: str = "a") -> None:
        super().__init__()
        assert label == "no"
        self.body = nn.Linear(6, width)

    def forward(self, x):
        return self.body(x).relu()


class Odd(nn.Module):
    def forward(self, x):
        return x / x.shape[0]


def number():
    return 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "own_nets.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_spec_and_the_weights_are_written(folder, capsys):
    words = "import own_nets:Net --kwargs width=5 label=no --input 6 -o net.yaml --weights net.pt"
    assert main(words.split()) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "train(), batch 3: largest difference 0" in printed.err
    net = archspec.load("net.yaml").build(weights="net.pt")
    assert net(torch.zeros(2, 6)).shape == (2, 5)
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == {
        "own_nets.py",
        "net.yaml",
        "net.pt",
    }


def test_without_a_file_the_spec_is_printed(folder, capsys):
    words = "import own_nets:Net --kwargs label=no --input x=6 --name mine --flat --no-verify"
    assert main(words.split()) == 0
    printed = capsys.readouterr()
    assert archspec.loads(printed.out).name == "mine"
    assert "not compared with the module" in printed.err


def test_nothing_is_written_where_the_import_is_refused(folder, capsys):
    assert (
        main(["import", "own_nets:Odd", "--input", "6", "-o", "odd.yaml", "--weights", "odd.pt"])
        == 1
    )
    assert "own_nets.py:18:9: error AS804" in capsys.readouterr().err
    assert not (folder / "odd.yaml").exists() and not (folder / "odd.pt").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("own_nets:Missing --input 6", "own_nets has no Missing"),
        ("no_such_package:Net --input 6", "no_such_package cannot be imported"),
        ("own_nets:number --input 6", "own_nets:number gives int, and no torch.nn.Module"),
    ],
)
def test_what_makes_no_module_is_said(folder, capsys, words, said):
    assert main(["import", *words.split()]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("own_nets:Net", "--input says the sizes of an example"),
        ("own_nets:Net --input 6 --input y=6", "either all of --input have names, or none"),
        ("own_nets --input 6", "'own_nets' is not of the form package.module:callable"),
        ("own_nets:Net --input half:6", "'half:6' is not sizes without the batch"),
    ],
)
def test_wrong_usage_is_said(folder, capsys, words, said):
    with pytest.raises(SystemExit):
        main(["import", *words.split()])
    assert said in capsys.readouterr().err
