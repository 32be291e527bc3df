"""A program that trains in forked children, so that tests pay for importing torch once.

Each line of standard input is a job: {"children": [{"env": {…}, "argv": […], "kill_at": N}]}.
Every child runs the command line with its output in the file `log`; `kill_at` makes it kill itself
with SIGKILL at the begin of its Nth step, `signal_at` send itself that signal, `group_at` send its
own process group (workers among it) SIGTERM; `poison_at` turns the images of its Nth step to NaN;
`exchanges_of` writes what the Nth step exchanges to the log. Charts are empty files unless `charts`
is true. With `torchrun` it runs that with these arguments instead, whose own workers are forks too.
A line of exit statuses comes back.
"""

import collections
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

# Imported before any fork, because each child would import them anew.
import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401
import PIL.BmpImagePlugin
import PIL.GifImagePlugin
import PIL.JpegImagePlugin
import PIL.PpmImagePlugin  # noqa: F401
import safetensors.torch  # noqa: F401
import torch
import torch._dynamo
import torch.distributed.fsdp
import torch.nn.parallel
import torch.utils.tensorboard
import yaml  # noqa: F401
from torch.distributed.run import main as torchrun
from torch.utils._python_dispatch import TorchDispatchMode

import archspec.analyses.cost
import archspec.analyses.memory
import archspec.cli.train
import archspec.data.digits
import archspec.data.folder
import archspec.data.keeping
import archspec.data.memory
import archspec.data.resident
import archspec.data.streaming
import archspec.data.vision
import archspec.emit
import archspec.emit.module
import archspec.expand.write
import archspec.loading
import archspec.ops
import archspec.training.session  # noqa: F401
from archspec.cli import main
from archspec.ir.op import REGISTRY
from archspec.training import report, updates
from archspec.training.loop import Trainer

torch.set_num_threads(1)
list(REGISTRY.values())  # imports the files of all ops
train_step = Trainer._step


def strike(number, at, before, to_all=False):
    """Sends this process, or all of its group, a signal at its `at`th step, before or within it."""
    count = 0

    def step(self, *batch):
        nonlocal count
        count += 1
        if count == at and before:
            os.kill(os.getpid(), number)
        train_step(self, *batch)
        if count == at and not before:
            if to_all:  # from outside: torch's workers take what their parent sends otherwise
                subprocess.run(["sh", "-c", f"kill -{int(number)} -{os.getpid()}"], check=False)
                time.sleep(0.3)  # until the death of workers that die of it is known
            else:
                os.kill(os.getpid(), number)

    Trainer._step = step


def poison(at):
    """Lets the images of the `at`th step be no numbers."""
    prepare = updates.training_batches

    def batches(split, plan, position, *more):
        for number, batch in enumerate(prepare(split, plan, position, *more), position.step + 1):
            images = torch.full_like(batch.images, torch.nan) if number == at else batch.images
            yield batch._replace(images=images)

    updates.training_batches = batches


class Exchanges(TorchDispatchMode):
    """Counts what is sent to other processes, by the name of torch's operation."""

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "c10d":
            self.counts[func._overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def write_exchanges(of):
    count = 0

    def step(self, *batch):
        nonlocal count
        count += 1
        with Exchanges() if count == of else nullcontext() as mode:
            train_step(self, *batch)
        if mode:
            print("exchanges:", json.dumps(mode.counts))

    Trainer._step = step


def child(job):
    os.environ.update(job.get("env", {}))
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    if not job.get("charts"):  # drawing takes most of so short a run
        report._save = lambda figure, path: path.write_bytes(b"")
    if "kill_at" in job:
        strike(signal.SIGKILL, job["kill_at"], before=True)
    if "poison_at" in job:
        poison(job["poison_at"])
    if "exchanges_of" in job:
        write_exchanges(job["exchanges_of"])
    if "group_at" in job:
        os.setpgid(0, 0)
        strike(signal.SIGTERM, job["group_at"], before=False, to_all=True)
    if "signal_at" in job:
        strike(*job["signal_at"], before=False)
    try:
        if job.get("torchrun"):
            torchrun(["--run-path", "--start-method", "fork", *job["argv"]])
            os._exit(0)
        status = main(job["argv"])
    except SystemExit as stop:
        status = stop.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


for line in sys.stdin:
    jobs = json.loads(line)["children"]
    pids = []
    for job in jobs:
        pid = os.fork()
        if pid == 0:
            child(job)
        pids.append(pid)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    print(json.dumps(statuses), flush=True)
