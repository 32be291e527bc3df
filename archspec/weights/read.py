"""A flat state dict from a file, from a name that torchvision publishes, or from a mapping.

No file's code ever runs: pickles are read by torch's `weights_only` reader, which knows tensors
and plain containers alone, and the safetensors format can hold nothing else.
"""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from enum import Enum
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from archspec.diagnostics.suggestions import did_you_mean
from archspec.weights.errors import WeightsError

Weights: TypeAlias = str | PathLike[str] | Mapping[str, Any] | Enum
"""A file, a published name (`ResNet50_Weights.IMAGENET1K_V2`) or its member, or a state dict."""

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "model_ema")
"""Keys under which training programs save a state dict beside other things, the likeliest first."""

MAX_WRAPPERS = 10
"""Mappings within each other that are opened: a file may hold one that contains itself."""
_PUBLISHED = re.compile(r"[A-Za-z]\w*_Weights\.\w+")
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)
"""What the readers raise for a file that is cut off, altered or not theirs."""


class Format(NamedTuple):
    """A format of files of weights: the whole of it is its entry in `FORMATS`.

    The documentation calls it `name`, and messages `title`. `begins` says of the first 16 bytes of
    a file whether it is of this format. `read` gives what is in the file, and notes on what was
    chosen there; it raises `WeightsError`.
    """

    name: str
    title: str
    begins: Callable[[bytes], bool]
    read: Callable[[Path], tuple[Any, tuple[str, ...]]]


class Loaded(NamedTuple):
    """What was read: `source` names it in messages, `notes` say what was chosen on the way.

    `strange` are entries that hold no tensor, with what they hold.
    """

    source: str
    tensors: dict[str, Tensor]
    strange: dict[str, str]
    notes: tuple[str, ...] = ()


def read_weights(weights: Weights) -> Loaded:
    """The state dict, on the CPU. Raises `WeightsError`."""
    if isinstance(weights, Mapping):
        return _flat("the given mapping", weights, ())
    name = str(weights) if isinstance(weights, Enum) else fspath(weights)
    path = Path(name)
    if isinstance(weights, Enum) or (_PUBLISHED.fullmatch(name) and not path.exists()):
        return _flat(name, _published(name), ())
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"cannot read {name}: {reason}", expected=_titles()) from None
    for known in FORMATS:
        if known.begins(head):
            return _flat(name, *known.read(path))
    found = "an empty file" if not head else f"a file that begins with {head[:8]!r}"
    raise WeightsError(f"{name} holds no weights", expected=_titles(), found=found)


def _titles() -> str:
    return ", or ".join(known.title for known in FORMATS)


# --- files ---------------------------------------------------------------------------------------


def _torch_file(path: Path) -> tuple[Any, tuple[str, ...]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old formats, which it reads all the same
            # An open file: by the name of one, torch would choose a format by its ending.
            with path.open("rb") as file:
                return torch.load(file, map_location="cpu", weights_only=True), ()
    except _DAMAGE as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked is None:
            raise _damaged(path, error) from None
        raise WeightsError(
            f"{path} holds {asked[1]}, and not tensors alone: what is pickled there is never run",
            expected="a state dict: tensors by name",
            help="where you trust it, load it there and save `model.state_dict()` alone",
        ) from None


def _safetensors_file(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = list(file.keys())
            chosen, notes = _own_checkpoint(names) if "tree" in metadata else ("", ())
            tensors = {
                name.removeprefix(chosen): file.get_tensor(name)
                for name in names
                if name.startswith(chosen)
            }
    except (SafetensorError, *_DAMAGE) as error:
        raise _damaged(path, error) from None
    return tensors, notes


def _own_checkpoint(names: list[str]) -> tuple[str, tuple[str, ...]]:
    """The part of a checkpoint of archspec's trainer that is the network, the average first."""
    for part in ("average.", "model."):
        if any(name.startswith(part) for name in names):
            return part, (f"took `{part[:-1]}` of a training checkpoint",)
    return "", ()


FORMATS = [
    Format(
        "torch.save",
        "a file that torch.save wrote (.pth, .pt)",
        lambda head: head.startswith((b"PK\x03\x04", b"\x80")),
        _torch_file,
    ),
    Format(
        "safetensors",
        "a safetensors file",
        lambda head: head[8:9] == b"{",
        _safetensors_file,
    ),
]


def _damaged(path: Path, error: BaseException) -> WeightsError:
    return WeightsError(
        f"{path} cannot be read: it is damaged, or of another format",
        expected=_titles(),
        found=_first_line(error),
    )


# --- published weights ---------------------------------------------------------------------------


def _published(name: str) -> Mapping[str, Any]:
    """The state dict that torchvision publishes under a name; downloaded once, then cached."""
    try:
        from torchvision import models
    except ImportError:
        raise WeightsError(
            f"{name} is published by torchvision, which is not installed",
            help="install torchvision, or give a file",
        ) from None
    try:
        member = models.get_weight(name)
    except (ValueError, KeyError, AttributeError):
        raise WeightsError(
            f"there is no file {name}, and torchvision publishes no weights of this name",
            help=_near_published(models, name),
        ) from None
    try:
        content: Mapping[str, Any] = member.get_state_dict(progress=False, weights_only=True)
    except _DAMAGE as error:
        raise WeightsError(
            f"{name} cannot be downloaded from {member.url}",
            found=_first_line(error),
            help="download it where there is a network, and give the file",
        ) from None
    return content


def _near_published(models: Any, name: str) -> str | None:
    kinds = [getattr(models, word) for word in dir(models) if word.endswith("_Weights")]
    return did_you_mean(name, [str(member) for kind in kinds for member in kind])


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


# --- what is in it -------------------------------------------------------------------------------


def _flat(source: str, content: Any, notes: tuple[str, ...]) -> Loaded:
    """The state dict within what was read. Raises `WeightsError` where there is none."""
    for _ in range(MAX_WRAPPERS):
        if not isinstance(content, Mapping):
            break
        wrapper = next((w for w in WRAPPERS if isinstance(content.get(w), Mapping)), None)
        if wrapper is None:
            break
        others = [str(key) for key in content if key != wrapper]
        beside = f", and left {', '.join(others[:6])} aside" if others else ""
        notes = (*notes, f"took `{wrapper}` of the file{beside}")
        content = content[wrapper]
    entries = content if isinstance(content, Mapping) else {}
    tensors = {str(key): value for key, value in entries.items() if _is_plain(value)}
    if not tensors:
        found = f"a {type(content).__name__}"
        if isinstance(content, Mapping):
            found += f" with {', '.join(map(str, list(content)[:6])) or 'nothing'}"
        raise WeightsError(f"{source} holds no state dict", expected="tensors by name", found=found)
    strange = {str(key): _kind(value) for key, value in entries.items() if not _is_plain(value)}
    return Loaded(source, tensors, strange, notes)


def _is_plain(value: Any) -> bool:
    """Whether it is a tensor whose numbers can be copied."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_nested
        and value.device.type != "meta"
    )


def _kind(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    if value.device.type == "meta":
        return "Tensor without data"
    layout = "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
    return f"{layout} Tensor"
