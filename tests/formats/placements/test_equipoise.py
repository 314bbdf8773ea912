from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Placement, write_placement
from equipoise.formats import holds_placement, read_placement

VALID = {
    "format": "equipoise-placement",
    "version": 2,
    "cluster": {"gpus": 2, "nodes": 1, "slots_per_gpu": 2},
    "experts": 3,
    "groups": 1,
    "locality": "none",
    "off_node": 1.0,
    "physical_to_logical_map": [[0, 1, 2, 0], [2, 1, 0, 1]],
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "placement.json"


@given(gpus=st.integers(1, 6), nodes=st.integers(1, 3), redundant=st.integers(0, 2), seed=st.integers(0, 9))
def test_what_is_saved_is_loaded(tmp_path_factory, gpus, nodes, redundant, seed):
    cluster = Cluster(gpus=gpus * nodes, nodes=nodes, slots_per_gpu=2 + redundant)
    experts = cluster.slots - redundant
    rows = np.stack([np.roll(np.arange(cluster.slots) % experts, shift) for shift in range(seed + 1)])
    placement = Placement(rows, cluster, experts)
    path = tmp_path_factory.getbasetemp() / "round_trip.json"
    write_placement(placement, path)
    try:
        placement.validate()
    except InputError:
        with pytest.raises(InputError, match="twice"):
            read_placement(path)
        return
    loaded = read_placement(path)
    assert (loaded.cluster, loaded.experts) == (cluster, experts)
    np.testing.assert_array_equal(loaded.phy2log, rows)


@given(dead=st.sets(st.integers(0, 4), max_size=4), seed=st.integers(0, 9))
def test_dead_gpus_are_saved_with_their_empty_slots(tmp_path_factory, dead, seed):
    cluster = Cluster(gpus=5, slots_per_gpu=3, dead=dead)
    rows = np.full((2, 5, 3), -1)
    rows[:, list(cluster.live)] = np.random.default_rng(seed).permuted(np.arange(3))
    path = tmp_path_factory.getbasetemp() / "dead.json"
    write_placement(Placement(rows.reshape(2, -1), cluster, experts=3), path)
    assert json.loads(path.read_text())["cluster"].get("dead", []) == sorted(dead)
    loaded = read_placement(path)
    assert loaded.cluster == cluster
    np.testing.assert_array_equal(loaded.phy2log, rows.reshape(2, -1))


def test_the_file_is_json_with_one_layer_a_line(path):
    write_placement(Placement(VALID["physical_to_logical_map"], Cluster(**VALID["cluster"]), 3), path)
    assert json.loads(path.read_text()) == VALID
    assert "  [0,1,2,0],\n  [2,1,0,1]\n" in path.read_text()
    assert holds_placement(path)


def test_groups_locality_cap_and_decoder_layers_are_kept(path):
    cluster = Cluster(gpus=2, nodes=2, slots_per_gpu=2)
    planned = {"groups": 2, "locality": "soft", "off_node": 0.05, "decoder_layers": (3, 4)}
    write_placement(Placement([[0, 1, 2, 3], [2, 3, 0, 1]], cluster, 4, **planned), path)
    loaded = read_placement(path)
    assert {name: getattr(loaded, name) for name in planned} == planned


def test_files_of_the_first_version_still_read(path):
    old = {key: value for key, value in VALID.items() if key not in ("groups", "locality", "off_node")}
    path.write_text(json.dumps(old | {"version": 1}))
    loaded = read_placement(path)
    assert loaded.phy2log.tolist() == VALID["physical_to_logical_map"]
    assert (loaded.groups, loaded.locality, loaded.decoder_layers) == (1, "none", None)


def dead(*gpus, rows=((0, 1, 2, 0), (2, 1, 0, 1))):
    return changed(cluster=VALID["cluster"] | {"dead": list(gpus)}, physical_to_logical_map=rows)


def changed(**changes):
    return {key: value for key, value in (VALID | changes).items() if value is not ...}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "not a placement"),
        (changed(format="other"), "not a placement"),
        (changed(version=3), "version is 3; this Equipoise reads versions 1 to 2"),
        (changed(version=1), "has groups, locality, off_node; expected .* only"),
        (changed(groups=2), "3 experts do not divide into 2 groups"),
        (changed(groups="3"), "groups is '3'; expected a whole number"),
        (changed(locality=["strict"]), r"locality is \['strict'\]; expected 'strict', 'soft', 'none'"),
        (changed(off_node=None), "off_node is None; expected a share"),
        (changed(decoder_layers=7), "decoder_layers is 7; expected a list of whole numbers"),
        (changed(decoder_layers=[3, "4"]), "decoder_layers is .*; expected a list of whole numbers"),
        (changed(decoder_layers=[3]), "expected a rising number of at least 0 for each of 2"),
        (changed(version=True), "version is True"),
        (changed(version=...), "version is None"),
        (changed(experts=..., cluster=...), "lacks cluster, experts; expected format, version, cluster"),
        (changed(speed=3), "has speed; expected .* only"),
        (changed(cluster=[2, 1, 2]), "cluster is .*; expected an object with gpus, nodes, slots_per_gpu"),
        (changed(cluster={"gpus": 2}), "cluster lacks nodes, slots_per_gpu"),
        (changed(cluster=VALID["cluster"] | {"gpus": 2.0}), "cluster: gpus is 2.0"),
        (changed(cluster=VALID["cluster"] | {"nodes": 3}), "2 GPUs do not divide over 3 nodes"),
        (changed(cluster=VALID["cluster"] | {"gpus": 10**30}), "expected at least as many slots"),
        (changed(cluster=VALID["cluster"] | {"slots_per_gpu": 3}), r"shape \[2, 4\]; expected \[layers, 6\]"),
        (changed(cluster=VALID["cluster"] | {"dead": 1}), "cluster: dead is 1; expected a list of GPUs"),
        (changed(cluster=VALID["cluster"] | {"dead": {"1": 1}}), "cluster: dead is .*; expected a list of GPUs"),
        (changed(cluster=VALID["cluster"] | {"dead": None}), "cluster: dead is None; expected a list of GPUs"),
        (
            changed(cluster=VALID["cluster"] | {"died": [1]}),
            "cluster has died; expected gpus, nodes, slots_per_gpu only",
        ),
        (dead(2), "GPU 2 is said to be dead; expected GPUs from 0 to 1"),
        (dead(-1), "GPU -1 is said to be dead"),
        (dead(0.0), "GPU 0.0 is said to be dead"),
        (dead(True), "GPU True is said to be dead"),
        (dead("0"), "GPU '0' is said to be dead"),
        (dead([0]), r"GPU \[0\] is said to be dead"),
        (dead(0, 1), "all 2 GPUs are said to be dead"),
        (dead(1), "layer 0, slot 2 is on a dead GPU but holds expert 2; expected -1"),
        (dead(rows=[[0, 1, 2, -1]]), r"layer 0, slot 3 is empty \(-1\) but its GPU is not dead; expected an expert"),
        (dead(1, rows=[[0, 1, -1, -1]]), "layer 0 holds no replica of expert 2"),
        (dead(rows=[[0, 1, 2, -2]]), "layer 0, slot 3 holds -2; expected 0 to 2"),
        (changed(experts=True), "experts is True"),
        (changed(experts=10**30), "expected at least as many slots"),
        (changed(experts=4), "layer 0 holds no replica of expert 3"),
        (changed(physical_to_logical_map=[]), "one list per layer"),
        (changed(physical_to_logical_map={"0": [0]}), "one list per layer"),
        (changed(physical_to_logical_map=[[0, 1, 2, 0], [0, 1, 2]]), "layer 1 is .*as many slots"),
        (changed(physical_to_logical_map=[[0, 1, 2, 0], 7]), "layer 1 is 7"),
        (changed(physical_to_logical_map=[[0, True, 2, 0]]), "layer 0, slot 1 holds True; expected 0 to 2"),
        (changed(physical_to_logical_map=[[0, 1, 2, 3]]), "layer 0, slot 3 holds 3; expected 0 to 2"),
        (changed(physical_to_logical_map=[[0, 1, 2, 2]]), "layer 0, GPU 1 holds expert 2 twice"),
    ],
)
def test_what_is_not_valid_is_refused_by_name(path, content, message):
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"placement\.json: .*{message}"):
        read_placement(path, "equipoise")


def test_a_truncated_file_is_refused_by_line_and_column(path):
    text = json.dumps(VALID, indent=1)
    for kept in range(len(text)):
        path.write_text(text[:kept])
        with pytest.raises(InputError, match=r"not JSON: line \d+, column \d+"):
            read_placement(path)


anything = st.recursive(
    st.integers() | st.floats() | st.booleans() | st.none() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
PLACES = [(), *((key,) for key in VALID), *(("cluster", key) for key in VALID["cluster"])]
PLACES += [
    ("physical_to_logical_map", 0),
    ("physical_to_logical_map", 1, 2),
    ("cluster", "dead"),
    ("cluster", "dead", 0),
]


@given(where=st.sampled_from(PLACES), value=anything)
def test_anything_in_any_place_gives_a_valid_placement_or_an_input_error(tmp_path_factory, where, value):
    content = json.loads(json.dumps({"": VALID | {"cluster": VALID["cluster"] | {"dead": [1]}}}))
    inner, key = content, ""
    for step in where:
        inner, key = inner[key], step
    inner[key] = value
    path = tmp_path_factory.getbasetemp() / "hostile_placement.json"
    path.write_text(json.dumps(content[""]))
    with suppress(InputError):
        read_placement(path).validate()
