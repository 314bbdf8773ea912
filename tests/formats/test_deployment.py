from __future__ import annotations

import pytest

from equipoise import Cluster, InputError
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
    ],
)
def test_numbers_that_are_none_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Deployment(**settings)


def test_layers_are_where_the_first_is_and_right_behind():
    assert Deployment().decoder_layers(3) == range(3)
    assert Deployment(first_moe_layer=3, num_layers=61).decoder_layers(58) == range(3, 61)
    assert Deployment(first_moe_layer=1, num_layers=48, moe_layer_step=2).decoder_layers(24) == range(1, 48, 2)
    with pytest.raises(InputError, match="expected num_layers=62 at least, or another first_moe_layer"):
        Deployment(first_moe_layer=4, num_layers=61).decoder_layers(58)
