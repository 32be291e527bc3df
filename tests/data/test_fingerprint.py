"""A data set's fingerprint changes when anything of it changes, and says what."""

from __future__ import annotations

import hashlib
import os

import pytest
import torch
from PIL import Image

from archspec.data import fingerprint as module
from archspec.data import open_dataset
from archspec.data.fingerprint import difference, fingerprint
from archspec.data.pictures import Pictures, PictureSets


@pytest.fixture
def pets(tmp_path):
    for kind in ("cat", "dog"):
        (tmp_path / "pets" / kind).mkdir(parents=True)
        for number in range(4):
            picture = Image.new("L", (6, 6), 30 * number)
            picture.save(tmp_path / "pets" / kind / f"{number}.bmp")
    return tmp_path / "pets"


def identified(path, **options):
    return open_dataset(f"image_folder:{path}", resize=6, identify=True, **options).fingerprint


def test_files_count_with_name_size_and_content(pets):
    found = identified(pets)
    content = (pets / "dog" / "3.bmp").read_bytes()
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    assert len(found.files) == 8
    assert found.files["dog/3.bmp"] == f"{len(content)} {digest}"
    assert identified(pets) == found


def test_what_changes_no_picture_changes_nothing(pets, tmp_path):
    before = identified(pets)
    os.utime(pets / "cat" / "0.bmp", (0, 0))
    pets.rename(tmp_path / "moved")
    assert difference(before.parts, before.files, identified(tmp_path / "moved")) is None


def test_the_difference_counts_and_names_files(pets):
    before = identified(pets)
    Image.new("L", (6, 6), 255).save(pets / "cat" / "1.bmp")
    (pets / "cat" / "2.bmp").unlink()
    for name in ("new1", "new2"):
        Image.new("L", (6, 6)).save(pets / "dog" / f"{name}.bmp")
    said = (
        "2 files added, 1 file removed, 1 file changed (dog/new1.bmp, dog/new2.bmp, cat/2.bmp, …)"
    )
    assert difference(before.parts, before.files, identified(pets)) == said
    assert difference(before.parts, None, identified(pets)) == "some are other pictures"


def test_a_large_set_counts_with_names_and_sizes_alone(pets, monkeypatch):
    monkeypatch.setattr(module, "CONTENT", 100)
    before = identified(pets)
    size = (pets / "cat" / "1.bmp").stat().st_size
    assert before.files["cat/1.bmp"] == str(size)
    Image.new("L", (6, 6), 255).save(pets / "cat" / "1.bmp")
    assert identified(pets) == before
    Image.new("L", (9, 9), 255).save(pets / "cat" / "1.bmp")
    said = "1 file changed (cat/1.bmp)"
    assert difference(before.parts, before.files, identified(pets)) == said


def test_a_set_that_outgrew_the_limit_is_compared_by_sizes(pets, monkeypatch):
    before = identified(pets)
    monkeypatch.setattr(module, "CONTENT", 100)
    (pets / "cat" / "0.bmp").unlink()
    said = "1 file removed (cat/0.bmp)"
    assert difference(before.parts, before.files, identified(pets)) == said


def array_set(array=None, labels=None):
    array = torch.arange(4 * 9, dtype=torch.uint8).view(4, 1, 3, 3) if array is None else array
    labels = torch.tensor([0, 1, 0, 1]) if labels is None else labels
    return PictureSets(("a", "b"), Pictures(labels, array))


def test_every_byte_and_label_of_an_array_counts():
    before = fingerprint(array_set(), [])
    array = torch.arange(4 * 9, dtype=torch.uint8).view(4, 1, 3, 3)
    array[3, 0, 2, 2] += 1
    other = fingerprint(array_set(array), [])
    assert difference(before.parts, None, other) == "some are other pictures"
    flat = fingerprint(array_set(array.view(4, 1, 1, 9)), [])
    assert flat.pictures != other.pictures
    relabelled = fingerprint(array_set(labels=torch.tensor([0, 1, 1, 1])), [])
    assert difference(before.parts, None, relabelled) == "some have other labels"


def test_other_splits_of_the_same_pictures_count():
    before = open_dataset("digits", identify=True, limit_train=50).fingerprint
    other = open_dataset("digits", identify=True, limit_train=50, seed=1).fingerprint
    assert before.pictures == other.pictures
    assert difference(before.parts, None, other) == "they are divided otherwise"


def test_pictures_read_one_by_one_are_probed_unless_drawn():
    def reader(colour):
        return lambda row: Image.new("L", (3, 3), colour(row))

    labels = torch.zeros(100, dtype=torch.int64)
    plain, other = (
        fingerprint(PictureSets(("a",), Pictures(labels, read=reader(colour))), [])
        for colour in (lambda row: row, lambda row: row + (row == 6))
    )
    assert plain.pictures != other.pictures  # every third is looked at: 100 // 32
    calls = iter(range(10**6))
    drawn = [
        fingerprint(
            PictureSets(("a",), Pictures(labels, read=reader(lambda row: next(calls) % 251))), []
        )
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]


def test_nothing_is_read_unless_asked_for(pets, monkeypatch):
    monkeypatch.setattr(module, "_file_digest", None)
    assert open_dataset(f"image_folder:{pets}", resize=6).fingerprint is None
