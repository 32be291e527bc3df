"""Whether a network and its data fit together, checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING, Any

from archspec.diagnostics.diagnostic import Code, Diagnostic, Note, Span, SpecError
from archspec.ir.graph import INPUT, trained_only
from archspec.ir.types import typed

if TYPE_CHECKING:
    from archspec.architecture import Architecture

Size = tuple[int, int]
MOST_TRIED = 2**17
"""Values of symbols that are tried to find those of an image's size."""


def image_size(arch: Architecture, resize: int | Size | None) -> Size:
    """Height and width that images are brought to: the recipe's, or else the spec's own."""
    if resize is not None:
        return (resize, resize) if isinstance(resize, int) else resize
    _, height, width = image_shape(arch)
    return height, width


def takes(arch: Architecture, size: Size) -> bool:
    """Whether the spec leaves the size of its images open, and its contract has this one."""
    if not arch.sizes:
        return False
    contract, wanted = arch.contract(), (image_shape(arch)[0], *size)
    count = len(contract.symbols)
    tried: Sequence[int] = range(1, 2 * max(size) + 1)  # a side may be `2 * H`, or `H // 2`
    if len(tried) ** count > MOST_TRIED:
        tried = sorted(set(size))
    if len(tried) ** count > MOST_TRIED:
        return False
    for chosen in product(tried, repeat=count):
        values = dict(zip(contract.symbols, chosen, strict=True))
        if wanted in contract.input_shape(**values).values():
            return contract.accepts(**values)
    return False


def check_sizes(arch: Architecture, size: Size) -> Architecture:
    """The network compiled for images of `size`. Raises `SpecError` where it does not fit them."""
    channels, *own = image_shape(arch)
    if tuple(own) == size:
        return arch
    try:
        return arch.variant(input_shape=(channels, *size))
    except SpecError as error:
        height, width = size
        diagnostics = [_for_size(each, height, width) for each in error.diagnostics]
        raise SpecError(diagnostics) from None


def channels_of_pictures(arch: Architecture) -> int | None:
    """The channels that pictures are given for a network: 1 (grey) or 3 (colour); else None."""
    channels = image_shape(arch)[0]
    return channels if channels in (1, 3) else None


def check_data(arch: Architecture, name: str, channels: int, classes: int) -> None:
    """Raises `SpecError` where the network takes other channels, or has other classes."""
    wrong: list[Diagnostic] = []
    wanted, height, width = image_shape(arch)
    if channels != wanted:
        size = f"--input {channels}x{height}x{width}"
        setting = _setting_for(
            arch, wanted, channels, lambda other: image_shape(other)[0] == channels
        )
        wrong.append(
            Diagnostic(
                Code.SHAPE,
                f"the network takes images of {wanted} channels; {name} has {channels}",
                arch.input_span,
                expected=f"{channels} channels",
                found=f"{wanted} channels",
                help=f"compile it for them: {setting or size}",
            )
        )
    try:
        outputs = _classes(arch)
    except SpecError as error:
        raise SpecError([*wrong, *error.diagnostics]) from None
    for output, (found, span) in outputs.items():
        if found != classes:
            what = f"the output {output!r}" if output else "the network"
            setting = _setting_for(
                arch,
                found,
                classes,
                lambda other: {n for n, _ in _classes(other).values()} == {classes},
            )
            wrong.append(
                Diagnostic(
                    Code.SHAPE,
                    f"{what} tells {found} classes apart; {name} has {classes}",
                    span,
                    expected=f"{classes} values for each image",
                    found=f"{found}",
                    help=setting and f"say so: {setting}",
                )
            )
    if wrong:
        raise SpecError(wrong)


def outputs_of(arch: Architecture) -> tuple[str, tuple[str, ...]]:
    """The output that is evaluated, which is the first that `eval()` has; and all of training.

    The only output of a network is called "output".
    """
    graph = arch.graph
    names = graph.output_names or ("output",)
    pairs = zip(names, graph.outputs, strict=True)
    return next(name for name, ref in pairs if not trained_only(graph, ref)), names


def warn_of_probabilities(arch: Architecture) -> str | None:
    """A warning where an output is a softmax already, because the loss has one of its own."""
    graph = arch.graph
    for ref in graph.outputs:
        inner = graph
        while ref.step >= 0 and (body := inner.steps[ref.step].body) is not None:
            inner, ref = body, body.outputs[ref.output]
        step = inner.steps[ref.step] if ref.step >= 0 else None
        if step is not None and step.op is not None and step.op.gives_probabilities:
            return (
                f"warning: the network ends with {step.op.op_name} ({step.span}), and the loss "
                "takes the softmax of its outputs once more: leave it out to train"
            )
    return None


def image_shape(arch: Architecture) -> tuple[int, int, int]:
    """Channels, height and width of the one input of floats. Raises `SpecError` for any other."""
    shape, (kind, *_) = arch.input_shape, arch.graph.input_types
    if isinstance(shape, dict):
        types = zip(arch.graph.input_names, arch.graph.input_types, strict=True)
        inputs = [name if each.is_float else f"{name} {each.name}" for name, each in types]
        raise SpecError(
            [
                Diagnostic(
                    Code.SHAPE,
                    f"{arch.name} has {len(shape)} inputs ({', '.join(inputs)}); "
                    "the trainer feeds images to one",
                    arch.input_span,
                )
            ]
        )
    if not kind.is_float:
        raise SpecError(
            [
                Diagnostic(
                    Code.DTYPE,
                    f"{arch.name} takes {kind.name}; the trainer feeds it images of floats",
                    arch.input_span,
                    expected="input: [channels, height, width]",
                    found=typed(shape, kind),
                )
            ]
        )
    if len(shape) != 4:
        raise SpecError(
            [
                Diagnostic(
                    Code.SHAPE,
                    f"{arch.name} takes {len(shape) - 1} sizes; the trainer feeds it images",
                    arch.input_span,
                    expected="input: [channels, height, width]",
                )
            ]
        )
    channels, height, width = (int(size) for size in shape[1:])
    return channels, height, width


def _classes(arch: Architecture) -> dict[str, tuple[Any, Span | None]]:
    """The last axis of every output, with the place of the node that gives it."""
    graph = arch.graph
    names = graph.output_names or ("",)
    found: dict[str, tuple[Any, Span | None]] = {}
    for name, ref in zip(names, graph.outputs, strict=True):
        shape, kind = graph.shape(ref), graph.type(ref)
        span = arch.input_span if ref.step == INPUT else graph.steps[ref.step].span
        if len(shape) != 2 or not kind.is_float:
            raise SpecError(
                [
                    Diagnostic(
                        Code.SHAPE if kind.is_float else Code.DTYPE,
                        f"an output of shape {typed(shape, kind)} is not a classification",
                        span,
                        expected="(N, classes)" if kind.is_float else "(N, classes) of float",
                        help="end with `flatten` and `linear: num_classes`",
                    )
                ]
            )
        found[name] = (shape[1], span)
    return found


def _setting_for(
    arch: Architecture, now: int, wanted: int, holds: Callable[[Architecture], bool]
) -> str | None:
    """The option `--set NAME=WANTED` that makes `holds` true of the network; None without one.

    Only parameters whose value is `now` are tried.
    """
    for name, value in arch.params.items():
        if value.__class__ is int and value == now:
            with suppress(SpecError):
                if holds(arch.variant({name: wanted})):
                    return f"--set {name}={wanted}"
    return None


def _for_size(diagnostic: Diagnostic, height: int, width: int) -> Diagnostic:

    note = Note(f"the recipe brings images to {height}x{width}; --resize asks for another size")
    return diagnostic._replace(notes=(*diagnostic.notes, note))
