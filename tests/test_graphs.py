"""What static means, on random graphs: accepted graphs run as stated, refused ones do not run."""

from __future__ import annotations

from collections import Counter

import pytest
from eager import runs, same_function
from hypothesis import HealthCheck, given, settings

import archspec
from archspec.diagnostics.diagnostic import Code
from archspec.ir.graph import walk
from archspec.testing import contract as testing
from archspec.testing import graphs

FIXED = settings(
    max_examples=240,
    suppress_health_check=list(HealthCheck),
)


def test_archspec_and_torch_agree_on_random_graphs():
    seen: Counter[str] = Counter()
    forms: Counter[str] = Counter()

    @FIXED
    @given(graphs.specs())
    def agree(spec):
        text = graphs.to_text(spec)
        refusal = graphs.check_spec(text)
        if refusal is None:
            seen["accepted"] += 1
            failure = runs(spec)
            assert failure is None, f"{failure}\n{text}"
            arch = archspec.loads(text)
            same_function(spec, arch)
            forms.update({visit.step.kind for visit in walk(arch.graph)})
            forms.update(step.shares is not None and "share" for step in arch.graph.steps)
            forms.update(step.training_only and "training_only" for step in arch.graph.steps)
            return
        codes = {diagnostic.code for diagnostic in refusal.diagnostics}
        if codes <= graphs.SHAPE_RULES | {Code.OUTPUT_INDEX}:
            seen["refused by shape rules"] += 1
            assert runs(spec) is not None, f"torch runs what is refused:\n{refusal}\n{text}"
        elif codes <= testing.RULES | graphs.SHAPE_RULES:
            seen["refused by a documented rule"] += 1
        else:
            assert codes <= {Code.ARGUMENT, Code.SHARE, Code.OUTPUTS}, refusal
            seen["refused by the schema"] += 1

    agree()
    total = sum(seen.values())
    assert total >= 200
    assert 0.3 <= seen["refused by shape rules"] / total < 0.8, seen
    for form in (
        "group",
        "share",
        "training_only",
        "chunk",
        "parameter",
        "concat",
        "add",
        "residual",
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
