"""How much memory is free for data, on the device or on the machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


def free_memory(device: torch.device) -> int:
    """Bytes that new tensors on `device` could take.

    Of the machine's memory this is one process's share.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return min(_machine(), _container()) // processes_here()


def processes_here() -> int:
    """How many processes of the run are on this machine, as torchrun or Slurm has it."""
    if counted := os.environ.get("LOCAL_WORLD_SIZE"):
        return max(1, int(counted))
    # `4(x2),3`: four on each of two machines, three on another.
    tasks = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "")
    return max((int(count) for count in re.findall(r"(?:^|,)([1-9]\d*)", tasks)), default=1)


def _machine() -> int:
    if MEMINFO.exists():
        for line in MEMINFO.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        # No figure for what is free: half of the memory is a careful guess.
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 << 30


def _container() -> int:
    """What a container's limit (cgroup v2) leaves: /proc/meminfo shows the whole machine's."""
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = (CGROUP / "memory.current").read_text()
    except OSError:
        return 1 << 62
    return 1 << 62 if limit == "max" else max(0, int(limit) - int(used))


def readable(size: int) -> str:
    """`52 MiB`."""
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"
