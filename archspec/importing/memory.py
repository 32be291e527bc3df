"""What else changes when a tensor is written: those that show the same memory.

A view remembers the call that made it. After a write the tensor that it was taken from, and the
views that were taken of that, get new versions by calls of their own. What cannot be followed is
stale, and refused where it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from archspec.importing.trace import Call, Value, mapped, values_in
from archspec.record import Record

WHOLE = frozenset(
    f"Tensor.{name}"
    for name in ("view", "reshape", "flatten", "unsqueeze", "squeeze", "view_as", "detach")
) | frozenset(("reshape", "flatten", "unsqueeze", "squeeze", "detach"))
"""Functions whose result shows all of a tensor in the same order."""


def put(base: Tensor, index: Any, value: Any) -> Tensor:
    """A copy of `base` with `value` at `index`: what a write through a view amounts to."""
    made = base.clone()
    made[index] = value
    return made


class _View(Record):
    """How a tensor was taken from another: by result number `number` of `call`."""

    base: Tensor
    call: Call
    number: int


class Memory:
    """Which tensors lie over the same memory, and which are stale, by the call that wrote there."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []
        self.by_storage: dict[int, list[Tensor]] = {}
        self.views: dict[int, _View] = {}
        self.stale: dict[int, Call] = {}

    def enter(self, tensor: Tensor) -> None:
        """Take in a tensor, which lives as long as the trace, so that ids stay its own."""
        self.kept.append(tensor)
        self.by_storage.setdefault(_storage(tensor), []).append(tensor)

    def viewed(self, made: Tensor, base: Tensor, call: Call, number: int) -> None:
        """Remember that `made` was taken from `base`, where both show one memory."""
        if made is not base and _storage(made) == _storage(base):
            self.views[id(made)] = _View(base, call, number)

    def written(self, tensor: Tensor, call: Call, versions: dict[int, Value]) -> list[Call]:
        """Give new versions to what a write into `tensor` changes too; the calls that make them."""
        made: list[Call] = []
        fresh = {id(tensor)}
        self._upwards(tensor, versions, made, fresh)
        for other in self.by_storage.get(_storage(tensor), ()):
            if id(other) not in fresh and may_overlap(other, tensor):
                self.stale[id(other)] = call
        for each in fresh:
            self.stale.pop(each, None)
        return made

    def _upwards(
        self, tensor: Tensor, versions: dict[int, Value], made: list[Call], fresh: set[int]
    ) -> None:
        self._downwards(tensor, versions, made, fresh)
        view = self.views.get(id(tensor))
        if view is None or id(view.base) in fresh or id(view.base) in self.stale:
            return
        base, value = versions[id(view.base)], versions[id(tensor)]
        back = _put_back(view, base, value)
        if back is None:
            return
        after = Value(base.shape, base.dtype, _kind_of(back), source=back)
        back.results = after
        made.append(back)
        versions[id(view.base)] = after
        fresh.add(id(view.base))
        self._upwards(view.base, versions, made, fresh)

    def _downwards(
        self, tensor: Tensor, versions: dict[int, Value], made: list[Call], fresh: set[int]
    ) -> None:
        for other in self.by_storage.get(_storage(tensor), ()):
            view = self.views.get(id(other))
            if view is None or view.base is not tensor or id(other) in fresh:
                continue
            old = next(iter(view.call.reads))
            new = versions[id(tensor)]
            call = _again(view.call, old, new)
            made.append(call)
            versions[id(other)] = list(values_in(call.results))[view.number]
            fresh.add(id(other))
            self._downwards(other, versions, made, fresh)


def _again(view: Call, old: Value, new: Value) -> Call:
    """The call that took a view, for the new version of what it was taken from."""
    args = mapped(lambda each: new if each is old else each, view.args)
    call = Call(view.function, view.name, args, view.kwargs, view.inside, view.place)
    kind = _kind_of(call)

    def fresh(each: Any) -> Any:
        is_value = isinstance(each, Value)
        return Value(each.shape, each.dtype, kind, source=call) if is_value else each

    call.results = mapped(fresh, view.results)
    return call


def _kind_of(call: Call) -> str:
    kinds = [value.kind for value in call.reads]
    return next(kind for kind in ("data", "learned", "drawn", "constant") if kind in kinds)


def _put_back(view: _View, base: Value, value: Value) -> Call | None:
    """The call that makes the new whole of a view's new numbers; None where there is none."""
    call = view.call
    if call.name in WHOLE:
        return Call(torch.reshape, "reshape", (value, base.shape), {}, call.inside, call.place)
    index = _index_of(view, len(base.shape))
    if index is None:
        return None
    return Call(put, "put", (base, index, value), {}, call.inside, call.place)


def _index_of(view: _View, rank: int) -> Any:
    """The index under which a view shows a part of its base."""
    call = view.call
    args = call.args[1:]
    if call.name == "Tensor.__getitem__":
        parts = args[0] if isinstance(args[0], tuple) else (args[0],)
        simple = all(e is None or e is Ellipsis or isinstance(e, int | slice) for e in parts)
        return parts if simple and not any(True for _ in values_in(parts)) else None
    bare = call.name.removeprefix("Tensor.")
    if bare == "narrow" and len(args) == 3:
        dim, start, length = args
        return (*(slice(None),) * (dim % rank), slice(start, start + length))
    if bare == "select" and len(args) == 2:
        return (*(slice(None),) * (args[0] % rank), args[1])
    if bare in ("chunk", "split"):
        dim = (args[1] if len(args) > 1 else call.kwargs.get("dim", 0)) % rank
        sizes = [each.shape[dim] for each in values_in(call.results)]
        start = sum(sizes[: view.number])
        return (*(slice(None),) * dim, slice(start, start + sizes[view.number]))
    return None


def _storage(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address


def may_overlap(first: Tensor, second: Tensor) -> bool:
    """False only where it is certain: parts of one tensor side by side along an axis."""
    if first.numel() == 0 or second.numel() == 0:
        return False
    low, high = sorted((first, second), key=lambda each: each.storage_offset())
    distance = high.storage_offset() - low.storage_offset()
    if distance > sum(_reach(low)):
        return False
    if low.stride() != high.stride():
        return True
    steps = sorted(set(low.stride()))
    for axis, step in enumerate(low.stride()):
        above = [each for each in steps if each > step]
        room = above[0] // step if above and step else None
        moved, rest = divmod(int(distance), step) if step else (0, distance)
        fits = room is None or moved + high.shape[axis] <= room
        if rest == 0 and moved >= low.shape[axis] and fits:
            return False
    return True


def _reach(tensor: Tensor) -> Iterator[int]:
    for size, step in zip(tensor.shape, tensor.stride(), strict=True):
        yield (size - 1) * step
