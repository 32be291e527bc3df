"""One node: its inputs' shapes to its outputs' shapes. The only caller of `Op.infer`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.ir.op import Op
from archspec.ir.shape import Shape, expect_positive, is_batched, product, show
from archspec.ir.types import NAMES, ValueType

MAX_ELEMENTS = 2**40
"""The largest number of elements of one value (for one sample) or one weight.

No machine could run more."""


MAX_RANK = 64
"""Largest number of axes of one value: torch's kernels go no further."""


def infer(op: Op, inputs: Sequence[Shape], checked: set[Shape] | None = None) -> tuple[Shape, ...]:
    """Output shapes of `op`. Raises `Refusal` (without place) where the node cannot run.

    `checked` holds outputs that other nodes gave, which need no second check. This node's outputs
    are added.
    """
    _check_inputs(op, inputs)
    result = op.infer(*inputs)
    outputs = tuple(result) if isinstance(result, list) else (result,)
    if checked is None:
        checked = set()
    for shape in outputs:
        if shape not in checked:
            _check_output(shape)
            checked.add(shape)
    for weight in op.weights(*inputs):
        if (elements := product(weight.shape)) > MAX_ELEMENTS:
            raise _too_large(f"its {weight.name or 'tensor'}", elements)
    return outputs


def _check_output(shape: Shape) -> None:
    if len(shape) > MAX_RANK:
        raise Refusal(
            f"the output would have {len(shape)} axes",
            code=Code.LIMIT,
            expected=f"at most {MAX_RANK}",
        )
    sizes = shape[is_batched(shape) :]
    for dim in sizes:
        if dim < 1:
            position = len(shape) - len(sizes) + sizes.index(dim)
            expect_positive(dim, f"size of dim {position} of the output {show(shape)}")
    # From the last axis: the product of an image's height and width is the same at many nodes.
    if (elements := product(sizes[::-1])) > MAX_ELEMENTS:
        raise _too_large(f"the output {show(shape)}", elements, " per sample")


def infer_types(
    op: Op, inputs: Sequence[Shape], types: Sequence[ValueType], count: int
) -> tuple[ValueType, ...]:
    """The types of the `count` outputs of `op`, for input shapes that `infer` accepts.

    Raises `Refusal` for an input type that it does not take.
    """
    check_types(op, types)
    return output_types(op, inputs, types, count)


def output_types(
    op: Op, inputs: Sequence[Shape], types: Sequence[ValueType], count: int
) -> tuple[ValueType, ...]:
    """Like `infer_types`, for inputs that `op` is known to take."""
    result = op.output_types(inputs, types)
    return tuple(result) if isinstance(result, list) else (result,) * count


def check_types(op: Op, types: Sequence[ValueType]) -> None:
    """Raises `Refusal` for an input of a type that `op` does not take."""
    for given in op.own_inputs(types):
        if given.name not in op.takes:
            raise Refusal(
                f"it takes {_either(op.takes)}, and reads {given.name}",
                code=Code.DTYPE,
                expected=_either(op.takes),
                found=given.name,
                help=op.help_for_type(given),
            )


def _either(names: Iterable[str]) -> str:
    return " or ".join(name for name in NAMES[::-1] if name in names)


def _too_large(what: str, elements: int, each: str = "") -> Refusal:
    number = f"{elements:,}" if elements < 10**18 else "far too many"
    return Refusal(
        f"{what} would have {number} elements{each}",
        code=Code.LIMIT,
        expected=f"at most {MAX_ELEMENTS:,}",
    )


def _check_inputs(op: Op, inputs: Sequence[Shape]) -> None:
    inputs = op.own_inputs(inputs)
    count, arity = len(inputs), op.arity
    least = 2 if arity is None else arity - op.optional_inputs
    if count < least or (arity is not None and count > arity):
        wanted = "two or more inputs" if arity is None else f"{_span(least, arity)} input(s)"
        if op.variadic and arity is not None:
            wanted = "one input beside a number" if arity == 1 else f"{arity} inputs"
        raise Refusal(
            f"{op.op_name} takes {wanted}, got {count}",
            code=Code.ARITY,
            expected=wanted,
            found=str(count),
            help=_arity_help(op, count),
        )
    if not op.takes_unbatched:
        for shape in inputs:
            if not is_batched(shape):
                raise Refusal(
                    f"{op.op_name} needs a batched input, and {show(shape)} has no batch axis",
                    code=Code.UNBATCHED,
                    expected="an input whose first axis is N",
                    found=show(shape),
                    help="join it to the batch first with add, mul or concat",
                )


def _span(least: int, most: int) -> str:
    return f"{most}" if least == most else f"{least} to {most}"


def _arity_help(op: Op, count: int) -> str | None:
    if op.arity is None:
        return f"name them: `{op.op_name}: [a, b]`"
    if op.variadic and op.arity > 1:
        names = f"[{', '.join('abc'[: op.arity])}]"
        needs = [name for name, field in op.fields().items() if field.is_required]
        given = ", ".join([f"inputs: {names}", *[f"{name}: …" for name in needs]])
        return f"name them: `{op.op_name}: {f'{{{given}}}' if needs else names}`"
    if op.variadic:
        return "join the others in a node before it, or leave the number out"
    if op.optional_inputs:
        return f"its inputs are {', '.join(op.input_names)}, in this order"
    if count > op.arity:
        return "name one value: `from: name`, or one output of several: `from: name[0]`"
    return None
