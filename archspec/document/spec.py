"""Values to the checked document: specs, what they extend, the files of blocks they use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os.path import basename, dirname
from typing import Any

from archspec.diagnostics.diagnostic import Code, Diagnostic, Refusal, Source, Span, SpecError
from archspec.document import parameters, wording
from archspec.document.blocks import File, Reader, declare_blocks, read_outputs, warn_unused
from archspec.document.keys import SPEC_KEYS, STATEMENTS
from archspec.document.keys.files import read_use
from archspec.document.keys.inputs import read_inputs
from archspec.document.keys.patch import read_patch
from archspec.document.nodes import NodeParser
from archspec.document.records import Node, Parameter, Spec
from archspec.expressions.arguments import LocatedError
from archspec.text import files
from archspec.text.values import Items, Mapping, Scalar, Value, kind, read

# --- specs ---------------------------------------------------------------------------------------


def read_spec(
    source: Source,
    folder: str | None,
    reader: Reader,
    diagnostics: list[Diagnostic],
    chain: tuple[str, ...] = (),
) -> Spec:
    """The spec of a text, with the chain of those it extends. Reports into `diagnostics`.

    Raises `SpecError` only where the text is no mapping at all.
    """
    # 1. the mapping, its statements, and the files that it brings in
    value = _mapping(source, reader)
    file = File(source, folder, reader, diagnostics, keys=SPEC_KEYS)
    file.check_keys(value, SPEC_KEYS, "a spec")
    said = {key.name: key.read(file, value.get(key.name)) for key in STATEMENTS}
    read_use(file, value.get("use"))
    base = _base(file, value.get("extends"), chain)
    # 2. parameters and blocks, then the nodes that may name them
    start = Span(source, value.span.line, value.span.column, value.span.line, value.span.column + 1)
    params = value.get("params")
    file.params = frozenset(params.entries) if isinstance(params, Mapping) else frozenset()
    declare_blocks(file, value.get("blocks"))
    parser = file.parser({})
    spec = Spec(start, said, base, _override_parser(file))
    is_root = base is None and "extends" not in value.entries
    if is_root:
        parser.around = value.get("layers")
        spec.params = parameters.declare(parser, params, "the spec")
        spec.body = _body(file, parser, value)
    if base is not None:
        _refuse_layers(file, value)
        parser.params = None
        spec.overrides = _overrides(file, params, base, parser.reads)
    # 3. what goes in, what comes out, what is changed
    spec.outputs = read_outputs(parser, value.get("outputs"))
    spec.inputs = read_inputs(file, value, is_root, start)
    for key in ("input", "inputs"):
        if (sizes := value.get(key)) is not None:
            parser.note_reads(sizes)
    if is_root or base is not None:
        spec.patch, reads = read_patch(file, value.get("patch"), base is not None)
        parser.reads |= reads
    spec.reads = parser.reads
    if not chain:  # only the spec that was asked for: its bases have been read by now
        _warn_unused(file, spec)
    return spec


def _mapping(source: Source, reader: Reader) -> Mapping:
    value = read(source, reader.limits)
    if isinstance(value, Mapping):
        return value
    raise SpecError(
        [
            Diagnostic(
                Code.STRUCTURE,
                f"a spec is a mapping, not {kind(value)}",
                value.span,
                expected="a mapping with at least `input:` and `layers:`",
            )
        ]
    )


def _warn_unused(file: File, spec: Spec) -> None:
    """Warn of the parameters of the chain that no file of it uses."""
    reads: set[str] = set()
    each: Spec | None = spec
    while each is not None:
        reads |= each.reads
        each = each.base
    warn_unused(file, reads, root_of(spec).params, "the spec")


def root_of(spec: Spec) -> Spec:
    """The spec at the end of the `extends` chain, which has the layers."""
    while spec.base is not None:
        spec = spec.base
    return spec


def said_along(specs: Sequence[Spec]) -> dict[str, Any]:
    """What is said along a chain of `extends`, the base's first."""
    return {key.name: key.inherited([spec.said[key.name] for spec in specs]) for key in STATEMENTS}


def chain(spec: Spec) -> list[Spec]:
    """The spec and those it extends, the one with the layers first."""
    found: list[Spec] = [spec]
    while found[-1].base is not None:
        found.append(found[-1].base)
    return found[::-1]


def nearest(spec: Spec, name: str) -> Any:
    """The value of a field in the nearest spec of the chain where it is not empty."""
    for each in reversed(chain(spec)):
        if value := getattr(each, name):
            return value
    return None


def _body(file: File, parser: NodeParser, value: Mapping) -> tuple[Node, ...]:
    layers = value.get("layers")
    if layers is None:
        file.report(
            Code.MISSING_KEY,
            "the spec has no `layers`",
            Span(*value.span[:3], value.span.line, value.span.column + 1),
            expected="a list of nodes, or `extends:`",
        )
        return ()
    if isinstance(layers, Items) and not layers.items:
        file.report(
            Code.STRUCTURE, "`layers` is empty", layers.span, expected="a list of one node or more"
        )
        return ()
    return parser.nodes(layers)


def _refuse_layers(file: File, value: Mapping) -> None:
    if "layers" in value.entries:
        file.report(
            Code.EXTENDS,
            "a spec that extends another has no `layers` of its own",
            value.key("layers").span,
            help="change the base with `params:` and `patch:`, or remove `extends:`",
        )


# --- the spec that it extends --------------------------------------------------------------------


def _base(file: File, value: Value | None, chain: tuple[str, ...]) -> Spec | None:
    if value is None:
        return None
    name = file.text(value, "extends")
    if not isinstance(value, Scalar) or value.value is None:
        return None  # `text` has reported it
    try:
        path = files.find_spec(name, file.folder)
        resolved = file.reader.inside(path)
        if resolved in chain:
            raise Refusal(
                f"{name!r} extends, in the end, itself",
                code=Code.EXTENDS,
                found=" → ".join(map(basename, (*chain, resolved))),
            )
        source = file.reader.open(path)
    except Refusal as refusal:
        file.refuse(refusal, value.span)
        return None
    return read_spec(source, dirname(path), file.reader, file.diagnostics, (*chain, resolved))


def _override_parser(file: File) -> Callable[[str, Value, bool], Parameter]:
    def parse(name: str, value: Value, layers: bool) -> Parameter:
        return parameters.given(file.parser({}), name, value, layers)

    return parse


def _overrides(
    file: File, value: Value | None, base: Spec, reads: set[str]
) -> dict[str, Parameter]:
    """The values given for the base's parameters; adds the names that they read."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        file.report(Code.STRUCTURE, f"`params` must be a mapping, not {kind(value)}", value.span)
        return {}
    declared, found = root_of(base).params, {}
    parser = file.parser(declared)
    for name, key, item in value.items():
        parameter = declared.get(name)
        if parameter is None:
            file.diagnostics.append(wording.unknown_parameter(name, declared, key.span))
            continue
        with parser.reporting(item.span):
            found[name] = parameters.given(parser, name, item, parameter.type == "layers")
    reads |= parser.reads
    return found


def override(spec: Spec, name: str, value: Value, key: Span) -> Parameter:
    """A value given from outside for one of the spec's parameters. Raises `LocatedError`.

    `key` is the place of the name, for one that the spec does not have.
    """
    declared = root_of(spec).params
    if name not in declared:
        raise LocatedError(wording.unknown_parameter(name, declared, key))
    return spec.parse_override(name, value, declared[name].type == "layers")
