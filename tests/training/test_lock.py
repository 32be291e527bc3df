"""One writer a run folder, whoever else comes, and however the writer ends."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from archspec.cli import main
from archspec.training.errors import TrainingError
from archspec.training.store import lock
from archspec.training.store.lock import locked
from archspec.training.store.runs import Run, make_numbered, numbered

HOLDER = """
import os, sys, time
from pathlib import Path
from archspec.training.store.lock import locked
with locked(Path(sys.argv[1]), print):
    if sys.argv[2] == "fork":
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, b"!")
            time.sleep(10)
            os._exit(0)
        os.read(reader, 1)
    print("held", os.getpid(), flush=True)
    time.sleep(60)
"""
OPTIONS = ["--memory-format", "contiguous", "--threads", "1", "--epochs", "1"]


@pytest.fixture
def hold():
    """Starts a process that holds a folder's lock."""
    processes = []

    def start(folder, how="plain"):
        command = [sys.executable, "-c", HOLDER, str(folder), how]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == f"held {process.pid}\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def test_runs_started_together_have_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    together = Barrier(8)

    def begin(_):
        together.wait()
        return make_numbered("net", "image_folder:/photos/pets")

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(begin, range(8))) == list(range(1, 9))
    assert numbered("net", "image_folder:/photos/pets", 8).is_dir()
    assert len(list((tmp_path / "runs").iterdir())) == 8


def test_a_second_resume_is_refused_until_the_first_is_killed(small_file, tmp_path, hold, capsys):
    run = tmp_path / "r"
    argv = ["train", str(small_file), "--run", str(run), *OPTIONS]
    assert main(argv) == 0
    writer = hold(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main([*argv, "--resume"]) == 1
    said = capsys.readouterr().err
    assert f"{run} is being written by process {writer.pid} on {socket.gethostname()} since" in said
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    writer.kill()
    writer.wait()
    assert main([*argv, "--resume"]) == 0


def test_two_new_runs_in_one_folder_are_one(small_file, tmp_path, hold, capsys):
    run = tmp_path / "r"
    run.mkdir()
    hold(run)
    assert main(["train", str(small_file), "--run", str(run), *OPTIONS]) == 1
    assert "is being written by process" in capsys.readouterr().err
    assert [path.name for path in run.iterdir()] == [".lock"]


def test_a_run_that_ended_while_another_one_measured_is_kept(
    small_file, tmp_path, monkeypatch, capsys
):
    """The other one looked when there was none yet, and comes back to find it there."""
    run = tmp_path / "r"
    argv = ["train", str(small_file), "--run", str(run), *OPTIONS]
    refuse, looks = Run.refuse_existing, []

    def look(self):
        refuse(self)
        looks.append(self)
        if len(looks) == 1:
            assert main(argv) == 0

    monkeypatch.setattr(Run, "refuse_existing", look)
    assert main(argv) == 1
    assert "holds a run already" in capsys.readouterr().err
    assert (run / "result.json").is_file()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_workers_of_a_killed_run_do_not_hold_its_lock(tmp_path, hold):
    writer = hold(tmp_path, "fork")
    with pytest.raises(TrainingError, match="is being written"), locked(tmp_path, print):
        pass
    writer.kill()
    writer.wait()
    with locked(tmp_path, print):
        pass


def test_a_process_cannot_write_one_folder_twice(tmp_path):
    with locked(tmp_path, print):
        with (
            pytest.raises(TrainingError, match=f"process {os.getpid()} on"),
            locked(tmp_path, print),
        ):
            pass
        with pytest.raises(TrainingError, match="is being written"), locked(tmp_path, print):
            pass  # being refused has not let go of it
    with locked(tmp_path, print):
        pass


def test_a_file_system_without_locks_is_told_of(tmp_path, monkeypatch):
    def take(descriptor):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock, "_take", take)
    said = []
    with locked(tmp_path, said.append):
        pass
    assert len(said) == 1 and f"the file system of {tmp_path} has no locks" in said[0]


def test_all_processes_of_a_run_stop_where_the_first_is_refused(small_file, tmp_path, hold, forks):
    run = tmp_path / "r"
    run.mkdir()
    hold(run)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = str(server.getsockname()[1])
    jobs = [
        {
            "argv": ["train", str(small_file), "--run", str(run), "--device", "cpu", *OPTIONS],
            "log": str(tmp_path / f"{rank}.log"),
            "env": {
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
                "WORLD_SIZE": "2",
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
            },
        }
        for rank in range(2)
    ]
    assert forks.run(*jobs) == [1, 1]
    logs = [(tmp_path / f"{rank}.log").read_text() for rank in range(2)]
    assert "is being written by process" in logs[0]
    assert "the first process of the run could not go on" in logs[1]
