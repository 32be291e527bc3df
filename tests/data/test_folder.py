"""People's own pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from samples import folder, from_pil, noise, save, to_pil
from torchvision.transforms import Resize as TorchvisionResize

from archspec.data import Data, DataError, open_dataset, read_images


def opened(path: Path, **arguments: object) -> Data:
    return open_dataset(f"image_folder:{path}", **arguments)  # type: ignore[arg-type]


def refused(path: Path, **arguments: object) -> str:
    with pytest.raises(DataError) as error:
        data = opened(path, **arguments)
        list(data.train.batches(4, device="cpu"))
    return str(error.value).replace(str(path), "PATH")


def pixels(split) -> torch.Tensor:
    return torch.cat([images for images, _ in split.batches(5, device="cpu")])


def test_one_folder_is_split_and_resized_by_pil(tmp_path: Path) -> None:
    folder(tmp_path, {"cat": 20, "dog": 15})
    (tmp_path / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / ".cache").mkdir()
    data = opened(tmp_path, resize=16)
    assert data.classes == ("cat", "dog")
    assert (data.channels, data.height, data.width) == (3, 16, 16)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [25, 3, 7]
    files = sorted((tmp_path / "cat").glob("*.png")) + sorted((tmp_path / "dog").glob("*.png"))
    for row, image, label in zip(
        data.train.rows, pixels(data.train), data.train.labels, strict=True
    ):
        resized = TorchvisionResize((16, 16))(Image.open(files[row]))
        assert torch.equal((image * 255).round(), from_pil(resized).float())
        assert data.classes[label] == files[row].parent.name


def test_given_splits_are_kept(tmp_path: Path) -> None:
    folder(tmp_path / "train", {"a": 10, "b": 10})
    folder(tmp_path / "val", {"b": 3})
    data = opened(tmp_path, validation=0.2)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [16, 4, 3]
    assert data.test.labels.tolist() == [1, 1, 1]
    folder(tmp_path / "test", {"a": 5})
    data = opened(tmp_path)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [20, 3, 5]
    assert (data.height, data.width) == (20, 24)


@pytest.mark.parametrize("resident", [True, False])
def test_sizes_and_colours_are_brought_together(tmp_path: Path, resident: bool) -> None:
    folder(tmp_path, {"a": 4}, size=(10, 30))
    folder(tmp_path, {"b": 4}, size=(40, 20))
    save(noise(1, 25, 25), tmp_path / "a" / "grey.png")
    to_pil(noise(3, 9, 9)).convert("P").save(tmp_path / "b" / "palette.gif")
    data = opened(tmp_path, resize=(8, 12), resident=resident)
    assert pixels(data.train).shape[1:] == (3, 8, 12)


def test_grey_pictures_stay_grey(tmp_path: Path) -> None:
    for i in range(6):
        save(noise(1, 8, 8, seed=i), tmp_path / "ab"[i % 2] / f"{i}.png")
    assert opened(tmp_path).channels == 1


def test_pictures_are_turned_the_right_way_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    image = noise(3, 6, 9)
    to_pil(image).save(tmp_path / "x.png", exif=exif)
    read = read_images([tmp_path / "x.png"], channels=3, resize=(9, 6))
    assert torch.equal((read[0] * 255).round(), image.rot90(-1, (1, 2)).float())
    grey = read_images([tmp_path / "x.png"], channels=1, resize=4)
    assert grey.shape == (1, 1, 4, 4)


def test_mistakes_are_explained(tmp_path: Path) -> None:
    assert refused(tmp_path / "none") == "there is no folder PATH"
    assert refused(tmp_path) == (
        "PATH holds no folders\n  help: put the pictures of each class in PATH/CLASS/"
    )
    folder(tmp_path, {"a": 6}, size=(10, 30))
    folder(tmp_path, {"b": 6}, size=(40, 20))
    assert refused(tmp_path) == (
        "the pictures differ in size\n  help: bring them to one: --resize 224"
    )
    folder(tmp_path / "parts" / "train", {"a": 6, "b": 6})
    folder(tmp_path / "parts" / "test", {"c": 6})
    assert refused(tmp_path / "parts") == "PATH/test/c: there is no class 'c' to train on"
    (tmp_path / "parts" / "test" / "c").rename(tmp_path / "c")
    (tmp_path / "parts" / "test" / "a").mkdir()
    assert refused(tmp_path / "parts") == (
        "PATH/test holds no pictures (.bmp .gif .jpeg .jpg .pbm .pgm .png .ppm .tif .tiff .webp)"
    )


@pytest.mark.parametrize("resident", [True, False])
def test_a_truncated_picture_is_named(tmp_path: Path, resident: bool) -> None:
    folder(tmp_path / "train", {"a": 40, "b": 40}, size=(40, 40))
    folder(tmp_path / "test", {"a": 4, "b": 4}, size=(40, 40))
    file = tmp_path / "train" / "b" / "001.png"
    file.write_bytes(file.read_bytes()[:900])
    message = refused(tmp_path, resize=16, validation=0, resident=resident)
    assert message.startswith("cannot read the picture PATH/train/b/001.png: ")
    assert "Traceback" not in message


def test_a_picture_of_another_size_is_found_wherever_it_lies(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 90, "b": 2}, size=(8, 8))
    save(noise(3, 9, 8), tmp_path / "a" / "001.png")
    assert refused(tmp_path) == (
        "the pictures differ in size\n  help: bring them to one: --resize 224"
    )
