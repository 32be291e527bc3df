"""How mistakes in nodes are worded: what would help, and in which form it is written."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

from archspec.diagnostics.diagnostic import Code, Diagnostic, Edit, Help, Span, bare
from archspec.diagnostics.suggestions import certain_word, suggestion
from archspec.expressions.arguments import missing_space
from archspec.expressions.evaluate import NUMBER
from archspec.text.values import Items, Mapping, Scalar, Value, shorten


def unknown_layers(name: str, near: Help) -> Help:
    """The help for the name of a layers parameter, which stands behind a `$`."""
    edits = tuple(Edit(each.span, f"${each.replacement}") for each in near.edits)
    return Help(near.text or f"declare it: `params: {{{name}: layers}}`", edits)


def unknown_op(word: str, names: Iterable[str], span: Span) -> Help:
    """The help for a word that should name an op or a block."""
    from archspec.diagnostics.torch_names import is_name  # for a mistake alone
    from archspec.document import other_words

    word = word.rpartition(".")[2]  # nn.ReLU
    if op := other_words.SAME.get(bare(word)):
        return Help(f"it is called {op!r} here", (Edit(span, op),))
    near = suggestion(word, names, span)
    known = other_words.op_elsewhere(word)
    if known and (not near.edits or bare(word) in other_words.UNLIKE):
        return Help(known)
    if not near.edits and (is_name(word) or _of_other_digits(word, near.text)):
        near = Help(None)  # torch's own function, or an op of other dimensions, was meant
    return near.or_else("`archspec list --ops` names them all; define your own under `blocks:`")


def _of_other_digits(word: str, text: str | None) -> bool:
    """Whether a suggestion has other digits than the word, where both have some."""
    there, here = re.findall(r"\d+", text or ""), re.findall(r"\d+", word)
    return bool(there and here) and there != here


def unknown_argument(
    of: str, name: str, known: Iterable[str], span: Span, taken: Container[str] = ()
) -> Diagnostic:
    """The diagnostic of an argument that an op or block does not have."""
    names = list(known)
    help_ = missing_space(name, names, span) or near_key(name, names, span, taken)
    what = f"{of} has no argument {shorten(name)!r}"
    return _not_one_of(names, Code.UNKNOWN_ARGUMENT, what, span, "no arguments", help_)


def unknown_parameter(name: str, declared: Iterable[str], span: Span) -> Diagnostic:
    """The diagnostic of a value for a parameter that the spec does not have."""
    names = list(declared)
    what = f"the spec has no parameter {shorten(name)!r}"
    help_ = suggestion(name, names, span)
    return _not_one_of(names, Code.UNKNOWN_PARAMETER, what, span, "a spec with parameters", help_)


def _not_one_of(
    names: list[str], code: Code, what: str, span: Span, none: str, help_: Help | str
) -> Diagnostic:
    """The diagnostic of a word that is none of `names`; `none` is expected where none is known."""
    expected = f"one of {', '.join(names)}" if names else none
    return Diagnostic.at(code, what, span, expected=expected, help=help_)


def near_key(word: str, known: Iterable[str], span: Span, taken: Container[str] = ()) -> Help:
    """The help for a key or argument that is none, with an edit where it is certain."""
    near = suggestion(word, known, span, taken)
    return near if near.edits else about_key(word, known) or near


def about_key(word: str, known: Iterable[str]) -> Help | None:
    """The help for a key or argument that another library has."""
    from archspec.document import other_words  # for a mistake alone

    text = other_words.key_elsewhere(word, list(known)) or other_words.about_argument(word)
    return Help(text) if text else None


def list_help(what: str, value: Value) -> str | None:
    """How a list of nodes is written, for what stands in its place."""
    if isinstance(value, Mapping):
        return "begin each node with a dash"
    if isinstance(value, Scalar) and value.text.startswith("-"):
        return f"write a space after the dash: `- {value.text.split()[0][1:]}`"
    if isinstance(value, Scalar) and isinstance(value.value, str):
        return f"write `{what}: [{shorten(value.text)}]`"
    return None


_CALL = re.compile(r"([A-Za-z_][\w.]*)\s*\(")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+\Z")


def no_node(value: Scalar, names: Iterable[str]) -> Help:
    """The help for a text that is no node; `names` are those of ops and blocks."""
    text = value.text
    words = text.split()
    if len(words) == 2 and value.span.end_line > value.span.line:
        return Help(f"a dash is missing on the next line: `- {words[1]}`")
    if len(words) == 3 and words[1] == "-":
        return Help(f"begin `- {words[2]}` in the column of the dash before it")
    if len(words) == 2 and words[0] in names:
        return Help(f"write a colon: `{words[0]}: {words[1]}`")
    called = _CALL.match(text)
    if called:
        name = certain_word(called[1], names) or called[1]
        return Help(f"arguments follow a colon, by name: `{name}: {{argument: value}}`")
    if _DOTTED.match(text):
        return unknown_op(text, names, value.span)
    return Help("write a space after the colon" if ":" in text else None)


def with_article(type_: str) -> str:
    """A parameter's type in words."""
    return {"int": "a number", "float": "a number", "bool": "a truth value", "str": "text"}.get(
        type_, f"a {type_}"
    )


def by_name(of: str, names: list[str], required: Iterable[str], args: Value) -> str:
    """The arguments given by position, with the names that they have in this order."""
    from archspec.document import other_words  # for a mistake alone

    items = list(args) if isinstance(args, Items) else [args]
    if of in other_words.UNLIKE and isinstance(args, Scalar):
        return other_words.HOW[of]
    values = [_in_braces(item.text) for item in items if isinstance(item, Scalar)]
    needed = list(required)
    if names and not needed:
        return f"name the argument, one of {', '.join(names)}: sizes of the input are inferred"
    if not names:
        return f"it takes no arguments: write `{of}` alone"
    if len(values) != len(items) or len(items) > len(names):
        return f"write `{of}: {{argument: value}}`"
    given = dict(zip(names, values, strict=False))
    given |= {key: "…" for key in needed if key not in given}
    return f"write `{of}: {{{', '.join(f'{key}: {value}' for key, value in given.items())}}}`"


def _in_braces(text: str) -> str:
    """A value as it stands among others: a comma would end it there."""
    return f"'{text}'" if "," in text and "'" not in text else text


def lone_number(of: str, value: Scalar) -> Diagnostic:
    """The diagnostic of a merge of a number alone, which might be an operand or a node's name."""
    written = value.text
    number = f"the number {written}" if NUMBER.fullmatch(written) else "that number"
    node = f", or `{of}: [input, '{written}']` with the node {written}"
    return Diagnostic(
        Code.ARGUMENT,
        f"{of} takes nodes, and {written} stands alone",
        value.span,
        expected="a list of nodes, or one node and the number `other`",
        found=written,
        help=f"write `{of}: {{other: {written}}}` with {number}"
        + (node if written.isdigit() else ""),
    )


def call_form(of: str, names: Iterable[str]) -> str:
    """How an op or block is written with its first arguments."""
    return f"{of}: {{{', '.join(f'{name}: …' for name in list(names)[:4])}}}"


def misplaced_key(name: str, key: str, span: Span) -> Diagnostic:
    """The diagnostic of a node key that stands among the arguments of an op."""
    return Diagnostic(
        Code.UNKNOWN_ARGUMENT,
        f"{name} has no argument {key!r}: it is a key of the node",
        span,
        help=f"move `{key}:` beside `{name}:`, at the same indentation",
    )


def misplaced_inputs(name: str, span: Span) -> Diagnostic:
    """The diagnostic of `inputs` among the arguments of what reads by `from`."""
    return Diagnostic(
        Code.UNKNOWN_ARGUMENT,
        f"{name} has no argument 'inputs'",
        span,
        help=f"write what it reads beside `{name}:`, at the same indentation: `from: …`",
    )
