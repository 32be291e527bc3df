"""A module of a spec that declares sizes refuses other sizes when it is called."""

from __future__ import annotations

import copy
import pickle
from contextlib import suppress

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import archspec
from archspec.emit.checks import SizeCheck, _condition, _parts
from archspec.emit.classes import make_function
from archspec.runtime.sizes import not_legal
from archspec.sizes.sets import Sizes
from archspec.verify import verify

UNET = """
name: unet
sizes: {H: 32, W: 64}
input: [1, H, W]
layers:
  - {name: stem, conv2d: {out_channels: 4, kernel_size: 3, padding: 1}}
  - max_pool2d: 2
  - conv2d: {out_channels: 4, kernel_size: 3, padding: 1}
  - conv_transpose2d: {out_channels: 4, kernel_size: 2, stride: 2}
  - add: [stem, '3']
"""
PAIR = """
name: pair
sizes: {T: 8}
inputs: {a: [T, 3], b: [T, 3]}
layers:
  - add: [a, b]
  - linear: 2
"""
SETS = st.lists(
    st.lists(st.integers(1, 60), max_size=4, unique=True).map(sorted), min_size=1, max_size=6
).map(Sizes)


@given(SETS)
def test_a_generated_condition_is_the_set(sizes):
    parts = _parts(sizes)
    legal = [size for size in range(1, 200) if size in sizes]
    condition = _condition("size", *parts)
    if condition is None:
        assert legal == list(range(1, 200))
        return
    source = f"def is_legal(size):\n    return {condition}\n"
    is_legal = make_function(source, "<test>", {})
    assert [size for size in range(1, 200) if is_legal(size)] == legal


@given(SETS, st.integers(1, 150))
def test_the_neighbours_of_a_message_are_the_nearest(sizes, size):
    parts = _parts(sizes)
    assume(size not in sizes)
    below = [each for each in range(1, size) if each in sizes][-1:]
    above = [each for each in range(size + 1, 400) if each in sizes][:1]
    near = " and ".join(map(str, below + above))
    verb = "are" if below and above else "is"
    expected = f"S = {size} is not legal: why" + (f"; {near} {verb}" if near else "")
    assert not_legal("S", size, *parts, "why") == expected


RANGES = """
sizes: {S: 32}
input: [1, S, 4]
layers:
  - {reshape: [in_height // 2, 8]}
  - {when: 'in_shape[0] >= 200', relu: }
  - tanh
"""


def test_a_set_of_too_many_ranges_is_checked_too():
    """All even sizes below 400: more ranges than a line may have."""
    net = archspec.loads(RANGES, warn=False).build(seed=0)
    assert "check_sizes" in type(net).code
    legal = []
    for size in [*range(1, 12), *range(390, 412), 798, 800]:
        with suppress(ValueError):
            net(torch.zeros(1, 1, size, 4))
            legal.append(size)
    assert legal == [2, 4, 6, 8, 10, *range(390, 400, 2)]
    with pytest.raises(ValueError, match=r"S = 7 is not legal: .*; S = 6 and 8 are"):
        net(torch.zeros(1, 1, 7, 4))


def test_a_set_of_too_many_ranges_is_checked_in_exports_and_not_in_scripts():
    net = archspec.loads(RANGES, warn=False).build(seed=0).eval()
    x = torch.rand(1, 1, 8, 4)
    assert torch.equal(torch.jit.script(net)(x), net(x))
    half = torch.export.Dim("half", min=1, max=64)
    program = torch.export.export(net, (x,), dynamic_shapes={"x": {2: 2 * half}})
    x = torch.rand(1, 1, 30, 4)
    assert torch.equal(program.module()(x), net(x))


def ways():
    """A module, and what becomes of it in other hands."""
    net = archspec.loads(UNET).build(seed=0)
    yield "built", net
    yield "copied", copy.deepcopy(net)
    yield "pickled", pickle.loads(pickle.dumps(net))
    yield "compiled", torch.compile(net, backend="eager", dynamic=True)


@pytest.mark.parametrize("way", ["built", "copied", "pickled", "compiled"])
def test_other_sizes_are_refused_with_their_neighbours(way):
    net = dict(ways())[way]
    assert net(torch.zeros(2, 1, 6, 10)).shape == (2, 4, 6, 10)
    said = "H = 7 is not legal: H a multiple of 2, asked for by 4 (add, line 10); 6 and 8 are"
    with pytest.raises(ValueError) as caught:
        net(torch.zeros(1, 1, 7, 8))
    assert str(caught.value) == said
    with pytest.raises(ValueError, match=r"W = 1 is not legal: .*; 2 is$"):
        net(torch.zeros(1, 1, 8, 1))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_script_refuses_them_too():
    script = torch.jit.script(archspec.loads(UNET).build(seed=0))
    assert script(torch.zeros(1, 1, 4, 4)).shape == (1, 4, 4, 4)
    with pytest.raises(torch.jit.Error, match="H is not legal: H a multiple of 2, asked for by 4"):
        script(torch.zeros(1, 1, 5, 4))


def test_one_symbol_is_one_size():
    net = archspec.loads(PAIR).build(seed=0)
    assert net(a=torch.zeros(1, 5, 3), b=torch.zeros(1, 5, 3)).shape == (1, 5, 2)
    with pytest.raises(ValueError, match="the sizes that are called T differ"):
        net(a=torch.zeros(1, 5, 3), b=torch.zeros(1, 1, 3))


def test_modules_of_other_specs_have_the_code_that_they_had():
    plain = UNET.replace("sizes: {H: 32, W: 64}\n", "").replace("H, W", "32, 64")
    code = type(archspec.loads(plain).build()).code
    assert "not_legal" not in code
    declared = archspec.loads(UNET)
    _, body = code.split("\n", 1)
    checked = type(declared.build()).code
    assert checked.endswith(body) and len(checked) > len(code)
    assert "not_legal" not in type(declared.build(outputs=["stem"])).code


SPACED = """
name: spaced
sizes: {H: 8, W: 15}
inputs: {a: [2, H + 7], b: [2, W]}
layers:
  - {name: one, relu: , from: a}
  - {name: two, relu: , from: b}
outputs: {one: one, two: two}
"""


def test_an_expression_is_not_taken_for_the_next_symbol():
    arch = archspec.loads(SPACED)
    assert arch.contract().accepts(H=13, W=5)
    found = arch.build(seed=0)(torch.zeros(1, 2, 20), torch.zeros(1, 2, 5))
    assert [value.shape[2] for value in found.values()] == [20, 5]


def test_verify_runs_the_module_that_refuses_sizes():
    arch = archspec.loads(UNET)
    wrong = [SizeCheck("H", ((0, 2),), Sizes([(), (1,)]), "H odd")]
    found = verify(arch.graph, name="unet", checks=wrong).mismatches
    assert "H = 32 is not legal: H odd; 31 and 33 are" in str(found[0])
    assert verify(arch.graph, name="unet", checks=arch.size_checks()).ok


@pytest.mark.parametrize("name", ["getattr", "ValueError", "not_legal"])
def test_an_input_may_be_called_as_what_the_code_uses(name):
    text = f"name: odd\nsizes: {{H: 4}}\ninputs: {{{name}: [3, H, 4]}}\n"
    conv = "  - {conv2d: {out_channels: 2, kernel_size: 2}}\n"
    net = archspec.loads(f"{text}layers:\n{conv}  - relu\n").build(seed=0)
    assert net(torch.zeros(1, 3, 5, 4)).shape == (1, 2, 4, 3)
    with pytest.raises(ValueError, match="H = 1 is not legal"):
        net(torch.zeros(1, 3, 1, 4))
