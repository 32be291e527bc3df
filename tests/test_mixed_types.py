"""Random graphs of integers, truth values and floats: what is accepted runs, the rest does not."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product

import pytest
import torch
from eager import Eager, pattern
from hypothesis import HealthCheck, given, settings

import archspec
from archspec.diagnostics.diagnostic import Code, Diagnostic
from archspec.ir.graph import walk
from archspec.testing import contract as testing
from archspec.testing import graphs, mixed

FIXED = settings(max_examples=160, suppress_health_check=list(HealthCheck))
BATCH_SIZES = (2, 3, 5)

WIDER_IN_TORCH = ("relu", "sigmoid")
"""Ops that torch applies to integers or truth values too, where archspec wants a cast."""


def inputs(spec, batch):
    return [drawn(stated, batch) for stated in spec["inputs"].values()]


def drawn(stated, batch):
    """Values of an input: floats at random, and of integers the greatest first."""
    stated = stated if isinstance(stated, dict) else {"shape": stated, "dtype": "float"}
    shape = (batch, *stated["shape"])
    if stated["dtype"] == "float":
        return torch.randn(shape, generator=torch.Generator().manual_seed(batch))
    below = stated.get("below", 2)
    numbers = (below - 1 - torch.arange(math.prod(shape))) % below
    return numbers.reshape(shape).to(getattr(torch, stated["dtype"]))


def runs(spec) -> str | None:
    """Runs the spec without archspec, in all the ways that count; what failed, if one did."""
    for training, batch in product((True, False), BATCH_SIZES):
        try:
            outputs = Eager(spec, training).run(*inputs(spec, batch))
        except (RuntimeError, ValueError, TypeError, LookupError) as error:
            return f"{type(error).__name__}: {error}"
        if any(value.shape[:1] != (batch,) for value in outputs.values()):
            return "an output without its batch"
    return None


def same_function(spec, arch) -> None:
    """The emitted module computes what the second reading computes, in values and types."""
    net = arch.build()
    for parameter in net.parameters():
        pattern(parameter)
    eager, given_inputs = Eager(spec, training=False), inputs(spec, 3)
    with torch.no_grad():
        found, expected = net.eval()(*given_inputs), eager.run(*given_inputs)
    found = found if isinstance(found, dict) else {"output": found}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, equal_nan=True)


def is_listed(diagnostic: Diagnostic) -> bool:
    """Whether a refusal is of a rule that asks for a cast where torch runs."""
    if diagnostic.code is not Code.DTYPE:
        return diagnostic.code in testing.RULES
    op, _, said = diagnostic.message.partition(": ")
    return op in WIDER_IN_TORCH or (op in ("add", "mul") and "float32" in said)


def test_archspec_and_torch_agree_on_values_of_mixed_types():
    seen: Counter[str] = Counter()
    forms: Counter[str] = Counter()

    @FIXED
    @given(mixed.mixed_specs())
    def agree(spec):
        text = graphs.to_text(spec)
        refusal = graphs.check_spec(text)
        if refusal is None:
            seen["accepted"] += 1
            failure = runs(spec)
            assert failure is None, f"{failure}\n{text}"
            arch = archspec.loads(text, warn=False)
            same_function(spec, arch)
            forms.update(forms_of(arch))
            return
        codes = {diagnostic.code for diagnostic in refusal.diagnostics}
        if codes <= {Code.SHARE}:
            seen["refused to share"] += 1
            return
        seen["refused for types" if Code.DTYPE in codes else "refused for sizes"] += 1
        if not all(map(is_listed, refusal.diagnostics)):
            assert runs(spec) is not None, f"torch runs what is refused:\n{refusal}\n{text}"

    agree()
    total = sum(seen.values())
    assert total >= 150
    assert 0.4 <= seen["accepted"] / total < 0.8, seen
    assert seen["refused for types"] / total > 0.1, seen
    for form in ("embedding", "to", "other", "mask", "concat", "add", "mul", "shared rows"):
        assert forms[form] >= 3, (form, forms)
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
