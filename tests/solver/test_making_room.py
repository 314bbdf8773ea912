"""Every expert on several domains, from whatever is live and from nothing."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.planning.domains import least_slots_per_gpu
from equipoise.solver.pool import Pool, empty_pool, empty_queues
from tests.solver.compiled import deal_experts, fill_slots
from tests.solver.pools import assert_consistent


@st.composite
def loaded_pools(draw) -> Pool:
    """Pools with just so many slots that every expert can be on the least number of domains, or a few more."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    least, experts = draw(st.integers(1, min(3, len(sizes)))), draw(st.integers(1, 10))
    slots = least_slots_per_gpu(experts, least, np.array(sizes)) + draw(st.integers(0, 1))
    pool = empty_pool(experts, sum(sizes), min(slots, experts), least, np.repeat(np.arange(len(sizes)), sizes))
    pool.load[:] = draw(st.lists(st.integers(0, 100), min_size=experts, max_size=experts))
    return pool


def domains_of(pool: Pool, expert: int) -> set[int]:
    return {int(domain) for domain, held in zip(pool.domain, pool.slots.tolist(), strict=True) if expert in held}


@settings(max_examples=200, deadline=None)
@given(pool=loaded_pools(), seed=st.integers(0, 10**6), empty=st.sampled_from([0.0, 0.1, 0.9]))
def test_whatever_is_live_every_expert_comes_to_be_on_domains_enough(pool, seed, empty):
    rng, experts, (gpus, slots_per_gpu) = np.random.default_rng(seed), pool.load.size, pool.slots.shape
    live = np.stack([rng.permutation(experts)[: slots_per_gpu + 1] for _ in range(gpus)])
    live = np.where(rng.random(live.shape) < empty, -1, live)
    fill_slots(pool, empty_queues(experts, gpus), live, np.full(experts, -1), pool.domain)
    assert_consistent(pool)
    assert all(len(domains_of(pool, expert)) >= pool.least for expert in range(experts))


def test_a_replica_that_its_domain_holds_twice_changes_places_with_one_as_heavy():
    # Expert 0 is on both GPUs of domain 0; experts 1 and 2 can go there, and expert 2 weighs as much.
    pool = empty_pool(4, 4, 2, 2, np.array([0, 0, 1, 1]))
    pool.load[:] = [10, 2, 9, 10]
    live = np.array([[0, 3], [0, 1], [3, 2], [1, 2]])
    fill_slots(pool, empty_queues(4, 4), live, np.full(4, -1), pool.domain)
    assert [set(held) for held in pool.slots.tolist()] == [{2, 3}, {0, 1}, {3, 0}, {1, 2}]


@settings(max_examples=200, deadline=None)
@given(pool=loaded_pools())
def test_from_nothing_every_expert_is_dealt_to_the_least_number_of_domains(pool):
    experts, gpus = pool.load.size, pool.domain.size
    queues = empty_queues(experts, gpus)
    deal_experts(pool, queues)
    held = [pool.slots[gpu, : queues.filled[gpu]].tolist() for gpu in range(gpus)]
    for expert in range(experts):
        on = [domain for domain, slots in zip(pool.domain, held, strict=True) if expert in slots]
        assert len(set(on)) == len(on) == sum(slots.count(expert) for slots in held) == pool.least
