"""What torch does on the CPU, as the judge of the static rules.

`accepts_as_torch` compares one op with torch in both directions; `compare_record` replays it on
the tape and compares layouts and saved memory with a real run; `strided` draws inputs in every
memory layout that the language can produce.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from hypothesis import strategies as st
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.infer import infer
from archspec.ir.op import Op
from archspec.ir.shape import N, Shape, concrete
from archspec.ir.tape import Storage, Tape, Tensor
from archspec.ir.types import FLOAT, ValueType
from archspec.runtime.values import drawn, name_of, type_of

torch.set_num_threads(1)

# What torch raises for arguments and shapes that it cannot run.
FAILURES = (RuntimeError, ValueError, IndexError, TypeError, ZeroDivisionError, AssertionError)

# Refusals by a rule of the language, where torch may well run.
DOCUMENTED = {Code.EMPTY, Code.UNBATCHED, Code.MIXES_BATCH, Code.SINGLE_VALUE, Code.LIMIT}

Direct = Callable[..., Any]
"""The op written by hand in torch: its keyword arguments, then its inputs."""


def one_or_each(values: st.SearchStrategy[int], axes: int = 2) -> st.SearchStrategy[Any]:
    """One number for all axes, or one for each."""
    return values | st.tuples(*[values] * axes)


def shape(*sizes: int) -> Shape:
    """A batched shape."""
    return (N, *sizes)


def real(op: Op, inputs: Sequence[Shape]) -> Callable[..., Any]:
    """The op as a function of tensors: the module it builds, or its expression."""
    module = op.build(*inputs)
    if module is not None:
        assert isinstance(module, nn.Module)
        return module
    names = [f"x{i}" for i in range(len(inputs))]
    source = f"lambda {', '.join(names)}: {op.expression(names, inputs)}"
    return eval(source, {"torch": torch})  # type: ignore[no-any-return]


def listed(result: Any) -> list[torch.Tensor]:
    return [result] if isinstance(result, torch.Tensor) else list(result)


def accepts_as_torch(op: Op, inputs: Sequence[Shape], direct: Direct) -> bool:
    """True where the op accepts its inputs; asserts that torch is of the same mind.

    Accepted: what the op builds runs at N = 2, 3 and 5 in both modes, with the stated shapes,
    weights and multiply-accumulates. Refused: `direct`, which owes nothing to the op, fails in
    one of these runs, unless the refusal falls under a documented rule.
    """
    try:
        outputs = infer(op, inputs)
    except Refusal as refusal:
        if refusal.code not in DOCUMENTED:
            assert not _runs(op, inputs, direct), "torch accepts what the rule refuses"
        return False
    run = real(op, inputs)
    if isinstance(run, nn.Module):
        stated = {weight.name: concrete(weight.shape, 0) for weight in op.weights(*inputs)}
        assert {key: tuple(value.shape) for key, value in run.state_dict().items()} == stated
    for batch in (2, 3, 5):
        tensors = [torch.randn(concrete(x, batch)) for x in inputs]
        for training in (True, False):
            if isinstance(run, nn.Module):
                run.train(training)
            results = listed(run(*tensors))
            assert [tuple(y.shape) for y in results] == [concrete(y, batch) for y in outputs]
    assert op.macs(inputs, outputs) * 5 == counted_macs(lambda: run(*tensors))
    return True


def is_accepted(op: Op, *inputs: Shape) -> bool:
    try:
        infer(op, inputs)
    except Refusal:
        return False
    return True


def _runs(op: Op, inputs: Sequence[Shape], direct: Direct) -> bool:
    arguments = op.arguments()
    try:
        for batch in (2, 3, 5):
            direct(*(torch.randn(concrete(x, batch)) for x in inputs), **arguments)
    except FAILURES:
        return False
    return True


def counted_macs(run: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() // 2


def described(x: torch.Tensor, storage: Storage | None = None) -> Tensor:
    """What the tape holds of a real tensor."""
    storage = storage or Storage(x.untyped_storage().nbytes())
    return Tensor(tuple(x.shape), x.stride(), storage, x.requires_grad, type_of(x.dtype))


def compare_record(op: Op, inputs: Sequence[Shape], tensors: Sequence[torch.Tensor]) -> None:
    """The tape's word on outputs and saved storages against a real run on `tensors`.

    Tensors that are `nn.Parameter` stand for learned ones. Asserted for each output: sizes,
    strides, whether it needs a gradient and which input's storage it looks at.
    """
    run = real(op, inputs)
    weights = list(run.parameters()) if isinstance(run, nn.Module) else []
    weights += [x for x in tensors if isinstance(x, nn.Parameter)]
    ignored = {x.untyped_storage().data_ptr() for x in weights}
    saved: dict[int, torch.UntypedStorage] = {}

    def pack(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in ignored:
            saved[storage.data_ptr()] = storage
        return x.detach()

    with saved_tensors_hooks(pack, lambda x: x):
        results = listed(run(*tensors))

    tape = Tape()
    storages: dict[int, Storage] = {}
    recorded_inputs = []
    for x in tensors:
        key = x.untyped_storage().data_ptr()
        fresh = Storage(x.untyped_storage().nbytes(), is_weight=isinstance(x, nn.Parameter))
        made = described(x, storages.setdefault(key, fresh))
        recorded_inputs.append(made._replace(batched=not isinstance(x, nn.Parameter)))
    result = op.record(tape, *recorded_inputs)
    outputs = result if isinstance(result, list) else [result]

    assert len(outputs) == len(results)
    for predicted, actual in zip(outputs, results, strict=True):
        assert predicted.shape == tuple(actual.shape)
        assert predicted.strides == actual.stride()
        assert predicted.requires_grad == actual.requires_grad
        assert predicted.type.name == name_of(actual.dtype)
        origin = storages.get(actual.untyped_storage().data_ptr())
        assert (predicted.storage if origin else None) is origin
        assert predicted.storage.nbytes == actual.untyped_storage().nbytes()
    for key, storage in storages.items():
        assert (storage in tape.saved) == (key in saved)
    assert tape.saved_bytes == sum(storage.nbytes() for storage in saved.values())


@st.composite
def strided(draw: st.DrawFn, sizes: Sequence[int], kind: ValueType = FLOAT) -> torch.Tensor:
    """A tensor of these sizes as a chain of permutes, reshapes and chunks may leave it.

    Its axes lie in memory in any order, and it may be a part of a larger tensor.
    """
    rank = len(sizes)
    order = range(rank) if draw(st.booleans()) else draw(st.permutations(range(rank)))
    channels_last = [0, *range(2, rank), 1] if rank > 2 else list(range(rank))
    order = draw(st.sampled_from([list(order), list(order), channels_last]))
    base_sizes = [sizes[dim] for dim in order]
    base = drawn(kind, base_sizes)
    if draw(st.integers(0, 3)) == 0:
        dim = draw(st.integers(0, rank - 1))
        base_sizes[dim] *= 2
        base = drawn(kind, base_sizes).chunk(2, dim)[1]
    return base.permute([order.index(dim) for dim in range(rank)])
