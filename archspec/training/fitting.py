"""Does the network fit the data? Asked before anything starts, answered with what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archspec.diagnostics.diagnostic import Code, Diagnostic, Span, SpecError
from archspec.ir.shape import show

if TYPE_CHECKING:
    from archspec.architecture import Architecture

Size = tuple[int, int]


def image_size(arch: Architecture, resize: int | Size | None) -> Size:
    """Height and width that images are brought to: the recipe's, or else the spec's own."""
    if resize is not None:
        return (resize, resize) if isinstance(resize, int) else resize
    _, height, width = image_shape(arch)
    return height, width


def check_sizes(arch: Architecture, size: Size) -> Architecture:
    """The network compiled for images of `size`. Raises `SpecError`, saying which recipe asks."""
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
    """What pictures are converted to for a network: grey (1) or colour (3); None for others."""
    channels = image_shape(arch)[0]
    return channels if channels in (1, 3) else None


def check_data(arch: Architecture, name: str, channels: int, classes: int) -> None:
    """Raises `SpecError` where the network takes other channels or tells other classes apart."""
    wrong: list[Diagnostic] = []
    wanted, height, width = image_shape(arch)
    if channels != wanted:
        wrong.append(
            Diagnostic(
                Code.SHAPE,
                f"the network takes images of {wanted} channels; {name} has {channels}",
                arch.input_span,
                expected=f"{channels} channels",
                found=f"{wanted} channels",
                help=f"compile it for them: {_channels_mend(arch, channels, height, width)}",
            )
        )
    try:
        outputs = _classes(arch)
    except SpecError as error:
        raise SpecError([*wrong, *error.diagnostics]) from None
    for output, (found, span) in outputs.items():
        if found != classes:
            what = f"the output {output!r}" if output else "the network"
            mend = _classes_mend(arch, found, classes)
            wrong.append(
                Diagnostic(
                    Code.SHAPE,
                    f"{what} tells {found} classes apart; {name} has {classes}",
                    span,
                    expected=f"{classes} values for each image",
                    found=f"{found}",
                    help=mend and f"say so: --set {mend}",
                )
            )
    if wrong:
        raise SpecError(wrong)


def outputs_of(arch: Architecture) -> tuple[str, tuple[str, ...]]:
    """The output that is evaluated, and all outputs of training. One has the name "output"."""
    names = arch.graph.output_names or ("output",)
    alive = arch.output_shape
    return next(iter(alive)) if isinstance(alive, dict) else _alive(arch, names), names


def warn_of_probabilities(arch: Architecture) -> str | None:
    """A line where an output is a softmax already: the loss takes one of its own."""
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


def _alive(arch: Architecture, names: tuple[str, ...]) -> str:
    """The one output that eval() has."""
    from archspec.ir.graph import trained_only

    graph = arch.graph
    pairs = zip(names, graph.outputs, strict=True)
    return next(name for name, ref in pairs if not trained_only(graph, ref))


def image_shape(arch: Architecture) -> tuple[int, int, int]:
    """Channels, height and width of the one input. Raises `SpecError` for any other input."""
    shape = arch.input_shape
    if isinstance(shape, dict):
        raise SpecError(
            [
                Diagnostic(
                    Code.SHAPE,
                    f"{arch.name} has {len(shape)} inputs ({', '.join(shape)}); "
                    "the trainer feeds images to one",
                    arch.input_span,
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
        shape = graph.shape(ref)
        span = graph.steps[ref.step].span
        if len(shape) != 2:
            raise SpecError(
                [
                    Diagnostic(
                        Code.SHAPE,
                        f"an output of shape {show(shape)} is not a classification",
                        span,
                        expected="(N, classes)",
                        help="end with `flatten` and `linear: num_classes`",
                    )
                ]
            )
        found[name] = (shape[1], span)
    return found


def _classes_mend(arch: Architecture, found: int, classes: int) -> str | None:
    """A parameter that makes every output `classes` wide: those that are `found` are tried."""
    for name, value in arch.params.items():
        if isinstance(value, int) and not isinstance(value, bool) and value == found:
            try:
                other = arch.variant({name: classes})
                if {size for size, _ in _classes(other).values()} == {classes}:
                    return f"{name}={classes}"
            except SpecError:
                continue
    return None


def _channels_mend(arch: Architecture, channels: int, height: int, width: int) -> str:
    own = image_shape(arch)[0]
    for name, value in arch.params.items():
        if isinstance(value, int) and not isinstance(value, bool) and value == own:
            try:
                if image_shape(arch.variant({name: channels}))[0] == channels:
                    return f"--set {name}={channels}"
            except SpecError:
                continue
    return f"--input {channels}x{height}x{width}"


def _for_size(diagnostic: Diagnostic, height: int, width: int) -> Diagnostic:

    from archspec.diagnostics.diagnostic import Note

    note = Note(f"the recipe brings images to {height}x{width}; --resize asks for another size")
    return diagnostic._replace(notes=(*diagnostic.notes, note))
