"""`train:`: the default recipe of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from archspec.diagnostics.diagnostic import Code, mended
from archspec.document.blocks import File
from archspec.document.keys.key import Statement
from archspec.document.schema_words import Schema
from archspec.ir.graph import Graph
from archspec.text.values import Items, Scalar, Value, kind, shorten
from archspec.text.values import Mapping as YamlMapping

Located: TypeAlias = dict[str, tuple[Scalar, Value]]
"""Values by name, each with its key: both know where they stand."""

TRAIN_KEYS = (
    *("dataset", "resize", "augment", "normalize", "validation", "limit_train", "limit_test"),
    *("skip_unreadable", "epochs", "batch_size", "accumulate", "optimizer", "lr", "momentum"),
    *("nesterov", "betas", "eps", "weight_decay", "decay_all", "schedule", "warmup"),
    *("step_epochs", "gamma", "final_lr", "label_smoothing", "loss_weights", "clip_norm", "init"),
    *("ema", "patience", "seed", "deterministic", "device", "precision", "memory_format"),
    *("threads", "compile", "resident", "sync_batch_norm", "fsdp", "log_every", "save_every"),
)
"""Fields of the trainer's recipe, which is too slow to import for a spec without mistakes."""
NORMALIZE_KEYS = ("mean", "std")
"""Fields of its `normalize`."""


class Train(Statement):
    """`train: {…}`: the default recipe; what its values may be, the trainer and `check` know.

    A key that a recipe does not have is an error here.
    """

    name = "train"
    doc = "The default training recipe."
    behind_layers = 4

    def schema(self) -> Schema:
        return {"type": "object"}

    def read(self, file: File, value: Value | None) -> Located:
        if value is None:
            return {}
        if not isinstance(value, YamlMapping):
            file.report(Code.STRUCTURE, f"`train` must be a mapping, not {kind(value)}", value.span)
            return {}
        _check_keys(file, value, TRAIN_KEYS, "a recipe has no")
        normalize = value.get("normalize")
        if isinstance(normalize, YamlMapping):
            _check_keys(file, normalize, NORMALIZE_KEYS, "`normalize` has no")
        return value.entries

    def inherited(self, said: Sequence[Located]) -> Located:
        merged: Located = {}
        for recipe in said:
            merged.update(recipe)
        return merged

    def written(self, said: Mapping[str, Any], graph: Graph) -> Any:
        return plain(said[self.name]) or None


def plain(recipe: Located) -> dict[str, Any]:
    """A recipe as plain data."""
    return {name: _plain(value) for name, (_, value) in recipe.items()}


def _check_keys(file: File, value: YamlMapping, known: tuple[str, ...], what: str) -> None:
    for text, key, _ in value.items():
        if text not in known:
            near = mended(text, known, key.span, value.entries)
            near["help"] = near["help"] or f"it has {', '.join(known)}"
            file.report(Code.UNKNOWN_KEY, f"{what} {shorten(text)!r}", key.span, **near)


def _plain(value: Value) -> Any:
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, Items):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, _, item in value.items()}
