"""The schedules against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.optim import lr_scheduler as theirs

from archspec.recipe.recipe import Recipe
from archspec.training.schedule import learning_rate

STEPS, EPOCHS = 10, 6


def rates(**recipe):
    chosen = Recipe(lr=0.4, epochs=EPOCHS, **recipe)
    return [learning_rate(chosen, step, STEPS) for step in range(STEPS * EPOCHS)]


def torch_rates(make):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    schedule = make(optimizer)
    found = []
    for _ in range(STEPS * EPOCHS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("recipe", "make"),
    [
        ({"schedule": "constant"}, lambda o: theirs.ConstantLR(o, factor=1)),
        (
            {"schedule": "step", "step_epochs": 2.0, "gamma": 0.3},
            lambda o: theirs.StepLR(o, 2 * STEPS, 0.3),
        ),
        (
            {"schedule": "cosine", "final_lr": 0.01},
            lambda o: theirs.CosineAnnealingLR(o, STEPS * EPOCHS, 0.01),
        ),
        (
            {"schedule": "one_cycle"},
            lambda o: theirs.OneCycleLR(o, 0.4, total_steps=STEPS * EPOCHS),
        ),
    ],
)
def test_as_torch_has_it(recipe, make):
    assert rates(**recipe) == pytest.approx(torch_rates(make), rel=1e-9)


def test_warm_up_is_linear_and_the_schedule_begins_after_it():
    found = rates(schedule="cosine", warmup=1.0)
    assert found[:STEPS] == pytest.approx([0.04 * (i + 1) for i in range(STEPS)])
    assert found[STEPS] == 0.4
    later = torch_rates(lambda o: theirs.CosineAnnealingLR(o, STEPS * (EPOCHS - 1)))
    assert found[STEPS:] == pytest.approx(later[:-STEPS], abs=1e-12)


def test_drops_are_counted_from_the_end_of_the_warm_up():
    # Half an epoch (5 steps) up to the rate, then a factor of 0.5 after every 10 steps.
    found = rates(schedule="step", step_epochs=1.0, gamma=0.5, warmup=0.5)
    assert found[:5] == pytest.approx([0.08, 0.16, 0.24, 0.32, 0.4])
    assert found[5:15] == pytest.approx([0.4] * 10)
    assert found[15:25] == pytest.approx([0.2] * 10)
    assert found[55:] == pytest.approx([0.4 / 2**5] * 5)


def test_a_constant_rate_is_warmed_up_too():
    # 0.4 epochs are 4 steps.
    found = rates(schedule="constant", warmup=0.4)
    assert found[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert found[4:] == [0.4] * 56
