"""`else`: what stands in the place of a node whose `when` is false."""

from __future__ import annotations

import pytest
import torch
from listing import first_line, keys, listed, listing, loaded, refused
from torch import nn

import archspec

HEAD = "params: {c: true}\n"
NOT = {"c": False}


def both(layers: str, head: str = "") -> tuple[list[str], list[str]]:
    """The listings with the condition `c` and without it."""
    return listed(layers, head=HEAD + head), listed(layers, NOT, head=HEAD + head)


def test_a_word_is_an_edge_and_takes_no_number():
    there, absent = both("- relu\n- {name: a, linear: 8, when: c, else: input}\n- {add: [a, '0']}")
    assert there[1:] == ["a = linear(0) -> 4x8x8", "2 = add(a, 0) -> 4x8x8"]
    assert absent == ["0 = relu(input) -> 4x8x8", "1 = add(input, 0) -> 4x8x8"]


def test_what_a_word_names_may_be_read_by_position():
    _, absent = both("- {name: x, relu}\n- {linear: 8, when: c, else: input}\n- tanh")
    assert absent == ["1 = tanh(input) -> 4x8x8"]


def test_a_word_may_be_one_of_several_values():
    _, absent = both("- {name: h, chunk: 2}\n- {name: a, relu, from: input, when: c, else: 'h[1]'}")
    assert absent == ["h = chunk(input) -> 2x8x8, 2x8x8"]


def test_a_node_takes_name_number_and_inputs():
    there, absent = both(
        "- {name: x, relu}\n- {name: a, tanh, from: input, when: c, else: {linear: 3}}"
    )
    assert (there[-1], absent[-1]) == ("a = tanh(input) -> 4x8x8", "a = linear(input) -> 4x8x3")
    there, absent = both("- relu\n- {tanh, when: c, else: {linear: 3}}\n- sigmoid")
    assert there[1:] == ["1 = tanh(0) -> 4x8x8", "2 = sigmoid(1) -> 4x8x8"]
    assert absent[1:] == ["1 = linear(0) -> 4x8x3", "2 = sigmoid(1) -> 4x8x3"]


def test_a_node_may_bring_its_own_inputs():
    _, absent = both("- relu\n- {name: a, tanh, when: c, else: {linear: 3, from: input}}")
    assert absent == ["a = linear(input) -> 4x8x3"]
    _, absent = both("- relu\n- {name: a, tanh, when: c, else: {add: ['0', input]}}")
    assert absent[-1] == "a = add(0, input) -> 4x8x8"
    _, absent = both("- {name: x, relu}\n- {concat: [x, input], when: c, else: {add: }}")
    assert absent[-1] == "1 = add(x, input) -> 4x8x8"


def test_a_list_is_a_group_in_its_place():
    there, absent = both("- relu\n- {linear: 8, when: c, else: [tanh, {linear: 3}]}\n- tanh")
    assert there[1:] == ["1 = linear(0) -> 4x8x8", "2 = tanh(1) -> 4x8x8"]
    assert absent[1:] == [
        "1 = group(0) -> 4x8x3",
        "1.0 = tanh(input) -> 4x8x8",
        "1.1 = linear(0) -> 4x8x3",
        "2 = tanh(1) -> 4x8x3",
    ]


def test_conditions_may_follow_one_another():
    text = """
- relu
- name: a
  when: n == 1
  linear: 1
  else:
    when: n == 2
    linear: 2
    from: input
    else: {when: n == 3, linear: 3, else: {from: input, when: n == 4, else: [{linear: 5}]}}
- {tanh, from: a}
"""
    head = "params: {n: 1}\n"
    assert [listed(text, {"n": n}, head=head)[-1].split(" -> ")[1] for n in (1, 2, 3, 4, 5)] == [
        *("4x8x1", "4x8x2", "4x8x3", "4x8x8", "4x8x5")
    ]
    assert "a = linear(input) -> 4x8x2" in listed(text, {"n": 2}, head=head)
    # The inputs are those of the node in whose place it stands, which has its own.
    assert "a = linear(input) -> 4x8x3" in listed(text, {"n": 3}, head=head)


def test_a_chain_may_end_without_an_else():
    text = (
        "- {name: a, relu, from: input, when: n == 1, else: {when: n == 2, tanh}}\n- {add: [a, a]}"
    )
    head = "params: {n: 3}\n"
    assert listed(text, head=head) == ["0 = add(input, input) -> 4x8x8"]


def test_the_name_alone_is_asked_for_by_share_and_outputs():
    text = "- {name: a, linear: 4, when: c, else: {linear: 8}}\n- {share: a, from: input}"
    for params, width in ((None, 4), (NOT, 8)):
        arch = loaded(text, params, head=HEAD + "ignore: [AS901]\n")
        assert keys(arch) == ["a.weight", "a.bias"]
        assert arch.output_shape == ("N", 4, 8, width)
    said = refused("- {name: a, relu, when: false, else: input}\n- {share: a}")
    assert "AS507: 'a' has no module to share" in said


def test_patches_and_taps_call_it_by_the_one_name(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "input: [4, 8, 8]\nparams: {c: true}\nlayers:\n"
        "  - {name: a, conv2d: {out_channels: 4, kernel_size: 1}, when: c, else: {linear: 8}}\n"
        "  - tanh\n"
    )
    (tmp_path / "new.yaml").write_text(
        "extends: base.yaml\npatch:\n  - insert_after: a\n    with: relu\n"
        "  - replace: '1'\n    with: {tanh, when: false, else: {sigmoid}}\n"
    )
    for params, op in ((None, "conv2d"), (NOT, "linear")):
        arch = archspec.load(tmp_path / "new.yaml", params)
        assert [(layer.path, layer.op) for layer in arch.layers] == [
            ("a", op),
            ("1", "relu"),
            ("2", "sigmoid"),
        ]
    (tmp_path / "other.yaml").write_text(
        "extends: base.yaml\npatch:\n  - replace: a\n"
        "    with: {linear: 3, when: in_channels > 9, else: {linear: 5}}\n"
    )
    arch = archspec.load(tmp_path / "other.yaml", NOT)
    assert keys(arch) == ["a.weight", "a.bias"]
    assert arch.output_shape == ("N", 4, 8, 5)


def test_a_loop_has_one_else_and_may_stand_under_one():
    there, absent = both("- {name: a, repeat: 2, tanh, when: c, else: {repeat: 3, relu}}")
    assert there[1:] == ["a.0 = tanh(input) -> 4x8x8", "a.1 = tanh(0) -> 4x8x8"]
    assert [row.split(" = ")[0] for row in absent] == ["a", "a.0", "a.1", "a.2"]
    # A name with braces is that of each iteration: the whole loop has none to give.
    _, absent = both("- {name: 'a{index}', repeat: 2, tanh, when: c, else: {relu}}")
    assert absent == ["0 = relu(input) -> 4x8x8"]


def test_the_merge_of_branches_may_have_one():
    there, absent = both("- {branches: [[relu], [tanh]], merge: {add, when: c, else: {concat}}}")
    assert (there[-1], absent[-1]) == ("2 = add(0, 1) -> 4x8x8", "2 = concat(0, 1) -> 8x8x8")


def test_both_sides_give_equally_many_values():
    two = "blocks: {two: {outputs: [a, b], layers: [{name: a, relu}, {name: b, tanh}]}}\n"
    text = "- {name: h, chunk: 2, when: c, else: {two: }}\n- {add: ['h[0]', 'h[1]']}"
    there, absent = both(text, two)
    assert there[-1] == "1 = add(h[0], h[1]) -> 2x8x8"
    assert absent[-1] == "1 = add(h[0], h[1]) -> 4x8x8"
    there, absent = both(text.replace("{two: }", "{from: [input, input]}"))
    assert absent == ["0 = add(input, input) -> 4x8x8"]


@pytest.mark.parametrize("params", [None, NOT])
@pytest.mark.parametrize(
    ("node", "found"),
    [
        ("{two: , when: c, else: input}", "two"),
        ("{two: , when: c, else: {when: not c, two: , else: input}}", "two"),
        ("{relu: , when: c, else: {two: }}", "relu"),
        ("{relu: , when: c, else: {from: [input, input]}}", "input, input"),
    ],
)
def test_sides_of_other_numbers_of_values_are_refused(node, found, params):
    two = "blocks: {two: {outputs: [a, b], layers: [{name: a, relu}, {name: b, tanh}]}}\n"
    with pytest.raises(archspec.SpecError) as refusal:
        loaded(f"- {node}\n- tanh", params, head=HEAD + two)
    said = str(refusal.value)
    assert "AS201: both sides of `when` and `else` give equally many values" in said
    assert found in said.partition("found:")[2]


def test_the_side_that_is_not_there_is_not_computed_but_looked_up():
    for params in (None, NOT):
        said = refused_with("- {name: a, relu, when: c, else: zzz}", params)
        assert "AS501: no node before this one is called 'zzz'" in said
        said = refused_with("- {name: a, relu, when: c, from: zzz, else: input}", params)
        assert "AS501: no node before this one is called 'zzz'" in said
    text = (
        "- {name: a, relu, when: c, else: {linear: width - 9}}\n"
        "- {linear: width - 9, when: not c, from: 'h{width}', else: {tanh, from: a}}"
    )
    there = listed(text, head="params: {c: true, width: 3}\n")
    assert there == ["a = relu(input) -> 4x8x8", "1 = tanh(a) -> 4x8x8"]


def refused_with(layers, params):
    with pytest.raises(archspec.SpecError) as refusal:
        loaded(layers, params, head=HEAD)
    return str(refusal.value)


def test_an_edge_bears_its_name_as_a_node_does():
    for text in (
        "- {name: a, relu}\n- {name: a, tanh, when: false, else: input}",
        "- {name: a, tanh, when: false, else: input}\n- {name: a, relu}",
    ):
        assert "AS209: the name 'a' stands twice in this list" in refused(text)
    said = refused("- {name: a, relu, when: false, else: a}")
    assert first_line(said) == "3:40: error AS502: 'a' reads itself"
    said = refused("- {repeat: 2, layers: [{name: r, relu, when: false, else: {tanh}}]}")
    assert "AS209: every iteration would be called 'r'" in said


def test_training_only_holds_for_both_sides():
    text = (
        "- {name: a, relu, training_only: true, when: c, else: {tanh}}\n"
        "- {name: b, linear: 3, from: input}"
    )
    there, absent = both(text, "outputs: {b: b, a: a}\n")
    assert (there[0], absent[0]) == (
        "a = relu(input) -> 4x8x8 in train()",
        "a = tanh(input) -> 4x8x8 in train()",
    )


def test_it_follows_symbols_as_a_when_does():
    arch = archspec.loads(
        "input: [4, H, 8]\nsizes: {H: 8}\nlayers:\n"
        "  - max_pool2d: 2\n    when: in_height > 4\n"
        "    else: {conv2d: {out_channels: 4, kernel_size: 1}}\n"
    )
    assert arch.contract().text == "H ≥ 5"
    assert arch.variant(sizes={"H": 3}).num_parameters == 4 * 4 + 4


class Block(nn.Module):
    """The pre-activation block whose shortcut is pooled and convolved, or the input."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.AvgPool2d(2, ceil_mode=True) if stride > 1 else nn.Identity(),
                nn.Conv2d(inputs, outputs, 1),
            )
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(x)
        shortcut = self.downsample(x) if hasattr(self, "downsample") else x
        return self.conv(x) + shortcut


BLOCK = """
blocks:
  block:
    params: {c: int, s: 1, down: $(s > 1 or in_channels != c)}
    layers:
      - {name: act, relu}
      - name: downsample
        when: down
        else: act
        layers:
          - {avg_pool2d: {kernel_size: 2, ceil_mode: true}, when: s > 1, else: {identity}}
          - conv2d: {out_channels: c, kernel_size: 1}
      - {name: conv, conv2d: {out_channels: c, kernel_size: 3, stride: s, padding: 1}, from: act}
      - add: [conv, downsample]
"""


def test_a_block_with_a_shortcut_is_the_one_written_by_hand():
    arch = loaded("- block: {c: 4}\n- block: {c: 6}\n- block: {c: 6, s: 2}", head=BLOCK)
    net = arch.build()
    wanted = nn.Sequential(Block(4, 4, 1), Block(4, 6, 1), Block(6, 6, 2))
    shapes = {key: value.shape for key, value in wanted.state_dict().items()}
    assert {key: value.shape for key, value in net.state_dict().items()} == shapes
    wanted.load_state_dict(net.state_dict())
    x = torch.rand(2, 4, 8, 8)
    assert torch.equal(net(x), wanted(x))
    assert arch.num_parameters == sum(p.numel() for p in wanted.parameters())
    assert arch.macs == 64 * (36 * 4 + (36 + 4) * 6) + 16 * (54 + 6) * 6
    assert arch.verify(batch_sizes=(2,)).ok


def test_what_expand_writes_is_the_same_network():
    text = (
        "- {layers: [{name: x, relu}, {name: y, tanh}, {name: z, add: [x, y]},"
        " {linear: 8, when: false, else: x}]}\n"
        "- {layers: [{name: h, chunk: 2}, {tanh, from: 'h[0]', when: false, else: 'h[1]'}]}\n"
        "- {name: a, linear: 3, when: c, else: [{linear: 2}]}\n"
    )
    for params in (None, NOT):
        arch = loaded(text, params, head=HEAD + "ignore: [AS901]\n")
        again = archspec.loads(arch.expand(), warn=False)
        assert again.expand() == arch.expand().replace("ignore: [AS901]\n", "")
        assert keys(again) == keys(arch)


def test_names_with_dots_stand_for_either_side():
    text = "- {name: a.b, linear: 8}\n- {name: c.d, tanh, when: c, else: a.b}\n- {add: [c.d, a.b]}"
    there, absent = both(text)
    assert (there[-1], absent[-1]) == (
        "2 = add(c.d, a.b) -> 4x8x8",
        "1 = add(a.b, a.b) -> 4x8x8",
    )
    said = refused("- {name: a, repeat: 3, relu, when: false, else: input}\n- {tanh, from: a.1}")
    assert "AS501: no node before this one is called 'a.1'" in said
    assert "one of a, input\n" in said


def test_inputs_by_name_are_those_of_the_else_and_of_the_condition():
    arch = archspec.loads(
        "input: [8]\nblocks:\n"
        "  b: {inputs: [x, m], layers: [{linear: 4, from: x}]}\n"
        "  d: {inputs: [m, x], layers: [{linear: 5, from: x}]}\n"
        "layers:\n- {name: a, linear: 2}\n- {name: c, linear: 3, from: input}\n"
        "- {name: r, b: , from: {m: a, x: c}, when: in_features != 3, else: {d: }}\n"
        "- {name: s, b: , from: {m: r, x: c}, when: false}\n- {concat: [r, s, a]}\n",
        warn=False,
    )
    assert listing(arch)[2:5] == [
        "r = d(a, c) -> 5",
        "r.0 = linear(x) -> 5",
        "3 = concat(r, c, a) -> 10",
    ]
