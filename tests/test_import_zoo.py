"""tools/import_zoo.py notices at which stage a spec differs from its network, and resumes."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import import_zoo
import import_zoo_page
import importing_one
import pytest
import torch
from importables import Given, Model
from importing_one import Outcome
from references import Reference
from torch import Tensor, nn

import zoo

SPEC = """
input: [3, 8, 8]
layers:
  - {name: conv, conv2d: {out_channels: 4, kernel_size: 3}}
  - {name: bn, batch_norm}
  - relu
  - dropout: 0.5
  - flatten
  - {name: fc, linear: 5}
"""


class Net(nn.Module):
    """The network of `SPEC`, with a tensor in its state dict that does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 6 * 6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.dropout(self.bn(self.conv(x)).relu(), 0.5, self.training)
        result: Tensor = self.fc(x.flatten(1))
        return result


class Ending(nn.Module):
    """It ends its process."""

    def forward(self, x: Tensor) -> Tensor:
        os._exit(7)


class Sleeping(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(60)
        return x


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise KeyError("no such thing")


def model(make: Any = Net) -> Model:
    return Model("net", "parts", make, [(Given((3, 2, 2)),), (Given((3, 8, 8)),)])


def found(text: str, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """What is said of `Net`, had archspec written this text for it."""
    monkeypatch.setattr(importing_one, "imported", lambda *_: text)
    said: list[Outcome] = []
    importing_one.compare(model(), said.append)
    return said[-1]


def test_an_equal_spec_is_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = found(SPEC, monkeypatch)
    assert (outcome.stage, outcome.message) == ("", "")
    # 3 * 4 * 9 + 4, twice 4, and 144 * 5 + 5: nothing else has parameters.
    assert outcome.parameters == 112 + 8 + 725
    assert outcome.lines == 8
    assert outcome.said == {"eval": "equal", "train": "equal"}


@pytest.mark.parametrize(
    ("right", "wrong", "stage"),
    [
        ("name: bn, ", "name: norm, ", "keys"),
        ("- relu", "- gelu", "eval"),
        ("dropout: 0.5", "dropout: 0.4", "train"),
        ("batch_norm}", "batch_norm: {momentum: 0.2}}", "train"),
    ],
)
def test_the_first_stage_that_differs_is_named(
    monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, stage: str
) -> None:
    assert SPEC.count(right) == 1
    outcome = found(SPEC.replace(right, wrong), monkeypatch)
    assert outcome.stage == stage
    assert outcome.message


class Idle(Net):
    """Its result depends on neither the one bias nor, by its last bits alone, on the other."""

    def __init__(self) -> None:
        super().__init__()
        self.idle = nn.Parameter(torch.ones(3))


class Using(Idle):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.idle.sum()


def tensors(a: nn.Module, b: nn.Module) -> int:
    b.load_state_dict(a.state_dict())
    return importing_one.compare_tensors(a, b, [torch.randn(2, 3, 8, 8)])


def test_tensors_that_change_nothing_in_both_are_counted() -> None:
    assert tensors(Net(), Net()) == 0
    assert tensors(Idle(), Idle()) == 1


def test_a_tensor_that_changes_one_alone_is_noticed() -> None:
    with pytest.raises(importing_one.Stopped, match="idle does not change both alike"):
        tensors(Using(), Idle())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Ending, "the process ended with 7"),
        (Failing, "KeyError: 'no such thing'"),
        (Sleeping, "it took more than 1 s"),
    ],
)
def test_whatever_ends_a_process_ends_its_stage(make: Any, message: str) -> None:
    outcome = importing_one.measure(model(make), 1 if make is Sleeping else 60, 64, None)
    assert (outcome.stage, outcome.message) == ("reference", message)


def test_it_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = {name: replace(model(), name=name) for name in ("a", "b", "c")}
    asked: list[str] = []

    def measured(model: Model, *_: Any) -> Outcome:
        asked.append(model.name)
        if model.name == "b" and asked.count("b") == 1:
            raise KeyboardInterrupt
        return Outcome(model.name, "parts", "eval" if model.name == "a" else "", "by 3 of 4")

    monkeypatch.setattr(import_zoo, "measure", measured)
    monkeypatch.setattr(import_zoo.importables, "load", lambda: (models, {}))
    state = ["--state", str(tmp_path / "state.json")]
    with pytest.raises(KeyboardInterrupt):
        import_zoo.main(state)
    assert import_zoo.main(state) == 1
    assert asked == ["a", "b", "b", "c"]
    assert "2 of 3 are equal" in capsys.readouterr().out
    import_zoo.main([*state, "--again", "failed"])
    assert asked[4:] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_reasons_are_counted_without_what_differs() -> None:
    failed = [
        Outcome("a", "parts", "traced", "no op for `tril_` (net.py:7)"),
        Outcome("b", "parts", "traced", "no op for `roll` (other/net.py:19)"),
        Outcome("c", "parts", "keys", "size 3"),
    ]
    lines = import_zoo_page.reasons(failed)
    assert [line.split()[0] for line in lines] == ["2", "1"]
    assert lines[0].endswith("(a)")


def test_the_page_keeps_what_stands_around_the_table(tmp_path: Path) -> None:
    page = tmp_path / "convert.md"
    page.write_text("before\n<!-- imported -->\nstale\n<!-- end of imported -->\nafter\n")
    said = {"eval": "equal", "train": "rounding"}
    outcomes = [
        Outcome("a", "parts", "", parameters=5, lines=9, scalars=30, by_hand=20, said=said),
        Outcome("b", "parts", "keys", "fc is missing", lines=8, scalars=31, seconds=1.5),
    ]
    import_zoo_page.write_tables(outcomes, page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "stale" not in text
    assert "| a | yes | yes | yes | yes | equal | rounding | yes | 9 | 30 | 20 |  |" in text
    assert "| b | yes | yes | yes | no |  |  |  | 8 | 31 |  | 1.5 |" in text
    assert "- b: keys: fc is missing" in text


class Shifted(nn.Module):
    """A bias that a batch norm takes away again, and whose sum is in another order in each copy."""

    def __init__(self, rounding: float) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3))
        self.norm = nn.BatchNorm2d(3)
        self.rounding = rounding

    def forward(self, x: Tensor) -> Tensor:
        shifted = x + self.bias[:, None, None]
        off: Tensor = self.rounding * self.bias.sum()
        return self.norm(shifted) + off


@pytest.mark.parametrize(("rounding", "agrees"), [(1e-14, True), (1e-9, False)])
def test_gradients_that_are_rounding_alone_need_not_agree(rounding: float, agrees: bool) -> None:
    module, net = Shifted(0.0), Shifted(rounding)
    inputs = [torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))]
    reference = Reference("shifted", "classifiers", lambda: module)
    compared = zoo.compare_training
    if agrees:
        said = importing_one.agreed(compared, "train", reference, module, net, inputs)
        assert said in ("equal", "rounding")
    else:
        with pytest.raises(importing_one.Stopped, match="differ: bias"):
            importing_one.agreed(compared, "train", reference, module, net, inputs)
