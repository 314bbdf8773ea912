from __future__ import annotations

import os

import numpy as np
import pytest

from equipoise import InputError
from equipoise.formats import read_loads
from equipoise.formats.registry import LOADS


def test_what_neither_content_nor_suffix_shows_is_refused_with_a_list_of_the_formats(tmp_path):
    for name in ("loads.xls", "loads"):
        (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0")
        with pytest.raises(
            InputError, match=rf"{name_of(tmp_path / name)}: .*\(format\): .*numpy, parquet, csv, .*sglang-dump"
        ):
            read_loads(tmp_path / name)


@pytest.mark.parametrize("suffix", [suffix for known in LOADS.values() for suffix in known.suffixes])
def test_what_is_no_file_is_refused_by_name(tmp_path, suffix):
    missing, folder, empty = (tmp_path / f"{name}{suffix}" for name in ("missing", "folder", "empty"))
    folder.mkdir()
    empty.touch()
    for path, reason in ((missing, "No such file"), (folder, "of no format that its content shows"), (empty, "")):
        with pytest.raises(InputError, match=rf"{name_of(path)}: .*{reason}"):
            read_loads(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused_by_name(tmp_path):
    path = tmp_path / "loads.json"
    path.write_text("[[1]]")
    path.chmod(0)
    with pytest.raises(InputError, match=r"loads\.json: Permission denied"):
        read_loads(path)


def test_suffixes_in_capitals_are_the_same(tmp_path):
    path = tmp_path / "LOADS.NPY"
    with path.open("wb") as file:
        np.save(file, [[1, 2]])
    assert read_loads(str(path)).counts.tolist() == [[[1, 2]]]


def test_every_recorded_file_can_be_read(real_loads):
    for path in real_loads.glob("*.npz"):
        with np.load(path) as archive:
            counts = archive["counts"]
        np.testing.assert_array_equal(read_loads(path).counts.reshape(counts.shape), counts)


def name_of(path):
    return path.name.replace(".", r"\.")
