from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Loads, Placement, Scenarios
from equipoise.planning.effort import SETTINGS
from equipoise.planning.request import Request, part_of

CLUSTER = Cluster(gpus=4, nodes=2, slots_per_gpu=3)
WINDOWS = np.random.default_rng(0).lognormal(3, 1, (4, 2, 8))
LIVE = Placement.default(CLUSTER, 8, 2)


def request(loads=WINDOWS, cluster=CLUSTER, **asked):
    return Request.checked(loads, cluster, **asked)


@pytest.mark.parametrize(
    ("asked", "locality", "off_node"),
    [
        ({}, "none", 1.0),
        ({"locality": "strict"}, "none", 1.0),
        ({"groups": 4}, "strict", 0.0),
        ({"groups": 4, "locality": "strict"}, "strict", 0.0),
        ({"groups": 4, "locality": "none"}, "none", 1.0),
        ({"groups": 4, "locality": "soft"}, "soft", 1.0),
        ({"groups": 4, "off_node": 0.2}, "soft", 0.2),
        ({"groups": 4, "locality": "soft", "off_node": 0.2}, "soft", 0.2),
        ({"groups": 4, "off_node": 0.0}, "strict", 0.0),
        ({"groups": 4, "locality": "soft", "off_node": 0.0}, "strict", 0.0),
    ],
    ids=str,
)
def test_locality_says_which_groups_stay_where(asked, locality, off_node):
    found = request(**asked)
    assert (found.locality, found.off_node) == (locality, off_node)
    assert (found.strict, found.soft) == (locality == "strict", locality == "soft")
    assert found.kept_groups == (4 if locality == "strict" else 1)
    assert (found.bound_groups, found.home_nodes) == ((1, 1) if locality == "none" else (4, 2))


def test_groups_on_one_node_are_at_home_everywhere():
    found = request(cluster=Cluster(gpus=4, slots_per_gpu=3), groups=4)
    assert (found.locality, found.home_nodes, found.strict, found.soft) == ("strict", 1, False, False)


@pytest.mark.parametrize(
    ("most", "moves"),
    [(None, np.inf), (0, 0), (7, 7), (np.int64(7), 7), (0.0, 0), (0.25, 4.5), (1.0, 18), (np.float32(0.5), 9)],
    ids=str,
)
def test_a_share_of_moves_is_one_of_the_live_slots_of_all_layers(most, moves):
    cluster = Cluster(gpus=4, nodes=2, slots_per_gpu=3, dead=[1])
    assert request(cluster=cluster, current=LIVE, max_moves=most).most_moves == moves


def test_recorded_loads_may_be_served_all_alike_and_scenarios_as_they_are():
    scenarios = Scenarios(WINDOWS, np.arange(1, 5))
    assert request(scenarios).scenarios is scenarios
    for recorded in (request(), request(Loads(WINDOWS)), request(WINDOWS.tolist())):
        assert isinstance(recorded.loads, Loads)
        assert recorded.scenarios.counts.tolist() == Scenarios(WINDOWS).counts.tolist()
        assert np.unique(recorded.scenarios.weights).tolist() == [1 / 4]


@pytest.mark.parametrize("effort", SETTINGS)
def test_a_request_for_many_scenarios_is_one_for_as_many_as_its_effort_searches_over(effort):
    scenarios = Scenarios(np.random.default_rng(1).lognormal(3, 1, (50, 2, 8)))
    asked = request(effort=effort, groups=4, workers=3)
    found = asked.serving(scenarios)
    assert found.scenarios.windows == SETTINGS[effort].windows
    np.testing.assert_allclose(found.scenarios.mean, scenarios.mean, rtol=1e-9)
    assert (found.settings, found.groups, found.workers) == (SETTINGS[effort], 4, 3)
    assert (asked.loads.windows, asked.serving(Scenarios(WINDOWS[:2])).scenarios.windows) == (4, 2)


def test_several_searches_count_up_to_the_layers_once():
    told = []
    for number in range(3):
        part = part_of(lambda *call: told.append(call), number, 3)
        for done in range(1, 7):
            part(done, 6)
    assert told == sorted(told)
    assert told[5::6] == [(2, 6), (4, 6), (6, 6)]
    assert part_of(None, 0, 3) is None


@given(experts=st.integers(2, 96), gpus=st.integers(1, 24), nodes=st.integers(1, 8), groups=st.integers(2, 24))
def test_what_a_refusal_of_groups_proposes_is_taken(experts, gpus, nodes, groups):
    assume(gpus % nodes == 0)
    cluster = Cluster(gpus, nodes, -(-experts // gpus))
    try:
        Request.checked(np.ones((1, experts)), cluster, groups=groups)
    except InputError as error:
        proposed = str(error).split("use ")[1].split(",")[0]
        for number in map(int, re.findall(r"\d+", proposed)):
            if "groups" in proposed:
                Request.checked(np.ones((1, experts)), cluster, groups=number)
            else:
                Request.checked(np.ones((1, experts)), Cluster(gpus, number, cluster.slots_per_gpu), groups=groups)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"loads": [[1, -1]]}, "layer 0, expert 1 is -1.0; expected a finite number"),
        ({"effort": "most"}, "effort is 'most'; expected 'fast', 'default', 'thorough'"),
        ({"workers": 0}, "workers is 0; expected a whole number of at least 1"),
        ({"groups": 3}, "8 experts do not divide into 3 groups"),
        ({"max_moves": 3}, "expected current with them"),
        ({"min_gain": 0.1}, "expected current with them"),
        ({"current": Placement.default(CLUSTER, 8, 1)}, "the current placement 1 of 8; expected the same"),
    ],
)
def test_what_nothing_can_meet_is_refused(asked, message):
    with pytest.raises(InputError, match=message):
        request(**asked)
