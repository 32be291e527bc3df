"""`parallel`: a node once for each element, side by side."""

from __future__ import annotations

import pytest
import torch
from listing import first_line, keys, listed, listing, loaded, refused, write_files
from torch import nn

import archspec

CONV = "conv2d: {out_channels: 2 * r, kernel_size: 3, padding: r, dilation: r}"


class Rates(nn.Module):
    """What `{name: p, parallel: {r: [1, 2, 3]}, CONV, merge: concat}` must be."""

    def __init__(self):
        super().__init__()
        self.p = nn.ModuleList(nn.Conv2d(4, 2 * r, 3, padding=r, dilation=r) for r in (1, 2, 3))

    def forward(self, x):
        return torch.cat([layer(x) for layer in self.p], 1)


def equals(arch, mine, *inputs):
    """The emitted module has the keys, the weights, the MACs and the values of the other."""
    net = arch.build(seed=0)
    assert list(net.state_dict()) == list(mine.state_dict())
    mine.load_state_dict(net.state_dict())
    found, expected = net(*inputs), mine(*inputs)
    found = tuple(found.values()) if isinstance(found, dict) else (found,)
    expected = expected if isinstance(expected, tuple) else (expected,)
    assert len(found) == len(expected)
    assert all(map(torch.equal, found, expected))
    assert arch.num_parameters == sum(parameter.numel() for parameter in mine.parameters())
    again = archspec.loads(arch.expand(), warn=False)
    assert list(again.build(device="meta").state_dict()) == list(net.state_dict())
    other = again.build(seed=0)(*inputs)
    other = tuple(other.values()) if isinstance(other, dict) else (other,)
    assert all(map(torch.equal, found, other))


def test_a_named_parallel_is_a_scope_and_its_name_is_the_merge():
    arch = loaded(f"- {{name: p, parallel: {{r: [1, 2, 3]}}, {CONV}, merge: concat}}")
    equals(arch, Rates(), torch.randn(2, 4, 8, 8))
    assert arch.macs == 64 * 9 * 4 * (2 + 4 + 6)
    assert [row.split(" ->")[0] for row in listing(arch)] == [
        "p = group(input)",
        "p.0 = conv2d(input)",
        "p.1 = conv2d(input)",
        "p.2 = conv2d(input)",
        "p.3 = concat(0, 1, 2)",
    ]


@pytest.mark.parametrize(
    ("loop", "paths"),
    [
        ("name: p, parallel: 2", ["p", "p.0", "p.1"]),
        ("name: 'p{index}', parallel: 2", ["p0", "p1"]),
        ("parallel: 2", ["1", "2"]),
    ],
)
def test_names_are_those_of_a_repeat(loop, paths):
    rows = listed(f"- relu\n- {{{loop}, linear: 8 + index}}\n- {{name: last, concat: {{dim: 3}}}}")
    assert [row.split(" = ")[0] for row in rows] == ["0", *paths, "last"]
    reads = {"p": "p[0], p[1]", "p0": "p0, p1", "1": "1, 2"}[paths[0]]
    assert rows[-1] == f"last = concat({reads}) -> 4x8x17"


def test_the_layers_of_a_parallel_without_a_name_join_the_list():
    rows = listed(
        "- {parallel: {k: [1, 3]}, layers: [{max_pool2d: k}, {add: [input, input]}], from: input}\n"
        "- {name: last, identity: , from: '3'}\n- {concat: ['1', '1']}\n"
    )
    assert rows[0] == "1 = add(input, input) -> 4x8x8"


class Fuse(nn.Module):
    def __init__(self):
        super().__init__()
        self.add_module("0", nn.Linear(8, 8))
        self.add_module("2", nn.Linear(8, 8))

    def forward(self, x):
        return self.get_submodule("0")(x) + x + self.get_submodule("2")(x)


@pytest.mark.parametrize("loop", ["name: '{index}', parallel: 3", "parallel: 3"])
def test_an_element_that_is_not_there_keeps_its_place_and_number(loop):
    arch = loaded(f"- {{{loop}, linear: 8, when: index != 1, merge: add}}", input="[8]")
    equals(arch, Fuse(), torch.randn(3, 8))
    assert listing(arch)[-1] == "3 = add(0, input, 2) -> 8"


def test_children_of_a_scope_have_the_numbers_of_their_elements():
    arch = loaded("- {name: f, parallel: 3, linear: 8, when: index != 1, merge: add}", input="[8]")
    assert keys(arch) == ["f.0.weight", "f.0.bias", "f.2.weight", "f.2.bias"]
    assert listing(arch)[-1] == "f.3 = add(0, input, 2) -> 8"
    arch = loaded("- {name: f, parallel: 3, linear: 8, when: index > 1}\n- concat", input="[8]")
    assert listing(arch)[-1] == "1 = concat(f[0], f[1], f[2]) -> 24"
    equals(arch, Last(), torch.randn(3, 8))


class Last(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.ModuleDict({"2": nn.Linear(8, 8)})

    def forward(self, x):
        return torch.cat([x, x, self.f["2"](x)], 1)


ROWS = """
blocks:
  path:
    params: {of: int, to: int}
    layers:
      - {upsample: {scale_factor: 2 ** (of - to)}, when: of > to}
      - repeat: 'max(to - of, 0)'
        conv2d: {out_channels: 4, kernel_size: 3, stride: 2, padding: 1}
  row:
    inputs: [xs...]
    params: {i: int}
    layers:
      - {parallel: {j: len(xs)}, name: '{j}', from: 'xs[j]', when: i != j, path: {of: j, to: i}, \
merge: add}
      - relu
  exchange:
    inputs: [xs...]
    layers:
      - {name: branches, parallel: {j: len(xs)}, from: 'xs[j]', layers: [{linear: in_width}, relu]}
      - {name: fuse, parallel: {i: len(xs)}, from: branches, row: {i: i}}
"""


def down(steps):
    return nn.Sequential(*(nn.Conv2d(4, 4, 3, stride=2, padding=1) for _ in range(steps)))


class Exchange(nn.Module):
    """HRNet's module, for three resolutions of 8, 4 and 2 pixels."""

    def __init__(self):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(size, size), nn.ReLU()) for size in (8, 4, 2)
        )
        self.fuse = nn.ModuleList(
            nn.ModuleDict({str(j): down(i - j) for j in range(i)}) for i in range(3)
        )

    def forward(self, *xs):
        ys = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        found = []
        for i in range(3):
            total = 0
            for j, y in enumerate(ys):
                if j > i:
                    y = nn.functional.interpolate(y, scale_factor=2 ** (j - i))
                elif j < i:
                    y = self.fuse[i][str(j)](y)
                total = total + y
            found.append(torch.relu(total))
        return tuple(found)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = Exchange(), Exchange()

    def forward(self, x):
        pooled = nn.functional.max_pool2d(x, 2)
        return self.b(*self.a(x, pooled, nn.functional.max_pool2d(pooled, 2)))


def test_resolutions_that_all_meet_are_written_once():
    arch = loaded(
        "- {name: p, max_pool2d: 2}\n- {name: q, max_pool2d: 2}\n"
        "- {name: a, exchange: , from: [input, p, q]}\n- {name: b, exchange}\n",
        head=ROWS + "\noutputs: b\n",
    )
    equals(arch, Net(), torch.randn(2, 4, 8, 8))
    assert arch.verify(elsewhere=False).ok


def test_an_empty_list_lets_the_input_pass():
    nodes = "- {{name: a, relu: }}\n- {{name: p, parallel: in_width - {}, linear: 3, merge: add}}\n"
    arch = loaded(nodes.format(8) + "- {mul: [p, input]}")
    assert listing(arch)[1:] == ["1 = mul(a, input) -> 4x8x8"]


def test_branches_without_a_merge_give_their_results():
    nodes = "- {{{}branches: [[{{chunk: 2}}], [{{name: r, relu: }}], []]}}\n- {{name: c, concat}}"
    assert listed(nodes.format(""))[-1] == "c = concat(0[0], 0[1], r, input) -> 12x8x8"
    arch = loaded(nodes.format("name: b, "))
    assert listing(arch)[-1] == "c = concat(b[0], b[1], b[2], b[3]) -> 12x8x8"
    assert listing(archspec.loads(arch.expand()))[-1] == listing(arch)[-1]


def test_elements_of_a_scope_are_patched_by_their_numbers(tmp_path):
    write_files(
        tmp_path,
        base="""
            input: [8]
            layers:
              - {name: a, linear: 8}
              - {name: p, parallel: 3, from: a, linear: 8, when: index > 0, merge: add}
              - {parallel: 3, linear: 8, when: index > 0, merge: add}
            """,
        variant="""
            extends: base.yaml
            patch:
              - {insert_after: p.2, with: relu}
              - {replace: p.3, with: mul}
              - {insert_before: p, with: tanh}
              - {remove: '3'}
              - {insert_after: '4', with: sigmoid}
            """,
    )
    base = archspec.load(str(tmp_path / "base.yaml"))
    assert [row.split(" ->")[0] for row in listing(base)] == [
        "a = linear(input)",
        *("p = group(a)", "p.1 = linear(input)", "p.2 = linear(input)", "p.3 = add(input, 1, 2)"),
        *("3 = linear(p)", "4 = linear(p)", "5 = add(p, 3, 4)"),
    ]
    arch = archspec.load(str(tmp_path / "variant.yaml"), warn=False)
    assert [row.split(" ->")[0] for row in listing(arch)] == [
        *("a = linear(input)", "1 = tanh(a)", "p = group(1)"),
        *(
            "p.1 = linear(input)",
            "p.2 = linear(input)",
            "p.3 = relu(2)",
            "p.4 = mul(input, 1, 3)",
        ),
        *("4 = linear(p)", "5 = sigmoid(4)", "6 = add(p, p, 5)"),
    ]


class Again(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
        self.p = nn.ModuleList([nn.Linear(8, 4), nn.Linear(8, 4)])

    def forward(self, x):
        a = self.a(x)
        b = self.b(a)
        return torch.cat([self.p[0](a), self.p[1](b), self.p[0](b), self.p[1](a)], 1)


def test_a_parallel_is_shared_with_other_values():
    arch = loaded(
        "- {name: a, linear: 8}\n- {name: b, linear: 8}\n- {name: both, from: [a, b]}\n"
        "- {name: p, parallel: 2, from: 'both[index]', linear: 4}\n"
        "- {name: again, share: p, from: [b, a]}\n- {concat: [p, again]}",
        input="[8]",
    )
    equals(arch, Again(), torch.randn(3, 8))


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("{parallel: 2, repeat: 2, relu: }", "a node repeats in a chain or stands side by side"),
        ("{parallel: [1, 2], relu: }", "a list to walk needs a name for its elements"),
        ("{parallel: 0, relu: }", "a parallel of 0"),
        ("{parallel: 1.5, relu: }", "a parallel counts in whole numbers, got a number, 1.5"),
        ("{parallel: 2, relu: , merge: [add]}", "`merge` is one op, not a list"),
        ("{parallel: 2, relu: , merge: {add: , from: a}}", "a merge takes what the elements give"),
        ("{parallel: 2, relu: , merge: tanh}", "tanh takes 1 input(s), got 2"),
        ("{parallel: 2, relu: , from: 'a[index]'}", "'a' has 1 output, counted from 0"),
        ("{parallel: 2, name: p, relu: , from: b}", "no node before this one is called 'b'"),
        ("{name: b, from: a, parallel: 2}", "`parallel` has no effect on a node of `from` alone"),
        ("{parallel: 2, layers: [{name: n, relu: }]}", "every iteration would be called 'n'"),
        (
            "{parallel: 2, relu: , when: index > 0, else: {from: [a, a]}}",
            "both sides of `when` and `else` give equally many values",
        ),
        (
            "{parallel: 2, relu: , when: index > 0, else: {repeat: 2, tanh: }}",
            "one element stands in one place, and `repeat` would make several nodes",
        ),
        (
            "{parallel: 2, share: true, linear: 8, when: index > 0, else: a}",
            "`share: true` has one module for all elements, and `else` would make another",
        ),
        ("{parallel: 2, relu: , when: index > 0, else: b}", "no node before this one is called"),
        ("{parallel: 2, chunk: 2, when: index > 0}", "a node of 2 values with a `when` needs an"),
    ],
)
def test_a_wrong_parallel_is_refused(node, said):
    assert said in first_line(refused(f"- {{name: a, relu: }}\n- {node}\n- concat"))


def test_a_parallel_behind_no_value_is_refused():
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(
            "input: [4]\nblocks:\n  b:\n    inputs: [x, xs...]\n    layers:\n"
            "      - {name: none, from: xs}\n      - {name: e, parallel: 2, linear: 3}\n"
            "layers: [{b: , from: input}]\n"
        )
    (said,) = raised.value.diagnostics
    assert (said.code, said.span.line) == ("AS504", 7)
    assert said.message == "none of its elements reads a value"


class Chosen(nn.Module):
    """A linear, a value of the list, a linear behind an activation: what each element chose."""

    def __init__(self, scope):
        super().__init__()
        self.a = nn.Linear(8, 8)
        layers = {"0": nn.Linear(8, 8), "2": nn.Sequential(nn.Tanh(), nn.Linear(8, 8, bias=False))}
        if scope:
            self.p = nn.ModuleDict(layers)
        else:
            self.p0, self.p2 = layers["0"], layers["2"]

    def forward(self, x):
        a = self.a(x)
        first, last = (self.p["0"], self.p["2"]) if hasattr(self, "p") else (self.p0, self.p2)
        return first(a) + x + last(x)  # the list reads what the node in whose place it is reads


@pytest.mark.parametrize("name", ["p", "'p{index}'"])
def test_an_else_is_that_of_each_element(name):
    arch = loaded(
        "- {name: a, linear: 8}\n"
        f"- {{name: {name}, parallel: 3, linear: 8, when: index == 0, merge: add, else:"
        " {from: input, when: index == 1, else: [tanh, {linear: {out_features: 8, bias: false},"
        " from: '0'}]}}",
        input="[8]",
    )
    equals(arch, Chosen(name == "p"), torch.randn(3, 8))
    assert arch.macs == 3 * 64
    assert arch.verify(elsewhere=False).ok


def test_an_element_names_what_is_there_for_it_alone():
    rows = listed(
        "- {name: h0, relu: }\n- {name: h1, tanh: }\n"
        "- {parallel: 3, layers: [{linear: 4}, gelu], from: 'h{index - 1}', when: index > 0,"
        " else: {linear: 2, from: h0}}\n- {concat: {dim: 3}}"
    )
    assert [row.split(" ->")[0] for row in rows[2:]] == [
        "2 = linear(h0)",
        "3 = linear(h0)",
        "4 = gelu(3)",
        "5 = linear(h1)",
        "6 = gelu(5)",
        "7 = concat(2, 4, 6)",
    ]


def test_a_parallel_may_stand_under_an_else_of_a_node():
    text = "- {name: p, linear: 16, when: false, else: {parallel: 2, linear: 8, merge: concat}}"
    arch = loaded(text, input="[8]")
    assert keys(arch) == ["p.0.weight", "p.0.bias", "p.1.weight", "p.1.bias"]
    assert archspec.loads(arch.expand()).macs == arch.macs == 2 * 64
    assert "give equally many values" in refused(
        text.replace(", merge: concat", "") + "\n- concat", input="[8]"
    )


def test_elements_are_read_by_number_and_tapped():
    text = "- {name: p, parallel: 3, linear: 4 * (index + 1)}\n- {concat: [p.2, p.0]}\n"
    arch = loaded(text, input="[8]")
    assert listing(arch)[-1] == "1 = concat(p[2], p[0]) -> 16"
    net = arch.build(seed=0, outputs=["p.1", "1"])
    x = torch.randn(2, 8)
    found = net(x)
    child = net.get_submodule("p.1")
    assert torch.equal(found["p.1"], child(x))
    assert found["1"].shape == (2, 16)


def test_patches_reach_the_elements(tmp_path):
    write_files(
        tmp_path,
        base="""
            input: [8]
            layers:
              - {name: p, parallel: 3, linear: 8, when: index != 1, else: {tanh: }, merge: add}
            """,
        variant="""
            extends: base.yaml
            patch:
              - {insert_after: p.1, with: {name: more, linear: 8}}
              - {replace: p.2, with: {linear: {out_features: 8, bias: false}}}
            """,
    )
    arch = archspec.load(tmp_path / "variant.yaml", warn=False)
    assert keys(arch) == ["p.0.weight", "p.0.bias", "p.more.weight", "p.more.bias", "p.3.weight"]
    assert listing(arch)[-1] == "p.4 = add(0, more, 3) -> 8"
    assert arch.verify(elsewhere=False).ok
