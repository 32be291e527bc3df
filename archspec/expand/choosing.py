"""`when` and `else`: whether a node is there, and what stands in its place where it is not.

Of what is not there nothing is computed: no argument, no type, no edge with an expression. A name
that is written out is looked up all the same.
"""

from __future__ import annotations

from contextlib import suppress

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.document.forms.alone import FromAlone
from archspec.document.forms.op import OpCall
from archspec.document.records import Node, Reference
from archspec.expand import edges
from archspec.expand.builder import BEFORE, Builder, Choice, Site
from archspec.expand.expansion import Expansion
from archspec.expand.lookup import HandedOn, Refs, place
from archspec.expressions.functions import MAGIC
from archspec.ir.graph import INPUT


def chosen(x: Expansion, node: Node, site: Site, current: Refs | None) -> Refs | None:
    """Places a node with a `when`, or what stands in its place. None where either fails."""
    choice = choose(x, node, site, current)
    if choice is None:
        return None
    if not choice.is_there:
        result = _handed_on(x, choice.node, site, choice.refs, current)
    else:
        result = x.present(choice.node, site, current)
    return checked(x, choice, result, is_element=False)


def choose(x: Expansion, node: Node, site: Site, current: Refs | None) -> Choice | None:
    """What stands there, by the conditions; None (and diagnostics) where that is not known."""
    absent: list[tuple[Node, int | None]] = []
    outer = node
    while True:
        # The condition of a parallel is each element's.
        asks = node.when is not None and (node is outer or node.parallel is None)
        refs = _before(x, node, site, current) if asks else ()
        is_there = True if not asks else refs is not None and x.condition(node, site.over(refs))
        if refs is None or is_there is None:
            x.poison(node, site)
            return None
        if is_there or node.otherwise is None:
            break
        absent.append((node, _look_up(x, node, site)))
        node = node.otherwise
        x.meet(node)
    if not is_there:
        absent.append((node, _look_up(x, node, site)))
        return Choice(node, False, refs, absent)
    other = None if node is not outer and node.parallel is not None else node.otherwise
    while other is not None:
        absent.append((other, _look_up(x, other, site)))
        other = other.otherwise
    return Choice(node, True, refs, absent)


def _before(x: Expansion, node: Node, site: Site, current: Refs | None) -> Refs | None:
    """What the condition of a node may ask of its inputs: the first; empty where it does not ask.

    None where an input is wrong.
    """
    if node.inputs is None:
        return current
    if node.named is not None and all(each.is_written_out for each in node.inputs):
        return x.read_by(node, node.inputs, site)
    assert node.when is not None
    asks = bool(node.when.argument.names & MAGIC.keys())
    known = [
        each
        for index, each in enumerate(node.inputs)
        if each.is_written_out or (asks and index == 0)
    ]
    if node.otherwise is not None and not asks:
        known = [each for each in known if not _is_unclear(each, site)]
    own, names_values = node.name.text if node.name else None, isinstance(node.form, FromAlone)
    refs = x.resolve(tuple(known), site, own, may_be_none=names_values)
    return refs if refs is None or known[:1] == [*node.inputs[:1]] else ()


def _is_unclear(edge: Reference, site: Site) -> bool:
    """Whether it is `-1` where the node before only hands on: its reader alone need say what."""
    return edge.name.text == BEFORE and isinstance(site.builder.before, HandedOn)


def _look_up(x: Expansion, node: Node, site: Site) -> int | None:
    """How many values a node that is not there would give; None where its text does not say."""
    edges_ = [each for each in node.inputs or () if each.is_written_out]
    edges_ = [each for each in edges_ if not _is_unclear(each, site)]
    own, names_values = node.name.text if node.name else None, isinstance(node.form, FromAlone)
    refs = x.resolve(tuple(edges_), site, own, may_be_none=names_values)
    if node.share is not None and node.share.is_written_out:
        x.resolve((node.share,), site, None)
    if names_values:
        return len(refs) if refs is not None and len(edges_) == len(node.inputs or ()) else None
    return node.form.count


def checked(
    x: Expansion, choice: Choice, result: Refs | None, is_element: bool = True
) -> Refs | None:
    """The result. Sides that give more or fewer values than what stands there are refused."""
    if result is None:
        return None
    last, absent = choice.node, choice.absent
    given = len(result) if choice.is_there else 1
    of_elements = last.parallel is not None and not is_element  # its own `when` is theirs
    if last.when is not None and last.otherwise is None and not of_elements:
        count = next((count for node, count in absent if node is last), given)
        _check_single(x, last, count or 1)
    for node, count in absent:
        if node is not last and count is not None and count != given:
            _refuse_counts(x, last, given, node, count)
    return result


def _check_single(x: Expansion, node: Node, count: int) -> None:
    """Refuses a node of several values that has no `else`: without it there is one."""
    if count < 2:
        return
    assert node.when is not None
    refusal = Refusal(
        f"a node of {count} values with a `when` needs an `else`",
        code=Code.STRUCTURE,
        expected=f"an `else:` with {count} values: a node that is not there hands on one, its "
        "first input",
        help="say what stands there, or put the `when` on the nodes that read them",
    )
    x.report(refusal, node.when.span)


def _refuse_counts(x: Expansion, there: Node, given: int, node: Node, count: int) -> None:
    if isinstance(there.form, FromAlone) and isinstance(node.form, FromAlone):
        return  # lists of values, read as a whole
    refusal = Refusal(
        "both sides of `when` and `else` give equally many values",
        code=Code.STRUCTURE,
        found=f"{given} by {_called(there)}, which is there, and {count} by {_called(node)}",
        help=None
        if given
        else f"{_called(there)} stands for no value here: name another in its place",
    )
    x.report(refusal, node.span)


def _called(node: Node) -> str:
    named = isinstance(node.form, FromAlone) and node.inputs
    return ", ".join(each.text for each in named) if named else node.form.word


# --- what is not there ---------------------------------------------------------------------------


def _handed_on(
    x: Expansion, node: Node, site: Site, refs: Refs, current: Refs | None
) -> Refs | None:
    """The first input of a node that is not there. By position it is read if it stood before."""
    first: Refs | None = refs
    if not refs and node.inputs:
        with suppress(Refusal):  # an edge with an expression need not be there
            first = edges.resolve(node.inputs[0], site, None)
    if first is None:
        x.stand_for(node, site, None)
        return None
    before = current.before if isinstance(current, HandedOn) else current or ()
    handed = HandedOn.by(node, first[:1], before)
    x.stand_for(node, site, handed)
    if node.inputs is None and isinstance(current, HandedOn):
        return current
    return first[:1] if current is None or (handed and handed[0] in before) else handed


def reads(node: Node) -> bool:
    """Whether a node reads anything, as learned tensors do not."""
    return not (
        isinstance(node.form, OpCall) and node.form.op.num_inputs == 0 and not node.form.op.variadic
    )


def unclear(handed: HandedOn, b: Builder) -> Refusal:
    """The refusal of a value by position that the node before the reader only hands on."""
    found, ways = _ways(handed, b)
    help_ = f"say what: {' or '.join(f'`from: {each}`' for each in ways)}"
    return _unclear(handed, "what this reads is not clear", found, help_)


def settled(x: Expansion, last: Refs | None, b: Builder) -> Refs | None:
    """What a list without `outputs` gives; None (and a diagnostic) where that is not clear."""
    if not isinstance(last, HandedOn):
        return last
    found, ways = _ways(last, b)
    choice = " or ".join(f"`else: {each}`" for each in ways)
    help_ = f"say beside the `when` what stands there: {choice}"
    message = "what this list gives is not clear"
    x.report(_unclear(last, message, found, help_), last.node.span)
    return None


def _unclear(handed: HandedOn, message: str, found: str, help_: str) -> Refusal:
    where = f"the {handed.node.form.word} at {place(handed.node.span)}"
    return Refusal(
        f"{message}: {where} is not there, and its first input is not what stands before it",
        code=Code.ABSENT,
        found=found,
        help=help_,
    )


def _ways(handed: HandedOn, b: Builder) -> tuple[str, list[str]]:
    """What is found, in words, and the edges that may be meant."""
    first = handed.node.inputs[0].text if handed.node.inputs else None
    ways = [first] if handed and first else []
    found = f"its first input is {first!r}" if first else "it names no input"
    if handed.before:
        ref = handed.before[0]
        name = b.input_edge(ref.output) if ref.step == INPUT else b.steps[ref.step].name
        ways.append("input" if ref.step == INPUT and ref.output == 0 else name)
        found += f", and before it stands {ways[-1]!r}"
    return found, ways
