"""`train:`: the default recipe of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from archspec.diagnostics.diagnostic import Code, suggestion
from archspec.document.blocks import File
from archspec.document.keys.key import Statement
from archspec.document.schema_words import Schema
from archspec.ir.graph import Graph
from archspec.ir.schemes import SCHEMES
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


def _is_count(value: Any) -> bool:
    return value.__class__ is int and value >= 1


def _is_positive(value: Any) -> bool:
    return value.__class__ is float and 0 < value < math.inf


_PLAIN: dict[str, Callable[[Any], bool]] = {
    "dataset": lambda value: value.__class__ is str,
    "resize": lambda value: (
        _is_count(value)
        or (value.__class__ is list and len(value) == 2 and all(map(_is_count, value)))
    ),
    "epochs": _is_count,
    "batch_size": _is_count,
    "optimizer": lambda value: value in ("sgd", "adam", "adamw"),
    "lr": _is_positive,
    "weight_decay": _is_positive,
    "label_smoothing": lambda value: value.__class__ is float and 0 <= value < 1,
    "schedule": lambda value: value in ("constant", "step", "cosine", "one_cycle"),
    "init": lambda value: value.__class__ is str and value in SCHEMES,
    "patience": _is_count,
    "seed": lambda value: value.__class__ is int and 0 <= value < 2**63,
}
"""Fields that no rule binds to another, and values of them that the trainer takes."""


def plainly_fits(recipe: Located) -> bool:
    """Whether the trainer takes a recipe, where that can be told without asking it.

    The trainer is the judge, and pydantic judges for it; importing that takes longer than most
    specs take to compile. So what is plain is let through here, and it is asked about the rest.
    """
    return all(name in _PLAIN and _PLAIN[name](value) for name, value in plain(recipe).items())


def _check_keys(file: File, value: YamlMapping, known: tuple[str, ...], what: str) -> None:
    for text, key, _ in value.items():
        if text not in known:
            near = suggestion(text, known, key.span, value.entries)
            help_ = near.or_else(f"it has {', '.join(known)}")
            file.report(Code.UNKNOWN_KEY, f"{what} {shorten(text)!r}", key.span, help=help_)


def _plain(value: Value) -> Any:
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, Items):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, _, item in value.items()}
