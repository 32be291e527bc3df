"""The recipe: every choice that a training run depends on, checked once and written into the run.

It comes from layers, later ones winning: the defaults below, the spec's `train:`, what suits a
data set that the spec was not written for, a `--config` file, the command line. A layer keeps the
texts it was read from, so that a mistake is shown where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self, TypeAlias, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from archspec.diagnostics.diagnostic import (
    Code,
    Diagnostic,
    Refusal,
    Source,
    Span,
    SpecError,
    did_you_mean,
)
from archspec.document.keys.train import Located
from archspec.ir.schemes import SCHEMES
from archspec.text import values as yaml
from archspec.text.files import read_text
from archspec.text.limits import DEFAULT

Count: TypeAlias = Annotated[int, Field(ge=1)]
Natural: TypeAlias = Annotated[int, Field(ge=0)]
Positive: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction: TypeAlias = Annotated[float, Field(ge=0, lt=1)]

if TYPE_CHECKING:
    Scheme: TypeAlias = str
else:
    Scheme = Literal[tuple(SCHEMES)]


class Statistics(BaseModel):
    """Mean and standard deviation of each channel, for pixels of 0 to 1."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    mean: tuple[Annotated[float, Field(allow_inf_nan=False)], ...]
    std: tuple[Positive, ...]

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.mean) != len(self.std):
            raise ValueError("`mean` and `std` need one number a channel each")
        return self


class Recipe(BaseModel):
    """How a network is trained. Every field may stand under `train:` and in a `--config` file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    dataset: str = Field("digits", description="the data: a name, or image_folder:PATH")
    resize: Count | tuple[Count, Count] | None = Field(
        None, description="size of the images; the spec's own input size where it is not given"
    )
    augment: tuple[str, ...] = Field((), description="augmentations of training images, by name")
    normalize: Statistics | None = Field(None, description="mean and std of each channel")
    validation: Fraction | Natural = Field(
        0.1, description="share (or number) of training images that choose the best weights"
    )
    limit_train: Count | None = Field(None, description="train on so many images only")
    limit_test: Count | None = Field(None, description="test on so many images only")
    skip_unreadable: bool = Field(
        False, description="go on without pictures that cannot be read, and say how many"
    )

    epochs: Count = Field(10, description="passes over the training images")
    batch_size: Count | Literal["auto"] = Field(
        64, description="images of one step, over all devices; auto: found by trying"
    )
    accumulate: Count = Field(1, description="pieces that a batch is computed in, to save memory")
    optimizer: Literal["sgd", "adam", "adamw"] = Field("adam", description="the optimiser")
    lr: Positive = Field(0.001, description="learning rate")
    momentum: Fraction = Field(0.0, description="momentum of sgd")
    nesterov: bool = Field(False, description="Nesterov's momentum, of sgd")
    betas: tuple[Fraction, Fraction] = Field((0.9, 0.999), description="averages of adam, adamw")
    eps: Positive = Field(1e-8, description="the term that keeps adam from dividing by 0")
    weight_decay: NotNegative = Field(0.0, description="weight decay")
    decay_all: bool = Field(
        False, description="decay biases, norms and other vectors too, as torch.optim does"
    )
    schedule: Literal["constant", "step", "cosine", "one_cycle"] = Field(
        "constant", description="course of the learning rate"
    )
    warmup: NotNegative = Field(0.0, description="epochs of linear warm-up before the schedule")
    step_epochs: Positive = Field(30.0, description="epochs between two drops of `step`")
    gamma: Positive = Field(0.1, description="factor of a drop of `step`")
    final_lr: NotNegative = Field(0.0, description="learning rate where `cosine` ends")
    label_smoothing: Fraction = Field(0.0, description="label smoothing")
    loss_weights: dict[str, NotNegative] = Field(
        default_factory=dict,
        description="weight of each output's loss; 0.3 for outputs of training alone, else 1",
    )
    clip_norm: Positive | None = Field(None, description="largest norm of the gradient")
    init: Scheme | None = Field(None, description="initialisation, instead of the spec's")
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="decay of an average of the weights, which is then what is evaluated"
    )
    patience: Count | None = Field(
        None, description="stop after so many epochs without a better validation accuracy"
    )

    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="seed of weights, splits, order and augmentation"
    )
    deterministic: bool = Field(False, description="the same bits on a GPU too, at some speed")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="arithmetic")
    memory_format: Literal["auto", "contiguous", "channels_last"] = Field(
        "auto", description="layout of images in memory; auto: the faster one, by measuring"
    )
    threads: Count | Literal["auto"] = Field(
        "auto", description="threads of the CPU; auto: one or all, the faster, by measuring"
    )
    compile: bool = Field(False, description="use torch.compile")
    resident: bool | None = Field(
        None, description="keep the data on the device (true), stream it (false), or as it fits"
    )
    sync_batch_norm: bool = Field(False, description="batch statistics over all processes")
    fsdp: bool = Field(False, description="shard weights and optimiser over processes (FSDP2)")
    log_every: Positive = Field(1.0, description="seconds between two lines of metrics")
    save_every: Positive = Field(60.0, description="seconds between two checkpoints in an epoch")

    @field_validator("augment", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.nesterov and not (self.optimizer == "sgd" and self.momentum):
            raise ValueError("`nesterov` needs optimizer sgd and a momentum above 0")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"`momentum` belongs to sgd; {self.optimizer} has `betas`")
        if self.warmup >= self.epochs:
            raise ValueError("`warmup` must be shorter than `epochs`")
        if self.schedule == "one_cycle" and self.warmup:
            raise ValueError("`one_cycle` warms up by itself: leave `warmup` out")
        if isinstance(self.batch_size, int) and self.batch_size % self.accumulate:
            raise ValueError("`accumulate` must divide `batch_size`")
        if self.precision == "fp16" and self.device == "cpu":
            raise ValueError("`precision: fp16` needs a GPU; use fp32 or bf16 on the CPU")
        return self


NOT_NUMERIC = frozenset({"log_every", "save_every", "device", "resident"})
"""Fields that may change when a run is resumed: they name no other result."""

MAY_CHANGE = NOT_NUMERIC | {"epochs", "patience"}
"""What a resumed run may be given anew: all else would make it another run."""


def fixed(recipe: Recipe) -> dict[str, Any]:
    """The fields that a run keeps from its begin to its end, as JSON has them."""
    return recipe.model_dump(mode="json", exclude=set(MAY_CHANGE))


SUITED: Mapping[str, Mapping[str, Any]] = {
    "digits": {
        "batch_size": 16,
        "epochs": 20,
        "optimizer": "adam",
        "lr": 0.001,
        "momentum": 0.0,
        "nesterov": False,
    },
}
"""Settings for data on which recipes written for other data do badly: 1,797 images need small
batches and more epochs. They replace the spec's `train:` where the data is chosen from outside."""


class RecipeLayer(NamedTuple):
    """Values of one origin. `spans` gives the place of each value (and, with `key:`, its key)."""

    values: dict[str, Any]
    spans: Mapping[str, Span]


def read_layer(source: Source) -> RecipeLayer:
    """The layer that a `--config` file (or any YAML mapping) holds. Raises `SpecError`."""
    value = yaml.read(source, DEFAULT)
    if not isinstance(value, yaml.Mapping):
        found = yaml.kind(value)
        raise _wrong(f"a recipe is a mapping, not {found}", value.span, Code.STRUCTURE)
    return _layer(value.entries)


def file_layer(path: Path) -> RecipeLayer:
    """The layer of a `--config` file. Raises `SpecError`."""
    try:
        return read_layer(read_text(path, DEFAULT))
    except Refusal as refusal:
        raise SpecError([Diagnostic.of(refusal, None)]) from None


def plain_layer(given: Mapping[str, Any]) -> RecipeLayer:
    """The layer of Python values, lists among them."""
    values = {name: _tuples(value) for name, value in given.items()}
    normalize = values.get("normalize")
    if isinstance(normalize, dict):
        values["normalize"] = {key: _tuples(value) for key, value in normalize.items()}
    return RecipeLayer(values, {})


def option_layer(options: Iterable[tuple[str, str, str]]) -> RecipeLayer:
    """The layer of command-line options: (field, option as written, its text)."""
    values: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    for field, option, text in options:
        source = Source(option, text)
        if Recipe.model_fields[field].annotation is str:
            values[field], spans[field] = text, Span(source, 1, 1, 1, len(text) + 1)
        else:
            value = yaml.read(source, DEFAULT)
            values[field], spans[field] = _plain(value), value.span
    return RecipeLayer(values, spans)


def spec_layer(recipe: Located) -> RecipeLayer:
    """The layer of a spec's `train:`, already merged along `extends`."""
    return _layer(recipe)


def resolve(layers: Sequence[RecipeLayer], fallback: Span | None = None) -> Recipe:
    """The recipe of some layers, later ones winning. Raises `SpecError` with every mistake.

    A value that stands nowhere (a default that no longer fits) is reported at `fallback`.
    """
    values: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    for layer in layers:
        values.update(layer.values)
        spans.update(layer.spans)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        diagnostics = [_diagnostic(each, spans, fallback) for each in _errors(error)]
        raise SpecError(sorted(diagnostics, key=_place)) from None


def layers_for(
    train: RecipeLayer, config: RecipeLayer | None, options: RecipeLayer, *, default: str = "digits"
) -> list[RecipeLayer]:
    """All layers in order, with what suits a data set that was not the spec's own choice."""
    outer = [layer for layer in (config, options) if layer is not None]
    chosen = next((o.values["dataset"] for o in reversed(outer) if "dataset" in o.values), None)
    written_for = train.values.get("dataset")
    name = chosen or written_for or default
    suited = RecipeLayer(dict(SUITED.get(name, {})) if isinstance(name, str) else {}, {})
    if chosen not in (None, written_for):
        return [train, suited, *outer]
    return [suited, train, *outer]


# --- values and places ---------------------------------------------------------------------------


def _layer(entries: Located) -> RecipeLayer:
    values, spans = {}, {}
    for name, (key, item) in entries.items():
        values[name] = _plain(item)
        spans[name], spans[f"key:{name}"] = item.span, key.span
        if isinstance(item, yaml.Mapping):
            spans.update({f"{name}.{inner}": each.span for inner, _, each in item.items()})
    return RecipeLayer(values, spans)


def _plain(value: yaml.Value) -> Any:
    if isinstance(value, yaml.Scalar):
        return value.value
    if isinstance(value, yaml.Items):
        return tuple(map(_plain, value))
    return {key: _plain(item) for key, _, item in value.items()}


def _tuples(value: Any) -> Any:
    """Lists as the tuples that a strict model asks for."""
    if isinstance(value, list | tuple):
        return tuple(map(_tuples, value))
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


# --- mistakes ------------------------------------------------------------------------------------


def _errors(error: ValidationError) -> list[dict[str, Any]]:
    """One error a field: a union reports every member that does not fit."""
    first: dict[str, dict[str, Any]] = {}
    for each in error.errors(include_url=False):
        path = str(each["loc"][0]) if each["loc"] else ""
        if (path == "loss_weights" and len(each["loc"]) > 1) or path == "normalize":
            path = ".".join(str(part) for part in each["loc"][:2])
        first.setdefault(path, {**each, "path": path})
    return list(first.values())


def _place(diagnostic: Diagnostic) -> tuple[str, int, int]:
    span = diagnostic.span
    return (span.source.name, span.line, span.column) if span else ("", 0, 0)


def _diagnostic(
    error: Mapping[str, Any], spans: Mapping[str, Span], fallback: Span | None
) -> Diagnostic:
    path = error["path"]
    name = path.partition(".")[0]
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        return Diagnostic(
            Code.UNKNOWN_KEY,
            f"a recipe has no {path!r}",
            spans.get(f"key:{path}", spans.get(path, fallback)),
            help=did_you_mean(path, Recipe.model_fields)
            or f"it has {', '.join(Recipe.model_fields)}",
        )
    if not path:
        message = str(error["msg"]).removeprefix("Value error, ")
        named = [word.strip("`") for word in message.split() if word.startswith("`")]
        places = (spans.get(word.partition(":")[0]) for word in named)
        span = next((place for place in places if place), fallback)
        return Diagnostic(Code.ARGUMENT, message, span)
    given = error["input"]
    return Diagnostic(
        Code.ARGUMENT,
        f"`{path}` cannot be {_shown(given)}",
        spans.get(path, spans.get(name, fallback)),
        expected=expected(name),
    )


def expected(name: str) -> str:
    """What a field takes, in words: `a whole number of at least 1, or auto`."""
    return _words(Recipe.model_fields[name].annotation, Recipe.model_fields[name].metadata)


def _words(kind: Any, metadata: Sequence[Any] = ()) -> str:
    if kind is type(None):
        return "nothing"
    if hasattr(kind, "__metadata__"):
        return _words(get_args(kind)[0], kind.__metadata__)
    arguments = get_args(kind)
    if getattr(kind, "__origin__", None) is Literal:
        return " or ".join(map(str, arguments))
    if getattr(kind, "__origin__", None) is tuple:
        inner = _words(arguments[0])
        return f"a list of {inner}" if Ellipsis in arguments else f"two of: {inner}"
    if getattr(kind, "__origin__", None) is dict:
        return "a mapping of names to numbers"
    if arguments:
        return ", or ".join(dict.fromkeys(_words(each) for each in arguments))
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return plain.get(kind, "a mapping with mean and std") + _bounds(metadata)


def _bounds(metadata: Sequence[Any]) -> str:
    words = {"ge": "of at least", "gt": "above", "lt": "below", "le": "of at most"}
    found = []
    for item in metadata:
        for constraint in getattr(item, "metadata", None) or (item,):
            found += [
                f"{text} {getattr(constraint, key):g}"
                for key, text in words.items()
                if getattr(constraint, key, None) is not None
            ]
    return " " + " and ".join(found) if found else ""


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value)


def _wrong(message: str, span: Span | None, code: Code = Code.ARGUMENT) -> SpecError:
    return SpecError([Diagnostic(code, message, span)])
