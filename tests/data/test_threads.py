"""Pieces of a batch in several threads."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Iterator

import pytest
import torch

from archspec.data import open_dataset
from archspec.data.threads import for_each


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def first_batch() -> torch.Tensor:
    data = open_dataset("digits", resize=96, augment=("random_crop",))
    images, _ = next(data.train.batches(250, device="cpu", training=True))
    return images


def test_the_number_of_threads_changes_no_pixel(two_threads) -> None:
    shared = first_batch()
    torch.set_num_threads(1)
    assert torch.equal(first_batch(), shared)


def test_work_is_done_once_each_by_threads_that_start_none(two_threads) -> None:
    seen, inner = [], set()

    def work(item: int) -> None:
        seen.append(item)
        inner.add((threading.current_thread().name[:13], torch.get_num_threads()))

    torch.set_num_threads(1)  # what computes the network has a setting of its own
    for_each(work, range(20), 2)
    assert sorted(seen) == list(range(20))
    assert inner == {("archspec-data", 1)}
    assert torch.get_num_threads() == 1
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [1]


def test_a_mistake_in_a_thread_is_raised(two_threads) -> None:
    with pytest.raises(ZeroDivisionError):
        for_each(lambda item: 1 // item, range(-3, 3), 2)


def test_inference_mode_reaches_the_threads(two_threads) -> None:
    plain = first_batch()
    with torch.inference_mode():
        images = first_batch()
    assert images.is_inference() and not plain.is_inference()
    assert torch.equal(images, plain)


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has threads")
def test_a_forked_process_starts_its_own(two_threads) -> None:
    # Nothing of torch's is computed in the child: its own threads do not survive a fork.
    for_each(lambda item: None, range(9), 2)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=for_each, args=(results.put, range(9), 2))
    child.start()
    assert sorted(results.get(timeout=30) for _ in range(9)) == list(range(9))
    child.join()
