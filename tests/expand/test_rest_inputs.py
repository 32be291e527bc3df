"""`inputs: [x, xs...]`: the last input of a block takes all values that are left."""

from __future__ import annotations

import pytest
import torch
from listing import first_line, listing, loaded, refused
from torch import nn

import archspec

ROOT = """
blocks:
  root:
    inputs: [x, xs...]
    params: {c: $(4 * len(xs))}
    layers:
      - {name: first, conv2d: {out_channels: c + 1, kernel_size: 1}, from: x}
      - {name: all, from: [first, xs]}
      - {concat: all, when: len(xs) > 0}
      - {name: conv, conv2d: {out_channels: 4, kernel_size: 1}}
"""


class Root(nn.Module):
    """The block with `count` values behind its first."""

    def __init__(self, count):
        super().__init__()
        self.first = nn.Conv2d(4, 4 * count + 1, 1)
        self.conv = nn.Conv2d(4 * count + 1 + 4 * count, 4, 1)

    def forward(self, x, *xs):
        return self.conv(torch.cat([self.first(x), *xs], 1))


def test_the_last_input_takes_the_values_that_are_left():
    arch = loaded(
        "- {name: a, root}\n- {name: b, root: , from: [input, a, a]}\n"
        "- {name: c, root: , from: {xs: [a, b], x: b}}\n"
        "- {name: d, root: , from: {x: c}}",
        head=ROOT,
    )
    net = arch.build(seed=0)
    mine = nn.ModuleDict({"a": Root(0), "b": Root(2), "c": Root(2), "d": Root(0)})
    mine.load_state_dict(net.state_dict())
    x = torch.randn(2, 4, 5, 5)
    a = mine["a"](x)
    b = mine["b"](x, a, a)
    torch.testing.assert_close(net(x[:, :, :5, :5]), mine["d"](mine["c"](b, a, b)))
    weights = sum(parameter.numel() for parameter in mine.parameters())
    assert arch.num_parameters == weights
    assert arch.macs == 64 * sum(
        layer.weight.numel() for layer in mine.modules() if isinstance(layer, nn.Conv2d)
    )
    again = archspec.loads(arch.expand())
    assert [row.split(" = ")[0] for row in listing(again)] == [
        row.split(" = ")[0] for row in listing(arch)
    ]
    assert list(again.build(device="meta").state_dict()) == list(net.state_dict())


def test_an_input_gets_a_name_that_no_node_of_the_block_has():
    head = (
        "blocks: {b: {inputs: [xs...], layers: [{name: xs_1, relu: , from: 'xs[1]'}, "
        "{name: xs_0, tanh: }, {add: [xs_1, -1, xs]}]}}\n"
    )
    arch = loaded("- {b: , from: [input, input]}", head=head)
    assert listing(arch)[-1] == "0.2 = add(xs_1, xs_0, xs_0_, xs_1_) -> 4x8x8"
    assert listing(archspec.loads(arch.expand())) == listing(arch)
    assert arch.verify(elsewhere=False).ok


def test_the_number_of_values_is_part_of_a_call_with_layers():
    head = """
    blocks:
      inner: {params: {body: layers}, layers: [$body]}
      outer: {inputs: [x, xs...], layers: [{inner: {body: {conv2d: {out_channels: len(xs) + 1, \
kernel_size: 1}}}}]}
    """
    rows = listing(
        loaded("- outer\n- {outer: , from: [input, '0']}\n- concat: ['0', '1']", head=head)
    )
    assert [row.split()[-1] for row in rows if row.startswith(("0 ", "1 "))] == ["1x8x8", "2x8x8"]


@pytest.mark.parametrize(
    ("inputs", "body", "said"),
    [
        ("[xs..., x]", "relu", "`xs...` takes all values that are left, and 'x' follows it"),
        ("[x, x...]", "relu", "the input 'x' stands twice"),
        ("[x, ...]", "relu", "'' cannot name an input"),
        (
            "[x, xs...]",
            "{linear: xs}",
            "'xs' stands for values, which an expression can only count",
        ),
        ("[x, xs...]", "{relu: , repeat: {xs: 2}}", "'xs' is an input of the block already"),
        ("[x, xs...]", "{relu: , from: 'xs[1]'}", "'xs' has 1 value, counted from 0"),
        ("[x, y, xs...]", "{relu: , from: 'xs[0]'}", "'xs' has no values here"),
        ("[x, y, z, xs...]", "relu", "b takes 3 input(s) or more, got 2"),
        ("[x, xs...]", "{name: xs, relu: }", "'xs' is an input of this list"),
        ("[x, xs...]", "{linear: len(ys)}", "the name 'ys' is not known here"),
    ],
)
def test_what_is_wrong_with_the_rest_is_said(inputs, body, said):
    head = f"blocks: {{b: {{inputs: {inputs}, layers: [{body}]}}}}\n"
    assert said in first_line(refused("- {b: , from: [input, input]}", head=head))


def test_a_parameter_and_the_rest_have_names_of_their_own():
    head = "blocks: {b: {inputs: [x, xs...], params: {xs: 3}, layers: [{linear: xs}]}}\n"
    assert "'xs' is an input of the block 'b' too" in first_line(refused("- b", head=head))
