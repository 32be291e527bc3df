"""Devices that are not there, by stand-ins."""

from __future__ import annotations

import pytest
import torch

from archspec.training import device
from archspec.training.device import choose_device, usable_precision
from archspec.training.distributed import Processes
from archspec.training.errors import TrainingError


@pytest.fixture
def gpus(monkeypatch):
    def pretend(count, bf16=True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16)

    return pretend


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_takes_a_gpu_of_its_own(name, gpus):
    gpus(4)
    for rank in range(4):
        assert choose_device(name, Processes(rank + 4, 8, rank)) == torch.device("cuda", rank)
    gpus(1)  # each process may be shown one alone
    assert choose_device(name, Processes(3, 4, 3)) == torch.device("cuda", 0)


def test_processes_that_would_share_a_gpu_are_refused(gpus):
    gpus(2)
    with pytest.raises(TrainingError) as caught:
        choose_device("auto", Processes(2, 4, 2))
    assert str(caught.value) == (
        "there are 2 GPUs here for 3 processes or more: start 2 on this machine"
    )
    with pytest.raises(TrainingError) as caught:
        choose_device("cuda:1", Processes(0, 2, 0))
    assert str(caught.value) == (
        "2 processes cannot share 'cuda:1': say --device cuda, and each takes a GPU of its own"
    )


def test_a_runs_precision_is_used_where_the_device_has_it(gpus):
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    assert usable_precision("bf16", cpu).value == "bf16"
    assert usable_precision("fp16", cpu) == ("fp32", "fp16 needs a GPU")
    assert usable_precision("auto", cpu).value == "fp32"
    gpus(1)
    assert [usable_precision(each, gpu).value for each in ("bf16", "fp16", "fp32")] == [
        "bf16",
        "fp16",
        "fp32",
    ]
    gpus(1, bf16=False)
    assert usable_precision("bf16", gpu) == ("fp32", "this GPU does not compute in bf16")


def test_a_step_must_fit_in_this_process_share_of_the_memory(small, monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr("archspec.data.memory._machine", lambda: 150_000)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    summary = small.summary(depth=0, batch_size=16)
    assert 75_000 < 2 * summary.saved_bytes + 4 * summary.state_dict_bytes < 150_000
    assert device.fits(small, 16, cpu)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert not device.fits(small, 16, cpu)


@pytest.mark.parametrize(
    ("flags", "hint"),
    [
        ({"_is_avx512_bf16_supported": True}, True),
        ({"_is_avx512_bf16_supported": False, "_is_amx_tile_supported": True}, True),
        ({"_is_avx512_bf16_supported": False, "_is_amx_tile_supported": False}, False),
        ({}, False),  # a torch that cannot say
    ],
)
def test_a_cpu_with_bf16_is_told_and_not_chosen(flags, hint, monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    for name, has in flags.items():
        monkeypatch.setattr(torch.cpu, name, lambda has=has: has, raising=False)
    more = ", which has instructions for bf16: --precision bf16 is likely to be faster"
    chosen = device.choose_precision("auto", torch.device("cpu"))
    assert chosen == ("fp32", "the default on cpu" + more * hint)
    for asked in ("fp32", "bf16"):
        assert device.choose_precision(asked, torch.device("cpu")) == (asked, "as asked")
