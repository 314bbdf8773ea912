from __future__ import annotations

import numpy as np
import pytest

from equipoise import InputError
from equipoise.formats import read_loads
from tests.formats.samples import COUNTS, PLACEMENT, physical_counts

MAP = PLACEMENT.phy2log


def archive(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_slots_are_added_up_and_steps_that_were_not_recorded_dropped(tmp_path):
    unused = np.zeros((4, *MAP.shape), np.int32)
    counts = np.concatenate([physical_counts()[:1], unused, physical_counts()[1:]])
    path = archive(tmp_path / "window.npz", expert_load_window=counts, physical_to_logical_map=MAP, step=3)
    np.testing.assert_array_equal(read_loads(path).counts, COUNTS)


def test_what_torch_saved_is_the_same(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "window.pt"
    content = {"expert_load_window": physical_counts(), "physical_to_logical_map": MAP}
    torch.save({name: torch.tensor(array) for name, array in content.items()}, path)
    np.testing.assert_array_equal(read_loads(path).counts, COUNTS)


def test_slots_of_ranks_that_left_hold_nothing(tmp_path):
    wider = [(0, 0), (0, 3)]
    path = archive(
        tmp_path / "window.npz",
        expert_load_window=np.pad(physical_counts(), [(0, 0), *wider]),
        physical_to_logical_map=np.pad(MAP, wider, constant_values=-1),
    )
    np.testing.assert_array_equal(read_loads(path).counts, COUNTS)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"expert_load_window": physical_counts()},
            "holds expert_load_window; expected expert_load_window and physical",
        ),
        (
            {"expert_load_window": physical_counts()[0], "physical_to_logical_map": MAP},
            r"expert_load_window has shape \[2, 8\]; expected \[steps, layers, slots\]",
        ),
        (
            {"expert_load_window": physical_counts()[..., 1:], "physical_to_logical_map": MAP},
            r"the counts have shape \[3, 2, 7\] and the map \[2, 8\]",
        ),
        (
            {"expert_load_window": -physical_counts(), "physical_to_logical_map": MAP},
            "expected a finite number of at least 0",
        ),
        ({"expert_load_window": physical_counts() * np.nan, "physical_to_logical_map": MAP}, "is nan"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, arrays, message):
    path = archive(tmp_path / "window.npz", **arrays)
    with pytest.raises(InputError, match=rf"window\.npz: .*{message}"):
        read_loads(path)
