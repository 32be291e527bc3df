from collections.abc import Callable

import pytest


@pytest.fixture
def torch_saved_bytes() -> Callable[..., int]:
    """Bytes of distinct storages that a forward pass of a module saves, parameters left out."""
    import torch

    def measure(module: torch.nn.Module, x: torch.Tensor) -> int:
        own = {p.untyped_storage().data_ptr() for p in module.parameters()}
        kept: dict[int, torch.UntypedStorage] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = module(x)
        total = sum(storage.nbytes() for storage in kept.values())
        del output
        return total

    return measure
