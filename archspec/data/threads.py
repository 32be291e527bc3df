"""Pieces of a batch on several cores, a thread each.

torch's own threads share every single operation, and wait for each other after each. Here a piece
goes through all its operations in one thread: nothing waits, and torch's resizing, which uses one
thread only, is spread too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier

import torch


def for_each(work: Callable[[int], None], items: Iterable[int], count: int) -> None:
    """Call `work` with each item, in `count` threads."""
    todo = list(items)
    if count == 1 or len(todo) <= 1:
        for item in todo:
            work(item)
        return
    # The mode belongs to a thread, and what was made in it may only be changed in it.
    inference = torch.is_inference_mode_enabled()

    def within(item: int) -> None:
        with torch.inference_mode(inference):
            work(item)

    for _ in _pool(count).map(within, todo):
        pass


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    """Threads in which torch does not start threads of its own."""
    everyone = Barrier(count + 1)

    def begin() -> None:
        # A thread takes over the process's setting when it first asks, which would undo ours later.
        torch.get_num_threads()
        torch.set_num_threads(1)
        everyone.wait()

    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, "archspec-data")
    for _ in range(count):
        pool.submit(begin)
    everyone.wait()
    # The setting is each thread's own, but later threads of the process begin with the last one.
    torch.set_num_threads(before)
    return pool


if hasattr(os, "register_at_fork"):
    # A forked process has none of the threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)
