"""Primaries, beside every choice that there is."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given

from equipoise import Cluster, Placement
from equipoise.serving.primaries import primaries
from tests.serving.placements import placements, slots_of


@given(placement=placements(most_nodes=1).filter(lambda one: one.logcnt.astype(float).prod(axis=1).max() < 2000))
def test_no_choice_has_fewer_on_a_gpu_and_ties_go_to_the_lowest_slot(placement):
    per_gpu = placement.cluster.slots_per_gpu
    for layer, found in enumerate(primaries(placement).tolist()):
        choices = product(*slots_of(placement, layer))
        best = min(choices, key=lambda some: (max(np.bincount([slot // per_gpu for slot in some])), some))
        assert found == list(best)


def test_where_every_gpu_has_a_spare_it_has_as_many_primaries_as_any():
    of_gpu = np.arange(32).reshape(8, 4)
    spares = np.roll(of_gpu[:, :1], -1, axis=0)  # a chain through all GPUs: no expert but the right one may give way
    placement = Placement(np.hstack([spares, of_gpu]).reshape(1, -1), Cluster(gpus=8, slots_per_gpu=5), experts=32)
    found = primaries(placement)
    assert (np.take_along_axis(placement.phy2log, found, axis=1) == np.arange(32)).all()
    assert np.bincount(found[0] // 5).tolist() == [4] * 8
    assert found is primaries(placement)


def test_an_expert_without_a_replica_has_none():
    placement = Placement([[0, -1, 0, 2]], Cluster(gpus=2, slots_per_gpu=2), experts=3)
    assert primaries(placement).tolist() == [[0, -1, 3]]


def test_a_chain_through_many_gpus_is_no_recursion():
    experts = np.arange(1200)
    placement = Placement(np.stack([experts, np.roll(experts, 1)], axis=1).reshape(1, -1), Cluster(1200, 1, 2), 1200)
    assert np.bincount(primaries(placement)[0] // 2).tolist() == [1] * 1200
