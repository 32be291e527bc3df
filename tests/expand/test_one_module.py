"""`share: true` on a loop, and what a repeat of several inputs carries."""

from __future__ import annotations

import pytest
import torch
from listing import first_line, keys, listed, listing, loaded, refused, write_files
from test_parallel import equals
from torch import nn

import archspec

BLOCKS = """
blocks:
  head:
    params: {out: 8}
    layers: [{name: conv, linear: 8}, relu, {name: out, linear: out}]
  cell:
    inputs: [x, h, c]
    outputs: {h: hidden, c: kept}
    layers:
      - {name: lin, linear: 8, from: x}
      - {name: kept, mul: [lin, c]}
      - {name: hidden, add: [kept, h]}
  decoder:
    inputs: [x, memory]
    layers: [{name: lin, linear: 8}, {add: [-1, memory]}]
  each:
    inputs: [xs...]
    layers: [{name: lin, parallel: {i: len(xs)}, from: 'xs[i]', linear: 8}]
  swapped:
    inputs: [x, y]
    outputs: {y: a, x: y}
    layers: [{name: a, relu: }]
  three:
    inputs: [x, y]
    outputs: [a, x, y]
    layers: [{name: a, relu: }]
"""


class Head(nn.Module):
    def __init__(self, out=8):
        super().__init__()
        self.conv, self.out = nn.Linear(8, 8), nn.Linear(8, out)

    def forward(self, x):
        return self.out(torch.relu(self.conv(x)))


class Albert(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = Head()
        self.add_module("1", nn.Linear(8, 3))

    def forward(self, x):
        for _ in range(4):
            x = self.body(x)
        return self.get_submodule("1")(x)


def test_a_repeat_applies_one_module_each_time():
    arch = loaded(
        "- {name: body, repeat: 4, share: true, head: }\n- linear: 3", input="[8]", head=BLOCKS
    )
    equals(arch, Albert(), torch.randn(3, 8))
    assert arch.macs == 4 * (64 + 64) + 24
    rows = [row for row in listing(arch) if "." not in row.partition(" ")[0]]
    assert rows == [
        "body = head(input) -> 8",
        "body-1 = head(body) -> 8 shares body",
        "body-2 = head(body-1) -> 8 shares body",
        "body-3 = head(body-2) -> 8 shares body",
        "1 = linear(body-3) -> 3",
    ]


def test_a_parallel_applies_one_module_to_values_of_other_sizes():
    arch = loaded(
        "- {name: parts, slice: {dim: 1, end: 4}}\n"
        "- {name: levels, from: [parts, input]}\n"
        "- name: scores\n  parallel: {l: 2}\n  from: 'levels[l]'\n  share: true\n"
        "  head: {out: 3}\n  merge: {concat: {dim: 1}}\n- {mul: [scores, -1]}\n",
        input="[10, 8]",
        head=BLOCKS,
    )

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scores = Head(3)

        def forward(self, x):
            joined = torch.cat([self.scores(x[:, :4]), self.scores(x)], 1)
            return joined * joined

    equals(arch, Net(), torch.randn(2, 10, 8))
    assert [row.split(" ->")[0] for row in listing(arch) if "." not in row.split()[0]] == [
        *("parts = slice(input)", "scores = head(parts)", "scores-1 = head(input)"),
        *("2 = concat(scores, scores-1)", "3 = mul(2, 2)"),
    ]


def test_an_element_that_is_not_there_applies_nothing():
    rows = listed(
        "- {name: s, parallel: 3, share: true, linear: 8, when: index != 0}\n- concat", input="[8]"
    )
    assert rows == [
        "s = linear(input) -> 8",
        "s-2 = linear(input) -> 8 shares s",
        "1 = concat(input, s, s-2) -> 24",
    ]


def test_the_module_is_patched_once_and_the_loop_as_a_whole(tmp_path):
    write_files(
        tmp_path,
        base=BLOCKS
        + "input: [8]\nlayers:\n  - {name: b, repeat: 3, share: true, head: }\n  - linear: 3\n",
        variant="""
            extends: base.yaml
            patch:
              - {replace: b.1, with: tanh}
              - {insert_before: b, with: sigmoid}
              - {insert_after: b, with: relu}
            """,
    )
    rows = listing(archspec.load(str(tmp_path / "variant.yaml")))
    assert [row.split(" ->")[0] for row in rows if "." not in row.split()[0]] == [
        *("0 = sigmoid(input)", "b = head(0)", "b-1 = head(b)", "b-2 = head(b-1)"),
        *("2 = relu(b-2)", "3 = linear(2)"),
    ]
    assert sum(".1 = tanh" in row for row in rows) == 3


class Cells(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells = nn.ModuleList(nn.ModuleDict({"lin": nn.Linear(8, 8)}) for _ in range(3))

    def forward(self, x, h, c):
        for cell in self.cells:
            c = cell["lin"](x) * c
            h = c + h
        return h, c


STATES = "inputs: {x: [8], h: [8], c: [8]}\n"


@pytest.mark.parametrize("reads", ["[x, h, c]", "{c: c, x: x, h: h}"])
def test_a_repeat_carries_what_the_outputs_name(reads):
    arch = loaded(
        f"- {{name: cells, repeat: 3, cell: , from: {reads}}}",
        input="",
        head=STATES + BLOCKS + "outputs: {h: 'cells[0]', c: 'cells[1]'}\n",
    )
    equals(arch, Cells(), *torch.randn(3, 2, 8))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.d = nn.ModuleList(nn.ModuleDict({"lin": nn.Linear(8, 8)}) for _ in range(3))

    def forward(self, x, memory):
        for layer in self.d:
            x = layer["lin"](x) + memory
        return x


@pytest.mark.parametrize("loop", ["name: d, repeat: 3", "name: 'd{index}', repeat: 3"])
def test_one_output_goes_to_the_first_input(loop):
    arch = loaded(
        f"- {{{loop}, decoder: , from: [x, memory]}}",
        input="",
        head="inputs: {x: [8], memory: [8]}\n" + BLOCKS,
    )
    x, memory = torch.randn(2, 3, 8)
    net, mine = arch.build(seed=0), Decoder()
    mine.load_state_dict(dict(zip(mine.state_dict(), net.state_dict().values(), strict=True)))
    assert torch.equal(net(x, memory), mine(x, memory))
    if "{" not in loop:
        equals(arch, Decoder(), x, memory)


def test_all_values_go_to_an_input_that_takes_them_all():
    rows = listed(
        "- {name: a, relu: }\n- {name: e, repeat: 2, each: , from: [input, a]}\n- concat",
        input="[8]",
        head=BLOCKS,
    )
    assert rows[1] == "e = group(input, a) -> 8, 8"
    assert [row.split(" ->")[0] for row in rows if row.startswith(("e.0 ", "e.1 "))] == [
        "e.0 = each(input_0, input_1)",
        "e.1 = each(0[0], 0[1])",
    ]


def test_layers_of_a_parameter_carry_too():
    head = BLOCKS + "  stack:\n    inputs: [a, b]\n    params: {l: layers}\n    layers:\n"
    head += "      - {repeat: 2, $l: , from: [a, b]}\n"
    rows = listed(
        "- {name: m, relu: }\n- {stack: {l: decoder}, from: [input, m]}", input="[8]", head=head
    )
    assert [row.split(" ->")[0] for row in rows if "decoder" in row] == [
        "1.0 = decoder(a, b)",
        "1.1 = decoder(0, b)",
    ]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (
            "{linear: 8, share: true}",
            "`share: true` is for a loop, whose iterations then apply one",
        ),
        ("{linear: 8, repeat: 2, share: false}", "`share: true` is for a loop"),
        ("{repeat: 2, share: true}", "`share: true` is for a loop"),
        ("{name: 'a{index}', repeat: 2, share: true, linear: 8}", "one module has one name"),
        (
            "{repeat: 2, share: true, linear: 8 + index}",
            "iteration 1 needs another module than the",
        ),
        (
            "{repeat: 2, share: true, linear: 4}",
            "the module of '1' does not fit an input of (N, 4)",
        ),
        (
            "{name: b, repeat: 2, share: true, linear: 8}\n- {name: b-1, relu: }",
            "the name 'b-1' stands",
        ),
        (
            "{repeat: 2, swapped: , from: [a, input]}",
            "swapped gives as many values as it reads, and",
        ),
        ("{repeat: 2, three: , from: [a, input]}", "three gives 3 values and reads 2, and nothing"),
    ],
)
def test_what_a_loop_of_one_module_or_several_inputs_may_not_be(node, said):
    layers = f"- {{name: a, relu: }}\n- {node}\n- concat"
    assert said in first_line(refused(layers, input="[8]", head=BLOCKS))


def test_iterations_of_one_module_are_read_by_number():
    arch = loaded(
        "- {name: c, repeat: 3, share: true, linear: 8}\n- {concat: [c.0, c.2, c.*]}", input="[8]"
    )
    assert keys(arch) == ["c.weight", "c.bias"]
    net, x = arch.build(seed=0), torch.randn(2, 8)
    steps = [net.c(x), net.c(net.c(x)), net.c(net.c(net.c(x)))]
    assert torch.equal(net(x), torch.cat([steps[0], steps[2], *steps], 1))
    assert arch.macs == 3 * 64
    assert listing(archspec.loads(arch.expand(), warn=False)) == listing(arch)
    assert arch.verify(elsewhere=False).ok


def test_elements_of_one_module_are_read_by_number():
    arch = loaded(
        "- {name: a, tanh: }\n- {name: b, relu: , from: input}\n- {name: x, from: [a, b]}\n"
        "- {name: c, parallel: 3, share: true, when: index != 1, from: 'x[index % 2]', linear: 8,"
        " merge: add}\n- {concat: [c.2, c.1, c]}",
        input="[8]",
    )
    net, x = arch.build(seed=0), torch.randn(2, 8)
    a, b = torch.tanh(x), torch.relu(x)
    assert torch.equal(net(x), torch.cat([net.c(a), b, net.c(a) + b + net.c(a)], 1))
    said = refused("- {name: c, repeat: 2, share: true, linear: 8}\n- {relu: , from: c.2}")
    assert "'2' is no iteration of the loop 'c'" in first_line(said)
