"""`expand` of a spec that declares sizes is the same network at each legal size."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

import archspec
from archspec.diagnostics.diagnostic import SpecError
from archspec.testing import following_specs, to_text
from archspec.testing.contracts import differences

U_NET = """
sizes: {H: 30, W: 41}
input: [3, H, W]
blocks:
  up: {inputs: [x, skip], layers: [{interpolate: {like: skip}}, {concat: {inputs: ['0', skip]}}]}
layers:
  - {name: stem, conv2d: {out_channels: 4, kernel_size: 3, padding: 1}}
  - {name: down-2, max_pool2d: 2}
  - {up: {}, from: [down-2, stem]}
  - {chunk: 2, name: halves}
  - {from: 'halves[1]', pad: [0, 'in_width % 3']}
  - {slice: {dim: 3, end: 'size("halves[0]", 3) // 2 + 1'}}
  - {reshape: [in_channels, in_height * in_width]}
"""
GIVEN_BY_CALLER = """
sizes: {H: 12, W: 9}
input: [2, H, W]
blocks:
  back: {params: {rows: int, columns: int}, layers: [{reshape: [2, rows, columns]}, relu]}
layers:
  - {reshape: [2, 'in_height * in_width']}
  - {back: {rows: 'size(input, 2)', columns: 'size(input, 3)'}}
"""


def check(text):
    """Whether the expansion declares sizes; it is the same network where it does."""
    arch = archspec.loads(text, warn=False)
    again = archspec.loads(arch.expand(), warn=False)
    assert not list(differences(arch.graph, again.graph)), arch.expand()
    if not again.sizes:
        return False
    ours, theirs = arch.contract(), again.contract()
    for step in (-3, -1, 1, 2, 5):
        sizes = {
            name: max(size + step * (i + 1), 1) for i, (name, size) in enumerate(arch.sizes.items())
        }
        if ours.accepts(**sizes):
            assert theirs.accepts(**sizes)
            one, two = (each.variant(sizes=sizes).graph for each in (arch, again))
            assert not list(differences(one, two)), f"{sizes}\n{arch.expand()}"
    return True


def test_numbers_that_follow_sizes_stay_expressions():
    arch = archspec.loads(U_NET, warn=False)
    again = archspec.loads(arch.expand(), warn=False)
    assert check(U_NET)
    assert again.contract().text == arch.contract().text == "H and W ≥ 2"
    assert again.formulas().output_shapes == arch.formulas().output_shapes
    assert again.variant(sizes={"H": 9, "W": 20}).output_shape == ("N", 4, 99)
    assert again.expand() == arch.expand()


def test_a_number_that_only_the_caller_knows_leaves_no_other_sizes():
    assert not check(GIVEN_BY_CALLER)
    again = archspec.loads(archspec.loads(GIVEN_BY_CALLER).expand())
    assert again.input_shape == ("N", 2, 12, 9)
    with pytest.raises(SpecError):
        again.variant(sizes={"H": 6})


def test_expansions_of_random_specs_are_the_same_at_each_size():
    declared = 0

    @settings(max_examples=40, deadline=None)
    @given(following_specs())
    def same(spec):
        nonlocal declared
        channels, height, width = spec["input"]
        text = to_text({"sizes": {"H": height, "W": width}, **spec, "input": [channels, "H", "W"]})
        try:
            declared += check(text)
        except SpecError:
            with pytest.raises(SpecError):
                archspec.loads(text, warn=False)

    same()
    assert declared >= 15
