"""`{name: levels, from: [a, b]}`: a name for values; `outputs: levels`."""

from __future__ import annotations

import pytest
import torch
from listing import first_line, keys, listing, loaded, refused, write_files
from torch import nn

import archspec

CONV = "conv2d: {out_channels: 4, kernel_size: 3, padding: 1}"


def test_a_name_for_values_makes_no_module_and_takes_no_number():
    nodes = "- {{name: a, {0}}}\n- {0}\n{1}- {{{0}, from: '1'}}\n- add: [a, -1]"
    plain = loaded(nodes.format(CONV, ""))
    named = loaded(nodes.format(CONV, "- {name: both, from: [a, '1']}\n"))
    assert listing(named) == listing(plain)
    assert keys(named) == keys(plain)


def test_the_name_stands_for_all_the_values_and_the_next_node_reads_them():
    arch = loaded(
        "- {name: halves, chunk: 2}\n- {name: three, from: ['halves[1]', input, 'halves[0]']}\n"
        "- concat\n- {concat: [three, 'three[1]', -1]}"
    )
    assert listing(arch)[1:] == [
        "1 = concat(halves[1], input, halves[0]) -> 8x8x8",
        "2 = concat(halves[1], input, halves[0], input, 1) -> 20x8x8",
    ]


PYRAMID = """
  pyramid:
    layers:
      - {name: a, conv2d: {out_channels: 4, kernel_size: 3, padding: 1}}
      - {name: b, max_pool2d: 2}
      - {name: levels, from: [b, input, a]}
    outputs: levels
"""


class Pyramid(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        a = self.a(x)
        return nn.functional.max_pool2d(a, 2), x, a


def test_outputs_hands_on_all_that_a_node_gives():
    arch = loaded(
        "- {name: p, pyramid}\n- {name: q, pyramid: , from: 'p[2]'}",
        head=f"blocks:{PYRAMID}\noutputs: q\n",
    )
    net, p, q = arch.build(seed=0), Pyramid(), Pyramid()
    nn.ModuleDict({"p": p, "q": q}).load_state_dict(net.state_dict())
    x = torch.randn(2, 4, 8, 8)
    expected = q(p(x)[2])
    found = net(x)
    assert list(found) == ["q_0", "q_1", "q_2"]
    for value, wanted in zip(found.values(), expected, strict=True):
        assert torch.equal(value, wanted)
    again = archspec.loads(arch.expand())
    assert listing(again) == listing(arch)
    assert again.graph.output_names == arch.graph.output_names


@pytest.mark.parametrize(("name", "stem"), [("my-parts", "my_parts"), ("'0'", "output")])
def test_outputs_of_a_file_are_named_after_the_node(name, stem):
    node = "- chunk: 2" if name == "'0'" else f"- {{name: {name}, chunk: 2}}"
    arch = loaded(node, head=f"outputs: {name}\n")
    assert arch.graph.output_names == (f"{stem}_0", f"{stem}_1")
    assert archspec.loads(arch.expand()).graph.output_names == arch.graph.output_names


def test_a_group_gives_what_its_last_node_names():
    arch = loaded(
        "- {name: g, layers: [{name: a, tanh: }, relu, {name: given, from: ['1', a, input]}]}\n"
        "- concat"
    )
    assert listing(arch) == [
        "g = group(input) -> 4x8x8, 4x8x8, 4x8x8",
        "g.a = tanh(input) -> 4x8x8",
        "g.1 = relu(a) -> 4x8x8",
        "1 = concat(g[0], g[1], g[2]) -> 12x8x8",
    ]
    again = archspec.loads(arch.expand())
    assert listing(again) == listing(arch)
    assert "blocks" not in arch.expand()
    assert arch.verify(elsewhere=False).ok


def test_a_patched_node_is_what_the_name_stands_for(tmp_path):
    write_files(
        tmp_path,
        base=f"""
            input: [4, 8, 8]
            layers:
              - {{name: a, {CONV}}}
              - {{name: both, from: [a, input]}}
              - add: both
            """,
        variant="""
            extends: base.yaml
            patch:
              - {insert_after: a, with: relu}
              - {insert_after: '1', with: {mul: [-1, both]}}
            """,
    )
    arch = archspec.load(str(tmp_path / "variant.yaml"))
    assert [row.split(" ->")[0] for row in listing(arch)] == [
        "a = conv2d(input)",
        "1 = relu(a)",
        "2 = add(1, input)",
        "3 = mul(2, 1, input)",
    ]


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("{from: a}", "this node has no op"),
        ("{name: b, from: a, repeat: 2}", "`repeat` has no effect on a node of `from` alone"),
        ("{name: b, from: a, training_only: true}", "`training_only` has no effect on a node of"),
        ("{name: b, from: a, trainable: false}", "`trainable` has no effect on a node of `from`"),
        ("{name: b, from: a, weights: {weight: a}}", "`weights` has no effect on a node of `from`"),
        ("{name: a, from: input}", "the name 'a' stands twice in this list"),
        (
            "{name: b, from: [a, input], when: in_channels > 1}",
            "a node of 2 values with a `when` needs",
        ),
        (
            "{name: b, from: [a, input], when: in_channels > 9}",
            "a node of 2 values with a `when` needs",
        ),
        ("{name: b, from: c}", "no node before this one is called 'c'"),
        ("{share: b, name: c}", "no node before this one is called 'b'"),
    ],
)
def test_what_a_name_for_values_may_not_be(node, said):
    assert said in first_line(refused(f"- {{name: a, relu: }}\n- {node}\n- add: [a, input]"))


def test_a_name_within_the_group_is_not_taken_for_what_it_gives():
    text = "- {name: g, layers: [{name: outputs.a, tanh: }, relu, {name: o, from: outputs.a}]}"
    arch = loaded(text, input="[4]")
    assert "name: outputs_, from" in arch.expand() or "outputs_" not in arch.expand()
    assert listing(archspec.loads(arch.expand(), warn=False)) == listing(arch)


@pytest.mark.parametrize("like", ["x[1 - index]", "x[{index}]", "y{1 - index}", "x[ 1 ]"])
def test_like_takes_an_edge_with_expressions(like):
    index = {"x[{index}]": None, "x[ 1 ]": (16, 16)}.get(like, (16, 8))
    layers = (
        "- {name: y0, max_pool2d: 2}\n- {name: y1, relu: , from: input}\n"
        "- {name: x, from: [y0, y1]}\n"
        f"- {{parallel: 2, from: 'x[index]', interpolate: {{like: '{like}'}}}}\n"
        "- {name: last, identity: , from: '3'}\n- {concat: [-1, -1]}"
    )
    if index is None:
        assert "AS3" in refused(layers, input="[4, 16, 16]")
        return
    rows = listing(loaded(layers, input="[4, 16, 16]"))
    sizes = [row.split("-> 4x")[1] for row in rows if "interpolate" in row]
    assert sizes == [f"{index[1]}x{index[1]}"]


TREE = """
blocks:
  join:
    inputs: [x, xs...]
    params: {more: false}
    layers:
      - {name: y, linear: 8, from: x}
      - {name: all, from: [xs, y], when: more, else: xs}
      - {concat: [x, y, all]}
  none:
    inputs: [x, xs...]
    layers: [{name: all, from: xs}]
"""


def test_a_name_may_stand_for_no_value():
    def rows(call):
        return listing(loaded(f"- {{name: j, {call}}}", input="[8]", head=TREE))[-1]

    assert rows("join: ") == "j.1 = concat(x, y) -> 16"
    assert rows("join: {more: true}") == "j.1 = concat(x, y, y) -> 24"
    assert rows("join: {more: false}, from: [input, input]") == "j.1 = concat(x, y, xs_0) -> 24"
    said = refused("- {name: j, none: }", input="[8]", head=TREE)
    assert "this list gives no value" in first_line(said)
