"""All 80 models: keys, shapes and counts against torchvision's, on the meta device.

`tools/parity.py` compares values, bit for bit; see test_parity.py for a fast part of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import parity
import pytest
import torch
import torchvision

import archspec

MODELS = torchvision.models.list_models(module=torchvision.models)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_every_model_has_a_spec_and_every_spec_a_model() -> None:
    assert len(MODELS) == 80
    assert parity.names() == sorted(MODELS)
    assert {f"torchvision/{name}" for name in MODELS} < set(archspec.bundled())


@pytest.mark.parametrize("name", MODELS)
def test_keys_shapes_and_counts_are_torchvision_s(name: str) -> None:
    arch = archspec.load(f"torchvision/{name}")
    assert isinstance(arch.input_shape, tuple)
    size = arch.input_shape[1:]
    reference = parity.on_meta(name, size).eval()
    own = arch.build(device="meta").state_dict()
    theirs = reference.state_dict()
    assert {k: (v.shape, v.dtype) for k, v in own.items()} == {
        k: (v.shape, v.dtype) for k, v in theirs.items()
    }
    assert arch.num_parameters == sum(p.numel() for p in reference.parameters())
    shapes, macs = parity.measure_batch(reference, size, 1)
    assert arch.macs == macs[""]
    assert arch.output_shape == ("N", *shapes[""])
    nodes = {node.path: node for node in arch.nodes}
    common = [path for path in shapes if path in nodes]
    assert len(common) > 10
    for path in common:
        assert nodes[path].output_shape[1:] == shapes[path], path
        assert nodes[path].macs == macs.get(path, 0), path


def test_no_spec_needs_a_module_of_another_package() -> None:
    for path in parity.SPECS.glob("*.yaml"):
        assert "module:" not in path.read_text(encoding="utf-8"), path.name
