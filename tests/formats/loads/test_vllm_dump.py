"""Snapshots of vLLM's loads: JSON of three shapes, each snapshot by its own map."""

from __future__ import annotations

import json

import numpy as np
import pytest

from equipoise import InputError
from equipoise.formats import holds_placement, read_loads
from tests.formats.samples import COUNTS, PLACEMENT, physical_counts


def snapshots():
    found = []
    for step, _ in enumerate(COUNTS):
        phy2log = np.roll(PLACEMENT.phy2log, step, axis=1)
        load = physical_counts(phy2log)[step]
        found.append(
            {"step": 9 + step, "window_expert_load": load.tolist(), "physical_to_logical_map": phy2log.tolist()}
        )
    return found


@pytest.fixture
def path(tmp_path):
    return tmp_path / "expert_load"


ABOUT = {"model": "org/model", "num_logical_experts": 6, "num_physical_experts": 8}
SHAPES = {
    "object": lambda found: json.dumps(ABOUT | {"snapshots": found}, indent=1),
    "list": json.dumps,
    "lines": lambda found: "\n".join(json.dumps(one | ABOUT) for one in found),
    "lines, map first": lambda found: "\n".join(json.dumps(dict(reversed(one.items()))) for one in found),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_each_snapshot_is_a_window_by_its_own_map(path, shape):
    path.write_text(SHAPES[shape](snapshots()))
    assert not holds_placement(path)
    loads = read_loads(path)
    np.testing.assert_array_equal(loads.counts, COUNTS)
    assert loads.labels == ("9", "10", "11")


def test_a_step_that_ranks_wrote_again_counts_once_and_steps_are_in_order(path):
    first, second, third = snapshots()
    path.write_text(SHAPES["lines"]([third, first, second, first, third]))
    np.testing.assert_array_equal(read_loads(path).counts, COUNTS)


def test_a_map_of_all_snapshots_may_be_said_once(path):
    found = snapshots()[:1]
    path.write_text(
        json.dumps({"physical_to_logical_map": found[0].pop("physical_to_logical_map"), "snapshots": found})
    )
    np.testing.assert_array_equal(read_loads(path).counts, COUNTS[:1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"physical_to_logical_map": None}, "snapshot 1: holds null; expected lists of numbers"),
        ({"window_expert_load": [[1, 2]]}, r"snapshot 1: the counts have shape \[1, 2\] and the map"),
        ({"window_expert_load": [[1, None]]}, "snapshot 1: layer 0, slot 1 is null; expected a number"),
        ({"step": 9}, "step 9 is there twice, with different loads"),
        ({"num_logical_experts": 7}, "snapshot 1: the map has 6 experts; expected 7"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused_by_its_place(path, change, message):
    found = snapshots()
    found[1] |= change
    path.write_text(json.dumps({"snapshots": found}))
    with pytest.raises(InputError, match=message):
        read_loads(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"snapshots": []}, r"snapshots is \[\]; expected a list"),
        ({"snapshots": [3]}, "snapshot 0 is 3; expected an object"),
        ({"snapshots": [{"step": 1}]}, "snapshot 0 has snapshots, step; expected window_expert_load and physical"),
    ],
)
def test_what_is_no_snapshot_is_refused(path, content, message):
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_loads(path)
