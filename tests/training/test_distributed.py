"""Two gloo processes, or three, against one."""

from __future__ import annotations

import copy
import json
import re
import signal
import socket

import pytest
import torch
from tests_train_spec import assert_drawn
from torch.nn.functional import cross_entropy

import archspec
from archspec.data import open_dataset
from archspec.training import distributed
from archspec.training.distributed import Processes
from archspec.training.plan import Plan
from archspec.training.store import checkpoint
from archspec.training.trained_network import open_trained

PLAIN = """
name: plain
input: [1, 8, 8]
params: {num_classes: 10}
layers:
  - conv2d: {out_channels: 4, kernel_size: 3}
  - relu
  - flatten
  - linear: num_classes
train: {dataset: digits, batch_size: 16, epochs: 2, lr: 0.1, optimizer: sgd, momentum: 0.9,
        limit_train: 100, limit_test: 40, memory_format: contiguous}
"""
NORMED = PLAIN.replace("  - relu\n", "  - batch_norm\n  - relu\n")


SLURM = {
    "SLURM_NTASKS": "6",
    "SLURM_STEP_NODELIST": "gpu[07-09]-ib",
    "SLURM_JOB_ID": "90123",
}


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture
def command(tmp_path):
    def make(name, text, *more, world=2):
        spec = tmp_path / f"{name}.yaml"
        spec.write_text(text)
        argv = ["train", str(spec), "--run", str(tmp_path / name), "--device", "cpu", *more]
        env = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
            "WORLD_SIZE": str(world),
        }
        return [
            {
                "argv": argv,
                "log": str(tmp_path / f"{name}.{rank}.log"),
                "env": {**env, "RANK": str(rank), "LOCAL_RANK": str(rank)} if world > 1 else {},
            }
            for rank in range(world)
        ]

    return make


def final(folder):
    return checkpoint.load(folder / "checkpoints" / checkpoint.LAST)


def close(one, other, tolerance=1e-6):
    assert one.keys() == other.keys()
    return all(torch.allclose(one[k], other[k], rtol=0, atol=tolerance) for k in one)


@pytest.mark.parametrize("more", [[], ["--accumulate", "2"], ["--fsdp"]])
def test_two_processes_train_as_one(more, command, forks, tmp_path):
    assert forks.run(*command("one", PLAIN, world=1)) == [0]
    jobs = [{**job, "charts": not more} for job in command("two", PLAIN, *more)]
    assert forks.run(*jobs) == [0, 0], (tmp_path / "two.0.log").read_text()
    one, two = final(tmp_path / "one"), final(tmp_path / "two")
    assert one["position"] == two["position"]
    assert close(one["model"], two["model"])
    for a, b in zip(one["history"], two["history"], strict=True):
        for key in ("train_accuracy", "validation_accuracy", "test_accuracy"):
            assert a[key] == b[key]
        assert a["train_loss"] == pytest.approx(b["train_loss"], abs=1e-5)
    assert (tmp_path / "two.1.log").read_text() == ""  # one of them speaks
    counts = [(tmp_path / name / "report.md").read_text() for name in ("one", "two")]
    tables = [each.partition("## By class")[2].partition("## By epoch")[0] for each in counts]
    assert tables[0] == tables[1] and "| 7 |" in tables[0]  # precision and images of each class
    if not more:
        assert_drawn(tmp_path / "two")


def test_a_last_batch_of_unequal_shares_has_as_many_pieces_in_each(command, forks, tmp_path):
    """Of 91 images the last 11 are shared as 5 and 6, which alone would be two and three pieces."""
    assert forks.run(*command("one", PLAIN, "--validation", "9", world=1)) == [0]
    jobs = command("two", PLAIN, "--validation", "9", "--fsdp", "--accumulate", "4")
    assert forks.run(*jobs) == [0, 0], (tmp_path / "two.0.log").read_text()
    assert close(final(tmp_path / "one")["model"], final(tmp_path / "two")["model"])


def test_a_signal_at_the_end_of_an_epoch_stops_all(command, forks, tmp_path):
    first, second = command("two", PLAIN)
    assert forks.run(first, {**second, "signal_at": [signal.SIGTERM, 6]}) == [143, 143]
    assert final(tmp_path / "two")["position"] == {"epoch": 1, "batch": 0, "step": 6}


def test_batch_norm_is_that_of_one_process_which_normalises_each_share(command, forks, tmp_path):
    """By hand: both halves of a batch apart, moving statistics from the first process alone."""
    assert forks.run(*command("two", NORMED, "--epochs", "1")) == [0, 0]
    arch = archspec.loads(NORMED)
    net = arch.build(seed=0)
    data = open_dataset("digits", resize=8, limit_train=100, limit_test=40)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    # 90 images: five batches of 16, and the last of 10.
    order = Plan(90, 16, seed=0).order(0)
    for batch in order.split(16):
        images, labels = next(data.train.batches(len(batch), order=batch, device="cpu"))
        half = len(batch) // 2
        kept = copy.deepcopy(dict(net.named_buffers()))
        optimizer.zero_grad()
        second = cross_entropy(net(images[half:]), labels[half:], reduction="sum")
        (second / len(batch)).backward()
        for name, buffer in net.named_buffers():
            buffer.copy_(kept[name])
        first = cross_entropy(net(images[:half]), labels[:half], reduction="sum")
        (first / len(batch)).backward()
        optimizer.step()
    assert close(net.state_dict(), final(tmp_path / "two")["model"])


def test_a_bad_loss_in_one_process_stops_all_with_a_message(command, forks, tmp_path):
    assert forks.run(*command("two", PLAIN, "--lr", "1e30")) == [1, 1]
    for rank in range(2):
        said = (tmp_path / f"two.{rank}.log").read_text().splitlines()[-1]
        assert "the loss is not finite at step" in said or "are not finite after step" in said
    tree = final(tmp_path / "two")
    assert all(bool(tensor.isfinite().all()) for tensor in tree["model"].values())


@pytest.mark.parametrize("more", [[], ["--fsdp"], ["--fsdp", "--ema", "0.6"]], ids=" ".join)
def test_the_figures_are_those_of_the_saved_weights(more, command, forks, tmp_path):
    """Each process has seen other images, so their moving statistics differ until shared."""
    assert forks.run(*command("two", NORMED, *more)) == [0, 0], (tmp_path / "two.0.log").read_text()
    history = final(tmp_path / "two")["history"]
    best = checkpoint.load(tmp_path / "two" / "checkpoints" / checkpoint.BEST)
    net = archspec.loads(NORMED).build(seed=0).eval()
    net.load_state_dict(best["model"])
    data = open_dataset("digits", resize=8, limit_train=100, limit_test=40)
    row = history[best["epoch"] - 1]
    for name, split in (("validation", data.validation), ("test", data.test)):
        images, labels = next(split.batches(len(split), device="cpu"))
        with torch.no_grad():
            logits = net(images)
        loss = cross_entropy(logits, labels).item()
        assert row[f"{name}_loss"] == pytest.approx(loss, abs=1e-6)
        assert row[f"{name}_accuracy"] == (logits.argmax(1) == labels).double().mean().item()
    found = open_trained(tmp_path / "two", device="cpu").evaluate()
    assert found.figures.loss == pytest.approx(row["test_loss"], abs=1e-6)


def test_an_average_that_is_sharded_is_that_of_one_process(command, forks, tmp_path):
    assert forks.run(*command("one", PLAIN, "--ema", "0.6", world=1)) == [0]
    assert forks.run(*command("two", PLAIN, "--ema", "0.6", "--fsdp")) == [0, 0]
    one, two = final(tmp_path / "one"), final(tmp_path / "two")
    assert close(one["average"], two["average"])
    assert not close(one["average"], one["model"], 1e-3)


def as_slurm(job):
    """The same job with what `srun` says in place of torchrun."""
    env = job["env"]
    names = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}
    return {**job, "env": {names.get(name, name): value for name, value in env.items()}}


@pytest.mark.parametrize(
    "more", [["--validation", "2"], ["--validation", "0", "--fsdp"]], ids=" ".join
)
def test_processes_without_images_to_evaluate_take_part(more, command, forks, tmp_path):
    """One of three has no image of two. FSDP needs its forward pass all the same."""
    text = PLAIN.replace("limit_test: 40", "limit_test: 2").replace(
        "batch_size: 16", "batch_size: 15"
    )
    alone = [word for word in more if word != "--fsdp"]
    assert forks.run(*command("one", text, *alone, world=1)) == [0]
    jobs = command("three", text, *more, world=3)
    if "--fsdp" not in more:
        jobs = [as_slurm(job) for job in jobs]
    assert forks.run(*jobs) == [0, 0, 0], (tmp_path / "three.0.log").read_text()
    one, three = final(tmp_path / "one"), final(tmp_path / "three")
    assert close(one["model"], three["model"])
    for a, b in zip(one["history"], three["history"], strict=True):
        assert a.keys() == b.keys() and ("validation_loss" in a) == ("2" in more)
        for key in a.keys() - {"examples_per_second", "seconds"}:
            assert a[key] == pytest.approx(b[key], abs=1e-5), key


def test_statistics_from_first_principles_are_synchronised(command, forks, tmp_path):
    """Batches of 16 and a last one of 10, which two processes share: as one process computes."""
    text = NORMED.replace("batch_norm", "batch_norm_scratch")
    assert forks.run(*command("one", text, world=1)) == [0]
    assert forks.run(*command("two", text, "--sync-batch-norm")) == [0, 0]
    one, two = final(tmp_path / "one"), final(tmp_path / "two")
    assert close(one["model"], two["model"], 1e-5)


@pytest.mark.parametrize(
    ("env", "seat"),
    [
        ({}, Processes()),
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, Processes(3, 4, 1)),
        # torchrun within a step of Slurm's
        ({"RANK": "3", "WORLD_SIZE": "4", "SLURM_PROCID": "0", **SLURM}, Processes(3, 4, 0)),
        ({"SLURM_PROCID": "5", "SLURM_LOCALID": "2", **SLURM}, Processes(5, 6, 2)),
        # a step of one task in a job of six; a batch script, which no step is
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1", **SLURM}, Processes()),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "6"}, Processes()),
    ],
)
def test_who_a_process_is(env, seat, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    groups = []
    given = {"init_process_group": lambda *_, **how: groups.append(how)}
    for name, stand_in in {**given, "destroy_process_group": lambda: None}.items():
        monkeypatch.setattr(distributed.dist, name, stand_in)
    monkeypatch.setattr(distributed, "rendezvous", lambda url: iter([(url, 0, 0)]))
    monkeypatch.setattr(distributed, "PrefixStore", lambda name, store: store)
    with distributed.joined("cpu") as found:
        assert found == seat
    if "SLURM_LOCALID" in env:
        url = "tcp://gpu07-ib:15123?rank=5&world_size=6"
        assert groups == [{"store": url, "rank": 5, "world_size": 6, "device_id": None}]


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu[07-09,12]-ib,login", "gpu07-ib"),
        ("n1,n2", "n1"),
        ("n[3,5]", "n3"),
        ("alone", "alone"),
    ],
)
def test_the_first_of_slurms_nodes(nodes, first):
    assert distributed.first_node(nodes) == first


IDLE = """
name: idle
input: [1, 8, 8]
layers:
  - flatten
  - {name: stem, linear: 12}
  - relu
  - {name: head, linear: 10}
  - {name: aux, linear: 10, from: stem}
outputs: {logits: head, aux: aux}
train: {dataset: digits, batch_size: 16, epochs: 1, lr: 0.01, optimizer: adamw, weight_decay: 0.5,
        limit_train: 100, limit_test: 40, memory_format: contiguous, loss_weights: {aux: 0}}
"""


@pytest.mark.parametrize("more", [["--accumulate", "2"], ["--fsdp"]], ids=" ".join)
def test_an_output_of_weight_0_keeps_still_in_two_processes_too(more, command, forks, tmp_path):
    assert forks.run(*command("one", IDLE, world=1)) == [0]
    assert forks.run(*command("two", IDLE, *more)) == [0, 0], (tmp_path / "two.0.log").read_text()
    one, two = final(tmp_path / "one")["model"], final(tmp_path / "two")["model"]
    assert close(one, two, 1e-5)
    start = archspec.loads(IDLE).build(seed=0).state_dict()
    assert torch.equal(two["aux.weight"], start["aux.weight"])
    assert not torch.equal(two["head.weight"], start["head.weight"])


@pytest.mark.parametrize(
    ("more", "world"),
    [([], 2), (["--fsdp"], 2), (["--batch-size", "12", "--accumulate", "2"], 3)],
)
def test_a_batch_that_spoils_statistics_is_named_and_not_saved(
    more, world, command, forks, tmp_path
):
    """It comes at step 15, the flag is read at step 20, and a checkpoint of step 10 is there."""
    config = tmp_path / "config.yaml"
    config.write_text("{save_every: 0.001, limit_train: 400}")
    jobs = command("two", NORMED, "--config", str(config), *more, world=world)
    jobs[1]["poison_at"] = 15
    assert forks.run(*jobs) == [1] * world
    for rank in range(world):
        assert (tmp_path / f"two.{rank}.log").read_text().splitlines()[-1] == (
            "archspec train: error: the loss is not finite at step 15 (epoch 1), with a learning "
            "rate of 0.1: in process 1, the images hold values that are not finite. The last "
            "checkpoint is intact"
        )
    tree = final(tmp_path / "two")
    assert tree["position"]["step"] == 10
    assert all(bool(tensor.isfinite().all()) for tensor in tree["model"].values())


@pytest.mark.parametrize(
    ("more", "world", "sent"),
    [
        ([], 3, {"allreduce_": 1}),
        # a flag of its own; the gradients of two layers
        (["--fsdp"], 2, {"allreduce_": 1, "_reduce_scatter_base_": 2}),
    ],
)
def test_a_step_in_pieces_exchanges_once(more, world, sent, command, forks, tmp_path):
    """With DDP nothing goes but the gradients. It has settled how by the third step."""
    pieces = ["--batch-size", "12", "--epochs", "1", "--accumulate", "2"]
    jobs = command("some", PLAIN, *pieces, *more, world=world)
    jobs[0]["exchanges_of"] = 3
    assert forks.run(*jobs) == [0] * world, (tmp_path / "some.0.log").read_text()
    (found,) = re.findall("exchanges: (.*)", (tmp_path / "some.0.log").read_text())
    gathered = {"_allgather_base_"}  # FSDP's weights, for each forward and backward pass
    assert {key: n for key, n in json.loads(found).items() if key not in gathered} == sent


@pytest.mark.parametrize("more", [[], ["--fsdp", "--ema", "0.9"]], ids=" ".join)
def test_a_killed_worker_resumes_with_the_same_bits(more, command, forks, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("{save_every: 0.001}")
    more = ["--config", str(config), *more]
    dropout = NORMED.replace("  - flatten\n", "  - flatten\n  - dropout: 0.3\n")
    assert forks.run(*command("whole", dropout, *more)) == [0, 0]
    jobs = command("cut", dropout, *more)
    jobs = [{**job, "kill_at": 11} for job in jobs]
    assert forks.run(*jobs) == [-signal.SIGKILL] * 2
    assert forks.run(*command("cut", dropout, *more, "--resume")) == [0, 0]
    whole, cut = final(tmp_path / "whole"), final(tmp_path / "cut")
    kept = "average" if "--ema" in more else "model"
    for key in whole[kept]:
        assert torch.equal(whole[kept][key], cut[kept][key]), key
    for a, b in zip(whole["history"], cut["history"], strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], abs=1e-12)


def test_one_process_goes_on_where_two_stopped(command, forks, tmp_path):
    assert forks.run(*command("one", PLAIN, world=1)) == [0]
    config = tmp_path / "config.yaml"
    config.write_text("{save_every: 0.001}")
    jobs = command("two", PLAIN, "--config", str(config))
    assert forks.run(*({**job, "kill_at": 11} for job in jobs)) == [-signal.SIGKILL] * 2
    assert forks.run(*command("two", PLAIN, "--resume", world=1)) == [0]
    assert close(final(tmp_path / "one")["model"], final(tmp_path / "two")["model"])


def test_a_process_whose_peer_is_gone_says_so(command, forks, tmp_path):
    first, second = command("two", PLAIN)
    statuses = forks.run(first, {**second, "kill_at": 3})
    assert statuses == [1, -signal.SIGKILL]
    said = (tmp_path / "two.0.log").read_text().splitlines()[-1]
    assert said.startswith("archspec train: error: another process of the run is gone (")
    assert "--resume goes on from it" in said


DYING = """
import os, signal
from archspec.cli import main
from archspec.training.loop import Trainer

if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
    step = Trainer._step

    def dying(self, *batch):
        if self.position.step == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        step(self, *batch)

    Trainer._step = dying
raise SystemExit(main())
"""


@pytest.mark.parametrize("rendezvous", [[], ["--standalone"]])
def test_torchrun_starts_a_killed_run_again(rendezvous, command, forks, tmp_path):
    assert forks.run(*command("whole", PLAIN)) == [0, 0]
    (tmp_path / "dying.py").write_text(DYING)
    argv = ["train", str(tmp_path / "whole.yaml"), "--run-dir", str(tmp_path / "cut"), "--resume"]
    argv += ["--device", "cpu", "--save-every", "0.001"]
    options = [*rendezvous, "--nproc-per-node", "2", "--max-restarts", "1"]
    options += ["--master-port", str(free_port()), str(tmp_path / "dying.py")]
    log = tmp_path / "cut.log"
    assert forks.run({"torchrun": True, "argv": [*options, *argv], "log": str(log)}) == [0]
    assert "resumed after step " in log.read_text()
    whole, cut = final(tmp_path / "whole"), final(tmp_path / "cut")
    assert all(torch.equal(whole["model"][key], cut["model"][key]) for key in whole["model"])
