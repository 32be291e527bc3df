"""Random graphs of integers, truth values and floats: what is accepted runs, the rest does not."""

from __future__ import annotations

import pytest
from agreement import agreement
from eager import runs

import archspec
from archspec.diagnostics.diagnostic import Code, Diagnostic
from archspec.ir.graph import walk
from archspec.testing import contract as testing
from archspec.testing import mixed

WIDER_IN_TORCH = ("relu", "sigmoid")
"""Ops that torch applies to integers or truth values too, where archspec wants a cast."""


def is_listed(diagnostic: Diagnostic) -> bool:
    """Whether a refusal is of a rule that asks for a cast where torch runs."""
    if diagnostic.code is not Code.DTYPE:
        return diagnostic.code in testing.RULES
    op, _, said = diagnostic.message.partition(": ")
    return op in WIDER_IN_TORCH or (op in ("add", "mul") and "float32" in said)


def refused(codes, refusal):
    if codes <= {Code.SHARE}:
        return "refused to share", False
    kind = "refused for types" if Code.DTYPE in codes else "refused for sizes"
    return kind, not all(map(is_listed, refusal.diagnostics))


def test_archspec_and_torch_agree_on_values_of_mixed_types():
    seen, forms = agreement(mixed.mixed_specs(), 160, forms_of, refused)
    total = sum(seen.values())
    assert total >= 150
    assert 0.4 <= seen["accepted"] / total < 0.8, seen
    assert seen["refused for types"] / total > 0.1, seen
    for form in ("embedding", "to", "other", "mask", "concat", "add", "mul", "shared rows"):
        assert forms[form] >= 2, (form, forms)
    for kind in ("int64", "int32", "bool"):
        assert forms[f"adds {kind} to float"] >= 2, (kind, forms)


def forms_of(arch: archspec.Architecture) -> set[str]:
    """What the network has that this file is about."""
    found = set()
    for step in (visit.step for visit in walk(arch.graph)):
        found.add(step.kind)
        kinds = {kind.name for kind in step.input_types}
        if getattr(step.op, "other", None) is not None:
            found.add("other")
        if step.kind == "mul" and kinds == {"float", "bool"}:
            found.add("mask")
        if step.shares is not None and step.kind == "embedding":
            found.add("shared rows")
        if step.kind in ("add", "concat", "mul") and "float" in kinds:
            found.update(f"adds {kind} to float" for kind in kinds - {"float"})
    return found


@pytest.mark.parametrize(
    ("node", "fails"),
    [
        ({"embedding": {"num_embeddings": 4, "embedding_dim": 2}, "from": "ids"}, False),
        ({"embedding": {"num_embeddings": 3, "embedding_dim": 2}, "from": "ids"}, True),
        ({"embedding": {"num_embeddings": 4, "embedding_dim": 2}, "from": "image"}, True),
        ({"linear": 2, "from": "ids"}, True),
        ({"add": {"inputs": "ids", "other": 0.5}}, False),
        ({"mul": ["ids", "image"]}, False),
    ],
)
def test_the_second_reading_runs_and_fails_like_torch(node, fails):
    ids = {"shape": [3], "dtype": "int64", "below": 4}
    spec = {"inputs": {"image": [3], "ids": ids}, "layers": [node]}
    assert (runs(spec) is not None) is fails
