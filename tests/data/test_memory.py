from __future__ import annotations

import pytest
import torch

from archspec.data import memory


@pytest.mark.parametrize(
    ("name", "text", "share"),
    [
        ("LOCAL_WORLD_SIZE", "4", 4),
        ("SLURM_STEP_TASKS_PER_NODE", "3", 3),
        ("SLURM_STEP_TASKS_PER_NODE", "2(x12),8", 8),
        ("OTHER", "4", 1),
    ],
)
def test_each_process_of_a_machine_has_its_share(name, text, share, monkeypatch) -> None:
    for each in ("LOCAL_WORLD_SIZE", "SLURM_STEP_TASKS_PER_NODE"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, text)
    monkeypatch.setattr(memory, "_machine", lambda: 24_000)
    monkeypatch.setattr(memory, "_container", lambda: 48_000)
    assert memory.free_memory(torch.device("cpu")) == 24_000 // share
