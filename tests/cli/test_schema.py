"""The JSON Schema against specs that are right and specs that are wrong."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from archspec.cli import main
from archspec.document.blocks import BLOCK_KEYS
from archspec.document.keys import SPEC_KEYS
from archspec.document.nodes import NODE_KEYS
from archspec.document.schema import argument, spec_schema
from archspec.ir.op import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = spec_schema()
SPEC = jsonschema.Draft202012Validator(SCHEMA)
BLOCK = SPEC.evolve(schema={"$ref": "#/$defs/block", "$defs": SCHEMA["$defs"]})


def is_valid(layers: str) -> bool:
    spec = {"input": [3, 8, 8], "layers": yaml.safe_load(layers)}
    return SPEC.is_valid(spec)


def test_it_is_a_schema_of_the_draft_it_names():
    assert SCHEMA["$schema"].endswith("2020-12/schema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_keys_are_those_of_the_language():
    assert tuple(SCHEMA["properties"]) == SPEC_KEYS
    assert set(SCHEMA["$defs"]["block"]["properties"]) == set(BLOCK_KEYS)
    keys = SCHEMA["$defs"]["node"]["anyOf"][-1]["properties"].keys()
    assert keys >= set(NODE_KEYS) | {"layers", "branches", "merge", "residual"} | REGISTRY.keys()


@pytest.mark.parametrize("path", sorted((ROOT / "specs").rglob("*.yaml")), ids=lambda p: p.stem)
def test_bundled_specs_fit(path):
    assert [error.message for error in SPEC.iter_errors(yaml.safe_load(path.read_text()))] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "archspec" / "blocks").glob("*.yaml")), ids=lambda p: p.stem
)
def test_standard_blocks_fit(path):
    assert [error.message for error in BLOCK.iter_errors(yaml.safe_load(path.read_text()))] == []


@pytest.mark.parametrize("op", sorted(REGISTRY))
def test_examples_of_every_op_fit(op):
    for example in REGISTRY[op].examples:
        # As YAML has them: lists for tuples.
        arguments = json.loads(json.dumps(dict(example.args)))
        node = {op: arguments or None}
        assert SPEC.is_valid({"input": [1], "layers": [node]}), (op, arguments)


@pytest.mark.parametrize(
    "layers",
    [
        "[relu, $act, my_block]",
        "[{linear: 10}, {linear: 4 * width}, {linear: {out_features: $n, bias: use_bias}}]",
        "[{conv2d: {out_channels: c, kernel_size: [1, 2 * k + 1], padding: same}}]",
        "[{name: bn1, batch_norm: null}, {add: [bn1, input], when: residual}]",
        "[{add: null, from: [a, b]}]",
        "[{concat: {inputs: [a, b], dim: 2}}, {concat: [a, b]}]",
        "[{repeat: {stage: stages}, layers: [relu]}, {repeat: 3, residual: {out_channels: 8}}]",
        "[{branches: [[], [relu], tanh], merge: concat}]",
        "[{branches: {a: [relu], b: []}, merge: add}]",
        "[{branches: [[relu]]}]",
        "[{share: conv1, from: 'halves[1]'}, {$block: {stride: 2}, training_only: true}]",
        "[{residual: {out_channels: 8, norm: {batch_norm: {eps: 0.001}}}}]",
        "[{gelu: {approximate: tanh}}]",
        "[{adaptive_avg_pool2d: [null, 4]}, {parameter: {shape: [1, 1, dim], init: 0.5}}]",
    ],
)
def test_right_nodes(layers):
    assert is_valid(layers)


@pytest.mark.parametrize(
    "layers",
    [
        "relu",
        "[[relu]]",
        "[linear]",
        "[{linear: null}]",
        "[{linear: {}}]",
        "[{linear: true}]",
        "[{linear: {out_feature: 3}}]",
        "[{linear: {out_features: 0}}]",
        "[{conv2d: {out_channels: 3, kernel_size: [1, 2, 3]}}]",
        "[{conv2d: {out_channels: 3.5, kernel_size: 1}}]",
        "[{dropout: 1.5}]",
        "[{gelu: {approximate: tan}}]",
        "[{residual: {}}]",
        "[residual]",
        "[{residual: {out_channels: 8, strides: 2}}]",
        "[{relu: {inplace: true}}]",
        "[{relu: null, training_only: 'yes'}]",
        "[{relu: null, repeat: -1}]",
        "[{}]",
    ],
)
def test_wrong_nodes(layers):
    assert not is_valid(layers)


@pytest.mark.parametrize(
    "spec",
    [
        {"layers": ["relu"]},
        {"input": [3], "inputs": {"a": [3]}, "layers": ["relu"]},
        {"input": [0], "layers": ["relu"]},
        {"input": [3], "layers": ["relu"], "layer": []},
        {"extends": "resnet18", "layers": ["relu"]},
        {"input": [3], "layers": ["relu"], "patch": []},
        {"extends": "resnet18", "patch": [{"replace": "fc"}]},
        {"extends": "resnet18", "patch": [{"remove": "fc", "with": ["relu"]}]},
        {"extends": "resnet18", "patch": [{"remove": "fc", "from": "a"}]},
        {"input": [3], "layers": ["relu"], "init": "xavier"},
        {"input": [3], "layers": ["b"], "blocks": {"b": {"layers": ["relu"], "parms": {}}}},
        {"input": [3], "layers": ["b"], "blocks": {"b": {"params": {}}}},
        {"input": [3], "layers": ["relu"], "blocks": {"relu": {"layers": ["tanh"]}}},
        {"input": [3], "layers": ["relu"], "blocks": {"mine": {}}},
        {"archspec": 2, "input": [3], "layers": ["relu"]},
    ],
)
def test_wrong_files(spec):
    assert not SPEC.is_valid(spec)


def test_arguments_accept_expressions_where_values_are_computed():
    expression, inserted = {"$ref": "#/$defs/expression"}, {"$ref": "#/$defs/inserted"}
    assert argument({"type": "integer", "title": "X", "default": 1}) == {
        "default": 1,
        "anyOf": [{"type": "integer"}, expression],
    }
    assert argument({"enum": ["a", "b"], "type": "string"}) == {
        "anyOf": [{"enum": ["a", "b"], "type": "string"}, inserted]
    }
    assert argument(
        {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "null"}]}
    ) == {
        "anyOf": [
            {"type": "array", "items": {"anyOf": [{"type": "number"}, expression]}},
            {"type": "null"},
            expression,
        ]
    }


def test_the_command_prints_it(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(SCHEMA))
