"""The front end from end to end: a text to a graph with shapes, in numbered stages."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from collections.abc import Mapping as AbstractMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import archspec.ops  # noqa: F401 (fills the registry)
from archspec.analyses import lint
from archspec.diagnostics import silencing as ignores
from archspec.diagnostics.diagnostic import (
    Code,
    Diagnostic,
    Note,
    Refusal,
    Source,
    Span,
    SpecError,
    certain_word,
    did_you_mean,
)
from archspec.document import parameters
from archspec.document.blocks import Reader
from archspec.document.keys.statements import inherited
from archspec.document.records import Layers, PatchItem, Spec
from archspec.document.spec import override, read_spec, root_of
from archspec.expand import smallest_input as smallest
from archspec.expand.builder import Builder, PatchTree, Site, Stop
from archspec.expand.expander import Expander
from archspec.expand.nested import finish_root
from archspec.expressions.arguments import (
    NUMBERS,
    Argument,
    LocatedError,
    compile_value,
    found_value,
    show_value,
)
from archspec.expressions.evaluate import Budget, Env
from archspec.ir.graph import INPUT, Graph, count_runs, walk
from archspec.ir.infer import MAX_ELEMENTS
from archspec.ir.op import MAX_SIZE
from archspec.ir.shape import N, Shape, is_batched, product, show
from archspec.text import files
from archspec.text.bounded import Collected
from archspec.text.limits import Limits
from archspec.text.values import Items, Scalar, Value, kind, read

Sizes = Sequence[int]


class Program(NamedTuple):
    """A checked spec: its graph, and what was decided on the way."""

    said: dict[str, Any]
    """What the spec states beside the network, by key; under `ignore` the codes of the warnings
    that were left out of `warnings`."""
    graph: Graph
    params: dict[str, Any]
    warnings: tuple[Diagnostic, ...]
    source: Source

    @property
    def name(self) -> str:
        name: str = self.said["name"]
        return name


def read_named(name: str, limits: Limits) -> tuple[Source, Path]:
    """The text of a path or a bundled spec, and its folder. Raises `SpecError`.

    It is the caller who names it, so that it may be a pipe; its folder is then the working one.
    """
    try:
        if files.is_pipe(Path(name)):
            return files.read_text(Path(name), limits, pipes=True), Path()
        path = files.find_spec(name, None)
        return files.read_text(path, limits), path.parent
    except Refusal as refusal:
        raise SpecError([Diagnostic.of(refusal, None)]) from None


def compile_text(
    source: Source,
    folder: Path | None,
    params: AbstractMapping[str, Any],
    input_shape: Sizes | AbstractMapping[str, Sizes] | None,
    limits: Limits,
    allow_outside: bool = False,
    ignore: Collection[str] = (),
) -> Program:
    """Raises `SpecError` with every independent mistake that was found."""
    try:
        return _compiled(source, folder, params, input_shape, limits, allow_outside, ignore)
    except RecursionError:
        # Limits that a caller raised, or a caller who is deep in calls himself.
        message = "the spec nests deeper than Python's own limit allows here"
        raise unplaced(message, Code.LIMIT) from None


def _compiled(
    source: Source,
    folder: Path | None,
    params: AbstractMapping[str, Any],
    input_shape: Sizes | AbstractMapping[str, Sizes] | None,
    limits: Limits,
    allow_outside: bool,
    ignore: Collection[str],
) -> Program:
    # 1. text to values to a checked document, with the specs it extends
    diagnostics = Collected(limits)
    _check_ignored(ignore)
    reader = Reader(limits, folder, allow_outside)
    spec = read_spec(source, folder, reader, diagnostics)
    # 2. values given from outside
    given = _given(spec, params, limits, diagnostics)
    if any(d.severity == "error" for d in diagnostics):
        raise SpecError(_ordered(diagnostics, "error"))
    # 3. document to graph, shapes inferred on the way
    expander = Expander(limits, diagnostics)
    try:
        graph, values = _expand(spec, given, input_shape, expander)
    except Stop:
        graph = None
    if graph is None or expander.failed:
        errors = _ordered(diagnostics, "error")
        errors = _with_smallest(errors, spec, given, input_shape, expander)
        raise SpecError([_with_overrides(error, spec) for error in errors])
    # 4. what is left over
    try:
        limits.check("runs", count_runs(graph), "the number of ops that one pass runs")
    except Refusal as refusal:
        expander.report(refusal, root_of(spec).span)
    _check_patches(spec, expander, graph)
    if expander.failed:
        raise SpecError(_ordered(diagnostics, "error"))
    # 5. what compiles and yet looks like a slip
    stated = {name: span for name, (_, span) in (_inherited(spec, "inputs") or {}).items()}
    theirs = _given_inputs(stated, input_shape)
    own = {name: span for name, span in stated.items() if name not in theirs}
    found = [*diagnostics, *lint.warnings(graph, own), *lint.unread_inputs(graph, stated)]
    every = _ordered(found, "warning")
    said = inherited([each.said for each in chain(spec)])
    ignored = {*ignore, *said["ignore"]}
    warnings = ignores.kept(every, ignored)[: limits.errors]
    said["ignore"] = tuple(sorted({str(d.code) for d in every} - {str(d.code) for d in warnings}))
    return Program(said, graph, values, tuple(warnings), source)


def _check_ignored(codes: Collection[str]) -> None:
    try:
        for code in codes:
            ignores.check_code(code)
    except Refusal as refusal:
        raise SpecError([Diagnostic.of(refusal, None)]) from None


def _ordered(diagnostics: Sequence[Diagnostic], severity: str) -> list[Diagnostic]:
    """Those of one severity, in the order of the text, each once."""
    chosen = dict.fromkeys(d for d in diagnostics if d.severity == severity)
    return sorted(chosen, key=lambda d: (d.span.line, d.span.column) if d.span else (0, 0))


def chain(spec: Spec) -> list[Spec]:
    """The spec and those it extends, the one with the layers first."""
    found: list[Spec] = [spec]
    while found[-1].base is not None:
        found.append(found[-1].base)
    return found[::-1]


def _inherited(spec: Spec, name: str) -> Any:
    for each in reversed(chain(spec)):
        if value := getattr(each, name):
            return value
    return None


# --- values from outside -------------------------------------------------------------------------


def _given(
    spec: Spec,
    params: AbstractMapping[str, Any],
    limits: Limits,
    diagnostics: list[Diagnostic],
) -> dict[str, Argument]:
    """Arguments for the root's parameters: those of the chain, then the caller's."""
    found: dict[str, Argument] = {}
    for each in chain(spec):
        for name, parameter in each.overrides.items():
            assert parameter.default is not None
            found[name] = parameter.default
    if any(d.severity == "error" for d in diagnostics) and root_of(spec).body is None:
        return found  # the base is not there: its parameters are not known
    for name, value in params.items():
        try:
            parameter = override(spec, name, _as_value(name, value, limits), _key_of(name, value))
        except LocatedError as error:
            diagnostics.extend(error.diagnostics)
            continue
        assert parameter.default is not None
        found[name] = parameter.default
    return found


def _as_value(name: str, given: Any, limits: Limits) -> Value:
    """A Python value (or the text after `=` of --set) as a value of the language."""
    if isinstance(given, _Text):
        return read(Source(f"--set {name}", str(given)), limits)
    return read(Source(f"params[{name!r}]", _as_json(name, given)), limits)


def _key_of(name: str, given: Any) -> Span:
    """The place of the name itself, for one that the spec does not know."""
    if isinstance(given, _Text):
        return Span(Source("--set", f"{name}={given}"), 1, 1, 1, len(name) + 1)
    return Span(Source("params", f"{name!r}: {given!r}"[:200]), 1, 1, 1, len(repr(name)) + 1)


class _Text(str):
    """The text of a `--set K=V`, to be read as YAML."""

    __slots__ = ()


def set_text(text: str) -> Any:
    """Marks the text after `=` of `--set K=V`: it is read as a value in a spec would be."""
    return _Text(text)


def _as_json(name: str, given: Any) -> str:
    try:
        return json.dumps(given, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        refusal = Refusal(
            f"the value given for {name!r} is not plain data",
            code=Code.PARAMETER,
            expected="numbers, text, truth values, lists and mappings of them",
            found=type(given).__name__,
        )
        raise SpecError([Diagnostic.of(refusal, None)]) from None


# --- the root graph ------------------------------------------------------------------------------


def _expand(
    spec: Spec,
    given: dict[str, Argument],
    input_shape: Sizes | AbstractMapping[str, Sizes] | None,
    expander: Expander,
) -> tuple[Graph | None, dict[str, Any]]:
    root = root_of(spec)
    inputs = _input_shapes(spec, input_shape, given, expander)
    if inputs is None:
        return None, {}
    first = next(iter(inputs.values()))
    # A value that an extending spec gives stands in the place of the default, and sees as much.
    env = Env({}, first, expander.budget)
    report = expander.add
    if not parameters.evaluate_all(root.params, given, env, env, spec.name, None, report):
        return None, {}
    levels = tuple(PatchTree.of(each.patch) if each.patch else None for each in chain(spec)[1:])
    builder = Builder(tuple(inputs.values()), tuple(inputs), levels, None)
    assert root.body is not None
    specs = chain(spec)
    level = max((i for i, each in enumerate(specs) if each.outputs), default=0)
    site = Site(builder, env, builder.start)
    last = expander.run(root.body, site)
    # Names under `outputs` are those that its writer saw.
    graph = finish_root(expander, site._replace(level=level), last, specs[level].outputs)
    if graph is not None:
        _check_outputs(spec, graph, expander)
    return graph, {name: _public(env.names[name]) for name in root.params}


def _with_smallest(
    errors: list[Diagnostic],
    spec: Spec,
    given: dict[str, Argument],
    input_shape: Sizes | AbstractMapping[str, Sizes] | None,
    expander: Expander,
) -> list[Diagnostic]:
    """The first window that does not fit its input is told from which size on it would."""
    index = next((i for i, error in enumerate(errors) if error.too_small is not None), None)
    if index is None or expander.nodes > smallest.MAX_NODES:
        return errors
    limits = expander.limits

    def check(inputs: dict[str, Shape]) -> list[Diagnostic]:
        found: list[Diagnostic] = []
        sizes = {name: shape[1:] for name, shape in inputs.items()}
        with suppress(Stop):
            _expand(spec, given, sizes, Expander(limits, found, is_trial=True))
        return found

    inputs = _input_shapes(spec, input_shape, given, Expander(limits, []))
    if inputs:
        stated = input_shape is None
        errors[index] = smallest.with_smallest_input(errors[index], inputs, check, stated)
    return errors


def _with_overrides(error: Diagnostic, spec: Spec) -> Diagnostic:
    """A mistake in the text of a base is told with what the file gives for its parameters."""
    given = {name: each.span for name, each in spec.overrides.items()}
    if error.span is None or error.span.source == spec.span.source or not given:
        return error
    if any(note.span and note.span.source == spec.span.source for note in error.notes):
        return error
    names = ", ".join(list(given)[:4])
    return error.with_notes(Note(f"with {names} as given here", next(iter(given.values()))))


def _public(value: Any) -> Any:
    return str(value) if isinstance(value, Layers) else value


def _check_outputs(spec: Spec, graph: Graph, expander: Expander) -> None:
    root = root_of(spec)
    if not graph.steps:
        message = "the spec has no nodes that are read"
        expander.report(Refusal(message, code=Code.OUTPUTS), root.span)
    elif graph.output_names is None and len(graph.outputs) > 1:
        stated = _inherited(spec, "outputs")
        what = "`outputs` lists" if stated else "the last node has"
        expander.report(
            Refusal(
                f"{what} {len(graph.outputs)} outputs, and several need names",
                code=Code.OUTPUTS,
                help="name them at the top level of the file: "
                f"`outputs: {{{_named_outputs(graph)}}}`",
            ),
            stated[0].reference.span if stated else graph.steps[-1].span,
        )
    elif all(ref.step != INPUT and graph.steps[ref.step].training_only for ref in graph.outputs):
        message = "no output is left in eval(): all are training_only"
        expander.report(Refusal(message, code=Code.TRAINING_ONLY), graph.steps[-1].span)
    for ref in graph.outputs:
        if not is_batched(graph.shape(ref)):
            expander.report(_unbatched_output(graph.shape(ref)), graph.steps[ref.step].span)


def _named_outputs(graph: Graph) -> str:
    """A name for each output, as one might write them."""
    steps = [graph.steps[ref.step] if ref.step != INPUT else None for ref in graph.outputs]
    found = []
    for number, (ref, step) in enumerate(zip(graph.outputs, steps, strict=True)):
        if step is None:
            continue
        several = len(step.outputs) > 1
        name = "abcdefgh"[number % 8] if several or not step.named else step.name
        read = f"'{step.name}[{ref.output}]'" if several else step.name
        found.append(f"{name}: {read}")
    return ", ".join(found[:8])


def _unbatched_output(shape: Shape) -> Refusal:
    return Refusal(
        "the network returns a learned tensor, which does not depend on the input",
        code=Code.UNBATCHED,
        expected="an output whose first axis is N",
        found=show(shape),
        help="join it to the batch with add, mul or concat",
    )


def _input_shapes(
    spec: Spec,
    given: Sizes | AbstractMapping[str, Sizes] | None,
    params: dict[str, Argument],
    expander: Expander,
) -> dict[str, Shape] | None:
    """Named input shapes, N first; the caller's where given. None where one is wrong."""
    stated = _inherited(spec, "inputs")
    shapes: dict[str, Shape] = {}
    names = _scalar_params(spec, params, expander)
    for name, (value, span) in stated.items():
        try:
            shapes[name] = _sizes(value, names, expander)
        except Refusal as refusal:
            expander.report(refusal, span)
        except LocatedError as error:
            for diagnostic in error.diagnostics:
                expander.add(diagnostic)
    if given is not None:
        if not isinstance(given, AbstractMapping | Sequence) or isinstance(given, str):
            raise TypeError(
                "input_shape is a list of sizes without the batch, such as (3, 64, 64), or a "
                f"mapping of names to such lists, not {given!r}"
            )
        wanted = _given_inputs(stated, given)
        for name, sizes in wanted.items():
            if name not in stated:
                raise SpecError(
                    [
                        Diagnostic(
                            Code.UNKNOWN_NAME,
                            f"the spec has no input {name!r}",
                            expected=f"one of {', '.join(stated)}",
                            help=did_you_mean(name, stated),
                        )
                    ]
                )
            try:
                shapes[name] = _checked_sizes(tuple(sizes))
            except Refusal as refusal:
                raise SpecError([Diagnostic.of(refusal, None)]) from None
    return shapes if len(shapes) == len(stated) and not expander.failed else None


def _given_inputs(
    stated: AbstractMapping[str, Any], given: Sizes | AbstractMapping[str, Sizes] | None
) -> AbstractMapping[str, Sizes]:
    """The inputs whose sizes the caller gives, by name; sizes alone are those of the first."""
    if given is None:
        return {}
    return given if isinstance(given, AbstractMapping) else {next(iter(stated)): given}


def _scalar_params(spec: Spec, given: dict[str, Argument], expander: Expander) -> dict[str, Any]:
    """The parameters that sizes of an input may name: those that depend on no input."""
    values: dict[str, Any] = {}
    env = Env(values, None, Budget(expander.limits))
    for name, parameter in root_of(spec).params.items():
        argument = given.get(name, parameter.default)
        if argument is not None and parameter.type != "layers":
            try:
                values[name] = argument.value(env)
            except Refusal:
                continue
    return values


def _sizes(value: Value, names: dict[str, Any], expander: Expander) -> Shape:
    if not isinstance(value, Items):
        raise Refusal(
            f"an input is a list of sizes, not {kind(value)}",
            code=Code.STRUCTURE,
            expected="[channels, height, width], without the batch",
            help=f"write `[{value.text}]`" if isinstance(value, Scalar) and value.text else None,
        )
    env = Env(names, None, expander.budget)
    sizes: list[Any] = []
    for item in value:
        argument = compile_value(item, NUMBERS, expander.limits)
        try:
            sizes.append(argument.value(env))
            _check_size(sizes[-1])
        except Refusal as refusal:
            raise LocatedError(Diagnostic.of(refusal, item.span)) from None
    return _checked_sizes(tuple(sizes))


def _checked_sizes(sizes: tuple[Any, ...]) -> Shape:
    if not 1 <= len(sizes) <= 6:
        raise Refusal(
            f"an input of {len(sizes)} sizes",
            code=Code.STRUCTURE,
            expected="1 to 6 sizes, without N",
        )
    for size in sizes:
        _check_size(size)
    if product(sizes) > MAX_ELEMENTS:
        raise Refusal(
            f"an input of {product(sizes):,} elements",
            code=Code.LIMIT,
            expected=f"at most {MAX_ELEMENTS:,}",
        )
    return (N, *sizes)


def _check_size(size: Any) -> None:
    if size.__class__ is not int or not 1 <= size <= MAX_SIZE:
        raise Refusal(
            f"an input's size cannot be {show_value(size)}",
            code=Code.STRUCTURE,
            expected=f"a whole number from 1 to {MAX_SIZE}",
            found=found_value(size),
        )


def _check_patches(spec: Spec, expander: Expander, graph: Graph) -> None:
    """A patch whose path was never met is a mistake."""
    missed = [
        item for each in chain(spec) for item in each.patch if id(item) not in expander.applied
    ]
    if not missed:
        return
    modules = {visit.path: visit.module_path for visit in walk(graph)}
    paths = list(modules)
    for item in missed:
        known: dict[str, Any] = {
            "help": did_you_mean(item.path, paths) or _some(paths),
            "replacement": certain_word(item.path, paths),
        }
        if owner := modules.get(item.path):
            known = {"help": f"`share` takes its module from elsewhere: patch {owner!r}"}
        elif over := _replaced_above(spec, item):
            known = {
                "help": f"the patch at line {over.span.line} puts something else in the place of "
                f"{over.path!r}: write the change there"
            }
        expander.report(
            Refusal(
                f"the base has no node at {item.path!r}",
                code=Code.PATCH,
                expected="a path as `archspec compile BASE --summary` prints it",
                **known,
            ),
            item.span,
        )


def _replaced_above(spec: Spec, item: PatchItem) -> PatchItem | None:
    """The patch of the same spec that takes away a node which `item` goes through."""
    own = next(each for each in chain(spec) if item in each.patch)
    for other in own.patch:
        if item.path.startswith(f"{other.path}.") and other.action in ("replace", "remove"):
            return other
    return None


def _some(paths: list[str]) -> str:
    """The names that the base's own list has, which every other path begins with."""
    first = list(dict.fromkeys(path.partition(".")[0] for path in paths))
    more = ", …" if len(first) > 16 else ""
    return f"its own list has {', '.join(first[:16])}{more}"


def unplaced(message: str, code: Code) -> SpecError:
    """A mistake that has no place in a text."""
    return SpecError([Diagnostic(code, message)])


__all__ = ["Program", "Span", "compile_text", "read_named", "set_text"]
