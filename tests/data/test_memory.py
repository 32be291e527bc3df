"""How much memory there is, on machines and in containers of all kinds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from archspec.data import memory
from archspec.data.memory import free_memory, readable

CPU = torch.device("cpu")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 3 GiB, 2 of them free, and no container."""
    text = "MemTotal: 3145728 kB\nMemAvailable:  2097152 kB\nSwapFree: 5 kB\n"
    (tmp_path / "meminfo").write_text(text)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    return tmp_path


def limited(folder: Path, limit: str, used: int) -> None:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")


def test_a_machine_has_what_is_available(machine: Path) -> None:
    assert free_memory(CPU) == 2 * 2**30


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [
        ("max", 5, 2 * 2**30),
        (str(2**30), 2**20, 2**30 - 2**20),
        (str(2**33), 0, 2 * 2**30),  # more than the machine has
        (str(2**20), 2**21, 0),
    ],
)
def test_a_container_has_what_its_limit_leaves(
    limit: str, used: int, free: int, machine: Path
) -> None:
    limited(machine, limit, used)
    assert free_memory(CPU) == free


def test_where_nothing_is_said_half_of_the_memory_is_taken(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    (machine / "meminfo").write_text("MemTotal: 8 kB\n")
    assert free_memory(CPU) == whole // 2
    (machine / "meminfo").unlink()
    assert free_memory(CPU) == whole // 2
    monkeypatch.setattr(os, "sysconf_names", {})
    assert free_memory(CPU) == 4 * 2**30


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (52 * 2**20, "52 MiB"),
        (99.96 * 2**20, "100 MiB"),
        (300 * 2**30, "300 GiB"),
        (5000 * 2**40, "5000 TiB"),
    ],
)
def test_sizes_are_read_in_one_unit(size: int, text: str) -> None:
    assert readable(size) == text


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
