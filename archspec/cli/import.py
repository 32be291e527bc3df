"""`archspec import PACKAGE.MODULE:CALLABLE`: a Python module as a spec."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.cli.command import Arguments, Command, Option
from archspec.cli.options import assignment, whole
from archspec.cli.output import note, write
from archspec.diagnostics.diagnostic import ArchspecError

if TYPE_CHECKING:
    from torch import Tensor, nn


def _input(text: str) -> tuple[str | None, str, tuple[int | None, ...]] | None:
    """The name, type and sizes of `[NAME=][TYPE:]SIZES`."""
    name, equals, rest = text.rpartition("=")
    dtype, colon, sizes = rest.rpartition(":")
    shape = tuple(map(whole(1), sizes.lower().split("x"))) if sizes else ()
    if None in shape or dtype not in TYPES or not (sizes or colon):
        return None
    return (name.strip() if equals else None, dtype or "float32", shape)


def _callable(text: str) -> tuple[str, str] | None:
    module, colon, name = text.partition(":")
    return (module, name) if colon and module and name else None


def _parameter(text: str) -> tuple[str, int | float] | None:
    """The name and the number of `NAME=NUMBER`."""
    name, _, number = text.partition("=")
    for kind in (int, float):
        with suppress(ValueError):
            return (name.strip(), kind(number)) if name.strip() else None
    return None


TYPES = ("", "float32", "int64", "int32", "bool")

COMMAND = Command(
    "write the spec of a torch.nn.Module, and compare the two",
    "Call a function or class of a Python package for a module, run that on the meta device, and\n"
    "write what it does as a spec. This runs the package's Python; checking and compiling the\n"
    "spec later does not.\n"
    "The spec is then built, gets the module's weights, and is compared with it in eval() and in\n"
    "train(); the report goes to standard error, and nothing is written where they differ.",
    "archspec import torchvision.models:resnet18 --input 3x224x224 -o resnet18.yaml\n"
    "archspec import mine.nets:Net --kwargs width=64 --input image=3x32x32 --input age=int64:1\n"
    "archspec import timm:create_model --kwargs model_name=vit_tiny_patch16_224 --input 3x224x224",
    (
        Option(
            "target",
            "what makes the module: PACKAGE.MODULE:CALLABLE; the current folder is searched too",
            metavar="CALLABLE",
            type=_callable,
            expected="of the form package.module:callable",
        ),
        Option(
            "--kwargs",
            "arguments of the callable, K=V each, with values as in YAML",
            metavar="K=V",
            type=assignment,
            expected="of the form K=V, as in num_classes=10",
            nargs="+",
            action="extend",
            default=[],
        ),
        Option(
            "--input",
            "an input without the batch: 3x224x224, int64:128, or by its name, ids=int64:128; "
            "repeated for several, in the order of forward where they have no names",
            metavar="[NAME=][TYPE:]SIZES",
            dest="inputs",
            type=_input,
            expected="sizes without the batch, as in 3x224x224 or ids=int64:128",
            action="append",
            default=[],
        ),
        Option(
            "--symbolic",
            "leave the last sizes of the inputs open under these names: H,W or T",
            metavar="NAMES",
            dest="symbols",
        ),
        Option(
            "--param",
            "a number of the spec that becomes its parameter of this name: num_classes=1000; "
            "repeated for several",
            metavar="NAME=NUMBER",
            dest="params",
            type=_parameter,
            expected="a name and a number, as in num_classes=1000",
            action="append",
            default=[],
        ),
        Option("--output", "write the spec to FILE", metavar="FILE", also=("-o",)),
        Option(
            "--weights",
            "write the module's state dict to FILE: by its ending a safetensors file, else as "
            "torch.save does",
            metavar="FILE",
        ),
        Option("--name", "what the spec is called (default: the callable)", metavar="NAME"),
        Option(
            "--flat",
            "without blocks with parameters and without repeats",
            action="store_true",
        ),
        Option(
            "--partial",
            "keep parts that a spec cannot say as `module` nodes, which run their Python",
            action="store_true",
        ),
        Option(
            "--no-verify",
            "do not compare: for what is too large to run here",
            dest="verified",
            action="store_const",
            const=False,
            default=True,
        ),
    ),
)


class ImportingError(ArchspecError):
    """The callable cannot be found, or does not make a module."""


def run(args: Arguments) -> int:
    """Write the spec and, where asked for, the weights. Raises `ArchspecError`."""
    if not args.inputs:
        args.error("--input says the sizes of an example: --input 3x224x224")
    names = [name for name, _, _ in args.inputs]
    if None in names and len(set(names)) > 1:
        args.error("either all of --input have names, or none")
    from archspec.importing.importer import imported

    made = imported(
        _module(args.target[0], args.target[1], args.kwargs),
        _examples(args.inputs),
        name=args.name or args.target[1].rpartition(".")[2],
        params=dict(args.params),
        symbolic=tuple(filter(None, (args.symbols or "").split(","))),
        flat=args.flat,
        partial=args.partial,
        verify=args.verified,
    )
    if made.comparison is not None:
        for line in made.comparison.lines:
            note("import", line)
    else:
        note("import", "not compared with the module")
    if args.weights:
        _write_weights(args.weights, made.net.state_dict())
    text = made.arch.source.text
    if args.output:
        _write_file(args.output, lambda partial: Path(partial).write_text(text, encoding="utf-8"))
    else:
        write(text.rstrip("\n"))
    return 0


def _module(path: str, name: str, pairs: list[tuple[str, str]]) -> nn.Module:
    """The module that the callable makes."""
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = import_module(path)
        for part in name.split("."):
            found = getattr(found, part)
    except ImportError as error:
        raise ImportingError(f"{path} cannot be imported: {error}") from error
    except AttributeError as error:
        raise ImportingError(f"{path} has no {name}") from error
    from torch import nn

    made = found if isinstance(found, nn.Module) else _called(found, f"{path}:{name}", pairs)
    if not isinstance(made, nn.Module):
        raise ImportingError(f"{path}:{name} gives {type(made).__name__}, and no torch.nn.Module")
    return made


def _called(callable_: Any, name: str, pairs: list[tuple[str, str]]) -> Any:
    """What the callable gives for these arguments. Raises `ImportingError` where it fails."""
    given = _kwargs(pairs)
    if not callable(callable_):
        raise ImportingError(f"{name} is {type(callable_).__name__}, and cannot be called")
    with suppress(ValueError):  # what is written in C may have no signature
        try:
            inspect.signature(callable_).bind(**given)
        except TypeError as error:
            raise ImportingError(f"{name} does not take these --kwargs: {error}") from None
    try:
        return callable_(**given)
    except Exception as error:  # whatever the other package raises: it is not ours to know
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.filename}, line {last.lineno}"
        raise ImportingError(f"{name} raised {type(error).__name__}: {error} ({place})") from error


def _examples(inputs: list[tuple[str | None, str, tuple[int, ...]]]) -> Any:
    import torch

    def example(dtype: str, shape: tuple[int, ...]) -> Tensor:
        return torch.zeros((2, *shape), dtype=getattr(torch, dtype))

    if inputs[0][0] is None:
        return tuple(example(dtype, shape) for _, dtype, shape in inputs)
    return {name: example(dtype, shape) for name, dtype, shape in inputs}


def _kwargs(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """The arguments of the callable, each read as a value in a spec. Raises `SpecError`."""
    from archspec.diagnostics.diagnostic import Source
    from archspec.text.limits import DEFAULT
    from archspec.text.values import plain, read

    return {key: plain(read(Source(f"--kwargs {key}", text), DEFAULT)) for key, text in pairs}


def _write_weights(file: str, state: dict[str, Tensor]) -> None:
    """Write a state dict, in the format that the file's ending names."""
    import torch

    if not file.endswith(".safetensors"):
        _write_file(file, lambda partial: torch.save(state, partial))
        return
    try:
        from safetensors.torch import save_file
    except ImportError:
        raise ImportingError(
            f"{file} needs safetensors (pip install safetensors); or say a .pt file"
        ) from None
    # Tensors with two names are written twice: the format knows no second names.
    apart = {key: value.detach().contiguous().clone() for key, value in state.items()}
    _write_file(file, lambda partial: save_file(apart, partial))


def _write_file(file: str, save: Callable[[str], object]) -> None:
    """Write a file whole, or not at all. Raises `ImportingError`."""
    partial = f"{file}.{os.getpid()}.partial"
    try:
        save(partial)
        os.replace(partial, file)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImportingError(f"cannot write {file}: {reason}") from error
    finally:
        with suppress(OSError):
            os.remove(partial)
