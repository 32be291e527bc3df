"""The figures of a module of another package, found by running it.

Its op is in `archspec.ops.module`; torch is imported here, and not there.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.parameter import is_lazy

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.diagnostics.suggestions import did_you_mean
from archspec.ir import tape as tapes
from archspec.ir.op import Weights
from archspec.ir.shape import N, Shape, concrete
from archspec.ir.tape import Storage, Tape
from archspec.ir.types import FLOAT, ITEMSIZES, NAMES, PRECISION, ValueType, typed
from archspec.runtime.measure import (
    measure_macs,
    plain_recurrence,
    seeded,
    uncounted,
    weights_of,
)
from archspec.runtime.values import drawn, dtype_of, name_of, type_of

BATCHES = (2, 3, 5)
"""Batch sizes of the runs on the CPU."""
FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What another package's code raises where it does not fit."""

Result = TypeVar("Result")
_known: dict[tuple[object, ...], Facts] = {}
_types: dict[tuple[object, ...], Types] = {}


Types: TypeAlias = ValueType | list[ValueType]
Output: TypeAlias = tuple[Shape, ValueType]


class Reading(Protocol):
    """The types of what a module reads, and the names by which it is given; both may be empty."""

    @property
    def types(self) -> tuple[ValueType, ...]: ...

    @property
    def names(self) -> tuple[str, ...]: ...


class Constructed(Protocol):
    """A class of another package by its path, what it is called with, and what it reads."""

    @property
    def type(self) -> str: ...

    @property
    def args(self) -> Sequence[Any]: ...

    @property
    def kwargs(self) -> Mapping[str, Any]: ...

    @property
    def reads(self) -> Reading: ...


class Facts(NamedTuple):
    """What a module does with inputs of some shapes. Lists hold one element for each output."""

    shapes: list[Shape]
    types: list[ValueType]
    weights: Weights
    macs: int | None


def facts(op: Constructed, shapes: Sequence[Shape]) -> Facts:
    """Found once for a class, its arguments and what it reads. Raises `Refusal`."""
    inputs = tuple(zip(shapes, _types_read(op, len(shapes)), strict=True))
    call = _call(op, [kind for _, kind in inputs])
    key = (*call, inputs)
    found = _known.get(key)
    if found is None:
        found = _find(op, inputs)
        # What a type rule asks for knows no shapes.
        types = found.types if len(set(found.types)) > 1 else found.types[0]
        if _types.setdefault(call, types) != types:
            raise _refusal(op, "gives other types of values for other shapes")
        _known[key] = found
    return found


def result_types(op: Constructed, types: Sequence[ValueType]) -> Types:
    """The types of its outputs, or the one of all, once `facts` has seen it run."""
    return _types[_call(op, types)]


def _types_read(op: Constructed, count: int) -> Sequence[ValueType]:
    return op.reads.types or (FLOAT,) * count


def _call(op: Constructed, types: Sequence[ValueType]) -> tuple[object, ...]:
    kinds = tuple([kind.name for kind in types])
    return _found_class(op.type), repr(op.args), repr(op.kwargs), op.reads.names, kinds


def made(op: Constructed) -> nn.Module:
    """A new module, in `train()` mode. Raises `Refusal`."""
    cls = _found_class(op.type)
    return _tried(f"cannot make {op.type}", lambda: cls(*op.args, **op.kwargs))


def _found_class(path: str) -> type[nn.Module]:
    """The class. Nothing but a class of modules is ever called."""
    package, _, name = path.rpartition(".")
    module = _tried(f"cannot import {package}", lambda: import_module(package))
    cls = getattr(module, name, None)
    if inspect.isclass(cls) and issubclass(cls, nn.Module):
        return cls
    known = [n for n, v in vars(module).items() if inspect.isclass(v) and issubclass(v, nn.Module)]
    raise Refusal(
        f"{package} has no nn.Module called {name!r}",
        code=Code.MODULE,
        found="nothing of this name" if cls is None else f"a {type(cls).__name__}",
        help=did_you_mean(name, known),
    )


# --- what it reads ---------------------------------------------------------------------------


def _check_inputs(op: Constructed, module: nn.Module, count: int) -> None:
    """Refuses inputs that its `forward` does not take, and too few of those that it needs."""
    try:
        declared = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return  # compiled code has none, and says so when it runs
    empty, kinds = inspect.Parameter.empty, inspect.Parameter
    known = [
        each for each in declared if each.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
    ]
    required = [each.name for each in known if each.default is empty]
    expected = f"inputs {', '.join([each.name for each in known])}"
    if op.reads.names:
        takes_any = any(each.kind is kinds.VAR_KEYWORD for each in declared)
        named = {each.name for each in known if each.kind is not kinds.POSITIONAL_ONLY}
        for name in op.reads.names:
            if name not in named and not (takes_any and _may_name(name)):
                raise Refusal(
                    f"{op.type} has no input {name!r}",
                    code=Code.UNKNOWN_NAME,
                    expected=expected,
                    help=did_you_mean(name, named),
                )
        missing = [name for name in required if name not in op.reads.names]
    else:
        by_position = [each for each in known if each.kind is not kinds.KEYWORD_ONLY]
        takes_more = any(each.kind is kinds.VAR_POSITIONAL for each in declared)
        if count > len(by_position) and not takes_more:
            raise Refusal(
                f"{op.type} takes at most {len(by_position)} input(s), got {count}",
                code=Code.ARITY,
                expected=expected,
                found=str(count),
                help="name one value: `from: name`, or one output of several: `from: name[0]`",
            )
        given = [each.name for each in by_position[:count]]
        missing = [name for name in required if name not in given]
    if missing:
        raise Refusal(
            f"{op.type} needs the input{'s' if len(missing) > 1 else ''} "
            f"{' and '.join(map(repr, missing))} too",
            code=Code.ARITY,
            expected=expected,
            help="give them in order, `from: [a, b]`, or by name, `from: {x: a, y: b}`",
        )


def _may_name(name: str) -> bool:
    """Whether generated code can give an argument by this name."""
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name)


# --- shapes, weights, cost -----------------------------------------------------------------------


def _find(op: Constructed, inputs: Sequence[Output]) -> Facts:
    with seeded(0):  # compiling a spec leaves the global random state as it was
        with torch.device("meta"):
            planned = made(op)
            _check_inputs(op, planned, len(inputs))
            planned_outputs = _outputs(op, planned, inputs, BATCHES[:2], "the meta device")
        with torch.device("cpu"):
            module = made(op)
            weights = _weights(op, module)
            outputs = _outputs(op, module, inputs, BATCHES, "the CPU")
            if outputs != planned_outputs:
                raise _refusal(
                    op,
                    f"gives {_shown(outputs)} on the CPU, and {_shown(planned_outputs)} on the "
                    "meta device",
                )
            macs = _macs(op, module, inputs)
    shapes, types = map(list, zip(*outputs, strict=True))
    return Facts(shapes, types, weights, macs)


def _outputs(
    op: Constructed,
    module: nn.Module,
    inputs: Sequence[Output],
    batches: Sequence[int],
    where: str,
) -> list[Output]:
    """What it gives, the same in every run but for the batch."""
    found: list[Output] = []
    for training in (True, False):
        module.train(training)
        for batch in batches:
            with torch.no_grad():
                values = _run(op, module, _drawn(inputs, batch), f"on {where} at N = {batch}")
            if any(value.dim() == 0 or value.shape[0] != batch for value in values):
                first = [tuple(value.shape) for value in values]
                raise _refusal(op, f"gives {first} for a batch of {batch}: N is not first in it")
            given = [((N, *value.shape[1:]), type_of(value.dtype)) for value in values]
            if found and given != found:
                raise _refusal(
                    op, f"gives {_shown(given)} in one run and {_shown(found)} in another"
                )
            found = given
    return found


def _shown(outputs: Sequence[Output]) -> str:
    return ", ".join(typed(*output) for output in outputs)


def _run(
    op: Constructed,
    module: nn.Module,
    inputs: Sequence[torch.Tensor],
    when: str,
    precision: str = PRECISION,
) -> list[torch.Tensor]:
    before = [value._version for value in inputs]
    result = _tried(f"{op.type} fails {when}", lambda: _called(op, module, inputs), Code.SHAPE)
    if [value._version for value in inputs] != before:
        raise _refusal(op, "writes to its input, which other nodes may read")
    values = list(result) if isinstance(result, tuple | list) else [result]
    if not values or not all(isinstance(each, torch.Tensor) for each in values):
        raise _refusal(op, f"gives {_kinds(result)}, and no tensor or tuple of tensors")
    for each in values:
        kind = name_of(each.dtype, precision) if each.layout == torch.strided else str(each.layout)
        if kind not in NAMES:
            raise _refusal(op, f"gives {kind.removeprefix('torch.')} for {precision}")
    return values


def _called(op: Constructed, module: nn.Module, inputs: Sequence[torch.Tensor]) -> Any:
    """What its `forward` returns, for inputs by position or by name."""
    names = op.reads.names
    return module(**dict(zip(names, inputs, strict=True))) if names else module(*inputs)


def _kinds(result: Any) -> str:
    """What came instead of tensors, for people: `(a tensor, None)`."""
    if isinstance(result, torch.Tensor):
        return "a tensor"
    if isinstance(result, tuple | list) and result:
        return f"({', '.join(map(_kinds, result))})"
    return "None" if result is None else type(result).__name__


def _drawn(inputs: Sequence[Output], batch: int) -> list[torch.Tensor]:
    return [drawn(kind, concrete(shape, batch)) for shape, kind in inputs]


def _weights(op: Constructed, module: nn.Module) -> Weights:
    values = module.state_dict(keep_vars=True).values()
    if any(map(is_lazy, values)):
        raise _refusal(op, "is lazy: its weights have no shapes before it runs")
    parameters = [value for value in values if isinstance(value, nn.Parameter)]
    if len(set(map(id, parameters))) < len(parameters):
        raise _refusal(op, "keeps one parameter under two names, so it would count twice")
    weights = weights_of(module)
    odd = next((each for each in weights if each.type.name not in (*NAMES, *ITEMSIZES)), None)
    if odd is not None:
        raise _refusal(op, f"keeps {odd.name} in {odd.type.name}, which archspec does not know")
    return weights


def _macs(op: Constructed, module: nn.Module, inputs: Sequence[Output]) -> int | None:
    """For one sample, in `eval()`; None where torch's counter does not know what runs."""
    module.eval()
    if uncounted(partial(_called, op, module, _drawn(inputs, 2))):
        return None
    two, three = (
        measure_macs(partial(_called, op, module, _drawn(inputs, batch))) for batch in (2, 3)
    )
    if 3 * two != 2 * three:
        raise _refusal(op, f"costs {two:,} MACs for two samples and {three:,} for three")
    return two // 2


# --- memory --------------------------------------------------------------------------------------


def record(
    op: Constructed, tape: Tape, inputs: Sequence[tapes.Tensor]
) -> tapes.Tensor | list[tapes.Tensor]:
    """What a real run on the CPU leaves: its outputs, and on the tape what autograd saves."""
    saved: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage  # held, so that no other gets its address
        return tensor.detach()

    with seeded(0), torch.device("cpu"), torch.enable_grad():
        module = made(op).train(tape.training)
        if tape.frozen:
            module.requires_grad_(False)
        if tape.precision != PRECISION:
            module.to(dtype_of(FLOAT, tape.precision))
        # A value that is read twice is one tensor: attention asks which of its inputs are the same.
        laid_out = {id(x): _laid_out(x, tape.precision) for x in inputs}
        given = [laid_out[id(x)] for x in inputs]
        with plain_recurrence(), saved_tensors_hooks(pack, lambda tensor: tensor):
            values = _run(op, module, given, f"at N = {inputs[0].shape[0]}", tape.precision)
    read = zip(given, inputs, strict=True)
    places = {value.untyped_storage().data_ptr(): x.storage for value, x in read}
    for owned in (*module.parameters(), *module.buffers()):
        places[owned.untyped_storage().data_ptr()] = Storage(0, is_weight=True)
    outputs = [_as_recorded(output, tape, places) for output in values]
    for address, storage in saved.items():
        kept = places.setdefault(address, Storage(storage.nbytes()))
        if not kept.is_weight:
            tape.saved[kept] = None
    return outputs[0] if len(outputs) == 1 else outputs


def _as_recorded(output: torch.Tensor, tape: Tape, places: dict[int, Storage]) -> tapes.Tensor:
    storage = output.untyped_storage()
    if storage.data_ptr() not in places:
        places[storage.data_ptr()] = Storage(storage.nbytes())
        tape.allocated[places[storage.data_ptr()]] = None
    return tapes.Tensor(
        tuple(output.shape),
        tuple(output.stride()),
        places[storage.data_ptr()],
        output.requires_grad,
        type_of(output.dtype, tape.precision),
    )


def _laid_out(x: tapes.Tensor, precision: str) -> torch.Tensor:
    """A real tensor with the sizes and strides of a recorded one."""
    last = sum((size - 1) * step for size, step in zip(x.shape, x.strides, strict=True))
    value = drawn(x.type, (last + 1,), precision=precision).as_strided(x.shape, x.strides)
    return value.requires_grad_(x.requires_grad)


# --- running it ----------------------------------------------------------------------------------


def _tried(what: str, run: Callable[[], Result], code: Code = Code.MODULE) -> Result:
    try:
        return run()
    except FAILURES as error:
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0][:200] if lines else ''}"
        raise Refusal(what, code=code, found=reason) from None


def _refusal(op: Constructed, what: str) -> Refusal:
    return Refusal(f"{op.type} {what}", code=Code.MODULE)
