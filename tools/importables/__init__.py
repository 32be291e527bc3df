"""Networks of other packages that tools/import_zoo.py takes to specs, in groups.

Each module here has a function `models`, which says what its networks are without making one. A
package that is not installed leaves out the networks that need it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from comparing import SEED, patterns
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent.parent

MODULES = ("classifiers", "parts", "timm_networks", "transformers_networks")
GROUPS = {
    "classifiers": "torchvision's classifiers",
    "parts": "torchvision's networks for segmentation, video and detection",
    "files": "timm, the smallest model of each of its files",
    "sample": "timm, a hundred others drawn at random",
    "transformers": "transformers, with few layers",
}
"""What each group is."""


@dataclass(frozen=True)
class Given:
    """One input: the shape of a sample, and for whole numbers the bound that they stay below.

    Below 2 they are truth values.
    """

    shape: tuple[int, ...]
    below: int | None = None

    def drawn(self, batch: int, seed: int = SEED) -> Tensor:
        """Images have structure, since white noise looks the same to a network that averages."""
        generator = torch.Generator().manual_seed(seed)
        if self.below is not None:
            drawn = torch.randint(self.below, (batch, *self.shape), generator=generator)
            return drawn.bool() if self.below == 2 else drawn
        if len(self.shape) == 3:
            return patterns((batch, *self.shape))
        return torch.randn(batch, *self.shape, generator=generator)


@dataclass(frozen=True)
class Model:
    """A network, and the inputs to try it with: the first at which it runs are taken.

    `by_hand` is a spec that a person wrote for the same network. One that is not `initialised` has
    arbitrary values.
    """

    name: str
    group: str
    make: Callable[[], nn.Module]
    inputs: Sequence[tuple[Given, ...]]
    by_hand: Path | None = None
    initialised: bool = True


def images(*sizes: int) -> list[tuple[Given, ...]]:
    """One image of each of these sizes, the smallest first."""
    return [(Given((3, size, size)),) for size in sorted(set(sizes))]


def by_hand(name: str, *folders: str) -> Path | None:
    """The spec of this name that the project has in one of these folders, written by a person."""
    paths = [ROOT / folder / f"{name}.yaml" for folder in folders]
    return next((path for path in paths if path.is_file()), None)


def load() -> tuple[dict[str, Model], dict[str, str]]:
    """The networks by name, and the package that each module which is left out would need."""
    found: dict[str, Model] = {}
    missing: dict[str, str] = {}
    for module in MODULES:
        try:
            models = importlib.import_module(f"{__name__}.{module}").models()
        except ModuleNotFoundError as error:
            if "." in str(error.name):  # a part of a package that is installed
                raise
            missing[module] = str(error.name)
            continue
        found |= {model.name: model for model in models}
    return found, missing
