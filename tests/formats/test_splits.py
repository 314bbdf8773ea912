from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from equipoise import Cluster, InputError, Placement, least_peak_split, write_split
from equipoise.formats.splits import check_split_path

PLACEMENT = Placement([[0, 1, 2, 0], [0, 1, 2, 0]], Cluster(gpus=2, slots_per_gpu=2), experts=3)
SPLIT = least_peak_split(PLACEMENT, [[60, 30, 10], [0, 0, 0]])


def test_numpy_holds_the_map_and_the_shares(tmp_path):
    write_split(SPLIT, tmp_path / "split.npz")
    with np.load(tmp_path / "split.npz", allow_pickle=False) as file:
        assert file["physical_to_logical_map"].tolist() == PLACEMENT.phy2log.tolist()
        np.testing.assert_array_equal(file["shares"], SPLIT.shares)
        assert sorted(file) == ["physical_to_logical_map", "shares"]
    before = (tmp_path / "split.npz").read_bytes()
    write_split(SPLIT, tmp_path / "split.npz")
    assert (tmp_path / "split.npz").read_bytes() == before


def test_torch_holds_the_map_and_each_slots_share_of_its_layers_load(tmp_path):
    torch = pytest.importorskip("torch")
    write_split(SPLIT, tmp_path / "split.pt")
    content = torch.load(tmp_path / "split.pt", weights_only=True)
    assert content["physical_to_logical_map"].tolist() == PLACEMENT.phy2log.tolist()
    assert content["physical_mass"].dtype == torch.float32
    np.testing.assert_allclose(content["physical_mass"], [[0.2, 0.3, 0.1, 0.4], [0, 0, 0, 0]], atol=1e-6)
    assert len(content) == 2


def test_an_empty_slot_is_refused_where_sglang_would(tmp_path):
    pytest.importorskip("torch")
    split = least_peak_split(Placement([[0, 1, -1, 0]], Cluster(gpus=2, slots_per_gpu=2), experts=2), [[1, 1]])
    with pytest.raises(InputError, match=r"split\.pt: layer 0, slot 2 is empty; SGLang expects an expert"):
        write_split(split, tmp_path / "split.pt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["split.json", "split"])
def test_other_suffixes_are_refused(tmp_path, name):
    for refuse in (check_split_path, partial(write_split, SPLIT)):
        with pytest.raises(
            InputError, match=rf"^{tmp_path / name}: a split is not written to \S+ files; use \.npz or \.pt"
        ):
            refuse(tmp_path / name)
