"""What must hold on a GPU: verified figures, equal bits, overflows stepped over, the suite's tests.

Each check gives `holds`, and what it saw.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from archspec.cli import main
from archspec.training.store import checkpoint
from gpu.cells import RECIPES, Job, Scale
from gpu.supervise import Cell, Result

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ("--data", "digits", "--deterministic", "--epochs", "4", "--batch-size", "64")
VARIED = ("--ema", "0.9", "--clip-norm", "1", "--augment", "random_crop:2", "--schedule", "cosine")


def chains(names: list[str], device: str, scale: Scale) -> list[list[Cell]]:
    """All checks, in lists that may run side by side."""
    limit = 90.0 if device == "cuda" else 240.0
    verify = [
        Cell(name, "verify", limit, partial(verified, name, device))
        for name in names
        if name in RECIPES
    ]
    trained = {
        "same bits twice": partial(same_bits_twice, device, (), ()),
        "captured and launched": partial(
            same_bits_twice,
            device,
            (*VARIED, "--cuda-graph", "true" if device == "cuda" else "false"),
            (*VARIED, "--cuda-graph", "false"),
        ),
        "resumed after SIGKILL": partial(resumed, device),
    }
    checks = [[Cell("checks", name, limit, run)] for name, run in trained.items()]
    found = [verify, *checks, [Cell("checks", "tests", 150.0, cuda_tests)]]
    if device == "cuda":
        found.append(
            [Cell("checks", "fp16", limit, partial(overflow, Job(names[0], device, scale)))]
        )
    return found


def verified(name: str, device: str) -> Result:
    """`archspec compile SPEC --verify --device cuda`."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main(["compile", name, "--verify", "--device", device])
    return {"holds": status == 0, "said": said.getvalue()[-800:]}


def _train(folder: Path, device: str, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "archspec", "train", "lenet_bn", "--run", str(folder)]
    log = folder.with_suffix(".log").open("ab")
    return subprocess.Popen(
        [*command, "--device", device, *DIGITS, *more],
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *_given_paths()])},
    )


def _given_paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _weights(folder: Path) -> Any:
    return checkpoint.load(folder / "checkpoints" / checkpoint.LAST)["model"]


def _differing(one: Any, other: Any) -> list[str]:
    return [key for key in one if not torch.equal(one[key], other[key])]


def _log(*folders: Path) -> str:
    return "".join(folder.with_suffix(".log").read_text()[-1000:] for folder in folders)


def same_bits_twice(device: str, *options: Sequence[str]) -> Result:
    """Two `--deterministic` runs, each with options of its own."""
    with tempfile.TemporaryDirectory() as top:
        folders = [Path(top) / name for name in ("one", "two")]
        given = zip(folders, options, strict=True)
        started = [_train(folder, device, *more) for folder, more in given]
        statuses = [process.wait() for process in started]
        if any(statuses):
            return {"holds": False, "said": _log(*folders)}
        differ = _differing(*map(_weights, folders))
    return {"holds": not differ, "differ": differ[:5]}


def resumed(device: str) -> Result:
    """A `--deterministic` run that is killed in mid-epoch, against one that is not."""
    with tempfile.TemporaryDirectory() as top:
        whole, cut = (Path(top) / name for name in ("whole", "cut"))
        often = Path(top) / "often.yaml"
        often.write_text("{save_every: 0.05, log_every: 0.01}\n")
        first = _train(whole, device)
        second = _train(cut, device, "--config", str(often))
        metrics = cut / "metrics.jsonl"
        while second.poll() is None:
            lines = metrics.read_text().splitlines() if metrics.exists() else []
            if lines and _step(lines[-1]) >= 25:
                second.send_signal(signal.SIGKILL)
            time.sleep(0.01)
        killed = second.wait()
        third = _train(cut, device, "--config", str(often), "--resume").wait()
        if first.wait() or third:
            return {"holds": False, "said": _log(whole, cut)}
        steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
        differ = _differing(_weights(whole), _weights(cut))
        resumed_at = next((s for s in _log(cut).splitlines() if "resumed" in s), "not resumed")
    return {
        "holds": not differ and killed == -signal.SIGKILL,
        "killed": killed,
        "resumed": resumed_at[-80:],
        "steps": max(steps),
        "differ": differ[:5],
    }


def _step(line: str) -> int:
    """The step of a line of metrics that may still be in the writing."""
    try:
        return int(json.loads(line)["step"])
    except json.JSONDecodeError:
        return -1


def overflow(job: Job) -> Result:
    """fp16 with a scale that must overflow: such steps change nothing, and training goes on."""
    from itertools import islice

    from contestants import own

    trainer = job.trainer(precision="fp16")
    assert trainer.scaler is not None
    trainer.scaler = torch.amp.GradScaler(job.device, init_scale=2.0**60)
    stepping = own(trainer)
    before = [p.detach().clone() for p in trainer.net.parameters()]
    next(stepping)
    kept = all(map(torch.equal, before, trainer.net.parameters()))
    halved = trainer.scaler.get_scale() == 2.0**59
    for _ in islice(stepping, 60):
        pass
    trainer._log()  # raises where a flag of a bad step was raised
    moved = not all(map(torch.equal, before, trainer.net.parameters()))
    finite = all(bool(p.isfinite().all()) for p in trainer.net.parameters())
    return {
        "holds": kept and halved and moved and finite,
        "kept": kept,
        "halved": halved,
        "moved": moved,
        "finite": finite,
        "scale": trainer.scaler.get_scale(),
    }


def cuda_tests() -> Result:
    """The tests of the suite that need a GPU."""
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "tests/emit", "tests/training", "tests/data", "tests/test_verify.py"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    # Status 5: no test was chosen.
    return {"holds": done.returncode in (0, 5), "said": done.stdout[-2000:] + done.stderr[-500:]}
