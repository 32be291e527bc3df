"""A call as Python writes it, such as `nn.Conv2d(3, 8, kernel_size=3)`, as a node of a spec."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable

from archspec.diagnostics.diagnostic import Refusal
from archspec.diagnostics.suggestions import certain_word
from archspec.document.records import Block
from archspec.ir.fields import ArgumentsError
from archspec.ir.op import REGISTRY, Op

LONGEST = 300
"""Characters of a call that is read: nobody wrote a longer one by hand."""


def callee(text: str) -> str | None:
    """The last word of what a call calls, `Conv2d` of `nn.Conv2d(3, 8)`; None for no call."""
    call = _call(text)
    return ast.unparse(call.func).rpartition(".")[2] if call else None


def as_node(text: str, names: Iterable[str], find: Callable[[str], Block | None]) -> str | None:
    """The node that a call means; None for a text that is no call of an op or block."""
    call, known = _call(text), set(names)
    word = callee(text)
    if call is None or word is None:
        return None
    name = certain_word(word, known) or certain_word(_DIMENSIONS.sub("", word), known)
    if name is None:
        return None
    given = [_written(value) for value in call.args]
    named = {each.arg: _written(each.value) for each in call.keywords if each.arg is not None}
    block = find(name)
    if block is None:
        op = REGISTRY.get(name)
        return None if op is None else _node(name, _op_arguments(op, given, named), op.primary)
    found = {**dict(zip(block.params, given, strict=False)), **named}
    return _node(name, {key: value for key, value in found.items() if key in block.params}, None)


_DIMENSIONS = re.compile("[123][dD]$")


def _call(text: str) -> ast.Call | None:
    try:
        call = ast.parse(text.strip(), mode="eval").body if len(text) <= LONGEST else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(call, ast.Call) or any(isinstance(a, ast.Starred) for a in call.args):
        return None
    return call


def _op_arguments(op: type[Op], given: list[str], named: dict[str, str]) -> dict[str, str]:
    """The arguments by name, without the sizes of the input that torch's classes take first."""
    required = [name for name, field in op.fields().items() if field.is_required]
    named = {key: value for key, value in named.items() if key in op.fields()}
    if op.kernels and len(given) + len(named.keys() & set(required)) > len(required):
        given = given[1:]
    elif not required and op.primary is None:
        given = []
    taken = dict(zip(op.fields(), given, strict=False))
    beyond = [name for name in taken if name not in (*required, op.primary)]
    # `GroupNorm(8, 64)`: a count of channels is no eps.
    sizes = any(taken[name].isdigit() and not _counts(op, name) for name in beyond)
    if not sizes and _fits(op, {**taken, **named}):
        return {**taken, **named}
    return {**dict(zip(required, given, strict=False)), **named}


def _counts(op: type[Op], argument: str) -> bool:
    return int in op.fields()[argument].leaves


def _fits(op: type[Op], found: dict[str, str]) -> bool:
    try:
        op(
            **{
                key: _tuples(ast.literal_eval(_PYTHON.get(text, text)))
                for key, text in found.items()
            }
        )
    except (ArgumentsError, Refusal, ValueError, SyntaxError):
        return False
    return True


_YAML = {"True": "true", "False": "false", "None": "null"}
_PYTHON = {yaml: python for python, yaml in _YAML.items()}


def _tuples(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _written(value: ast.expr) -> str:
    """An argument as a spec writes it."""
    if isinstance(value, ast.Tuple | ast.List):
        return f"[{', '.join(map(_written, value.elts))}]"
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    text = ast.unparse(value)
    return _YAML.get(text, text)


def _node(name: str, arguments: dict[str, str], primary: str | None) -> str:
    if not arguments:
        return name
    if primary is not None and list(arguments) == [primary]:
        return f"{name}: {arguments[primary]}"
    return f"{name}: {{{', '.join(f'{key}: {value}' for key, value in arguments.items())}}}"
