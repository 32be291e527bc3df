"""`from: {x: h, memory: m}`: what a node reads, by the names that its block or op has for it."""

from __future__ import annotations

from collections.abc import Mapping

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.diagnostics.suggestions import did_you_mean
from archspec.document.forms.alone import ShareAlone
from archspec.document.records import Form, Inputs, NamedInput, Node
from archspec.expand.builder import Site
from archspec.expand.expansion import Expansion
from archspec.expand.lookup import Refs
from archspec.ir.shape import Shape, show


def in_order(x: Expansion, node: Node, site: Site) -> Refs | None:
    """The values in the order in which the node reads them; None (and diagnostics) where one is
    unknown."""
    assert node.named is not None and node.inputs is not None
    form = _form(node, site)
    known = form.input_names(site.env)
    if known is None:
        x.report(_without_names(node), node.named[0].span if node.named else node.span)
        return None
    values: dict[str, Refs] = {}
    sound, begin = True, 0
    for each in node.named:
        references = node.inputs[begin : begin + each.values]
        begin += each.values
        found = x.resolve(references, site, node.name.text if node.name else None)
        if found is None:
            sound = False
            continue
        values[each.name] = found
        allowed = known._replace(names=node.names) if known.any_names else known
        if refusal := _refused(form.word, each, len(found), allowed):
            x.report(refusal, each.span)
            sound = False
    if known.rest is not None:
        values.setdefault(known.rest, ())
    required = known.names[: len(known.names) - known.optional]
    missing = [name for name in required if all(each.name != name for each in node.named)]
    if missing and sound:
        x.report(_missing(form.word, missing, known), node.span)
    if missing or not sound:
        return None
    if known.any_names:
        return tuple([ref for found in values.values() for ref in found])
    order = [*known.names, *([known.rest] if known.rest else [])]
    read = tuple([ref for name in order for ref in values.get(name, ())])
    if known.names_of is not None:
        given = {name: site.builder.shape(values[name][0]) for name in order if name in values}
        if misread := _misread(form.word, given, known):
            name, refusal = misread
            x.report(refusal, next(each.span for each in node.named if each.name == name))
            return None
    return read


def _form(node: Node, site: Site) -> Form:
    """The form of the node; for `share` alone that of the node that it shares."""
    if isinstance(node.form, ShareAlone) and node.share is not None:
        b = site.builder
        owner = b.modules[site.level].get(node.share.name.render(site.env))
        if owner is not None:
            return b.recipes[owner].node.form
    return node.form


def _without_names(node: Node) -> Refusal:
    word = node.form.word
    what = {"layers": "a group", "from": "a name for values"}.get(word, word)
    first = next((each.name for each in node.named or () if each.name != "input"), "x")
    edge = node.inputs[0].name.text if node.inputs else "stem"
    return Refusal(
        f"the inputs of {what} have no names",
        code=Code.STRUCTURE,
        expected="a name, or a list of names: inputs by name are for blocks, and for ops that name "
        "theirs",
        found=f"the name {first!r}",
        help=f"write `from: {edge}`" if len(node.inputs or ()) == 1 else None,
    )


def _refused(word: str, entry: NamedInput, count: int, known: Inputs) -> Refusal | None:
    if entry.name == known.rest:
        return None
    if entry.name not in known.names:
        return Refusal(
            f"{word} has no input {entry.name!r}",
            code=Code.UNKNOWN_NAME,
            expected=f"inputs {known}",
            help=did_you_mean(entry.name, [*known.names, *filter(None, [known.rest])]),
        )
    if count != 1:
        return Refusal(
            f"the input {entry.name!r} of {word} is one value, got {count}",
            code=Code.ARITY,
            help="name one of several outputs by its number: `parts[0]`",
        )
    return None


def _misread(word: str, given: Mapping[str, Shape], known: Inputs) -> tuple[str, Refusal] | None:
    """The first name that is given to what is read as another, and what to say of it."""
    assert known.names_of is not None
    for name, own in zip(given, known.names_of(tuple(given.values())), strict=True):
        if name != own:
            before = known.names[: known.names.index(name)]
            gap = next((each for each in before if each not in given), None)
            return name, Refusal(
                f"{word} would read {show(given[name])}, its {name!r}, as its {own!r}",
                code=Code.ARITY if gap else Code.SHAPE,
                expected=f"inputs {known}, without a gap",
                found=", ".join(given),
                help=f"give {gap!r} too" if gap else f"name it `{own}`",
            )
    return None


def _missing(word: str, missing: list[str], known: Inputs) -> Refusal:
    names = " and ".join(map(repr, missing))
    return Refusal(
        f"{word} needs the input{'s' if len(missing) > 1 else ''} {names}",
        code=Code.ARITY,
        expected=f"inputs {known}",
        help=f"add it: `from: {{…, {missing[0]}: …}}`",
    )
