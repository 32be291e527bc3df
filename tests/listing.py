"""Short forms in which the language tests state what a spec must become.

`listing` shows a graph, one node a line, as `path = kind(reads) -> sizes without N`; what a node
reads is named as within its own list. `refusal` is the whole text of the error.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

import archspec
from archspec.ir.graph import INPUT, Graph, Ref, walk
from archspec.ir.shape import N, Shape


def spec(layers: str, *, input: str = "[4, 8, 8]", head: str = "") -> str:
    """A spec of these layers; `head` holds further top-level keys."""
    given = f"input: {input}\n" if input else ""
    return f"{given}{dedent(head)}layers:\n{indent(dedent(layers).strip(), '  ')}\n"


def loaded(layers: str, params: dict[str, Any] | None = None, **more: str) -> archspec.Architecture:
    return archspec.loads(spec(layers, **more), params)


def listed(layers: str, params: dict[str, Any] | None = None, **more: str) -> list[str]:
    return listing(loaded(layers, params, **more))


def listing(arch: archspec.Architecture) -> list[str]:
    return [
        f"{visit.path} = {visit.step.kind}"
        f"({', '.join(reads(visit.graph, ref) for ref in visit.step.inputs)})"
        f" -> {', '.join(map(sizes, visit.step.outputs))}"
        + (" in train()" if visit.step.training_only else "")
        + (
            f" shares {visit.graph.steps[visit.step.shares].name}"
            if visit.step.shares is not None
            else ""
        )
        for visit in walk(arch.graph)
    ]


def reads(graph: Graph, ref: Ref) -> str:
    if ref.step == INPUT:
        return graph.input_names[ref.output]
    step = graph.steps[ref.step]
    return step.name if len(step.outputs) == 1 else f"{step.name}[{ref.output}]"


def sizes(shape: Shape) -> str:
    """`4x8x8`; a learned tensor, which has no batch, in brackets."""
    if shape[0] is N:
        return "x".join(map(str, shape[1:]))
    return f"[{'x'.join(map(str, shape))}]"


def keys(arch: archspec.Architecture) -> list[str]:
    """The keys of the module's state dict."""
    return list(arch.build(device="meta").state_dict())


def refusal(text: str, **options: Any) -> str:
    """The error of a whole spec text, all of it."""
    with pytest.raises(archspec.SpecError) as raised:
        archspec.loads(text, **options)
    return str(raised.value)


def refused(layers: str, params: dict[str, Any] | None = None, **more: str) -> str:
    return refusal(spec(layers, **more), params=params)


def first_line(text: str) -> str:
    """Place, code and message of the first mistake, without the name of the text."""
    return text.splitlines()[0].removeprefix("<text>:")


def write_files(folder: Path, **texts: str) -> None:
    """Files `name.yaml` with these texts."""
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(dedent(text))
