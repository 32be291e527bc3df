"""`from_module`: an architecture of a Python module."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archspec.architecture import Architecture
from archspec.diagnostics.diagnostic import Refusal
from archspec.expressions.names import check_identifier
from archspec.importing.trace import Refused, cannot, refused
from archspec.loading import loads
from archspec.record import Record

if TYPE_CHECKING:
    import torch
    from torch import nn

    from archspec.importing.flat import Input
    from archspec.importing.keeping import Kept
    from archspec.importing.lifting import Edge, Lifter, Node
    from archspec.importing.verifying import Comparison


def from_module(
    net: nn.Module,
    inputs: Any,
    *,
    name: str | None = None,
    params: Mapping[str, Any] | None = None,
    symbolic: Sequence[str] = (),
    flat: bool = False,
    verify: bool = True,
    partial: bool = False,
) -> Architecture:
    """The architecture of a module, which is run on the meta device; its YAML is `source.text`.

    `inputs` are example tensors with the batch first: one, a tuple in the order of `forward`, or a
    dict of its arguments. Their sizes and types are those of the spec; their numbers are not read.
    The spec is called `name`, by default as the class. `params` are numbers by the names that they
    get, `{"width": 64}`: each becomes a parameter of the spec, wherever it stands outside its
    blocks. `symbolic` names the last sizes of the inputs that the spec leaves open, `("H", "W")`:
    the module is run at some others too. With `flat` the text has no blocks with parameters and no
    repeats.

    The module keeps its mode, weights, hooks and device, and random numbers go on as if nothing had
    been drawn.

    With `partial` a part that a spec cannot say becomes a `module` node, if its class can be
    imported and its attributes say how it was made; the spec then runs that Python.

    Unless `verify` is false, the spec is built, gets the module's weights, and is compared with it
    in `eval()` and `train()`.

    Raises `SpecError` for what a spec cannot say, with the line of Python, or where the two differ;
    and for a name or a number of `params` that finds no place.
    """
    options: dict[str, Any] = {
        "symbolic": symbolic,
        "flat": flat,
        "verify": verify,
        "partial": partial,
    }
    return imported(net, inputs, name=name, params=params, **options).arch


def check_names(params: Mapping[str, Any]) -> None:
    """Refuse parameters that a spec cannot have: other names, and values that are no numbers."""
    for name, number in params.items():
        try:
            check_identifier(name, "a parameter")
        except Refusal as refusal:
            raise refused(refusal, None) from None
        if type(number) not in (int, float):
            raise refused(
                cannot(f"`params` of an import are numbers with names, and {name} is {number!r}"),
                None,
            )


def check_values(net: nn.Module, *, weights: bool) -> None:
    """Refuse a module without values: those of buffers are read, and `weights` to compare."""
    tensors = [*net.named_buffers(), *(net.named_parameters() if weights else ())]
    empty = [name for name, tensor in tensors if tensor.is_meta]
    if empty:
        raise refused(
            cannot(
                f"{empty[0]} is on the meta device and has no values",
                help="make the module on the CPU: the import itself runs a copy without memory",
            ),
            None,
        )


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
    symbolic: Sequence[str] = (),
    flat: bool = False,
    verify: bool = True,
    partial: bool = False,
) -> Imported:
    """What `from_module` gives, with the comparison. Raises `SpecError`."""
    check_names(params or {})
    check_values(net, weights=verify)
    kept: dict[str, Kept] = {}
    while True:
        try:
            made = written(net, inputs, name=name, symbolic=symbolic, kept=kept)
            break
        except Refused as error:
            if not partial:
                raise
            from archspec.importing.keeping import kept_around

            kept = kept_around(error, net, kept)
    packages = {each.type.partition(".")[0] for each in kept.values()}
    arch = loads(made.text, name=name or _name_of(net), warn=False, allow_modules=packages)
    if params and kept:
        raise refused(cannot("parts stay Python here, and `params` name numbers of no part"), None)
    if not kept and (params or not flat):
        from archspec.importing.hints import hints_of
        from archspec.importing.rewriting import rewritten

        hints = None if flat else hints_of(net, arch)
        text = rewritten(arch, flat=flat, hints=hints, loose=not flat, params=params)
        arch = loads(text, name=arch.name, warn=False)
    if not verify:
        return Imported(net, arch, None)
    by_name = isinstance(inputs, Mapping)
    comparison = compare(
        net,
        made.inputs,
        arch,
        by_name=by_name,
        others=made.others[:2],
        redrawn=made.redrawn,
    )
    if not comparison.ok:
        raise refused(
            cannot(
                f"the spec is not the same network as the module: {comparison}",
                help=UNREAD if comparison.unread else OTHER,
            ),
            None,
        )
    return Imported(net, arch, comparison)


OTHER = (
    "look for numbers that depend on the batch's size, random numbers that no op draws, and state "
    "that changes from call to call"
)
UNREAD = (
    "nothing that the module returns with these inputs depends on the keys that it alone has, and "
    "a spec has no tensors that nobody reads: take them out of the module, `del net.mask`, or give "
    "it the inputs that they are for"
)


def compare(
    net: nn.Module,
    given: Mapping[str, torch.Tensor],
    arch: Architecture,
    *,
    by_name: bool = False,
    others: Sequence[Mapping[str, Sequence[int]]] = (),
    redrawn: bool = False,
) -> Comparison:
    """How a module and its spec agree: keys, and results in both modes, at other sizes too."""
    from archspec.importing.verifying import compared

    return compared(net, given, arch, by_name=by_name, others=others, redrawn=redrawn)


class Written(Record):
    """A flat text with the inputs by name, and the shapes of other ones that were tried.

    Random numbers are `redrawn` where the spec draws others than the module from the same seed.
    """

    text: str
    inputs: dict[str, torch.Tensor]
    others: list[dict[str, list[int]]]
    redrawn: bool


class _Run(Record):
    """One network of both modes, at one size of the inputs."""

    nodes: list[Node]
    outputs: dict[str, Edge]
    several: bool
    lifter: Lifter


def _run(
    net: nn.Module,
    given: Mapping[str, torch.Tensor],
    by_position: bool,
    shapes: Mapping[str, Sequence[int]] | None,
    kept: Mapping[str, Kept],
) -> _Run:
    """Record the module in both modes, and align the two."""
    from archspec.importing.aligning import align
    from archspec.importing.lifting import Lifter
    from archspec.importing.outputs import named_outputs
    from archspec.importing.record import record

    lifters, outputs = [], []
    for training in (True, False):
        trace = record(
            net, given, training=training, by_position=by_position, sizes=shapes, kept=kept
        )
        lifter = Lifter(trace, kept, symbolic=shapes is not None)
        lifter.run()
        outputs.append(named_outputs(lifter))
        lifters.append(lifter)
    trained, evaluated = outputs
    nodes, named = align(
        lifters[0].needed(trained.edges.values()),
        lifters[1].needed(evaluated.edges.values()),
        trained.edges,
        evaluated.edges,
    )
    return _Run(nodes, named, trained.several or evaluated.several, lifters[0])


def written(
    net: nn.Module,
    inputs: Any,
    *,
    name: str | None = None,
    symbolic: Sequence[str] = (),
    kept: Mapping[str, Kept] | None = None,
) -> Written:
    """The flat text of a module's spec. Raises `SpecError` for what it cannot say."""
    from archspec.importing.flat import flat_text
    from archspec.importing.scopes import arranged
    from archspec.importing.symbolic import join, sizes_to_try

    given, by_position = named_inputs(net, inputs)
    tried: list[dict[str, list[int]]] = []
    if symbolic:
        shapes = {key: list(tensor.shape[1:]) for key, tensor in given.items()}
        tried = sizes_to_try(shapes, len(symbolic))
    sizes = tried or [None]  # type: ignore[list-item]
    runs = [_run(net, given, by_position, shapes, kept or {}) for shapes in sizes]
    first = runs[0]
    nodes = join([run.nodes for run in runs]) if symbolic else first.nodes
    keys = first.lifter.keys
    nodes = with_every_key(nodes, [several for several in keys.values() if len(several) > 1])
    tied = [several for several in keys.values() if len(several) > 1 and _owned(nodes, several)]
    root = arranged(nodes, list(net.state_dict()), tied)
    _tie(nodes, tied)
    stated = next(iter(given.values())).shape[-len(symbolic) :] if symbolic else ()
    text = flat_text(
        root,
        described(given, nodes, symbolic, tried),
        first.outputs,
        name or _name_of(net),
        named=first.several,
        sizes=dict(zip(symbolic, stated, strict=True)),
    )
    redrawn = any(run.lifter.redrawn for run in runs)
    return Written(text, given, tried[1:], redrawn)


def _owned(nodes: Sequence[Any], keys: Sequence[str]) -> bool:
    """Whether several nodes own one parameter, each under a key of its own."""
    paths = {key.rpartition(".")[0] for key in keys}
    return len({node.owner for node in nodes if node.owner in paths}) > 1


def with_every_key(nodes: Sequence[Any], tied: Sequence[Sequence[str]]) -> list[Any]:
    """The nodes, and one that is not read for each module that only has a key of a tied weight."""
    from archspec.importing.lifting import Node

    made = list(nodes)
    for keys in tied:
        paths = [key.rpartition(".")[0] for key in keys]
        owning = [node for node in made if node.owner in paths and node.op != "parameter"]
        missing = [path for path in paths if all(node.owner != path for node in owning)]
        if not owning or any(len(key.rpartition(".")[2]) == 0 for key in keys):
            continue
        for path in missing:
            also = Node(owning[0].op, dict(owning[0].args), owning[0].inputs)
            also.owner, also.inside, also.place = path, owning[0].inside, owning[0].place
            also.shapes = owning[0].shapes
            made.insert(made.index(owning[0]), also)
    return made


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


def described(
    given: Mapping[str, torch.Tensor],
    nodes: Sequence[Node],
    symbolic: Sequence[str],
    tried: Sequence[Mapping[str, Sequence[int]]],
) -> list[Input]:
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
        shape: tuple[int | str, ...] = tuple(tensor.shape[1:])
        if symbolic and tried[0][name] != tried[1][name]:
            shape = (*shape[: -len(symbolic)], *symbolic)
        runs = tuple(tuple(shapes[name]) for shapes in tried)
        made.append(Input(name, shape, type_of(tensor.dtype), min(rows, default=None), runs))
    return made


def _name_of(net: nn.Module) -> str:
    """The class's name in small letters, with `_` between words."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(net).__name__)
    return words.lower()
