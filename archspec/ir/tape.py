"""An autograd tape without tensors: what a forward pass allocates and what it keeps.

Each op says in `Op.record` which storages it makes, which it only views, and what autograd would
save of them for the backward pass. The tape adds them up: a storage is counted once however many
saved tensors look at it, and parameters are left out.

Strides matter: a view shares its input's storage, and whether `reshape` views or copies, or a
product copies its operand first, depends on them. Everything here is for one concrete batch size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

Sizes = tuple[int, ...]


@dataclass(eq=False, slots=True)
class Storage:
    """A block of memory; two storages are the same only if they are one object."""

    nbytes: int


@dataclass(frozen=True, eq=False, slots=True)
class Tensor:
    """What autograd sees of a tensor: sizes and strides in elements, its storage."""

    shape: Sizes
    strides: Sizes
    storage: Storage
    requires_grad: bool
    itemsize: int = 4

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def is_contiguous(self) -> bool:
        """Row-major, where axes of size 1 may have any stride, as torch has it."""
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size != 1 and stride != expected:
                return False
            expected *= size
        return True


def contiguous_strides(shape: Sizes) -> Sizes:
    """Row-major strides."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


@dataclass(slots=True)
class Tape:
    """Collects storages while a graph's ops record themselves in order."""

    training: bool = True
    saved: dict[Storage, None] = field(default_factory=dict)
    allocated: dict[Storage, None] = field(default_factory=dict)

    def new(
        self, shape: Sizes, *, requires_grad: bool, strides: Sizes | None = None, itemsize: int = 4
    ) -> Tensor:
        """A freshly allocated tensor, row-major unless `strides` are given."""
        storage = Storage(math.prod(shape) * itemsize)
        self.allocated[storage] = None
        laid_out = contiguous_strides(shape) if strides is None else strides
        return Tensor(shape, laid_out, storage, requires_grad, itemsize)

    def save(self, *tensors: Tensor) -> None:
        """Autograd keeps these for the backward pass."""
        for tensor in tensors:
            self.saved[tensor.storage] = None

    @property
    def saved_bytes(self) -> int:
        return sum(storage.nbytes for storage in self.saved)

    @property
    def allocated_bytes(self) -> int:
        return sum(storage.nbytes for storage in self.allocated)
