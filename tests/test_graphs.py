"""What static means, on random graphs: accepted graphs run as stated, refused ones do not run."""

from __future__ import annotations

import pytest
from agreement import agreement
from eager import runs, same_function

import archspec
from archspec.diagnostics.diagnostic import Code
from archspec.ir.graph import walk
from archspec.testing import contract as testing
from archspec.testing import graphs


def forms_of(arch):
    """The forms of its nodes, each once."""
    found = {visit.step.kind for visit in walk(arch.graph)}
    found |= {"share" for step in arch.graph.steps if step.shares is not None}
    found |= {"rest" for kind in found if kind.endswith("_rest")}
    found |= {"both keys" for visit in walk(arch.graph) if visit.step.both_keys}
    found |= {"one module" for visit in walk(arch.graph) if visit.step.name.endswith("-1")}
    found |= {"tree" for kind in found if kind.endswith("_tree")}
    return found | {"training_only" for step in arch.graph.steps if step.training_only}


def refused(codes, refusal):
    if codes <= graphs.SHAPE_RULES | {Code.OUTPUT_INDEX}:
        return "refused by shape rules", True
    if codes <= testing.RULES | graphs.SHAPE_RULES:
        return "refused by a documented rule", False
    schema = {Code.ARGUMENT, Code.SHARE, Code.OUTPUTS}
    assert codes & schema, refusal
    shapes = codes - schema
    assert shapes <= graphs.SHAPE_RULES, refusal
    return "refused by the schema", bool(shapes)


def test_archspec_and_torch_agree_on_random_graphs():
    seen, forms = agreement(graphs.specs(), 220, forms_of, refused)
    total = sum(seen.values())
    assert total >= 210
    assert 0.3 <= seen["refused by shape rules"] / total < 0.8, seen
    for form in (
        "group",
        "share",
        "training_only",
        "chunk",
        "parameter",
        "constant",
        "concat",
        "add",
        "residual",
        "tree",
        "matmul",
        "both keys",
        "one module",
        "rest",
    ):
        assert forms[form] >= 3, (form, forms)


@pytest.mark.parametrize(
    ("node", "fails"),
    [
        ({"conv2d": {"out_channels": 2, "kernel_size": 9}}, True),
        ({"conv2d": {"out_channels": 2, "kernel_size": 3}}, False),
        ({"reshape": [5, -1]}, True),
        ({"permute": [0, 3, 1, 2]}, False),
    ],
)
def test_the_second_reading_runs_and_fails_like_torch(node, fails):
    assert (runs({"input": [4, 8, 8], "layers": [node]}) is not None) is fails


def test_a_wrong_wiring_would_be_noticed():
    spec = {
        "input": [4, 8, 8],
        "layers": [{"name": "a", "relu": None}, "tanh", {"add": ["a", "1"]}],
    }
    other = archspec.loads("input: [4, 8, 8]\nlayers: [{name: a, relu}, tanh, {add: [input, '1']}]")
    spec["layers"][1] = {"name": "1", "tanh": None}
    same_function(spec, archspec.loads(graphs.to_text(spec)))
    with pytest.raises(AssertionError):
        same_function(spec, other)
