"""Every declared key is read, survives `expand` or is resolved by it, and is told of."""

from pathlib import Path

import pytest

import archspec
from archspec.document.blocks import BLOCK_KEYS
from archspec.document.forms import FIXED
from archspec.document.keys import KEYS, SPEC_KEYS
from archspec.document.keys.inputs import INPUT_KEYS
from archspec.document.node_keys import KEYS as NODE
from archspec.document.node_keys import NODE_KEYS
from archspec.document.schema import spec_schema

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "language.md").read_text()

SPEC = """
archspec: 1
name: every_key
doc: All keys of a spec.
input: [F]
sizes: {F: 4}
params: {width: 3}
blocks:
  mlp: {doc: One layer., params: {size: 2}, layers: [{linear: size}]}
  both:
    doc: Two values of two.
    params: {width: int}
    inputs: [a, b]
    layers:
      - {name: left, from: a, linear: width}
      - {name: right, from: b, linear: width}
    outputs: [right, left]
layers:
  - {name: first, linear: width}
  - {name: other, from: input, mlp: {size: width}}
  - {name: again, share: first, from: input, keys: both}
  - {when: width > 9, relu: , else: {sigmoid}}
  - {repeat: 2, tanh: }
  - {add: [first, again], name: sum}
  - {name: pair, from: [first, other], both: {width: 2}}
  - {name: crossed, add: ["pair[0]", "pair[1]"]}
  - {name: head, from: other, linear: 2, training_only: true}
  - {name: logits, from: sum, linear: 2, trainable: false}
  - {name: normed, from: sum, linear: 2, parametrize: {bias: {weight_norm: {dim: null}}}}
  - {name: tied, from: sum, linear: 2, weights: {weight: logits.weight}}
outputs: {main: tied, aux: head, crossed: crossed, logits: logits, normed: normed}
ignore: [AS901]
init: xavier_uniform
train: {lr: 0.5}
"""

WRITTEN = {
    "archspec": "archspec: 1\n",
    "name": "name: every_key\n",
    "doc": 'doc: "All keys of a spec."\n',
    "input": "input: [F]\n",
    "sizes": "\nsizes: {F: 4}\n",
    "inputs": None,  # instead of `input`
    "params": None,
    "layers": "\nlayers:\n",
    "blocks": "\nblocks:\n  mlp:\n",
    "use": None,
    "extends": None,
    "patch": None,
    "outputs": "\noutputs:\n  main: tied\n  aux: head\n  crossed: crossed\n  logits: logits\n"
    "  normed: normed\n",
    "ignore": "\nignore: [AS901]\n",
    "init": "\ninit: xavier_uniform\n",
    "train": "\ntrain: {lr: 0.5}\n",
}
NODE_WRITTEN = {
    "name": "- name: first\n",
    "from": "from: input\n",
    "when": None,
    "else": None,
    "repeat": None,
    "parallel": None,
    "share": "share: first\n",
    "training_only": "training_only: true\n",
    "trainable": "trainable: false\n",
    "weights": 'weights: {weight: "logits.weight"}\n',
    "parametrize": "parametrize: {bias: {weight_norm: {dim: null}}}\n",
    "keys": "keys: both\n",
    "merge": None,
}
BLOCK_WRITTEN = {
    "doc": None,  # of the block with its parameters, not of one call
    "params": None,
    "inputs": "  both:\n    inputs: [a, b]\n",
    "layers": "    layers:\n      - name: left\n        linear: 2\n",
    "outputs": "    outputs: [right, left]\n",
}


@pytest.fixture(scope="module")
def resolved():
    return archspec.loads(SPEC).expand()


@pytest.mark.parametrize("key", SPEC_KEYS)
def test_a_key_of_a_spec_survives_expand(key, resolved):
    wanted = WRITTEN[key]
    if wanted is None:
        assert f"\n{key}:" not in resolved
        assert key == "inputs" or next(k for k in KEYS if k.name == key).is_resolved
    else:
        assert wanted in resolved


@pytest.mark.parametrize("key", NODE_KEYS)
def test_a_key_of_a_node_survives_expand(key, resolved):
    wanted = NODE_WRITTEN[key]
    assert f" {key}:" not in resolved if wanted is None else wanted in resolved


@pytest.mark.parametrize("key", BLOCK_KEYS)
def test_a_key_of_a_block_survives_expand(key, resolved):
    blocks = resolved.partition("\nblocks:\n")[2].partition("\nlayers:\n")[0]
    wanted = BLOCK_WRITTEN[key]
    assert f" {key}:" not in blocks if wanted is None else wanted in blocks + "\n"


def test_several_inputs_survive_expand():
    text = "inputs: {a: [4], b: [4]}\nlayers: [{add: [a, b]}]\n"
    assert "\ninputs: {a: [4], b: [4]}\n" in archspec.loads(text).expand()


def test_what_expand_wrote_is_the_same_network(resolved):
    again = archspec.loads(resolved).expand()
    assert again == resolved.replace("ignore: [AS901]\n", "")  # the idle node is not there


def test_schema_and_documents_tell_of_every_key():
    schema = spec_schema()
    node = schema["$defs"]["node"]["anyOf"][-1]["properties"]
    for key in KEYS:
        assert schema["properties"][key.name]["description"] == key.doc
    for key in NODE:
        assert node[key.name]["description"] == key.doc
    words = [
        *SPEC_KEYS,
        *NODE_KEYS,
        *BLOCK_KEYS,
        *INPUT_KEYS,
        *FIXED,
    ]
    assert [word for word in words if f"`{word}" not in DOCS] == []
