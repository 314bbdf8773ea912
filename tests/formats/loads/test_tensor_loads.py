"""Bare tensors: read where they are loads, refused where they are a map."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise import InputError
from equipoise.formats import read_loads
from tests.formats.samples import COUNTS, PLACEMENT, VARIANTS

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("counts", [COUNTS, COUNTS[0]])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("named", [None, "expert_load", "workload"])
def test_tensors_of_layers_or_windows_are_read(tmp_path, counts, dtype, as_zip, named):
    tensor = torch.tensor(counts).to(dtype)
    path = tmp_path / "tensor"
    torch.save({named: tensor} if named else tensor, path, _use_new_zipfile_serialization=as_zip)
    np.testing.assert_array_equal(read_loads(path).counts, counts.reshape(-1, *counts.shape[-2:]))


def test_safetensors_are_read(tmp_path):
    pytest.importorskip("safetensors")
    np.testing.assert_array_equal(read_loads(VARIANTS["tensor, safetensors"](tmp_path)).counts, COUNTS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.tensor([0, 1, -1, -1]), r"from -1 on, \[2\] among them: a map of experts or of slots, not loads"),
        (torch.tensor(PLACEMENT.phy2log), "each number from 0 to 5 in every row: the expert in each slot, or loads"),
        (torch.full((2, 3), -3), "is -3.0; expected a finite number of at least 0"),
        (
            {"counts": torch.ones(2, 2), "loads": torch.ones(2, 2)},
            "holds counts, loads; expected a single tensor named",
        ),
        ({"counts": 3}, "counts is 3; expected a tensor"),
        (torch.ones(2, 2, 2, 2), r"have shape \[2, 2, 2, 2\]; expected \[experts\]"),
    ],
)
def test_what_is_no_loads_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "expert_map.pth")
    with pytest.raises(InputError, match=rf"expert_map\.pth: .*{message}"):
        read_loads(tmp_path / "expert_map.pth")


def test_what_may_be_a_map_is_loads_where_the_format_says_so(tmp_path):
    torch.save(torch.tensor(PLACEMENT.phy2log), tmp_path / "loads.pt")
    np.testing.assert_array_equal(read_loads(tmp_path / "loads.pt", "tensor").counts[0], PLACEMENT.phy2log)
