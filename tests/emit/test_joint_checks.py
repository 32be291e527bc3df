"""A module refuses sizes that are legal each by itself, and not together."""

from __future__ import annotations

from itertools import product

import pytest
import torch

import archspec
from archspec.diagnostics.diagnostic import SpecError
from archspec.testing.contracts import contract_mismatches, differences

FLAT = """
sizes: {H: 4, W: 6}
input: [1, H, W]
layers: [max_pool2d: 2, flatten, linear: 3]
"""
TURNED = """
sizes: {H: 4, W: 4}
input: [1, H, W]
layers:
  - {name: turned, permute: [0, 1, 3, 2]}
  - add: [input, turned]
"""
TURNED_LEVELS = """
sizes: {H: 8, W: 8}
input: [1, H, W]
layers:
  - {max_pool2d: {kernel_size: 3, stride: 2}}
  - {name: small, conv2d: {out_channels: 2, kernel_size: 1}}
  - {name: turned, permute: [0, 1, 3, 2]}
  - {concat: [small, turned]}
"""
HALVED = """
sizes: {H: 4, W: 4}
input: [1, H, W]
layers:
  - {reshape: [2, '(in_height * in_width) // 2']}
"""
JOINED = """
sizes: {H: 3, W: 5}
inputs: {a: [2, H], b: [2, W]}
layers:
  - {name: both, concat: {inputs: [a, b], dim: 2}}
  - {reshape: [4, 'in_shape[1] // 2']}
"""
BOUNDED = """
sizes: {H: 4, W: 4}
input: [1, H, W]
layers:
  - {when: in_height * in_width <= 20, conv2d: {out_channels: 1, kernel_size: 1}}
  - relu
"""
SPACED = """
sizes: {H: 2, W: 3}
inputs: {a: [1, 2 * H + 1], b: [1, 'H + W'], c: [1, W]}
layers:
  - {name: one, relu: , from: a}
  - {name: two, relu: , from: b}
  - {name: three, relu: , from: c}
outputs: {one: one, two: two, three: three}
"""
EITHER = """
sizes: {H: 3, W: 3}
input: [1, H, W]
layers:
  - {when: in_height < 5, max_pool2d: {kernel_size: [1, 3], stride: 1, padding: [0, 1]}}
  - {when: in_height >= 5, max_pool2d: {kernel_size: [1, 3], stride: 1, padding: [0, 1]}}
  - {when: in_height < 5 and in_width > 5, avg_pool2d: {kernel_size: 99}}
"""
TOGETHER = {
    "flat": FLAT,
    "turned": TURNED,
    "turned_levels": TURNED_LEVELS,
    "halved": HALVED,
    "joined": JOINED,
    "bounded": BOUNDED,
    "either": EITHER,
}


def is_one_network(arch, **sizes):
    """Whether the text compiles at these sizes, to a network with the same weights and wiring."""
    try:
        there = arch.variant(sizes=sizes)
    except SpecError:
        return False
    return not list(differences(arch.graph, there.graph, "network"))


def runs(net, shapes):
    try:
        net(*[torch.zeros(2, *shape) for shape in shapes.values()])
    except ValueError as error:
        assert " is not legal: " in str(error)
        return False
    return True


@pytest.mark.parametrize("text", TOGETHER.values(), ids=TOGETHER)
def test_a_module_runs_exactly_where_the_text_is_that_network(text):
    arch = archspec.loads(text, warn=False)
    net, contract = arch.build(seed=0), arch.contract()
    for height, width in product((1, 2, 3, 4, 5, 6, 8), repeat=2):
        sizes = {"H": height, "W": width}
        is_legal = runs(net, contract.input_shape(**sizes))
        assert is_legal is is_one_network(arch, **sizes), sizes


@pytest.mark.parametrize("text", TOGETHER.values(), ids=TOGETHER)
def test_contracts_that_join_symbols_are_whole_and_exact(text):
    arch = archspec.loads(text, warn=False)
    found = arch.contract()
    assert found.is_complete
    pairs = [{"H": h, "W": w} for h, w in product((1, 2, 3, 4, 5, 8, 13), repeat=2)]
    assert list(contract_mismatches(arch, found, pairs)) == []


@pytest.mark.parametrize(
    ("text", "sizes", "said"),
    [
        (FLAT, (5, 8), "⌊H/2⌋·⌊W/2⌋ = 6, asked for by 2 (linear, line 4); W = 7 is"),
        (HALVED, (3, 3), "H·W a multiple of 2, asked for by 0 (reshape, line 5); "
                         "H = 2 and 4 are, W = 2 and 4 are"),
        (FLAT, (9, 9), "⌊H/2⌋·⌊W/2⌋ = 6, asked for by 2 (linear, line 4); H = 5 with W = 7 is"),
        (BOUNDED, (5, 5), "H·W ≤ 20, asked for by 0 (conv2d, line 5); H = 4 is, W = 4 is"),
    ],
)  # fmt: skip
def test_the_message_names_the_nearest_legal_sizes(text, sizes, said):
    arch = archspec.loads(text, warn=False)
    with pytest.raises(ValueError) as caught:
        arch.build(seed=0)(torch.zeros(1, 1, *sizes))
    height, width = sizes
    expected = f"H = {height}, W = {width} is not legal: {said}"
    assert str(caught.value) == expected
    assert arch.contract().refusal(H=height, W=width) == expected


def test_sizes_that_follow_from_symbols_are_checked():
    net = archspec.loads(SPACED).build(seed=0)
    a, b, c = torch.zeros(1, 1, 7), torch.zeros(1, 1, 8), torch.zeros(1, 1, 5)
    assert [value.shape[2] for value in net(a, b, c).values()] == [7, 8, 5]
    with pytest.raises(ValueError, match="axis 2 of a is not 2·H \\+ 1"):
        net(torch.zeros(1, 1, 6), b, c)
    with pytest.raises(ValueError, match="axis 2 of b is not H \\+ W"):
        net(a, torch.zeros(1, 1, 9), c)


def test_a_script_refuses_sizes_together():
    script = torch.jit.script(archspec.loads(FLAT).build(seed=0))
    assert script(torch.zeros(1, 1, 6, 4)).shape == (1, 3)
    with pytest.raises(torch.jit.Error, match="H and W are not legal: ⌊H/2⌋·⌊W/2⌋ = 6"):
        script(torch.zeros(1, 1, 6, 6))


SQUARES = """
sizes: {H: 4, W: 4}
input: [1, H, W]
layers:
  - {name: stem, conv2d: {out_channels: 2, kernel_size: 3, padding: 1}}
  - max_pool2d: 2
  - interpolate: {scale_factor: 2}
  - add: [stem, '2']
  - {name: turned, permute: [0, 1, 3, 2]}
  - concat: ['3', turned]
"""


def traced(net, x):
    return torch.fx.symbolic_trace(net)


def exported(net, x):
    return torch.export.export(net, (x,)).module()


def recorded(net, x):
    return torch.jit.trace(net, x)


def compiled(net, x):
    return torch.compile(net, backend="eager", fullgraph=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("way", [traced, exported, recorded, compiled])
def test_tools_that_follow_code_take_modules_with_checks(way):
    net = archspec.loads(SQUARES).build(seed=0).eval()
    x = torch.rand(2, 1, 6, 6)
    assert torch.equal(way(net, x)(x), net(x))
    with pytest.raises(ValueError, match="H = 7 is not legal"):
        net(torch.zeros(1, 1, 7, 6))


def test_an_export_of_any_size_has_the_conditions_as_its_own():
    net = archspec.loads(SQUARES).build(seed=0).eval()
    half = torch.export.Dim("half", min=1, max=64)
    shapes = {"x": {2: 2 * half, 3: 2 * half}}
    program = torch.export.export(net, (torch.zeros(1, 1, 6, 6),), dynamic_shapes=shapes)
    x = torch.rand(1, 1, 10, 10)
    assert torch.allclose(program.module()(x), net(x))


def test_a_script_says_of_one_symbol_that_it_is_not_legal():
    text = "sizes: {L: 6}\ninput: [L, 4]\nlayers:\n  - scale: $(1 / size(input, 1))\n"
    script = torch.jit.script(archspec.loads(text).build())
    with pytest.raises(torch.jit.Error, match="L is not legal: L = 6"):
        script(torch.zeros(1, 7, 4))


SELDOM = """
sizes: {F: 134}
input: [2, F]
layers:
  - sigmoid
  - {when: 'in_features % 61 == 0', tanh: }
  - {when: 'in_features % 67 == 0', tanh: }
  - {when: 'in_features % 71 == 0', tanh: }
"""
MANY = "sizes: {H: 8, W: 8}\ninput: [1, H, W]\nlayers:\n  - relu\n" + "".join(
    f"  - {{when: 'in_height * in_width == {8 * number}', sigmoid: }}\n" for number in range(9, 60)
)


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        (SELDOM, [(2, size) for size in (1, 61, 67, 71, 122, 134, 201, 268)]),
        (MANY, [(1, *pair) for pair in product((1, 7, 8, 9, 32, 59), repeat=2)]),
    ],
    ids=["seldom", "many"],
)
def test_where_cases_are_too_many_only_the_right_network_runs(text, inputs):
    arch = archspec.loads(text, warn=False)
    assert not arch.contract().is_complete
    net, ran = arch.build(seed=0), 0
    for shape in inputs:
        try:
            net(torch.zeros(1, *shape))
        except ValueError as error:
            assert "the cases are too many to list" in str(error)
            continue
        ran += 1
        there = arch.variant(sizes=dict(zip(arch.sizes, shape[1:], strict=True)))
        assert not list(differences(arch.graph, there.graph, "network")), shape
    assert ran
    assert arch.verify(batch_sizes=(2,)).ok  # at other sizes too


def test_more_than_four_symbols_are_checked_together():
    names = "ABCDE"
    text = f"sizes: {{{', '.join(f'L{n}: 2' for n in names)}}}\ninputs:\n"
    text += "".join(f"  {n.lower()}: [1, L{n}]\n" for n in names)
    text += "layers:\n  - {concat: {inputs: [a, b, c, d, e], dim: 2}}\n"
    text += "  - {when: in_features > 12, tanh: }\n"
    net = archspec.loads(text, warn=False).build(seed=0)
    short = [torch.zeros(1, 1, size) for size in (1, 2, 3, 1, 5)]
    assert net(*short).shape == (1, 1, 12)
    with pytest.raises(ValueError, match="is not legal"):
        net(*short[:4], torch.zeros(1, 1, 6))


def test_more_regions_than_fit_a_line_are_looked_up():
    whens = "".join(
        f"  - {{when: in_height == {size} and in_width == {size + 1}, tanh: }}\n"
        for size in range(3, 20)  # a region beside each, and MOST_REGIONS is 16
    )
    text = f"sizes: {{H: 2, W: 2}}\ninput: [1, H, W]\nlayers:\n  - relu\n{whens}"
    arch = archspec.loads(text, warn=False)
    net, ran = arch.build(seed=0), 0
    assert "check_sizes" in type(net).code
    for height, width in product((2, 3, 4, 20), repeat=2):
        sizes = {"H": height, "W": width}
        if runs(net, {"x": (1, height, width)}):
            assert is_one_network(arch, **sizes), sizes
            ran += 1
        else:
            assert not is_one_network(arch, **sizes), sizes
    assert ran == 16 - 1  # 3 by 4 is another network
