"""One training run from end to end, in numbered stages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from archspec.data.errors import DataError
from archspec.data.opening import nothing_shown
from archspec.ir.tape import RECOMPUTED
from archspec.recipe.recipe import Recipe
from archspec.runtime.recompute import recomputing
from archspec.training import compatibility, device, state, tuning
from archspec.training.distributed import Processes, connection_lost, is_connection_lost, joined
from archspec.training.ending import Finished, close
from archspec.training.errors import TrainingError
from archspec.training.loop import Listener, Trainer
from archspec.training.loss import Loss
from archspec.training.plan import Plan, plan_of
from archspec.training.randomness import caller_untouched, make_deterministic, seed_everything
from archspec.training.recorder import Recorder
from archspec.training.resume import (
    Saved,
    changed_course,
    check_can_be_written,
    check_classes,
    check_data,
    check_first_weights,
    continued,
    identity,
    saved_run,
)
from archspec.training.store.files import remove_leftovers
from archspec.training.store.lock import locked
from archspec.training.store.runs import Run, about_of, make, make_numbered, numbered, spec_hash
from archspec.training.synchronised import synchronised
from archspec.weights.first import FirstWeights

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.data import Data
    from archspec.data.pictures import PictureSets
    from archspec.data.survey import Progress


@dataclass(frozen=True)
class Session:
    """What a run should be.

    `say` gets a line for each choice that was made, with the reason. `reading` is called with the
    number of pictures that were read, and with how many there are. A new run begins with `weights`;
    without them, they are drawn.
    """

    arch: Architecture
    recipe: Recipe
    folder: Path | None = None
    data_root: str | None = None
    resume: bool = False
    weights: FirstWeights | None = None
    listeners: tuple[Listener, ...] = ()
    trainer: type[Trainer] = Trainer
    say: Callable[[str], None] = lambda line: None
    reading: Progress = nothing_shown


def train(session: Session) -> Finished:
    """Trains. Raises `SpecError`, `TrainingError`, `DataError`, or `Stopped` after a signal."""
    device_name = session.recipe.device
    with caller_untouched(), joined(device_name) as processes, ExitStack() as held:
        return _Stages(session, processes, held).run()


class _Stages:
    def __init__(self, session: Session, processes: Processes, held: ExitStack) -> None:
        self.session, self.processes, self.held = session, processes, held
        self.locked: list[Path] = []
        self.recipe = session.recipe
        self.statements: list[str] = []
        self.sets: PictureSets | None = None  # once they were opened to ask for their size
        self.begun: dict[str, Any] | None = None  # what run.json says of the first weights

    def run(self) -> Finished:
        if self.recipe.deterministic:
            make_deterministic()  # before anything is computed
        # 1. the network at the size of the images, and the data that fit it
        self.size = self._size()
        self.arch = compatibility.check_sizes(self.session.arch, self.size)
        self.place = device.choose_device(self.recipe.device, self.processes)
        if self.place.type == "cuda":  # graphs and their streams are those of the current GPU
            self.held.enter_context(torch.cuda.device(self.place))
        if self.place.type == "cuda" and not self.recipe.deterministic:
            torch.backends.cudnn.benchmark = True
        data = self._open_data()
        compatibility.check_data(self.arch, data.name, data.channels, len(data.classes))
        if self.recipe.patience and not len(data.validation):
            raise TrainingError(
                "--patience stops by the accuracy on validation images, of which there are none: "
                "--validation 0.1 holds some back"
            )
        if warning := compatibility.warn_of_probabilities(self.arch):
            self._say(warning)
        # 2. a new run, or an old one
        saved = self._saved(data)
        self.recipe = saved.recipe if saved else self._decided(data)
        net = self._net(None if saved else self.session.weights)
        self._say_what_is_recomputed()
        if self.recipe.evaluation_memory_format == "auto":
            self.recipe = self._with_evaluation_decided(net, data)
        plan = plan_of(self.recipe, net, len(data.train), self.processes.world)
        run = saved.run if saved else self._new_run(data)
        threads = self.recipe.threads
        # Sums are rounded as threads share them out: a run goes on with as many as it began with.
        with tuning.threads(torch.get_num_threads() if threads == "auto" else threads):
            # 3. the trainer, as it was where it stopped
            trainer = self._trainer(net, data, plan, run)
            if saved:
                self._go_on(trainer, saved)
            # 4. the training, and its figures
            self._fit(trainer)
            return close(trainer, run)

    def _size(self) -> tuple[int, int]:
        """Height and width of images: the recipe's, the data's where they are legal, the spec's."""
        arch, recipe = self.session.arch, self.recipe
        own = compatibility.image_size(arch, recipe.resize)
        if recipe.resize is not None or not arch.sizes:
            return own
        from archspec.data.opening import natural_size, picture_sets

        self.sets = picture_sets(recipe.dataset, self.session.data_root)
        found = natural_size(self.sets)
        if found is None or found == own:
            return own
        (height, width), stated = found, f"{own[0]}×{own[1]}"
        if compatibility.takes(arch, found):
            self._say(f"size: {height}×{width}, the images' own (--resize asks for another)")
            return found
        self._say(
            f"size: {stated}, the spec's, which does not take the images' own {height}×{width}"
        )
        return own

    def _say(self, line: str) -> None:
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
            channels=compatibility.channels_of_pictures(self.arch),
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
            identify=self.processes.is_main,
            sets=self.sets,
        )
        self.sets = None
        self._say(
            f"data: {data.name}, {len(data.train):,} images to train on, "
            f"{len(data.validation):,} to choose by, {len(data.test):,} to test on; "
            f"{data.statement}"
        )
        for note in data.notes:
            self._say(note)
        if not len(data.train):
            raise TrainingError(f"{data.name} has no images left to train on")
        return data

    def _decided(self, data: Data) -> Recipe:
        """The recipe with every `auto` replaced by what was found."""
        recipe, place = self.recipe, self.place
        precision = device.choose_precision(recipe.precision, place)
        self._say(f"device: {place}, {precision.value} ({precision.why})")
        recipe = recipe.with_values(precision=precision.value)
        if recipe.batch_size == "auto":
            size = tuning.choose_batch_size(self.arch, recipe, place, len(data.train))
            self._say(f"batch size: {size.value} ({size.why}); the learning rate stays")
            pieces = recipe.accumulate * self.processes.world
            common = max(1, self._as_main(int(size.value)) // pieces) * pieces
            recipe = recipe.with_values(batch_size=common)
        batch = int(recipe.batch_size) // (recipe.accumulate * self.processes.world)
        steps = recipe.epochs * (len(data.train) // int(recipe.batch_size))
        way, why = tuning.choose_way(self.arch, recipe, place, max(batch, 2), steps)
        self._say(f"computing: {way} ({why})")
        layout = tuning.LAYOUTS[self._as_main(tuning.LAYOUTS.index(way.layout))]
        threads = self._as_main(way.threads)
        return recipe.with_values(memory_format=layout, threads=threads)

    def _with_evaluation_decided(self, net: nn.Module, data: Data) -> Recipe:
        """The recipe with a layout for the passes between epochs: another may suit them better."""
        recipe, world = self.recipe, self.processes.world
        layout: str = recipe.memory_format
        why = "as in training"
        if recipe.deterministic:
            why = f"{why}: a measurement would not be reproducible"
        elif self.place.type == "cpu" and not (recipe.fsdp or recipe.compile):
            batch = max(1, min(32, int(recipe.batch_size) // (recipe.accumulate * world)))
            images = recipe.epochs * (len(data.validation) + len(data.test)) // world
            shape = (batch, *compatibility.image_shape(self.arch))
            passes = tuning.ForwardPasses(net, shape, images, recipe.precision, self.place)
            with tuning.threads(int(recipe.threads)):
                found = tuning.choose_evaluation_layout(passes, layout)
            layout, why = found or (layout, f"{why}: too few images to measure")
        layout = tuning.LAYOUTS[self._as_main(tuning.LAYOUTS.index(layout))]
        self._say(f"evaluating: {layout} ({why})")
        return recipe.with_values(evaluation_memory_format=layout)

    def _as_main(self, number: int) -> int:
        """What the first process has found: measurements differ, and all must do the same."""
        return int(self.processes.same_as_main(torch.tensor(number, device=self.place)).item())

    # --- run folders ---------------------------------------------------------------------------

    def _main_does(self, action: Callable[[], int | None]) -> int:
        """What touches files is done by the first process; where it fails, all of them stop.

        Returns the number that the action returns, in all processes; 0 where it returns none.
        """
        found, refusal = 0, None
        if self.processes.is_main:
            try:
                found = action() or 0
            except (TrainingError, DataError) as error:
                refusal = error
        if self._as_main(int(refusal is not None)):
            raise refusal or TrainingError("the first process of the run could not go on")
        return self._as_main(found)

    def _lock(self, run: Run) -> None:
        """From here to the end of the run, no other one may write into its folder."""
        if run.folder not in self.locked:
            self.held.enter_context(locked(run.folder, self._say))
            self.locked.append(run.folder)

    def _saved(self, data: Data) -> Saved | None:
        """What the run goes on from, locked; None where it is a new one."""
        if self.session.folder is None:
            return None
        run = Run(self.session.folder)
        if not self.session.resume:
            run.refuse_existing()
        if not self.session.resume or not run.exists:
            return None
        self._main_does(lambda: self._lock(run))
        self._main_does(lambda: check_can_be_written(run))
        saved = saved_run(run, self._say)
        if saved is None:
            self._main_does(run.refuse_figures)
            return None
        if saved.tree["spec_sha256"] != spec_hash(self.arch.expand()):
            raise TrainingError(
                f"{run.folder} was trained with another network: its resolved spec is {run.spec}"
            )
        check_first_weights(run, self.session.weights)
        check_classes(saved, data)
        recipe = continued(saved, self.recipe)
        self._main_does(lambda: check_data(saved, data))
        self._say(f"run: {run.folder}, resumed after step {saved.tree['position']['step']:,}")
        return replace(saved, recipe=recipe)

    def _new_run(self, data: Data) -> Run:
        # Nobody may look for the folder after the first process has made it.
        self.processes.wait()
        number = self._main_does(lambda: self._made(data))
        run = Run(self._folder(number))
        self._say(f"run: {run.folder}")
        return run

    def _folder(self, number: int) -> Path:
        return self.session.folder or numbered(self.arch.name, self.recipe.dataset, number)

    def _made(self, data: Data) -> int:
        """Makes the run's folder, and returns its number where it has one."""
        session, number = self.session, 0
        if session.folder is None:
            number = make_numbered(self.arch.name, self.recipe.dataset)
        else:
            make(session.folder)
        run = Run(self._folder(number))
        run.refuse_others_files()
        self._lock(run)
        if not session.resume:
            run.refuse_existing()  # once more: it may have been begun, and ended, meanwhile
        about = about_of(
            self.arch,
            data,
            data_root=session.data_root,
            world=self.processes.world,
            statements=self.statements,
            weights=self.begun,
        )
        files = data.fingerprint.files if data.fingerprint else None
        run.create(self.arch.expand(), self.recipe, about, files)
        return number

    def _go_on(self, trainer: Trainer, saved: Saved) -> None:
        """Puts the trainer, and the run's files, where the checkpoint was written."""
        state.put_back(trainer, saved.tree)
        step, steps = trainer.position.step, trainer.plan.steps
        if line := changed_course(saved.run.recipe(), self.recipe, step, steps):
            self._say(line)
        if self.processes.is_main:
            remove_leftovers(saved.run.checkpoints)
            if line := saved.run.rewind(step, trainer.history):
                self._say(line)
            saved.run.write_recipe(self.recipe)

    # --- the training --------------------------------------------------------------------------

    def _trainer(self, net: nn.Module, data: Data, plan: Plan, run: Run) -> Trainer:
        recipe = self.recipe
        # After the weights, whose seed is their own; other processes drop out other units.
        seed_everything(recipe.seed + self.processes.rank)
        # Only the first process writes, and only it has the data's fingerprint.
        found = data.fingerprint
        recorder = Recorder(run, identity(run, recipe, found.parts) if found else {})
        main, names = compatibility.outputs_of(self.arch)
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
            say=self._say,
        )

    def _net(self, weights: FirstWeights | None) -> nn.Module:
        """The network with its first weights: those given, and the rest as the seed has them."""
        from archspec.emit import emit

        recipe = self.recipe
        net = emit(
            self.arch.emitted,
            name=self.arch.name,
            device=self.place,
            init=recipe.init or self.arch.init,
            seed=recipe.seed,
        )
        if weights is not None:
            lines, self.begun = weights.load(net, self.arch.name)
            for line in lines.splitlines():
                self._say(line)
        if recipe.sync_batch_norm:
            net = synchronised(net, self.place)
        return recomputing(net, recipe.recompute) if recipe.recompute else net

    def _say_what_is_recomputed(self) -> None:
        """How much memory a step keeps by the recipe's `recompute`, and how much without it."""
        from archspec.analyses.memory import saved_bytes
        from archspec.analyses.table import size

        what, graph = self.recipe.recompute, self.arch.graph
        if what is None:
            return
        share = int(self.recipe.batch_size) // (self.recipe.accumulate * self.processes.world)
        batch = max(2, share)
        kept, plain = (saved_bytes(graph, batch, recompute=each) for each in (what, None))
        if kept == plain:
            self._say(f"recompute: {what} saves nothing: no step would keep {RECOMPUTED[what]}")
        else:
            self._say(
                f"recompute: {what}; a step on {batch} images keeps {size(kept)} for its backward "
                f"pass, and {size(plain)} without"
            )

    def _fit(self, trainer: Trainer) -> None:
        try:
            trainer.fit()
        except (RuntimeError, MemoryError) as error:
            if self.processes.world > 1 and is_connection_lost(error):
                raise TrainingError(connection_lost(error)) from None
            if not device.is_out_of_memory(error):
                raise
            reason = str(error).split(". ")[0].splitlines()[0]
        else:
            return
        # Outside the `except`, so that the traceback no longer holds the tensors.
        batch = trainer.plan.batch_size
        trainer.optimizer.zero_grad()
        trainer.repeated = None  # a graph holds the memory of its step
        if self.place.type == "cuda":
            torch.cuda.empty_cache()
        share = batch // trainer.recipe.accumulate // self.processes.world
        fitting_share = tuning.largest_that_fits(self.arch, self.recipe, self.place, share)
        raise TrainingError(_out_of_memory(trainer, fitting_share, share, reason))


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
