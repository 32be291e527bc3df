"""What only the whole network shows: its outputs, and patches that changed nothing."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.diagnostics.suggestions import certain_word, did_you_mean
from archspec.document.records import PatchItem, Spec
from archspec.document.spec import chain, nearest, root_of
from archspec.expand.expansion import Expansion
from archspec.ir.graph import INPUT, Graph, walk
from archspec.ir.shape import Shape, is_batched, show


def check_outputs(spec: Spec, graph: Graph, expander: Expansion, to_batch: str | None) -> None:
    """Reports outputs that a network cannot have; `to_batch` helps where one has no batch axis."""
    root = root_of(spec)
    if not graph.steps:
        message = "the spec has no nodes that are read"
        expander.report(Refusal(message, code=Code.OUTPUTS), root.span)
    elif graph.output_names is None and len(graph.outputs) > 1:
        stated = nearest(spec, "outputs")
        what = "`outputs` lists" if stated else "the last node has"
        expander.report(
            Refusal(
                f"{what} {len(graph.outputs)} outputs, and several need names",
                code=Code.OUTPUTS,
                help=_joined(graph, bool(stated)) + "name them at the top level of the file: "
                f"`outputs: {{{_named_outputs(graph)}}}`",
            ),
            stated[0].reference.span if stated else graph.steps[-1].span,
        )
    elif all(ref.step != INPUT and graph.steps[ref.step].training_only for ref in graph.outputs):
        message = "no output is left in eval(): all are training_only"
        expander.report(Refusal(message, code=Code.TRAINING_ONLY), graph.steps[-1].span)
    for ref in graph.outputs:
        if not is_batched(graph.shape(ref)):
            expander.report(
                _unbatched_output(graph.shape(ref), to_batch), graph.steps[ref.step].span
            )


def _joined(graph: Graph, stated: bool) -> str:
    """The help for a network that ends with branches, or a parallel, and no `merge`."""
    apart = not stated and len({ref.step for ref in graph.outputs}) > 1
    return "join them with a `merge:`, as `merge: concat`, or " if apart else ""


def _named_outputs(graph: Graph) -> str:
    """A name for each different output, as one might write them."""
    found = []
    for number, ref in enumerate(graph.outputs):
        if ref.step == INPUT:
            found.append(f"{graph.input_names[ref.output]}: {graph.input_names[ref.output]}")
            continue
        step = graph.steps[ref.step]
        several = len(step.outputs) > 1
        name = "abcdefgh"[number % 8] if several or not step.named else step.name
        read = f"'{step.name}[{ref.output}]'" if several else step.name
        found.append(f"{name}: {read}")
    return ", ".join(list(dict.fromkeys(found))[:8])


def _unbatched_output(shape: Shape, to_batch: str | None) -> Refusal:
    return Refusal(
        "the network returns a tensor without the batch axis, which does not depend on the input",
        code=Code.UNBATCHED,
        expected="an output whose first axis is N",
        found=show(shape),
        help=to_batch or "join it to the batch with add, mul or concat",
    )


def check_patches(spec: Spec, expander: Expansion, graph: Graph) -> None:
    """Reports each patch whose path does not exist."""
    missed = [
        item for each in chain(spec) for item in each.patch if id(item) not in expander.applied
    ]
    if not missed:
        return
    modules = {visit.path: visit.module_path for visit in walk(graph)}
    paths = list(modules)
    for item in missed:
        near, replacement = did_you_mean(item.path, paths) or _some(graph), None
        if owner := modules.get(item.path):
            near = f"`share` takes its module from elsewhere: patch {owner!r}"
        elif over := _replaced_above(spec, item):
            near = (
                f"the patch at line {over.span.line} puts something else in the place of "
                f"{over.path!r}: write the change there"
            )
        else:
            replacement = certain_word(item.path, paths)
        expander.report(
            Refusal(
                f"the base has no node at {item.path!r}",
                code=Code.PATCH,
                expected="a path as `archspec compile BASE --summary` prints it",
                help=near,
                replacement=replacement,
            ),
            item.span,
        )


def _replaced_above(spec: Spec, item: PatchItem) -> PatchItem | None:
    """The patch of the same spec that replaces or removes a node on the path of `item`."""
    own = next(each for each in chain(spec) if item in each.patch)
    for other in own.patch:
        if item.path.startswith(f"{other.path}.") and other.action in ("replace", "remove"):
            return other
    return None


def _some(graph: Graph) -> str:
    """The names of the base's own list: every path begins with one."""
    first = [step.name for step in graph.steps]
    more = ", …" if len(first) > 16 else ""
    return f"its own list has {', '.join(first[:16])}{more}"
