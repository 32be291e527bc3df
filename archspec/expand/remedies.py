"""Help for shape mistakes: edits that are tried on the shapes before they are proposed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.expand.builder import Builder
from archspec.expand.lookup import Refs
from archspec.expressions.arguments import show_value
from archspec.ir.fields import ArgumentsError
from archspec.ir.graph import INPUT, Ref, Step
from archspec.ir.infer import infer
from archspec.ir.op import REGISTRY, Op
from archspec.ir.shape import Shape, each, is_batched, product

MAX_CHAIN = 50
"""Steps that are followed from a value back to the op that gave it its form."""

MAX_ANCESTORS = 10_000
"""Steps upstream of a value that are looked at."""

MAX_INPUTS = 16
"""The most inputs of a merge that gets a help: each is tried, with all that leads to it."""

STRIDES = (2, 1, 4, 3)

GROWS = "output_padding"
"""The argument that makes the result of an op a little larger."""

PROJECTIONS = {2: "linear", 3: "conv1d", 4: "conv2d"}
"""By rank of the value, the op that brings it to another shape."""


def remedy(op: Op, b: Builder, refs: Refs, code: Code) -> str | None:
    """A help text with an edit after which `op` takes its inputs; None where none is found.

    `code` is that of the refusal: RANK and UNBATCHED need another rank, SHAPE another size.
    """
    shapes, _ = b.read(refs)
    if code in (Code.RANK, Code.UNBATCHED):
        ways = (_unbatched, _without_channels, _flattened, _as_tokens, _reordered)
        found = (words for way in ways for words in way(op, b, refs, shapes))
        return next(found, None)
    if not 2 <= len(refs) <= MAX_INPUTS:
        return None
    for way in (_spread, _grown):
        if words := next(way(op, b, refs, shapes), None):
            return words
    return _equalised(op, b, refs, shapes)


def _fits(op: Op, shapes: Sequence[Shape]) -> bool:
    try:
        infer(op, shapes)
    except Refusal:
        return False
    return True


# --- ranks ---------------------------------------------------------------------------------------


def _unbatched(op: Op, b: Builder, refs: Refs, shapes: Sequence[Shape]) -> Iterator[str]:
    """Where the network's own input of images was written with the batch."""
    if len(refs) == 1 and refs[0].step == INPUT and b.parent is None and len(shapes[0]) == 5:
        batch, *sizes = shapes[0][1:]
        if _fits(op, [(shapes[0][0], *sizes)]):
            name, written = _sizes_key(b, refs[0]), ", ".join(map(str, sizes))
            yield f"sizes are written without the batch, if {batch} is that: `{name}: [{written}]`"


def _without_channels(op: Op, b: Builder, refs: Refs, shapes: Sequence[Shape]) -> Iterator[str]:
    """Where an image of one channel was written as its height and width."""
    if len(refs) == 1 and refs[0].step == INPUT and b.parent is None and len(shapes[0]) == 3:
        n, *sizes = shapes[0]
        if len(set(sizes)) == 1 and _fits(op, [(n, 1, *sizes)]):
            name, written = _sizes_key(b, refs[0]), ", ".join(map(str, sizes))
            yield f"the channels come first, 1 of a grey image: `{name}: [1, {written}]`"


def _sizes_key(b: Builder, ref: Ref) -> str:
    """The key under which a spec writes the sizes of such an input."""
    return b.input_edge(ref.output) if b.type(ref).is_float else "shape"


def _as_tokens(op: Op, b: Builder, refs: Refs, shapes: Sequence[Shape]) -> Iterator[str]:
    """The positions of an image as one axis, as attention takes them."""
    if len(refs) == 1 and len(shapes[0]) == 4 and is_batched(shapes[0]):
        n, channels, *sizes = shapes[0]
        words = 'add "flatten: {start_dim: 2}"'
        tokens = (n, channels, product(sizes))
        if op.bias_axis != 1:  # the channels are not its axis 1
            words, tokens = f'{words} and "permute: [0, 2, 1]"', (n, product(sizes), channels)
        if _fits(op, [tokens]):
            yield f'{words} before "{op.op_name}"'


def _flattened(op: Op, b: Builder, refs: Refs, shapes: Sequence[Shape]) -> Iterator[str]:
    for index, shape in enumerate(shapes):
        if len(shape) > 2 and is_batched(shape):
            flat = (shape[0], product(shape[1:]))
            if _fits(op, [*shapes[:index], flat, *shapes[index + 1 :]]):
                after = len(refs) > 1 and f"after {_title(b, refs[index])}"
                yield 'add "flatten" ' + (after or f'before "{op.op_name}"')


def _reordered(op: Op, b: Builder, refs: Refs, shapes: Sequence[Shape]) -> Iterator[str]:
    """Where an earlier step took away the axes that the op needs."""
    if len(refs) != 1 or refs[0].step == INPUT:
        return
    chain = _chain(b, refs[0])
    changed = chain[-1]
    before = changed.input_shapes
    if len(before) == 1 and len(before[0]) > len(shapes[0]) and _fits(op, before):
        yield f'move "{op.op_name}" before {called(changed)}, which takes the axes away'


def _spread(op: Op, b: Builder, refs: Refs, shapes: Sequence[Shape]) -> Iterator[str]:
    """Where a value lacks axes that another one has at its end, as a gate for each channel."""
    longest = max(shapes, key=len)
    for index, shape in enumerate(shapes):
        missing = len(longest) - len(shape)
        if missing and shape == longest[: len(shape)] and is_batched(shape):
            wide = (*shape, *(1,) * missing)
            if _fits(op, [*shapes[:index], wide, *shapes[index + 1 :]]):
                sizes = ", ".join(map(str, wide[1:]))
                yield f'add "reshape: [{sizes}]" after {_title(b, refs[index])}'


def _grown(op: Op, b: Builder, refs: Refs, shapes: Sequence[Shape]) -> Iterator[str]:
    """Where a transposed convolution cannot know that the size it restores was odd.

    One in a block is left as it is: other calls of the block may need it so.
    """
    if b.parent is not None:
        return
    for index, ref in enumerate(refs):
        chain = _chain(b, ref, from_axis=2) if ref.step != INPUT else []
        if not chain or chain[-1].op is None or GROWS not in chain[-1].op.fields():
            continue
        now = each(getattr(chain[-1].op, GROWS), len(shapes[index]) - 2)
        for other in (*shapes[:index], *shapes[index + 1 :]):
            if len(other) != len(shapes[index]):
                continue
            lacks = [want - have for want, have in zip(other[2:], shapes[index][2:], strict=True)]
            padding = tuple(have + more for have, more in zip(now, lacks, strict=True))
            change = {GROWS: padding[0] if len(set(padding)) == 1 else padding}
            grown = _rerun(chain, change) if any(lacks) and min(padding) >= 0 else None
            if grown and _fits(op, [*shapes[:index], grown, *shapes[index + 1 :]]):
                written = f"{GROWS}: {show_value(change[GROWS])}"
                yield f"`{written}` on {called(chain[-1])} makes the shapes fit"


# --- equal shapes --------------------------------------------------------------------------------


def _equalised(op: Op, b: Builder, refs: Refs, shapes: Sequence[Shape]) -> str | None:
    """The smallest change to an op upstream, or a projection, that makes the inputs fit."""
    found: list[tuple[int, int, str]] = []
    for rank, index in enumerate(reversed(range(len(refs)))):  # the shortcut usually stands last
        for other in range(len(refs)):
            if len(shapes[index]) != len(shapes[other]) or shapes[index] == shapes[other]:
                continue
            alone = not _feeds(b, refs[index], refs[:index] + refs[index + 1 :])
            for cost, changed, words in _changes(b, refs[index], shapes[other], alone):
                if not _is_shrunk(shapes[index], changed, shapes[other]) and _fits(
                    op, [*shapes[:index], changed, *shapes[index + 1 :]]
                ):
                    found.append((cost, rank, words))
    return min(found)[2] if found else None


def _changes(b: Builder, ref: Ref, wanted: Shape, alone: bool) -> Iterator[tuple[int, Shape, str]]:
    """Ways to bring a value nearer to a shape: the cost, the new shape, the words.

    One changed argument costs least; a new node costs less than a stride undone. The op that gave
    the value its shape is changed only where no other input depends on it (`alone`).
    """
    chain = _chain(b, ref) if ref.step != INPUT else []
    if alone and chain and chain[-1].op is not None and len(chain[-1].input_shapes) == 1:
        for change in _arguments(chain[-1].op, wanted, chain[-1].input_shapes[0]):
            shape = _rerun(chain, change)
            if shape is not None:
                words = f"`{_written(change)}` on {called(chain[-1])} makes the shapes fit"
                undoes = change.get("stride", STRIDES[0]) == 1
                yield 20 * len(change) + 30 * undoes, shape, words
    shape = b.shape(ref)
    name = PROJECTIONS.get(len(shape))
    if name is None or not is_batched(shape) or not b.type(ref).is_float:
        return
    for change in _arguments(REGISTRY[name](**_projection(name, shape)), wanted, shape):
        if "padding" in change:
            continue  # it would only add a margin
        full = {**_projection(name, shape), **change}
        made = _made(REGISTRY[name], full)
        if made is not None and _fits(made, [shape]):
            words = f"project {_title(b, ref)} first: `{name}: {{{_written(full)}}}`"
            yield 50 + len(change), infer(made, [shape])[0], words


def _written(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {show_value(value)}" for name, value in arguments.items())


def _projection(name: str, shape: Shape) -> dict[str, Any]:
    if name == "linear":
        return {"out_features": shape[-1]}
    return {"out_channels": shape[1], "kernel_size": 1}


def _is_shrunk(before: Shape, changed: Shape, wanted: Shape) -> bool:
    """Whether a size became 1. It would broadcast to anything, which is another network."""
    sizes = zip(before[1:], changed[1:], wanted[1:], strict=True)
    return any(new == 1 and 1 not in (old, want) for old, new, want in sizes)


def _arguments(op: Op, wanted: Shape, given: Shape) -> Iterator[dict[str, Any]]:
    """Arguments that set the channels or the sizes of the result of an op, one or two at once.

    `given` is its input.
    """
    fields = op.fields()
    channels: list[dict[str, Any]] = []
    if "out_channels" in fields:
        channels = [{"out_channels": wanted[1]}]
    elif "out_features" in fields:
        channels = [{"out_features": wanted[-1]}]
    sizes = [*_resized(op, wanted, given)]
    if "stride" in fields:
        sizes += [{"stride": stride} for stride in STRIDES]
    if "padding" in fields:
        sizes += [{"padding": padding} for padding in _paddings(op, wanted, given)]
    yield from channels
    yield from sizes
    for first in channels:
        for second in sizes:
            yield {**first, **second}


def _resized(op: Op, wanted: Shape, given: Shape) -> Iterator[dict[str, Any]]:
    """For an op that resizes: the factor or the sizes that are wanted."""
    if "scale_factor" not in op.fields() or len(given) != len(wanted):
        return
    if getattr(op, "size", None) is not None:
        yield {"size": wanted[2] if len(set(wanted[2:])) == 1 else wanted[2:]}
        return
    factors = {want / have for want, have in zip(wanted[2:], given[2:], strict=True)}
    if len(factors) == 1 and (factor := factors.pop()).is_integer():
        yield {"scale_factor": int(factor)}


def _paddings(op: Op, wanted: Shape, given: Shape) -> Iterator[int]:
    """The padding that keeps the sizes, and for stride 1 the one that gives those wanted."""
    kernel, dilation = getattr(op, "kernel_size", None), getattr(op, "dilation", 1)
    if not isinstance(kernel, int) or not isinstance(dilation, int):
        return
    reach = (kernel - 1) * dilation
    if kernel % 2:
        yield reach // 2
    if getattr(op, "stride", None) == 1 and len(given) == len(wanted) and len(wanted) > 2:
        margin = wanted[-1] - given[-1] + reach
        if margin > 0 and margin % 2 == 0:
            yield margin // 2


def _made(op: type[Op], arguments: dict[str, Any]) -> Op | None:
    try:
        return op(**arguments)
    except (ArgumentsError, Refusal):
        return None


def _rerun(chain: Sequence[Step], change: dict[str, Any]) -> Shape | None:
    """The shape at the end of a chain whose first op has other arguments; None where one fails."""
    first = chain[-1].op
    assert first is not None
    if any(step.shares is not None for step in chain):
        return None  # its arguments are those of the node that owns the module
    arguments = {**first.arguments(), **change}
    made = _made(type(first), arguments)
    if made is None or all(getattr(first, key) == value for key, value in change.items()):
        return None
    try:
        (shape,) = infer(made, chain[-1].input_shapes)
        for step in reversed(chain[:-1]):
            if step.op is None or len(step.input_shapes) != 1:
                return None
            (shape,) = infer(step.op, [shape])
    except (Refusal, ValueError):
        return None
    return shape


# --- the way back --------------------------------------------------------------------------------


def _chain(b: Builder, ref: Ref, from_axis: int = 0) -> list[Step]:
    """The steps from a value back to the one that gave it its shape, that one last.

    Only the sizes from the axis `from_axis` on are compared.
    """
    chain = [b.steps[ref.step]]
    while len(chain) < MAX_CHAIN:
        step = chain[-1]
        if not step.inputs or step.inputs[0].step == INPUT:
            break
        if step.input_shapes[0][from_axis:] != step.outputs[0][from_axis:]:
            break
        chain.append(b.steps[step.inputs[0].step])
    return chain


def _feeds(b: Builder, ref: Ref, others: Refs) -> bool:
    """Whether other inputs depend on the op that a change to `ref` would touch."""
    if ref.step == INPUT:
        return False
    changed = _chain(b, ref)[-1]
    seen: set[int] = set()
    waiting = [other.step for other in others if other.step != INPUT]
    while waiting and len(seen) < MAX_ANCESTORS:
        index = waiting.pop()
        if index in seen:
            continue
        seen.add(index)
        if b.steps[index] is changed:
            return True
        waiting += [other.step for other in b.steps[index].inputs if other.step != INPUT]
    return False


def called(step: Step) -> str:
    """A step as help lines name it: `"stem" at line 3`, `the "relu" at line 4`."""
    named = f'"{step.name}"' if step.named else f'the "{step.kind}"'
    return f"{named} at line {step.span.line}"


def _title(b: Builder, ref: Ref) -> str:
    if ref.step == INPUT:
        return f'"{b.input_edge(ref.output)}"'
    return called(b.steps[ref.step])
