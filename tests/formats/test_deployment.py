from __future__ import annotations

import numpy as np
import pytest

from equipoise import Cluster, InputError, Placement
from equipoise.formats import Deployment


def test_slots_are_shared_by_the_gpus():
    assert Deployment(gpus=4, nodes=2).cluster(12) == Cluster(gpus=4, nodes=2, slots_per_gpu=3)
    assert Deployment(nodes=2).cluster_of(4, 3) == Cluster(gpus=4, nodes=2, slots_per_gpu=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gpus": 0}, "gpus is 0; expected a whole number of at least 1"),
        ({"nodes": 1.0}, "nodes is 1.0"),
        ({"first_moe_layer": -1}, "first_moe_layer is -1"),
        ({"num_layers": True}, "num_layers is True"),
        ({"moe_layers": [3, 1]}, r"moe_layers are \(3, 1\); expected a rising number"),
        ({"moe_layers": [3], "first_moe_layer": 3}, "say moe_layers or first_moe_layer, not both"),
    ],
)
def test_numbers_that_are_none_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Deployment(**settings)


def of_layers(layers, decoder_layers=None):
    cluster = Cluster(gpus=2, slots_per_gpu=1)
    return Placement(np.tile([0, 1], (layers, 1)), cluster, 2, decoder_layers=decoder_layers)


def test_layers_are_where_the_placement_knows_them_to_be_unless_it_is_told():
    known = of_layers(3, (1, 3, 7))
    assert Deployment().decoder_layers(known) == (1, 3, 7)
    assert Deployment(num_layers=8).decoder_layers(known) == (1, 3, 7)
    assert Deployment(first_moe_layer=0).decoder_layers(known) == (0, 1, 2)
    with pytest.raises(InputError, match="3 layers from layer 1 on do not fit into 7 decoder layers"):
        Deployment(num_layers=7).decoder_layers(known)


def test_layers_are_where_the_first_is_and_right_behind():
    assert Deployment().decoder_layers(of_layers(3)) == (0, 1, 2)
    assert Deployment(first_moe_layer=3, num_layers=61).decoder_layers(of_layers(58)) == tuple(range(3, 61))
    second = Deployment(num_layers=48, moe_layers=range(1, 48, 2))
    assert second.decoder_layers(of_layers(24)) == tuple(range(1, 48, 2))
    with pytest.raises(InputError, match=r"are 24, from 1 to 47, and there are 23 here"):
        second.decoder_layers(of_layers(23))
    with pytest.raises(InputError, match="expected num_layers=62 at least, or another first_moe_layer"):
        Deployment(first_moe_layer=4, num_layers=61).decoder_layers(of_layers(58))
