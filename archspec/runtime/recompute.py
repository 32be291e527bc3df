"""Concatenations that are computed again in the backward pass, not kept for it.

A dense block joins ever longer lists of outputs, and autograd keeps each joined tensor and the ReLU
of its normalisation: memory that grows with the square of the depth. All of them follow from the
outputs alone. Here autograd keeps those, and a recipe in place of each tensor that a concatenation,
or batch norm and ReLU of one, gives. The backward pass itself is autograd's own, so every gradient
has the same bits; moving statistics follow a batch once, in the forward pass.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F  # noqa: N812 (the name that all torch code uses)
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from archspec.runtime.modules import BatchNormScratch

RELU = (F.relu, torch.relu, Tensor.relu)
WATCHED = frozenset({torch.cat, F.batch_norm, *RELU})
SCRATCH = frozenset({"sub", "__sub__", "div", "__truediv__", "mul", "__mul__", "add", "__add__"})
"""What `BatchNormScratch` does to each element, by the names of torch's functions."""

Outer = tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]


def recomputing(net: nn.Module, what: str) -> nn.Module:
    """`net`, whose forward passes keep less: the same object, with the same keys and results.

    With "concat" they keep no concatenation, nor batch norm and ReLU of one; with "norms" no batch
    norm at all, nor ReLU of one, as what it reads is kept anyway.
    """
    passes = _Passes(norms=what == "norms")
    net.register_forward_pre_hook(passes.enter)
    net.register_forward_hook(passes.leave, always_call=True)
    for module in net.modules():
        if isinstance(module, BatchNormScratch):
            module.register_forward_pre_hook(passes.enter_scratch)
            module.register_forward_hook(passes.leave_scratch, always_call=True)
    return net


class _Passes(threading.local):
    """The forward pass of this thread, if any: entered and left by the hooks of modules."""

    def __init__(self, norms: bool) -> None:
        self.norms = norms
        self.watch: _Watch | None = None
        self.open: ExitStack | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _Passes, (self.norms,)  # for copies too, which are in no pass

    def enter(self, module: nn.Module, inputs: object) -> None:
        # A compiler decides by itself what to keep.
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            self.open, self.watch = ExitStack(), _Watch(_outer_hooks(), self.norms)
            self.open.enter_context(self.watch)
            self.open.enter_context(saved_tensors_hooks(self.watch.pack, _unpack))

    def leave(self, module: nn.Module, inputs: object, output: object) -> None:
        if self.open is not None and self.watch is not None:
            self.open.close()
            self.watch.end()
        self.open = self.watch = None

    def enter_scratch(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self.watch is not None:
            self.watch.of_scratch = inputs[0]

    def leave_scratch(self, module: nn.Module, inputs: object, output: object) -> None:
        if self.watch is not None:
            self.watch.of_scratch = None


def _outer_hooks() -> Outer | None:
    """Hooks that hear of saved tensors around this pass: a measurement, or an offload."""
    top = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
    found: Outer | None = top(False) if top is not None else None
    return found


class _Watch(TorchFunctionMode):
    """Sees what a forward pass computes, and says what autograd keeps of it."""

    def __init__(self, outer: Outer | None, norms: bool) -> None:
        super().__init__()
        self.outer, self.norms = outer, norms
        self.of_scratch: Tensor | None = None  # what a `BatchNormScratch` is normalising
        # A recipe lives as long as its tensor, or what was saved of it.
        self.recipes: MutableMapping[Tensor, _Recipe] = WeakIdKeyDictionary()
        # Autograd saves aliases. A weak reference to a storage keeps its address from others.
        self.by_storage: dict[int, tuple[StorageWeakRef, weakref.ref[_Recipe]]] = {}
        self.undecided: list[_Saved] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        watched = func in WATCHED or self.of_scratch is not None
        if watched and isinstance(result, Tensor):
            recipe = self._recipe(func, args, kwargs, result)
            if recipe is not None:
                self.recipes[result] = recipe
                storage = result.untyped_storage()
                weak = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                self.by_storage[storage._cdata] = weak, weakref.ref(recipe)
        if self.undecided:
            self._decide()
        return result

    def _recipe(
        self, func: Any, args: Any, kwargs: Mapping[str, Any], result: Tensor
    ) -> _Recipe | None:
        """How to compute `result` again, where it is one of those that are not to be kept."""
        if func is torch.cat:
            parts, *rest = args
            return _Recipe(func, [self._flat(parts, rest, kwargs), *rest], kwargs, result)
        known = [self._source(each) for each in args]
        starts = self.norms and (func is F.batch_norm or self._is_normalised(args))
        if not starts and not any(isinstance(each, _Recipe) for each in known):
            return None
        if func is F.batch_norm:
            if not kwargs["training"]:
                return _Recipe(func, known, kwargs, result)
            x, followed, *_ = known
            kind = None if followed is None else followed.dtype
            return _Recipe(_normalised, [x, kind], kwargs, result)
        if func in RELU and not kwargs.get("inplace"):
            return _Recipe(torch.relu, known[:1], {}, result)
        if self.of_scratch is not None and func.__name__ in SCRATCH:
            return _Recipe(func, known, kwargs, result)
        return None

    def _is_normalised(self, args: Any) -> bool:
        return self.of_scratch is not None and bool(args) and args[0] is self.of_scratch

    def _source(self, each: Any) -> Any:
        """The recipe of a tensor that has one, unless it was modified since; else itself."""
        recipe = self.recipes.get(each) if isinstance(each, Tensor) else None
        return recipe if recipe is not None and recipe.form == _form(each) else each

    def _flat(self, parts: Any, rest: Any, kwargs: Mapping[str, Any]) -> list[Any]:
        """The parts of a concatenation, where one that is joined along the same axis gives its own.

        Else each tensor of a dense block would be joined anew from that before it.
        """
        flat: list[Any] = []
        for source in map(self._source, parts):
            joined = isinstance(source, _Recipe) and source.function is torch.cat
            if joined and (source.args[1:], source.kwargs) == (rest, kwargs):
                flat += source.args[0]
            else:
                flat.append(source)
        return flat

    def pack(self, tensor: Tensor) -> _Saved:
        """What autograd keeps in place of `tensor`."""
        saved = _Saved(tensor)
        if not self._follows(saved):
            self.undecided.append(saved)  # it may be the result of what is computed now
        return saved

    def _decide(self) -> None:
        for saved in self.undecided:
            if not self._follows(saved) and saved.tensor is not None:
                saved.source, saved.tensor = _Kept(saved.tensor), None
                saved.source.hold(self.outer)
        self.undecided.clear()

    def _follows(self, saved: _Saved) -> bool:
        """Whether it has a recipe now: that of an unchanged tensor which it is, or looks at."""
        assert saved.tensor is not None
        _, recipe = self.by_storage.get(saved.tensor.untyped_storage()._cdata, (None, None))
        found = recipe() if recipe is not None else None
        if found is None or not found.gives(saved.tensor):
            return False
        found.hold(self.outer)
        found.uses, found.left = found.uses + 1, found.left + 1
        saved.source, saved.look, saved.tensor = found, _look(saved.tensor), None
        return True

    def end(self) -> None:
        self._decide()
        self.recipes.clear()
        self.by_storage.clear()


def _normalised(x: Tensor, kind: torch.dtype | None, **kwargs: Any) -> Tensor:
    """Batch norm by the batch's own statistics, which the moving ones have followed already.

    Throw-away ones of their `kind` stand in: torch computes in another precision without any.
    """
    if kind is None:
        return F.batch_norm(x, None, None, **kwargs)
    mean, var = x.new_zeros(2, x.shape[1], dtype=kind)
    return F.batch_norm(x, mean, var, **kwargs)


class _Kept:
    """A tensor that a recipe reads, or autograd itself, and its version.

    Without hooks it is autograd that refuses what was modified.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.tensor: Any = tensor.detach()
        self.version = tensor._version
        self.outer: Outer | None = None

    def is_intact(self) -> bool:
        return self.outer is not None or self.tensor._version == self.version

    def hold(self, outer: Outer | None) -> None:
        """Tells hooks around the pass; what they do with the tensor is theirs."""
        if self.outer is None and outer is not None:
            self.outer, self.tensor = outer, outer[0](self.tensor)

    def get(self) -> Tensor:
        if self.outer is not None:
            return self.outer[1](self.tensor)
        if not self.is_intact():
            raise RuntimeError(
                "a tensor that the backward pass needs was modified by an inplace operation after "
                f"it was read: {tuple(self.tensor.shape)} at version {self.tensor._version}, read "
                f"at {self.version}"
            )
        found: Tensor = self.tensor
        return found


class _Recipe:
    """How a tensor is computed again: a function of kept tensors, and of other recipes' results."""

    def __init__(
        self, function: Any, args: list[Any], kwargs: Mapping[str, Any], result: Tensor
    ) -> None:
        self.function, self.args, self.form = function, _each(_as_source, args), _form(result)
        self.kwargs = {key: _as_source(each) for key, each in kwargs.items()}
        kind = result.device.type
        self.autocast: tuple[str, torch.dtype, bool] | None = None
        if torch.amp.is_autocast_available(kind):
            dtype = torch.get_autocast_dtype(kind)
            self.autocast = kind, dtype, torch.is_autocast_enabled(kind)
        self.uses = self.left = 0  # saved tensors that it stands for, and those not asked for yet
        self.value: Tensor | None = None

    def sources(self) -> Iterator[_Kept | _Recipe]:
        for each in (*self.args, *self.kwargs.values()):
            for one in each if isinstance(each, list) else (each,):
                if isinstance(one, _Kept | _Recipe):
                    yield one

    def is_intact(self) -> bool:
        return all(each.is_intact() for each in self.sources())

    def gives(self, alias: Tensor) -> bool:
        """Whether it gives the memory that `alias` looks at."""
        same = (alias.dtype, alias._version) == self.form[-2:]
        return same and alias.layout == torch.strided and self.is_intact()

    def hold(self, outer: Outer | None) -> None:
        for each in self.sources():
            each.hold(outer)

    def get(self) -> Tensor:
        """The tensor, for one of its uses; after the last of them it is not held any more."""
        cast = torch.autocast(*self.autocast) if self.autocast else nullcontext()
        with torch.no_grad(), cast:
            value = self._again()
        self.left = (self.left or self.uses) - 1
        self.value = value if self.left else None
        return value

    def _again(self) -> Tensor:
        if self.value is not None:
            return self.value
        kwargs = {key: _value(each) for key, each in self.kwargs.items()}
        value: Tensor = self.function(*_each(_value, self.args), **kwargs)
        shape, stride, *_ = self.form
        if value.stride() != stride:  # a flat list of parts may suggest another layout
            value = value.new_empty_strided(shape, stride).copy_(value)
        if self.left:
            self.value = value  # autograd will ask for it soon
        return value


class _Saved:
    """What autograd has in place of a tensor; the tensor itself only until that is decided."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor: Tensor | None = tensor
        self.source: _Kept | _Recipe | None = None
        self.look: tuple[Any, ...] = ()


def _unpack(saved: _Saved) -> Tensor:
    assert saved.source is not None
    found = saved.source.get()
    return found if saved.look in ((), _look(found)) else found.as_strided(*saved.look)


def _look(tensor: Tensor) -> tuple[Any, ...]:
    """How a tensor looks at its memory."""
    return tensor.shape, tensor.stride(), tensor.storage_offset()


def _each(change: Callable[[Any], Any], args: list[Any]) -> list[Any]:
    """Arguments, and those in lists of them, changed."""
    return [
        [change(one) for one in each] if isinstance(each, list) else change(each) for each in args
    ]


def _as_source(each: Any) -> Any:
    return _Kept(each) if isinstance(each, Tensor) else each


def _value(each: Any) -> Any:
    if isinstance(each, _Recipe):
        return each._again()
    return each.get() if isinstance(each, _Kept) else each


def _form(tensor: Tensor) -> tuple[Any, ...]:
    """What a tensor has in common with an alias of it, and no longer once it was modified."""
    return *_look(tensor), tensor.dtype, tensor._version
