"""Compiling holds garbage collections back, and leaves them as they were."""

import gc

import pytest

import archspec


@pytest.fixture(params=[True, False], ids=["enabled", "disabled"])
def enabled(request):
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


@pytest.mark.parametrize(
    "text", ["input: [3]\nlayers: [relu]", "input: [3]\nlayers: [conv2d]", "]"]
)
def test_collections_are_as_before(enabled, text):
    try:
        archspec.loads(text)
    except archspec.SpecError:
        assert "relu" not in text
    assert gc.isenabled() is enabled


def test_no_collection_runs_while_a_spec_is_compiled():
    layers = "\n".join("- conv2d: {out_channels: 4, kernel_size: 1}" for _ in range(300))
    archspec.loads(f"input: [3, 8, 8]\nlayers:\n{layers}")  # imports what is needed
    seen = []
    gc.callbacks.append(lambda phase, info: seen.append(info["generation"]))
    try:
        archspec.loads(f"input: [3, 8, 8]\nlayers:\n{layers}")
    finally:
        gc.callbacks.pop()
    assert len(seen) <= 2  # at its end, when they are allowed again
