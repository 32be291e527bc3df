"""Sound texts to start from, and the words that hostile ones are made of."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

import archspec.ops  # noqa: F401 (lists the ops)
from archspec.document.node_keys import NODE_KEYS as NODE_WORDS
from archspec.ir.op import REGISTRY
from archspec.text.files import BLOCKS, SPECS
from fuzzing.trees import Raw, tree

HEAD = "input: [4, 8, 8]\n"

EXTRA = (
    HEAD + "layers: [relu, {name: a, linear: 3}, {share: a, from: input}]\n",
    HEAD + "layers:\n- branches: {x: [{conv2d: {out_channels: 2, kernel_size: 1}}], y: []}\n"
    "  merge: concat\n  name: both\n- {chunk: 2, name: halves}\n"
    "- add: ['halves[0]', 'halves[1]']\n",
    "inputs: {image: [3, 8, 8], meta: [4]}\nlayers:\n- {flatten: , from: image, name: flat}\n"
    "- concat: [flat, meta]\n- {linear: 3, name: a}\n- {linear: 2, name: b, training_only: true}\n"
    "outputs: {main: a, aux: b}\n",
    "extends: resnet18\nparams: {num_classes: 7}\npatch:\n- remove: stage1.0.norm1\n"
    "- insert_after: stem\n  with: [relu, {dropout: 0.1}]\n- replace: fc\n  with: {linear: 3}\n"
    "- insert_before: stage2\n  with: relu\n",
    HEAD + "params: {depths: [1, 2], act: relu, w: $(in_channels * 2)}\nblocks:\n  b:\n"
    "    params: {n: int, act: layers, r: $(in_channels == n)}\n    layers:\n"
    "    - conv2d: {out_channels: n, kernel_size: 3, padding: 1}\n      name: c\n    - $act\n"
    "    - {add: [-1, input], when: r}\nlayers:\n- repeat: {d: depths}\n  layers:\n"
    "  - repeat: d\n    name: 'stage{d}_{index}'\n    b: {n: '4 * (index + 1)', act: $act}\n"
    "- {linear: w, when: in_features > 3}\n",
    HEAD + "params: {c: true, n: 3}\nblocks:\n  tree:\n    params: {n: int}\n    layers:\n"
    "    - {name: a, relu, when: n == 1, else: {tree: {n: n - 1}}}\n"
    "    - {name: b, linear: 2, from: input, when: n > 1, else: a}\n    - tanh\nlayers:\n"
    "- {name: s, linear: 8, when: c, else: [relu, {linear: 8}]}\n- tree: {n: n}\n"
    "- {name: h, chunk: 2, when: c, else: {from: [s, s]}}\n- concat: ['h[0]', 'h[1]']\n"
    "- {name: t, relu, when: n > 5, else: {tanh, from: s, when: c, else: input}}\n",
    HEAD + "blocks:\n  each:\n    inputs: [x, xs...]\n    layers:\n"
    "    - {name: l, parallel: {i: len(xs)}, from: 'xs[i]', linear: 8, when: i != 1, else: x,"
    " merge: add}\n    - {name: all, from: [l, xs]}\n    outputs: all\n"
    "layers:\n- {name: a, linear: 8}\n- {name: b, parallel: 2, tanh, from: a}\n"
    "- {name: e, each: , from: {x: a, xs: b}}\n- {add: [-1, 'e[1]', b.0]}\n",
    HEAD + "layers:\n- {name: c, repeat: 3, share: true, linear: 8}\n- {add: [c.0, c.*]}\n"
    "- {name: a.x, linear: 8, trainable: false}\n"
    "- {name: b, linear: 8, weights: {weight: a.x.weight}}\n"
    "- {name: d, share: b, keys: both}\n- {name: k, constant: {eye: 8}}\n"
    "- {matmul: , from: {input: d, other: k}}\n- {linear: 8, from: d, weights: {weight: k}}\n"
    "- {interpolate: {like: 'c[0]'}, from: -1}\n",
    "sizes: {H: 32, W: 24}\ninput: [3, H, W]\nlayers:\n- {name: a, conv2d: {out_channels: 4, "
    "kernel_size: 3, stride: 2}}\n- {name: b, reshape: [4, \"size('-1', 2) * size(a, 3)\"]}\n"
    "- {name: c, interpolate: {like: input}, from: a}\n- {concat: [c, input]}\n"
    "- {name: p, constant: {arange: in_width}}\n- {add: ['3', p]}\noutputs: {map: -1, flat: b}\n",
    "params: {v: 9, w: 8}\ninputs:\n  words: {shape: [6], dtype: int64, below: v}\n"
    "  padding: {shape: [6], dtype: bool}\n  memory: [5, 4]\nlayers:\n"
    "- {name: e, embedding: {num_embeddings: v, embedding_dim: w}, from: words}\n"
    "- name: a\n  multi_head_attention: 2\n  from: {query: e, key: memory, value: memory}\n"
    "- name: s\n  multi_head_attention: 2\n"
    "  from: {query: e, key: e, value: e, key_padding_mask: padding}\n"
    "- {name: g, lstm: {hidden_size: w}, from: e}\n- add: [a, s, 'g[0]']\n- {max: 1, name: m}\n"
    "- {to: float, from: 'm[1]'}\n- {linear: v, from: 'm[0]'}\n",
)
"""Texts with what the bundled specs use too little."""


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """Names and texts: the bundled specs, the standard blocks, `EXTRA`."""
    files = [*sorted(Path(SPECS).rglob("*.yaml")), *sorted(Path(BLOCKS).glob("*.yaml"))]
    found = [(path.name, path.read_text(encoding="utf-8")) for path in files]
    return (*found, *((f"extra{i}", text) for i, text in enumerate(EXTRA)))


@cache
def trees() -> tuple[tuple[str, Any], ...]:
    """The texts as trees; to be copied with `tree` before they are changed."""
    return tuple((name, tree(yaml.safe_load(text))) for name, text in texts())


NODE_KEYS = (*NODE_WORDS, "layers", "branches")
TOP_KEYS = (
    *("archspec", "name", "doc", "input", "inputs", "params", "layers", "outputs", "blocks"),
    *("use", "extends", "patch", "init", "train", "ignore"),
)


@cache
def keys() -> tuple[str, ...]:
    """Words that mean something somewhere."""
    arguments = {name for op in REGISTRY.values() for name in op.fields()}
    patch = ("replace", "insert_before", "insert_after", "remove", "with")
    return (*NODE_KEYS, *TOP_KEYS, *patch, *sorted(arguments), *sorted(REGISTRY), "residual")


NAMES = (
    *("input", "a", "0", "1", "00", "-1", "forward", "training", "class", "None", "self", "torch"),
    *("__init__", "__class__", "_modules", "x" * 300, "a.b", "a-b", "a b", "é", "名前", "\u202e"),
    *("a\nb", "\x1b[31m", "\x00", "a{index}", "a{index + 1}", "{", "}", "{}", "{{}}", "{index"),
    *("a[0]", "a[1]", "a[-1]", "a[index]", "halves[9999999999999999999]", "'); import os", "$a"),
    *("input[0]", "layers", "output", "state_dict", "type", "", " ", "~", "<<", "*a", "&a b"),
)

EXPRESSIONS = (
    *("$(", "$)", "$", "$$", "$()", "$(1", "$index", "$(index)", "in_channels", "in_shape"),
    *("in_height", "in_width // 2", "in_features", "index", "9**9**9", "2**31", "2**63", "10**400"),
    *("-9**99", "1//0", "1 % 0", "1/0", "0.1 + 0.2", "1e308 * 10", "-1 ** 0.5", "(-8) ** (1/3)"),
    *("[0]*10**9", "'a'*10**9", "[[0]*1000]*1000", "range(10**9)", "range(10**12)", "sum([])"),
    *("min([])", "max(1)", "len(3)", "[x for x in range(99999)]", "[[y] for x in [1] for y in x]"),
    *("[x for x in xs]", "(" * 80 + "1" + ")" * 80, "-" * 500 + "1", "not " * 400 + "true"),
    *("1+" * 900 + "1", "x if x else x", "lambda: 1", "__import__('os')", "().__class__", "a.b.c"),
    *("int('9' * 5000)", "int('x')", "int(1e308)", "round(2.5)", "log(0)", "sqrt(-1)", "log(-1)"),
    *("divisible(3, 0)", "divisible(0, 8)", "divisible(1e300, 8)", "abs(-3)", "[1, 2][5]"),
    *("[1, 2][-3]", "[1,2][::0]", "[1,2][10**30:]", "1 < 2 < 3", "1 in [1]", "1 in 1", "true + 1"),
    *(
        "'a' < 1",
        "'a' + 'b'",
        "{1: 2}",
        "{1, 2}",
        "f'{1}'",
        "b'a'",
        "1j",
        "1_000",
        "0x10",
        "...",
        "*a",
    ),
    *("x := 1", "a;b", "#", "\\", "'", '"', "''", "in_shape[0] * 10**6", "[in_channels] * 3"),
    *(
        "[1, 7]",
        "[3, 3, 3, 3, 3, 3]",
        "null",
        "None",
        "True",
        "[]",
        "[[]]",
        "int",
        "list",
        "layers",
    ),
)

VALUES = (
    *(0, 1, 2, 3, 5, 7, -1, -5, 31, 64, 100, 1000, 4096, 65536, 10**6, 2**31 - 1, 2**31, 2**40),
    *(2**63 - 1, 2**63, 2**64, 10**30, -(2**63), 0.0, 0.5, 1.0, 32.0, -0.5, 1e-300, 1e300, 1e308),
    *(True, False, None, Raw("1e400"), Raw(".nan"), Raw(".inf"), Raw("-.inf"), Raw("010")),
    *(Raw("0x1F"), Raw("0o17"), Raw("1_000"), Raw("12:30"), Raw("2001-01-01"), Raw("9" * 99)),
    *(Raw("9" * 101), Raw("+1"), Raw("no"), Raw("!!int 3"), Raw("!x 3"), Raw("*a"), Raw("&a 3")),
    *(
        Raw("&b {c: 1}"),
        Raw("*b"),
        Raw("? a"),
        Raw("- a"),
        Raw("a: b"),
        Raw("'"),
        Raw('"'),
        Raw("|"),
    ),
    *(
        Raw("\t"),
        Raw("%"),
        Raw("@"),
        Raw("`"),
        Raw("---"),
        Raw("..."),
        "x" * 21_000,
        "same",
        "valid",
    ),
)

LIMIT_NODES = (
    {"repeat": 10**9, "layers": ["relu"]},
    {"repeat": 300, "layers": [{"repeat": 300, "layers": [{"repeat": 300, "relu": None}]}]},
    {"repeat": "10**5", "name": "r", "layers": ["relu"]},
    {"repeat": {"x": "range(9)", "y": [1, 2]}, "relu": None},
    {"repeat": {"x": "[[1, 2], [3]]"}, "layers": [{"repeat": {"y": "x"}, "relu": None}]},
    {"repeat": 3, "name": "n{index}", "when": "index > 0", "relu": None},
    {"repeat": 0, "relu": None},
    {"repeat": 2, "name": "fixed", "share": "a"},
    {"repeat": 2, "layers": [{"name": "fixed", "relu": None}]},
    {"when": False, "add": ["input", "input"], "name": "gone"},
    {"when": "in_channels > 3", "chunk": 2},
    {"when": "in_channels > 3", "chunk": 2, "else": "input"},
    {"when": False, "relu": None, "from": "h{index}", "else": {"from": "relu", "when": "x"}},
    {"when": False, "relu": None, "else": {"tanh": None, "when": False, "else": []}},
    {"when": False, "linear": 3, "from": "input", "name": "a"},
    {"branches": [[], []], "merge": "add"},
    {"branches": {"a": ["relu"], "b": []}, "merge": {"concat": {"dim": 2}}, "name": "both"},
    {"branches": [["relu"], ["relu"], []], "merge": "mul", "repeat": 2},
    {"branches": [], "merge": "concat"},
    {"layers": [], "name": "empty"},
    {"layers": [{"layers": [{"layers": ["relu"]}]}], "training_only": True},
    {"chunk": 2, "name": "halves"},
    {"add": ["halves[0]", "halves[1]"]},
    {"from": ["input", "input"], "name": "pair", "add": None},
    {"name": "a", "linear": 3},
    {"share": "a"},
    {"$act": {"inplace": True}},
    {"residual": {"out_channels": 4, "stride": 2}},
    {"dense": {"num_convs": 2, "growth_rate": 2}, "name": "d{index}"},
    {"parameter": {"shape": [1, 4, 1, 1]}, "name": "p"},
    {"add": ["input", "p"]},
    {"module": "os.system"},
)
"""Nodes that combine what is awkward."""

TOP_VALUES: tuple[tuple[str, Any], ...] = (
    ("extends", "resnet18"), ("extends", "densenet"), ("extends", "torchvision/vit_b_32"),
    ("extends", "../x.yaml"), ("extends", "/etc/passwd"), ("extends", "."), ("extends", "$x"),
    ("extends", "a\x00b"), ("extends", "x" * 5000), ("extends", ["resnet18"]), ("extends", None),
    ("use", ["/etc/passwd"]), ("use", "x.yaml"), ("use", [".."]), ("use", [None]), ("use", []),
    ("patch", [{"remove": "0"}]), ("patch", [{"remove": "0"}, {"remove": "0"}]),
    ("patch", [{"replace": "1", "with": []}, {"insert_after": "1", "with": "relu"}]),
    ("patch", [{"replace": "0", "with": [{"layers": ["relu"]}, {"name": "x", "linear": 2}]}]),
    ("patch", [{"insert_before": "input", "with": "relu"}]), ("patch", [{"remove": ""}]),
    ("patch", {"remove": "0"}), ("patch", [{"insert_before": "2.0.1", "with": {"repeat": 2}}]),
    ("params", {"x": "$(x)"}), ("params", {"x": "$(y)", "y": 1}), ("params", {"num_classes": 3}),
    ("params", {"act": "relu", "n": "int", "xs": [1, [2, {"a": 3}]]}), ("params", []),
    ("outputs", {"a": "input"}), ("outputs", {"a": "0", "b": "0"}), ("outputs", ["0", "0"]),
    ("outputs", {}), ("outputs", "0"), ("input", [0]), ("input", []), ("input", [1] * 9),
    ("input", ["H", "W"]), ("input", [2**31, 2**31]), ("input", 3), ("input", [[1]]),
    ("inputs", {"a": [3, 8, 8], "b": [4]}), ("inputs", {"input": [3]}), ("inputs", {}),
    ("blocks", {"relu": {"layers": []}}), ("blocks", {"b": {"layers": ["b"]}}),
    ("blocks", {"b": {"layers": ["c"]}, "c": {"layers": ["b"]}}), ("blocks", {"b": None}),
    ("blocks", {"b": {"inputs": ["x", "y"], "outputs": ["x", "y"], "layers": []}}),
    ("init", "xavier_uniform"), ("init", "x"), ("archspec", 2), ("archspec", "1"), ("name", None),
    ("train", {"lr": "$(1)"}), ("train", []), ("ignore", ["AS901"]), ("ignore", ["AS101", 3]),
)  # fmt: skip
"""Top-level entries worth trying anywhere."""

TOKENS: tuple[bytes, ...] = (
    *(
        b"&a ",
        b"*a",
        b"<<: ",
        b"? ",
        b"!!python/object:os.system ",
        b"!!binary ",
        b"!x ",
        b"%YAML 1.1\n",
    ),
    *(
        b"---\n",
        b"...\n",
        b"\t",
        b"\x00",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xc3\x28",
        b"\xed\xa0\x80",
    ),
    *(
        b"\xe2\x80\xa8",
        b"\xc2\x85",
        b"\r",
        b"\r\n",
        b"{",
        b"}",
        b"[",
        b"]",
        b": ",
        b":",
        b"- ",
        b", ",
    ),
    *(b"#", b" #", b"'", b'"', b"|\n", b">-\n", b"@", b"`", b"\\", b'"\\ud800"', b'"\\x00"', b"$("),
    *(
        b"$",
        b"(",
        b")",
        b"**9",
        b"*10**9",
        b"~",
        b"null",
        b".nan",
        b"1e999",
        b"0x",
        b"-",
        b"9" * 30,
    ),
    *(
        b"repeat: ",
        b"when: ",
        b"else: ",
        b"from: ",
        b"name: ",
        b"layers:",
        b"branches:",
        b"merge: ",
        b"share: ",
    ),
    *(
        b"extends: ",
        b"use: ",
        b"patch: ",
        b"input: ",
        b"params: ",
        b"blocks: ",
        b"outputs: ",
        b"index",
    ),
    *(
        b"in_channels",
        b" if ",
        b" else ",
        b" for x in ",
        b"range(",
        b"input",
        b"\n  ",
        b"\n",
        b"  ",
    ),
    *(
        b"# archspec: ignore AS901",
        b"\xf0\x9f\x92\xa9",
        b"\x1b[31m",
        b"\x7f",
        b"\xc2\xa0",
        b"conv2d",
    ),
)
"""What YAML, and the language, give a meaning to."""
