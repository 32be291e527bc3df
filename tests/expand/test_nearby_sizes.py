"""The sizes of the input that a help names, held against compiling at every size."""

from __future__ import annotations

import json
import random
import re
import time
from contextlib import suppress
from unittest.mock import patch

import pytest

import archspec
from archspec import SpecError

NETWORKS = 90
FAR = 72
"""Sizes up to which each is compiled."""

LAYERS = (
    lambda r: {"conv2d": {"out_channels": 2, "kernel_size": r.choice([2, 3, 5, 7, 11])}},
    lambda r: {"conv2d": {"out_channels": 2, "kernel_size": 3, "stride": r.choice([2, 3])}},
    lambda r: {"conv2d": {"out_channels": 2, "kernel_size": [r.choice([1, 4, 9]), 3]}},
    lambda r: {
        "conv2d": {"out_channels": 2, "kernel_size": 9, "padding": 8, "padding_mode": "reflect"}
    },
    lambda r: {"max_pool2d": {"kernel_size": r.choice([2, 3, 6]), "ceil_mode": r.random() < 0.5}},
    lambda r: {"pad": [r.choice([-3, 0, 2]), 0, 0, r.choice([-2, 1])]},
    lambda r: {"max_pool2d": 2, "when": r.choice(["in_height % 2 == 0", "in_width > 9"])},
    lambda r: {"repeat": "1 + in_width // 9", "conv2d": {"out_channels": 2, "kernel_size": 3}},
)


def drawn(r):
    """The layers of a network that runs at some sizes and not at others."""
    layers = [r.choice(LAYERS)(r) for _ in range(r.randint(1, 4))]
    end = r.choice(["none", "none", "skip", "skip", "reshape", "halves"])
    if end == "skip":
        factor = r.choice([2, 3, 4])
        layers += [
            {"name": "skip", "relu": None},
            {"max_pool2d": factor},
            {"name": "up", "interpolate": {"scale_factor": factor}},
            {r.choice(["add", "concat"]): ["skip", "up"]},
        ]
    elif end == "reshape":
        layers.append({"reshape": [r.choice([5, 7, 6]), -1]})
    elif end == "halves":
        layers += [
            {"name": "halves", "chunk": {"chunks": 2, "dim": -1}},
            {"add": ["halves[0]", "halves[1]"]},
        ]
    return layers


def refusal(layers, sizes):
    text = json.dumps({"input": [2, *sizes], "layers": layers})
    try:
        archspec.loads(text, warn=False)
    except SpecError as error:
        return error
    return None


def compiles(layers, sizes):
    with patch("archspec.expand.program.MAX_NODES", -1):  # without a help, which is what is tried
        return refusal(layers, sizes) is None


def named(error):
    """The sizes that the help names, without the channels."""
    helps = " ".join([each.help for each in error.diagnostics if each.help])
    return [
        (int(height), int(width)) for height, width in re.findall(r"\[2, (\d+), (\d+)\]", helps)
    ]


def between(stated, found, axis):
    """The inputs between the stated one and another, on one axis or on both of a square."""
    low, high = sorted((stated[axis], found[axis]))
    for size in range(low + 1, high):
        if stated[0] == stated[1]:
            yield size, size
        else:
            yield (size, stated[1]) if axis == 0 else (stated[0], size)


def test_no_size_nearer_than_the_named_ones_compiles():
    r, seen = random.Random(5), {"below": 0, "above": 0, "none": 0, "both axes": 0}
    for _ in range(NETWORKS):
        layers, height = drawn(r), r.randint(1, 36)
        stated = (height, height if r.random() < 0.7 else r.randint(1, 36))
        error = refusal(layers, stated)
        if error is None:
            continue
        found = named(error)
        for sizes in found:
            assert compiles(layers, sizes), (layers, stated, sizes)
            moved = [axis for axis in (0, 1) if sizes[axis] != stated[axis]]
            if stated[0] != stated[1] and len(moved) == 2:
                seen["both axes"] += 1  # each is the nearest at which a square fits
                continue
            seen["above" if sizes[moved[0]] > stated[moved[0]] else "below"] += 1
            for other in between(stated, sizes, moved[0]):
                assert not compiles(layers, other), (layers, stated, sizes, other)
        if period := re.search(r"multiples of (\d+) fit", str(error)):
            for size in range(found[0][0], FAR, int(period[1])):
                assert compiles(layers, (size, size)), (layers, stated, size)
        small = any(each.too_small for each in error.diagnostics)
        bare = any(str(each.code) == "AS401" and not each.help for each in error.diagnostics)
        if stated[0] == stated[1] and not found and (small or bare):
            seen["none"] += 1
            for size in range(height + 1, FAR) if small else range(height // 2 + 1, 2 * height):
                assert not compiles(layers, (size, size)), (layers, stated, size)
    assert seen["below"] + seen["above"] > 30 and min(seen.values()) > 0, seen


def helps(text):
    with pytest.raises(SpecError) as raised:
        archspec.loads(text, ignore=["AS904"])
    return [each.help for each in raised.value.diagnostics]


def test_neighbours_may_be_further_than_the_halvings_of_a_network():
    text = """\
input: [1, 150, 150]
layers:
  - max_pool2d: 100
  - {name: up, conv_transpose2d: {out_channels: 1, kernel_size: 100, stride: 100}}
  - concat: [input, up]
"""
    (help_,) = helps(text)
    assert help_.endswith(
        "sizes that are multiples of 100 fit: `input: [1, 100, 100]` or `[1, 200, 200]`"
    )


def test_an_image_that_is_no_square_may_need_both_axes():
    assert helps("input: [1, 5, 8]\nlayers: [{max_pool2d: 10}]\n") == [
        "a kernel_size of at most 5 fits; an input that fits is `input: [1, 10, 10]`"
    ]


def test_a_size_is_not_called_legal_where_another_mistake_keeps_all_from_being_so():
    text = "input: [1, 8, 8]\nlayers: [{max_pool2d: 10}, {reshape: [7]}]\n"
    assert helps(text) == [
        "a kernel_size of at most 8 fits; every window fits an input height and width of 10"
    ]


def test_a_mistake_that_was_there_before_is_passed_over():
    text = "input: [1, 8, 8]\nlayers: [{max_pool2d: 10}, {reshape: [7, -1], from: input}]\n"
    window, _ = helps(text)
    assert window.endswith("the smallest legal input height and width here are 10: "
                           "`input: [1, 10, 10]`")  # fmt: skip


def test_where_symbols_are_the_sizes_no_input_is_written_over_them():
    text = "sizes: {H: 30, W: 40}\ninput: [1, H, W]\nlayers: [{reshape: [7, -1]}]\n"
    assert helps(text) == ["sizes that are multiples of 7 fit: `[1, 28, 35]` or `[1, 35, 42]`"]


CASES = """\
sizes: {S: 31, T: 4}
input: [2, S, T]
layers:
  - {max_pool2d: [2, 1], when: in_height % 2 == 0}
  - {max_pool2d: [2, 1], when: in_height > 9}
  - {max_pool2d: [2, 1]}
  - {name: halves, chunk: {chunks: 2, dim: 2}}
  - {add: ['halves[0]', 'halves[1]']}
"""


def test_of_many_cases_the_nearest_sizes_of_a_symbol_are_named():
    legal = []
    for size in range(1, 64):
        with suppress(SpecError):
            archspec.loads(CASES, sizes={"S": size}, warn=False)
            legal.append(size)
    below, above = (max(n for n in legal if n < 31), min(n for n in legal if n > 31))
    assert helps(CASES) == [f"S = 31 is not legal here: {below} and {above} are"]


def test_a_symbol_of_any_size_may_be_at_fault():
    text = "sizes: {T: 3}\ninput: [T, 2]\nlayers: [{slice: {dim: 1, start: 70000}}]\n"
    assert helps(text) == ["T = 3 is not legal here: 70001 is"]


def test_where_each_of_two_symbols_would_do_both_are_said():
    text = "sizes: {T: 5, U: 4}\ninputs: {a: [2, T], b: [2, U]}\n"
    text += "layers: [{concat: {inputs: [a, b], dim: 2}}, {reshape: [7, -1]}]\n"
    assert helps(text) == ["T = 5 is not legal here: 3 and 10 are; "
                           "U = 4 is not legal here: 2 and 9 are"]  # fmt: skip


def test_code_of_a_package_runs_at_each_size_that_is_tried():
    text = "input: [3, 8, 8]\nlayers: [{module: torch.nn.ReLU}, {max_pool2d: 10}]\n"
    with pytest.raises(SpecError, match=r"smallest legal input height and width here are 10: "):
        archspec.loads(text, allow_modules=["torch"])


def test_of_too_many_cases_some_input_that_fits_is_named():
    text = "input: [1, 8, 8]\nlayers: [{repeat: %d, conv2d: {out_channels: 1, kernel_size: 3}}]\n"
    (few,), (many,) = helps(text % 20), helps(text % 300)
    assert few.endswith(
        "the smallest legal input height and width here are 41: `input: [1, 41, 41]`"
    )
    assert many.endswith("an input that fits is `input: [1, 1024, 1024]`")


FLOORS = " + ".join(f"in_height // {number}" for number in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29))
SLOW = {
    "products": f"{{when: 'len([1 for i in range(9000) if ({FLOORS}) ** 2 < -i]) > 0', relu: }}",
    "questions": "{when: 'len([1 for i in range(60000) if in_height // 997 + i < 0]) > 0', relu: }",
    "periods": f"{{when: '({FLOORS}) % 997 == 3', relu: }}",
    "one size each": "{repeat: 90 * in_height, relu: }",
    "nested floors": "{repeat: 600, layers: [{max_pool2d: 3}, {interpolate: {scale_factor: 2}}, "
    "{pad: [0, 29, 0, 29]}]}",
}


@pytest.mark.parametrize("what", SLOW)
def test_the_search_is_bounded(what):
    start = time.process_time()
    (help_,) = helps(f"input: [1, 80, 80]\nlayers: [{SLOW[what]}, {{max_pool2d: 4000}}]\n")
    assert time.process_time() - start < 4
    assert help_.startswith("a kernel_size of at most")
