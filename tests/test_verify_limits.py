"""What `verify` must tell apart: small differences, modes, batched and unbatched steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from drafts import SPAN, Draft, image, network
from test_verify import changed, checked, residual, rows, tampered
from torch import nn

from archspec.analyses import memory
from archspec.emit import emit
from archspec.ir.graph import Graph, Ref
from archspec.verify import Mismatch, Report, verify


class Drifts(nn.Module):
    """Grows by a bit or two in each call."""

    def __init__(self, by: float = 2.0**-22, scale: float = 1.0) -> None:
        super().__init__()
        self.calls, self.by, self.scale = 0, by, scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x.relu() * (self.scale * (1 + self.by * self.calls))


def drifting(**more: Any) -> Report:
    return checked(tampered("relu", build=lambda self, *inputs: Drifts(**more)))


def test_runs_on_the_cpu_must_agree_to_the_last_bit():
    assert ("", "outputs", "the same in two equal runs", "differ at N=2 in train()") in rows(
        drifting()
    )
    assert "outputs" not in [m.what for m in drifting(by=0.0).mismatches]


def test_tiny_outputs_must_agree_as_well():
    draft = Draft(image(4))
    draft.op("relu")
    graph = draft.graph()
    op = graph.steps[0].op
    methods = {
        "__module__": __name__,
        "build": lambda self, *inputs: Drifts(by=0.1, scale=1e-12),
    }
    false = changed(graph, 0, op=type("False", (type(op),), methods)())
    assert ("", "outputs") in [(m.path, m.what) for m in checked(false).mismatches]


def test_outputs_that_are_no_numbers_agree_with_themselves():
    class Undefined(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.relu() * float("nan")

    report = checked(tampered("relu", build=lambda self, *inputs: Undefined()))
    assert "outputs" not in [m.what for m in report.mismatches]


def altered(graph: Graph, forward: Callable[..., Any]) -> nn.Module:
    """The module of a graph with another `forward(self, inner, x)`, where nobody observes it."""
    module = emit(graph, name="net")
    inner = type(module).forward
    methods = {"forward": lambda self, x: forward(self, inner, x)}
    module.__class__ = type("Altered", (type(module),), methods)
    return module


# --- MACs ----------------------------------------------------------------------------------------


def test_what_has_no_batch_is_computed_once_whatever_the_batch():
    draft = Draft(image(3, 4))
    left, right = (
        draft.op("parameter", name=name, reads=(), shape=(3, 4), init="ones") for name in "ab"
    )
    product = draft.op("mul", reads=(left, right))
    draft.op("add", reads=(Ref(-1), product))
    graph = draft.graph()
    assert checked(graph).ok
    op = graph.steps[2].op
    assert op is not None and graph.steps[2].outputs == ((3, 4),)  # no batch in it
    claims = {"__module__": __name__, "macs": lambda self, inputs, outputs: 12}
    wrong = changed(graph, 2, op=type("False", (type(op),), claims)(**op.arguments()))
    assert rows(checked(wrong)) == [("2", "MACs at N=2 in eval()", "12", "0")]


# --- modes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [True, False])
def test_saved_memory_is_compared_in_both_modes(mode: bool, monkeypatch):
    right = memory.saved_bytes

    def wrong(graph: Graph, batch: int, training: bool, *more: str | None) -> int:
        return right(graph, batch, training, *more) + 4 * (training is mode)

    monkeypatch.setattr("archspec.verify.verifier.saved_bytes", wrong)
    (found,) = rows(checked(residual()))
    assert found[1] == f"saved bytes at N=2 in {'train' if mode else 'eval'}()"


def branching() -> Graph:
    """A block with an output of training alone."""
    block = Draft(image(4), block="heads")
    main = block.op("linear", name="main", out_features=3)
    aux = block.op("linear", name="aux", out_features=2, reads=(Ref(-1),), training_only=True)
    draft = Draft(image(4))
    heads = draft.body(block.graph(main, aux), name="heads")
    draft.op("relu", reads=(heads,))
    return draft.graph(Ref(1), Ref(heads.step, 1), names=("logits", "aux"))


def test_an_output_of_training_alone_is_none_of_eval():
    graph = branching()
    report = checked(graph)
    assert report.ok, str(report)
    wrong = changed(graph, 0, outputs=(image(3), image(7)))
    assert rows(checked(wrong))[0] == (
        "heads",
        "output shape at N=2 in train()",
        "('N', 3), ('N', 7)".replace("'N'", "2"),
        "(2, 3), (2, 2)",
    )


def test_outputs_of_a_whole_network_are_compared_by_name_and_mode():
    graph = branching()

    def exchanged(self: Any, inner: Any, x: torch.Tensor) -> Any:
        found = inner(self, x)  # in eval() one tensor
        return dict(zip(("aux", "logits"), found.values(), strict=True)) if self.training else found

    report = verify(graph, name="net", batch_sizes=(2,), build=lambda: altered(graph, exchanged))
    assert [(m.path, m.what) for m in report.mismatches] == [("", "outputs at N=2 in train()")]
    assert report.mismatches[0].static == "{'logits': (2, 3), 'aux': (2, 2)}"
    assert report.mismatches[0].real == "{'aux': (2, 3), 'logits': (2, 2)}"


def test_one_image_is_tried_in_eval_alone_and_once():
    def counted(batch_sizes: tuple[int, ...]) -> int:
        said: list[str] = []
        report = verify(network(), name="net", batch_sizes=batch_sizes, progress=said.append)
        modes = [f"{mode}(), a batch of {n}" for mode in ("train", "eval") for n in batch_sizes]
        assert said == ["weights", *modes, *["backward"] * bool(batch_sizes)]
        return report.checked["shapes"] // 22  # nodes of `network`

    assert counted((2, 3)) == 5
    assert counted((1,)) == 2
    assert counted(()) == 1
    said: list[str] = []
    assert verify(network(), name="net", progress=said.append).checked["shapes"] == 7 * 22
    assert [line.rsplit(" ", 1)[1] for line in said[1:7]] == ["2", "3", "5"] * 2


def test_an_image_alone_that_cannot_run_is_no_mismatch():
    class Pairs(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) < 2:
                raise ValueError("expected more than one value")
            return x.relu()

    report = checked(tampered("relu", build=lambda self, *inputs: Pairs()))
    assert report.ok, str(report)


# --- reports -------------------------------------------------------------------------------------


def test_an_error_outside_every_node_is_the_network_s():
    graph = residual()

    def fails(self: Any, inner: Any, x: torch.Tensor) -> None:
        inner(self, x)
        raise RuntimeError("afterwards\nand more")

    report = verify(graph, name="net", batch_sizes=(2, 3), build=lambda: altered(graph, fails))
    assert rows(report) == [("", "run at N=2 in train()", "runs", "RuntimeError: afterwards")]


def test_a_frozen_parameter_is_none_that_a_gradient_misses():
    graph = network()

    def build() -> nn.Module:
        module = emit(graph, name="net")
        module.fc.bias.requires_grad_(False)  # type: ignore[union-attr]
        return module

    report = verify(graph, name="net", batch_sizes=(2,), build=build)
    assert report.checked["gradients"] == 21 and report.no_gradient == []
    (found,) = [row for row in rows(report) if row[1] == "weight"]
    kind = "parameter (5,) of float"
    assert found == ("fc.bias", "weight", kind, f"{kind}, not trainable")


def test_a_table_of_mismatches_is_aligned_and_dicts_are_plain():
    report = Report(
        [
            Mismatch("stem", "weight", "none", "(3,)", SPAN),
            Mismatch("", "MACs at N=2 in eval()", "2,000", "4"),
        ]
    )
    report.checked["macs"] = 1200
    assert str(report).splitlines() == [
        "2 mismatches of static and real (macs 1,200 compared)",
        "place           node             what                   static  real",
        "draft.yaml:1:1  stem             weight                 none    (3,)",
        "                (whole network)  MACs at N=2 in eval()  2,000   4",
    ]
    assert json.loads(json.dumps(report.as_dict())) == {
        "ok": False,
        "checked": {"macs": 1200},
        "mismatches": [
            {"place": "draft.yaml:1:1", "path": "stem", "what": "weight"}
            | {"static": "none", "real": "(3,)"},
            {"place": None, "path": "", "what": "MACs at N=2 in eval()"}
            | {"static": "2,000", "real": "4"},
        ],
        "no_gradient": [],
        "not_counted": [],
        "differentiable": True,
        "elsewhere": [],
    }
    assert str(Report()) == "verified: static and real agree (nothing compared)"
    one = Report([Mismatch("a", "b", "c", "d")])
    assert str(one).startswith("1 mismatch of static and real (nothing compared)")


def test_a_mismatch_is_told_once_for_each_node_and_kind():
    wrong = tampered("conv2d", macs=lambda self, inputs, outputs: 1)
    graph = changed(wrong, 3, outputs=(image(6, 3, 9),))
    found = [row[:2] for row in rows(checked(graph))]
    assert found.count(("conv1", "MACs at N=2 in eval()")) == 1
    assert [path for path, what in found if what.startswith("output shape")] == ["conv2"]


@pytest.mark.parametrize("draw", [torch.rand, torch.randn])
def test_every_run_draws_the_same_numbers(draw: Callable[..., torch.Tensor]):
    class Noisy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.relu() + draw(x.shape)

    report = checked(tampered("relu", build=lambda self, *inputs: Noisy()))
    assert "outputs" not in [m.what for m in report.mismatches]
