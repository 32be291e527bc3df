"""Whether two tensors over one piece of memory have an element in common."""

from __future__ import annotations

from torch import Tensor


def may_overlap(first: Tensor, second: Tensor) -> bool:
    """False only where it is certain: parts of one tensor side by side along an axis."""
    if first.numel() == 0 or second.numel() == 0:
        return False
    low, high = sorted((first, second), key=lambda each: each.storage_offset())
    distance = high.storage_offset() - low.storage_offset()
    if distance > sum(
        (size - 1) * step for size, step in zip(low.shape, low.stride(), strict=True)
    ):
        return False
    if low.stride() != high.stride():
        return True
    steps = sorted(set(low.stride()))
    for axis, step in enumerate(low.stride()):
        above = [each for each in steps if each > step]
        room = above[0] // step if above and step else None
        moved, rest = divmod(distance, step) if step else (0, distance)
        fits = room is None or moved + high.shape[axis] <= room
        if rest == 0 and moved >= low.shape[axis] and fits:
            return False
    return True
