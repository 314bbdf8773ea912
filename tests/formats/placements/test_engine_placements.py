"""Placements in engines' files: what the engine would make of them, what it would refuse, what is read back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Placement
from equipoise.formats import Deployment, read_loads, read_placement, write_placement
from equipoise.formats.registry import PLACEMENTS
from tests.formats.engines import omni_infer_slots, sglang_slots, tensorrt_llm_slots, vllm_ascend_slots
from tests.formats.samples import CLUSTER, PLACEMENT

ENGINES = {
    "sglang": ("placement.json", sglang_slots, True),
    "tensorrt-llm": ("placement.yaml", tensorrt_llm_slots, True),
    "vllm-ascend": ("placement.json", vllm_ascend_slots, False),
    "omni-infer": ("placement.npy", omni_infer_slots, False),
}
"""File, what the engine makes of it, and whether it counts dense layers."""

pytest.importorskip("yaml")


@st.composite
def placements(draw):
    """Valid placements, the experts on each GPU in rising order."""
    nodes, gpus_per_node, redundant = draw(st.integers(1, 2)), draw(st.integers(1, 4)), draw(st.integers(0, 3))
    cluster = Cluster(gpus=nodes * gpus_per_node, nodes=nodes, slots_per_gpu=draw(st.integers(1, 4)))
    experts = max(cluster.slots - redundant, cluster.slots_per_gpu)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    layers = draw(st.integers(1, 4))
    slots = np.arange(cluster.slots) % experts
    by_gpu = np.stack([rng.permutation(experts)[slots] for _ in range(layers)]).reshape(layers, cluster.gpus, -1)
    return Placement(np.sort(by_gpu, axis=2).reshape(layers, -1), cluster, experts)


@pytest.mark.parametrize("name", PLACEMENTS)
@given(placement=placements(), dense=st.integers(0, 3), last=st.integers(0, 2))
def test_what_is_written_is_read_and_what_the_engine_reads(tmp_path_factory, name, placement, dense, last):
    file, slots_of, counts_dense = ENGINES.get(name, ("placement.json", None, False))
    path = tmp_path_factory.getbasetemp() / file
    cluster, num_layers = placement.cluster, dense + placement.layers + last
    deployment = Deployment(cluster.gpus, cluster.nodes, dense, num_layers)
    write_placement(placement, path, name, deployment)
    if slots_of:
        for layer, row in enumerate(placement.phy2log.tolist()):
            assert slots_of(path, layer + dense * counts_dense) == row
    read = read_placement(path, name, deployment)
    assert (read.cluster, read.experts) == (cluster, placement.experts)
    np.testing.assert_array_equal(read.phy2log[: placement.layers], placement.phy2log)
    assert read.layers - placement.layers == (last if name in ("sglang", "tensorrt-llm") else 0)


@given(placement=placements(), dense=st.integers(0, 3), last=st.integers(0, 2))
def test_sglangs_dense_layers_are_filled_with_the_default_layout(tmp_path_factory, placement, dense, last):
    path = tmp_path_factory.getbasetemp() / "filled.json"
    write_placement(placement, path, "sglang", Deployment(None, None, dense, dense + placement.layers + last))
    rows = json.loads(path.read_text())["physical_to_logical_map"]
    assert len(rows) == dense + placement.layers + last
    default = Placement.default(placement.cluster, placement.experts, layers=1).phy2log[0].tolist()
    assert [row for place, row in enumerate(rows) if not dense <= place < dense + placement.layers] == [default] * (
        dense + last
    )


def faulty(*rows, gpus=4, dead=()):
    return Placement(rows, Cluster(gpus=gpus, slots_per_gpu=2, dead=dead), experts=6)


DUPLICATE = faulty([0, 1, 2, 3, 4, 5, 0, 2], [1, 5, 0, 0, 2, 4, 3, 5])
MISSING = faulty([0, 1, 2, 3, 4, 5, 0, 2], [1, 5, 0, 3, 2, 4, 3, 1], [1, 0, 0, 3, 2, 4, 3, 1])
EMPTY = faulty([0, 1, 2, 3, 4, 5, 0, -1])
DEAD = faulty([0, 1, -1, -1, 2, 3, 4, 5], dead=[1])


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    ("placement", "message"),
    [
        (MISSING, "layer 2 holds no replica of expert 5; "),
        (EMPTY, "layer 0, GPU 3, slot 7 is empty; .* takes as many experts on every GPU: plan for the live GPUs alone"),
        (DEAD, "layer 0, GPU 1, slot 2 is empty; "),
    ],
)
def test_what_every_engine_would_refuse_is_not_written(tmp_path, name, placement, message):
    with pytest.raises(InputError, match=rf"^{tmp_path}.*: {message}"):
        write_placement(placement, tmp_path / ENGINES[name][0], name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "engine"), [("vllm-ascend", "vLLM-Ascend"), ("omni-infer", "omni-infer")])
def test_an_expert_twice_on_a_gpu_is_refused_where_the_engine_would(tmp_path, name, engine):
    with pytest.raises(InputError, match=f"layer 1, GPU 1 holds expert 0 2 times; {engine} takes it once"):
        write_placement(DUPLICATE, tmp_path / ENGINES[name][0], name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["sglang", "tensorrt-llm"])
def test_an_expert_twice_on_a_gpu_is_written_and_read_where_the_engine_does(tmp_path, name):
    path = tmp_path / ENGINES[name][0]
    write_placement(DUPLICATE, path, name)
    read = read_placement(path, deployment=Deployment(gpus=4))
    np.testing.assert_array_equal(read.phy2log, DUPLICATE.phy2log)
    assert read.duplicates.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["sglang", "tensorrt-llm"])
def test_layers_that_do_not_fit_into_the_model_are_refused(tmp_path, name):
    with pytest.raises(
        InputError, match="2 layers from layer 3 on do not fit into 4 decoder layers; expected num_layers=5 at"
    ):
        write_placement(PLACEMENT, tmp_path / ENGINES[name][0], name, Deployment(first_moe_layer=3, num_layers=4))


@pytest.mark.parametrize("name", ["sglang", "tensorrt-llm"])
@pytest.mark.parametrize(
    ("deployment", "message"),
    [
        (Deployment(), r"lists 8 slots but not which GPU they are on; say how many GPUs there are \(gpus\)$"),
        (Deployment(gpus=3), "8 slots do not divide over 3 GPUs"),
        (Deployment(gpus=4, nodes=3), "4 GPUs do not divide over 3 nodes"),
    ],
)
def test_a_cluster_that_the_file_does_not_fit_is_refused(tmp_path, name, deployment, message):
    path = tmp_path / ENGINES[name][0]
    write_placement(PLACEMENT, path, name)
    with pytest.raises(InputError, match=rf"^{path}: {message}"):
        read_placement(path, deployment=deployment)


@pytest.mark.parametrize("name", ["vllm-ascend", "omni-infer"])
def test_gpus_are_those_of_the_file_and_nodes_those_that_are_said(tmp_path, name):
    path = tmp_path / ENGINES[name][0]
    write_placement(PLACEMENT, path, name)
    assert read_placement(path).cluster == CLUSTER
    assert read_placement(path, deployment=Deployment(gpus=16, nodes=2)).cluster == Cluster(4, 2, 2)


# What engines' files may hold that is not what they are for: the file, what it holds, and the words of the refusal.
ROWS = PLACEMENT.phy2log.tolist()
MAP = {"physical_to_logical_map": ROWS}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            MAP | {"experts": 6},
            "holds the keys physical_to_logical_map, experts; expected physical_to_logical_map and nothing",
        ),
        ([ROWS], r"holds \[\["),
        ({"physical_to_logical_map": 3}, "physical_to_logical_map is 3; expected a list"),
        ({"physical_to_logical_map": []}, r"physical_to_logical_map is \[\]"),
        ({"physical_to_logical_map": [ROWS[0], 3]}, "slots"),
        ({"physical_to_logical_map": [ROWS[0], ROWS[1][1:]]}, "slots"),
        ({"physical_to_logical_map": [ROWS[0], [*ROWS[1][:7], 1.0]]}, "layer 1, slot 7 holds 1.0; expected 0 to 7"),
        ({"physical_to_logical_map": [ROWS[0], [*ROWS[1][:7], True]]}, "layer 1, slot 7 holds True"),
        ({"physical_to_logical_map": [ROWS[0], [*ROWS[1][:7], -1]]}, "layer 1, slot 7 holds -1"),
        ({"physical_to_logical_map": [ROWS[0], [*ROWS[1][:7], 8]]}, "layer 1, slot 7 holds 8"),
        ({"physical_to_logical_map": [ROWS[0], [0] * 8]}, "layer 1 has no slot for expert 1"),
    ],
)
def test_other_content_is_no_file_of_sglang(tmp_path, content, message):
    path = tmp_path / "placement.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"^{path}: .*{message}"):
        read_placement(path, "sglang", Deployment(gpus=4))


def test_sglangs_dense_layers_may_hold_anything(tmp_path):
    path = tmp_path / "placement.json"
    path.write_text(json.dumps({"physical_to_logical_map": [[0] * 8, [9], *ROWS]}))
    read = read_placement(path, deployment=Deployment(gpus=4, first_moe_layer=2, num_layers=4))
    assert read.phy2log.tolist() == ROWS
    with pytest.raises(InputError, match="has 4 layers; expected 61, the model's decoder layers"):
        read_placement(path, deployment=Deployment(gpus=4, num_layers=61))
    with pytest.raises(InputError, match="has 4 layers; expected more than 4 dense ones"):
        read_placement(path, deployment=Deployment(gpus=4, first_moe_layer=4))


@pytest.mark.parametrize("old_zip", [True, False])
def test_sglangs_map_may_be_a_tensor(tmp_path, old_zip):
    torch = pytest.importorskip("torch")
    path = tmp_path / "placement.pt"
    torch.save({"physical_to_logical_map": torch.tensor(ROWS)}, path, _use_new_zipfile_serialization=old_zip)
    assert read_placement(path, deployment=Deployment(gpus=4)).phy2log.tolist() == ROWS
    torch.save(MAP, path)
    assert read_placement(path, deployment=Deployment(gpus=4)).phy2log.tolist() == ROWS


YAML = "num_slots: 8\ninitial_global_assignments: {3: [0, 1, 2, 3, 4, 5, 0, 2]}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num_slots: 8\n", "holds the keys num_slots; expected num_slots and initial_global_assignments"),
        ("- 1\n", r"holds \[1\]"),
        (YAML + "ep_size: 4\n", "has ep_size; TensorRT-LLM takes num_slots, layer_updates_per_iter, .* only"),
        (YAML.replace("8", "'8'"), "num_slots is '8'; expected a whole number"),
        (YAML.replace("8", "0"), "num_slots is 0"),
        (YAML.replace("8", "9"), r"layer 3 is \[.*; expected a list of 9 experts"),
        (YAML.replace("3:", "x:"), "has the layer 'x'; expected a whole number"),
        (YAML.replace("3:", "-3:"), "has the layer -3"),
        (YAML.replace("5", "five"), "layer 3, slot 5 holds 'five'; expected 0 to 7"),
        (YAML.replace("5", "1.5"), "layer 3, slot 5 holds '1.5'"),
        (YAML.replace("4", "3"), "layer 3 has no slot for expert 4"),
        (YAML.replace("{", "{3: [1], "), "line 2: has the key 3 twice in one mapping"),
        (
            YAML.replace("{3: [0, 1, 2, 3, 4, 5, 0, 2]}", "[]"),
            r"initial_global_assignments is \[\]; expected a list of experts",
        ),
        (YAML.replace("{", "&a {"), "line 2: has an anchor, alias or tag"),
        (YAML.replace("8", "!!int 8"), "line 1: has an anchor, alias or tag"),
        (YAML.replace("[", "[[").replace("]", "]]"), r"layer 3 is \[\["),
        (YAML + "---\n1\n", "holds 2 YAML documents"),
        (YAML + "\t", "not YAML from line"),
        (YAML.replace("3:", "[3]:"), "has .* for a key; expected a number or a word"),
        (YAML.replace("8", "9" * 5000), "num_slots is '999"),
        ("num_slots: " + "[" * 100, "nested too deeply; expected at most 8 levels"),
    ],
)
@pytest.mark.parametrize("compiled", [True, False])
def test_other_text_is_no_file_of_tensorrt_llm(tmp_path, monkeypatch, compiled, text, message):
    import yaml

    if not compiled:
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    path = tmp_path / "placement.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"^{path}: .*{message}"):
        read_placement(path, "tensorrt-llm", Deployment(gpus=4))


def test_tensorrt_llms_layers_come_in_the_order_of_their_numbers(tmp_path):
    path = tmp_path / "placement.yaml"
    path.write_text(
        f"initial_global_assignments:\n  10: {ROWS[1]}\n  9: {ROWS[0]}\nlayer_updates_per_iter: 2\nnum_slots: 8\n"
    )
    assert read_placement(path, deployment=Deployment(gpus=4)).phy2log.tolist() == ROWS


def ascend(*layers, count=None):
    """Return vLLM-Ascend's content for lists of devices."""
    return {
        "moe_layer_count": len(layers) if count is None else count,
        "layer_list": [
            {
                "layer_id": 0,
                "device_count": len(layer),
                "device_list": [{"device_id": 0, "device_expert": d} for d in layer],
            }
            for layer in layers
        ],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "layer_list is None; expected a list"),
        ({"layer_list": []}, r"layer_list is \[\]; expected a list"),
        ({"layer_list": [{}], "moe_layer_count": 1}, "layer 0: device_list is None"),
        (
            {"layer_list": [{"device_list": [{"device_expert": 3}]}], "moe_layer_count": 1},
            "layer 0, device 0: device_expert is 3",
        ),
        (
            ascend([[0, 1], [2]]),
            "layer 0 has 2 devices and device 1 of it 1 slots; expected 2 devices with 2 slots each",
        ),
        (ascend([[0, 1], [2, 0]], [[0, 1, 2, 0]]), "layer 1 has 1 devices and device 0 of it 4 slots"),
        (ascend([[0, 1], [2, 2]]), "layer 0, GPU 1 holds expert 2 2 times; vLLM-Ascend takes it once"),
        (ascend([[0, 1], [3, 0]]), "layer 0 has no slot for expert 2"),
        (ascend([[0, 1], [2, "0"]]), "layer 0, slot 3 holds '0'"),
        (ascend([[0, 1], [2, 0]], count=2), "moe_layer_count is 2; expected 1, as layer_list has"),
    ],
)
def test_other_content_is_no_map_of_vllm_ascend(tmp_path, content, message):
    path = tmp_path / "placement.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"^{path}: .*{message}"):
        read_placement(path, "vllm-ascend")


PATTERN = np.array([[[1, 1, 0]], [[1, 0, 1]]], np.int32)


def test_omni_infers_pattern_is_whole_numbers_of_any_size(tmp_path):
    for dtype in (np.int32, np.int64, np.uint8, np.bool_):
        np.save(tmp_path / "pattern.npy", PATTERN.astype(dtype))
        assert read_placement(tmp_path / "pattern.npy").phy2log.tolist() == [[0, 1, 0, 2]]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (PATTERN[0], r"is int32 \[1, 3\]; expected whole numbers 0 and 1, \[GPUs, layers, experts\]"),
        (PATTERN * 0.5, "is float64"),
        (PATTERN[:0], r"is int32 \[0, 1, 3\]"),
        (PATTERN * 2, "GPU 0, layer 0, expert 0 is 2; expected 0 or 1"),
        (-PATTERN, "GPU 0, layer 0, expert 0 is -1"),
        (PATTERN * [[[1, 1, 0]]], "GPU 1 holds 1 experts of layer 0, and GPU 0 2 of layer 0; expected as many"),
        (PATTERN * 0, "slots_per_gpu is 0"),
    ],
)
def test_other_arrays_are_no_pattern_of_omni_infer(tmp_path, pattern, message):
    path = tmp_path / "pattern.npy"
    np.save(path, pattern)
    with pytest.raises(InputError, match=rf"pattern\.npy: .*{message}"):
        read_placement(path, "omni-infer")


def test_an_expert_that_no_gpu_holds_is_refused(tmp_path):
    for gpu, missing in ((1, 1), (0, 2)):
        np.save(tmp_path / "pattern.npy", PATTERN[[gpu, gpu]])
        with pytest.raises(InputError, match=rf"pattern\.npy: layer 0 has no slot for expert {missing}"):
            read_placement(tmp_path / "pattern.npy", "omni-infer")


def test_loads_of_zeros_and_ones_are_loads_unless_they_look_like_a_pattern(tmp_path):
    from equipoise.formats import holds_placement

    path = tmp_path / "loads.npy"
    for counts in (
        np.ones((2, 1, 3), int),
        PATTERN * [[[1, 1, 0]]],
        PATTERN[[0, 0]],
        PATTERN[0],
        PATTERN * 0.5,
        PATTERN * 2,
    ):
        np.save(path, counts)
        assert not holds_placement(path)
    for uneven_or_not in (PATTERN, np.array([[[1, 1, 0]], [[0, 0, 1]]])):
        np.save(path, uneven_or_not)
        assert holds_placement(path)
        with pytest.raises(InputError, match="is a placement, in the format omni-infer, not loads"):
            read_loads(path)
        assert read_loads(path, "numpy").counts.shape == uneven_or_not.shape
