"""The forms of the trees that checkpoints hold, checked before anything of them is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

import torch
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from torch import Tensor

from archspec.training.store import records
from archspec.training.store.checkpoint import DamagedError
from archspec.training.store.records import Natural


def _bytes(state: Tensor) -> Tensor:
    if state.dtype != torch.uint8 or state.ndim != 1:
        raise ValueError("the state of a generator is bytes")
    return state


def _state_on_cpu(state: Tensor) -> Tensor:
    try:
        torch.Generator().set_state(_bytes(state))
    except (RuntimeError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"torch's generator does not take it: {reason}") from None
    return state


def _as_tuple(given: Any) -> Any:
    return tuple(given) if isinstance(given, list) else given


Tensors: TypeAlias = dict[str, Tensor]
Generator: TypeAlias = Annotated[Tensor, AfterValidator(_bytes)]
Word: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]
Words: TypeAlias = Annotated[list[Word], Field(min_length=624, max_length=624)]
Place: TypeAlias = Annotated[int, Field(ge=0, le=624)]
"""Where a Mersenne twister stands in its 624 words."""


class Tree(BaseModel):
    """Strict about what it knows."""

    model_config = ConfigDict(strict=True, frozen=True, arbitrary_types_allowed=True)


class Bound(Tree):
    """What every checkpoint is bound to: its run, and the run's network, recipe and data."""

    run: str
    spec_sha256: records.Sha256
    recipe: dict[str, Any]
    data: dict[str, str]
    classes: Annotated[list[str], Field(min_length=1)]


class Kept(Bound):
    """best.safetensors: the weights of one epoch."""

    epoch: Natural
    model: Tensors


class SavedPosition(Tree):
    """`loop.Position`."""

    model_config = ConfigDict(extra="forbid")

    epoch: Natural
    batch: Natural
    step: Natural


class SavedBest(Tree):
    """`loop.Best`."""

    model_config = ConfigDict(extra="forbid")

    accuracy: records.Share
    loss: float
    epoch: Natural


class Scaler(Tree):
    """The state of `torch.amp.GradScaler`."""

    scale: float
    growth_factor: float
    backoff_factor: float
    growth_interval: int
    growth_tracker: int = Field(alias="_growth_tracker")


class Random(Tree):
    """What `randomness.random_state` gives."""

    python: Annotated[
        tuple[
            Literal[3], Annotated[list[Word], Field(min_length=625, max_length=625)], float | None
        ],
        BeforeValidator(_as_tuple),
    ]
    torch: Annotated[Tensor, AfterValidator(_state_on_cpu)]
    numpy: (
        Annotated[
            tuple[Literal["MT19937"], Words, Place, Literal[0, 1], float],
            BeforeValidator(_as_tuple),
        ]
        | None
    ) = None
    cuda: Generator | None = None
    mps: Generator | None = None

    @model_validator(mode="after")
    def _stands_in_its_words(self) -> Self:
        if self.python[1][-1] > 624:
            raise ValueError("Python's generator stands behind its words")
        return self


class Whole(Bound):
    """last.safetensors: what `state.take` gives."""

    position: SavedPosition
    best: SavedBest | None
    history: list[records.Epoch]
    world: Annotated[int, Field(ge=1)]
    model: Tensors
    average: Tensors | None
    optimizer: dict[str, Tensors]
    scaler: Scaler | None
    sums: Tensor
    random: Random
    ranks: list[Generator]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.position.epoch != len(self.history):
            raise ValueError("the history has another number of epochs than are done")
        if len(self.ranks) not in (0, self.world):
            raise ValueError("not every process has a generator")
        if self.sums.shape != (3,):
            raise ValueError("the sums of an epoch are three numbers")
        return self


def check_form(kind: type[Tree], path: Path, tree: Mapping[str, Any]) -> None:
    """Raises `DamagedError` where a checkpoint's tree is not a `kind`."""
    try:
        kind.model_validate(tree)
    except ValidationError as error:
        raise DamagedError(f"{path} is damaged: {records.wrong(error)}") from None
