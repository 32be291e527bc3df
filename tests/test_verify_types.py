"""`verify` where values are integers and truth values: what it draws, compares and leaves out."""

from typing import Any

import pytest
import torch
from drafts import Draft, image
from torch import nn

from archspec.emit import emit
from archspec.ir.graph import INPUT, Graph, Ref
from archspec.ir.op import REGISTRY, Op, Weight
from archspec.ir.shape import N
from archspec.ir.types import BOOL, EVERY, FLOAT, INT32, INT64, ValueType
from archspec.runtime.values import drawn
from archspec.verify import Report, verify


class Rows(Op):
    """An op for these tests: a learned row of three numbers for each integer."""

    op_name = "rows"
    count: int = 7

    takes = frozenset({"int64", "int32"})
    module = "torch.nn.Embedding"

    def infer(self, *inputs: Any) -> Any:
        return (*inputs[0], 3)

    def result_type(self, *types: ValueType) -> ValueType:
        return FLOAT

    def weights(self, *inputs: Any) -> Any:
        return (Weight("weight", (self.count, 3)),)

    def macs(self, inputs: Any, outputs: Any) -> int:
        return 0

    def record(self, tape: Any, *inputs: Any) -> Any:
        tape.save(inputs[0])
        return tape.new((*inputs[0].shape, 3), requires_grad=True)

    def build(self, *inputs: Any) -> nn.Module:
        return nn.Embedding(self.count, 3)


class Sign(Op):
    """An op for these tests: whether a value is more than zero."""

    op_name = "sign"
    takes = EVERY

    def infer(self, *inputs: Any) -> Any:
        return inputs[0]

    def result_type(self, *types: ValueType) -> ValueType:
        return BOOL

    def macs(self, inputs: Any, outputs: Any) -> int:
        return 0

    def record(self, tape: Any, *inputs: Any) -> Any:
        return tape.new(inputs[0].shape, requires_grad=False, type=BOOL)

    def expression(self, values: Any, inputs: Any) -> str:
        return f"{values[0]} > 0"


@pytest.fixture(autouse=True)
def own_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REGISTRY, "rows", Rows)
    monkeypatch.setitem(REGISTRY, "sign", Sign)


def checked(graph: Graph, **more: Any) -> Report:
    return verify(graph, name="net", batch_sizes=(2, 3), **more)


def looked_up(below: int | None = 7) -> Draft:
    """Rows of integers, in a linear layer."""
    draft = Draft(image(5), types=(ValueType("int64", below),))
    draft.op("rows", name="rows")
    draft.op("linear", name="fc", out_features=2)
    return draft


def test_integers_are_looked_up_and_every_type_is_compared() -> None:
    report = checked(looked_up().graph())
    assert report.ok, report
    assert report.checked["types"] == report.checked["shapes"] == 2 * 5
    assert report.checked["gradients"] == 3 and report.no_gradient == []


def test_integers_without_a_bound_are_zero_and_one() -> None:
    draft = Draft(image(5), types=(INT32,))
    draft.op("rows", name="rows", count=2)
    assert checked(draft.graph()).ok


def test_a_row_that_is_missing_is_found_at_its_node() -> None:
    report = checked(looked_up(below=8).graph())
    assert [(m.path, m.what) for m in report.mismatches] == [("rows", "run at N=2 in train()")]
    assert report.mismatches[0].real == "IndexError: index out of range in self"


def test_a_false_type_is_found_inside_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sign, "result_type", lambda self, *types: INT64)
    inner = Draft(image(4), block="block")
    inner.op("linear", name="fc", out_features=4)
    inner.op("sign", name="sign")
    draft = Draft(image(4))
    draft.body(inner.graph(), name="inner")
    report = checked(draft.graph())
    found = [(m.path, m.what, m.static, m.real) for m in report.mismatches]
    assert found == [
        ("inner.sign", "output type at N=2 in train()", "int64", "bool"),
        ("inner", "output type at N=2 in train()", "int64", "bool"),
    ]


def test_a_module_of_another_precision_is_found() -> None:
    graph = looked_up().graph()

    class Wide(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.double()

    def build() -> nn.Module:
        net = emit(graph, name="net", seed=0)
        net.fc = nn.Sequential(net.fc, Wide())
        return net

    (mismatch,) = [m for m in verify(graph, name="n", build=build).mismatches if "type" in m.what]
    assert (mismatch.path, mismatch.static, mismatch.real) == ("fc", "float", "float64")


def test_a_network_without_floats_at_its_end_has_no_backward_pass() -> None:
    draft = looked_up()
    draft.op("sign", name="sign")
    report = checked(draft.graph())
    assert report.ok, report
    assert "gradients" not in report.checked and report.no_gradient == []
    assert str(report).endswith("\nno backward pass was run: no output is of floats")
    assert report.as_dict()["differentiable"] is False


def test_gradients_are_those_of_the_outputs_that_have_them() -> None:
    draft = looked_up()
    end = draft.last
    sign = draft.op("sign", name="sign")
    other = draft.op("linear", name="lost", out_features=3, reads=(end,))
    lost = draft.op("sign", name="end", reads=(other,))
    report = checked(draft.graph(sign, end, Ref(INPUT), lost))
    assert report.ok, report
    assert report.checked["gradients"] == 5
    assert report.no_gradient == ["lost.weight", "lost.bias"]


def test_two_runs_that_differ_in_truth_values_are_found() -> None:
    class Flips(nn.Module):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return x > 0 if self.calls % 3 == 1 else x <= 0  # three runs are compared

    class Flipping(Sign):
        def build(self, *inputs: Any) -> nn.Module:
            return Flips()

        def source(self, own: str, values: Any, inputs: Any) -> str:
            return f"{own}({values[0]})"

    draft = Draft(image(4))
    REGISTRY["sign"] = Flipping
    draft.op("sign", name="sign")
    assert ("", "outputs") in [(m.path, m.what) for m in checked(draft.graph()).mismatches]


@pytest.mark.parametrize("kind", [ValueType("int64", 9), ValueType("int32", 3), INT64, BOOL])
def test_every_value_of_a_small_range_occurs(kind: ValueType) -> None:
    for seed in range(20):
        values = drawn(kind, (3, 4), torch.Generator().manual_seed(seed))
        assert values.unique().tolist() == list(range(kind.below or 2))
    assert values.shape == (3, 4) and str(values.dtype) == f"torch.{kind.name}"


def test_of_a_large_range_the_ends_occur() -> None:
    values = drawn(ValueType("int64", 50_000), (8,), torch.Generator().manual_seed(1))
    assert (values.min(), values.max()) == (0, 49_999) and len(values.unique()) > 4
    assert drawn(ValueType("int64", 50_000), (1,)).tolist() == [49_999]
    assert drawn(ValueType("int32", 1), (5,)).tolist() == [0] * 5


def test_a_label_alone_beside_an_image_is_drawn() -> None:
    draft = Draft(
        image(2, 4, 4), (N,), names=("image", "label"), types=(FLOAT, ValueType("int64", 7))
    )
    draft.op("rows", name="rows", reads=(Ref(INPUT, 1),))
    label = draft.op("linear", name="fc", out_features=2)
    draft.op("global_avg_pool2d", reads=(Ref(INPUT, 0),))
    draft.op("add", reads=(draft.op("flatten"), label))
    report = checked(draft.graph())
    assert report.ok and report.no_gradient == [], report
