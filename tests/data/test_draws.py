"""Random numbers that belong to examples."""

from __future__ import annotations

import torch

from archspec.data.draws import Draws

MASK = (1 << 64) - 1


def mixed(x: int) -> int:
    """SplitMix64's finaliser in Python's own whole numbers."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def test_draws_are_those_of_splitmix64() -> None:
    golden, seed, examples = 0x9E3779B97F4A7C15, 12345678901, [0, 1, 77, 2**40]
    draws = Draws(seed, torch.tensor(examples))
    first, second = draws.integers(1 << 24).tolist(), draws.integers(1 << 24).tolist()
    for place, example in enumerate(examples):
        state = mixed(mixed(example * golden & MASK) + seed * 0xBF58476D1CE4E5B9 & MASK)
        assert first[place] == mixed(state + golden & MASK) >> 40
        assert second[place] == mixed(state + 2 * golden & MASK) >> 40


def test_draws_are_spread_evenly_and_do_not_hang_together() -> None:
    examples = torch.arange(60_000)
    draws = Draws(0, examples)
    counts = torch.bincount(draws.integers(9), minlength=9)
    # Chi-squared of 8 degrees of freedom: above 26 once in a thousand.
    assert float(((counts - 60_000 / 9) ** 2 / (60_000 / 9)).sum()) < 26
    series = [draws.uniform(), draws.uniform(), Draws(1, examples).uniform()]
    series.append(series[0].roll(1))
    correlation = torch.corrcoef(torch.stack(series)) - torch.eye(4)
    assert float(correlation.abs().max()) < 0.02
    assert all(abs(float(s.mean()) - 0.5) < 0.01 and s.min() >= 0 and s.max() < 1 for s in series)


def test_an_example_draws_the_same_in_any_company() -> None:
    alone = Draws(7, torch.tensor([42]))
    among = Draws(7, torch.tensor([3, 42, 9])).part(1, 2)
    for _ in range(3):
        assert alone.uniform(-1, 1).equal(among.uniform(-1, 1))
