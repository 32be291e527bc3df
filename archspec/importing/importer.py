"""`from_module`: an architecture of a Python module."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archspec.architecture import Architecture
from archspec.importing.trace import cannot, refused
from archspec.loading import loads
from archspec.record import Record

if TYPE_CHECKING:
    import torch
    from torch import nn

    from archspec.importing.verifying import Comparison


def from_module(
    net: nn.Module,
    inputs: Any,
    *,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    flat: bool = False,
    verify: bool = True,
) -> Architecture:
    """The architecture of a module, which is run on the meta device; its YAML is `source.text`.

    `inputs` are example tensors with the batch first: one, a tuple in the order of `forward`, or a
    dict of its arguments. Their sizes and types are those of the spec; their numbers are not read.
    The spec is called `name`, by default as the class. `params` are numbers that get a name.
    With `flat` the text has no blocks with parameters and no repeats.

    The module keeps its mode, weights, hooks and device, and random numbers go on as if nothing had
    been drawn.

    Unless `verify` is false, the spec is built, gets the module's weights, and is compared with it
    in `eval()` and `train()`.

    Raises `SpecError` for what a spec cannot say, with the line of Python, or where the two differ.
    """
    return imported(net, inputs, name=name, params=params, flat=flat, verify=verify).arch


class Imported(Record):
    """An imported module beside its architecture, and how they compare where that was asked for."""

    net: nn.Module
    arch: Architecture
    comparison: Comparison | None


def imported(
    net: nn.Module,
    inputs: Any,
    *,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    flat: bool = False,
    verify: bool = True,
) -> Imported:
    """What `from_module` gives, with the comparison. Raises `SpecError`."""
    text, given = written(net, inputs, name=name)
    arch = loads(text, name=name or _name_of(net), warn=False)
    if not flat:
        from archspec.importing.hints import hints_of
        from archspec.importing.rewriting import rewritten

        arch = loads(rewritten(arch, hints=hints_of(net, arch)), name=arch.name, warn=False)
    if not verify:
        return Imported(net, arch, None)
    comparison = compare(net, given, arch, by_name=isinstance(inputs, Mapping))
    if not comparison.ok:
        raise refused(
            cannot(
                f"the spec is not the same network as the module: {comparison}",
                help="look for numbers that depend on the batch's size, random numbers that no op "
                "draws, and state that changes from call to call",
            ),
            None,
        )
    return Imported(net, arch, comparison)


def compare(
    net: nn.Module, given: Mapping[str, torch.Tensor], arch: Architecture, *, by_name: bool = False
) -> Comparison:
    """How a module and its spec agree: keys, and results in both modes."""
    from archspec.importing.verifying import compared

    return compared(net, given, arch, by_name=by_name)


def written(
    net: nn.Module, inputs: Any, *, name: str | None = None
) -> tuple[str, dict[str, torch.Tensor]]:
    """The flat text of a module's spec, and its inputs by name."""
    from archspec.importing.aligning import align
    from archspec.importing.flat import flat_text
    from archspec.importing.lifting import Lifter
    from archspec.importing.outputs import named_outputs
    from archspec.importing.record import record
    from archspec.importing.scopes import arranged

    given, by_position = named_inputs(net, inputs)
    lifted = {}
    outputs = {}
    for training in (True, False):
        trace = record(net, given, training=training, by_position=by_position)
        lifter = Lifter(trace)
        lifter.run()
        outputs[training] = named_outputs(lifter)
        lifted[training] = lifter
    nodes, named = align(
        lifted[True].needed(outputs[True].edges.values()),
        lifted[False].needed(outputs[False].edges.values()),
        outputs[True].edges,
        outputs[False].edges,
    )
    lifter = lifted[True]
    tied = [keys for value, keys in lifter.keys.items() if len(keys) > 1 and _owned(nodes, keys)]
    keys = list(net.state_dict())
    root = arranged(nodes, keys, tied)
    _tie(nodes, tied)
    text = flat_text(
        root,
        described(given, nodes),
        named,
        name or _name_of(net),
        named=outputs[True].several or outputs[False].several,
    )
    return text, given


def _owned(nodes: Sequence[Any], keys: Sequence[str]) -> bool:
    """Whether several nodes own one parameter, each under a key of its own."""
    paths = {key.rpartition(".")[0] for key in keys}
    return len({node.owner for node in nodes if node.owner in paths}) > 1


def _tie(nodes: Sequence[Any], tied: Sequence[Sequence[str]]) -> None:
    """Let the later owners of a tied parameter name the first one's."""
    for keys in tied:
        owners = {key.rpartition(".")[0]: key for key in keys}
        first = None
        for node in nodes:
            if node.owner in owners:
                key = owners[node.owner]
                if first is None:
                    first = key
                elif key != first:
                    node.weights[key.rpartition(".")[2]] = first


def named_inputs(net: nn.Module, inputs: Any) -> tuple[dict[str, torch.Tensor], bool]:
    """The example tensors by the names of `forward`, and whether they go by position."""
    from torch import Tensor

    if isinstance(inputs, Mapping):
        given = dict(inputs)
    else:
        several = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
        names = _argument_names(net, len(several))
        given = dict(zip(names, several, strict=True))
    for key, tensor in given.items():
        if not isinstance(tensor, Tensor) or tensor.dim() < 1:
            raise TypeError(f"inputs are tensors with the batch first; {key} is {tensor!r}")
    return given, not isinstance(inputs, Mapping)


def _argument_names(net: nn.Module, count: int) -> list[str]:
    """The names of the first arguments of `forward`; x1, x2, … where it has none."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [
        each.name
        for each in inspect.signature(net.forward).parameters.values()
        if each.kind in kinds
    ]
    if len(names) < count:
        names += [f"x{number + 1}" for number in range(len(names), count)]
    return names[:count]


def described(given: Mapping[str, torch.Tensor], nodes: Sequence[Any]) -> list[Any]:
    """The inputs as the spec states them."""
    from archspec.importing.flat import Input
    from archspec.importing.literals import type_of

    made = []
    for name, tensor in given.items():
        rows = [
            node.args["num_embeddings"]
            for node in nodes
            if node.op == "embedding" and node.inputs[0].node == name
        ]
        below = min(rows, default=None)
        made.append(Input(name, tuple(tensor.shape[1:]), type_of(tensor.dtype), below))
    return made


def _name_of(net: nn.Module) -> str:
    """The class's name in small letters, with `_` between words."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(net).__name__)
    return words.lower()
