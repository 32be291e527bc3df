"""Small data and networks for the trainer's tests, and training in processes that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests_train_spec import SMALL

import archspec
from archspec.data.digits import digits  # noqa: F401 (fails here, with its reason, without it)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small():
    return archspec.loads(SMALL)


@pytest.fixture
def small_file(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


class Forks:
    """Runs `archspec` in children of one process that has torch loaded."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forks.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def run(self, *jobs: dict) -> list[int]:
        """The exit statuses of some children that run side by side; -9 for a killed one."""
        self.process.stdin.write(json.dumps({"children": jobs}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture(scope="session")
def forks():
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    forks = Forks()
    yield forks
    forks.close()
