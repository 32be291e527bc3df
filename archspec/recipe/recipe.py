"""The recipe: every choice that a training run depends on.

A field is declared here and nowhere else. The keys of `train:`, what is checked of their values,
the schema, the options of `archspec train` and the table in docs/training.md are made from it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from archspec.diagnostics.diagnostic import Code, Diagnostic, Span, SpecError
from archspec.ir.fields import Bounds
from archspec.ir.schemes import SCHEMES
from archspec.ir.tape import RECOMPUTED
from archspec.recipe.layers import RecipeLayer, read_values
from archspec.recipe.optimizers import UpdateRule
from archspec.recipe.schedules import Schedule
from archspec.recipe.settings import (
    ChannelStatistics,
    Count,
    Fraction,
    Natural,
    NotNegative,
    Positive,
    Setting,
    Settings,
    setting,
)

T = TypeVar("T")


class _DataSettings(Settings):
    section: ClassVar[str] = "data"

    dataset: str = setting(
        "digits", "the data: digits, fashion_mnist, image_folder:PATH, …", "NAME", flag="--data"
    )
    resize: Count | tuple[Count, Count] | None = setting(
        None, "size of the images: 96, or [96, 128] for height and width", "SIZE"
    )
    augment: tuple[str, ...] = setting(
        (), "changes of training images: [random_crop:4, random_horizontal_flip]", "NAMES"
    )
    normalize: ChannelStatistics | None = setting(
        None, "a number for each channel: {mean: [0.5], std: [0.25]}", "STATISTICS"
    )
    validation: Fraction | Natural = setting(
        0.1, "share (or number) of training images that choose the best weights", "SHARE"
    )
    limit_train: Count | None = setting(None, "train on so many images only", "N")
    limit_test: Count | None = setting(None, "test on so many images only", "N")
    skip_unreadable: bool = setting(
        False, "go on without pictures that cannot be read, and say how many"
    )


class _TrainingSettings(Settings):
    epochs: Count = setting(10, "passes over the training images", "N", may_change=True)
    batch_size: Count | Literal["auto"] = setting(
        64, "images of one step, over all devices and pieces; auto: found by trying", "N"
    )
    accumulate: Count = setting(1, "pieces that a batch is computed in, to save memory", "K")
    optimizer: str = setting("adam", "the optimiser", "NAME", family=UpdateRule)
    lr: Positive = setting(0.001, "learning rate", "LR")
    weight_decay: NotNegative = setting(0.0, "weight decay of matrices and kernels", "D")
    decay_all: bool = setting(
        False, "decay biases, norms and other vectors too, as torch.optim does"
    )
    schedule: str = setting("constant", "course of the learning rate", "NAME", family=Schedule)
    warmup: NotNegative = setting(0.0, "epochs of linear warm-up before the schedule", "EPOCHS")
    label_smoothing: Fraction = setting(0.0, "label smoothing of the cross-entropy", "S")
    loss_weights: Mapping[str, NotNegative] = setting(
        {}, "weights of the outputs' losses: {aux: 0.3}, as for outputs of training; else 1", "W"
    )
    clip_norm: Positive | None = setting(None, "largest norm of the gradient", "NORM")
    init: str | None = setting(
        None, "initialisation, instead of the spec's", "SCHEME", choices=SCHEMES
    )
    ema: Annotated[float, Bounds(gt=0, lt=1)] | None = setting(
        None, "decay of an average of the weights, which is then evaluated and kept", "DECAY"
    )
    patience: Count | None = setting(
        None,
        "stop after so many epochs without a better validation accuracy",
        "N",
        may_change=True,
    )
    seed: Annotated[int, Bounds(ge=0, lt=2**63)] = setting(
        0, "seed of weights, splits, order, augmentation and dropout", "N"
    )
    deterministic: bool = setting(False, "the same bits on a GPU too, at some speed")


class _MachineSettings(Settings):
    section: ClassVar[str] = "machine"

    device: str = setting("auto", "auto, cpu, cuda, cuda:1, mps", "D", may_change=True)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = setting(
        "auto", "arithmetic; auto: bf16 on a GPU that has it, else fp32", "P"
    )
    memory_format: Literal["auto", "contiguous", "channels_last"] = setting(
        "auto", "layout of images in memory; auto: the faster one, by measuring", "F"
    )
    evaluation_memory_format: Literal["auto", "contiguous", "channels_last"] = setting(
        "auto", "the same for evaluation, where the other one may be faster", "F", may_change=True
    )
    threads: Count | Literal["auto"] = setting(
        "auto", "threads of the CPU; auto: one or all, the faster, by measuring", "N"
    )
    recompute: str | None = setting(
        None,
        "what a step does not keep but compute again, to save memory: concat or norms",
        "WHAT",
        choices=RECOMPUTED,
        may_change=True,
    )
    compile: bool = setting(False, "use torch.compile (for whole batches)")
    cuda_graph: bool | None = setting(
        None,
        "repeat steps as one CUDA graph (true), launch each kernel (false), or the faster way",
        "BOOL",
        may_change=True,
    )
    resident: bool | None = setting(
        None,
        "keep the images on the device (true), stream them (false), or as it fits",
        "BOOL",
        may_change=True,
    )
    sync_batch_norm: bool = setting(False, "batch statistics over all processes")
    fsdp: bool = setting(False, "shard weights and optimiser over processes (FSDP2)")
    log_every: Positive = setting(
        1.0, "seconds between two lines of metrics", "SECONDS", may_change=True
    )
    save_every: Positive = setting(
        60.0, "seconds between two checkpoints in an epoch", "SECONDS", may_change=True
    )


class Recipe(_MachineSettings, _TrainingSettings, _DataSettings):
    """How a network is trained. It has every field of `fields()`, and does not change.

    Raises `SpecError` for values that do not fit, or do not go together.
    """

    def __init__(self, **given: Any) -> None:
        self.__dict__.update(vars(_resolved(RecipeLayer(given), None)))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a recipe does not change: use `with_values({name}=…)`")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        known = fields()
        said = [f"{k}={v!r}" for k, v in vars(self).items() if v != known[k].default]
        return f"Recipe({', '.join(said)})"

    def with_values(self, **changes: Any) -> Self:
        """The same recipe with other values, which are taken as they are."""
        other = object.__new__(type(self))
        other.__dict__.update(vars(self), **changes)
        return other

    def as_json(self) -> dict[str, Any]:
        """All values as JSON has them."""
        return {name: _json(value) for name, value in vars(self).items()}

    def fixed(self) -> dict[str, Any]:
        """What a run keeps from its begin to its end, as JSON has it."""
        known, values = fields(), self.as_json()
        idle = set().union(*(_foreign(each, values[each.name]) for each in CHOICES))
        return {k: v for k, v in values.items() if not known[k].may_change and k not in idle}


def fields() -> dict[str, Setting]:
    """Every field by name. Those of the entries that a field may name follow that field."""
    found: dict[str, Setting] = {}
    for name, each in Recipe.own.items():
        found[name] = each
        for entry in each.entries.values():
            found |= entry.own
    return found


def documented() -> list[tuple[Setting, str]]:
    """Every field, and its line with the names of what it belongs to."""
    owners: dict[str, list[str]] = {}
    for choice in CHOICES:
        for entry in choice.entries.values():
            for name in entry.own:
                owners.setdefault(name, []).append(entry.name)
    return [
        (each, each.doc + (f" ({', '.join(owners[name])})" if name in owners else ""))
        for name, each in fields().items()
    ]


CHOICES = [each for each in Recipe.own.values() if each.entries]
"""The fields that name an entry which has fields of its own."""


def _foreign(choice: Setting, chosen: str) -> set[str]:
    """The fields that belong to other entries of a choice than the chosen one."""
    own = choice.entries[chosen].own
    return {name for entry in choice.entries.values() for name in entry.own if name not in own}


# --- what goes together --------------------------------------------------------------------------


def _conflicts(recipe: Recipe) -> Iterator[str]:
    known = fields()
    for choice in CHOICES:
        chosen = choice.entries[getattr(recipe, choice.name)]
        for name in sorted(_foreign(choice, chosen.name)):
            if getattr(recipe, name) != known[name].default:
                owners = ", ".join(e.name for e in choice.entries.values() if name in e.own)
                own = ", ".join(f"`{each}`" for each in chosen.own) or "no fields of its own"
                yield f"`{name}` belongs to {owners}; {chosen.name} has {own}"
        if conflict := chosen(recipe).conflict(recipe):
            yield conflict
    if recipe.normalize and len(recipe.normalize.mean) != len(recipe.normalize.std):
        yield "`normalize`: `mean` and `std` need one number a channel each"
    if recipe.warmup >= recipe.epochs:
        yield "`warmup` must be shorter than `epochs`"
    if isinstance(recipe.batch_size, int) and recipe.batch_size % recipe.accumulate:
        yield "`accumulate` must divide `batch_size`"
    if recipe.recompute and (recipe.compile or recipe.fsdp):
        other = "compile" if recipe.compile else "fsdp"
        yield f"`recompute` does not go with `{other}`, which decides itself what is kept"
    if recipe.precision == "fp16" and recipe.device == "cpu":
        yield "`precision: fp16` needs a GPU; use fp32 or bf16 on the CPU"


# --- from layers to a recipe ---------------------------------------------------------------------


def resolve(layers: Sequence[RecipeLayer], fallback: Span | None = None) -> Recipe:
    """The recipe of some layers, later ones winning. Raises `SpecError` with every mistake.

    A value that stands nowhere (a default that no longer fits) is reported at `fallback`.
    """
    values: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    for layer in layers:
        values = laid_over(values, layer.values)
        spans.update(layer.spans)
    return _resolved(RecipeLayer(values, spans), fallback)


def _resolved(layer: RecipeLayer, fallback: Span | None) -> Recipe:
    known = fields()
    given, mistakes = read_values(known, layer, fallback)
    values = {name: given.get(name, each.default) for name, each in known.items()}
    recipe = object.__new__(Recipe).with_values(**values)
    if not mistakes:
        mistakes = [_conflict(each, layer.spans, fallback) for each in _conflicts(recipe)]
    if mistakes:
        raise SpecError(sorted(mistakes, key=_order))
    return recipe


def _conflict(message: str, spans: Mapping[str, Span], fallback: Span | None) -> Diagnostic:
    """A conflict, shown at the first of the fields it names that stands somewhere."""
    named = [word.strip("`:").partition(":")[0] for word in message.split() if word[0] == "`"]
    span = next((spans[name] for name in named if name in spans), fallback)
    return Diagnostic(Code.ARGUMENT, message, span)


def _order(diagnostic: Diagnostic) -> tuple[str, int, int]:
    span = diagnostic.span
    return (span.source.name, span.line, span.column) if span else ("", 0, 0)


def laid_over(
    below: Mapping[str, T], above: Mapping[str, T], word: Callable[[T], Any] = lambda value: value
) -> dict[str, T]:
    """The values of two layers. `word` gives what a value says.

    Where `above` names another optimiser or schedule, the fields that it does not have are left
    out of those `below`.
    """
    kept = dict(below)
    for choice in CHOICES if below else ():
        if choice.name in above:
            chosen = word(above[choice.name])
            before = word(below[choice.name]) if choice.name in below else choice.default
            if chosen != before and chosen in tuple(choice.entries):
                for name in _foreign(choice, chosen) & kept.keys():
                    del kept[name]
    return {**kept, **above}


def layers_for(
    train: RecipeLayer, config: RecipeLayer | None, options: RecipeLayer, *, default: str = "digits"
) -> list[RecipeLayer]:
    """All layers in order, with what suits a data set that was not the spec's own choice."""
    from archspec.data.registry import suited

    outer = [layer for layer in (config, options) if layer is not None]
    chosen = next((o.values["dataset"] for o in reversed(outer) if "dataset" in o.values), None)
    written_for = train.values.get("dataset")
    settings = RecipeLayer(suited(chosen or written_for or default))
    if chosen not in (None, written_for):
        return [train, settings, *outer]
    return [settings, train, *outer]


def _json(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    return {key: _json(item) for key, item in value.items()} if isinstance(value, dict) else value
