"""A trained network, from its run folder alone: evaluated on data, asked about pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

import archspec
from archspec.data.opening import nothing_shown
from archspec.data.text import one_line
from archspec.recipe.recipe import Recipe
from archspec.training import compatibility, state, tuning
from archspec.training.device import WithReason, autocast, choose_device, usable_precision
from archspec.training.distributed import Processes
from archspec.training.errors import TrainingError
from archspec.training.evaluate import Evaluation, evaluate
from archspec.training.layouts import FORMATS
from archspec.training.loss import Loss
from archspec.training.resume import check_belongs, saved_run
from archspec.training.store import checkpoint
from archspec.training.store.runs import Run, open_run
from archspec.training.store.trees import Kept, check_form

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.data import Data
    from archspec.data.survey import Progress
    from archspec.exporting import Exported


CONVERTED = {
    1: "the network takes grey images, and pictures in colour are made grey",
    3: "the network takes colour images, and grey pictures get three equal channels",
}


def _layout_of(recipe: Recipe) -> str:
    """The layout that the run evaluated in; of a run that does not say so, that of its training."""
    found = (recipe.evaluation_memory_format, recipe.memory_format)
    return next((each for each in found if each != "auto"), "contiguous")


def _some(names: Sequence[str]) -> str:
    return one_line(f"{', '.join(names[:3])}{', …' if len(names) > 3 else ''}")


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
        main, names = compatibility.outputs_of(self.arch)
        return Loss(self.recipe, main, names)

    @cached_property
    def precision(self) -> WithReason:
        """The run's, as far as the device computes in it."""
        return usable_precision(self.recipe.precision, self.device)

    @property
    def precision_note(self) -> str | None:
        """What to say where that is another than the run's."""
        used, why = self.precision
        if self.recipe.precision in ("auto", used):
            return None
        return f"computing in {used}, not in the run's {self.recipe.precision}: {why}"

    @property
    def layout(self) -> torch.memory_format:
        """Of images in memory, as when the run evaluated."""
        return FORMATS[_layout_of(self.recipe)]

    @property
    def size(self) -> compatibility.Size:
        return compatibility.image_size(self.arch, None)

    def evaluate(
        self,
        dataset: str | None = None,
        data_root: str | None = None,
        say: Callable[[str], None] = print,
        *,
        skip_unreadable: bool | None = None,
        progress: Progress = nothing_shown,
    ) -> Evaluation:
        """Its figures on the test images of its own data, or of another data set.

        `say` gets a line where that has other names for its classes, or where pictures had to be
        converted or left out. `skip_unreadable` is the recipe's where it is None.

        Raises `SpecError` where that has another number of classes.
        """
        data = self._open(dataset, data_root, skip_unreadable, progress)
        for note in data.notes:
            say(note)
        compatibility.check_data(self.arch, data.name, data.channels, len(data.classes))
        if tuple(data.classes) != self.classes:
            say(
                f"the classes of {data.name} are {_some(data.classes)}; the network was trained on "
                f"{_some(self.classes)}, and they are compared by their numbers"
            )
        if self.precision_note:
            say(self.precision_note)
        most = 2**22 // (data.channels * data.height * data.width)
        if self.recipe.accumulate > 1 and self.recipe.batch_size != "auto":
            # Training had no room for more, without the gradients that evaluation does not keep.
            world = self.run.about().get("world", 1)
            most = min(most, self.recipe.batch_size // (self.recipe.accumulate * world))
        batch = max(1, min(256, most))
        return evaluate(
            self.net,
            data.test,
            self.loss,
            classes=len(data.classes),
            batch_size=batch,
            device=self.device,
            precision=self.precision.value,
            layout=self._fastest_layout(len(data.test), min(batch, 32), say),
        )

    def _fastest_layout(
        self, images: int, batch: int, say: Callable[[str], None]
    ) -> torch.memory_format:
        """By measuring where that pays; the machine may be another than the run's."""
        if self.device.type != "cpu" or self.recipe.deterministic:
            return self.layout
        shape = (batch, *compatibility.image_shape(self.arch))
        passes = tuning.ForwardPasses(self.net, shape, images, self.precision.value, self.device)
        found = tuning.choose_evaluation_layout(passes, _layout_of(self.recipe))
        if found is None:
            return self.layout
        say(f"evaluating: {found.value} ({found.why})")
        return FORMATS[found.value]

    def export(
        self,
        path: Path,
        *,
        format: str = "onnx",
        dynamic: str | Sequence[str] | None = None,
        opset: int | None = None,
    ) -> Exported:
        """Writes the network to a file, as `Architecture.export`, with what it asks of pictures.

        The metadata `archspec.preprocessing` has it as JSON, with the classes: pixels of 0 to 255
        in so many `channels` are resized to `height` and `width` and multiplied by `scale`; then
        each channel loses its `mean` and is divided by its `std`.
        """
        channels, height, width = compatibility.image_shape(self.arch)
        normalize = self.recipe.normalize
        asked = {
            "channels": channels,
            "height": height,
            "width": width,
            "interpolation": "bilinear",
            "scale": 1 / 255,
            "mean": [0.0] * channels if normalize is None else list(normalize.mean),
            "std": [1.0] * channels if normalize is None else list(normalize.std),
            "classes": list(self.classes),
        }
        return self.arch.export(
            path,
            format=format,
            weights={key: value.cpu() for key, value in self.net.state_dict().items()},
            dynamic=dynamic,
            opset=opset,
            metadata={
                "archspec.preprocessing": json.dumps(asked),
                "archspec.run": json.dumps({"name": self.run.folder.name, "epoch": self.epoch}),
            },
        )

    def _open(
        self,
        dataset: str | None,
        data_root: str | None,
        skip_unreadable: bool | None,
        progress: Progress,
    ) -> Data:
        from archspec.data import open_dataset

        recipe = self.recipe
        own = dataset in (None, recipe.dataset)  # the limits of training are for its own data
        return open_dataset(
            dataset or recipe.dataset,
            data_root or self.run.about()["data_root"],
            resize=self.size,
            channels=compatibility.channels_of_pictures(self.arch),
            seed=recipe.seed,
            validation=recipe.validation,
            limit_train=recipe.limit_train if own else None,
            limit_test=recipe.limit_test if own else None,
            skip_unreadable=recipe.skip_unreadable if skip_unreadable is None else skip_unreadable,
            normalize=recipe.normalize,
            device=self.device,
            progress=progress,
        )

    @torch.no_grad()
    def predict(
        self, path: Path, most: int = 5, say: Callable[[str], None] = lambda line: None
    ) -> list[Guess]:
        """The likeliest classes of a picture, the likeliest first. Raises `TrainingError`.

        `say` gets a line where it is brought to another number of channels. The line is the same
        for all such pictures.
        """
        from archspec.data.reading import look

        image = read_image(path, self.arch, self.recipe).to(self.device)
        if look(path).channels != image.shape[1]:
            say(CONVERTED[image.shape[1]])
        with autocast(self.precision.value, self.device):
            output = self.net(image.contiguous(memory_format=self.layout))
        logits = self.loss.logits(output).float()
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
    """The network of a run folder. `say` gets a line where other weights than asked for are used.

    `module` nodes may run code of the packages in `allow_modules` only, as when it was trained.
    Raises `TrainingError`, and `SpecError` for its spec and recipe.
    """
    run = open_run(folder)
    place = choose_device(device, Processes())
    tree = _weights(run, last, say)
    arch = archspec.load(run.spec, allow_modules=allow_modules, warn=False)
    net = arch.build(device=place, seed=0).eval()
    state.load_weights(net, tree["model"])
    classes, recipe = tuple(tree["classes"]), run.recipe()
    net.to(memory_format=FORMATS[_layout_of(recipe)])
    return TrainedNetwork(run, arch, recipe, net, classes, place, int(tree["epoch"]))


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
    """A picture file as float32 (1, C, H, W), prepared as the run's own images were.

    Raises `TrainingError`.
    """
    from archspec.data import DataError, read_images

    channels, height, width = compatibility.image_shape(arch)
    try:
        return read_images(
            [path], channels=channels, resize=(height, width), normalize=recipe.normalize
        )
    except DataError as error:
        raise TrainingError(str(error)) from None
