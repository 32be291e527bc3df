"""One training run from end to end, in numbered stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from archspec.data.opening import nothing_shown
from archspec.train import checkpoint, device, fitting, state, tuning
from archspec.train.distributed import Processes, is_connection_lost, joined
from archspec.train.errors import Stopped, TrainingError
from archspec.train.evaluate import Evaluation
from archspec.train.files import remove_leftovers, write_text
from archspec.train.loop import Listener, Row, Trainer
from archspec.train.loss import Loss
from archspec.train.plan import Plan
from archspec.train.randomness import caller_untouched, make_deterministic, seed_everything
from archspec.train.recipe import NOT_NUMERIC, Recipe
from archspec.train.recorder import Recorder
from archspec.train.report import write_report
from archspec.train.runs import Run, new_folder, now, spec_hash
from archspec.train.synchronised import synchronised

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.data import Data
    from archspec.data.survey import Progress

MAY_CHANGE = NOT_NUMERIC | {"epochs", "patience"}
"""What a resumed run may be given anew: all else would make it another run."""


@dataclass(frozen=True)
class Session:
    """What a run is asked to be. `say` gets the lines that tell what was chosen, and why;
    `reading` is told how many pictures were read, and of how many."""

    arch: Architecture
    recipe: Recipe
    folder: Path | None = None
    data_root: str | None = None
    resume: bool = False
    listeners: tuple[Listener, ...] = ()
    trainer: type[Trainer] = Trainer
    say: Callable[[str], None] = lambda line: None
    reading: Progress = nothing_shown


@dataclass(frozen=True)
class Finished:
    """A run that came to its end: the network with its best weights, and all figures."""

    net: nn.Module
    history: list[Row]
    result: dict[str, Any]
    run: Run
    is_main: bool = True
    """Whether this process, of several, is the one that writes and speaks."""


def train(session: Session) -> Finished:
    """Trains. Raises `SpecError`, `TrainingError`, `DataError`, or `Stopped` after a signal."""
    if find_spec("safetensors") is None:
        raise TrainingError("checkpoints need safetensors: pip install 'archspec-nn[train]'")
    with caller_untouched(), joined(session.recipe.device) as processes:
        return _Stages(session, processes).run()


class _Stages:
    def __init__(self, session: Session, processes: Processes) -> None:
        self.session, self.processes = session, processes
        self.recipe = session.recipe
        self.statements: list[str] = []

    def run(self) -> Finished:
        if self.recipe.deterministic:
            make_deterministic()  # before anything is computed
        # 1. the network at the size of the images, and the data that fit it
        self.size = fitting.image_size(self.session.arch, self.recipe.resize)
        self.arch = fitting.check_sizes(self.session.arch, self.size)
        self.place = device.choose_device(self.recipe.device, self.processes)
        if self.place.type == "cuda" and not self.recipe.deterministic:
            torch.backends.cudnn.benchmark = True
        data = self._open_data()
        fitting.check_data(self.arch, data.name, data.channels, len(data.classes))
        if warning := fitting.warn_of_probabilities(self.arch):
            self._tell(warning)
        # 2. a new run, or an old one
        saved = self._saved(data)
        self._refuse_other_run()
        self.recipe = saved.recipe if saved else self._decided(data)
        net = self._net()
        plan = self._plan(net, len(data.train))
        run = saved.run if saved else self._new_run(data)
        threads = self.recipe.threads
        # Sums are rounded as threads share them out: a run goes on with as many as it began with.
        with tuning.threads(torch.get_num_threads() if threads == "auto" else threads):
            # 3. the trainer, as it was where it stopped
            trainer = self._trainer(net, data, plan, run)
            if saved:
                state.put_back(trainer, saved.tree)
                if self.processes.is_main:
                    remove_leftovers(run.checkpoints)
                    run.rewind(trainer.position.step)
                    run.write_recipe(self.recipe)
            # 4. the training, and its figures
            self._fit(trainer)
            return self._close(trainer, run)

    def _tell(self, line: str) -> None:
        self.statements.append(line)
        if self.processes.is_main:
            self.session.say(line)

    def _open_data(self) -> Data:
        from archspec.data import open_dataset

        recipe = self.recipe
        data = open_dataset(
            recipe.dataset,
            self.session.data_root,
            resize=self.size,
            channels=fitting.channels_of_pictures(self.arch),
            seed=recipe.seed,
            validation=recipe.validation,
            limit_train=recipe.limit_train,
            limit_test=recipe.limit_test,
            skip_unreadable=recipe.skip_unreadable,
            resident=recipe.resident,
            augment=recipe.augment,
            normalize=recipe.normalize,
            device=self.place,
            progress=self.session.reading if self.processes.is_main else nothing_shown,
        )
        self._tell(
            f"data: {data.name}, {len(data.train):,} images to train on, "
            f"{len(data.validation):,} to choose by, {len(data.test):,} to test on; "
            f"{data.statement}"
        )
        for note in data.notes:
            self._tell(note)
        if not len(data.train):
            raise TrainingError(f"{data.name} has no images left to train on")
        return data

    def _decided(self, data: Data) -> Recipe:
        """The recipe with every `auto` replaced by what was found."""
        recipe, place = self.recipe, self.place
        precision = device.choose_precision(recipe.precision, place)
        self._tell(f"device: {place}, {precision.value} ({precision.why})")
        recipe = recipe.model_copy(update={"precision": precision.value})
        if recipe.batch_size == "auto":
            size = tuning.choose_batch_size(self.arch, recipe, place, len(data.train))
            self._tell(f"batch size: {size.value} ({size.why}); the learning rate stays")
            pieces = recipe.accumulate * self.processes.world
            common = max(1, self._as_main(int(size.value)) // pieces) * pieces
            recipe = recipe.model_copy(update={"batch_size": common})
        batch = int(recipe.batch_size) // (recipe.accumulate * self.processes.world)
        steps = recipe.epochs * (len(data.train) // int(recipe.batch_size))
        way, why = tuning.choose_way(self.arch, recipe, place, max(batch, 2), steps)
        self._tell(f"computing: {way} ({why})")
        layout = tuning.LAYOUTS[self._as_main(tuning.LAYOUTS.index(way.layout))]
        threads = self._as_main(way.threads)
        return recipe.model_copy(update={"memory_format": layout, "threads": threads})

    def _as_main(self, number: int) -> int:
        """What the first process has found: measurements differ, and all must do the same."""
        return int(self.processes.same_as_main(torch.tensor(number, device=self.place)).item())

    # --- run folders ---------------------------------------------------------------------------

    def _about(self) -> dict[str, Any]:
        return {"spec_sha256": spec_hash(self.arch.expand())}

    def _new_run(self, data: Data) -> Run:
        session = self.session
        folder = session.folder or new_folder(self.arch.name, self.recipe.dataset)
        run = Run(folder)
        # Nobody may look for the folder after the first process has made it.
        self.processes.wait()
        if self.processes.is_main:
            about = {
                "name": self.arch.name,
                "started": now(),
                "data": data.name,
                "data_root": session.data_root,
                "classes": list(data.classes),
                "channels": data.channels,
                "train_images": len(data.train),
                "parameters": self.arch.num_parameters,
                "macs": self.arch.macs,
                "world": self.processes.world,
                "statements": self.statements,
                **self._about(),
            }
            run.create(self.arch.expand(), self.recipe, about)
        self.processes.wait()
        self._tell(f"run: {folder}")
        return run

    def _refuse_other_run(self) -> None:
        """Before anything is measured: a folder that holds a run is not written over."""
        folder, resume = self.session.folder, self.session.resume
        if folder is not None and not resume and Run(folder).exists:
            raise TrainingError(
                f"{folder} holds a run already: go on with it (--resume), or choose another --run"
            )
        self.processes.wait()

    def _saved(self, data: Data) -> _Saved | None:
        session = self.session
        if not session.resume or session.folder is None or not Run(session.folder).exists:
            return None
        run = Run(session.folder)
        found = checkpoint.load_newest(run.checkpoints)
        if found is None:
            return None
        tree, wrong = found
        for line in wrong:
            self._tell(f"{line}. The checkpoint before it is used")
        if tree["spec_sha256"] != self._about()["spec_sha256"]:
            raise TrainingError(
                f"{run.folder} was trained with another network: its resolved spec is {run.spec}"
            )
        _check_same_data(run, data)
        recipe = _continued(run.recipe(), self.recipe)
        position = tree["position"]
        self._tell(f"run: {run.folder}, resumed after step {position['step']:,}")
        return _Saved(run, recipe, tree)

    # --- the training --------------------------------------------------------------------------

    def _plan(self, net: nn.Module, images: int) -> Plan:
        """The batches of an epoch. Raises `TrainingError` where they cannot be computed."""
        recipe, world = self.recipe, self.processes.world
        batch = int(recipe.batch_size)
        if batch % world:
            raise TrainingError(
                f"a batch of {batch} images cannot be shared by {world} processes: "
                f"--batch-size {batch // world * world or world} can"
            )
        least = 2 * world * recipe.accumulate if _has_batch_statistics(net) else 1
        plan = Plan(images, batch, recipe.seed, least)
        _check_smallest(plan, least, world * recipe.accumulate)
        return plan

    def _trainer(self, net: nn.Module, data: Data, plan: Plan, run: Run) -> Trainer:
        recipe = self.recipe
        # After the weights, whose seed is their own; other processes drop out other units.
        seed_everything(recipe.seed + self.processes.rank)
        recorder = Recorder(run, self._about())
        main, names = fitting.outputs_of(self.arch)
        shown = self.session.listeners if self.processes.is_main else ()
        return self.session.trainer(
            net=net,
            data=data,
            recipe=recipe,
            device=self.place,
            loss=Loss(recipe, main, names),
            plan=plan,
            processes=self.processes,
            listeners=(recorder, *shown),
        )

    def _net(self) -> nn.Module:
        """The network with its first weights, which follow from the seed alone."""
        from archspec.emit import emit

        recipe = self.recipe
        net = emit(
            self.arch.graph,
            name=self.arch.name,
            device=self.place,
            init=recipe.init or self.arch.init,
            seed=recipe.seed,
        )
        return synchronised(net, self.place) if recipe.sync_batch_norm else net

    def _fit(self, trainer: Trainer) -> None:
        try:
            trainer.fit()
        except (RuntimeError, MemoryError) as error:
            if self.processes.world > 1 and is_connection_lost(error):
                raise TrainingError(_connection_lost(error)) from None
            if not device.is_out_of_memory(error):
                raise
            reason = str(error).split(". ")[0].splitlines()[0]
        else:
            return
        # Outside the `except`, so that the traceback no longer holds the tensors.
        batch = trainer.plan.batch_size
        trainer.optimizer.zero_grad()
        if self.place.type == "cuda":
            torch.cuda.empty_cache()
        share = batch // trainer.recipe.accumulate // self.processes.world
        fitting_share = tuning.largest_that_fits(self.arch, self.recipe, self.place, share)
        raise TrainingError(_out_of_memory(trainer, fitting_share, share, reason))

    def _close(self, trainer: Trainer, run: Run) -> Finished:
        last = self._figures(trainer, trainer.position.epoch)
        best_epoch = trainer.best.epoch if trainer.best.epoch > 0 else trainer.position.epoch
        self._load_best(trainer, run)
        confusion = trainer.evaluate("test")
        best = self._figures(trainer, best_epoch, confusion)
        result = {"best": best, "last": last, "epochs": trainer.position.epoch}
        if self.processes.is_main:
            import json

            write_text(run.folder / "result.json", json.dumps(result, indent=2) + "\n")
            matrix = confusion.confusion.tolist()
            write_report(run, list(run.rows("epoch")), matrix, trainer.data.classes)
        self.processes.wait()
        return Finished(trainer.evaluated, trainer.history, result, run, self.processes.is_main)

    def _load_best(self, trainer: Trainer, run: Run) -> None:
        try:
            tree = checkpoint.load(run.checkpoints / checkpoint.BEST)
        except checkpoint.DamagedError as error:
            self._tell(f"{error}. The last weights stand in for the best")
        else:
            state.load_weights(trainer.evaluated, tree["model"])

    def _figures(
        self, trainer: Trainer, epoch: int, test: Evaluation | None = None
    ) -> dict[str, Any]:
        found: dict[str, Any] = {"epoch": epoch}
        for split in ("validation", "test"):
            given = test if split == "test" else None
            figures = (given or trainer.evaluate(split)).figures
            if figures.examples:
                found[split] = {"loss": figures.loss, "accuracy": figures.accuracy}
        return found


@dataclass(frozen=True)
class _Saved:
    run: Run
    recipe: Recipe
    tree: dict[str, Any]


def _check_same_data(run: Run, data: Data) -> None:
    """Raises `TrainingError` where the images are not those that the run was begun with."""
    about = run.about()
    found = {"classes": list(data.classes), "train_images": len(data.train)}
    for name, what in (("classes", "the classes"), ("train_images", "the number of images")):
        if about.get(name, found[name]) != found[name]:
            raise TrainingError(
                f"{what} of {data.name} changed since {run.folder} was begun: {about[name]} then, "
                f"{found[name]} now. Begin a new run"
            )


def _continued(saved: Recipe, asked: Recipe) -> Recipe:
    """The recipe of a resumed run. Raises `TrainingError` where another one is asked for."""
    changes = {}
    for name in Recipe.model_fields:
        before, after = getattr(saved, name), getattr(asked, name)
        if before == after or after == "auto":
            continue
        if name not in MAY_CHANGE:
            raise TrainingError(
                f"the run was begun with {name} {before!r}, and cannot go on with {after!r}: "
                "resume it as it was (--config with its config.yaml says how), or begin a new run"
            )
        changes[name] = after
    return saved.model_copy(update=changes)


def _has_batch_statistics(net: nn.Module) -> bool:
    from torch.nn.modules.batchnorm import _BatchNorm

    from archspec.modules import BatchNormScratch

    return any(isinstance(module, _BatchNorm | BatchNormScratch) for module in net.modules())


def _check_smallest(plan: Plan, least: int, pieces: int) -> None:
    """Refuse steps in which a process or piece would have one image, of which no mean is taken."""
    smallest = min(stop - start for start, stop in plan.bounds)
    if smallest >= least:
        return
    each = f" in each of its {pieces} parts" if pieces > 1 else ""
    mend = f"--batch-size {least} or more" if plan.count >= least else "more training images"
    raise TrainingError(
        f"the network has batch normalisation, which needs two images{each}, and a step has "
        f"{smallest}: it takes {mend}"
    )


def _connection_lost(error: BaseException) -> str:
    said = str(error).strip().splitlines() or [type(error).__name__]
    return (
        f"another process of the run is gone ({said[0][:200]}). The last checkpoint is intact: "
        "torchrun --max-restarts N starts all processes again, and --resume goes on from it"
    )


def _out_of_memory(trainer: Trainer, fits: int, share: int, reason: str) -> str:
    recipe, batch = trainer.recipe, trainer.plan.batch_size
    message = f"out of memory with batches of {batch} images ({reason})."
    if not fits:
        return f"{message} Not even one image fits: choose a smaller --resize or network"
    pieces = -(-share // fits) * recipe.accumulate
    while batch % pieces:
        pieces += 1
    smaller = fits * recipe.accumulate * trainer.processes.world
    return (
        f"{message} --batch-size {smaller} fits; --accumulate {pieces} computes the same batch in "
        f"{pieces} pieces that fit. The last checkpoint is intact"
    )


def statements_of(finished: Finished) -> Sequence[str]:
    """What was chosen for a run."""
    found: Mapping[str, Any] = finished.run.about()
    return tuple(found["statements"])


__all__ = ["Finished", "Session", "Stopped", "train"]
