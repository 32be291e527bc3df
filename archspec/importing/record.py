"""Runs a module on the meta device and records each call of a torch function.

A `TorchFunctionMode` sees the functions; while it runs, `nn.Module.__call__` keeps the stack of the
modules that are running.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from archspec.diagnostics.diagnostic import SpecError
from archspec.importing.constants import NotConstant, evaluate
from archspec.importing.copying import meta_copy, random_state_kept
from archspec.importing.functions import is_leaf, load_handlers, name_of
from archspec.importing.memory import Memory
from archspec.importing.trace import (
    BATCH,
    CONSTANT,
    DATA,
    DRAWN,
    LEARNED,
    Call,
    Invocation,
    Place,
    Trace,
    Value,
    cannot,
    mapped,
    refused,
    values_in,
)

ASKS = frozenset(
    f"Tensor.{name}"
    for name in (
        *("__bool__", "__int__", "__float__", "__complex__", "__index__", "__contains__"),
        *("item", "tolist", "numpy", "__array__", "equal", "allclose", "is_nonzero", "nonzero"),
    )
) | frozenset(("equal", "allclose", "is_nonzero", "nonzero"))
"""Functions whose result depends on the numbers of a tensor, and not on its shape."""

DRAWS = frozenset(
    (
        *("rand", "randn", "randint", "randperm", "normal", "bernoulli", "rand_like", "randn_like"),
        *("multinomial", "Tensor.bernoulli_", "Tensor.uniform_", "Tensor.normal_"),
        *("Tensor.bernoulli", "Tensor.exponential_", "Tensor.random_", "randint_like"),
    )
)
"""Functions that draw random numbers."""

_OWN = (f"{Path(torch.__file__).parent}{os.sep}", f"{Path(__file__).parent}{os.sep}")


def record(
    net: nn.Module,
    inputs: Mapping[str, Tensor],
    *,
    training: bool,
    by_position: bool,
    sizes: Mapping[str, Sequence[int]] | None = None,
    kept: Collection[str] = (),
) -> Trace:
    """The trace of a run in `eval()` or `train()`, on a copy of the module.

    Inputs have the batch `BATCH` in the place of their own, and `sizes` where they are given. They
    go to the module by position or by their names. The modules at `kept` are recorded whole.

    Raises `SpecError` with the line of Python where a run depends on numbers of its input.
    """
    load_handlers()
    made, pairs = meta_copy(net)
    made.train(training)
    recorder = Recorder(made, pairs, Trace(training), kept)
    given = {}
    for name, tensor in inputs.items():
        shape = (BATCH, *((sizes or {}).get(name) or tensor.shape[1:]))
        given[name] = torch.empty(shape, dtype=tensor.dtype, device="meta")
        recorder.trace.inputs[name] = recorder.entered(given[name], DATA, name)
    quietly = (random_state_kept(), torch.no_grad(), _slow_attention(), torch.device("meta"))
    with ExitStack() as stack:
        for each in (*quietly, recorder.running()):
            stack.enter_context(each)
        try:
            output = made(*given.values()) if by_position else made(**given)
        except SpecError:
            raise
        except (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError) as error:
            if recorder.refusal is not None:
                raise recorder.refusal from error
            place = _place_of(error)
            text = f"the module fails on the meta device with a batch of {BATCH}: {error}"
            raise refused(cannot(text), place) from error
    if recorder.refusal is None and any(id(t) in recorder.memory.stale for t in _tensors(output)):
        recorder.check_stale("", list(_tensors(output)), None)
    if recorder.refusal is not None:
        raise recorder.refusal
    recorder.trace.outputs = recorder.values(_plain(output))
    return recorder.trace


class Recorder(TorchFunctionMode):
    """Writes the calls into a trace. `paused` counts running modules that are recorded whole."""

    def __init__(
        self,
        net: nn.Module,
        pairs: Sequence[tuple[Tensor, Tensor]],
        trace: Trace,
        kept: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.trace, self.whole = trace, kept
        self.paths: dict[int, str] = {}
        for path, module in net.named_modules():
            self.paths.setdefault(id(module), path)
        self.current = Invocation(net, "", 0, None)
        self.calls_of: dict[int, int] = {}
        self.paused = 0
        self.refusal: SpecError | None = None
        self.versions: dict[int, Value] = {}
        self.memory = Memory()
        real = {id(made): given for made, given in pairs}
        self._enter_tensors(net, real)
        for made, given in pairs:
            if id(made) not in self.versions:
                self.trace.real[self.entered(made, CONSTANT)] = given

    def _enter_tensors(self, net: nn.Module, real: Mapping[int, Tensor]) -> None:
        for kind, named in (
            (LEARNED, net.named_parameters(remove_duplicate=False)),
            (CONSTANT, net.named_buffers(remove_duplicate=False)),
        ):
            for key, tensor in named:
                if id(tensor) not in self.versions:
                    value = self.entered(tensor, kind, key)
                    known = self.trace.real if kind == CONSTANT else self.trace.initial
                    if id(tensor) in real:
                        known[value] = real[id(tensor)]
                self.trace.tensors[key] = self.versions[id(tensor)]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Record what runs inside."""
        original = nn.Module.__call__
        recorder = self

        def called(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            return recorder.module_called(original, module, args, kwargs)

        nn.Module.__call__ = called  # type: ignore[method-assign]
        try:
            with self:
                yield
        finally:
            nn.Module.__call__ = original  # type: ignore[method-assign]

    def module_called(
        self,
        original: Callable[..., Any],
        module: nn.Module,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run a module with its path on the stack, or record it as one call where it is a leaf."""
        path = self.paths.get(id(module))
        if path is None or self.paused:
            return original(module, *args, **kwargs)
        before, number = self.current, self.calls_of.get(id(module), 0)
        self.calls_of[id(module)] = number + 1
        outermost = not path and before.parent is None and number == 0
        self.current = before if outermost else Invocation(module, path, number, before)
        self.trace.invocations.append(self.current)
        try:
            if not is_leaf(module) and path not in self.whole:
                return original(module, *args, **kwargs)
            name = f"{type(module).__module__}.{type(module).__qualname__}"
            self.paused += 1
            try:
                run = lambda *a, **k: original(module, *a, **k)  # noqa: E731
                return self.called(run, name, args, kwargs, module)
            finally:
                self.paused -= 1
        finally:
            self.current = before

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if self.paused:
            return func(*args, **kwargs)
        name = name_of(func)
        if name in ASKS:
            return self.answer(func, name, args, kwargs)
        return self.called(func, name, args, kwargs, None)

    def called(
        self,
        func: Callable[..., Any],
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        module: nn.Module | None,
    ) -> Any:
        """Run a function, and write down the call if it made a tensor."""
        tensors = list(_tensors((args, kwargs)))
        versions = [tensor._version for tensor in tensors]
        place = _place()
        if any(id(tensor) in self.memory.stale for tensor in tensors):
            self.check_stale(name, tensors, place)
        call = Call(func, name, self.values(args), self.values(kwargs), self.current, place, module)
        out = self.on_meta(func(*args, **kwargs))
        wrote = [t for t, v in zip(tensors, versions, strict=True) if t._version != v]
        if not wrote and all(id(each) in self.versions for each in _tensors(out)):
            return out
        _without_likes(call, out)
        kind = _kind(call)
        written, changed = [], []
        for tensor in dict.fromkeys(wrote):
            if not self._is_statistic(tensor):
                after = Value(tuple(tensor.shape), tensor.dtype, kind, source=call)
                written.append((self.versions[id(tensor)], after))
                self.versions[id(tensor)] = after
                changed.append(tensor)
        call.written = tuple(written)
        for number, tensor in enumerate(_tensors(out)):
            if id(tensor) not in self.versions:
                self.enter(tensor, Value(tuple(tensor.shape), tensor.dtype, kind, source=call))
                if tensors and module is None:
                    self.memory.viewed(tensor, tensors[0], call, number)
        call.results = self.values(_plain(out))
        self.trace.calls.append(call)
        for tensor in changed:
            self.trace.calls += self.memory.written(tensor, call, self.versions)
        return out

    def on_meta(self, out: Any) -> Any:
        """What a function gives, with real numbers kept aside: only constants have them here."""
        if not any(not tensor.is_meta for tensor in _tensors(out)):
            return out

        def moved(each: Any) -> Any:
            if not isinstance(each, Tensor) or each.is_meta:
                return each
            made = torch.empty_like(each, device="meta")
            self.trace.real[self.entered(made, CONSTANT)] = each
            return made

        return mapped(moved, out)

    def _is_statistic(self, tensor: Tensor) -> bool:
        """Whether a tensor that was written is a parameter or buffer, whose moves torch makes."""
        value = self.versions.get(id(tensor))
        return value is not None and bool(value.name) and value.name in self.trace.tensors

    def answer(
        self,
        func: Callable[..., Any],
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """What a question about the numbers of constants gives. About data it is refused."""
        try:
            values = self.values((args, kwargs))
            for value in values_in(values):
                if value.kind != CONSTANT:
                    raise NotConstant(value)
            real_args, real_kwargs = mapped(self._real, values)
            with torch._C.DisableTorchFunction():
                return func(*real_args, **real_kwargs)
        except NotConstant:
            word = name.removeprefix("Tensor.").strip("_")
            refusal = cannot(
                f"what the module does here depends on the numbers of a tensor ({word})",
                help="a spec has no branches on values: make it a choice when the module is built, "
                "or import the parts around it",
            )
            self.refusal = self.refusal or refused(refusal, _place(), self.current)
            raise self.refusal from None

    def _real(self, each: Any) -> Any:
        """The numbers of a constant; a batch norm has counted the batch before it asks."""
        if not isinstance(each, Value):
            return each
        counted = self.trace.training and each.name.endswith("num_batches_tracked")
        return evaluate(self.trace, each) + int(counted)

    def entered(self, tensor: Tensor, kind: str, name: str = "") -> Value:
        return self.enter(tensor, Value(tuple(tensor.shape), tensor.dtype, kind, name))

    def enter(self, tensor: Tensor, value: Value) -> Value:
        """Take in a tensor that no call before has seen."""
        self.versions[id(tensor)] = value
        self.memory.enter(tensor)
        return value

    def values(self, structure: Any) -> Any:
        """The structure with the present version of each tensor in its place."""
        return mapped(self._value, structure)

    def _value(self, each: Any) -> Any:
        if not isinstance(each, Tensor):
            return each
        if id(each) not in self.versions:
            value = self.entered(each, CONSTANT)
            if each.device.type == "meta":
                raise refused(
                    cannot("a tensor here is made by code that torch does not report"), _place()
                )
            self.trace.real[value] = each
        return self.versions[id(each)]

    def check_stale(self, name: str, tensors: Sequence[Tensor], place: Place | None) -> None:
        """Refuse to read what a write has changed behind the trace; its form may be asked for."""
        if name.endswith("__get__") or name in SHAPES:
            return
        stale = self.memory.stale
        call = next(stale[id(tensor)] for tensor in tensors if id(tensor) in stale)
        refusal = cannot(
            f"{call.name} writes into memory that another tensor shows, which is "
            f"{f'read again at {place}' if place is not None else 'returned'}",
            help="write the result of the function without `_` (or `inplace=True`) to a new "
            "variable, so that nothing is changed behind a view",
        )
        self.refusal = self.refusal or refused(refusal, call.place)
        raise self.refusal


SHAPES = frozenset(f"Tensor.{name}" for name in ("size", "dim", "numel", "is_contiguous", "stride"))
"""Functions that ask a tensor for its form alone."""


FILLS = {
    **dict.fromkeys(("zeros_like", "Tensor.new_zeros"), "zeros"),
    **dict.fromkeys(("ones_like", "Tensor.new_ones"), "ones"),
    **dict.fromkeys(("empty_like", "Tensor.new_empty"), "empty"),
    **dict.fromkeys(("rand_like",), "rand"),
    **dict.fromkeys(("randn_like",), "randn"),
    **dict.fromkeys(("full_like", "Tensor.new_full"), "full"),
}
"""Functions that read the form of a tensor alone, and what makes the same of a form."""


def _without_likes(call: Call, out: Any) -> None:
    """Let a call that reads the form of a tensor alone be one that reads none."""
    name = FILLS.get(call.name)
    if name is None:
        return
    args: tuple[Any, ...] = (tuple(out.shape),)
    if name == "full":
        args = (*args, call.args[1] if len(call.args) > 1 else call.kwargs["fill_value"])
    call.function, call.name, call.args = getattr(torch, name), name, args
    call.kwargs = {"dtype": out.dtype}


def _kind(call: Call) -> str:
    kinds = {value.kind for value in call.reads}
    if DATA in kinds:
        return DATA
    if DRAWN in kinds or call.name in DRAWS:
        return DRAWN
    return LEARNED if LEARNED in kinds else CONSTANT


def _tensors(structure: Any) -> Iterator[Tensor]:
    if isinstance(structure, Tensor):
        yield structure
    elif isinstance(structure, Mapping):
        for each in structure.values():
            yield from _tensors(each)
    elif isinstance(structure, tuple | list):
        for each in structure:
            yield from _tensors(each)
    elif isinstance(structure, slice):
        yield from _tensors((structure.start, structure.stop, structure.step))


def _plain(output: Any) -> Any:
    """A module's output with plain dicts in the place of mappings of other classes."""
    if isinstance(output, Mapping):
        return {key: _plain(each) for key, each in output.items()}
    if isinstance(output, tuple) and not hasattr(output, "_fields"):
        return tuple(_plain(each) for each in output)
    return output


def _is_users(frame: FrameType) -> bool:
    return not frame.f_code.co_filename.startswith((*_OWN, "<"))


def _place() -> Place:
    """The innermost line that is neither torch's nor archspec's."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and not _is_users(frame):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno) if frame is not None else Place("?", 0)


def _place_of(error: BaseException) -> Place | None:
    found = None
    trace = error.__traceback__
    while trace is not None:
        if _is_users(trace.tb_frame):
            found = Place(trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return found


@contextmanager
def _slow_attention() -> Iterator[None]:
    """Without torch's fused encoder layer, which runs in `eval()` alone."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
