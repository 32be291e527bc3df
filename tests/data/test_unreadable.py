"""Pictures that cannot be read: all named at once, or left out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from samples import folder, noise, to_pil

from archspec.data import Data, DataError, open_dataset, read_images, register, registry
from archspec.data.pictures import from_torchvision

REPAIR = "repair or remove them; --skip-unreadable goes on without them"
NO_PICTURE = "it is no picture in BMP, GIF, JPEG, PNG, PPM, TIFF or WEBP, or damaged"


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """60 pictures, of which one is a text, one is empty, and one cut off in the middle."""
    folder(tmp_path, {"a": 30, "b": 30}, size=(40, 40))
    (tmp_path / "a" / "003.png").write_text("no picture")
    (tmp_path / "a" / "004.png").write_bytes(b"")
    cut = tmp_path / "b" / "005.png"
    cut.write_bytes(cut.read_bytes()[:900])
    return tmp_path


def opened(path: Path, **arguments) -> Data:
    return open_dataset(f"image_folder:{path}", **arguments)


def files(data: Data, path: Path) -> set[str]:
    every = sorted(map(str, path.glob("a/*.png"))) + sorted(map(str, path.glob("b/*.png")))
    splits = (data.train, data.validation, data.test)
    return {Path(every[row]).name for split in splits for row in split.rows.tolist()}


def test_all_are_named_in_one_go(damaged: Path) -> None:
    with pytest.raises(DataError) as error:
        opened(damaged, resize=8)
    lines = error.value.message.splitlines()
    assert lines[:3] == [
        "cannot read 3 pictures:",
        f"  {damaged}/a/003.png: {NO_PICTURE}",
        f"  {damaged}/a/004.png: {NO_PICTURE}",
    ]
    assert lines[3].startswith(f"  {damaged}/b/005.png: image file is truncated")
    assert len(lines) == 4 and error.value.help == REPAIR


def test_the_list_is_bounded(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 30, "b": 30}, size=(4, 4))
    for file in tmp_path.glob("a/*.png"):
        file.write_bytes(b"")
    with pytest.raises(DataError) as error:
        opened(tmp_path)
    lines = error.value.message.splitlines()
    assert lines[0] == "cannot read 30 pictures:"
    assert lines[10:] == [f"  {tmp_path}/a/009.png: {NO_PICTURE}", "  and 20 more"]


@pytest.mark.parametrize("resident", [True, False])
def test_they_are_left_out_as_asked(damaged: Path, resident: bool) -> None:
    data = opened(damaged, resize=8, resident=resident, skip_unreadable=True)
    splits = (data.train, data.validation, data.test)
    assert sum(map(len, splits)) == 57
    assert data.statement.startswith("57 images ")
    (note,) = data.notes
    assert note.startswith(f"unreadable: 3 of 60 pictures are left out: {damaged}/a/003.png: it is")
    whole = [next(split.batches(99, device="cpu"))[0] for split in splits]
    paths = sorted(damaged.glob("a/*.png")) + sorted(damaged.glob("b/*.png"))
    for split, images in zip(splits, whole, strict=True):
        chosen = [paths[row] for row in split.rows.tolist()]
        assert torch.equal(images, read_images(chosen, channels=3, resize=8))
        assert [path.parent.name for path in chosen] == ["ab"[i] for i in split.labels.tolist()]


def test_a_mended_picture_moves_no_other_to_another_part(damaged: Path) -> None:
    before = opened(damaged, resize=8, skip_unreadable=True)
    for number, name in ((3, "a/003.png"), (4, "a/004.png"), (105, "b/005.png")):
        to_pil(noise(3, 40, 40, seed=number)).save(damaged / name)
    after = opened(damaged, resize=8)
    for name in ("train", "validation", "test"):
        rows = {
            split.rows[i].item() for split in [getattr(before, name)] for i in range(len(split))
        }
        assert rows <= set(getattr(after, name).rows.tolist())


def test_a_streamed_picture_that_is_cut_off_is_named_in_the_run(damaged: Path) -> None:
    for name in ("003.png", "004.png"):
        (damaged / "a" / name).unlink()
    data = opened(damaged, resize=8, resident=False, validation=0)  # the heads are sound
    with pytest.raises(DataError) as error:
        for split in (data.train, data.test):
            list(split.batches(64, device="cpu"))
    assert error.value.message.startswith(f"cannot read the picture {damaged}/b/005.png: image")
    assert (error.value.help or "").startswith("repair it and go on with --resume; or begin a run")


def test_pictures_that_are_not_used_are_not_missed(damaged: Path) -> None:
    data = opened(damaged, resize=8, channels=3, skip_unreadable=True, limit_train=4, limit_test=2)
    count = sum(map(len, (data.train, data.validation, data.test)))
    left_out = 6 - count
    assert len(data.notes) == (1 if left_out else 0)


def test_read_images_names_all_of_them(damaged: Path) -> None:
    paths = [damaged / "a" / name for name in ("003.png", "000.png", "004.png")]
    with pytest.raises(DataError) as error:
        read_images(paths, channels=3, resize=8)
    assert error.value.message.splitlines() == [
        "cannot read 2 pictures:",
        f"  {paths[0]}: {NO_PICTURE}",
        f"  {paths[2]}: {NO_PICTURE}",
    ]
    assert error.value.help is None


def test_other_sets_whose_files_fail_name_the_picture(monkeypatch) -> None:
    registry.names()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))

    class Failing:
        targets = [0, 1] * 20

        def __len__(self) -> int:
            return 40

        def __getitem__(self, index: int):
            if index == 7:
                raise OSError("image file is truncated")
            return to_pil(noise(3, 6, 7, seed=index)), None

    register("failing")(lambda root: from_torchvision(Failing(), Failing()))
    with pytest.raises(DataError, match="number 7 of Failing: image file is truncated"):
        open_dataset("failing")
    for resident in (True, False):
        data = open_dataset(
            "failing", channels=1, resize=6, skip_unreadable=True, resident=resident
        )
        assert len(data.test) == 39
        assert data.notes[0] == "channels: pictures are in colour and are made grey"


@pytest.mark.parametrize(
    ("resident", "last"), [(True, "reading pictures"), (False, "checking pictures")]
)
def test_progress_is_told_while_pictures_are_read(damaged: Path, resident, last) -> None:
    said: list[tuple[str, int, int]] = []

    def told(what: str, done: int, total: int) -> None:
        said.append((what, done, total))

    opened(damaged, resize=8, resident=resident, skip_unreadable=True, progress=told)
    assert said == [("looking at pictures", 60, 60), (last, 58, 58)]
