"""Worker processes and signals; what they read is in test_batches.py."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import time

import pytest

from archspec.data.streaming import _leave_signals_to_parent


def _work(ready):
    _leave_signals_to_parent(0)
    ready.set()
    time.sleep(60)


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="the system has no sigwaitinfo")
def test_a_worker_outlives_others_signals_and_ends_for_its_parent():
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    worker = context.Process(target=_work, args=(ready,), daemon=True)
    worker.start()
    assert ready.wait(20)
    for name in ("TERM", "INT"):
        subprocess.run(["sh", "-c", f"kill -{name} {worker.pid}"], check=True)
    worker.join(0.2)
    assert worker.is_alive()
    worker.terminate()
    worker.join(20)
    assert worker.exitcode == 0
