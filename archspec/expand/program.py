"""The front end from end to end: a text to a graph with shapes, in numbered stages."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from contextlib import contextmanager, suppress
from os.path import dirname
from types import MappingProxyType
from typing import Any

import archspec.ops  # noqa: F401 (lists the ops)
from archspec.analyses import lint
from archspec.diagnostics import silencing
from archspec.diagnostics.call_sites import once_a_line
from archspec.diagnostics.diagnostic import Code, Diagnostic, Note, Refusal, Source, Span, SpecError
from archspec.document import parameters
from archspec.document.blocks import Reader
from archspec.document.records import Inputs, Layers, Spec
from archspec.document.spec import chain, nearest, read_spec, root_of, said_along
from archspec.expand.builder import Builder, Site, Stop
from archspec.expand.complete import check_outputs, check_patches
from archspec.expand.edge_help import from_the_batch
from archspec.expand.expander import Expander
from archspec.expand.given import given_arguments, set_text
from archspec.expand.inputs import (
    Sizes,
    checked_sizes,
    given_inputs,
    input_shapes,
    input_types,
    with_symbols,
    written_sizes,
)
from archspec.expand.names import PatchTree
from archspec.expand.nested import finish_root
from archspec.expressions.arguments import Argument
from archspec.expressions.evaluate import Env
from archspec.ir.graph import Graph, count_runs
from archspec.ir.shape import Shape
from archspec.record import Record
from archspec.sizes.formula import Ring
from archspec.sizes.size import Path
from archspec.text import files
from archspec.text.bounded import Collected
from archspec.text.limits import Limits

EMPTY: AbstractMapping[str, Any] = MappingProxyType({})

MAX_NODES = 3_000
"""A larger network is not expanded again for a help line."""


class Program(Record):
    """A checked spec: its graph, and what was decided on the way."""

    said: dict[str, Any]
    """What the spec states beside the network, by key; under `ignore` the codes of the warnings
    that were left out of `warnings`."""
    graph: Graph
    params: dict[str, Any]
    warnings: tuple[Diagnostic, ...]
    source: Source
    inputs: dict[str, Span]
    """Where each input of the network is stated."""
    may_follow: bool
    """Whether arguments of ops may follow the sizes of the inputs, so that code computes them."""

    @property
    def name(self) -> str:
        name: str = self.said["name"]
        return name


class Origin(Record):
    """What a program is compiled from. `sizes` are of symbols that the spec declares, where they
    are not those that it states."""

    source: Source
    folder: str | None
    params: AbstractMapping[str, Any]
    input_shape: Sizes | AbstractMapping[str, Sizes] | None
    limits: Limits
    allow_outside: bool
    ignore: Collection[str]
    sizes: AbstractMapping[str, int]

    def changed(
        self,
        params: AbstractMapping[str, Any],
        input_shape: Sizes | AbstractMapping[str, Sizes] | None,
        sizes: AbstractMapping[str, int],
    ) -> Origin:
        """With further parameters and sizes; it keeps its input unless it is given another."""
        return self._replace(
            params={**self.params, **params},
            input_shape=self.input_shape if input_shape is None else input_shape,
            sizes={**self.sizes, **sizes},
        )


def read_named(name: str, limits: Limits) -> tuple[Source, str]:
    """The text of a path or a bundled spec, and its folder. Raises `SpecError`.

    The caller names it, so it may be a pipe; its folder is then the working folder.
    """
    try:
        if files.is_pipe(name):
            return files.read_text(name, limits, pipes=True), ""
        path = files.find_spec(name, None)
        return files.read_text(path, limits), dirname(path)
    except Refusal as refusal:
        raise SpecError([Diagnostic.of(refusal, None)]) from None


@contextmanager
def _without_collections() -> Iterator[None]:
    """Without garbage collections: they find little here, and take a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def compile_text(
    source: Source,
    folder: str | None,
    params: AbstractMapping[str, Any],
    input_shape: Sizes | AbstractMapping[str, Sizes] | None,
    limits: Limits,
    allow_outside: bool = False,
    ignore: Collection[str] = (),
    sizes: AbstractMapping[str, int] | None = None,
) -> Program:
    """Raises `SpecError` with every independent mistake that was found."""
    try:
        with _without_collections():
            return _compiled(
                *(source, folder, params, input_shape, limits, allow_outside, ignore, sizes or {})
            )
    except RecursionError:
        # The caller raised the limits, or is deep in calls himself.
        message = "the spec nests deeper than Python's own limit allows here"
        raise unplaced(message, Code.LIMIT) from None


def _compiled(
    source: Source,
    folder: str | None,
    params: AbstractMapping[str, Any],
    input_shape: Sizes | AbstractMapping[str, Sizes] | None,
    limits: Limits,
    allow_outside: bool,
    ignore: Collection[str],
    sizes: AbstractMapping[str, int],
) -> Program:
    # 1. and 2. text to values to a checked document; values given from outside
    diagnostics = Collected(limits)
    _check_ignored(ignore)
    spec, given = _read(source, folder, params, limits, allow_outside, diagnostics)
    # 3. document to graph, shapes inferred on the way
    expander = Expander(limits, diagnostics)
    expander.sizes = checked_sizes(spec, sizes) if sizes else {}
    try:
        graph, values = _expand(spec, given, input_shape, expander)
    except Stop:
        graph = None
    if graph is None or expander.failed:
        errors = once_a_line(_ordered(diagnostics, "error"))
        errors = _with_other_sizes(errors, spec, given, input_shape, expander)
        raise SpecError([_with_overrides(error, spec) for error in errors])
    # 4. what is left over
    try:
        limits.check("runs", count_runs(graph), "the number of ops that one pass runs")
    except Refusal as refusal:
        expander.report(refusal, root_of(spec).span)
    check_patches(spec, expander, graph)
    if expander.failed:
        raise SpecError(_ordered(diagnostics, "error"))
    # 5. what compiles and yet looks like a slip
    stated = {name: each.span for name, each in nearest(spec, "inputs").items()}
    theirs = given_inputs(stated, input_shape)
    own = {name: span for name, span in stated.items() if name not in theirs}
    found = [*diagnostics, *lint.warnings(graph, own), *lint.unread_inputs(graph, stated)]
    every = _ordered(found, "warning")
    said = said_along(chain(spec))
    said["sizes"] = {} if input_shape is not None else {**said["sizes"], **sizes}
    if said["sizes"]:
        said["input_sizes"] = written_sizes(spec, given, said["sizes"], limits)
    ignored = {*ignore, *said["ignore"]}
    warnings = once_a_line(silencing.kept(every, ignored))[: limits.errors]
    said["ignore"] = tuple(sorted({str(d.code) for d in every} - {str(d.code) for d in warnings}))
    may_follow = expander.computes and expander.budget.takes_sizes
    return Program(said, graph, values, tuple(warnings), source, stated, may_follow)


def _read(
    source: Source,
    folder: str | None,
    params: AbstractMapping[str, Any],
    limits: Limits,
    allow_outside: bool,
    diagnostics: Collected,
) -> tuple[Spec, dict[str, Argument]]:
    """The checked document, with the specs it extends, and the values given for its parameters."""
    reader = Reader(limits, folder, allow_outside)
    spec = read_spec(source, folder, reader, diagnostics)
    given = given_arguments(spec, params, limits, diagnostics)
    if any(d.severity == "error" for d in diagnostics):
        raise SpecError(_ordered(diagnostics, "error"))
    return spec, given


class Trial(Record):
    """A compilation whose sizes are symbols: its graph, or the mistake that ended it.

    `nodes` were placed for it.
    """

    graph: Graph | None
    mistake: Diagnostic | None
    path: Path
    nodes: int


def trial(
    spec: Spec,
    given: dict[str, Argument],
    sizes: AbstractMapping[str, Sizes] | None,
    axes: AbstractMapping[str, Sequence[str | None]],
    symbols: AbstractMapping[str, int],
    limits: Limits,
    ring: Ring,
) -> Trial:
    """The network for these inputs, of whose sizes those are symbols that `axes` gives names.

    Without `sizes` they are the spec's own, whose `symbols` have these values.
    """
    found: list[Diagnostic] = []
    expander = Expander(limits, found)
    path = expander.path = Path(ring, expander.asker)
    expander.axes = axes
    if sizes is None:
        expander.sizes = {name: path.size(name, value) for name, value in symbols.items()}
    graph = None
    with suppress(Stop):
        graph, _ = _expand(spec, given, sizes, expander)
        if graph is not None:
            check_patches(spec, expander, graph)
    path.close()
    mistakes = [each for each in found if each.severity == "error"]
    return Trial(
        None if mistakes else graph, mistakes[0] if mistakes else None, path, expander.nodes
    )


def read_document(
    source: Source,
    folder: str | None,
    params: AbstractMapping[str, Any],
    limits: Limits,
    allow_outside: bool,
) -> tuple[Spec, dict[str, Argument]]:
    """The checked document and the values given for its parameters. Raises `SpecError`."""
    return _read(source, folder, params, limits, allow_outside, Collected(limits))


def stated_inputs(
    spec: Spec,
    given: dict[str, Argument],
    input_shape: Sizes | AbstractMapping[str, Sizes] | None,
    limits: Limits,
    sizes: AbstractMapping[str, Any] = EMPTY,
) -> dict[str, Shape]:
    """The shapes of the inputs by name, N first, as stated or given. Raises `SpecError`.

    `sizes` are of symbols that the spec declares, where they are not those that it states.
    """
    found: list[Diagnostic] = []
    expander = Expander(limits, found)
    expander.sizes = sizes
    shapes = input_shapes(spec, input_shape, given, expander)
    if shapes is None:
        raise SpecError(_ordered(found, "error"))
    return shapes


def _check_ignored(codes: Collection[str]) -> None:
    try:
        for code in codes:
            silencing.check_code(code)
    except Refusal as refusal:
        raise SpecError([Diagnostic.of(refusal, None)]) from None


def _ordered(diagnostics: Sequence[Diagnostic], severity: str) -> list[Diagnostic]:
    """Those of one severity, in the order of the text, each once."""
    chosen = dict.fromkeys(d for d in diagnostics if d.severity == severity)
    return sorted(chosen, key=lambda d: (d.span.line, d.span.column) if d.span else (0, 0))


# --- the root graph ------------------------------------------------------------------------------


def _expand(
    spec: Spec,
    given: dict[str, Argument],
    input_shape: Sizes | AbstractMapping[str, Sizes] | None,
    expander: Expander,
) -> tuple[Graph | None, dict[str, Any]]:
    root = root_of(spec)
    inputs = input_shapes(spec, input_shape, given, expander)
    types = input_types(spec, given, expander)
    if inputs is None or types is None:
        return None, {}
    if expander.path is not None:
        inputs = with_symbols(inputs, expander.axes, expander.path)
    first = next(iter(inputs.values()))
    # A value of an extending spec takes the place of the default, and sees the same names.
    env = Env({}, first, expander.budget)
    report = expander.add
    if not parameters.evaluate_all(root.params, given, env, env, spec.name, None, report, report):
        return None, {}
    levels = tuple(PatchTree.of(each.patch) if each.patch else None for each in chain(spec)[1:])
    builder = Builder(tuple(inputs.values()), types, Inputs(tuple(inputs)), levels, None)
    assert root.body is not None
    specs = chain(spec)
    level = max((i for i, each in enumerate(specs) if each.outputs), default=0)
    site = Site(builder, env, builder.start)
    last = expander.run(root.body, site)
    to_batch = from_the_batch(builder, last or (), implicit=False)
    # Names under `outputs` mean what its writer saw.
    graph = finish_root(expander, site._replace(level=level), last, specs[level].outputs)
    env.edge = None  # it leads back to the list, which would stay in memory until a collection
    if graph is not None:
        check_outputs(spec, graph, expander, to_batch)
    return graph, {name: _public(env.names[name]) for name in root.params}


def _with_other_sizes(
    errors: list[Diagnostic],
    spec: Spec,
    given: dict[str, Argument],
    input_shape: Sizes | AbstractMapping[str, Sizes] | None,
    expander: Expander,
) -> list[Diagnostic]:
    """The errors. The first that other sizes of the input would avoid names them in its help."""
    if expander.nodes > MAX_NODES or not any(each.code.is_shape for each in errors):
        return errors
    # Only what fails needs it.
    from archspec.expand.nearby_sizes import Trials, with_nearest_input, with_nearest_sizes

    again = Expander(expander.limits, [])
    again.sizes = expander.sizes
    inputs = input_shapes(spec, input_shape, given, again)
    if inputs is None:
        return errors
    symbols = {**said_along(chain(spec))["sizes"], **expander.sizes}
    stated = _size_keys(spec) if input_shape is None and not symbols else {}
    every = [each for each in expander.diagnostics if each.severity == "error"]
    trials = Trials(
        lambda sizes, other: _expand(spec, given, sizes, other),
        *(expander.limits, expander.sizes, expander.nodes),
    )
    errors = with_nearest_input(errors, every, inputs, trials, stated)
    if symbols and input_shape is None:
        errors = with_nearest_sizes(errors, trials, symbols)
    return errors


def _size_keys(spec: Spec) -> dict[str, str]:
    """The key under which the spec states the sizes of each input."""
    given = nearest(spec, "inputs").items()
    return {name: name if each.span == each.shape_span else "shape" for name, each in given}


def _with_overrides(error: Diagnostic, spec: Spec) -> Diagnostic:
    """Adds what the file gives for parameters to a mistake in the text of its base."""
    given = {name: each.span for name, each in spec.overrides.items()}
    if error.span is None or error.span.source == spec.span.source or not given:
        return error
    if any(note.span and note.span.source == spec.span.source for note in error.notes):
        return error
    names = ", ".join(list(given)[:4])
    return error.with_notes(Note(f"with {names} as given here", next(iter(given.values()))))


def _public(value: Any) -> Any:
    return str(value) if isinstance(value, Layers) else value


def unplaced(message: str, code: Code) -> SpecError:
    """A mistake that has no place in a text."""
    return SpecError([Diagnostic(code, message)])


__all__ = ["Program", "Span", "compile_text", "read_named", "set_text"]
