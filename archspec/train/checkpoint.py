"""Checkpoints: a tree of tensors and plain values in one safetensors file with a checksum.

The tensors stand under their paths in the tree (`model.conv1.weight`), so any safetensors reader
gets at the weights. The rest of the tree is JSON in the file's metadata, beside a SHA-256 over
everything. Nothing in the format can hold code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archspec.train.errors import TrainingError
from archspec.train.files import write_whole

FORMAT = 1
LAST, PREVIOUS, BEST = "last.safetensors", "previous.safetensors", "best.safetensors"


class DamagedError(TrainingError):
    """A checkpoint that is cut off, altered, or no checkpoint at all."""


def save(path: Path, tree: Mapping[str, Any], *, keep: Path | None = None) -> None:
    """Writes a tree (see `files.write_whole`). Its leaves: tensors, and what JSON can hold."""
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
    if metadata.get("format") != str(FORMAT):
        raise DamagedError(f"{path} is not a checkpoint of this version of archspec")
    text = metadata.get("tree", "")
    if _digest(text, tensors) != metadata.get("sha256"):
        raise DamagedError(f"{path} is damaged: its contents do not match its checksum")
    tree = _fill(json.loads(text), tensors)
    assert isinstance(tree, dict)
    return tree


def load_newest(folder: Path) -> tuple[dict[str, Any], list[str]] | None:
    """The last checkpoint of a folder, or the one before where that is damaged; None without any.

    Also returns what was found wrong. Raises `DamagedError` where nothing is sound.
    """
    wrong: list[str] = []
    paths = [path for name in (LAST, PREVIOUS) if (path := folder / name).exists()]
    for path in paths:
        try:
            return load(path), wrong
        except DamagedError as error:
            wrong.append(str(error))
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
    return value


def _fill(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if "$tensor" in value:
            return tensors[value["$tensor"]]
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
