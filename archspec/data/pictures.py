"""Labelled pictures as a data set brings them, before they are split, kept or streamed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from archspec.data.errors import DataError, PictureError
from archspec.data.reading import PictureForm, plain
from archspec.data.resize import Resize
from archspec.data.unreadable import Fault

LABELS = ("targets", "labels", "_labels")
"""Where torchvision's classes keep their labels; asking for each item would decode pictures."""

LUMA = (19595, 38470, 7471)
"""Parts of red, green and blue in grey, in 65536ths: PIL's, after ITU-R 601-2."""


@dataclass(frozen=True)
class Pictures:
    """Pictures with a label each: as one `array` in memory, or as `read(i)` for picture i.

    labels: int64 (N,). array: uint8 (N, C, H, W). `read` gives a PIL image, a uint8 array
    (H, W[, C]) or a uint8 tensor (C, H, W); it is called in worker processes, and raises
    `PictureError` for a picture that is damaged. `look(i)`, where there is one, gives the form of
    picture i sooner than reading it would.
    """

    labels: Tensor
    array: Tensor | None = None
    read: Callable[[int], Any] | None = None
    look: Callable[[int], PictureForm] | None = None

    def __post_init__(self) -> None:
        if (self.array is None) == (self.read is None):
            raise ValueError("pictures are given by `array` or by `read`")

    def __len__(self) -> int:
        return len(self.labels)

    def form(self, row: int) -> PictureForm:
        """Channels, height and width of picture `row`. Raises `PictureError`."""
        if self.array is not None:
            return PictureForm(*self.array.shape[1:])
        if self.look is not None:
            return self.look(row)
        picture = self.picture(row)
        return PictureForm(1 if picture.mode == "L" else 3, picture.height, picture.width)

    def picture(self, row: int) -> Any:
        """Picture `row` of those that are read, as a PIL image in grey (L) or colour (RGB).

        Raises `PictureError`, and `DataError` for what is no picture at all.
        """
        assert self.read is not None
        return plain(as_pil(self.read(row)), f"number {row}")

    def load(self, rows: Sequence[int], channels: int, resize: Resize) -> LoadedPictures:
        """Pictures `rows` with 1 (grey) or 3 channels (colour), in their order.

        Those of an array keep their size, to be resized where they are used; those that are read
        come in their final size. Raises `DataError`.
        """
        if self.array is not None:
            return LoadedPictures(with_channels(self.array[list(rows)], channels), [])
        transform, mode = _transform(resize), {1: "L", 3: "RGB"}[channels]
        tensors: list[Tensor] = []

        def load_one(row: int) -> None:
            picture = self.picture(row)
            tensors.append(transform(picture if picture.mode == mode else picture.convert(mode)))

        bad = for_each_readable(rows, load_one)
        return LoadedPictures(_stacked(tensors), bad)


def for_each_readable(rows: Sequence[int], act: Callable[[int], object]) -> list[Fault]:
    """Does something with each picture, by its row; returns those that cannot be read."""
    bad = []
    for row in rows:
        try:
            act(row)
        except PictureError as error:
            bad.append(Fault(row, error.line))
    return bad


class LoadedPictures(NamedTuple):
    """uint8 (n, C, H, W) of the pictures that can be read, and those that cannot."""

    images: Tensor
    bad: list[Fault]


class PictureSets(NamedTuple):
    """What a data set brings. Without `test`, a fifth of the training pictures is split off.

    `notes` are lines on how it was understood.
    """

    classes: tuple[str, ...]
    train: Pictures
    test: Pictures | None = None
    validation: Pictures | None = None
    notes: tuple[str, ...] = ()


def _transform(resize: Resize) -> Callable[[Any], Tensor]:
    from torchvision.transforms import v2

    steps: list[Any] = [] if resize is None else [v2.Resize(list(resize))]
    transform: Callable[[Any], Tensor] = v2.Compose([*steps, v2.PILToTensor()])
    return transform


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    odd = next((t for t in tensors if t.shape != tensors[0].shape), None)
    if odd is not None:
        sizes = " and ".join(f"{t.shape[1]}×{t.shape[2]}" for t in (tensors[0], odd))
        raise differ_in_size(f" ({sizes})")
    return torch.stack(list(tensors)) if tensors else torch.empty(0, 1, 1, 1, dtype=torch.uint8)


def differ_in_size(sizes: str = "") -> DataError:
    """The error for pictures of several sizes that nothing brings to one."""
    return DataError(f"the pictures differ in size{sizes}", "bring them to one: --resize 224")


def with_channels(images: Tensor, channels: int) -> Tensor:
    """uint8 (N, C, H, W) with that many channels, of 1 or 3: the bytes of PIL's `convert`."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.repeat(1, 3, 1, 1)
    grey = torch.empty(len(images), 1, *images.shape[2:], dtype=torch.uint8)
    # Some at a time: whole numbers of 32 bits take four times the memory.
    for start in range(0, len(images), 256):
        red, green, blue = images[start : start + 256].int().unbind(1)
        grey[start : start + 256, 0] = (
            red * LUMA[0] + green * LUMA[1] + blue * LUMA[2] + 0x8000
        ) >> 16
    return grey


def from_torchvision(train: Any, test: Any = None, validation: Any = None) -> PictureSets:
    """The pictures of torchvision-style data sets: `len(d)`, `d[i]` is (picture, class number).

    Class names are its `classes` where it has them. Raises `DataError` for other labels.
    """
    first = _pictures(train)
    others = [None if data is None else _pictures(data) for data in (test, validation)]
    sets = (first, *others)
    count = 1 + max(int(p.labels.max()) for p in sets if p is not None and len(p))
    classes = tuple(map(str, getattr(train, "classes", ()) or ()))
    if len(classes) < count:
        classes = tuple(map(str, range(count)))
    return PictureSets(classes, first, others[0], others[1])


def _pictures(data: Any) -> Pictures:
    labels = _labels(data)
    array = None if getattr(data, "transforms", None) else _array(data, len(labels))
    return Pictures(labels, array) if array is not None else Pictures(labels, None, _Items(data))


class _Items:
    """`read` of a torchvision-style data set; a class, so that worker processes can receive it."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __call__(self, row: int) -> Any:
        return _item(self.data, row)[0]


def _item(data: Any, row: int) -> Any:
    try:
        return data[row]
    # What PIL raises for a file that is cut off, and the system for one that is not there.
    except OSError as error:
        reason = str(error).partition("\n")[0]
        raise PictureError(f"number {row} of {type(data).__name__}", reason) from None


def _labels(data: Any) -> Tensor:
    found = next((getattr(data, name) for name in LABELS if hasattr(data, name)), None)
    values = [_item(data, i)[1] for i in range(len(data))] if found is None else found
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


def as_pil(item: Any) -> Any:
    """The PIL image of what `read` gave. Raises `DataError`."""
    from PIL import Image

    if isinstance(item, Image.Image):
        return item
    array = item.numpy() if isinstance(item, Tensor) else item
    if getattr(array, "dtype", None) != "uint8":
        raise DataError(
            "pictures must be PIL images or uint8 arrays, with values of 0 to 255",
            "leave out the data set's own `transform`: resizing and scaling follow here",
        )
    if isinstance(item, Tensor) and array.ndim == 3:
        array = array.transpose(1, 2, 0)
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)
