from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import InputError, Loads
from equipoise.formats import read_loads

COUNTS = np.arange(24).reshape(2, 3, 4)


def as_npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def as_npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint16", "float16", "float64", ">f4"])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_arrays_of_one_to_three_axes_are_read(tmp_path, dtype, axes):
    counts = COUNTS[(0,) * (3 - axes)].astype(dtype) + 1
    path = tmp_path / "loads.npy"
    np.save(path, np.asfortranarray(counts))
    np.testing.assert_array_equal(read_loads(path).counts, Loads(counts).counts)


@pytest.mark.parametrize("arrays", [{"other": COUNTS}, {"labels": np.arange(2), "counts": COUNTS}])
def test_an_archive_gives_its_only_array_or_its_counts(tmp_path, arrays):
    path = tmp_path / "loads.npz"
    np.savez(path, **arrays)
    np.testing.assert_array_equal(read_loads(path).counts, COUNTS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            as_npz(a=COUNTS, b=COUNTS),
            r"loads\.npz: holds the arrays a, b; expected a single one, or one named counts",
        ),
        (as_npz(), r"holds the arrays \(none\)"),
        (as_npz(counts=np.array([{}])), "holds Python objects"),
        (as_npy(np.array([{}])), "holds Python objects"),
        (as_npy(np.array(["1"])), "expected integers or floating-point"),
        (as_npy(-COUNTS), "window 0, layer 0, expert 1 is -1.0"),
        (b"layer,expert\n", "not a readable NumPy array"),
    ],
)
def test_other_content_is_refused(tmp_path, content, message):
    path = tmp_path / "loads.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_loads(path)


def test_a_header_that_promises_more_than_memory_holds_is_refused(tmp_path):
    path = tmp_path / "loads.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
    with pytest.raises(InputError, match=r"loads\.npy: "):
        read_loads(path)


@given(
    whole=st.sampled_from([as_npy(COUNTS), as_npz(counts=COUNTS)]),
    damage=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    kept=st.integers(0, 600),
)
def test_a_damaged_file_gives_loads_or_an_input_error(tmp_path_factory, whole, damage, kept):
    content = bytearray(whole[:kept])
    for place, value in damage:
        content[place : place + 1] = bytes([value]) * len(content[place : place + 1])
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(content)
    with suppress(InputError):
        assert read_loads(path).counts.size > 0
