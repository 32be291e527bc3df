import re
from typing import NamedTuple

import pytest
from hand_graphs import SPAN, Builder, Frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from test_summary_rows import summary

import archspec
from archspec.analyses.cost import Cost
from archspec.analyses.layers import Layer
from archspec.analyses.summary import Summary, summarise
from archspec.analyses.table import (
    cut,
    describe,
    dims,
    lay_out,
    literal,
    macs_text,
    note,
    percent,
    rounded,
    size,
    summary_text,
    totals,
)
from archspec.ir.fields import REQUIRED, Field
from archspec.ir.op import REGISTRY, Op
from archspec.ir.shape import N
from archspec.ir.types import EVERY

GOLDEN = """\
tiny

Path      Layer                             Output    Params  MACs  Share
────────  ────────────────────────────────  ────────  ──────  ────  ─────
stem      mlp                               N×4           20    16  28.6%
stem.fc   affine(4)                         N×4           20    16  28.6%
stem.1    rectify                           N×4            0     0     0%
again     mlp = stem                        N×4            0    16  28.6%
again.fc  affine(4)                         N×4            0    16  28.6%
again.1   rectify                           N×4            0     0     0%
2         frozen                            N×4           10     0     0%
fc        affine(6, bias=false, scale=2.0)  N×6           24    24  42.9%
halves    halves                            2 of N×3       0     0     0%
token     learned(3)                        1×3            3     0     0%
6         join                              N×3            0     0     0%
aux       train: affine(1000)               N×1000     4,000     0     0%

Input               N×4
Output              N×3 (in training also aux N×1000)
Parameters          4,057 (4,047 trainable, 10 not)
Buffers             4
MACs                56 (in training 3,056)
Activations         8.04 KiB (8,232 bytes) at batch size 2
Saved for backward  200 bytes at batch size 2
State dict          15.87 KiB (16,248 bytes)

MACs: multiply-accumulates of convolutions, linear layers and matrix products,
for one sample in evaluation; all else is 0. Activations: what the nodes'
outputs occupy after one training forward pass; saved for backward: what
autograd keeps of it, parameters left out. Both count distinct storages, in
float32. A block's row has the totals of what is inside it; shares are of the
network's MACs. Layers marked "train:" run in training alone: their MACs are not
in these. "linear = fc" uses the module of fc again and owns nothing."""

FOLDED = """\
Path    Layer          Output    Params  MACs  Share
──────  ─────────────  ────────  ──────  ────  ─────
stem    mlp            N×4           20    16  28.6%
again   mlp = stem     N×4            0    16  28.6%
2       frozen         N×4           10     0     0%
fc      affine(6, bi…  N×6           24    24  42.9%
halves  halves         2 of N×3       0     0     0%
token   learned(3)     1×3            3     0     0%
6       join           N×3            0     0     0%
aux     train: affin…  N×1000     4,000     0     0%"""


def test_golden_text():
    assert summary_text(summary(), 80) == GOLDEN
    assert str(summary()) == GOLDEN


def test_folded_and_cut():
    assert "\n".join(summary_text(summary(depth=1), 52).split("\n")[2:12]) == FOLDED


def test_tree_where_whole_paths_have_no_room():
    lines = summary_text(summary(), 58).split("\n")
    assert [line[:6] for line in lines[4:10]] == [
        "stem  ",
        "  fc  ",
        "  1   ",
        "again ",
        "  fc  ",
        "  1   ",
    ]


def test_totals_alone():
    assert summary_text(summary(depth=0), 80).startswith("tiny\n\nInput ")


def test_unlimited_width_cuts_nothing():
    assert "…" not in summary_text(summary(), None)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10.00 K"),
        (118_013_952, "118.0 M"),
        (999_949, "999.9 K"),
        (999_950, "1.000 M"),
        (9_999_499, "9.999 M"),
        (1_734_890_496, "1.735 G"),
        (99_994_999_999, "99.99 G"),
        (4 * 10**15, "4,000.0 T"),
    ],
)
def test_rounded(count, text):
    assert rounded(count) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0%"), (1.0, "100%"), (0.5, "50.0%"), (1e-9, "0.1%"), (0.99999, "99.9%")],
)
def test_percent_says_none_and_all_of_those_alone(share, text):
    assert percent(share) == text


def test_small_forms():
    assert size(1023) == "1,023 bytes"
    assert size(1_310_720) == "1.25 MiB (1,310,720 bytes)"
    assert dims((N, 3, 224, 224)) == "N×3×224×224"
    assert dims(()) == "scalar"
    assert literal((None, True, [1, "same"], 1e-05)) == "[null, true, [1, same], 1e-05]"
    assert cut("abcdef", 4) == "abc…"
    assert cut("abcd", 4) == "abcd"


class Drawn(NamedTuple):
    """Stands for an op with these arguments, the first of them required."""

    given: dict
    primary = None

    def arguments(self):
        return self.given

    def fields(self):
        first = next(iter(self.given), None)
        defaults = {key: REQUIRED if key == first else 0 for key in self.given}
        return {key: Field(int, default, None, (int,)) for key, default in defaults.items()}


def layer(path, op, arguments, output, parameters, macs, dtype="float"):
    return Layer(
        path=path,
        name=path.rpartition(".")[2],
        depth=path.count("."),
        op=op,
        operation=Drawn(arguments),
        reads=(),
        output_shapes=(output,),
        output_dtypes=(dtype,),
        cost=Cost(num_trainable_parameters=parameters, macs=macs, training_macs=macs),
        share=0.5,
        shares=None,
        training_only=False,
        idle=False,
        span=SPAN,
    )


class Late(Op):
    """Has a required argument after one with a default."""

    op_name = "late"
    early: int = 0
    needed: int


def test_only_leading_arguments_go_without_names():
    one = layer("a", "late", {}, (N, 3), 0, 0)
    assert describe(one._replace(operation=Late(needed=2))) == "late(2)"
    assert describe(one._replace(operation=Late(early=1, needed=2))) == "late(early=1, needed=2)"


names = st.text("abcxyz0189_", min_size=1, max_size=16)
rows = st.builds(
    layer,
    st.lists(names, min_size=1, max_size=7).map(".".join),
    names,
    st.dictionaries(names, st.integers(0, 512) | st.booleans(), max_size=6),
    st.tuples(st.just(N), st.integers(1, 4096), st.integers(1, 512), st.integers(1, 512)),
    st.integers(0, 3 * 10**8),
    st.integers(0, 10**12),
    st.sampled_from(["float", "float", "int64", "bool"]),
)


def with_rows(found: list[Layer]) -> Summary:
    net = Builder((N, 4))
    net.add(Frozen())
    return summarise(net.graph())._replace(nodes=found)


@settings(max_examples=100)
@given(st.lists(rows, min_size=1, max_size=12), st.sampled_from([80, 100, 120]))
def test_no_table_is_wider_than_80_columns_and_no_figure_is_cut(found, width):
    text = summary_text(with_rows(found), width)
    assert all(len(line) <= width for line in text.split("\n"))
    table = text.split("\n")[4 : 4 + len(found)]
    for row, line in zip(found, table, strict=True):
        output, parameters, macs, _ = re.split(r"  +(?=\S)", line.rstrip())[-4:]
        assert output == dims(row.output_shape, *row.output_dtypes)
        assert parameters == f"{row.num_parameters:,}"
        assert macs in (f"{row.macs:,}", rounded(row.macs))
        assert row.path in line or macs == rounded(row.macs)


def tagged(role: str, text: str) -> str:
    return f"<{role}>{text}</>" if text else ""


@settings(max_examples=30)
@given(st.lists(rows, min_size=1, max_size=6))
def test_painting_adds_nothing_but_colours(found):
    result = with_rows(found)
    painted = summary_text(result, 80, tagged)
    assert re.sub("<[a-z ]+>|</>", "", painted) == summary_text(result, 80)


def test_what_is_painted():
    lines = summary_text(summary(), 80, tagged).split("\n")
    assert lines[0] == "<title>tiny</>"
    assert lines[4] == (
        "<block>stem    </>  <block op>mlp                             </>  <block>N×4     </>  "
        "<block>    20</>  <block>  16</>  <block>28.6%</>"
    )
    assert lines[5] == (
        "<faint>stem.</><row>fc </>  <op>affine</><faint>(4)                       </>  "
        "<row>N×4     </>  <row>    20</>  <row>  16</>  <hot>28.6%</>"
    )
    assert lines[6].endswith("<faint>     0</>  <faint>   0</>  <faint>   0%</>")
    assert lines[17] == "<faint>Input             </>  N×4"
    assert lines[-1].startswith("<faint>in these.")


def test_widths_are_those_of_the_cells():
    layout = lay_out(summary(), 52)
    for column, width in enumerate(layout.widths):
        assert max(len(row[column]) for row in layout.rows) <= width


def plain_layer(path, op, arguments=None, parameters=10, macs=20, **more) -> Layer:
    return layer(path, op, arguments or {}, (N, 4), parameters, macs)._replace(**more)


def test_columns_give_way_one_after_the_other():
    # Columns: path 9, layer 40, output 6 (its title), params 6, MACs 4, share 5, and 5 gaps of 2.
    nodes = [plain_layer("aaaa", "x" * 40), plain_layer("aaaa.bbbb", "y")]
    result, whole = with_rows(nodes), 9 + 40 + 6 + 6 + 4 + 5 + 5 * 2
    row = "aaaa       {}  N×4         10    20  50.0%"
    assert row.format("x" * 40) in summary_text(result, whole)
    assert row.format("x" * 38 + "…") in summary_text(result, whole - 1)
    assert row.format("x" * 23 + "…") in summary_text(result, whole - 16)
    tree = summary_text(result, whole - 17).split("\n")[4:6]
    # The paths are two columns of indentation and a name, 6, and the layers have what is left.
    assert tree == [
        f"aaaa    {'x' * 25}…  N×4         10    20  50.0%",
        f"  bbbb  y{' ' * 25}  N×4         10    20  50.0%",
    ]
    lines = summary_text(result, 40).split("\n")[4:6]
    assert lines == [
        "aaaa    xxxxxxx…  N×4         10    20  50.0%",
        "  bbbb  y         N×4         10    20  50.0%",
    ]


def painted_row(result: Summary, number: int) -> list[tuple[str, str]]:
    """The pieces of a row of the terminal's table, each with its role."""
    row = summary_text(result, 80, tagged).split("\n")[4 + number]
    return [(text.strip(), role) for role, text in re.findall("<([a-z ]+)>(.*?)</>", row)]


def test_colours_of_a_row():
    result = with_rows(
        [
            plain_layer("a", "block", operation=None, share=1.0),
            plain_layer("a.hot", "conv", {"k": 3}, share=0.1),
            plain_layer("a.warm", "conv", share=0.02),
            plain_layer("a.cold", "conv", parameters=0, share=0.019),
            plain_layer("a.none", "conv", macs=0, share=0.0),
        ]
    )
    block = "block"
    assert painted_row(result, 0) == [
        ("a", block),
        ("block", "block op"),
        ("N×4", block),
        ("10", block),
        ("20", block),
        ("100%", block),
    ]

    def op(name: str, after: list[tuple[str, str]], *figures: tuple[str, str]) -> list:
        start = [("a.", "faint"), (name, "row"), ("conv", "op"), *after]
        return [*start, ("N×4", "row"), *figures]

    row = ("10", "row"), ("20", "row")
    assert painted_row(result, 1) == op("hot", [("(3)", "faint")], *row, ("10.0%", "hot"))
    assert painted_row(result, 2) == op("warm", [], *row, ("2.0%", "warm"))
    cold = ("0", "faint"), ("20", "row"), ("1.9%", "row")
    assert painted_row(result, 3) == op("cold", [], *cold)
    none = ("10", "row"), ("0", "faint"), ("0%", "faint")
    assert painted_row(result, 4) == op("none", [], *none)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (1024, "1.00 KiB (1,024 bytes)"),
        (1024**2 - 1, "1024.00 KiB (1,048,575 bytes)"),
        (1024**2, "1.00 MiB (1,048,576 bytes)"),
        (3 * 1024**3, "3.00 GiB (3,221,225,472 bytes)"),
        (5000 * 1024**4, "5000.00 TiB (5,497,558,138,880,000 bytes)"),
    ],
)
def test_sizes_of_memory(count, text):
    assert size(count) == text


def several(shapes: list[tuple], dtypes: list[str]) -> str:
    """The output column of a node with several outputs."""
    made = {"output_shapes": tuple(shapes), "output_dtypes": tuple(dtypes)}
    row = summary_text(with_rows([plain_layer("a", "split", **made)]), 80).split("\n")[4]
    return re.split("  +", row)[2]


def test_several_outputs_of_other_shapes():
    assert several([(N, 4), (N, 3), (N, 2)], ["float"] * 3) == "N×4, +2"


def test_a_type_other_than_float_stands_with_the_shape():
    assert dims((N, 16), "int64") == "N×16 int64"
    assert dims((N,), "bool") == "N bool"
    assert dims((N, 16), "float") == dims((N, 16)) == "N×16"
    assert several([(N, 4)] * 2, ["int64"] * 2) == "2 of N×4 int64"
    assert several([(N, 4)] * 2, ["int64", "float"]) == "N×4 int64, +1"
    assert several([(N, 4)] * 2, ["float", "int64"]) == "N×4, +1"


def test_types_of_the_inputs_and_outputs_of_a_network():
    text = (
        "inputs: {tokens: {shape: [6], dtype: int64}, x: [4], label: {shape: [], dtype: bool}}\n"
        "layers: [{relu: , from: x}]\noutputs: {y: 0, t: tokens, l: label}\n"
    )
    arch = archspec.loads(text)
    assert dict(totals(arch.summary()))["Input"] == "tokens N×6 int64, x N×4, label N bool"
    assert dict(totals(arch.summary()))["Output"] == "y N×4, t N×6 int64, l N bool"
    named = {"tokens": "int64", "x": "float", "label": "bool"}
    assert arch.input_dtype == arch.summary().input_dtypes == named
    assert arch.output_dtype == {"y": "float", "t": "int64", "l": "bool"}
    assert repr(arch).startswith(
        "<Architecture network: {'tokens': ('N', 6) int64, 'x': ('N', 4), 'label': ('N',) bool} "
    )


def test_types_of_a_network_with_one_input_and_output(monkeypatch):
    monkeypatch.setattr(REGISTRY["identity"], "takes", EVERY)
    arch = archspec.loads("input: {shape: [6], dtype: int64}\nlayers: [identity]\n")
    assert re.search(r"0 +identity +N×6 int64 +0 +0 ", str(arch.summary()))
    assert repr(arch).startswith("<Architecture network: ('N', 6) int64 -> ('N', 6) int64, 0 ")
    assert arch.layers[0].output_dtypes == ("int64",)
    assert (arch.input_dtype, arch.output_dtype) == ("int64", "int64")
    assert dict(totals(arch.summary()))["Input"] == "N×6 int64"
    assert dict(totals(arch.summary()))["Output"] == "N×6 int64"
    assert " Floats count as float32; an int64 has 8 bytes, " in note(arch.summary())
    plain = archspec.loads("input: [6]\nlayers: [relu]\n")
    assert (plain.input_dtype, plain.output_dtype) == ("float", "float")
    assert plain.layers[0].output_dtypes == ("float",)
    assert "int64" not in str(plain.summary())


def test_types_of_outputs_that_only_training_has():
    text = (
        "inputs: {x: [4], t: {shape: [2], dtype: int64}}\nlayers:\n  - relu\n"
        "  - {name: aux, tanh: , training_only: true}\noutputs: {y: 0, t: t, aux: aux}\n"
    )
    arch = archspec.loads(text)
    assert arch.output_dtype == {"y": "float", "t": "int64"}
    assert arch.summary().output_dtypes == {"y": "float", "t": "int64", "aux": "float"}
    said = dict(totals(arch.summary()))["Output"]
    assert said == "y N×4, t N×2 int64 (in training also aux N×4)"


def test_macs_that_are_not_all_counted():
    assert macs_text(1234) == "1,234"
    assert macs_text(None) == macs_text(None, 0) == "not counted"
    assert macs_text(None, 1234) == "at least 1,234, the rest not counted"
