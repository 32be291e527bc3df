"""A run that goes on: what was saved of it, and whether run, recipe and data are still the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.recipe.recipe import Recipe, fields
from archspec.training.errors import TrainingError
from archspec.training.schedule import learning_rate
from archspec.training.store import checkpoint
from archspec.training.store.runs import Run, spec_hash
from archspec.training.store.trees import Whole, check_form
from archspec.weights.first import FirstWeights

if TYPE_CHECKING:
    from archspec.data import Data


@dataclass(frozen=True)
class Saved:
    """A run as it was saved: its recipe, and the tree of its newest checkpoint."""

    run: Run
    recipe: Recipe
    tree: dict[str, Any]


def saved_run(run: Run, say: Callable[[str], None]) -> Saved | None:
    """What the run can go on from; None where nothing is saved yet.

    Raises `TrainingError` and `SpecError` for files that are damaged or belong to another run.
    """
    found = checkpoint.load_newest(run.checkpoints, _check(run))
    if found is None:
        return None
    tree, wrong = found
    for line in wrong:
        say(f"{line}. The checkpoint before it is used")
    return Saved(run, run.recipe(), tree)


def check_can_be_written(run: Run) -> None:
    """Raises `TrainingError` where folders are in the way of the run's checkpoints."""
    for name in (checkpoint.LAST, checkpoint.PREVIOUS, checkpoint.BEST):
        if (run.checkpoints / name).is_dir():
            raise TrainingError(f"{run.checkpoints / name} is a folder: move it away")


def identity(run: Run, recipe: Recipe, data: Mapping[str, str]) -> dict[str, Any]:
    """What every checkpoint of a run is bound to, as `trees.Bound` has it."""
    about = run.about()
    return {
        "run": about["run"],
        "spec_sha256": about["spec_sha256"],
        "recipe": recipe.fixed(),
        "data": dict(data),
        "classes": about["classes"],
    }


def _check(run: Run) -> Callable[[Path, dict[str, Any]], None]:
    def check(path: Path, tree: dict[str, Any]) -> None:
        check_form(Whole, path, tree)
        check_belongs(run, path, tree)

    return check


def check_belongs(run: Run, path: Path, tree: Mapping[str, Any]) -> None:
    """Holds a checkpoint against the other files of its run.

    Raises `TrainingError` where it is another run's, or where spec, recipe or classes were changed
    since it was written.
    """
    about = run.about()
    if tree["run"] != about["run"]:
        raise TrainingError(
            f"{path} belongs to another run than {run.folder / 'run.json'}: put the run's own back"
        )
    if spec_hash(run.read_text(run.spec.name)) != tree["spec_sha256"]:
        raise TrainingError(
            f"{run.spec} is not the spec that the run was trained with: it was changed since"
        )
    if about["classes"] != tree["classes"]:
        raise TrainingError(f"{run.folder / 'run.json'} names other classes than its checkpoints")
    before, now = tree["recipe"], run.recipe().fixed()
    odd = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    if odd:
        what = "; ".join(f"{name} {before.get(name)!r}, not {now.get(name)!r}" for name in odd[:3])
        raise TrainingError(
            f"{run.config} was changed since the run was begun, which had {what}: put that back, "
            "or begin a new run with it (--config)"
        )


def check_first_weights(run: Run, asked: FirstWeights | None) -> None:
    """Raises `TrainingError` where a run that goes on was begun with other weights than asked for.

    The weights themselves are not read again: the checkpoint has what became of them.
    """
    if asked is None:
        return
    begun = run.about().get("weights")
    if begun is None or begun["source"] != asked.source:
        before = f"the weights {begun['source']}" if begun else "weights drawn from its seed"
        raise TrainingError(
            f"{run.folder} was begun with {before}, and cannot go on with {asked.source}: "
            "leave --weights out, or begin a new run"
        )


def check_data(saved: Saved, data: Data) -> None:
    """Raises `TrainingError` where the images are others than when the run was begun."""
    from archspec.data.fingerprint import difference

    run = saved.run
    assert data.fingerprint is not None
    if saved.tree["data"] == data.fingerprint.parts:
        return
    what = difference(saved.tree["data"], run.listed_pictures(), data.fingerprint)
    raise TrainingError(
        f"the pictures of {data.name} changed since {run.folder} was begun: {what}. Images that "
        "were trained on might now be tested on: put them back, or begin a new run"
    )


def check_classes(saved: Saved, data: Data) -> None:
    """Raises `TrainingError` where the data calls its classes by other names."""
    before, now = saved.tree["classes"], list(data.classes)
    if before != now:
        raise TrainingError(
            f"the classes of {data.name} changed since {saved.run.folder} was begun: {before} "
            f"then, {now} now. Begin a new run"
        )


def continued(saved: Saved, asked: Recipe) -> Recipe:
    """The recipe of a resumed run. Raises `TrainingError` where another one is asked for."""
    changes = {}
    for name, field in fields().items():
        before, after = getattr(saved.recipe, name), getattr(asked, name)
        if before == after or after == "auto":
            continue
        if not field.may_change:
            raise TrainingError(
                f"the run was begun with {name} {before!r}, and cannot go on with {after!r}: "
                "resume it as it was (--config with its config.yaml says how), or begin a new run"
            )
        changes[name] = after
    recipe = saved.recipe.with_values(**changes)
    done, batch = saved.tree["position"]["epoch"], saved.tree["position"]["batch"]
    if recipe.epochs < done + (batch > 0):
        under_way = f" and epoch {done + 1} is under way" if batch else ""
        raise TrainingError(
            f"{saved.run.folder} has {done} epochs done{under_way}, which is more than --epochs "
            f"{recipe.epochs}: ask for {done + (batch > 0)} or more"
        )
    return recipe


def changed_course(before: Recipe, after: Recipe, step: int, steps_per_epoch: int) -> str | None:
    """What another number of epochs does to the learning rate; None where it does nothing.

    `step` is the next one; what it would have had before is that of the last step where the run
    had come to its end.
    """
    last = before.epochs * steps_per_epoch - 1
    old = learning_rate(before, min(step, last), steps_per_epoch)
    new = learning_rate(after, step, steps_per_epoch)
    if before.epochs == after.epochs or old == new or after.epochs * steps_per_epoch <= step:
        return None
    return (
        f"learning rate: {after.schedule} now ends after {after.epochs} epochs instead of "
        f"{before.epochs}, which moves the next step from {old:.3g} to {new:.3g}"
    )
