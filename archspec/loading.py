"""`load` and `loads` make an `Architecture` of a spec; `compile` makes its module at once."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from archspec.architecture import Architecture, InputShape, Outputs
from archspec.diagnostics.diagnostic import Source, SpecWarning
from archspec.expand.program import Origin, compile_text, read_named
from archspec.text.limits import DEFAULT, Limits

if TYPE_CHECKING:
    import torch
    from torch import nn

    from archspec.ir.precision import DType
    from archspec.weights import Renames, Weights


def load(
    spec: str | PathLike[str],
    params: Mapping[str, Any] | None = None,
    *,
    input_shape: InputShape | None = None,
    sizes: Mapping[str, int] | None = None,
    limits: Limits = DEFAULT,
    allow_outside: bool = False,
    allow_modules: Collection[str] = (),
    ignore: Collection[str] = (),
    warn: bool = True,
) -> Architecture:
    """The architecture of a file, or of a bundled spec by its name (see `archspec.bundled()`).

    `params` override the spec's own; `input_shape` replaces its input, without N, and `sizes` gives
    other sizes for the symbols that it declares under `sizes:`. `extends` and `use` may name files
    below the spec's folder only, unless `allow_outside`. `module` nodes may run code of the
    packages in `allow_modules` only.

    What looks like a mistake is raised as a `SpecWarning`, once for each place, unless `warn` is
    false. Warnings whose codes are in `ignore` are left out.

    Raises `SpecError`, with all diagnostics, if anything is wrong with the spec.
    """
    source, folder = read_named(fspath(spec), limits)
    arch = _architecture(
        source, folder, params, input_shape, sizes, limits, allow_outside, allow_modules, ignore
    )
    if warn:
        raise_warnings(arch)
    return arch


def loads(
    text: str,
    params: Mapping[str, Any] | None = None,
    *,
    input_shape: InputShape | None = None,
    sizes: Mapping[str, int] | None = None,
    limits: Limits = DEFAULT,
    name: str = "<text>",
    folder: str | PathLike[str] | None = None,
    allow_outside: bool = False,
    allow_modules: Collection[str] = (),
    ignore: Collection[str] = (),
    warn: bool = True,
) -> Architecture:
    """The architecture of a YAML text, which diagnostics call `name`.

    It may extend bundled specs, and files below `folder` if that is given. With `allow_outside` it
    may extend any file, and relative names start from `folder`. The rest is as in `load`.
    """
    beside = fspath(folder) if folder is not None else None
    arch = _architecture(
        Source(name, text),
        *(beside, params, input_shape, sizes, limits, allow_outside, allow_modules, ignore),
    )
    if warn:
        raise_warnings(arch)
    return arch


def raise_warnings(arch: Architecture) -> None:
    """Raise its warnings through Python's `warnings`, at the line that called our caller."""
    for diagnostic in arch.warnings:
        warnings.warn(SpecWarning(diagnostic), stacklevel=3)


def _architecture(
    source: Source,
    folder: str | None,
    params: Mapping[str, Any] | None,
    input_shape: InputShape | None,
    sizes: Mapping[str, int] | None,
    limits: Limits,
    allow_outside: bool,
    allow_modules: Collection[str],
    ignore: Collection[str],
) -> Architecture:
    if isinstance(allow_modules, str):
        raise TypeError("allow_modules is a list of packages, not one text")
    limits = limits._replace(modules=(*limits.modules, *allow_modules))
    origin = Origin(
        *(source, folder, params or {}, input_shape, limits, allow_outside, ignore, sizes or {})
    )
    return Architecture(compile_text(*origin), origin)


def compile(
    spec: str | PathLike[str],
    params: Mapping[str, Any] | None = None,
    *,
    input_shape: InputShape | None = None,
    sizes: Mapping[str, int] | None = None,
    allow_modules: Collection[str] = (),
    device: torch.device | str | None = "cpu",
    seed: int | None = None,
    dtype: DType | None = None,
    recompute: str | None = None,
    outputs: Outputs | None = None,
    weights: Weights | None = None,
    weights_map: Renames | None = None,
    partial: bool = False,
) -> nn.Module:
    """`load` and `build` in one call."""
    arch = load(
        spec,
        params,
        input_shape=input_shape,
        sizes=sizes,
        allow_modules=allow_modules,
        warn=False,
    )
    raise_warnings(arch)
    return arch.build(
        device,
        seed,
        dtype=dtype,
        recompute=recompute,
        outputs=outputs,
        weights=weights,
        weights_map=weights_map,
        partial=partial,
    )
