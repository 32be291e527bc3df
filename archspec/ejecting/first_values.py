"""The first values of weights: statements that fill kernels by a scheme, and what comes last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from archspec.ejecting.forward import Line
from archspec.emit.following import plain_op
from archspec.ir.graph import Graph, Visit, walk
from archspec.ir.op import Op
from archspec.ir.parametrized import Parametrized
from archspec.ir.schemes import SCHEMES
from archspec.sizes.size import everywhere, known


def fills(graph: Graph, scheme: str | None) -> Iterator[Line]:
    """Statements that fill the kernels of all ops, in the order of the emitted module."""
    if scheme is None:
        return
    function, arguments = SCHEMES[scheme]
    more = "".join([f", {key}={value!r}".replace("'", '"') for key, value in arguments.items()])
    fill = f"nn.init.{function}({{}}{more})"
    paths, classes = _kernels(graph)
    if classes is None:
        yield Line("for name in (")
        yield from (Line(f'"{path}",', 1) for path in paths)
        yield Line("):")
        yield Line(fill.format("self.get_parameter(name)"), 1)
        return
    if not classes:
        return
    yield Line("for module in self.modules():")
    yield Line(f"if isinstance(module, {' | '.join(classes)}):", 1)
    yield Line(fill.format("module.weight"), 2)


def _kernels(graph: Graph) -> tuple[list[str], list[str] | None]:
    """The paths of all kernels, and the classes all of whose modules have one called `weight`.

    The classes are None where a walk through the modules would find others, or another order.
    """
    paths: list[str] = []
    filled: dict[str, None] = {}
    others: set[str] = set()
    is_plain = True
    for visit in walk(graph):
        step = visit.step
        is_plain &= "." not in step.name and not step.ties and not step.both_keys
        if step.op is None or visit.shared:
            continue
        path = _made_path(visit)
        kernels = _owned(visit)
        paths += [f"{visit.module_path}.{k}" if k else visit.module_path for k in kernels]
        if kernels == ["weight"] and path.startswith("torch.nn."):
            filled[path.replace("torch.nn", "nn")] = None
        elif kernels or (path not in ("", *_WEIGHTLESS) and not path.startswith("torch.nn.")):
            is_plain = False
        else:
            others.add(path.replace("torch.nn", "nn"))
    is_plain &= not others & set(filled)
    return paths, list(filled) if is_plain else None


_WEIGHTLESS = frozenset({"archspec.runtime.modules.StochasticDepth"})


def _made_path(visit: Visit) -> str:
    step = visit.step
    assert step.op is not None
    made = plain_op(step.op).made(*everywhere(known, step.input_shapes))
    return made.path if made else ""


def _owned(visit: Visit) -> list[str]:
    op = visit.step.op
    assert op is not None
    plain: Op = op.plain if isinstance(op, Parametrized) else op
    shapes = everywhere(known, visit.step.input_shapes)
    owned = {weight.name for weight in plain.weights(*shapes)} if op.kernels else ()
    return [kernel for kernel in op.kernels if kernel in owned]


def computed_last(graph: Graph, scheme: str | None) -> Sequence[tuple[str, str, Any]]:
    """The weights that are computed of others once all have their values, by path and name.

    There are none where the order changes no first value.
    """
    found: list[tuple[str, str, Any]] = []
    draws = scheme is not None
    for visit in walk(graph):
        op = visit.step.op
        if not isinstance(op, Parametrized) or visit.shared:
            continue
        for name, how in sorted(op.computed, key=lambda each: each[1].keys == "new"):
            draws |= how.op_name == "spectral_norm"
            said = {**vars(how), **how.inferred_for(op.plain_class)}
            call = (how.attaches, *[f"{key}={value!r}" for key, value in said.items()])
            found.append((visit.module_path, name, call))
    return found if draws else ()
