"""Which folders are classes, which are parts, and what is not understood."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import folder, noise, save

from archspec.data import DataError, open_dataset
from archspec.data.layout import EXPECTED


def opened(path: Path):
    return open_dataset(f"image_folder:{path}")


def refused(path: Path) -> tuple[str, str]:
    with pytest.raises(DataError) as error:
        opened(path)
    message, help = error.value.message, error.value.help or ""
    return message.replace(str(path), "PATH"), help.replace(str(path), "PATH")


@pytest.mark.parametrize("train", ["train", "Training"])
@pytest.mark.parametrize("validation", ["val", "valid", "validation", "dev"])
@pytest.mark.parametrize("test", ["test", "Testing"])
def test_parts_are_known_by_all_their_usual_names(tmp_path, train, validation, test) -> None:
    for name, count in ((train, 5), (validation, 2), (test, 3)):
        folder(tmp_path / name, {"a": count, "b": count}, size=(4, 4))
    data = opened(tmp_path)
    assert data.classes == ("a", "b")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [10, 4, 6]


def test_the_only_other_part_is_the_test_and_that_is_said(tmp_path: Path) -> None:
    folder(tmp_path / "train", {"a": 10, "b": 10}, size=(4, 4))
    folder(tmp_path / "valid", {"a": 3, "b": 3}, size=(4, 4))
    data = opened(tmp_path)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [18, 2, 6]
    assert data.notes == (
        f"folders: there is no test folder, so {tmp_path / 'valid'} is the test; "
        "validation images are split off those of training",
    )


def test_classes_may_be_called_like_parts(tmp_path: Path) -> None:
    folder(tmp_path / "1", {"bus": 5, "car": 5, "train": 5}, size=(4, 4))
    assert opened(tmp_path / "1").classes == ("bus", "car", "train")
    folder(tmp_path / "2", {"invalid": 5, "valid": 5}, size=(4, 4))
    assert opened(tmp_path / "2").classes == ("invalid", "valid")


def test_a_folder_around_the_classes_is_no_class(tmp_path: Path) -> None:
    folder(tmp_path / "photos", {"a": 2, "b": 2})
    assert refused(tmp_path) == (
        "PATH holds one folder only, photos: one class cannot be told from another",
        f"is it image_folder:PATH/photos? {EXPECTED}",
    )
    folder(tmp_path / "x" / "train", {"a": 4})
    folder(tmp_path / "x" / "test", {"a": 4})
    said, mend = refused(tmp_path / "x")
    assert said.startswith("PATH/train holds one folder only, a:") and mend == EXPECTED


def test_folders_that_are_not_understood_are_refused(tmp_path: Path) -> None:
    folder(tmp_path / "train", {"a": 2, "b": 2})
    folder(tmp_path / "extra", {"a": 2, "b": 2})
    assert refused(tmp_path) == (
        "PATH holds extra beside the parts of the data (train)",
        f"{EXPECTED}; move other folders away",
    )
    (tmp_path / "extra").rename(tmp_path / "training")
    assert refused(tmp_path)[0] == "PATH/train and PATH/training are both for train"
    (tmp_path / "train").rename(tmp_path / "dev")
    (tmp_path / "training").rename(tmp_path / "test")
    assert refused(tmp_path) == ("PATH holds dev, test, and no train", EXPECTED)


def test_parts_without_folders_of_classes_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, {"train": 4, "test": 4})
    assert refused(tmp_path) == ("PATH/test holds no folders of classes", EXPECTED)
    folder(tmp_path / "train", {"a": 2, "b": 2})
    assert refused(tmp_path) == ("PATH/test holds no folders of classes", EXPECTED)


def test_an_empty_folder_is_no_class(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("none")
    said, mend = refused(tmp_path)
    assert said.startswith("PATH has folders without pictures: c (a picture ends in .bmp .gif")
    assert mend == f"fill or remove them; {EXPECTED}"


def test_what_systems_leave_in_folders_is_ignored(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 10, "b": 10})
    for name in (".ipynb_checkpoints", "a/.ipynb_checkpoints", "__MACOSX", "a/__MACOSX"):
        save(noise(3, 20, 24), tmp_path / name / "x.png")
    (tmp_path / "a" / "._000.jpg").write_bytes(b"\0\5\26\7")
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"x")
    data = opened(tmp_path)
    assert data.classes == ("a", "b") and data.notes == ()
    assert sum(len(split) for split in (data.train, data.validation, data.test)) == 20


def test_pictures_beside_the_classes_are_counted(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 10, "b": 10})
    save(noise(3, 20, 24), tmp_path / "x.png")
    assert opened(tmp_path).notes == (
        f"folders: one picture in {tmp_path} itself, in no folder of a class, left out",
    )


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    folder(tmp_path / "train", {"a": 30, "b\nb": 1, "c": 30}, size=(4, 4))
    folder(tmp_path / "test", {"a": 3, "c": 3}, size=(4, 4))
    assert opened(tmp_path).notes == (
        r"classes: no validation images of b\nb",
        r"classes: no test images of b\nb",
    )
    data = open_dataset(f"image_folder:{tmp_path}", limit_train=2, validation=0)
    assert data.notes[0] == r"classes: no training images of b\nb"


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 2, "b": 2})
    try:
        (tmp_path / "b").rename(tmp_path / "b\udcff")
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 only")
    assert refused(tmp_path) == (r"PATH: the name of the class 'b\udcff' is not UTF-8", "rename it")
