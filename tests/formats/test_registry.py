"""What all formats have in common: known by content, forced by name, read as what was written."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from equipoise import InputError, Loads
from equipoise.formats import (
    Deployment,
    check_placement_path,
    holds_placement,
    read_loads,
    read_placement,
    write_loads,
    write_placement,
)
from equipoise.formats.registry import LOADS, LOADS_WRITTEN, PLACEMENTS
from tests.formats.samples import CLUSTER, COUNTS, DEPLOYMENT, PLACEMENT, loads_sample, placement_sample


@pytest.fixture(autouse=True, scope="module")
def _torch():
    pytest.importorskip("torch")


def disguised(path):
    """Return the same file or folder under a name that says nothing."""
    return path.rename(path.with_name("disguised"))


@pytest.mark.parametrize("name", LOADS)
def test_loads_of_every_format_are_known_by_their_content(tmp_path, name):
    path = disguised(loads_sample(name, tmp_path))
    assert not holds_placement(path)
    np.testing.assert_array_equal(read_loads(path).counts, COUNTS)
    np.testing.assert_array_equal(read_loads(str(path)).counts, COUNTS)


@pytest.mark.parametrize("name", PLACEMENTS)
def test_placements_of_every_format_are_known_by_their_content(tmp_path, name):
    path = disguised(placement_sample(name, tmp_path))
    assert holds_placement(path)
    placement = read_placement(path, deployment=DEPLOYMENT)
    assert (placement.cluster, placement.experts) == (CLUSTER, 6)
    np.testing.assert_array_equal(placement.phy2log, PLACEMENT.phy2log)


@pytest.mark.parametrize("name", LOADS)
def test_a_format_that_is_asked_for_reads_the_file_or_refuses_it(tmp_path, name):
    path = loads_sample(name, tmp_path)
    np.testing.assert_array_equal(read_loads(path, name).counts, COUNTS)
    for other in LOADS.keys() - {name, *(("csv",) if name == "csv-ranks" else ())}:  # a window of each file, if told so
        with pytest.raises(InputError, match=f"^{path}: "):
            assert np.array_equal(read_loads(path, other).counts, COUNTS)


@pytest.mark.parametrize("name", PLACEMENTS)
def test_no_format_reads_the_placement_of_another(tmp_path, name):
    path = placement_sample(name, tmp_path)
    for other in PLACEMENTS.keys() - {name}:
        with pytest.raises(InputError, match=f"^{path}: "):
            read_placement(path, other, DEPLOYMENT)
    for other in LOADS.keys() - {"numpy"}:
        with pytest.raises(InputError, match=f"^{path}: "):
            read_loads(path, other)


def test_unknown_formats_are_refused_with_a_list_of_the_known(tmp_path):
    path = loads_sample("csv", tmp_path)
    with pytest.raises(InputError, match="format is 'excel'; expected 'vllm-window', 'numpy'"):
        read_loads(path, "excel")
    with pytest.raises(InputError, match="format is 'csv'; expected 'equipoise', 'sglang'"):
        read_placement(path, "csv")
    with pytest.raises(InputError, match="format is 'json'; expected 'numpy', 'parquet', 'csv'"):
        write_loads(Loads(COUNTS), tmp_path / "out.json", "json")
    with pytest.raises(InputError, match="format is 'csv'; expected 'equipoise', 'sglang'"):
        write_placement(PLACEMENT, tmp_path / "out.csv", "csv")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("new.json", "equipoise"),
        ("new.yaml", "tensorrt-llm"),
        ("new.yml", "tensorrt-llm"),
        ("new.npy", "omni-infer"),
    ],
)
def test_the_suffix_says_for_which_engine_a_placement_is_written(tmp_path, file, name):
    assert write_placement(PLACEMENT, tmp_path / file) == name
    read = read_placement(tmp_path / file, name, Deployment(gpus=4))
    np.testing.assert_array_equal(read.phy2log, PLACEMENT.phy2log)


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("sglang", "x.yaml", r"x\.yaml: sglang takes files that end in \.json$"),
        ("sglang", "x.JSON", r"x\.JSON: sglang takes files that end in \.json$"),
        ("vllm-ascend", "x.txt", r"vllm-ascend takes files that end in \.json$"),
        ("tensorrt-llm", "x.json", r"tensorrt-llm takes files that end in \.yaml or \.yml$"),
        ("omni-infer", "x.npz", r"omni-infer takes files that end in \.npy$"),
        (None, "x.csv", "such files hold loads, not a placement"),
        (None, "x.pt", r"x\.pt: no placement's files end so; expected \.json, \.yaml or \.npy"),
        (None, "x", "no placement's files end so"),
        (None, "missing/x.json", "there is no folder"),
    ],
)
def test_names_of_files_that_an_engine_would_not_take_are_refused_beforehand(tmp_path, name, file, message):
    for refuse in (check_placement_path, lambda path, name: write_placement(PLACEMENT, path, name)):
        with pytest.raises(InputError, match=message):
            refuse(tmp_path / file, name)
    assert not list(tmp_path.iterdir())


def test_loads_are_written_by_suffix_too(tmp_path):
    for name in LOADS_WRITTEN:
        assert write_loads(Loads(COUNTS), tmp_path / f"new{LOADS[name].written[0]}") == name
    with pytest.raises(InputError, match=r"new\.npy: loads are not written.*ends in \.npz, \.parquet, \.csv$"):
        write_loads(Loads(COUNTS), tmp_path / "new.npy")
    with pytest.raises(InputError, match=r"new\.txt: csv takes files that end in \.csv$"):
        write_loads(Loads(COUNTS), tmp_path / "new.txt", "csv")


def test_a_folder_without_a_recording_is_refused(tmp_path):
    with pytest.raises(InputError, match="of no format that its content shows"):
        read_loads(tmp_path)
    with pytest.raises(InputError, match="of no format that its content shows"):
        read_placement(tmp_path)


@pytest.mark.parametrize("name", sorted({*LOADS, *PLACEMENTS} - {"csv", "csv-ranks", "vllm-dump", "tensorrt-llm"}))
def test_a_truncated_file_is_refused_by_name(tmp_path, name):
    path = loads_sample(name, tmp_path) if name in LOADS else placement_sample(name, tmp_path)
    file = sorted(path.iterdir())[-1] if path.is_dir() else path
    whole = file.read_bytes()
    for kept in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) * 4 // 5):
        file.write_bytes(whole[:kept])
        with pytest.raises(InputError, match=f"^{path}: "):
            read_loads(path, name) if name in LOADS else read_placement(path, name, DEPLOYMENT)


def test_library_methods_read_and_write_too(tmp_path):
    write_placement(PLACEMENT, tmp_path / "own.json")
    np.testing.assert_array_equal(read_placement(tmp_path / "own.json").phy2log, PLACEMENT.phy2log)
    write_placement(PLACEMENT, tmp_path / "map.json", "vllm-ascend")
    np.testing.assert_array_equal(read_placement(tmp_path / "map.json").phy2log, PLACEMENT.phy2log)


def test_what_is_read_is_not_changed(tmp_path):
    for name in LOADS:
        folder = tmp_path / name
        folder.mkdir()
        path = loads_sample(name, folder)
        before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        read_loads(path)
        assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
        shutil.rmtree(folder)
