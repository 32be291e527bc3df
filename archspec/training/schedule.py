"""The learning rate of every step, as a function of the step alone.

Nothing is stored and nothing accumulates: a resumed run computes what the first one did.
"""

from __future__ import annotations

import math

from archspec.training.recipe import Recipe


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate of step `step` (from 0).

    `cosine` is Loshchilov and Hutter's (arXiv 1608.03983) without restarts; `one_cycle` is Smith
    and Topin's (arXiv 1708.07120) with the phases of torch's `OneCycleLR`: 30 % up from lr/25,
    then down to a ten-thousandth of the start, both along a cosine.
    """
    total = max(1, recipe.epochs * steps_per_epoch)
    if recipe.schedule == "one_cycle":
        return _one_cycle(recipe.lr, step, total)
    warm = round(recipe.warmup * steps_per_epoch)
    if step < warm:
        return recipe.lr * (step + 1) / warm
    if recipe.schedule == "step":
        drops = math.floor((step - warm) / (recipe.step_epochs * steps_per_epoch))
        return recipe.lr * recipe.gamma**drops
    if recipe.schedule == "cosine":
        done = (step - warm) / max(1, total - warm)
        return _between(recipe.lr, recipe.final_lr, done)
    return recipe.lr


def _one_cycle(highest: float, step: int, total: int) -> float:
    first, last = highest / 25, highest / 25 / 1e4
    peak = 0.3 * total - 1
    if step <= peak:
        return _between(first, highest, step / peak)
    return _between(highest, last, min(1.0, (step - peak) / max(1e-9, total - 1 - peak)))


def _between(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
