"""Data sets of torchvision's kind: the bundled ones, and those that a user registers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from fashion_mnist import find_root
from samples import noise, to_pil
from torchvision import datasets

from archspec.data import DataError, names, open_dataset, register, registry
from archspec.data.pictures import from_torchvision


@pytest.fixture
def entries(monkeypatch) -> None:
    """Registrations that end with the test."""
    names()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))


class Pairs:
    """A torchvision-style data set: pairs of a PIL image and a class number."""

    classes = ("no", "yes")

    def __init__(self, count: int) -> None:
        self.images = noise(count, 3, 6, 7)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int):
        return to_pil(self.images[index]), index % 2


def test_a_registered_set_is_opened_by_its_name(entries, tmp_path: Path) -> None:
    seen = []

    @register("pairs")
    def pairs(root: Path):
        seen.append(root)
        return from_torchvision(Pairs(40), Pairs(10))

    data = open_dataset("pairs", tmp_path)
    assert seen == [tmp_path] and "pairs" in names()
    assert data.classes == ("no", "yes") and (data.channels, data.height, data.width) == (3, 6, 7)
    images, labels = next(data.test.batches(10, device="cpu"))
    assert torch.equal((images * 255).round(), Pairs(10).images.float())
    assert labels.tolist() == [0, 1] * 5
    with pytest.raises(ValueError, match="there is a data set 'pairs' already"):
        register("pairs")(pairs)


def test_a_package_brings_sets_through_an_entry_point(entries, monkeypatch) -> None:
    def load() -> None:
        register("from_a_package")(lambda root: from_torchvision(Pairs(20)))

    def entry_points(group: str):
        return [SimpleNamespace(load=load)] if group == "archspec.datasets" else []

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    registry._load_plugins.cache_clear()
    assert len(open_dataset("from_a_package").test) == 4


def layouts():
    grey, colour = noise(20, 9, 9), noise(20, 9, 9, 3)
    labels = [i % 3 for i in range(20)]
    yield "mnist", SimpleNamespace(data=grey, targets=torch.tensor(labels)), grey[:, None]
    yield "cifar", SimpleNamespace(data=colour.numpy(), targets=labels), colour.permute(0, 3, 1, 2)
    channels_first = np.ascontiguousarray(colour.permute(0, 3, 1, 2).numpy())
    svhn = SimpleNamespace(data=channels_first, labels=np.array(labels))
    yield "svhn", svhn, colour.permute(0, 3, 1, 2)


@pytest.mark.parametrize(("name", "held", "expected"), list(layouts()))
def test_arrays_of_every_layout_are_kept_whole(name: str, held, expected) -> None:
    kind = type(name, (SimpleNamespace,), {"__len__": lambda self: 20})
    sets = from_torchvision(kind(**vars(held)))
    assert torch.equal(sets.train.array, expected)
    assert sets.train.labels.tolist() == [i % 3 for i in range(20)]
    assert sets.classes == ("0", "1", "2")


def test_what_is_no_picture_or_has_no_class_is_refused(entries) -> None:
    class Floats(Pairs):
        def __getitem__(self, index: int):
            return self.images[index] / 255, 0

    class Boxes(Pairs):
        def __getitem__(self, index: int):
            return to_pil(self.images[index]), [0.0, 1.0]

    register("floats")(lambda root: from_torchvision(Floats(10)))
    register("boxes")(lambda root: from_torchvision(Boxes(10)))
    with pytest.raises(DataError, match="PIL images or uint8 arrays"):
        open_dataset("floats")
    with pytest.raises(DataError, match="Boxes has no class number for each picture"):
        open_dataset("boxes")


def test_fashion_mnist_is_torchvisions() -> None:
    root = find_root()
    data = open_dataset("fashion_mnist", str(root), validation=0)
    reference = datasets.FashionMNIST(root, train=False, download=False)
    images, labels = next(data.test.batches(len(reference), device="cpu"))
    assert torch.equal(images, reference.data[:, None].float() / 255)
    assert torch.equal(labels, reference.targets)
    assert data.classes[:2] == ("T-shirt/top", "Trouser")
    assert len(data.train) == len(datasets.FashionMNIST(root, train=True, download=False))


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist", "kmnist", "cifar10", "cifar100"])
def test_without_a_network_the_message_says_what_to_do(name, tmp_path, monkeypatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setattr("urllib.request.urlretrieve", unreachable)
    with pytest.raises(DataError) as error:
        open_dataset(name, tmp_path)
    assert str(tmp_path) in error.value.message and "nor downloaded" in error.value.message
    assert "--data-root" in (error.value.help or "")
