from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from archspec.training.plan import Plan, runs_of

sizes = st.integers(1, 60)


@given(sizes, sizes, st.integers(1, 5), st.integers(1, 10))
def test_every_image_is_seen_once_an_epoch(count, batch, world, least):
    plan = Plan(count, batch, seed=3, least=least)
    shares = [plan.shares(rank, world) for rank in range(world)]
    seen = []
    for step, (start, stop) in enumerate(plan.bounds):
        # The shares of a batch are the batch, in the order of the processes.
        places = [place for share in shares for place in range(*share[step])]
        assert places == list(range(start, stop))
        lengths = [share[step][1] - share[step][0] for share in shares]
        assert max(lengths) - min(lengths) <= 1
        seen += plan.order(0)[start:stop].tolist()
    assert sorted(seen) == list(range(count))
    assert all(stop - start >= min(least, batch, count) for start, stop in plan.bounds)


def test_a_last_batch_that_is_too_small_joins_the_one_before():
    assert Plan(9, 4, 0, least=1).bounds == ((0, 4), (4, 8), (8, 9))
    assert Plan(9, 4, 0, least=2).bounds == ((0, 4), (4, 9))
    assert Plan(1, 4, 0, least=2).bounds == ((0, 1),)


def test_orders_differ_by_epoch_and_seed_and_nothing_else():
    state = torch.get_rng_state()
    orders = [Plan(50, 8, seed).order(epoch).tolist() for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len({tuple(order) for order in orders}) == 6
    assert Plan(50, 16, 0).order(2).tolist() == orders[2]
    assert torch.equal(torch.get_rng_state(), state)


def test_runs_of_equal_sizes():
    assert runs_of([8, 8, 5]) == [(8, 2), (5, 1)]
    assert runs_of([0, 1, 1, 0]) == [(0, 1), (1, 2), (0, 1)]
    assert runs_of([]) == []


def test_order_and_augmentation_draw_from_different_generators():
    plan = Plan(50, 8, seed=3)
    seeds = [
        Plan(50, 8, seed).generator(epoch, purpose).initial_seed()
        for seed in range(3)
        for epoch in range(20)
        for purpose in (0, 1)
    ]
    assert len(set(seeds)) == 3 * 20 * 2
    order = torch.randperm(50, generator=plan.generator(4, 1))
    assert not torch.equal(order, plan.order(4))
    assert torch.equal(torch.randperm(50, generator=plan.generator(4)), plan.order(4))
