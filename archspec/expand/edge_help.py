"""What helps a node that reads too few values, or other ones than it should."""

from __future__ import annotations

from archspec.document.forms.op import OpCall
from archspec.document.records import Node
from archspec.expand.builder import Builder
from archspec.expand.lookup import Refs
from archspec.expand.remedies import called
from archspec.ir.graph import INPUT
from archspec.ir.shape import is_batched


def from_the_batch(b: Builder, refs: Refs, implicit: bool = True) -> str | None:
    """The help for a node that reads a learned tensor only because that stands before it.

    `refs` are what the newest node reads; `implicit` says that it has no `from`. None where the
    tensor is read by its name.
    """
    ref = next((ref for ref in refs if not is_batched(b.shape(ref))), None)
    reader, own = len(b.steps), b
    while ref is not None:
        if ref.step == INPUT:
            if b.parent is None:
                return None
            b, refs = b.parent
            ref, reader, implicit = refs[ref.output], len(b.steps), True
            continue
        step = b.steps[ref.step]
        if not step.inputs:
            on = " where the block is called" if b is not own else ""
            return _names_batch(b, ref.step, reader, on) if implicit else None
        reader, implicit = ref.step, b.recipes[ref.step].node.inputs is None
        ref = step.inputs[0]
    return None


def _names_batch(b: Builder, tensor: int, reader: int, on: str) -> str | None:
    """What the step after a learned tensor must write to read the value before it."""
    if reader != tensor + 1:
        return None
    before = [step.name for step in b.steps[:tensor] if is_batched(step.outputs[0])]
    wanted = before[-1] if before else b.input_edge(0)
    on = f" on {called(b.steps[reader])}" if reader < len(b.steps) else on
    return (
        f"write `from: {wanted}`{on}: without `from` a node reads the one before it, here the "
        f"learned tensor {called(b.steps[tensor])}"
    )


def several_in_a_repeat(node: Node) -> str | None:
    """The help for a repeated merge with its edges, which only its first run would read.

    None for any other node.
    """
    if node.repeat is None or node.form.inputs is None or len(node.form.inputs) < 2:
        return None
    times = node.repeat.times
    count = "{…}" if times is None else times.constant if times.evaluate is None else "…"
    first, *others = (each.name.text for each in node.form.inputs)
    inputs = ", ".join(["input", *("input" if each == first else each for each in others)])
    word, is_scope = node.form.word, node.name is not None and node.name.is_fixed
    inner = f"{{{word}: [{inputs}]}}"
    start = "" if first == "input" else f", from: {first}"
    return (
        "each iteration reads what the one before gives: write "
        f"`{{repeat: {count}, layers: [{inner}]{start}}}`"
        + (", without a name: it would hide the other nodes" if is_scope else "")
    )


def second_input(b: Builder, node: Node, refs: Refs) -> str | None:
    """The help for a merge that names one value, or none: what stands before it is the other."""
    form = node.form
    if not (isinstance(form, OpCall) and form.op.variadic) or len(refs) != 1:
        return None
    names = [each.name.text for each in node.inputs or ()]
    known = ["input", *(step.name for step in b.steps)]
    names = [*[each for each in known if each not in names][-2 + len(names) :], *names]
    return f"name both: `{form.word}: [{', '.join(names)}]`" if len(names) == 2 else None


def unjoined(b: Builder, node: Node, refs: Refs) -> str | None:
    """The help for a node that reads one value, and is given all of a node with several.

    What stands side by side before it was not joined, or one of the outputs is meant.
    """
    if not any(node in nodes for nodes in b.lists):
        return None  # it is the merge
    owners = {ref.step for ref in refs}
    if len(owners) > 1 and node.inputs is None:
        return (
            f"the node before gives {len(refs)} values: join them with a `merge:` there, as "
            "`merge: concat`, or say with `from:` which to read"
        )
    form = node.form
    reads_one = isinstance(form, OpCall) and not form.op.variadic and form.op.num_inputs == 1
    owner = refs[0].step if refs else INPUT
    if len(owners) > 1 or owner == INPUT or len(refs) < 2 or not reads_one:
        return None
    made, name = b.recipes[owner].node, b.steps[owner].name
    read = f"`from: {name}[0]`" if not name.isdecimal() else f"`from: '{name}[0]'`"
    if made.parallel is None and made.form.word != "branches":
        return f"{name!r} gives {len(refs)} values: read one of them, as {read}"
    return (
        f"{name!r} gives {len(refs)} values: join them with a `merge:` there, as `merge: concat`, "
        f"or read one of them, as {read}"
    )
