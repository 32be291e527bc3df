"""What a graph computes, whatever its nodes are called that have no keys, and in whatever order."""

from __future__ import annotations

from typing import Any

from archspec.ir.graph import INPUT, Graph, Ref

Key = tuple[Any, ...]

OTHER_WORDS = {
    "scale": lambda op: ("mul", (("other", op.factor),)),
    "global_avg_pool2d": lambda op: ("mean", (("dim", (2, 3)), ("keepdim", True))),
    "adaptive_avg_pool2d": lambda op: (
        ("mean", (("dim", (2, 3)), ("keepdim", True)))
        if op.output_size == 1
        else ("adaptive_avg_pool2d", op.output_size)
    ),
    "max_pool2d": lambda op: (
        "max_pool2d",
        (op.kernel_size, op.stride or op.kernel_size, op.padding, op.dilation, op.ceil_mode),
    ),
}


def computed(graph: Graph) -> dict[str, Key]:
    """For each output all that it is computed of: ops with the paths of their keys, and inputs."""
    inputs = [("input", number) for number in range(len(graph.inputs))]
    values = _values(graph, "", inputs)
    names = graph.output_names or [str(n) for n in range(len(graph.outputs))]
    return {name: values[ref] for name, ref in zip(names, graph.outputs, strict=True)}


def _values(graph: Graph, prefix: str, inputs: list[Key]) -> dict[Ref, Key]:
    found = {Ref(INPUT, number): key for number, key in enumerate(inputs)}
    for number, step in enumerate(graph.steps):
        if step.idle:
            continue
        owner = step if step.shares is None else graph.steps[step.shares]
        path = prefix + owner.name
        reads = [found[ref] for ref in step.inputs]
        if step.body is not None:
            inner = _values(step.body, f"{path}.", reads)
            made = [inner[ref] for ref in step.body.outputs]
        else:
            made = _of_op(step, path, reads)
        for output, key in enumerate(made):
            found[Ref(number, output)] = key
    return found


def _of_op(step: Any, path: str, reads: list[Key]) -> list[Key]:
    op = step.op
    if op.op_name == "identity":
        return reads
    word = OTHER_WORDS.get(op.op_name, lambda op: (op.op_name, tuple(sorted(_said(op).items()))))
    keyed = path if op.weights(*step.input_shapes) or (op.gives_own and not op.keyless) else ""
    return [
        (*word(op), keyed, step.training_only, tuple(reads), n) for n in range(len(step.outputs))
    ]


def _said(op: Any) -> dict[str, Any]:
    drawn = ("init", "std", "mean", "low", "high") if op.op_name == "parameter" else ()
    return {key: repr(value) for key, value in op.arguments().items() if key not in drawn}
