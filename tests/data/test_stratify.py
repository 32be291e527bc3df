"""Shares of classes, by hand."""

from __future__ import annotations

import pytest
import torch

from archspec.data import open_dataset, streaming
from archspec.data.stratify import stratified


def drawn(counts: list[int], count: int, seed: int = 0) -> tuple[torch.Tensor, list[int]]:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    chosen, others = stratified(labels, count, torch.Generator().manual_seed(seed))
    assert torch.equal(torch.cat([chosen, others]).sort().values, torch.arange(len(labels)))
    assert chosen.tolist() == sorted(chosen.tolist())
    assert others.tolist() == sorted(others.tolist())
    return chosen, labels[chosen].bincount(minlength=len(counts)).tolist()


@pytest.mark.parametrize(
    ("counts", "count", "shares"),
    [
        ([10, 10, 10], 6, [2, 2, 2]),
        ([10, 20, 30], 12, [2, 4, 6]),
        ([9, 11, 20], 10, [2, 3, 5]),  # 2.25, 2.75, 5
        ([13, 13, 14], 10, [3, 3, 4]),  # 3.25, 3.25, 3.5
        ([5, 0, 5], 10, [5, 0, 5]),
        ([5, 5], 0, [0, 0]),
        ([1, 1, 1], 2, [1, 1, 0]),  # equal remainders: the first classes
    ],
)
def test_each_class_gives_its_share(counts: list[int], count: int, shares: list[int]) -> None:
    assert drawn(counts, count)[1] == shares


def test_which_images_are_drawn_follows_from_the_seed() -> None:
    (one, _), (again, _), (other, _) = (drawn([50, 50], 20, seed) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    hits = torch.zeros(100)
    for seed in range(300):
        hits[drawn([50, 50], 20, seed)[0]] += 1
    assert float(hits.min()) > 30 and float(hits.max()) < 95  # 60 of 300 each, about


def test_splits_without_a_seed_are_those_of_seed_0() -> None:
    plain, zero, one = (open_dataset("digits", **given) for given in ({}, {"seed": 0}, {"seed": 1}))
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(plain, part).rows, getattr(zero, part).rows)
        assert not torch.equal(getattr(plain, part).rows, getattr(one, part).rows)
    assert len(plain.validation) == round(0.1 * (len(plain.train) + len(plain.validation)))


def test_streamed_images_are_augmented_in_training_alone(monkeypatch) -> None:
    monkeypatch.setattr(streaming, "worker_count", lambda: 0)
    options = {"augment": ("random_crop:2",), "limit_train": 40}
    streamed = open_dataset("digits", resident=False, **options)
    kept = open_dataset("digits", resident=True, **options)
    plain = open_dataset("digits", resident=True, limit_train=40)
    generator = torch.Generator().manual_seed(5)
    for training in (True, False):
        found, expected, unchanged = (
            next(data.train.batches(9, device="cpu", training=training, generator=generator))[0]
            for data in (streamed, kept, plain)
        )
        assert torch.equal(found, expected)
        assert torch.equal(found, unchanged) is not training
