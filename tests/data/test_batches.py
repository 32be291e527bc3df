"""Batches: their pixels, their order, and that nothing but seed and example decides them."""

from __future__ import annotations

import pytest
import torch
from samples import folder, to_pil
from torch.utils.data import DataLoader
from torchvision.transforms import Compose, Normalize, ToTensor
from torchvision.transforms import Resize as TorchvisionResize

from archspec.data import Data, DataError, open_dataset
from archspec.recipe.settings import ChannelStatistics

AUGMENT = ("random_crop:2", "random_horizontal_flip", "random_erasing")


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def epoch(data: Data, size: int, order: torch.Tensor, start: int = 0, seed: int = 1):
    batches = data.train.batches(
        size, order=order, start=start, device="cpu", training=True, generator=generator(seed)
    )
    images, labels = zip(*batches, strict=True)
    assert {len(each) for each in images[:-1]} <= {size}
    return torch.cat(images), torch.cat(labels)


@pytest.mark.parametrize("resident", [True, False])
def test_pixels_are_those_of_torchvision(resident: bool) -> None:
    stats = ChannelStatistics((0.3,), (0.7,))
    data = open_dataset("digits", resize=96, normalize=stats, resident=resident)
    raw = open_dataset("digits")
    plain = Compose([TorchvisionResize((96, 96)), ToTensor(), Normalize(*stats)])
    images, labels = next(data.train.batches(70, device="cpu"))
    bytes_, expected_labels = next(raw.train.batches(70, device="cpu"))
    expected = [plain(to_pil((image * 255).round().to(torch.uint8))) for image in bytes_]
    # Two grey levels: 8 to 96 is not among the sizes where the bytes are PIL's.
    assert float((images - torch.stack(expected)).abs().max()) <= 2.01 / 255 / 0.7
    assert torch.equal(labels, expected_labels)


def test_scaling_and_normalising_have_the_bits_of_torchvision() -> None:
    stats = ChannelStatistics((0.2860,), (0.3530,))
    data, raw = open_dataset("digits", normalize=stats), open_dataset("digits")
    scaled, _ = next(raw.test.batches(400, device="cpu"))
    assert torch.equal(scaled, (scaled * 255).round() / 255)
    images, _ = next(data.test.batches(400, device="cpu"))
    assert torch.equal(images, Normalize(*stats)(scaled))


@pytest.mark.parametrize("resident", [True, False])
def test_an_epoch_is_the_same_however_it_is_cut(resident: bool) -> None:
    data = open_dataset("digits", resize=14, augment=AUGMENT, resident=resident)
    order = torch.randperm(len(data.train), generator=generator(5))[:500]
    images, labels = epoch(data, 64, order)
    assert torch.equal(labels, data.train.labels[order])
    again, _ = epoch(data, 64, order)
    assert torch.equal(again, images)
    resumed, resumed_labels = epoch(data, 64, order, start=3 * 64)
    assert torch.equal(resumed, images[192:]) and torch.equal(resumed_labels, labels[192:])
    other_size, _ = epoch(data, 17, order)
    assert torch.equal(other_size, images)
    share, _ = epoch(data, 32, order[1::2])
    assert torch.equal(share, images[1::2])
    next_epoch, _ = epoch(data, 64, order, seed=2)
    assert not torch.equal(next_epoch, images)


def test_streaming_gives_the_batches_of_the_resident_way() -> None:
    kept, streamed = (
        open_dataset("digits", resize=20, augment=AUGMENT, resident=resident, seed=3)
        for resident in (True, False)
    )
    order = torch.randperm(len(kept.train), generator=generator(5))[:300]
    for a, b in zip(epoch(kept, 50, order), epoch(streamed, 50, order), strict=True):
        assert torch.equal(a, b)


def test_pictures_read_from_files_give_the_same_batches_both_ways(tmp_path) -> None:
    folder(tmp_path, {"cat": 12, "dog": 9})
    kept, streamed = (
        open_dataset(f"image_folder:{tmp_path}", resize=16, augment=AUGMENT, resident=resident)
        for resident in (True, False)
    )
    order = torch.arange(len(kept.train)).flip(0)
    for a, b in zip(epoch(kept, 4, order), epoch(streamed, 4, order), strict=True):
        assert torch.equal(a, b)


def test_only_training_augments_and_no_global_random_state_is_touched() -> None:
    data = open_dataset("digits", augment=AUGMENT)
    plain = open_dataset("digits")
    state = torch.get_rng_state()
    seeded = generator(9)
    before = seeded.get_state()
    images, _ = next(data.train.batches(32, device="cpu", generator=seeded))
    expected, _ = next(plain.train.batches(32, device="cpu"))
    assert torch.equal(images, expected)
    next(data.train.batches(32, device="cpu", training=True, generator=seeded))
    streamed = open_dataset("digits", augment=AUGMENT, resident=False)
    next(streamed.train.batches(32, device="cpu", training=True, generator=seeded))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(seeded.get_state(), before)


def test_large_batches_are_computed_in_pieces_without_seams(monkeypatch) -> None:
    data = open_dataset("digits", resize=28, augment=AUGMENT)
    order = torch.arange(99)
    whole, _ = epoch(data, 99, order)
    monkeypatch.setattr("archspec.data.prepare.CHUNK", 28 * 28 * 8)
    assert torch.equal(epoch(data, 99, order)[0], whole)


def test_a_resident_batch_never_waits_for_the_device() -> None:
    # The meta device has no values: whatever asked for one (`item`, a mask) would fail.
    stats = ChannelStatistics((0.3,), (0.7,))
    data = open_dataset("digits", resize=96, augment=AUGMENT, normalize=stats, device="meta")
    batches = data.train.batches(
        100, device="meta", order=torch.arange(250), training=True, generator=generator(0)
    )
    assert [tuple(images.shape) for images, _ in batches] == [
        (100, 1, 96, 96),
        (100, 1, 96, 96),
        (50, 1, 96, 96),
    ]


def test_an_empty_split_has_no_batches() -> None:
    for resident in (True, False):
        data = open_dataset("digits", validation=0, resident=resident)
        assert list(data.validation.batches(8, device="cpu")) == []
        assert list(data.test.batches(8, start=359, device="cpu")) == []


def test_a_reading_process_that_is_killed_is_reported(monkeypatch) -> None:
    data = open_dataset("digits", resident=False)

    def killed(self):
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.\nMore.")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(DataLoader, "__iter__", killed)
        with pytest.raises(DataError) as error:
            list(data.test.batches(100, device="cpu"))
    assert str(error.value) == (
        "a process that reads pictures has ended: "
        "DataLoader worker (pid 7) is killed by signal: Killed."
    )
    assert len(list(data.test.batches(100, device="cpu"))) == 4
