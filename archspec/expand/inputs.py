"""Shapes and types of a network's inputs: as the spec states them, or the caller asks."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence
from typing import Any, cast

from archspec.diagnostics.diagnostic import Code, Diagnostic, Refusal, SpecError
from archspec.diagnostics.suggestions import did_you_mean
from archspec.document.keys.inputs import check_below, check_count, check_size
from archspec.document.records import Spec
from archspec.document.spec import chain, nearest, root_of, said_along
from archspec.expand.expander import Expander
from archspec.expressions.arguments import Argument, LocatedError
from archspec.expressions.evaluate import Budget, Env
from archspec.ir.infer import MAX_ELEMENTS
from archspec.ir.shape import Dim, N, Shape, product
from archspec.ir.types import ValueType
from archspec.sizes.size import Path, depends, everywhere
from archspec.text.limits import Limits

Sizes = Sequence[int]


def input_shapes(
    spec: Spec,
    given: Sizes | AbstractMapping[str, Sizes] | None,
    params: dict[str, Argument],
    expander: Expander,
) -> dict[str, Shape] | None:
    """The input shapes by name, N first: the caller's where given. None where one is wrong."""
    stated = nearest(spec, "inputs")
    shapes: dict[str, Shape] = {}
    names = _names_for_sizes(spec, params, expander)
    for name, each in stated.items():
        try:
            shapes[name] = _sizes(each.sizes, names, expander)
        except Refusal as refusal:
            expander.report(refusal, each.shape_span)
        except LocatedError as error:
            for diagnostic in error.diagnostics:
                expander.add(diagnostic)
    if given is not None:
        if not isinstance(given, AbstractMapping | Sequence) or isinstance(given, str):
            raise TypeError(
                "input_shape is a list of sizes without the batch, such as (3, 64, 64), or a "
                f"mapping of names to such lists, not {given!r}"
            )
        wanted = given_inputs(stated, given)
        for name, sizes in wanted.items():
            if name not in stated:
                raise SpecError(
                    [
                        Diagnostic(
                            Code.UNKNOWN_NAME,
                            f"the spec has no input {name!r}",
                            expected=f"one of {', '.join(stated)}",
                            help=did_you_mean(name, stated),
                        )
                    ]
                )
            try:
                shapes[name] = _checked_sizes(tuple(sizes))
            except Refusal as refusal:
                raise SpecError([Diagnostic.of(refusal, None)]) from None
    return shapes if len(shapes) == len(stated) and not expander.failed else None


def with_symbols(
    inputs: dict[str, Shape], axes: AbstractMapping[str, Sequence[str | None]], path: Path
) -> dict[str, Shape]:
    """The shapes with a symbol for each size that `axes` gives a name, N left out."""

    def sized(name: str, size: Dim) -> Dim:
        return cast(Dim, path.size(name, size))

    return {
        name: (N, *[sized(n, dim) if n else dim for n, dim in zip(axes[name], sizes, strict=True)])
        if name in axes
        else (N, *sizes)
        for name, (_, *sizes) in inputs.items()
    }


def input_types(
    spec: Spec, params: dict[str, Argument], expander: Expander
) -> tuple[ValueType, ...] | None:
    """The types of the inputs, in order, as the spec states them. None where one is wrong."""
    env = Env(_scalar_params(spec, params, expander), None, expander.budget)
    types: list[ValueType] = []
    for each in nearest(spec, "inputs").values():
        below = None
        if each.below is not None:
            try:
                below = each.below.value(env)
                check_below(below)
            except Refusal as refusal:
                expander.report(refusal, each.below.span)
        types.append(ValueType(each.dtype, below))
    return None if expander.failed else tuple(types)


def given_inputs(
    stated: AbstractMapping[str, Any], given: Sizes | AbstractMapping[str, Sizes] | None
) -> AbstractMapping[str, Sizes]:
    """The inputs whose sizes the caller gives, by name. Sizes without a name are for the first."""
    if given is None:
        return {}
    return given if isinstance(given, AbstractMapping) else {next(iter(stated)): given}


def _names_for_sizes(spec: Spec, params: dict[str, Argument], expander: Expander) -> dict[str, Any]:
    """What sizes of an input may name: parameters, and the symbols of `sizes`."""
    names = _scalar_params(spec, params, expander)
    declared = said_along(chain(spec))["sizes"]
    inputs = nearest(spec, "inputs").values()
    read = {name for each in inputs for size in each.sizes for name in size.names}
    for name in declared:
        if name in root_of(spec).params:
            message = f"{name!r} is a parameter too, and stands for one of the two"
            refusal = Refusal(message, code=Code.NAME, help=f"call the size {name}_")
        elif name not in read:
            message = f"no input has the size {name!r}"
            refusal = Refusal(message, code=Code.STRUCTURE, help=f"write {name} in `input:`")
        else:
            continue
        expander.report(refusal, next(iter(inputs)).shape_span)
    return {**names, **declared, **expander.sizes}


def written_sizes(
    spec: Spec, params: dict[str, Argument], sizes: AbstractMapping[str, int], limits: Limits
) -> dict[str, tuple[Any, ...]]:
    """The sizes of the inputs by name, as an expression where they depend on symbols."""
    from archspec.sizes.formula import Ring
    from archspec.sizes.words import formula_source

    expander = Expander(limits, [])
    path = Path(Ring(), lambda: None)
    expander.sizes = {name: path.size(name, size) for name, size in sizes.items()}
    shapes = input_shapes(spec, None, params, expander) or {}
    return {
        name: tuple([formula_source(dim) for dim in everywhere(_formula, shape[1:])])
        for name, shape in shapes.items()
    }


def _formula(size: Any) -> Any:
    return size.formula if depends(size) else size


def checked_sizes(spec: Spec, sizes: AbstractMapping[str, int]) -> AbstractMapping[str, int]:
    """Sizes that the caller gives for symbols. Raises `SpecError` for a name that is none."""
    declared = said_along(chain(spec))["sizes"]
    for name, size in sizes.items():
        try:
            if name not in declared:
                raise Refusal(
                    f"the spec has no size {name!r}",
                    code=Code.UNKNOWN_NAME,
                    expected=f"one of {', '.join(declared)}" if declared else "a size of `sizes:`",
                    help=did_you_mean(name, declared),
                )
            check_size(size)
        except Refusal as refusal:
            raise SpecError([Diagnostic.of(refusal, None)]) from None
    return sizes


def _scalar_params(spec: Spec, given: dict[str, Argument], expander: Expander) -> dict[str, Any]:
    """The parameters that sizes of an input may name: those that depend on no input."""
    values: dict[str, Any] = {}
    env = Env(values, None, Budget(expander.limits))
    for name, parameter in root_of(spec).params.items():
        argument = given.get(name, parameter.default)
        if argument is not None and parameter.type != "layers":
            try:
                values[name] = argument.value(env)
            except Refusal:
                continue
    return values


def _sizes(written: Sequence[Argument], names: dict[str, Any], expander: Expander) -> Shape:
    env = Env(names, None, expander.budget)
    sizes: list[Any] = []
    for argument in written:
        try:
            sizes.append(argument.value(env))
            check_size(sizes[-1])
        except Refusal as refusal:
            raise LocatedError(Diagnostic.of(refusal, argument.span)) from None
    return _checked_sizes(tuple(sizes))


def _checked_sizes(sizes: tuple[Any, ...]) -> Shape:
    check_count(len(sizes))
    for size in sizes:
        check_size(size)
    if product(sizes) > MAX_ELEMENTS:
        raise Refusal(
            f"an input of {product(sizes):,} elements",
            code=Code.LIMIT,
            expected=f"at most {MAX_ELEMENTS:,}",
        )
    return (N, *sizes)
