"""A trained network, from its run folder alone: evaluated on data, asked about pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

import archspec
from archspec.train import checkpoint, fitting, state
from archspec.train.device import choose_device
from archspec.train.distributed import Processes
from archspec.train.errors import TrainingError
from archspec.train.evaluate import Evaluation, evaluate
from archspec.train.loss import Loss
from archspec.train.recipe import Recipe
from archspec.train.resume import check_belongs, saved_run
from archspec.train.runs import Run, open_run
from archspec.train.trees import Kept, check_form

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.data import Data


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''}"


class Guess(NamedTuple):
    """A class and how likely it is."""

    name: str
    probability: float


@dataclass(frozen=True)
class TrainedNetwork:
    """The network of a run with its best weights (or the last), in `eval()` on a device."""

    run: Run
    arch: Architecture
    recipe: Recipe
    net: nn.Module
    classes: tuple[str, ...]
    device: torch.device
    epoch: int

    @cached_property
    def loss(self) -> Loss:
        main, names = fitting.outputs_of(self.arch)
        return Loss(self.recipe, main, names)

    @property
    def size(self) -> fitting.Size:
        return fitting.image_size(self.arch, None)

    def evaluate(
        self,
        dataset: str | None = None,
        data_root: str | None = None,
        say: Callable[[str], None] = print,
    ) -> Evaluation:
        """Its figures on the test images of its own data, or of another data set.

        Where that calls its classes by other names, `say` is told.

        Raises `SpecError` where that has other channels or another number of classes.
        """
        data = self._open(dataset, data_root)
        fitting.check_data(self.arch, data.name, data.channels, len(data.classes))
        if tuple(data.classes) != self.classes:
            say(
                f"the classes of {data.name} are {_some(data.classes)}; the network was trained on "
                f"{_some(self.classes)}, and they are compared by their numbers"
            )
        pixels = data.channels * data.height * data.width
        return evaluate(
            self.net,
            data.test,
            self.loss,
            classes=len(data.classes),
            batch_size=max(1, min(256, 2**22 // pixels)),
            device=self.device,
        )

    def _open(self, dataset: str | None, data_root: str | None) -> Data:
        from archspec.data import open_dataset

        recipe = self.recipe
        own = dataset in (None, recipe.dataset)  # the limits of training are for its own data
        return open_dataset(
            dataset or recipe.dataset,
            data_root or self.run.about()["data_root"],
            resize=self.size,
            seed=recipe.seed,
            validation=recipe.validation,
            limit_train=recipe.limit_train if own else None,
            limit_test=recipe.limit_test if own else None,
            normalize=recipe.normalize,
            device=self.device,
        )

    @torch.no_grad()
    def predict(self, path: Path, most: int = 5) -> list[Guess]:
        """The likeliest classes of a picture, the likeliest first. Raises `TrainingError`."""
        image = read_image(path, self.arch, self.recipe).to(self.device)
        logits = self.loss.logits(self.net(image))
        probabilities, order = logits[0].softmax(0).sort(descending=True)
        return [
            Guess(self.classes[index], probability)
            for index, probability in zip(
                order[:most].tolist(), probabilities[:most].tolist(), strict=True
            )
        ]


def open_trained(
    folder: Path,
    *,
    last: bool = False,
    device: str = "auto",
    allow_modules: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> TrainedNetwork:
    """The network of a run folder. `say` is told where other weights than asked for are used.

    `module` nodes may run code of the packages in `allow_modules` only, as when it was trained.
    Raises `TrainingError`, and `SpecError` for its spec and recipe.
    """
    run = open_run(folder)
    place = choose_device(device, Processes())
    tree = _weights(run, last, say)
    arch = archspec.load(run.spec, allow_modules=allow_modules)
    net = arch.build(device=place, seed=0).eval()
    state.load_weights(net, tree["model"])
    classes = tuple(tree["classes"])
    return TrainedNetwork(run, arch, run.recipe(), net, classes, place, int(tree["epoch"]))


def _weights(run: Run, last: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """The tree of the best weights, or of the last; it has the form of `trees.Kept`."""
    path = run.checkpoints / checkpoint.BEST
    if not last and path.exists():
        tree = checkpoint.load(path)
        check_form(Kept, path, tree)
        check_belongs(run, path, tree)
        return tree
    saved = saved_run(run, say)
    if saved is None:
        raise TrainingError(f"{run.folder} has no checkpoint yet")
    tree, epoch = saved.tree, saved.tree["position"]["epoch"]
    if epoch and not last:
        say(f"{path} is missing: the last weights stand in for the best")
    return {**tree, "model": tree["average"] or tree["model"], "epoch": epoch}


def read_image(path: Path, arch: Architecture, recipe: Recipe) -> Tensor:
    """A picture file as float32 (1, C, H, W), prepared as the run's own images were."""
    from archspec.data import DataError
    from archspec.data.augment import Augment
    from archspec.data.folder import read_file
    from archspec.data.pictures import Pictures
    from archspec.data.prepare import prepared

    channels, height, width = fitting.image_shape(arch)
    try:
        picture = read_file(path).convert("L" if channels == 1 else "RGB")
    except DataError as error:
        raise TrainingError(str(error)) from None
    row = torch.zeros(1, dtype=torch.long)
    stored = Pictures(row, None, [picture].__getitem__).load(row, (height, width))
    prepare = prepared(None, Augment(), recipe.normalize, channels, torch.device("cpu"))
    return prepare(stored, None, None)
