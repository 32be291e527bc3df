"""What training code sees of a data set, however it is kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from archspec.data.fingerprint import Fingerprint


class Split(ABC):
    """Some images with their labels. `labels` is int64 (N,) on the CPU.

    `rows` gives each example's number in the whole data set, int64 (N,): it stays the same
    whatever `limit_train` and the other splits are.
    """

    def __init__(self, labels: Tensor, rows: Tensor) -> None:
        self.labels, self.rows = labels, rows

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self,
        batch_size: int,
        *,
        order: Tensor | None = None,
        start: int = 0,
        device: torch.device | str,
        training: bool = False,
        generator: torch.Generator | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of float32 (N, C, H, W) images with int64 (N,) labels on `device`.

        `order` gives positions in this split, in the order to be seen (all of them, in theirs,
        where None); `start` examples of it have been seen already. The last batch may be smaller.
        Images are augmented while `training`, by the *seed* of `generator` and the number of each
        example alone: so give it another seed each epoch, and cutting, sharing or resuming the
        epoch changes no image. The generator itself is not advanced.
        """
        import torch

        if order is None:
            order = torch.arange(len(self))
        seed = None
        if training:
            seed = 0 if generator is None else generator.initial_seed()
        return self._batches(order[start:], batch_size, torch.device(device), seed)

    @property
    def device(self) -> torch.device | None:
        """Where all images lie; None where they are streamed."""
        return None

    def gather(self, positions: Tensor, seed: int | Tensor | None) -> tuple[Tensor, Tensor]:
        """The images and labels at int64 `positions` (N,), all on `device`, as `batches` has them.

        Nothing waits for the device. Images are augmented where there is a seed.
        """
        raise NotImplementedError("these images do not lie on one device")

    @abstractmethod
    def _batches(
        self, positions: Tensor, batch_size: int, device: torch.device, seed: int | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of `positions` (int64 on the CPU), augmented where there is a seed."""


@dataclass(frozen=True)
class Data:
    """A data set ready for training: three splits of images of one size.

    `validation` may be empty. `statement` says how the images are kept, and why; `notes` are lines
    on what a user should know of them: channels that were converted, pictures that were left out,
    classes without images. `fingerprint` identifies the data, where it was asked for.
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    height: int
    width: int
    train: Split
    validation: Split
    test: Split
    statement: str
    notes: tuple[str, ...] = ()
    fingerprint: Fingerprint | None = None
