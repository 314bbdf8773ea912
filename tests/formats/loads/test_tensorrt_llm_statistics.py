from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from equipoise import InputError
from equipoise.formats import read_loads
from tests.formats.samples import COUNTS, write_statistics

safetensors = pytest.importorskip("safetensors.numpy")


@pytest.fixture
def folder(tmp_path):
    write_statistics(tmp_path, COUNTS, ranks=12)
    return tmp_path


def changed(folder, rank, change):
    """Change the counts of a rank, in place."""
    file = folder / f"rank{rank}.safetensors"
    counts = safetensors.load_file(file)
    change(counts)
    safetensors.save_file(counts, file)


def test_ranks_are_added_up_iterations_are_windows_and_layers_in_the_order_of_their_numbers(folder):
    for name in ("rank0_raw.safetensors", "cooccurrence_rank0.safetensors", "token_selected_experts_rank0.safetensors"):
        (folder / name).write_bytes(b"of other versions, and not read")
    np.testing.assert_array_equal(read_loads(folder).counts, COUNTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda counts: counts.pop("99_9"), "rank1.safetensors: differs from rank 0 in iteration 99, layer 9"),
        (
            lambda counts: counts.update({"101_9": counts.pop("99_9")}),
            "differs from rank 0 in iteration 99, layer 9; expected both to have it",
        ),
        (lambda counts: counts.update({"101_9": counts["99_9"]}), "differs from rank 0 in iteration 101, layer 9"),
        (lambda counts: counts.update({"total": counts["99_9"]}), r"has the key 'total'; expected {iteration}_{layer}"),
        (lambda counts: counts.update({"099_9": counts["99_9"]}), "has the key '099_9'; expected"),
        (lambda counts: counts.update({"99_9": counts["99_9"][1:]}), r"99_9 is int64 \[5\]; expected counts \[6\]"),
        (lambda counts: counts.update({"99_9": counts["99_9"] > 0}), "99_9 is bool"),
        (dict.clear, "holds no counts"),
    ],
)
def test_a_rank_that_differs_is_refused_by_name(folder, change, message):
    changed(folder, 1, change)
    with pytest.raises(InputError, match=rf"^{folder}: rank1\.safetensors: .*{message.split(': ')[-1]}"):
        read_loads(folder)


def test_a_layer_that_lacks_an_iteration_is_refused(folder):
    for rank in range(12):
        changed(folder, rank, lambda counts: counts.pop("99_10"))
    with pytest.raises(InputError, match="has no counts for iteration 99, layer 10; expected all layers in each"):
        read_loads(folder)


def test_negative_counts_are_refused(folder):
    changed(folder, 3, lambda counts: counts.update({"98_9": counts["98_9"] - 1000}))
    with pytest.raises(InputError, match="window 0, layer 0, expert 0 is -"):
        read_loads(folder)


def test_missing_files_are_refused(folder):
    (folder / "rank3.safetensors").unlink()
    with pytest.raises(InputError, match=r"holds ranks 0, 1, 2, 4, .*; expected rank\*\.safetensors of all ranks"):
        read_loads(folder)
    (folder / "meta_info.json").unlink()
    with pytest.raises(InputError, match=r"meta_info\.json: No such file"):
        read_loads(folder)


@pytest.mark.parametrize("meta", [{}, [], {"num_experts": "6"}, {"num_experts": 0}, {"num_experts": True}])
def test_other_descriptions_are_refused(folder, meta):
    (folder / "meta_info.json").write_text(json.dumps(meta))
    with pytest.raises(InputError, match=r"meta_info\.json: num_experts is .*; expected the number of experts"):
        read_loads(folder)


def test_experts_that_no_file_could_hold_are_refused(folder):
    (folder / "meta_info.json").write_text(json.dumps({"num_experts": 10**12}))
    with pytest.raises(InputError, match=r"rank0\.safetensors: stands for 6000000000000 numbers"):
        read_loads(folder)


def test_without_safetensors_the_error_says_how_to_get_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(InputError, match=r"pip install 'equipoise\[tensorrt-llm\]'"):
        read_loads(folder)
