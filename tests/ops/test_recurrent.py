"""`lstm`, `gru` and `rnn` against torch's modules and against cells written by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.fx
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import archspec
from archspec.diagnostics.diagnostic import Refusal
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY
from archspec.ir.shape import N

CLASSES = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
X = torch.randn(3, 4, 5)


@pytest.mark.parametrize("name", CLASSES)
def test_the_states_are_torchs_with_the_batch_first(name: str) -> None:
    args = {"hidden_size": 6, "num_layers": 2, "bidirectional": True}
    inputs = {"x": [4, 5], "h": [4, 6], **({"c": [4, 6]} if name == "lstm" else {})}
    said = "{hidden_size: 6, num_layers: 2, bidirectional: true, return_state: true}"
    text = f"inputs: {inputs}\nlayers:\n  - {{name: y, {name}: {said}, from: {[*inputs]}}}\n"
    count = len(inputs)
    outputs = ", ".join([f"o{i}: 'y[{i}]'" for i in range(count)])
    net = archspec.loads(text + f"outputs: {{{outputs}}}\n").build().eval()
    reference = CLASSES[name](5, **args, batch_first=True).eval()
    weights = {f"y.{key}": value for key, value in reference.state_dict().items()}
    assert list(net.state_dict()) == list(weights)
    net.load_state_dict(weights)
    states = [torch.randn(3, 4, 6) for _ in range(count - 1)]
    given = [state.transpose(0, 1).contiguous() for state in states]
    y, last = reference(X, tuple(given) if name == "lstm" else given[0])
    last = last if name == "lstm" else (last,)
    found = list(net(X, *states).values())
    torch.testing.assert_close(found, [y, *[each.transpose(0, 1) for each in last]])


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("convert", [torch.jit.script, torch.fx.symbolic_trace])
def test_a_network_of_states_is_converted(name: str, convert: Callable[..., nn.Module]) -> None:
    text = (
        f"inputs: {{x: [4, 5], s: [1, 6]}}\nlayers:\n"
        f"  - {{name: a, {name}: {{hidden_size: 6, return_state: true}}, from: x}}\n"
        f"  - {{name: last, add: ['a[1]', s]}}\n"
        f"  - {{name: b, {name}: {{hidden_size: 6, return_state: true}}, from: [x, %s]}}\n"
        f"  - concat: ['b[0]', 'b[1]']\n"
    )
    net = archspec.loads(text % ("last, last" if name == "lstm" else "last")).build().eval()
    first, second = CLASSES[name](5, 6, batch_first=True), CLASSES[name](5, 6, batch_first=True)
    for module, key in ((first, "a"), (second, "b")):
        module.load_state_dict(net.get_submodule(key).state_dict())
    s = torch.randn(3, 1, 6)
    last = first(X)[1][0] if name == "lstm" else first(X)[1]
    given = last + s.transpose(0, 1)
    y, end = second(X, (given, given) if name == "lstm" else given)
    end = end[0] if name == "lstm" else end
    torch.testing.assert_close(convert(net)(X, s), torch.cat((y, end.transpose(0, 1)), 1))


def test_a_state_without_the_one_before_it_is_refused() -> None:
    text = "inputs: {x: [4, 5], c: [1, 6]}\nlayers:\n  - {lstm: 6, from: {input: x, c: c}}\n"
    with pytest.raises(archspec.SpecError, match=r"would read \(N, 1, 6\), its 'c', as its 'h'"):
        archspec.loads(text)


@pytest.mark.parametrize("name", CLASSES)
def test_a_symbolic_length_verifies(name: str) -> None:
    text = f"sizes: {{L: 4}}\ninput: [L, 5]\nlayers:\n  - {name}: 6\n  - linear: 2\n"
    report = archspec.loads(text).verify()
    assert report.ok, str(report)


def test_an_lstm_costs_what_a_cell_written_by_hand_does() -> None:
    ih, hh, h, c = torch.randn(24, 5), torch.randn(24, 6), torch.zeros(3, 6), torch.zeros(3, 6)
    with FlopCounterMode(display=False) as counter:
        for step in range(4):
            i, f, g, o = (X[:, step] @ ih.T + h @ hh.T).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
    op = REGISTRY["lstm"](hidden_size=6)
    assert op.macs([(N, 4, 5)], []) * 3 == counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([(N, 5)], "needs 3-D input"),
        ([(N, 4, 5), (N, 1, 6)], "it reads h and c, or neither"),
        ([(N, 4, 5), (N, 1, 6), (N, 2, 6)], r"the state c is \(N, 2, 6\)"),
    ],
)
def test_an_lstm_refuses(inputs: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(Refusal, match=message):
        infer(REGISTRY["lstm"](hidden_size=6), inputs)


@pytest.mark.parametrize("layer", ["lstm: {hidden_size: 16, proj_size: 3}", "gru: 16", "rnn: 16"])
def test_memory_of_a_sequence_is_a_formula_of_its_length(layer):
    text = f"input: [L, 8]\nsizes: {{L: 20}}\nlayers: [{layer}]\n"
    found = archspec.loads(text).formulas().saved_bytes
    assert found.where == "L ≥ 2"
    slope, constant = map(int, f"{found.text} + 0".replace("·L", "").split(" + ")[:2])
    longer = archspec.loads(text, sizes={"L": 33}).formulas().saved_bytes
    assert (longer.value, found.value) == (33 * slope + constant, 20 * slope + constant)


@pytest.mark.filterwarnings("error:dropout option")
def test_dropout_of_one_layer_is_warned_of_and_not_by_torch() -> None:
    text = (
        "input: [4, 5]\nlayers:\n  - {gru: {hidden_size: 3, num_layers: #, dropout: 0.5}, name: g}"
    )
    one, two = (archspec.loads(text.replace("#", count)) for count in "12")
    (warning,) = one.warnings
    assert warning.message == "its `dropout` is between layers, and it has one"
    assert not two.warnings
    assert one.build().g.dropout == 0 and two.build().g.dropout == 0.5
