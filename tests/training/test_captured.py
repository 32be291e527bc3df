"""Steps that are repeated as one graph: equal to launched ones, and only where that is possible."""

from __future__ import annotations

import itertools

import pytest
import torch
from recorded import RecordedGraphs
from torch import nn

import archspec
from archspec.data import open_dataset
from archspec.recipe.recipe import Recipe
from archspec.training import captured, recipe_for, state, train
from archspec.training.distributed import Processes
from archspec.training.errors import TrainingError
from archspec.training.loop import Trainer
from archspec.training.loss import Loss
from archspec.training.plan import Plan
from archspec.training.timetable import Timetable

CPU = torch.device("cpu")
NETWORK = """
name: varied
input: [1, 8, 8]
layers:
  - conv2d: {out_channels: 4, kernel_size: 3}
  - batch_norm
  - relu
  - batch_norm_scratch
  - stochastic_depth: {p: 0.3, mode: row}
  - flatten
  - dropout: 0.2
  - linear: 10
train: {dataset: digits, batch_size: 16, validation: 0}
"""
ANY = {"optimizer": "sgd", "lr": 0.125, "momentum": 0.5}
"""A rate that float32 holds exactly: a plain trainer computes with the same one."""


class Launched(Trainer):
    """Reads its rates where captured steps do, and captures nothing."""

    def prepare_steps(self):
        self.timetable = Timetable(self.recipe, self.plan, self.device, on_device=True)


class Repeated(Trainer):
    """Repeats recorded operations instead of a CUDA graph."""

    graphs: RecordedGraphs | None = None

    def _obstacle(self):
        return None

    def _graphs(self):
        self.graphs = RecordedGraphs(self.tensors)
        return self.graphs

    @property
    def captures(self):
        return self.graphs.captures if self.graphs else 0

    def tensors(self):
        """All that a step changes in place."""
        nets = [self.net, *([self.average.net] if self.average else [])]
        states = [each for state in self.optimizer.state.values() for each in state.values()]
        scaler = [self.scaler._scale, self.scaler._growth_tracker] if self.scaler else []
        kept = [self.sums.total, self.bad_step, self.repeated._batch, *states, *scaler]
        return [*(each for net in nets for each in net.state_dict().values()), *kept]


def made(kind, text=NETWORK, images=100, **recipe):
    """A trainer of some images in steps of 16, of which the last is smaller."""
    torch.manual_seed(3)
    arch = archspec.loads(text, allow_modules=["torchvision"])
    given = {"memory_format": "contiguous", "precision": "fp32", "epochs": 2, **ANY, **recipe}
    chosen = recipe_for(arch, None, given)
    data = open_dataset(
        "digits", resize=8, validation=0, limit_train=images, limit_test=40, augment=chosen.augment
    )
    plan = Plan(images, 16, seed=0, least=2)
    net, loss = arch.build(seed=0, recompute=chosen.recompute), Loss(chosen, "output")
    said = []
    trainer = kind(net, data, chosen, CPU, loss, plan, say=said.append)
    trainer.said = said
    return trainer


def run_of(kind, scaler=None, **recipe):
    """The trainer after its run, with its weights, statistics and average."""
    trainer = made(kind, **recipe)
    if scaler:
        trainer.scaler = scaler()
    trainer.fit()
    tree = state.take(trainer)
    found = {
        f"{part}.{key}": each
        for part in ("model", "average")
        if tree[part]
        for key, each in tree[part].items()
    }
    return trainer, found


def same(one, other):
    assert one.keys() == other.keys()
    return [key for key in one if not torch.equal(one[key], other[key])]


# --- the same bits --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"schedule": "cosine", "warmup": 0.5, "nesterov": True, "weight_decay": 0.01},
        {"optimizer": "adamw", "momentum": 0.0, "lr": 0.01, "ema": 0.9, "clip_norm": 0.5},
        {"accumulate": 2, "label_smoothing": 0.1, "schedule": "one_cycle"},
        {"precision": "bf16", "memory_format": "channels_last"},
        {"recompute": "norms"},
        {"augment": ("random_crop:1", "random_horizontal_flip", "random_rotation")},
        {
            "augment": (
                "random_resized_crop",
                "random_erasing",
                "random_brightness",
                "random_contrast",
            )
        },
    ],
    ids=lambda recipe: " ".join(recipe) or "plain",
)
def test_repeated_steps_are_those_that_were_launched(recipe):
    _, launched = run_of(Launched, **recipe)
    trainer, repeated = run_of(Repeated, cuda_graph=True, **recipe)
    assert trainer.captures == 1
    assert same(launched, repeated) == []


def test_a_rate_that_float32_holds_gives_the_bits_of_plain_steps():
    _, plain = run_of(Trainer)
    trainer, repeated = run_of(Repeated, cuda_graph=True)
    assert trainer.captures == 1 and same(plain, repeated) == []


def test_figures_of_repeated_steps_are_those_of_launched_ones():
    rows = [run_of(kind, cuda_graph=kind is Repeated)[0].history for kind in (Launched, Repeated)]
    for launched, repeated in zip(*rows, strict=True):
        for key in ("step", "lr", "train_loss", "train_accuracy", "test_loss"):
            assert launched[key] == repeated[key]


def test_a_scale_that_overflows_halves_in_repeated_steps():
    def scaler():
        return torch.amp.GradScaler("cpu", init_scale=2.0**127)

    def steep(kind):
        """Its gradients are so large that the first scales overflow."""

        def forward(self, images, labels):
            loss, logits = kind.forward(self, images, labels)
            return loss * 4096, logits

        return type("Steep", (kind,), {"forward": forward})

    given = {"epochs": 3, "lr": 2.0**-16}
    one, launched = run_of(steep(Launched), scaler, **given)
    other, repeated = run_of(steep(Repeated), scaler, **given, cuda_graph=True)
    # More often than there are steps before the capture.
    assert one.scaler.get_scale() == other.scaler.get_scale() < 2.0**123
    assert other.captures == 1
    assert same(launched, repeated) == []


def test_a_bad_loss_is_reported_at_its_step_by_repeated_ones():
    messages = []
    for kind in (Launched, Repeated):
        # A warm-up from so small a rate that some steps pass before one spoils the weights.
        trainer = made(kind, lr=1e30, warmup=3.0, epochs=4, cuda_graph=kind is Repeated)
        with pytest.raises(TrainingError, match="the loss is not finite at step") as caught:
            trainer.fit()
        messages.append(str(caught.value).partition(":")[0])
    assert messages[0] == messages[1]


def test_a_run_that_is_cut_in_an_epoch_goes_on_with_the_same_bits():
    _, expected = run_of(Repeated, cuda_graph=True, epochs=3)
    first = made(Repeated, cuda_graph=True, epochs=3)
    first.prepare_steps()
    first.model.train()
    steps = itertools.islice(first.steps(), 5)
    assert list(steps) == [16] * 5
    tree = state.take(first)
    second = made(Repeated, cuda_graph=True, epochs=3)
    state.put_back(second, tree)
    second.fit()
    assert same(expected, {f"model.{k}": v for k, v in state.take(second)["model"].items()}) == []


# --- where steps are captured ---------------------------------------------------------------------


class Waiting(Repeated):
    """Looks at its loss in every step."""

    def forward(self, images, labels):
        loss, logits = super().forward(images, labels)
        assert loss.item() > 0
        return loss, logits


class Unwatched(Waiting):
    """Nobody sees that it waits before the capture."""

    def _graphs(self):
        graphs = super()._graphs()
        graphs.waits = lambda run: run()
        return graphs


WAITED = {Waiting: "it waits at aten._local_scalar_dense", Unwatched: "operation not permitted"}


@pytest.mark.parametrize("kind", WAITED)
def test_steps_that_wait_are_launched_and_it_is_said(kind):
    trainer, found = run_of(kind, epochs=9)
    (line,) = trainer.said
    start = "steps: launched kernel by kernel; they cannot be captured"
    assert line.startswith(f"{start} ({WAITED[kind]}")
    assert trainer.captures == (kind is Unwatched)
    _, expected = run_of(Launched, epochs=9)
    assert same(expected, found) == []


@pytest.mark.parametrize("kind", WAITED)
def test_steps_that_wait_are_refused_where_a_graph_is_wanted(kind):
    said = rf"--cuda-graph true: a step cannot be captured \({WAITED[kind]}"
    with pytest.raises(TrainingError, match=said):
        run_of(kind, cuda_graph=True)


def test_without_whole_steps_enough_nothing_is_captured():
    trainer, _ = run_of(Repeated, epochs=7)  # 7 · 7 steps
    assert trainer.captures == 0 and trainer.said == []


@pytest.mark.parametrize(("cost", "is_kept"), [(0.25, True), (4.0, False)])
def test_the_faster_way_is_kept_and_stated(cost, is_kept, monkeypatch):
    clock, replays = [0.0], []
    monkeypatch.setattr(captured.time, "perf_counter", lambda: clock[0])

    class Timed(Repeated):
        def forward(self, images, labels):
            clock[0] += 0.002
            return super().forward(images, labels)

        def _graphs(self):
            graphs = super()._graphs()
            capture = graphs.capture

            def slow(run):
                replay = capture(run)

                def slowed():
                    replays.append(1)
                    clock[0] += 0.002 * cost
                    replay()

                return slowed

            graphs.capture = slow
            return graphs

    trainer, found = run_of(Timed, epochs=9)
    steps = 9 * 6  # whole batches
    assert len(replays) == (steps - 3 - 5 if is_kept else 5)
    ours = f"{2 * cost:.3g}"
    assert trainer.said == [f"steps: {ours} ms as one CUDA graph, 2 ms launched kernel by kernel"]
    _, expected = run_of(Launched, epochs=9)
    assert same(expected, found) == []


def obstacle(kind=Trainer, device="cuda", where="cuda", text=NETWORK, **changes):
    """What keeps a trainer from capturing, as if it were on that device."""
    trainer = made(kind, text, **{k: v for k, v in changes.items() if k != "processes"})
    trainer.device = torch.device(device)
    trainer.processes = changes.get("processes", Processes())
    trainer.optimizer.reads_flags = trainer.optimizer.rule.is_fused

    class There(type(trainer.data.train)):
        device = torch.device(where) if where else None

    trainer.data.train.__class__ = There
    return trainer._obstacle()


class Own(Trainer):
    def forward(self, images, labels):
        return super().forward(images, labels)


class Capturable(Own):
    capturable = True


def test_what_keeps_steps_from_being_captured_is_named():
    assert obstacle() is None
    assert obstacle(Capturable) is None
    assert obstacle(device="cpu") == "there are no CUDA graphs on cpu"
    assert obstacle(processes=Processes(0, 2)) == "several processes exchange gradients"
    assert obstacle(where=None) == obstacle(where="cpu") == "the images are streamed"
    assert obstacle(optimizer="nadam", momentum=0.0) == "nadam reads numbers on the CPU"
    assert obstacle(Own) == "Own has a `forward` of its own, and is not `capturable`"
    node = "{module: {type: torchvision.ops.Permute, args: [[0, 1]]}}"
    foreign = NETWORK.replace("  - flatten\n", f"  - flatten\n  - {node}\n")
    assert obstacle(text=foreign).startswith("torchvision.ops.misc.Permute is another package's")


def test_a_graph_that_is_wanted_and_impossible_is_refused(small, tmp_path):
    with pytest.raises(TrainingError, match=r"--cuda-graph true: .* no CUDA graphs on cpu"):
        train(small, run=tmp_path / "run", dataset="digits", cuda_graph=True, device="cpu")


def test_a_foreign_module_is_found_in_any_depth():
    class Strange(nn.Module):
        pass

    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(Strange()))
    assert captured.foreign_module(net).endswith("Strange")
    assert captured.foreign_module(nn.Sequential(nn.ReLU())) is None


def test_a_table_has_the_rates_and_shares_of_its_epoch():
    recipe = Recipe(lr=0.5, schedule="step", step_epochs=1, gamma=0.5, ema=0.5, epochs=3)
    table = Timetable(recipe, Plan(6, 2, 0), CPU, on_device=True)
    trainer = made(Trainer)
    position = trainer.position
    position.epoch, position.batch, position.step = 1, 1, 4
    moment = table.moment(position)
    assert (moment.lr.item(), moment.renewed.item(), moment.step) == (
        0.25,
        pytest.approx(1 - 6 / 15),
        4,
    )
    later = table.at(torch.tensor([3]), torch.tensor([2]))
    assert (later.lr.item(), later.renewed.item(), later.step.item()) == (
        0.25,
        pytest.approx(1 - 7 / 16),
        5,
    )
    position.epoch, position.batch, position.step = 0, 0, 0
    assert table.moment(position).lr.item() == 0.5
    # 1 - (1 + n) / (10 + n) for the first step, n = 1
    assert table.moment(position).renewed.item() == pytest.approx(9 / 11, rel=1e-6)


def test_whole_batches_alone_are_compiled(monkeypatch):
    calls, sizes = [], []

    def compiled(model, **options):
        calls.append(options)

        def run(images):
            sizes.append(len(images))
            return model(images)

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    _, found = run_of(Trainer, compile=True)
    assert calls == [{"dynamic": False}] and sizes == [16] * 12  # 6 whole batches, twice
    _, expected = run_of(Trainer)
    assert same(expected, found) == []
    sizes.clear()
    run_of(Trainer, compile=True, accumulate=2)
    assert sizes == [8] * 24


def test_kernels_are_tried_for_whole_batches_alone(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    tried = []

    class Seen(Trainer):
        def forward(self, images, labels):
            tried.append((len(images), torch.backends.cudnn.benchmark))
            return super().forward(images, labels)

    run_of(Seen, epochs=1)
    assert tried == [(16, True)] * 6 + [(4, False)]
    assert torch.backends.cudnn.benchmark
