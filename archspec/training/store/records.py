"""The forms of a run's JSON files, checked when they are read. Nothing here imports torch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from archspec.training.errors import TrainingError

Natural: TypeAlias = Annotated[int, Field(ge=0)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Finite: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
Sha256: TypeAlias = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class StoredRecord(BaseModel):
    """Strict about what it knows; a key that it does not know may be a later version's."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class FirstWeights(StoredRecord):
    """The weights that a run was begun with: how many keys were taken, and which were drawn.

    `sha256` is that of the keys and values that were taken.
    """

    source: str
    sha256: Sha256
    taken: Annotated[int, Field(ge=1)]
    drawn: list[str]


class About(StoredRecord):
    """run.json: what the data was, what was found automatically, when it began."""

    run: str
    name: str
    started: str
    data: str
    data_root: str | None
    classes: Annotated[list[str], Field(min_length=1)]
    channels: Annotated[int, Field(ge=1)]
    train_images: Annotated[int, Field(ge=1)]
    parameters: Natural
    macs: Natural | None
    world: Annotated[int, Field(ge=1)]
    statements: list[str]
    spec_sha256: Sha256
    weights: FirstWeights | None = None


class Interval(StoredRecord):
    """A line of metrics.jsonl about the steps since the line before. None stands for NaN."""

    kind: Literal["interval"]
    epoch: Finite
    step: Natural
    lr: Finite
    train_loss: float | None
    train_accuracy: Share | None
    examples_per_second: float | None
    seconds_left: float | None


class Epoch(StoredRecord):
    """A line of metrics.jsonl about an epoch. None stands for NaN."""

    kind: Literal["epoch"]
    epoch: Annotated[int, Field(ge=1)]
    step: Natural
    lr: Finite
    train_loss: float | None
    train_accuracy: Share | None
    validation_loss: float | None = None
    validation_accuracy: Share | None = None
    test_loss: float | None = None
    test_accuracy: Share | None = None
    examples_per_second: float | None
    seconds: float | None


Row: TypeAlias = Annotated[Interval | Epoch, Field(discriminator="kind")]
ROW: TypeAdapter[Interval | Epoch] = TypeAdapter(Row)


PICTURES: TypeAdapter[dict[str, str]] = TypeAdapter(
    dict[str, Annotated[str, Field(pattern="^[0-9]+( [0-9a-f]{32})?$")]],
    config=ConfigDict(strict=True),
)
"""pictures.json: the size and digest of each file by its name."""


class SavedFigures(StoredRecord):
    """Means over the images of a split. A loss of None was not finite."""

    loss: float | None
    accuracy: Share


class Weights(StoredRecord):
    """The figures of some weights; splits without images are left out."""

    epoch: Natural
    validation: SavedFigures | None = None
    test: SavedFigures | None = None


class Result(StoredRecord):
    """result.json: the closing figures."""

    run: str
    best: Weights
    last: Weights
    epochs: Natural


Kind = TypeVar("Kind", bound=StoredRecord)


def read(kind: type[Kind], path: Path, data: bytes) -> dict[str, Any]:
    """The mapping that a JSON file holds. Raises `TrainingError` where it is not a `kind`."""
    try:
        return kind.model_validate_json(data).model_dump(exclude_unset=True)
    except ValidationError as error:
        raise TrainingError(f"{path} is damaged: {wrong(error)}") from None


def wrong(error: ValidationError) -> str:
    """The first thing that pydantic found, in a line: `classes.3: Input should be a string`."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where[:200]}{': ' if where else ''}{first['msg'][:200]}{more}"


def finite(value: Any) -> Any:
    """Plain data with None in the place of NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
