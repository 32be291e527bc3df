"""What names of loops, and of what each iteration gives, mean: for edges, sizes and taps alike."""

import pytest
import torch
from torch.nn.functional import linear

import archspec

CHAIN = "input: [4]\nlayers:\n- {name: c, repeat: 3, share: true, linear: 4}\n"
BESIDE = "input: [4]\nlayers:\n- {name: c, parallel: 3, share: true, linear: 4, merge: concat}\n"


def test_a_tap_of_a_loop_of_one_module_is_its_last_iteration():
    arch = archspec.loads(CHAIN)
    net, x = arch.build(seed=0, outputs=["c", "c.0", "c.1", "c-1"]), torch.randn(2, 4)
    each = [x]
    for _ in range(3):
        each.append(linear(each[-1], net.c.weight, net.c.bias))
    found = net(x)
    assert torch.equal(found["c"], each[3]) and torch.equal(arch.build(seed=0)(x), each[3])
    assert torch.equal(found["c.0"], each[1])
    assert torch.equal(found["c.1"], each[2]) and torch.equal(found["c-1"], each[2])


def test_a_tap_of_merged_elements_of_one_module_is_what_joins_them():
    net, x = archspec.loads(BESIDE).build(seed=0, outputs=["c", "c.2"]), torch.randn(2, 4)
    one = linear(x, net.c.weight, net.c.bias)
    found = net(x)
    assert torch.equal(found["c"], torch.cat((one, one, one), 1))
    assert torch.equal(found["c.2"], one)


def test_a_tap_of_elements_that_nothing_joins_is_refused():
    text = BESIDE.replace(", merge: concat", "") + "- {add: c}\n"
    with pytest.raises(archspec.SpecError, match="'c' has 3 outputs") as raised:
        archspec.loads(text).build(outputs=["c"])
    assert "c.0, c.1, c.2" in str(raised.value)


def test_one_module_may_have_a_name_that_a_parameter_gives():
    text = "params: {p: x}\n" + CHAIN.replace("name: c", 'name: "{p}"')
    assert list(archspec.loads(text).build().state_dict()) == ["x.weight", "x.bias"]
    beside = "params: {p: x}\n" + BESIDE.replace("name: c", 'name: "{p}"')
    assert list(archspec.loads(beside).build().state_dict()) == ["x.weight", "x.bias"]
    none = text.replace("repeat: 3", "repeat: p - 1").replace("p: x", "p: 1")
    archspec.loads(none + "- {linear: 2}\n- {name: y, linear: 2}\n")


@pytest.mark.parametrize(
    "loop",
    [
        "name: y, parallel: 3, chunk: {chunks: 2, dim: 1}",
        'name: "y.{index}", parallel: 3, chunk: 2',
    ],
)
def test_one_output_of_each_element(loop):
    loop = loop.replace("chunk: 2", "chunk: {chunks: 2, dim: 1}")
    arch = archspec.loads(f"input: [4]\nlayers:\n- {{{loop}}}\n- concat: ['y.*[1]']\n")
    x = torch.randn(2, 4)
    assert torch.equal(arch.build()(x), torch.cat([x[:, 2:]] * 3, 1))
    assert archspec.loads(arch.expand()).expand() == arch.expand()


def test_the_index_of_an_edge_in_size_is_computed():
    text = """
input: [4, 6]
blocks:
  widths:
    inputs: [x, xs...]
    layers:
      - {parallel: {i: len(xs)}, linear: "size('xs[i]', 2)", from: x}
      - concat: {inputs: [0, 1], dim: 2}
layers:
  - {name: a, linear: 3}
  - {name: b, linear: 5, from: input}
  - {widths: , from: [input, a, b]}
"""
    shapes = [p.shape for p in archspec.loads(text).build().parameters()]
    assert shapes[4:] == [(3, 6), (3,), (5, 6), (5,)]


def test_an_else_spares_what_the_other_side_would_read_before_it():
    text = """
input: [4]
layers:
  - {name: a, relu: }
  - {name: b, linear: 4, when: false, from: input}
  - {name: c, add: [-1, a], when: WHEN, else: {linear: 3, from: a}}
"""
    assert archspec.loads(text.replace("WHEN", "false")).output_shape == ("N", 3)
    with pytest.raises(archspec.SpecError, match="what this reads is not clear"):
        archspec.loads(text.replace("WHEN", "true"))
