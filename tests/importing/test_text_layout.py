"""Data as lines of YAML, held against a YAML reader."""

from __future__ import annotations

import pytest
import yaml

from archspec.importing.layout import NodeData, Nodes, Plain, entries, flow, mapping, plain, prose
from archspec.importing.writing import snake_case


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a + b", "a + b"),
        ("rates[0]", '"rates[0]"'),
        ("layer{index}", '"layer{index}"'),
        ("a if b == 'x' else c", "a if b == 'x' else c"),
        ("max(a, 8)", '"max(a, 8)"'),
        ("'x' if a else 'y'", "\"'x' if a else 'y'\""),
        ("true", '"true"'),
        ("12", '"12"'),
        ("-x", "-x"),
        ("a: b", '"a: b"'),
        ("", '""'),
    ],
)
def test_texts_are_quoted_where_braces_need_it(text, written):
    assert plain(text, flow=True) == written
    assert yaml.safe_load(f"{{key: {written}}}") == {"key": text}


def test_numbers_are_written_as_one_writes_them():
    assert flow([1e-6, 0.1, 1e20, True, None]) == "[1e-6, 0.1, 1e20, true, null]"


def node(**keys):
    made = NodeData(keys)
    made.form = next(key for key in keys if key not in ("name", "when"))
    return made


def test_a_node_takes_one_line_where_it_fits():
    nodes = [Plain("relu"), node(linear=10), node(name="fc", linear=10, when=Plain("a > 0"))]
    assert list(entries(nodes, "")) == [
        "- relu",
        "- linear: 10",
        "- {name: fc, linear: 10, when: a > 0}",
    ]


def test_a_long_node_takes_a_line_for_each_key():
    long = Plain("a" * 80)
    assert list(entries([node(name="fc", linear=long, when=Plain("a > 0"))], "")) == [
        "- name: fc",
        "  when: a > 0",
        f"  linear: {long}",
    ]


def test_a_long_list_goes_on_in_the_next_line():
    numbers = list(range(100, 140))
    lines = list(mapping({"channels": numbers}, ""))
    assert max(map(len, lines)) <= 100
    assert yaml.safe_load("\n".join(lines)) == {"channels": numbers}


def test_lists_below_a_node_are_indented():
    inner = node(name="inner", layers=Nodes([Plain("relu"), node(linear=3), Plain("tanh")]))
    assert list(entries([inner], "  ")) == [
        "  - name: inner",
        "    layers:",
        "      - relu",
        "      - linear: 3",
        "      - tanh",
    ]


def test_prose_is_folded():
    text = "word " * 40 + "end"
    lines = list(prose("doc", text))
    assert lines[0] == "doc: >-"
    assert max(map(len, lines)) <= 100
    assert yaml.safe_load("\n".join(lines)) == {"doc": text}
    assert list(prose("doc", "a: b")) == ['doc: "a: b"']


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("BasicConv2d", "basic_conv2d"),
        ("ConvNeXtBlock", "convnext_block"),
        ("MBConv", "mb_conv"),
        ("_DenseLayer", "dense_layer"),
        ("ViTLayer", "vit_layer"),
        ("MLP", "mlp"),
        ("Conv2dNormActivation", "conv2d_norm_activation"),
    ],
)
def test_classes_are_called_as_blocks_are(name, written):
    assert snake_case(name) == written
