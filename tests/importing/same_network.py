"""What a graph computes, whatever its nodes are called that have no keys, and in whatever order."""

from __future__ import annotations

from typing import Any

from archspec.ir.graph import INPUT, Graph, Ref

Key = tuple[Any, ...]

POOLED = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "count_include_pad")
LAYOUTS = ("reshape", "flatten", "unflatten", "squeeze", "unsqueeze")
"""Ops that lay the same elements out under other axes."""
MEAN = ("mean", (("dim", (2, 3)), ("keepdim", True)))


def word(op: Any, outputs: Any) -> Key:
    """What an op does, the same for ops that do the same."""
    name = op.op_name
    if name == "scale":
        return "mul", (("other", op.factor),)
    if name == "stochastic_depth":
        return name, 1 - op.p, op.mode
    if name == "global_avg_pool2d" or (name == "adaptive_avg_pool2d" and op.output_size == 1):
        return MEAN
    if name in LAYOUTS:
        return "laid out", outputs[0]
    if name == "constant":  # its numbers are read in float32
        return name, outputs[0], op.persistent
    said = {key: _one(value) for key, value in op.arguments().items()}
    if isinstance(getattr(op, "dim", None), int) and op.dim < 0:
        said["dim"] = repr(op.dim + len(outputs[0]))
    if "pool" in name:
        said = {key: _one(getattr(op, key)) for key in POOLED if hasattr(op, key)}
        said["stride"] = _one(op.stride or op.kernel_size) if hasattr(op, "stride") else None
    for key in ("init", "std", "mean", "low", "high") if name == "parameter" else ():
        said.pop(key, None)
    return name, tuple(sorted(said.items()))


def _one(value: Any) -> str:
    """A value; one number for several that are equal."""
    several = isinstance(value, tuple) and len(set(value)) == 1
    return repr(value[0] if several else value)


NUMBERS: dict[Key, int] = {}
"""A number for all that a value is computed of. Without it, each sum would be compared twice."""


def numbered(key: Key) -> int:
    return NUMBERS.setdefault(key, len(NUMBERS))


def computed(graph: Graph) -> dict[str, int]:
    """For each output the number of all that it is computed of: ops, paths of keys, and inputs."""
    inputs = [numbered(("input", number)) for number in range(len(graph.inputs))]
    values = _values(graph, "", inputs)
    names = graph.output_names or [str(n) for n in range(len(graph.outputs))]
    return {name: values[ref] for name, ref in zip(names, graph.outputs, strict=True)}


def _values(graph: Graph, prefix: str, inputs: list[int], training: bool = False) -> dict[Ref, int]:
    found = {Ref(INPUT, number): key for number, key in enumerate(inputs)}
    for number, step in enumerate(graph.steps):
        if step.idle:
            continue
        owner = step if step.shares is None else graph.steps[step.shares]
        path = prefix + owner.name
        reads = [found[ref] for ref in step.inputs]
        if step.body is not None:
            inner = _values(step.body, f"{path}.", reads, training or step.training_only)
            made = [inner[ref] for ref in step.body.outputs]
        else:
            made = _of_op(step, path, reads, training or step.training_only)
        for output, key in enumerate(made):
            found[Ref(number, output)] = key
    return found


def _of_op(step: Any, path: str, reads: list[int], training: bool) -> list[int]:
    op = step.op
    dropping = op.drops or op.op_name == "stochastic_depth"
    nothing = (dropping and getattr(op, "p", 1) == 0) or not any(getattr(op, "pad", (1,)))
    if op.op_name == "identity" or nothing:
        return reads
    keyed = path if op.weights(*step.input_shapes) or (op.gives_own and not op.keyless) else ""
    while op.variadic and op.op_name != "concat" and len(reads) > 2:
        first = numbered((word(op, step.outputs), keyed, training, tuple(reads[:2]), 0))
        reads = [first, *reads[2:]]
    key = (word(op, step.outputs), keyed, training, tuple(reads))
    return [numbered((*key, number)) for number in range(len(step.outputs))]
