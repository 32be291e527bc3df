import io
import re
from typing import NamedTuple

import pytest
from hand_graphs import SPAN, Builder, Frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from test_summary_rows import summary

from archspec.analyses.cost import Cost
from archspec.analyses.layers import Layer
from archspec.analyses.summary import Summary, summarise
from archspec.analyses.table import (
    cut,
    describe,
    dims,
    lay_out,
    literal,
    percent,
    plain_text,
    rounded,
    size,
)
from archspec.analyses.terminal import terminal_view
from archspec.ir.fields import REQUIRED, Field
from archspec.ir.op import Op
from archspec.ir.shape import N

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
    assert plain_text(summary(), 80) == GOLDEN
    assert str(summary()) == GOLDEN


def test_folded_and_cut():
    assert "\n".join(plain_text(summary(depth=1), 52).split("\n")[2:12]) == FOLDED


def test_tree_where_whole_paths_have_no_room():
    lines = plain_text(summary(), 58).split("\n")
    assert [line[:6] for line in lines[4:10]] == [
        "stem  ",
        "  fc  ",
        "  1   ",
        "again ",
        "  fc  ",
        "  1   ",
    ]


def test_totals_alone():
    assert plain_text(summary(depth=0), 80).startswith("tiny\n\nInput ")


def test_unlimited_width_cuts_nothing():
    assert "…" not in plain_text(summary(), None)


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
        return {key: Field(int, REQUIRED if key == first else 0, None) for key in self.given}


def layer(path, op, arguments, output, parameters, macs):
    return Layer(
        path=path,
        op=op,
        operation=Drawn(arguments),
        reads=(),
        output_shapes=(output,),
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
)


def with_rows(found: list[Layer]) -> Summary:
    net = Builder((N, 4))
    net.add(Frozen())
    return summarise(net.graph())._replace(nodes=found)


@settings(max_examples=100)
@given(st.lists(rows, min_size=1, max_size=12), st.sampled_from([80, 100, 120]))
def test_no_table_is_wider_than_80_columns_and_no_figure_is_cut(found, width):
    text = plain_text(with_rows(found), width)
    assert all(len(line) <= width for line in text.split("\n"))
    table = text.split("\n")[4 : 4 + len(found)]
    for row, line in zip(found, table, strict=True):
        output, parameters, macs, _ = re.split(r"  +(?=\S)", line.rstrip())[-4:]
        assert output == dims(row.output_shape)
        assert parameters == f"{row.num_parameters:,}"
        assert macs in (f"{row.macs:,}", rounded(row.macs))
        assert row.path in line or macs == rounded(row.macs)


@settings(max_examples=30)
@given(st.lists(rows, min_size=1, max_size=6))
def test_rich_says_the_same(found):
    result = with_rows(found)
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=True, color_system=None).print(
        terminal_view(result, 80), crop=False
    )
    shown = [line.rstrip() for line in out.getvalue().split("\n")]
    plain = [line.rstrip() for line in plain_text(result, 80).split("\n")]
    assert shown[: 4 + len(found)] == plain[: 4 + len(found)]


def test_widths_are_those_of_the_cells():
    layout = lay_out(summary(), 52)
    for column, width in enumerate(layout.widths):
        assert max(len(row[column]) for row in layout.rows) <= width
