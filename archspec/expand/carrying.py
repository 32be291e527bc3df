"""What an iteration of a repeat hands to the next, where its node has several inputs or outputs."""

from __future__ import annotations

from archspec.diagnostics.diagnostic import Code, Refusal
from archspec.document.records import Inputs, Node
from archspec.expand.lookup import Refs
from archspec.expressions.evaluate import Env


def next_reads(node: Node, env: Env, first: Refs, given: Refs) -> Refs:
    """What the next iteration reads, after one that gave `given`; the first read `first`.

    A value goes to the input that has its name, one alone to the first input, and as many values as
    inputs to all of them, in order. Other inputs are given to each iteration unchanged. Raises
    `Refusal` where that says nothing.
    """
    form = node.form
    inputs, names = form.input_names(env), form.output_names(env)
    if form.inputs is not None or (inputs is not None and inputs.rest and not inputs.names):
        return given
    if inputs is not None and len(names) == len(given) and set(names) & set(inputs.names):
        values = dict(zip(names, given, strict=True))
        named = zip(inputs.names, first, strict=False)
        found = (*[values.get(name, ref) for name, ref in named], *first[len(inputs.names) :])
        if len(found) == len(given) and found != given:
            raise _in_another_order(form.word, names, inputs)
        return found
    if len(given) == 1:
        return (*given, *first[1:])
    if len(given) == len(first) or len(first) == 1:
        return given
    raise Refusal(
        f"{form.word} gives {len(given)} values and reads {len(first)}, and nothing says which go "
        "to the next iteration",
        code=Code.ARITY,
        expected="outputs that have the names of inputs" + (f": {inputs}" if inputs else ""),
        help="name them in the block: `outputs: {x: …}`",
    )


def _in_another_order(word: str, names: tuple[str | None, ...], inputs: Inputs) -> Refusal:
    """As many values as inputs go to these in order: names must not say something else."""
    return Refusal(
        f"{word} gives as many values as it reads, and their names are not those of its inputs in "
        "order",
        code=Code.ARITY,
        expected=f"outputs {inputs}",
        found=f"outputs {', '.join(map(str, names))}",
        help="name every input under `outputs:`, in order: `x: x` for one that stays as it is",
    )
