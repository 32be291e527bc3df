"""The learning rate of every step."""

from __future__ import annotations

from archspec.recipe.recipe import Recipe
from archspec.recipe.schedules import Schedule


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate of step `step` (from 0): first the warm-up, then the schedule."""
    warm = round(recipe.warmup * steps_per_epoch)
    if step < warm:
        return recipe.lr * (step + 1) / warm
    schedule: Schedule = Schedule.entries[recipe.schedule](recipe)
    total = max(1, recipe.epochs * steps_per_epoch) - warm
    return schedule.rate(recipe.lr, step - warm, total, steps_per_epoch)
