"""Images that do not fit: read and brought to size by worker processes, batches ahead.

The bytes travel; augmentation and scaling happen on the device, by the same code as for images
that are kept there, so both ways give the same batches.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from threading import Thread
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from archspec.data.draws import Draws
from archspec.data.errors import DataError
from archspec.data.prepare import Preparation
from archspec.data.split import Split

T = TypeVar("T")

AHEAD = 4
"""Batches that each worker prepares ahead."""


def worker_count() -> int:
    """Worker processes: one a core that this process may use, at most eight."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    return min(8, cores)


def _leave_signals_to_parent(worker: int) -> None:
    """Ctrl-C, Slurm and `timeout` signal the whole process group. The process that trains then
    saves, and needs its workers until it has; it ends them, and they end when it is gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on macOS and Windows
        # Blocked before any other thread of the worker starts, all of which inherit that.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        Thread(target=_end_for, args=(os.getppid(),), daemon=True).start()


def _end_for(parent: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


class _Jobs(Dataset[Any]):
    """What a job makes of batches of rows. Runs in worker processes."""

    def __init__(self, job: Callable[[list[int]], Any]) -> None:
        self.job = job

    def __getitem__(self, rows: list[int]) -> Any:
        # An exception would come out of the worker with its traceback in the message.
        try:
            return self.job(rows)
        except DataError as error:
            return error


def _as_it_is(made: Any) -> Any:
    return made


class _Batches:
    """The sampler of a loader that lives for many epochs: rows are set before each.

    Rows go to the workers as lists: a tensor would cost a file descriptor each.
    """

    def __init__(self) -> None:
        self.rows, self.size = torch.empty(0, dtype=torch.int64), 1

    def __iter__(self) -> Iterator[list[int]]:
        for start in range(0, len(self.rows), self.size):
            yield self.rows[start : start + self.size].tolist()

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)


class Loader(Generic[T]):
    """What a `job` makes of rows, in worker processes, which are started once and kept."""

    def __init__(self, job: Callable[[list[int]], T], workers: int, pin: bool) -> None:
        self._jobs, self._workers, self._pin = _Jobs(job), workers, pin
        self._sampler = _Batches()
        self._loader: DataLoader[Any] | None = None

    def _started(self) -> DataLoader[Any]:
        return DataLoader(
            self._jobs,
            sampler=self._sampler,
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=self._workers,
            pin_memory=self._pin,
            prefetch_factor=AHEAD if self._workers else None,
            persistent_workers=self._workers > 0,
            worker_init_fn=_leave_signals_to_parent,
            # Without one of its own, a loader draws from torch's global generator.
            generator=torch.Generator(),
        )

    def read(self, rows: Tensor, batch_size: int) -> Generator[T]:
        """What the job makes of `rows`, in batches. Raises `DataError`."""
        self._sampler.rows, self._sampler.size = rows, batch_size
        self._loader = self._loader or self._started()
        mistake = None
        try:
            for made in self._loader:
                if isinstance(made, DataError):
                    mistake = str(made.message), made.help
                    break
                yield made
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            reason = str(error).partition("\n")[0]
            mistake = f"a process that reads pictures has ended: {reason}", None
        if mistake:
            # The workers end here: were they left to an exception's traceback, and so to the
            # garbage collector, ending them would take ten seconds.
            self._loader = None
            raise DataError(*mistake)


class StreamingSplit(Split):
    """Pictures that are read when they are needed."""

    def __init__(
        self, labels: Tensor, rows: Tensor, loader: Loader[Tensor], prepare: Preparation
    ) -> None:
        super().__init__(labels, rows)
        self._loader, self._prepare = loader, prepare

    def _batches(
        self, positions: Tensor, batch_size: int, device: torch.device, seed: int | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        rows = self.rows[positions]
        with closing(self._loader.read(rows, batch_size)) as batches:
            for index, stored in enumerate(batches):
                part = slice(index * batch_size, index * batch_size + len(stored))
                draws = None
                if seed is not None and self._prepare.augment:
                    draws = Draws(seed, rows[part].to(device))
                images = self._prepare(stored.to(device, non_blocking=True), None, draws)
                labels = self.labels[positions[part]]
                yield images, labels.to(device, non_blocking=True)
