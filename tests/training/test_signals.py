from __future__ import annotations

import signal
from threading import Thread

import pytest

from archspec.training import signals
from archspec.training.signals import stoppable


class EndedError(BaseException):
    pass


def end(number, frame):
    raise EndedError


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])
    before = signal.signal(signal.SIGTERM, end)
    yield now
    signal.signal(signal.SIGTERM, before)


def test_signals_of_one_moment_are_one_and_a_later_one_ends_it(clock):
    heard = []
    with pytest.raises(EndedError), stoppable(heard.append):
        signal.raise_signal(signal.SIGTERM)
        clock[0] += 0.9  # torchrun's, beside that of Slurm
        signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
        clock[0] += 0.2
        signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is end


def test_another_thread_runs_without_handling_signals(clock):
    ran = []

    def run():
        with stoppable(ran.append):
            ran.append(signal.getsignal(signal.SIGTERM))

    thread = Thread(target=run)
    thread.start()
    thread.join()
    assert ran == [end] and signal.getsignal(signal.SIGTERM) is end


def test_ctrl_c_asks_once_and_its_handler_comes_back(clock):
    before, heard = signal.getsignal(signal.SIGINT), []
    with stoppable(heard.append):
        signal.raise_signal(signal.SIGINT)
    assert heard == [signal.SIGINT] and signal.getsignal(signal.SIGINT) is before
