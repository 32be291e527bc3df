"""What a module returns, as the outputs of a spec: a tensor, or several by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from archspec.importing.axes import has_batch
from archspec.importing.lifting import Edge, Lifted, Lifter
from archspec.importing.trace import Value, cannot, refused
from archspec.record import Record


class Named(Record):
    """The outputs by name; `several` where the module returns more than one tensor."""

    edges: dict[str, Edge]
    several: bool


def named_outputs(lifter: Lifter) -> Named:
    """The outputs of a run. Raises `SpecError` where one has no batch in front."""
    found = dict(named_values(lifter.trace.outputs))
    edges = {}
    for name, value in found.items():
        if not isinstance(value, Value):
            raise refused(cannot(f"the module returns {value!r} beside tensors"), None)
        lifted = lifter(value)
        if has_batch(lifted.axes) and not lifted.batched:
            lifted = lifter.batched(lifted)
        _check(lifted, name)
        edges[name] = lifted.edge
    if not edges:
        raise refused(cannot("the module returns no tensor"), None)
    return Named(edges, not isinstance(lifter.trace.outputs, Value))


def _check(lifted: Lifted, name: str) -> None:
    if not lifted.axes or lifted.axes[0] != (None,):
        raise refused(
            cannot(
                f"the output {name} has not the batch as its first axis",
                help="return it with the batch first and by itself, for example by a permute",
            ),
            None,
        )


def named_values(output: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor of a module's output with a name: keys, fields, and numbers of tuples."""
    if output is None:
        return
    if isinstance(output, dict):
        pairs = [(str(key), each) for key, each in output.items()]
    elif isinstance(output, tuple) and hasattr(output, "_fields"):
        pairs = list(zip(output._fields, output, strict=True))
    elif isinstance(output, tuple | list):
        pairs = [(f"output{number}", each) for number, each in enumerate(output)]
    else:
        yield prefix or "output", output
        return
    for key, each in pairs:
        yield from named_values(each, f"{prefix}_{key}" if prefix else key)
