"""`expand` writes a graph back as a spec with nothing left to evaluate, which is the same graph."""

from __future__ import annotations

import re

import pytest
from listing import listing, loaded, spec

import archspec
from archspec.expand.write import scalar
from archspec.ir.graph import walk


def unnumbered(arch: archspec.Architecture) -> list[str]:
    """The listing, without the numbers that tell apart blocks of one name in an expansion."""
    return [re.sub(r" = (\w+?)_\d+\(", r" = \1(", row) for row in listing(arch)]


def same(arch: archspec.Architecture) -> archspec.Architecture:
    """The architecture read back from its expansion, after comparing all that matters."""
    text = arch.expand()
    again = archspec.loads(text)
    assert unnumbered(again) == unnumbered(arch), text
    assert again.graph.outputs == arch.graph.outputs, text
    assert again.graph.output_names == arch.graph.output_names, text
    assert again.graph.input_names == arch.graph.input_names, text
    assert [v.step.op for v in walk(again.graph)] == [v.step.op for v in walk(arch.graph)], text
    bodies = [
        [visit.step.body and visit.step.body.outputs for visit in walk(a.graph)]
        for a in (again, arch)
    ]
    assert bodies[0] == bodies[1], text
    assert (again.name, again.doc, again.init, again.recipe) == (
        *(arch.name, arch.doc),
        *(arch.init, arch.recipe),
    ), text
    assert again.expand() == text
    return again


@pytest.mark.parametrize("name", archspec.bundled())
def test_every_bundled_spec_reads_back(name):
    same(archspec.load(name))


def test_numbers_beside_one_value_and_casts():
    arch = loaded(
        "- {name: a, to: int64}\n- add: {other: n}\n- mul: {inputs: a, other: -2}\n"
        "- add: ['1', '2']\n- to: float\n- mul: {other: n ** -0.5}",
        head="params: {n: 4}\n",
    )
    text = same(arch).expand()
    assert text[text.index("\nlayers:\n") :] == (
        "\nlayers:\n"
        "  - name: a\n    to: int64\n"
        "  - add: {inputs: [a], other: 4}\n"
        "  - mul: {inputs: [a], other: -2}\n"
        '  - add: ["1", "2"]\n'
        "  - to: float\n"
        '  - mul: {inputs: ["4"], other: 0.5}\n'
    )


def test_what_it_looks_like():
    arch = loaded(
        """
        - {name: stem, conv2d: {out_channels: 2 * n, kernel_size: 3, padding: same, bias: n > 1}}
        - repeat: 2
          layers: [{batch_norm: {eps: 1e-3}}, {relu: , when: false}, $act]
        - residual: {out_channels: 4}
        - {repeat: 2, residual: {out_channels: 4}}
        - add: ['7', stem]
        """,
        head="name: small\ndoc: 'Two words: these.'\ntrain: {lr: 1e-1}\n"
        "params: {n: 2, act: {leaky_relu: {negative_slope: 0.1}}}\n",
    )
    text = arch.expand()
    top, _, rest = text.partition("blocks:\n")
    assert top == ('archspec: 1\nname: small\ndoc: "Two words: these."\ninput: [4, 8, 8]\n')
    assert rest.count("  residual:\n") == 1
    assert rest[rest.index("\nlayers:\n") :] == (
        "\nlayers:\n"
        "  - name: stem\n"
        "    conv2d: {out_channels: 4, kernel_size: 3, padding: same}\n"
        "  - batch_norm: {eps: 0.001}\n"
        "  - leaky_relu: 0.1\n"
        "  - batch_norm: {eps: 0.001}\n"
        "  - leaky_relu: 0.1\n"
        "  - residual\n"
        "  - residual\n"
        "  - residual\n"
        '  - add: ["7", stem]\n'
        "ignore: [AS903]\n"
        "train: {lr: 0.1}\n"
    )
    same(arch)


@pytest.mark.parametrize(
    "layers",
    [
        "- {name: a, relu}\n- tanh\n- {name: b, sigmoid, from: a}",  # a gap in the numbers
        "- {name: '1', relu}\n- {name: no, tanh}\n- {name: 'true', gelu}\n- {name: 1e3, silu}",
        "- {name: g, layers: [{name: h, chunk: 2}, {relu: , from: 'h[1]', when: false}]}\n- relu",
        "- {name: g, layers: [{chunk: 2}]}\n- {add: ['g[1]', 'g[0]']}",
        "- {name: g, layers: []}\n- relu",
        "- {name: g, layers: [{relu: , when: false}]}\n- relu",
        "- {name: a, add: [input, input]}\n- {share: a, from: [a, input]}",
        "- {name: a, linear: 8}\n- {name: b, share: a}\n- {share: a, from: input}\n- add: [b, '2']",
        "- {name: p, parameter: {shape: [4, 8, 8]}}\n- {add: [input, p]}",
        "- {name: p, parameter: {shape: [1, 4, 8, 8]}}\n- {concat: {inputs: [input, p], dim: 2}}",
        "- reshape: [-1, 4]\n- permute: [0, 2, 1]\n- {softmax: -1}",
        "- adaptive_avg_pool2d: [null, 3]\n- upsample: {scale_factor: 2.0, mode: bilinear}",
        "- {name: r, repeat: 2, branches: [[{linear: 8}], []], merge: add}",
        "- {branches: {a: [relu], b: [], c: [tanh]}, merge: concat}",
        "- {mul: [input, input]}\n- {layer_norm: {axes: [1], eps: 1e-20}}",
    ],
)
def test_graphs_of_all_kinds_read_back(layers):
    same(loaded(layers))


def test_blocks_with_several_inputs_and_outputs_read_back():
    same(
        loaded(
            "- {name: s, swap, from: [input, input]}\n- {name: t, swap, from: ['s[0]', 's[1]']}\n"
            "- {swap: , from: ['t[1]', 's[1]']}",
            head="outputs: {a: '2[0]', b: '2[1]'}\n"
            "blocks: {swap: {inputs: [x, y], outputs: [b, a], "
            "layers: [{name: a, conv2d: {out_channels: in_channels + 1, kernel_size: 1}}, "
            "{name: b, tanh, from: y}]}}\n",
        )
    )


def test_blocks_of_one_name_and_different_graphs_get_different_names():
    arch = loaded("- residual: {out_channels: 4}\n- residual: {out_channels: 6}")
    again = archspec.loads(arch.expand())
    assert [layer.path for layer in again.layers] == [layer.path for layer in arch.layers]
    assert arch.expand().count("  residual_2:\n") == 1


def test_training_only_and_named_inputs_and_outputs_read_back():
    text = (
        "inputs: {image: [3, 8, 8], meta: [5]}\n"
        "outputs: {y: fc, aux: aux, raw: meta}\n"
        "layers:\n"
        "  - {name: body, flatten}\n"
        "  - {name: aux, training_only: true, layers: [{linear: 3}]}\n"
        "  - {name: both, concat: [body, meta]}\n"
        "  - {name: fc, linear: 2}\n"
    )
    same(archspec.loads(text))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0.1, "0.1"),
        (1e-20, "1e-20"),
        (10**20, "1" + "0" * 20),
        ("same", "same"),
        ("null", '"null"'),
        ("True", '"True"'),
        ("1e3", '"1e3"'),
        ("a b", '"a b"'),
        ("", '""'),
        ("é", '"é"'),
        ((1, (2.5, "x")), "[1, [2.5, x]]"),
        ({"a": [1], "b c": {}}, '{a: [1], "b c": {}}'),
    ],
)
def test_scalars(value, text):
    assert scalar(value) == text


def test_the_text_is_the_same_every_time():
    text = spec("- residual: {out_channels: 6}\n- {name: g, layers: [relu]}")
    assert archspec.loads(text).expand() == archspec.loads(text).expand()


@pytest.mark.parametrize(
    "text", ["\x7f", "\x85", "\u2028", "\ufeff", "\x9b", "é", "a\n\"b'\\", "🙂"]
)
def test_any_text_is_quoted_so_that_it_is_read_back(text):
    written = "".join(f"\\U{ord(character):08x}" for character in f"a{text}b")
    arch = archspec.loads(f'doc: "{written}"\ninput: [3]\nlayers: [relu]\n')
    assert arch.doc == f"a{text}b"
    again = archspec.loads(arch.expand())
    assert again.doc == arch.doc
    assert again.expand() == arch.expand()


@pytest.mark.parametrize(
    ("given", "found"),
    [(object(), "object"), ({1, 2}, "set"), (float("nan"), "nan"), (float("-inf"), "-inf")],
)
def test_a_given_value_that_is_not_plain_data_is_refused(given, found):
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads("params: {w: 3}\ninput: [4]\nlayers: [{linear: w}]", {"w": given})
    (said,) = raised.value.diagnostics
    assert (said.code, said.found) == ("AS304", found)
    assert said.message == "the value given for 'w' is not plain data"
