"""Splits, limits, and how images are kept."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from types import SimpleNamespace

import pytest
import torch
from fashion_mnist import find_root
from sklearn.datasets import load_digits

from archspec.data import Data, DataError, open_dataset
from archspec.data.opening import picture_sets
from archspec.data.stratify import stratified
from archspec.recipe.settings import ChannelStatistics


def test_digits_are_scikit_learns() -> None:
    data = open_dataset("digits")
    reference = load_digits()
    images = torch.from_numpy(reference.images)
    for split in (data.train, data.validation, data.test):
        pixels = torch.cat([batch for batch, _ in split.batches(500, device="cpu")])[:, 0]
        assert torch.equal((pixels * 16).round(), images[split.rows].float())
        assert split.labels.tolist() == reference.target[split.rows].tolist()
    assert (data.channels, data.height, data.width) == (1, 8, 8)
    assert data.classes == tuple("0123456789")


def test_splits_are_stratified_seeded_and_apart() -> None:
    data = open_dataset("digits", seed=4)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [1294, 144, 359]
    rows = torch.cat([data.train.rows, data.validation.rows, data.test.rows])
    assert sorted(rows.tolist()) == list(range(1797))
    counts = torch.bincount(torch.from_numpy(load_digits().target))
    for split, share in ((data.test, 0.2), (data.validation, 0.08), (data.train, 0.72)):
        assert float((torch.bincount(split.labels) - counts * share).abs().max()) <= 1.5
    again, other = open_dataset("digits", seed=4), open_dataset("digits", seed=5)
    assert torch.equal(again.validation.rows, data.validation.rows)
    assert not torch.equal(other.test.rows, data.test.rows)


def hashes(data: Data) -> list[str]:
    """Of the rows of each split."""
    splits = (data.train, data.validation, data.test)
    return [sha256(split.rows.numpy().astype("<i8").tobytes()).hexdigest()[:16] for split in splits]


def test_the_splits_of_known_sets_never_change() -> None:
    # Taken before classes were promised a place in each part: figures stay comparable.
    assert hashes(open_dataset("digits")) == [
        "d22d0ab8f45e5853",
        "e26b72e8c6e65403",
        "b98b6be7306dfefc",
    ]
    assert hashes(open_dataset("digits", limit_train=100, limit_test=40)) == [
        "8853f1b7b904ef1f",
        "7fc5dcfad57f3e74",
        "511a310378990598",
    ]
    assert hashes(open_dataset("fashion_mnist", find_root())) == [
        "c760bf08c95ce41a",
        "4f2011053e7bc53e",
        "a5c12ea608c160e7",
    ]


def test_limits_keep_a_stratified_part() -> None:
    data = open_dataset("digits", limit_train=200, limit_test=50, validation=40)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [160, 40, 50]
    assert torch.bincount(data.test.labels).tolist() == [5] * 10
    assert len(open_dataset("digits", limit_test=10**6).test) == 359


@pytest.mark.parametrize("count", [0, 1, 7, 10, 99, 100])
def test_every_class_gives_its_share_and_the_total_is_exact(count: int) -> None:
    labels = torch.tensor([0] * 70 + [2] * 27 + [3] * 3)
    chosen, others = stratified(labels, count, torch.Generator().manual_seed(0))
    assert len(chosen) == count
    assert sorted([*chosen.tolist(), *others.tolist()]) == list(range(100))
    shares = (
        torch.bincount(labels[chosen], minlength=4) - torch.tensor([0.7, 0, 0.27, 0.03]) * count
    )
    assert float(shares.abs().max()) < 1


@pytest.mark.parametrize(
    ("counts", "count", "chosen"),
    [
        ([95, 5], 10, [9, 1]),
        ([990, 10], 20, [19, 1]),
        ([8] * 20, 16, [1] * 16 + [0] * 4),  # the count does not allow more
        ([97, 1, 1, 1], 10, [10, 0, 0, 0]),  # one image stays to train on
        ([60, 20, 20], 2, [1, 1, 0]),
        ([3, 3], 5, [3, 2]),
        ([1, 1, 18], 19, [1, 1, 17]),
        ([2, 2, 16], 17, [1, 1, 15]),
        ([0, 50, 50], 10, [0, 5, 5]),
    ],
)
def test_no_class_is_left_out_where_it_can_be_helped(counts, count, chosen) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    rows, others = stratified(labels, count, torch.Generator().manual_seed(0))
    assert torch.bincount(labels[rows], minlength=len(counts)).tolist() == chosen
    assert sorted([*rows.tolist(), *others.tolist()]) == list(range(len(labels)))


def test_a_limit_keeps_one_of_each_class() -> None:
    labels = torch.tensor([0] * 98 + [1, 2])
    rows, _ = stratified(labels, 10, torch.Generator().manual_seed(0), share_out=False)
    assert torch.bincount(labels[rows]).tolist() == [8, 1, 1]


@pytest.mark.parametrize(
    ("free", "resident", "statement"),
    [
        (
            460_032,
            None,
            "1,797 images stay on the device: 112 KiB, at most a quarter of 449 KiB free on cpu",
        ),
        (
            460_031,
            None,
            "1,797 images are streamed: 112 KiB, more than a quarter of 449 KiB free on cpu",
        ),
        (10**9, False, "1,797 images are streamed: 112 KiB, as asked"),
        (
            120_000,
            True,
            "1,797 images stay on the device: 112 KiB, as asked",
        ),
    ],
)
def test_the_way_is_chosen_by_size_or_as_asked(monkeypatch, free, resident, statement) -> None:
    monkeypatch.setattr("archspec.data.memory.free_memory", lambda device: free)
    data = open_dataset("digits", resident=resident)
    assert data.statement == statement
    assert (type(data.train).__name__ == "ResidentSplit") == ("stay" in statement)


def refused(**arguments: object) -> str:
    with pytest.raises(DataError) as error:
        open_dataset(str(arguments.pop("name", "digits")), **arguments)  # type: ignore[arg-type]
    return str(error.value)


def test_a_folder_alone_is_told_how_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert refused(name="photos") == (
        "there is no data set 'photos'\n"
        "  help: 'photos' is a folder here: write image_folder:photos"
    )
    assert refused(name=str(tmp_path / "photos")).endswith(f"image_folder:{tmp_path}/photos")


def test_what_cannot_be_is_refused(monkeypatch) -> None:
    assert refused(name="digit") == "there is no data set 'digit'\n  help: did you mean 'digits'?"
    assert refused(name="zoos").startswith(
        "there is no data set 'zoos'\n  help: there are cifar10, cifar100, digits, fashion_mnist,"
    )
    assert (
        refused(name="digits:1") == "'digits' takes nothing after a colon\n"
        "  help: write it as digits"
    )
    assert refused(name="image_folder") == (
        "'image_folder' is incomplete\n  help: write it as image_folder:PATH"
    )
    assert refused(validation=1438) == (
        "1438 of 1,438 training images cannot be for validation\n"
        "  help: a share (0.1) or a number that leaves some to train on"
    )
    assert refused(resize=0) == (
        "images cannot be resized to 0\n  help: give a side, or height and width"
    )
    assert refused(normalize=ChannelStatistics((0.5,) * 3, (0.5,) * 3)) == (
        "normalize has 3 means and 3 deviations, but the images have 1 channel"
    )
    assert refused(normalize=ChannelStatistics((0.5,), (0.0,))) == (
        "a standard deviation to normalise by must be above 0"
    )
    monkeypatch.setattr("archspec.data.memory.free_memory", lambda device: 1000)
    assert refused(resident=True) == (
        "the images do not fit: 112 KiB of 1000 B free on cpu\n"
        "  help: leave `resident` out, and they are streamed"
    )


def test_without_scikit_learn_the_message_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr("archspec.data.digits.find_spec", lambda name: None)
    assert refused() == (
        "`digits` comes with scikit-learn\n  help: pip install 'archspec-nn[train]'"
    )


def test_naming_data_sets_needs_no_torch() -> None:
    code = "import sys, archspec.data; print('torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"


def test_every_split_gives_each_image_once() -> None:
    data: Data = open_dataset("digits")
    labels = torch.cat([batch for _, batch in data.train.batches(100, device="cpu")])
    assert torch.equal(labels, data.train.labels)


def test_a_home_that_is_nobody_s_is_no_folder():
    with pytest.raises(DataError, match="there is no folder ~nobody-of-that-name/data"):
        open_dataset("digits", "~nobody-of-that-name/data")


def test_a_package_that_is_missing_is_named_with_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(DataError) as error:
        picture_sets("digits")
    assert str(error.value).startswith("pictures are read with numpy, which is missing\n")
    assert error.value.help == "pip install 'archspec-nn[train]'"


def test_another_missing_package_is_a_fault_of_the_program(monkeypatch):
    def broken(root):
        raise ModuleNotFoundError("No module named 'other'", name="other")

    entry = SimpleNamespace(opener=broken)
    monkeypatch.setattr("archspec.data.opening.find", lambda name: (entry, ""))
    with pytest.raises(ModuleNotFoundError, match="other"):
        picture_sets("digits")
