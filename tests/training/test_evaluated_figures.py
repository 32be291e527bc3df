"""Evaluation against counts made by hand, and the losses of several outputs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from archspec.recipe.recipe import Recipe
from archspec.training.distributed import Processes
from archspec.training.errors import TrainingError
from archspec.training.evaluate import evaluate
from archspec.training.loss import Loss

CPU = torch.device("cpu")


class Rows:
    """A split whose images are the logits themselves."""

    def __init__(self, logits: list[list[float]], labels: list[int]) -> None:
        self.logits, self.labels = torch.tensor(logits), torch.tensor(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size, *, order, device, training=False, generator=None):
        assert not training and generator is None
        for rows in order.split(size):
            yield self.logits[rows], self.labels[rows]


LOGITS = [[2.0, 0, 0], [0, 2, 0], [0, 2, 0], [0, 0, 2], [2, 0, 0]]
LABELS = [0, 0, 1, 1, 2]


def found(net: nn.Module | None = None, recipe: Recipe | None = None, **more):
    options = {"classes": 3, "batch_size": 2, "device": CPU, **more}
    split, loss = Rows(LOGITS, LABELS), Loss(recipe or Recipe(), None)
    return evaluate(net or nn.Identity(), split, loss, **options)


def test_confusion_has_a_row_a_true_class_and_a_column_a_guess():
    # Of class 0, one was taken for 0 and one for 1; of class 1, one for 1 and one for 2; class 2
    # was taken for 0.
    assert found().confusion.tolist() == [[1, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert found(classes=4).confusion.tolist() == [
        [1, 1, 0, 0],
        [0, 1, 1, 0],
        [1, 0, 0, 0],
        [0] * 4,
    ]


def test_figures_are_means_over_all_images():
    figures = found().figures
    # Right with logits (2, 0, 0): log(e^2 + 2) - 2; wrong: log(e^2 + 2). Two of five are right.
    assert figures.loss == pytest.approx(math.log(math.e**2 + 2) - 2 * 2 / 5, rel=1e-6)
    assert (figures.accuracy, figures.examples) == (0.4, 5)


def test_each_of_several_processes_takes_its_share(monkeypatch):
    monkeypatch.setattr(Processes, "sum", lambda self, tensor: tensor)
    shares = [found(processes=Processes(rank, 2)) for rank in (0, 1)]
    assert [share.figures.examples for share in shares] == [3, 2]
    assert torch.equal(shares[0].confusion + shares[1].confusion, found().confusion)


@pytest.mark.parametrize("training", [True, False])
def test_a_network_runs_in_eval_and_keeps_its_mode(training):
    seen = []

    class Watched(nn.Identity):
        def forward(self, x):
            seen.append((self.training, torch.is_grad_enabled()))
            return x

    net = nn.Sequential(Watched()).train(training)
    found(net)
    assert seen == [(False, False)] * 3
    assert net.training is training and net[0].training is training


# --- losses ---------------------------------------------------------------------------------------

TWO = ("logits", "aux")
NUMBERS = {"logits": torch.tensor([[1.0, 2.0]]), "aux": torch.tensor([[3.0, 1.0]])}


def weighed(output=NUMBERS, **recipe):
    return Loss(Recipe(**recipe), "logits", TWO)(output, torch.tensor([0]))


def ce(*logits):
    return math.log(sum(map(math.exp, logits))) - logits[0]


def test_an_output_besides_the_main_one_counts_three_tenths():
    assert float(weighed()) == pytest.approx(ce(1, 2) + 0.3 * ce(3, 1))
    given = weighed(loss_weights={"aux": 0.5, "logits": 2.0})
    assert float(given) == pytest.approx(2 * ce(1, 2) + 0.5 * ce(3, 1))


def test_an_output_of_no_weight_is_not_looked_at():
    output = {**NUMBERS, "aux": torch.full((1, 2), math.nan)}
    assert float(weighed(output, loss_weights={"aux": 0})) == pytest.approx(ce(1, 2))


def test_in_eval_the_main_output_is_there_alone():
    assert float(weighed({"logits": NUMBERS["logits"]})) == pytest.approx(ce(1, 2))
    loss = Loss(Recipe(), "logits", TWO)
    assert loss.logits({"aux": torch.ones(1), **NUMBERS}) is NUMBERS["logits"]
    assert Loss(Recipe(), None).logits(NUMBERS) is NUMBERS["logits"]


def test_a_loss_is_summed_over_the_images_in_float32():
    logits, labels = torch.randn(4, 3, generator=torch.manual_seed(0)), torch.tensor([0, 1, 2, 1])
    loss = Loss(Recipe(label_smoothing=0.2), None)(logits.half(), labels)
    expected = cross_entropy(logits.half().float(), labels, label_smoothing=0.2) * 4
    assert loss.dtype == torch.float32 and float(loss) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"logit": 1.0}, "the network has no output 'logit': did you mean 'logits'?"),
        ({"head": 1.0}, "the network has no output 'head': its outputs are logits, aux"),
        ({"aux": 0.0, "logits": 0.0}, "every output has the weight 0: nothing would learn"),
    ],
)
def test_weights_that_could_not_count_are_refused(weights, said):
    with pytest.raises(TrainingError) as caught:
        weighed(loss_weights=weights)
    assert str(caught.value) == f"loss_weights: {said}"
