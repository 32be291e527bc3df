"""Grey or colour: decided by the network, else by every picture; converted as PIL does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from samples import folder, from_pil, noise, save, to_pil

from archspec.data import DataError, open_dataset, read_images, register, registry
from archspec.data.pictures import from_torchvision, with_channels


@pytest.fixture
def entries(monkeypatch) -> None:
    registry.names()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))


def mixed(path: Path, grey: int, colour: int) -> str:
    for number in range(grey + colour):
        image = noise(1 if number < grey else 3, 6, 6, seed=number)
        save(image, path / "ab"[number % 2] / f"{number:03}.png")
    return f"image_folder:{path}"


def test_one_colour_picture_among_many_is_seen(tmp_path: Path) -> None:
    name = mixed(tmp_path, 399, 1)
    data = open_dataset(name)
    assert data.channels == 3
    assert data.notes == ("channels: 399 of 400 pictures are grey and get three equal channels",)
    assert open_dataset(name, limit_train=8, limit_test=8).channels == 3


@pytest.mark.parametrize("resident", [True, False])
def test_files_are_converted_as_asked(tmp_path: Path, resident: bool) -> None:
    name = mixed(tmp_path, 12, 8)
    grey = open_dataset(name, channels=1, resident=resident, validation=0)
    assert grey.channels == 1
    assert grey.notes == ("channels: 8 of 20 pictures are in colour and are made grey",)
    images, _ = next(grey.train.batches(99, device="cpu"))
    every = sorted((tmp_path / "a").iterdir()) + sorted((tmp_path / "b").iterdir())
    expected = [from_pil(Image.open(every[row]).convert("L")) for row in grey.train.rows]
    assert torch.equal((images * 255).round(), torch.stack(expected).float())
    colour = open_dataset(name, channels=3, resident=resident)
    assert colour.notes == ("channels: 12 of 20 pictures are grey and get three equal channels",)


@pytest.mark.parametrize("resident", [True, False])
def test_arrays_are_converted_to_the_bytes_of_pil(entries, resident: bool) -> None:
    values = noise(300, 7, 5, 3)

    class Held(SimpleNamespace):
        def __len__(self) -> int:
            return 300

    register("held")(lambda root: from_torchvision(Held(data=values, targets=[0, 1] * 150)))
    data = open_dataset("held", channels=1, resident=resident, validation=0)
    assert data.notes == ("channels: all 300 pictures are in colour and are made grey",)
    images, _ = next(data.train.batches(300, device="cpu"))
    expected = [from_pil(Image.fromarray(values[i].numpy()).convert("L")) for i in data.train.rows]
    assert torch.equal((images * 255).round(), torch.stack(expected).float())


def test_every_colour_becomes_the_grey_of_pil() -> None:
    cube = torch.cartesian_prod(*[torch.arange(0, 256, 5, dtype=torch.uint8)] * 3)
    image = cube.T.reshape(3, 52, 52 * 52)
    assert torch.equal(with_channels(image[None], 1)[0], from_pil(to_pil(image).convert("L")))


def test_grey_digits_for_a_colour_network() -> None:
    grey, colour = open_dataset("digits", resize=12), open_dataset("digits", channels=3, resize=12)
    assert colour.channels == 3
    assert colour.notes == ("channels: all 1,797 pictures are grey and get three equal channels",)
    a, b = (next(data.test.batches(400, device="cpu"))[0] for data in (grey, colour))
    assert torch.equal(b, a.expand(-1, 3, -1, -1))
    assert grey.notes == ()


def test_what_cannot_be_converted_is_refused(entries, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"images of 1 channel cannot be brought to 4: grey \(1\)"):
        open_dataset("digits", channels=4)
    save(noise(3, 4, 4), tmp_path / "x.png")
    with pytest.raises(DataError, match="pictures have 1 channel"):
        read_images([tmp_path / "x.png"], channels=2, resize=4)


def test_read_images_squashes_as_training_does(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 12, "b": 12}, size=(40, 90))
    data = open_dataset(f"image_folder:{tmp_path}", resize=32, validation=0)
    images, _ = next(data.train.batches(99, device="cpu"))
    every = sorted((tmp_path / "a").iterdir()) + sorted((tmp_path / "b").iterdir())
    read = read_images([every[row] for row in data.train.rows], channels=3, resize=32)
    assert torch.equal(read, images)
    by_pil = Image.open(every[0]).resize((32, 32), Image.Resampling.BILINEAR)
    first = read_images([every[0]], channels=3, resize=32)
    assert torch.equal((first[0] * 255).round(), from_pil(by_pil).float())
