"""Modules of which torch's counter knows no op: their cost is said to be unknown, never 0."""

from __future__ import annotations

import json

import pytest

import archspec
from archspec.cli import main

RECURRENT = """\
input: [7, 3]
layers:
  - {linear: 6}
  - {name: rnn, module: {type: recurrent.Last, args: [6, 4]}}
  - {name: head, linear: 2}
"""
COUNTED = 7 * 3 * 6 + 4 * 2


@pytest.fixture
def recurrent() -> archspec.Architecture:
    return archspec.loads(RECURRENT, allow_modules=["recurrent"])


def test_the_cost_of_a_recurrent_layer_is_not_known(recurrent):
    assert recurrent.macs is None
    assert [layer.macs for layer in recurrent.layers] == [7 * 3 * 6, None, 4 * 2]
    assert recurrent.num_parameters == 3 * 6 + 6 + 4 * 4 * (6 + 4 + 2) + 4 * 4 + 4 + 4 * 2 + 2
    assert "MACs not counted" in repr(recurrent)


def test_the_summary_says_what_is_counted(recurrent):
    summary = recurrent.summary()
    assert (summary.macs, summary.training_macs, summary.counted_macs) == (None, None, COUNTED)
    text = str(summary)
    assert f"MACs                at least {COUNTED}, the rest not counted\n" in text
    (row,) = (line for line in text.splitlines() if line.startswith("rnn"))
    assert row.split()[-3:] == ["not", "counted", "?"]
    data = json.loads(json.dumps(summary.as_dict()))
    assert (data["macs"], data["counted_macs"]) == (None, COUNTED)
    assert [layer["macs"] for layer in data["layers"]] == [7 * 3 * 6, None, 4 * 2]


def test_verify_says_that_it_compared_no_cost(recurrent):
    report = recurrent.verify()
    assert report.ok and report.not_counted == ["rnn"]
    assert "MACs not counted, and not compared: rnn" in str(report)
    assert report.as_dict()["not_counted"] == ["rnn"]


def test_a_block_around_it_is_not_counted_either():
    text = (
        "input: [7, 6]\nlayers:\n"
        "  - {name: b, layers: [{module: {type: recurrent.Last, args: [6, 4]}}, {linear: 2}]}\n"
        "  - {linear: 3}\n"
    )
    arch = archspec.loads(text, allow_modules=["recurrent"])
    assert [(node.path, node.macs) for node in arch.nodes] == [
        ("b", None),
        ("b.0", None),
        ("b.1", 8),
        ("1", 6),
    ]


def test_what_the_counter_knows_is_counted():
    text = "input: [2, 4]\nlayers:\n  - module: {type: recurrent.Mix, args: [4]}\n"
    arch = archspec.loads(text, allow_modules=["recurrent"])
    assert arch.macs == 2 * 4 * 5
    report = arch.verify()
    assert report.ok and report.not_counted == [], str(report)


@pytest.mark.parametrize("name", ["Softsign", "Softmax2d", "Flatten", "GELU", "Hardswish"])
def test_a_module_without_products_costs_nothing(name):
    text = f"input: [2, 4, 4]\nlayers:\n  - module: torch.nn.{name}\n"
    assert archspec.loads(text, allow_modules=["torch"]).macs == 0


def test_an_op_of_another_library_is_not_counted():
    text = "input: [2, 4]\nlayers:\n  - module: recurrent.Twice\n"
    assert archspec.loads(text, allow_modules=["recurrent"]).macs is None


def test_the_command_line_says_so(tmp_path, capsys):
    path = tmp_path / "net.yaml"
    path.write_text(RECURRENT)
    assert main(["check", str(path), "--allow-module", "recurrent"]) == 0
    assert "parameters, MACs not counted\n" in capsys.readouterr().out
    assert main(["compile", str(path), "--allow-module", "recurrent", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["macs"] is None


def test_what_does_not_run_in_evaluation_leaves_its_macs_known():
    text = (
        "input: [7, 3]\nlayers:\n  - {name: rnn, module: {type: recurrent.Last, args: [3, 4]}}\n"
        "  - {name: again, share: rnn, from: input, training_only: true}\n"
        "  - {name: head, linear: 2, from: input}\noutputs: {out: head, aux: again}\n"
    )
    arch = archspec.loads(text, allow_modules=["recurrent"])
    assert arch.macs == 7 * 3 * 2
    assert arch.summary().training_macs is None


PRODUCTS = """
import torch

class Weighs(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(4))

    def forward(self, x):
        return (x @ self.w)[:, None]

class Distances(torch.nn.Module):
    def forward(self, x):
        return torch.cdist(x[:, :, None], x[:, :, None], compute_mode="use_mm_for_euclid_dist")

class Inverse(torch.nn.Module):
    def forward(self, x):
        return torch.linalg.inv(x[:, :, None] * x[:, None] + 9 * torch.eye(4, device=x.device))

class Mixes(torch.nn.Module):
    def forward(self, x):
        values, places = x.sort(-1)
        kept = torch.cat([values.cumsum(1), x.gather(1, places), x.flip(1)], 1).roll(1, 1)
        return torch.nn.functional.max_pool1d(kept[:, None], 2).masked_fill(kept.sum() > 0, 0.0)

class InPlace(torch.nn.Module):
    def forward(self, x):
        y = torch.nn.functional.hardswish(x + 1, inplace=True)
        torch.nn.functional.threshold_(torch.nn.functional.mish(y, inplace=True), 0.1, 0.0)
        return y.unsqueeze_(1).transpose_(1, 2).floor_divide_(2.0)
"""


@pytest.mark.parametrize(
    ("name", "macs"),
    [("Weighs", None), ("Distances", None), ("Inverse", None), ("Mixes", 0), ("InPlace", 0)],
)
def test_products_that_no_counter_knows_are_not_counted(name, macs, tmp_path, monkeypatch):
    (tmp_path / "own_products.py").write_text(PRODUCTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = f"input: [4]\nlayers:\n  - module: own_products.{name}\n"
    assert archspec.loads(text, allow_modules=["own_products"]).macs == macs
