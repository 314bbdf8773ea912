"""Small files that stand for much are refused before they take memory; honest ones that compress well are read."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise import InputError
from equipoise.formats import holds_placement, read_loads, read_placement
from equipoise.formats.registry import LOADS
from tests.formats.bombs import BOMBS
from tests.formats.memory import most_memory
from tests.formats.samples import DEPLOYMENT

LITTLE = 256 * 2**20


def refused(bomb, path):
    with pytest.raises(InputError, match=bomb.message):
        read_loads(path, bomb.name) if bomb.name in LOADS else read_placement(path, bomb.name, DEPLOYMENT)
    holds_placement(path)


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_before_it_takes_memory(tmp_path, bomb):
    pytest.importorskip("torch")
    pytest.importorskip("pyarrow")
    bomb.make(path := tmp_path / "bomb.npz")
    refused(bomb, path)  # once before, so that what is imported does not count
    _, most = most_memory(lambda: refused(bomb, path))
    assert most < LITTLE


@pytest.mark.parametrize("rate", [0, 0.005, 0.05, 3])
@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_loads_that_compress_well_are_read_in_the_memory_of_two_arrays(tmp_path, rate, dtype):
    counts = np.random.default_rng(0).poisson(rate, (100, 94, 512)).astype(dtype)
    np.savez_compressed(tmp_path / "loads.npz", counts=counts)
    loads, most = most_memory(lambda: read_loads(tmp_path / "loads.npz"))
    np.testing.assert_array_equal(loads.counts, counts)
    assert most < 2.1 * counts.nbytes  # the array of the file, and that of the loads


def test_a_window_of_a_thousand_steps_of_which_one_was_recorded_is_read_in_little_more_than_it_takes(tmp_path):
    counts = np.zeros((1000, 58, 288), np.int32)
    counts[7] = np.random.default_rng(0).poisson(20, counts.shape[1:])
    phy2log = np.tile(np.arange(288), (58, 1))
    path = tmp_path / "window.npz"
    np.savez_compressed(path, expert_load_window=counts, physical_to_logical_map=phy2log)
    loads, most = most_memory(lambda: read_loads(path))
    np.testing.assert_array_equal(loads.counts, counts[7:8])
    assert most < 1.1 * counts.nbytes


def test_what_is_not_asked_for_may_be_of_any_size(tmp_path):
    np.savez_compressed(tmp_path / "loads.npz", other=np.zeros(2**23), counts=np.ones((2, 3)))
    loads, most = most_memory(lambda: read_loads(tmp_path / "loads.npz"))
    assert loads.counts.shape == (1, 2, 3)
    assert most < 2**20
