"""What `from`, a merge, `share` and `outputs` name: references to values of the same list."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.document.records import Reference
from archspec.expand.builder import Site
from archspec.expand.lookup import HandedOn, Refs, place
from archspec.expressions.arguments import found_value
from archspec.expressions.evaluate import Env
from archspec.expressions.parse import Expression
from archspec.ir.graph import Ref
from archspec.sizes.size import plain


def resolve(reference: Reference, site: Site, own: str | None) -> Refs | None:
    """The values that a reference names; None where their node failed. Raises `Refusal`.

    `own` is the name of the node that reads them, as written.
    """
    b, name = site.builder, reference.name.render(site.env)
    if own == name != "input" and name not in b.names:
        raise Refusal(
            f"{name!r} reads itself",
            code=Code.FORWARD_REFERENCE,
            help="without `from` a node reads the one before it",
        )
    refs = site.value(name)
    if refs is None or reference.output is None:
        return refs
    if isinstance(refs, HandedOn):
        raise Refusal(
            f"{name!r} is not there: its name stands for one value, which it would read",
            code=Code.ABSENT,
            expected=f"`{name}` alone",
            found=reference.text,
            help=f"say with `else:` at {place(refs.node.span)} what stands there",
        )
    if name.endswith(".*"):
        return _of_each(name, reference.output, site)
    what = "value" if name == b.rest else "output"
    return (_output(name, refs, reference.output, site.env, what),)


def _of_each(name: str, output: Expression, site: Site) -> Refs | None:
    """`y.*[0]`: the same output of each iteration, or of each of the nodes y.0, y.1, …."""
    found = []
    for number in site.builder.numbers(name[:-2], site.level):
        one = f"{name[:-1]}{number}"
        refs = site.value(one)
        if refs is None:
            return None
        try:
            found.append(_output(one, refs, output, site.env, "output"))
        except Refusal as refusal:
            help_ = f"`{name}[i]` is output i of each; one of them is `{name[:-1]}0`, and where the"
            raise refusal.but(help=f"{help_} number is computed, `{name[:-1]}{{…}}`") from None
    return tuple(found)


def _output(name: str, refs: Refs, output: Expression, env: Env, what: str) -> Ref:
    index = plain(output.evaluate(env))
    if index.__class__ is not int:
        raise Refusal(
            f"an output is counted with whole numbers, got {found_value(index)}",
            code=Code.OUTPUT_INDEX,
        )
    if not refs:
        raise Refusal(f"{name!r} has no values here", code=Code.OUTPUT_INDEX, found=str(index))
    if not 0 <= index < len(refs):
        one = len(refs) == 1
        raise Refusal(
            f"{name!r} has {len(refs)} {what}{'' if one else 's'}, counted from 0",
            code=Code.OUTPUT_INDEX,
            expected=f"`{name}` alone" if one else f"an index from 0 to {len(refs) - 1}",
            found=str(index),
        )
    found: Ref = refs[index]
    return found
