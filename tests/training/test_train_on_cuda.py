"""The trainer on a GPU: what a CPU cannot show."""

from __future__ import annotations

import json

import pytest
import torch

import archspec
from archspec.recipe.recipe import Recipe
from archspec.training import train
from archspec.training.captured import CudaGraphs
from archspec.training.errors import TrainingError
from archspec.training.loop import Trainer
from archspec.training.optimise import Optimizer
from archspec.training.store import checkpoint

pytestmark = pytest.mark.cuda

FAST = {"device": "cuda", "memory_format": "contiguous", "limit_train": 400, "limit_test": 100}


@pytest.fixture(autouse=True)
def plain_arithmetic():
    """Float32 products in full, so that the CPU's results can be compared with."""
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    yield
    torch.backends.cudnn.allow_tf32 = before[0]
    torch.set_float32_matmul_precision(before[1])


def last(folder):
    return checkpoint.load(folder / "checkpoints" / checkpoint.LAST)


def test_float32_losses_are_those_of_the_cpu(tmp_path):
    arch = archspec.load("lenet_bn")
    found = {}
    for device in ("cpu", "cuda"):
        given = {**FAST, "device": device, "precision": "fp32", "epochs": 2, "batch_size": 32}
        _, rows = train(arch, run=tmp_path / device, dataset="digits", **given)
        found[device] = [row["train_loss"] for row in rows]
    assert found["cuda"] == pytest.approx(found["cpu"], rel=1e-3)


def test_digits_are_learnt_in_the_gpus_own_precision(tmp_path):
    train(archspec.load("lenet_bn"), run=tmp_path / "run", dataset="digits", device="cuda")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["best"]["test"]["accuracy"] > 0.96
    assert 'precision: "bf16"' in (tmp_path / "run" / "config.yaml").read_text()


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_no_step_waits_for_the_gpu(precision, graph, small, tmp_path):
    strict = []

    class Strict(Trainer):
        """Lets a wait of the steps 6 to 23 raise, and of what stands between them."""

        def steps(self):
            try:
                for images in super().steps():
                    is_watched = 5 < self.position.step < 24
                    torch.cuda.set_sync_debug_mode("error" if is_watched else "default")
                    strict.append(is_watched)
                    yield images
            finally:
                torch.cuda.set_sync_debug_mode("default")

    given = {**FAST, "precision": precision, "log_every": 1e9, "augment": ("random_crop:1",)}
    given |= {"clip_norm": 1.0, "ema": 0.9, "cuda_graph": graph}
    train(small, run=tmp_path / "run", trainer=Strict, **given)
    assert sum(strict) == 18


VARIED = [
    {"optimizer": "sgd", "momentum": 0.9, "schedule": "cosine", "weight_decay": 0.01},
    {"optimizer": "adamw", "clip_norm": 0.5, "ema": 0.9, "warmup": 1.0},
    {"augment": ("random_crop:1", "random_rotation", "random_erasing", "random_contrast")},
    {"precision": "bf16", "memory_format": "channels_last", "accumulate": 2},
    {"precision": "fp16", "label_smoothing": 0.1},
    {"recompute": "norms"},
]


@pytest.mark.parametrize("recipe", VARIED, ids=lambda recipe: " ".join(recipe))
def test_a_captured_step_has_the_bits_of_a_launched_one(recipe, small, tmp_path):
    found, figures = [], []
    for graph in (True, False):
        given = {**FAST, "precision": "fp32", "deterministic": True, "epochs": 3, **recipe}
        folder = tmp_path / str(graph)
        _, history = train(small, run=folder, quiet=True, cuda_graph=graph, **given)
        tree = last(folder)
        found.append(
            {**tree["model"], **{f"average {k}": v for k, v in (tree["average"] or {}).items()}}
        )
        figures.append([(row["train_loss"], row["lr"], row["test_loss"]) for row in history])
    assert [key for key in found[0] if not torch.equal(found[0][key], found[1][key])] == []
    assert figures[0] == figures[1]


def test_the_faster_of_both_ways_is_found_and_stated(small, tmp_path, capsys):
    train(small, run=tmp_path / "run", epochs=4, quiet=False, **FAST)
    assert " ms as one CUDA graph, " in capsys.readouterr().out


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_step_that_cannot_be_captured_is_launched(is_seen, small, tmp_path, capsys, monkeypatch):
    class Waiting(Trainer):
        capturable = True

        def forward(self, images, labels):
            loss, logits = super().forward(images, labels)
            assert loss.item() > 0
            return loss, logits

    if not is_seen:  # a capture that fails, after which dropout draws on
        monkeypatch.setattr(CudaGraphs, "waits", lambda self, run: run())
    given = {**FAST, "deterministic": True, "epochs": 3, "precision": "fp32"}
    _, history = train(small, run=tmp_path / "run", trainer=Waiting, quiet=False, **given)
    said = capsys.readouterr().out
    assert "they cannot be captured" in said
    assert ("it waits for the GPU at test_train_on_cuda.py:" in said) == is_seen
    _, expected = train(small, run=tmp_path / "plain", cuda_graph=False, **given)
    assert [row["train_loss"] for row in history] == [row["train_loss"] for row in expected]
    with pytest.raises(TrainingError, match="--cuda-graph true: a step cannot be captured"):
        train(small, run=tmp_path / "other", trainer=Waiting, cuda_graph=True, **given)


@pytest.mark.parametrize("graph", [True, False])
def test_a_loss_that_overflows_is_reported_at_its_step(graph, small, tmp_path):
    class Growing(Trainer):
        """Its loss is 10 times as large in each step, from 1e29 on."""

        capturable = True

        def forward(self, images, labels):
            loss, logits = super().forward(images, labels)
            if not hasattr(self, "factor"):
                self.factor = torch.full((), 1e28, device=self.device)
            self.factor.mul_(10)
            return loss - loss.detach() + self.factor, logits

    given = {**FAST, "precision": "fp32", "log_every": 1e9, "cuda_graph": graph, "lr": 1e-9}
    with pytest.raises(TrainingError, match=r"step 11\b"):  # 1e39 is beyond float32
        train(small, run=tmp_path / "run", trainer=Growing, **given)


def test_captured_steps_of_a_compiled_network_learn(small, tmp_path):
    given = {**FAST, "epochs": 4, "compile": True, "cuda_graph": True}
    _, history = train(small, run=tmp_path / "run", **given)
    assert history[-1]["train_loss"] < 2.0


def test_a_loss_that_is_no_number_is_reported_at_its_step(small, tmp_path):
    class Poisoned(Trainer):
        """The images of step 12 are not finite."""

        def forward(self, images, labels):
            if self.position.step == 11:
                images = images * float("nan")
            return super().forward(images, labels)

    with pytest.raises(TrainingError, match=r"step 12\b"):
        train(small, run=tmp_path / "run", trainer=Poisoned, log_every=1e9, **FAST)
    state = last(tmp_path / "run")["model"]
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_fp16_steps_over_an_overflow_and_goes_on(small, tmp_path):
    scales, weights = [], []

    class Overflowing(Trainer):
        """Begins with a scale that no gradient survives."""

        def _step(self, *batch):
            if not self.position.step:
                self.scaler = torch.amp.GradScaler("cuda", init_scale=2.0**40)
            super()._step(*batch)
            scales.append(self.scaler.get_scale())
            weights.append(self.net.get_parameter("0.weight").detach().clone())

    given = {**FAST, "precision": "fp16", "cuda_graph": False}
    _, history = train(small, run=tmp_path / "run", trainer=Overflowing, **given)
    assert scales[0] == 2.0**39 and scales[-1] < 2.0**39
    assert torch.equal(weights[0], small.build(seed=0).get_parameter("0.weight").cuda())
    assert not torch.equal(weights[-1], weights[0]) and weights[-1].isfinite().all()
    assert history[-1]["train_loss"] < 2.3


def test_deterministic_runs_end_with_the_same_bits(tmp_path):
    states = []
    for name in ("one", "two"):
        given = {**FAST, "deterministic": True, "epochs": 2, "augment": ("random_rotation",)}
        train(archspec.load("lenet_bn"), run=tmp_path / name, dataset="digits", **given)
        states.append(last(tmp_path / name)["model"])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_batch_that_does_not_fit_is_answered_with_one_that_does(tmp_path):
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(2 * 2**30 / total)
    try:
        with pytest.raises(TrainingError, match=r"--batch-size \d+ fits"):
            given = {"resize": 224, "batch_size": 1024, "epochs": 1, "limit_test": 100}
            train(
                archspec.load("resnet18"),
                run=tmp_path / "run",
                dataset="digits",
                device="cuda",
                memory_format="contiguous",
                **given,
            )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("sgd", lambda p: torch.optim.SGD(p, 0.1, fused=True)),
        ("adamw", lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.0, fused=True)),
        ("nadam", lambda p: torch.optim.NAdam(p, 0.1)),
        ("rmsprop", lambda p: torch.optim.RMSprop(p, 0.1)),
    ],
)
def test_an_optimiser_steps_as_torchs_on_the_gpu(name, theirs):
    torch.manual_seed(0)
    one, other = (torch.nn.Linear(5, 3, device="cuda") for _ in range(2))
    other.load_state_dict(one.state_dict())
    optimizer = Optimizer(one.named_parameters(), Recipe(optimizer=name))
    torchs = theirs(other.parameters())
    for _ in range(4):
        x = torch.randn(6, 5, device="cuda")
        for net in (one, other):
            net.zero_grad()
            net(x).square().sum().backward()
        optimizer.frozen = torch.zeros((), device="cuda")
        optimizer.step(0.1)
        torchs.step()
    assert torch.equal(one.weight, other.weight) and torch.equal(one.bias, other.bias)
