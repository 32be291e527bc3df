"""Contracts: known ones, and what compiling at each size says of them."""

from __future__ import annotations

import json
from itertools import product
from textwrap import dedent

import pytest
import torch
from hypothesis import given, reject, settings

import archspec
from archspec.cli import main
from archspec.diagnostics.diagnostic import SpecError
from archspec.testing.contracts import contract_mismatches
from archspec.testing.graphs import specs, to_text

U_NET = """\
input: [3, 64, 64]
blocks:
  up:
    inputs: [x, skip]
    layers:
      - conv_transpose2d: {out_channels: 4, kernel_size: 2, stride: 2}
      - concat: {inputs: ['0', skip]}
layers:
  - {name: enc1, conv2d: {out_channels: 4, kernel_size: 3, padding: 1}}
  - max_pool2d: 2
  - {name: enc2, conv2d: {out_channels: 4, kernel_size: 3, padding: 1}}
  - max_pool2d: 2
  - {name: bottom, conv2d: {out_channels: 4, kernel_size: 3, padding: 1}}
  - {name: up2, up: {}, from: [bottom, enc2]}
  - {name: up1, up: {}, from: [up2, enc1]}
"""

CASES = """\
input: [3, 32, 32]
layers:
  - {conv2d: {out_channels: 8, kernel_size: 3}, when: in_height > 7}
  - {max_pool2d: 2, when: in_height % 2 == 0}
  - global_avg_pool2d
"""

FACTORS = """\
input: [2, 30, 40]
layers:
  - {name: small, interpolate: {scale_factor: 0.5}}
  - interpolate: {scale_factor: 2.0}
  - add: [input, '1']
  - max_pool2d: {kernel_size: 3, stride: 2, ceil_mode: true}
  - slice: {dim: -1, start: 2, end: -1}
  - {chunk: {chunks: 3, dim: 2}, name: parts}
  - concat: {inputs: ['parts[2]', 'parts[0]'], dim: 2}
  - flatten: {start_dim: 2}
"""

PINNED = """\
input: [4, 9]
layers:
  - {repeat: in_features // 2, layers: [{conv1d: {out_channels: 4, kernel_size: 1}}]}
"""

MERGED = """\
input: [1, 12, 12]
params: {side: $(in_height // 2)}
layers:
  - pad: [0, -in_width % 4, 0, -in_height % 4]
  - conv2d: {out_channels: 2, kernel_size: 4, stride: 4}
  - flatten: {start_dim: 2}
  - permute: [0, 2, 1]
  - {linear: 'ceil(side / 2)', when: side < 9}
"""


def contract(text, names):
    arch = archspec.loads(dedent(text), warn=False)
    return arch, arch.contract(names)


def check(arch, found, cases):
    assert list(contract_mismatches(arch, found, cases)) == []


def near(found, name="S", period_up_to=33):
    """Sizes on both sides of each change of the contract, and one for each residue."""
    sizes = {1, 2, 3, found.stated[name], found.stated[name] + 1}
    for known in (found.sizes[name], found.compiles[name]):
        for changes in known.classes[:8]:
            sizes.update(place + more for place in changes for more in (-1, 0, 1))
        first = known.least or 1
        sizes.update(range(first, first + min(known.period, period_up_to) + 1))
    return [{name: size} for size in sorted(sizes) if size >= 1]


@pytest.mark.parametrize(
    ("spec", "fits", "compiles"),
    [
        ("alexnet", "193 ≤ S ≤ 224", "S ≥ 65"),
        ("lenet_bn", "28 ≤ S ≤ 31", "S ≥ 16"),
        ("vgg11", "224 ≤ S ≤ 255", "S ≥ 32"),
        ("nin", "S ≥ 67", "S ≥ 67"),
        ("torchvision/vit_b_32", "224 ≤ S ≤ 255", "S ≥ 32"),
        ("torchvision/squeezenet1_1", "S ≥ 17", "S ≥ 17"),
    ],
)
def test_bundled_specs_are_legal_where_compiling_says_so(spec, fits, compiles):
    arch = archspec.load(spec, warn=False)
    found = arch.contract("S,S")
    assert (found.text, found.compiles_text) == (fits, compiles)
    assert found.is_complete
    check(arch, found, near(found, period_up_to=5))


@pytest.mark.parametrize("text", [U_NET, CASES, FACTORS, PINNED, MERGED])
def test_one_symbol_is_exact(text):
    arch, found = contract(text, {PINNED: "L", FACTORS: "W"}.get(text, "S,S"))
    name = found.symbols[0]
    check(arch, found, near(found, name))
    check(arch, found, [{name: size} for size in range(1, 45)])


@pytest.mark.parametrize("text", [U_NET, CASES, FACTORS, MERGED])
def test_two_symbols_are_exact_at_given_sizes(text):
    arch, found = contract(text, "H,W")
    pairs = product((1, 3, 4, 8, 13, 16), (2, 4, 12, 17))
    check(arch, found, [{"H": h, "W": w} for h, w in pairs])


def test_contracts_of_random_graphs_are_exact():
    bounded = 0

    @settings(max_examples=20)
    @given(specs())
    def exact(spec):
        nonlocal bounded
        try:
            arch = archspec.loads(to_text(spec), warn=False)
        except SpecError:
            reject()
        found = arch.contract(["S"])
        check(arch, found, [{"S": size} for size in (1, 2, 3, 4, 5, 7, 8, 11, 16, 30)])
        bounded += found.text != "any S"

    exact()
    assert bounded >= 5


def test_a_u_net_names_the_node_that_asks():
    _, found = contract(U_NET, "H,W")
    assert str(found).splitlines() == [
        "contract: H and W a multiple of 4",
        "  H a multiple of 4  up1.1 (concat, line 7)",
        "  W a multiple of 4  up1.1 (concat, line 7)",
    ]
    assert found.refusal(H=30, W=8) == (
        "H = 30, W = 8 is not legal: H a multiple of 4, asked for by up1.1 (concat, line 7); "
        "H = 28 and 32 are"
    )
    assert found.refusal(H=28, W=8) is None
    assert found.neighbours(H=2, W=3) == {"H": (None, 4), "W": (None, 4)}


def test_weights_that_depend_on_a_size_bound_it():
    _, found = contract("input: [3, 12, 12]\nlayers: [max_pool2d: 4, flatten, linear: 5]", "H,W")
    assert str(found).splitlines() == [
        "contract: H and W ≥ 4; 3·⌊H/4⌋·⌊W/4⌋ = 27",
        "  H ≥ 4               0 (max_pool2d, line 2)",
        "  W ≥ 4               0 (max_pool2d, line 2)",
        "  3·⌊H/4⌋·⌊W/4⌋ = 27  2 (linear, line 2)",
        "another network: H ≥ 4, W ≥ 4, 3·⌊H/4⌋·⌊W/4⌋ ≠ 27: the weight of 2 has other sizes",
    ]
    assert found.is_complete
    assert found.accepts(H=13, W=15)
    assert found.accepts(H=4, W=36)
    assert not found.accepts(H=16, W=12)


def test_other_networks_are_listed_with_their_sizes():
    _, found = contract(CASES, "S,S")
    assert found.text == "S ≥ 8, a multiple of 2"
    assert [other.as_dict() for other in found.others] == [
        {"text": "1 ≤ S ≤ 7", "why": "0 differs"},
        {"text": "S ≥ 9, odd", "why": "1 differs"},
    ]


def test_a_condition_that_joins_symbols_and_only_chooses_is_none_of_compiling():
    text = "input: [2, 8, 6]\nlayers:\n  - {relu: , when: in_height * in_width > 40}\n  - sigmoid\n"
    arch, found = contract(text, "H,W")
    assert (found.text, found.compiles_text) == ("any H and W; H·W ≥ 41", "any H and W")
    assert [str(other.text) for other in found.others] == ["H·W ≤ 40"]
    check(arch, found, [{"H": h, "W": w} for h, w in ((8, 6), (5, 8), (41, 1), (1, 3))])


def test_a_condition_that_joins_symbols_holds_for_its_own_case_alone():
    text = "input: [2, 8, 8]\nlayers:\n  - {name: turned, permute: [0, 1, 3, 2]}\n"
    text += "  - {concat: [input, turned], when: in_width > 4, else: turned}\n  - sigmoid\n"
    arch, found = contract(text, "H,W")
    assert found.text == "any H; W ≥ 5; H = W"
    assert found.compiles_text == "W ≥ 5, H = W; or 1 ≤ W ≤ 4"
    check(arch, found, [{"H": h, "W": w} for h, w in ((8, 8), (9, 8), (4, 8), (3, 3), (5, 5))])


def test_a_count_along_a_symbol_leaves_its_sizes():
    _, found = contract(PINNED, "L")
    assert found.text == "8 ≤ L ≤ 9"


def test_a_condition_that_leaves_one_size_has_a_note():
    _, found = contract("input: [784]\nlayers: [linear: 10]", "F")
    assert list(found.lines()) == [
        "contract: F = 784",
        "  F = 784  0 (linear, line 2)",
        "another network: 1 ≤ F ≤ 783, or F ≥ 785: the weight of 0 has other sizes",
        "note: 0 (linear, line 2) leaves one size of F: for more, pool to a fixed size before it, "
        "or let it take no number from F",
    ]


def test_code_of_other_packages_has_no_contract():
    text = "input: [3, 8, 8]\nlayers: [module: torch.nn.Softsign]"
    arch = archspec.loads(text, allow_modules=["torch"])
    with pytest.raises(SpecError, match="runs at known sizes alone"):
        arch.contract("H,W")


@pytest.mark.parametrize("names", ["A,B,C,D", "3H", "H,not", "C,C,C"])
def test_names_that_do_not_suit_the_input_are_refused(names):
    with pytest.raises(SpecError):
        archspec.load("alexnet", warn=False).contract(names)


def test_sizes_have_names_by_default():
    sequence = archspec.loads("input: [5, 4]\nlayers: [{linear: 2}]").contract()
    assert (sequence.stated, sequence.text) == ({"T": 5, "F": 4}, "any T; F = 4")
    text = "inputs: {a: [3, 4, 6], b: [8]}\nlayers: [{from: a, max_pool2d: 2}]\n"
    text += "outputs: {x: '0', y: b}\n"
    found = archspec.loads(text, warn=False).contract()
    assert found.stated == {"H_a": 4, "W_a": 6, "F_b": 8}
    assert found.text == "H_a and W_a ≥ 2; any F_b"


def test_cases_that_repeat_too_seldom_are_left_open():
    whens = "".join(f"  - {{when: 'in_features % {p} == 0', tanh: }}\n" for p in (61, 67, 71))
    arch = archspec.loads(f"input: [2, 134]\nlayers:\n  - sigmoid\n{whens}", warn=False)
    found = arch.contract(["F"])
    assert not found.is_complete
    check(arch, found, [{"F": size} for size in (61, 67, 71, 134, 201, 61 * 67)])
    assert "more sizes than these may be legal" in str(found)


def test_a_symbol_without_a_size_is_refused():
    with pytest.raises(ValueError, match="for each of H, W"):
        contract(U_NET, "H,W")[1].accepts(H=3)


def test_the_terminal_prints_the_contract(capsys):
    assert main(["compile", "lenet_bn", "--contract", "S,S"]) == 0
    assert "contract: 28 ≤ S ≤ 31\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [["--contract", "H W"], ["--contract", "A,B,C,D"], ["--contract", "S,S", "--at", "S=3"]],
)
def test_nothing_is_printed_where_the_contract_is_refused(wrong, capsys):
    assert main(["compile", "lenet_bn", *wrong]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error AS")


def test_json_has_contract_and_formulas(capsys):
    assert main(["compile", "alexnet", "--contract", "S,S", "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["contract"]["text"] == "193 ≤ S ≤ 224"
    assert said["contract"]["requirements"][0]["op"] == "linear"
    assert said["contract"]["others"] == [
        {"text": "65 ≤ S ≤ 192, or S ≥ 225", "why": "the weight of 14 has other sizes"}
    ]
    assert said["formulas"]["macs"]["value"] == said["macs"]


def test_squares_are_legal_where_code_that_follows_each_side_is_right():
    text = """\
input: [1, 8, 8]
layers: [{interpolate: {size: ['4 * (in_height // in_width)', in_width]}}]
"""
    arch, found = contract(text, "S,S")
    net = arch.build(seed=0)
    assert found.text == "8 ≤ S ≤ 15"  # the code divides by 8: it knows no symbol for both sides
    for size in range(1, 40):
        right = arch.variant(input_shape=(1, size, size)).output_shape[1:]
        if size >= 8:  # less gives an empty image
            ours = tuple(net(torch.zeros(1, 1, size, size)).shape[1:])
            assert found.accepts(S=size) is (ours == right), size
    same = text.replace("in_height // in_width", "in_height // 2")
    assert contract(same, "S,S")[1].text == "S ≥ 2"


def test_a_number_that_only_happens_to_be_right_makes_no_size_legal():
    """At 1 by 7 the text has 7 numbers, as at 7 by 7; the code computes them from the height."""
    text = """\
input: [2, 7, 7]
layers:
  - {name: turned, permute: [0, 1, 3, 2]}
  - add: [input, turned]
  - {name: numbers, constant: {arange: in_height}}
  - add: ['1', numbers]
"""
    arch, found = contract(text, "H,W")
    assert not found.accepts(H=1, W=7)
    check(arch, found, [{"H": h, "W": w} for h, w in product((1, 2, 7), repeat=2)])
    x, there = torch.rand(1, 2, 1, 7), arch.variant(input_shape=(2, 1, 7))
    assert not torch.equal(arch.build()(x), there.build()(x))


def test_a_node_that_nothing_reads_asks_for_no_size():
    text = "input: [1, 8, 6]\nlayers:\n  - {name: unread, linear: in_features}\n"
    text += "  - {transition: {out_channels: 6}, from: input}\n"
    arch, found = contract(text, "H,W")
    assert str(found).splitlines() == [
        "contract: H and W ≥ 2",
        "  H ≥ 2  1.pool (avg_pool2d, line 4)",
        "  W ≥ 2  1.pool (avg_pool2d, line 4)",
    ]
    assert len(found.regions) == 1 and found.is_complete
    check(arch, found, [{"H": h, "W": w} for h, w in product((1, 2, 8), (1, 5, 6))])


def test_swin_has_more_windows_than_one_in_all_stages_but_the_last():
    found = archspec.load("torchvision/swin_t", warn=False).contract("S,S")
    # Its maps have floor(S / 4) rows, and half of them, rounded up, in each later stage.
    stages = {size: [-(-(size // 4) // 2**stage) for stage in range(4)] for size in range(4, 300)}
    legal = [size for size, rows in stages.items() if [each > 7 for each in rows] == [1, 1, 1, 0]]
    assert found.is_complete
    assert [size for size in range(1, 300) if size in found.sizes["S"]] == legal


@pytest.mark.parametrize(
    ("symbols", "said"),
    [
        ("H,W", "no input has 2 sizes\n  expected: at most 1 name, such as H"),
        ("HxW", "HxW is one name, of the last size alone"),
    ],
)
def test_names_of_sizes_are_as_many_as_an_input_has(symbols, said):
    arch = archspec.loads("input: [8]\nlayers: [relu]")
    with pytest.raises(SpecError, match=said):
        arch.contract(symbols)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ("[]", "no input has a size to name\n  expected: an input of one size or more"),
        ("[2, 3, 2, 3, 2]", "the 5 sizes of the input have no names\n  expected: names, such as"),
    ],
)
def test_an_input_without_names_of_its_sizes_says_so(sizes, said):
    arch = archspec.loads(f"input: {sizes}\nlayers: [relu]")
    with pytest.raises(SpecError, match=said):
        arch.contract()
