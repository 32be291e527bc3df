"""Labelled pictures as a data set brings them, before they are split, kept or streamed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from archspec.data.errors import DataError
from archspec.data.resize import Resize, fitted

LABELS = ("targets", "labels", "_labels")
"""Where torchvision's classes keep their labels; asking for each item would decode pictures."""

PROBES = 32
"""Pictures looked at to learn the sizes and channels of a set that is read one by one."""


@dataclass(frozen=True)
class Pictures:
    """Pictures with a label each: as one `array` in memory, or as `read(i)` for picture i.

    labels: int64 (N,). array: uint8 (N, C, H, W). `read` gives a PIL image, a uint8 array
    (H, W[, C]) or a uint8 tensor (C, H, W); it is called in worker processes. `channels` (1 grey,
    3 colour) is what they are brought to: colour where some are coloured, if it is not given.
    """

    labels: Tensor
    array: Tensor | None = None
    read: Callable[[int], Any] | None = None
    channels: int | None = None

    def __post_init__(self) -> None:
        if (self.array is None) == (self.read is None):
            raise ValueError("pictures are given by `array` or by `read`")

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def shape(self) -> tuple[int, int | None, int | None]:
        """Channels, height and width; no height and width where pictures differ in size."""
        if self.array is not None:
            _, channels, height, width = self.array.shape
            return channels, height, width
        step = max(1, len(self) // PROBES)
        shapes = [_form(self._item(i)) for i in range(0, len(self), step)]
        channels = self.channels or max(shape[0] for shape in shapes)
        sizes = {shape[1:] for shape in shapes}
        return (channels, *sizes.pop()) if len(sizes) == 1 else (channels, None, None)

    def load(self, rows: Tensor, resize: Resize) -> Tensor:
        """Pictures `rows` as uint8 (n, C, H, W).

        Those of an array keep their size, to be resized where they are used; those that are read
        come in their final size. Raises `DataError`.
        """
        if self.array is not None:
            return self.array[rows]
        transform = self._transform(resize)
        tensors = [self._read(row, transform) for row in rows.tolist()]
        odd = next((t for t in tensors if t.shape != tensors[0].shape), None)
        if odd is not None:
            sizes = " and ".join(f"{t.shape[1]}×{t.shape[2]}" for t in (tensors[0], odd))
            raise DataError(
                f"the pictures differ in size ({sizes})", "bring them to one: --resize 224"
            )
        return torch.stack(tensors)

    def _transform(self, resize: Resize) -> Callable[[Any], Tensor]:
        from torchvision.transforms import v2

        steps: list[Any] = []
        if isinstance(resize, int):
            steps = [v2.Resize(resize), v2.CenterCrop(resize)]
        elif resize is not None:
            steps = [v2.Resize(list(resize))]
        transform: Callable[[Any], Tensor] = v2.Compose([*steps, v2.PILToTensor()])
        return transform

    def _read(self, row: int, transform: Callable[[Any], Tensor]) -> Tensor:
        return transform(as_pil(self._item(row), self.shape[0]))

    def _item(self, row: int) -> Any:
        assert self.read is not None
        return self.read(row)


class PictureSets(NamedTuple):
    """What a data set brings. Without `test`, a fifth of the training pictures is split off."""

    classes: tuple[str, ...]
    train: Pictures
    test: Pictures | None = None
    validation: Pictures | None = None


def from_torchvision(train: Any, test: Any = None, validation: Any = None) -> PictureSets:
    """The pictures of torchvision-style data sets: `len(d)`, `d[i]` is (picture, class number).

    Class names are its `classes` where it has them. Raises `DataError` for other labels.
    """
    sets = [d if d is None else _pictures(d) for d in (train, test, validation)]
    first = sets[0]
    assert first is not None
    count = 1 + max(int(p.labels.max()) for p in sets if p is not None and len(p))
    classes = tuple(map(str, getattr(train, "classes", ()) or ()))
    if len(classes) < count:
        classes = tuple(map(str, range(count)))
    return PictureSets(classes, first, *sets[1:])


def _pictures(data: Any) -> Pictures:
    labels = _labels(data)
    array = None if getattr(data, "transforms", None) else _array(data, len(labels))
    return Pictures(labels, array) if array is not None else Pictures(labels, None, _Items(data))


class _Items:
    """`read` of a torchvision-style data set; a class, so that worker processes can receive it."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __call__(self, row: int) -> Any:
        return self.data[row][0]


def _labels(data: Any) -> Tensor:
    found = next((getattr(data, name) for name in LABELS if hasattr(data, name)), None)
    values = [data[i][1] for i in range(len(data))] if found is None else found
    try:
        labels = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        labels = torch.empty(0, 0)
    if labels.ndim != 1 or labels.is_floating_point() or len(labels) != len(data):
        raise DataError(f"{type(data).__name__} has no class number for each picture")
    if len(labels) and int(labels.min()) < 0:
        raise DataError(f"{type(data).__name__} has pictures without a class (label below 0)")
    return labels.to(torch.int64)


def _array(data: Any, count: int) -> Tensor | None:
    """All pictures of a set that keeps them in memory, as uint8 (N, C, H, W)."""
    held: Any = getattr(data, "data", None)
    if getattr(held, "shape", None) is None or len(held) != count:
        return None
    array = torch.as_tensor(held)
    if array.dtype != torch.uint8 or array.ndim not in (3, 4):
        return None
    if array.ndim == 3:
        return array[:, None].contiguous()
    if array.shape[1] in (1, 3):
        return array.contiguous()
    return array.permute(0, 3, 1, 2).contiguous() if array.shape[3] in (1, 3) else None


def _form(item: Any) -> tuple[int, int, int]:
    """Channels (1 for grey, 3 otherwise), height and width of what `read` gave."""
    picture = as_pil(item, None)
    grey = picture.mode in ("1", "L", "LA")
    return 1 if grey else 3, picture.height, picture.width


def as_pil(item: Any, channels: int | None) -> Any:
    """A PIL image with that many channels (its own where None). Raises `DataError`."""
    from PIL import Image

    if not isinstance(item, Image.Image):
        array = item.numpy() if isinstance(item, Tensor) else item
        if getattr(array, "dtype", None) != "uint8":
            raise DataError(
                "pictures must be PIL images or uint8 arrays, with values of 0 to 255",
                "leave out the data set's own `transform`: resizing and scaling follow here",
            )
        if isinstance(item, Tensor) and array.ndim == 3:
            array = array.transpose(1, 2, 0)
        item = Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array)
    modes = {1: "L", 3: "RGB"}
    return (
        item if channels is None or item.mode == modes[channels] else item.convert(modes[channels])
    )


def size_after(shape: tuple[int, int | None, int | None], resize: Resize) -> tuple[int, int, int]:
    """Channels, height and width of pictures of `shape` after `resize`. Raises `DataError`."""
    channels, height, width = shape
    if height is None or width is None:
        if resize is None:
            raise DataError("the pictures differ in size", "bring them to one: --resize 224")
        return (channels, *((resize, resize) if isinstance(resize, int) else resize))
    return (channels, *fitted(height, width, resize))
