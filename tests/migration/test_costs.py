from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Migration, Placement
from equipoise.migration.costs import Costs
from tests.reference.replay import slow_stall

COSTS = Costs(expert_bytes=1000, within_nodes=300, between_nodes=40)


@given(seed=st.integers(0, 999), nodes=st.integers(1, 3), layers=st.integers(1, 3))
def test_the_busiest_link_of_any_gpu_says_how_long_it_takes(seed, nodes, layers):
    rng = np.random.default_rng(seed)
    cluster = Cluster(gpus=2 * nodes, nodes=nodes, slots_per_gpu=2)
    slots = np.arange(cluster.slots) % 4
    before, after = (Placement([rng.permutation(slots) for _ in range(layers)], cluster, 4) for _ in range(2))
    migration = Migration(before, after)
    assert COSTS.stall(migration) == pytest.approx(slow_stall(migration, COSTS))


def test_what_stays_on_its_gpu_or_comes_from_disk_takes_no_time():
    cluster = Cluster(gpus=2, slots_per_gpu=2)
    before = Placement([[0, 1, 2, 3]], cluster, 4)
    assert COSTS.stall(Migration(before, before)) == 0
    assert COSTS.stall(Migration(before, Placement([[1, 0, 3, 2]], cluster, 4))) == 0
    down = Cluster(gpus=2, slots_per_gpu=2, dead=[1])
    assert COSTS.stall(Migration(before, Placement([[0, 2, -1, -1]], down, 4))) == 0


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"expert_bytes": 0}, "expert_bytes is 0; expected a whole number of at least 1"),
        ({"expert_bytes": 1.5}, "expert_bytes is 1.5; expected a whole number of at least 1"),
        ({"within_nodes": 0}, "within_nodes is 0; expected a finite number above 0"),
        ({"within_nodes": "400GB"}, "within_nodes is '400GB'; expected a finite number above 0"),
        ({"between_nodes": float("nan")}, "between_nodes is nan; expected a finite number above 0"),
        ({"between_nodes": float("inf")}, "between_nodes is inf; expected a finite number above 0"),
        ({"between_nodes": True}, "between_nodes is True; expected a finite number above 0"),
    ],
)
def test_bad_costs_are_refused_by_name(numbers, message):
    with pytest.raises(InputError) as refused:
        Costs(**numbers)
    assert str(refused.value) == message
