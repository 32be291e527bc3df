"""Parameters: declaring them, reading values given for them, and computing them in order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from archspec.diagnostics.diagnostic import Code, Diagnostic, Refusal, Span
from archspec.document.forms import FIXED
from archspec.document.node_keys import NODE_KEYS
from archspec.document.nodes import NodeParser
from archspec.document.records import Layers, Parameter
from archspec.document.scope import missing_argument
from archspec.expressions.arguments import (
    TEXT,
    Argument,
    LocatedError,
    show_value,
)
from archspec.expressions.evaluate import Env, Table, type_name
from archspec.expressions.names import check_identifier
from archspec.ir.op import REGISTRY
from archspec.sizes.size import Ratio, Size
from archspec.text.values import Items, Mapping, Scalar, Value, kind, shorten

TYPES = ("int", "float", "bool", "str", "list", "layers")

_OTHER_TYPES = {
    **{name: name for name in TYPES},
    **dict.fromkeys(("number", "num", "numeric"), "int or float"),
    **dict.fromkeys(("integer", "long"), "int"),
    **dict.fromkeys(("real", "double"), "float"),
    "boolean": "bool",
    "string": "str",
    **dict.fromkeys(("array", "tuple", "sequence"), "list"),
    "layer": "layers",
}
"""Words of other languages for the types, and what they are called here."""

_ANNOTATED = re.compile(r"([A-Za-z]+)(?:\[.*\]|\s*\|.*|\?)?$")
"""A type as annotations write it: `Int`, `list[int]`, `int | None`, `int?`."""

_PYTHON = {
    **dict.fromkeys((int, Size), "int"),
    **dict.fromkeys((float, Ratio), "float"),
    bool: "bool",
    str: "str",
    tuple: "list",
    Table: "mapping",
}


def declare(parser: NodeParser, value: Value | None, what: str) -> dict[str, Parameter]:
    """The parameters of a `params:` mapping, each visible to those after it."""
    params: dict[str, Parameter] = {}
    parser.params = params
    if value is None or (isinstance(value, Scalar) and value.value is None):
        return params
    if not isinstance(value, Mapping):
        parser.report(
            Code.STRUCTURE,
            f"`params` of {what} must be a mapping, not {kind(value)}",
            value.span,
            expected="name: default, or name: type",
        )
        return params
    for name, key, item in value.items():
        with parser.reporting(key.span):
            check_identifier(name, "a parameter")
            if name == "index":
                raise Refusal("`index` counts a repeat and cannot name a parameter", code=Code.NAME)
            if name == parser.rest:
                raise Refusal(f"{name!r} is an input of {what} too", code=Code.DUPLICATE_NAME)
            params[name] = _declare_one(parser, name, key, item)
        # A wrong one is declared too, so that whoever reads it is not reported.
        params.setdefault(name, Parameter(name, "any", key.span, None, False, item))
    return params


def foreseen(parser: NodeParser, value: Value | None) -> dict[str, Parameter]:
    """The names and types of parameters before they are declared, without their defaults."""
    found: dict[str, Parameter] = {}
    for name, key, item in value.items() if isinstance(value, Mapping) else ():
        written = item.text if isinstance(item, Scalar) and item.plain else ""
        type_ = written if written in TYPES else "any"
        if type_ == "any" and _holds_layers(parser, name, item):
            type_ = "layers"
        found[name] = Parameter(name, type_, key.span, None, False, item)
    return found


def _declare_one(parser: NodeParser, name: str, key: Scalar, item: Value) -> Parameter:
    if isinstance(item, Scalar) and item.plain and item.text in TYPES:
        return Parameter(name, item.text, key.span, None, True, item)
    if _holds_layers(parser, name, item):
        return Parameter(name, "layers", key.span, parser.layers_argument(item), False, item)
    _refuse_other_types(name, item)
    argument = parser.argument(item, TEXT)
    type_ = "any"
    if argument.evaluate is None and argument.constant is not None:
        type_ = _PYTHON[type(argument.constant)]
    elif isinstance(item, Items):
        type_ = "list"
    elif isinstance(item, Mapping):
        type_ = "mapping"
    return Parameter(name, type_, key.span, argument, False, item)


def _refuse_other_types(name: str, item: Value) -> None:
    """Raises `LocatedError` for a type in other words, which would be a text as the default."""
    if not isinstance(item, Scalar) or not item.plain or not isinstance(item.value, str):
        return
    word = _ANNOTATED.match(item.value)
    meant = _OTHER_TYPES.get(word[1].lower()) if word else None
    if meant is None:
        return
    either = " or ".join(f"`{name}: {each}`" for each in meant.split(" or "))
    raise LocatedError(
        Diagnostic(
            Code.PARAMETER,
            f"{shorten(item.value)!r} is no type, and as a default it would be a text",
            item.span,
            expected=f"a default, or one of {', '.join(TYPES)}",
            help=f"write {either}; a text that is meant stands in quotes",
        )
    )


_OF_FORMS = frozenset((*FIXED, "merge"))
"""The words of forms, and the key that joins what some of them give."""


def _holds_layers(parser: NodeParser, name: str, default: Value) -> bool:
    """Whether a default is layers.

    A word that was no op when the file was written goes on being a text, unless it is used as an
    op: the text could not be.
    """
    if not is_layers(parser, default):
        return False
    return is_layers(parser, default, later=False) or _is_inserted(parser, name, parser.around)


def _is_inserted(parser: NodeParser, name: str, value: Value | None, of: str = "") -> bool:
    """Whether `$name` stands for a node, or for a layers parameter of a block, in a value.

    `of` is the op or block whose argument the value is.
    """
    word = f"${name}"
    if isinstance(value, Items):
        return any(
            item.value == word if isinstance(item, Scalar) else _is_inserted(parser, name, item)
            for item in (() if of in REGISTRY or of in NODE_KEYS else value)
        )
    if not isinstance(value, Mapping):
        return False
    block = parser.find(of) if of and of not in NODE_KEYS else None
    for key, _, item in value.items():
        if key == word:
            return True
        if isinstance(item, Scalar):
            declared = block.params.get(key) if block else None
            takes = declared.type == "layers" if declared else key in _OF_FORMS
            if takes and item.value == word:
                return True
        elif _is_inserted(parser, name, item, key):
            return True
    return False


def is_layers(parser: NodeParser, value: Value, later: bool = True) -> bool:
    """Whether a default is layers: the name of an op or block, a node, a list of nodes.

    Without `later` only the first ops count, which no older file could mean as a text.
    """
    if isinstance(value, Scalar):
        if not isinstance(value.value, str):
            return False
        if value.value.startswith("$"):
            passed = (parser.params or {}).get(value.value[1:])
            return passed is not None and passed.type == "layers"
        return _begins_node(parser, value.value, later)
    if isinstance(value, Items):
        return bool(value.items) and all(is_layers(parser, item, later) for item in value)
    # A node has one key beside its node keys; a row of a table has several, some like an op's name.
    words = [word for word in value.entries if word not in NODE_KEYS]
    return len(words) == 1 and _begins_node(parser, words[0], later)


def _begins_node(parser: NodeParser, word: str, later: bool) -> bool:
    if not parser.is_target(word):
        return False
    return later or word not in REGISTRY or not REGISTRY[word].since or bool(parser.find(word))


def given(parser: NodeParser, name: str, value: Value, layers: bool) -> Parameter:
    """A value given for a parameter from outside (`extends`, `--set`): text is itself.

    Raises `LocatedError` where it is no sound value.
    """
    span = value.span
    if layers:
        return Parameter(name, "layers", span, parser.layers_argument(value), False, value)
    return Parameter(name, "any", span, parser.argument(value, TEXT), False, value)


def evaluate_all(
    declared: dict[str, Parameter],
    values: dict[str, Argument],
    caller: Env,
    env: Env,
    of: str,
    at: Span | None,
    report: Callable[[Diagnostic], None],
    report_inside: Callable[[Diagnostic], None],
) -> bool:
    """Compute the parameters in written order into `env.names`; False where one failed.

    `values` are those given, evaluated in `caller`; a default is evaluated in `env`, and so sees
    the parameters before it and the sizes of the block's input. `at` is the call; a spec has none.
    `report_inside` takes the mistakes of defaults, whose text is the block's.
    """
    failed: set[str] = set()
    for name, parameter in declared.items():
        argument = values.get(name)
        reads = parameter.default.names if argument is None and parameter.default else frozenset()
        if reads & failed:  # it fails with the one that it reads
            failed.add(name)
            continue
        try:
            if argument is not None:
                value = argument.value(caller)
                value = _fitting(parameter, value, argument, env, of)
            elif parameter.default is not None:
                argument = parameter.default
                value = argument.value(env)
            else:
                report(
                    _without_value(parameter) if at is None else missing_argument(of, parameter, at)
                )
                failed.add(name)
                continue
        except (Refusal, LocatedError) as error:
            assert argument is not None
            say = report_inside if argument is parameter.default else report
            for diagnostic in _diagnostics(error, argument.span):
                say(diagnostic)
            failed.add(name)
            continue
        env.names[name] = value
    return not failed


def _diagnostics(error: Refusal | LocatedError, span: Span) -> Sequence[Diagnostic]:
    return error.diagnostics if isinstance(error, LocatedError) else [Diagnostic.of(error, span)]


def _without_value(parameter: Parameter) -> Diagnostic:
    return Diagnostic(
        Code.MISSING_ARGUMENT,
        f"the spec's parameter {parameter.name!r} has no value",
        parameter.span,
        expected=f"a default, or a value from outside, of the type {parameter.type}",
        help=f"write a default here, or give `--set {parameter.name}=…`",
    )


def _fitting(parameter: Parameter, value: Any, argument: Argument, env: Env, of: str) -> Any:
    """The value, if its type is the parameter's. A whole number fits a float; where one number is
    expected a list is accepted, and checked where it is used."""
    type_ = parameter.type
    if type_ == "any":
        type_ = _computed_type(parameter, env)
    if type_ == "any" or (value is None and not parameter.required):
        return value
    got = "layers" if isinstance(value, Layers) else _PYTHON.get(type(value), "null")
    if got == type_ or (type_ in ("int", "float") and got == "list"):
        return value
    if type_ == "float" and got == "int":
        return float(value)
    if type_ == "int" and got == "float":
        help_ = f"write {int(value)}" if value == int(value) else None
    else:
        help_ = None
    raise LocatedError(
        Diagnostic(
            Code.PARAMETER,
            f"{of}: {parameter.name} cannot be {show_value(value)}",
            argument.span,
            expected=f"{_TYPE_WORDS[type_]}, as {_declared(parameter, argument.span)}",
            found=type_name(value),
            help=help_,
        )
    )


_TYPE_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list",
    "layers": "layers",
    "mapping": "a mapping",
}


def _declared(parameter: Parameter, seen_from: Span) -> str:
    if parameter.span.source != seen_from.source:
        return f"declared at {parameter.span}"
    return f"declared at line {parameter.span.line}"


def _computed_type(parameter: Parameter, env: Env) -> str:
    """The type of a computed default: what it evaluates to here, if it can be evaluated."""
    if parameter.default is None or parameter.default.evaluate is None:
        return "any"
    try:
        value = parameter.default.evaluate(env)
    except Refusal:
        return "any"
    return _PYTHON.get(type(value), "any")
