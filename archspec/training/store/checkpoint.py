"""Checkpoints: a tree of tensors and plain values in one safetensors file with a checksum.

The tensors stand under their paths in the tree (`model.conv1.weight`), so any safetensors reader
gets at the weights. The rest of the tree is JSON in the file's metadata, beside a SHA-256 over
everything. Nothing in the format can hold code.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from archspec.training.errors import TrainingError
from archspec.training.store.files import write_whole

FORMAT = 2
LAST, PREVIOUS, BEST = "last.safetensors", "previous.safetensors", "best.safetensors"


class DamagedError(TrainingError):
    """A checkpoint that is cut off, altered, or no checkpoint at all."""


def save(path: Path, tree: Mapping[str, Any], *, keep: Path | None = None) -> None:
    """Writes a tree (see `files.write_whole`). Its leaves: tensors, and what JSON can hold.

    Numbers may be NaN and infinite, which JSON cannot hold: they are written as texts.
    """
    from safetensors.torch import save as serialise

    tensors: dict[str, Tensor] = {}
    text = json.dumps(_strip(tree, "", tensors), allow_nan=False)
    metadata = {"format": str(FORMAT), "tree": text, "sha256": _digest(text, tensors)}
    write_whole(path, serialise(tensors, metadata), keep=keep)


def load(path: Path) -> dict[str, Any]:
    """The tree of a file, its tensors on the CPU.

    Raises `DamagedError` where it is not, to the last bit, what `save` wrote.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DamagedError(f"{path} is damaged or no checkpoint: {error}") from None
    version = metadata.get("format")
    if version is None:
        raise DamagedError(f"{path} is damaged or no checkpoint: it names no format")
    if version != str(FORMAT):
        raise DamagedError(
            f"{path} is of another version of archspec (it has format {version[:20]!r}, those of "
            f"this version {str(FORMAT)!r}): use that version, or begin a new run"
        )
    text = metadata.get("tree", "")
    if _digest(text, tensors) != metadata.get("sha256"):
        raise DamagedError(f"{path} is damaged: its contents do not match its checksum")
    try:
        tree = _fill(json.loads(text), tensors)
    except (ValueError, RecursionError, KeyError) as error:
        raise DamagedError(f"{path} is damaged: {error}") from None
    if not isinstance(tree, dict):
        raise DamagedError(f"{path} is damaged: it holds no mapping")
    return tree


Check: TypeAlias = Callable[[Path, dict[str, Any]], None]


def load_newest(
    folder: Path, check: Check | None = None
) -> tuple[dict[str, Any], list[str]] | None:
    """The last checkpoint of a folder, or the one before where that is damaged; None without any.

    Also returns what was found wrong. `check` may raise `DamagedError` for what is in a file, and
    any other error to end the search. Raises `DamagedError` where nothing is sound.
    """
    wrong: list[str] = []
    paths = [path for name in (LAST, PREVIOUS) if (path := folder / name).exists()]
    if paths and paths[0].name != LAST:
        wrong.append(f"{folder / LAST} is missing")
    for path in paths:
        try:
            tree = load(path)
            if check:
                check(path, tree)
        except DamagedError as error:
            wrong.append(str(error))
        else:
            return tree, wrong
    if paths:
        raise DamagedError("; ".join(wrong) + ". No sound checkpoint is left")
    return None


def save_last(folder: Path, tree: Mapping[str, Any]) -> None:
    """Writes the last checkpoint and keeps the one before it."""
    save(folder / LAST, tree, keep=folder / PREVIOUS)


def _strip(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """The tree with each tensor replaced by its path, the tensors collected."""
    if isinstance(value, Tensor):
        # Each has memory of its own here: the format knows no views, and no shared storage.
        tensors[path] = value.detach().to("cpu", copy=True).contiguous()
        return {"$tensor": path}
    if isinstance(value, Mapping):
        return {
            key: _strip(item, f"{path}.{key}" if path else str(key), tensors)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_strip(item, f"{path}.{index}", tensors) for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    return value


def _fill(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"$tensor"}:
            return tensors[str(value["$tensor"])]
        if value.keys() == {"$float"}:
            return float(str(value["$float"]))
        return {key: _fill(item, tensors) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, tensors) for item in value]
    return value


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
