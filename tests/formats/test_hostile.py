"""Files that mean harm: each is read or refused; none runs code, hangs or takes much memory."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import InputError
from equipoise.formats import holds_placement, read_loads, read_placement
from equipoise.formats.registry import LOADS, PLACEMENTS
from tests.formats.fuzz import read_anyhow, samples
from tests.formats.mutations import damaged
from tests.formats.samples import DEPLOYMENT, VARIANTS

LITTLE = 256 * 2**20
FORMATS = [*LOADS, *PLACEMENTS]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    pytest.importorskip("torch")
    return samples(tmp_path_factory.mktemp("hostile"))


def read(path, name):
    return read_loads(path, name) if name in LOADS else read_placement(path, name, DEPLOYMENT)


@pytest.mark.parametrize("name", [*FORMATS, *VARIANTS])
def test_damaged_files_are_read_or_refused(files, name):
    file, whole = files[name]
    for seed in range(200):
        file.write_bytes(damaged(whole, seed))
        read_anyhow(name, file)
    file.write_bytes(whole)
    assert read_anyhow(name, file)


@given(content=st.binary(max_size=60), name=st.sampled_from(FORMATS))
def test_any_bytes_are_read_or_refused(files, tmp_path_factory, content, name):
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(content)
    with suppress(InputError):
        read(path, name)


class Command:
    """What a pickle can make of itself: a call, here of ``touch``."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


@pytest.mark.parametrize("name", FORMATS)
def test_no_code_is_run_from_any_file(files, tmp_path, name):
    torch = pytest.importorskip("torch")
    command = Command(tmp_path / "run")
    torch.save({"logical_count": torch.ones(2, 2), "records": [command]}, tmp_path / "torch.pt")
    torch.save(
        {"physical_to_logical_map": torch.ones(2, 2), "expert_load_window": command},
        tmp_path / "map.pt",
        _use_new_zipfile_serialization=False,
    )
    np.savez(tmp_path / "objects.npz", counts=np.array([command], dtype=object))
    (tmp_path / "pickle").write_bytes(pickle.dumps({"physical_to_logical_map": command}, protocol=2))
    (tmp_path / "tag.yaml").write_text(f"num_slots: !!python/object/apply:pathlib.Path.touch ['{tmp_path}/run']\n")
    for path in list(tmp_path.iterdir()):
        for asked in (name, None):
            with pytest.raises(InputError):
                read_loads(path, asked) if name in LOADS else read_placement(path, asked, DEPLOYMENT)
        holds_placement(path)
    assert not (tmp_path / "run").exists()


def huge_tensor(torch):
    return torch.ones(1, dtype=torch.int32).expand(10**4, 10**4, 10**4)


def huge_files(folder):
    import pyarrow
    import pyarrow.parquet
    import torch

    (folder / "expert.csv").write_text("window,layer,expert,load\n0,0,4000000000,1\n")
    rows = "".join(f"{place},{place},{place},1\n" for place in range(2000))
    (folder / "diagonal.csv").write_text("window,layer,expert,load\n" + rows)
    many = pyarrow.array(np.zeros(50_000_000, np.int8))
    table = pyarrow.table(dict.fromkeys(("window", "layer", "expert", "load"), many))
    pyarrow.parquet.write_table(table, folder / "zeros.parquet", compression="zstd")
    torch.save({"logical_count": huge_tensor(torch)}, folder / "dump.pt")
    window = {"expert_load_window": huge_tensor(torch), "physical_to_logical_map": torch.ones(2, 2)}
    torch.save(window, folder / "window.pt")
    torch.save({"physical_to_logical_map": huge_tensor(torch)[0]}, folder / "map.pt")
    (folder / "own.json").write_text(
        json.dumps(
            {
                "format": "equipoise-placement",
                "version": 1,
                "cluster": {"gpus": 10**12, "nodes": 1, "slots_per_gpu": 10**12},
                "experts": 10**12,
                "physical_to_logical_map": [[0]],
            }
        )
    )
    laughs = "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"{new}: &{new} [{', '.join(8 * [f'*{old}'])}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    (folder / "laughs.yaml").write_text("num_slots: 8\n" + laughs)
    (folder / "deep.yaml").write_text("num_slots: " + "[" * 100_000)
    (folder / "deep.json").write_text('{"moe_layer_count": ' + "[" * 100_000)
    (folder / "keys.json").write_text("{" + ", ".join(f'"{place}": 1' for place in range(100_000)) + ', "0": 1}')


def test_small_files_do_not_take_much_memory(tmp_path):
    pytest.importorskip("torch")
    huge_files(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        for name in FORMATS:
            tracemalloc.start()
            with pytest.raises(InputError):
                read(path, name)
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert most < LITTLE, f"{path} as {name}: {most} bytes"


@pytest.mark.parametrize("name", ["json", "equipoise", "sglang", "vllm-ascend"])
def test_a_key_that_is_there_twice_is_refused(tmp_path, name):
    path = tmp_path / "twice.json"
    path.write_text('{"logical_count": [[1]],\n "logical_count": [[2]]}')
    with pytest.raises(InputError, match=r"twice\.json: has the key 'logical_count' twice in one object"):
        read(path, name)
