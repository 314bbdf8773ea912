from __future__ import annotations

import sys

import numpy as np
import pytest

from equipoise import InputError
from equipoise.formats import read_loads

STEPS = np.array([[[0, 0], [1, 2]], [[0, 0], [0, 0]], [[0, 0], [3, 4]]], dtype=np.int32)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "expert_distribution_recorder_1.pt"


def dump(torch, counts, **others):
    return {
        "rank": 0,
        "logical_count": torch.tensor(counts),
        "average_utilization_rate_over_window": None,
        **others,
    }


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "bfloat16"])
def test_unused_steps_are_dropped_and_dense_layers_stay(torch, path, dtype):
    content = dump(torch, STEPS)
    content["logical_count"] = content["logical_count"].to(getattr(torch, dtype))
    torch.save(content, path)
    assert read_loads(path).counts.tolist() == [[[0, 0], [1, 2]], [[0, 0], [3, 4]]]


def test_a_recording_of_nothing_is_idle_loads(torch, path):
    torch.save(dump(torch, STEPS * 0), path)
    assert read_loads(path).counts.shape == (3, 2, 2)


def test_other_dumps_are_refused_by_what_they_hold(torch, path):
    torch.save({"numbers": [], "rank": 0}, path)
    with pytest.raises(InputError, match=r"\.pt: holds the keys numbers, rank"):
        read_loads(path)
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="holds list"):
        read_loads(path)
    torch.save({"logical_count": torch.ones(2, 2).to_sparse()}, path)
    with pytest.raises(InputError, match=r"calls torch\._utils\._rebuild_sparse_tensor; expected plain tensors"):
        read_loads(path)


def test_no_code_is_run_from_a_dump(torch, path, tmp_path):
    class Command:
        def __reduce__(self):
            return (type(tmp_path).touch, (tmp_path / "run",))

    torch.save(dump(torch, STEPS, extra=Command()), path)
    with pytest.raises(InputError, match="without running code"):
        read_loads(path)
    assert not (tmp_path / "run").exists()


def test_damaged_dumps_are_refused(torch, path):
    torch.save(dump(torch, STEPS), path)
    whole = path.read_bytes()
    for kept in (1, 40, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:kept])
        with pytest.raises(InputError, match=r"\.pt: not a torch file"):
            read_loads(path)


def test_without_torch_the_error_says_how_to_get_it(path, monkeypatch):
    path.write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"needs torch.*pip install 'equipoise\[torch\]'"):
        read_loads(path)
