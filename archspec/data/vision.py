"""The usual small benchmarks, through torchvision's own classes, downloaded on first use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.data.errors import INSTALL, DataError
from archspec.data.registry import register

if TYPE_CHECKING:
    from archspec.data.pictures import PictureSets


@register("fashion_mnist")
def fashion_mnist(root: Path) -> PictureSets:
    """Clothes: 60,000 and 10,000 grey images of 28×28 in ten classes (Xiao et al. 2017)."""
    return _both("FashionMNIST", root)


@register("mnist")
def mnist(root: Path) -> PictureSets:
    """Written digits: 60,000 and 10,000 grey images of 28×28 (LeCun et al. 1998)."""
    return _both("MNIST", root)


@register("kmnist")
def kmnist(root: Path) -> PictureSets:
    """Cursive hiragana: 60,000 and 10,000 grey images of 28×28 (Clanuwat et al. 2018)."""
    return _both("KMNIST", root)


@register("cifar10")
def cifar10(root: Path) -> PictureSets:
    """Objects: 50,000 and 10,000 colour images of 32×32 in ten classes (Krizhevsky 2009)."""
    return _both("CIFAR10", root)


@register("cifar100")
def cifar100(root: Path) -> PictureSets:
    """Objects: 50,000 and 10,000 colour images of 32×32 in a hundred classes."""
    return _both("CIFAR100", root)


def _both(name: str, root: Path) -> PictureSets:
    from archspec.data.pictures import from_torchvision

    try:
        from torchvision import datasets
    except ImportError as error:
        raise DataError(f"this data set needs torchvision ({error})", INSTALL) from None
    kind = getattr(datasets, name)
    return from_torchvision(_part(kind, root, True), _part(kind, root, False))


def _part(kind: Any, root: Path, train: bool) -> Any:
    """One part of a data set, from the disk where it lies there."""
    try:
        return kind(root, train=train, download=True)
    # What torchvision raises for a host that cannot be reached, a broken file, a full disk.
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(": ") or type(error).__name__
        raise DataError(
            f"{kind.__name__} can neither be read from {root} nor downloaded: {reason}",
            f"with a network, torchvision.datasets.{kind.__name__}({str(root)!r}, download=True) "
            "fetches it; --data-root names another folder; --data digits needs no download",
        ) from None
