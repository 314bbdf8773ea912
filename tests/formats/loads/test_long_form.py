"""Loads as CSV and Parquet: the same table in two files."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise import InputError, Loads
from equipoise.formats import read_loads, write_loads
from equipoise.formats.registry import LOADS, LOADS_WRITTEN

HEAD = "window,layer,expert,load\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "loads.csv"


shapes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5))
numbers = st.integers(0, 2**53) | st.floats(0, 1e300) | st.just(0)


@given(shape=shapes, data=st.data())
@settings(deadline=None)  # the first table imports Arrow
@pytest.mark.parametrize("name", LOADS_WRITTEN)
def test_what_is_written_is_read(tmp_path_factory, name, shape, data):
    size = int(np.prod(shape))
    counts = np.array(data.draw(st.lists(numbers, min_size=size, max_size=size)), np.float64).reshape(shape)
    path = tmp_path_factory.getbasetemp() / f"round_trip{LOADS[name].written[0]}"
    write_loads(Loads(counts), path)
    np.testing.assert_array_equal(read_loads(path).counts, counts)


@pytest.mark.parametrize("name", LOADS_WRITTEN)
def test_the_same_loads_are_the_same_bytes(tmp_path, name):
    loads = Loads(np.random.default_rng(0).integers(0, 9, (2, 3, 4)))
    first, second = (tmp_path / f"{place}{LOADS[name].written[0]}" for place in (1, 2))
    write_loads(loads, first)
    write_loads(loads, second)
    assert first.read_bytes() == second.read_bytes()


def test_whole_numbers_are_written_as_such(path):
    write_loads(Loads([[3, 0]]), path)
    assert path.read_text() == HEAD + "0,0,0,3\n0,0,1,0\n"
    write_loads(Loads([[0.1, 2]]), path)
    assert path.read_text() == HEAD + "0,0,0,0.1\n0,0,1,2.0\n"


def test_rows_come_in_any_order_columns_too_and_others_are_not_read(path):
    path.write_text(
        "\ufeffname,Expert, load ,LAYER,window\r\nx,2,5,3,70\r\n\r\ny,0,1.5,3,7\r\nz,1,4,9,7\r\n", newline=""
    )
    assert read_loads(path).counts.tolist() == [[[1.5, 0, 0], [0, 4, 0]], [[0, 0, 5], [0, 0, 0]]]


def test_quoted_fields_are_numbers_too(path):
    path.write_text('"window","layer","expert","load"\n"0","0","1","7"\n')
    assert read_loads(path).counts.tolist() == [[[0, 7]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column layer among"),
        ("layer:expert:load\n0:0:1\n", "has no column layer among"),
        (
            "window,layer,expert\n0,0,0\n",
            r"has no column load among window, layer, expert; expected layer, expert, load",
        ),
        ("window,layer,expert,load,load\n0,0,0,1,1\n", "has more than one column load"),
        (HEAD, "has no rows"),
        (HEAD + "0,0,0,oops\n", "not a table of numbers: .*'oops'"),
        (HEAD + "0,0,0\n", "not a table of numbers"),
        (HEAD + "0,0,,1\n", "not a table of numbers"),
        (HEAD + "0,0,0,nan\n", "layer 0, expert 0 is nan"),
        (HEAD + "0,0,1,inf\n", "layer 0, expert 1 is inf"),
        (HEAD + "0,0,0,-1\n", "expert 0 is -1"),
        (HEAD + "0,0,0,1\n0,1.5,0,1\n", "row 2: layer is 1.5; expected a whole number of at least 0"),
        (HEAD + "-1,0,0,1\n", "row 1: window is -1"),
        (HEAD + "0,0,nan,1\n", "row 1: expert is nan"),
        (HEAD + "0,0,1e300,1\n", r"row 1: expert is 1e\+300"),
        (HEAD + "0,0,0,1\n0,1,0,2\n0,0,0,3\n", "rows 1 and 3 are for the same window, layer and expert"),
        (HEAD + "0,0,99999999,1\n", "stands for 100000000 numbers in 40 bytes; expected at most 41"),
    ],
)
def test_other_tables_are_refused(path, text, message):
    path.write_text(text)
    with pytest.raises(InputError, match=rf"loads\.csv: .*{message}"):
        read_loads(path)


def test_bytes_that_are_no_text_are_refused(path):
    path.write_bytes(HEAD.encode() + b"0,0,0,\xff\n")
    with pytest.raises(InputError, match=r"not CSV: byte .* is not UTF-8"):
        read_loads(path)


@pytest.fixture
def write_table(tmp_path):
    pytest.importorskip("pyarrow")

    def write(**columns):
        import pyarrow
        import pyarrow.parquet

        path = tmp_path / "loads.parquet"
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
        return path

    return write


def test_parquet_of_other_writers_is_read(write_table):
    small, name = np.array([1, 0], np.uint8), ["a", "b"]
    path = write_table(name=name, load=np.array([2.5, 1], np.float32), Expert=small, layer=small, window=small)
    assert read_loads(path).counts.tolist() == [[[1, 0], [0, 0]], [[0, 0], [0, 2.5]]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"load": ["1"]}, "load is of type string; expected whole numbers"),
        ({"layer": [0.0]}, "layer is of type double; expected whole numbers"),
        ({"window": [True]}, "window is of type bool"),
        ({"expert": [[0]]}, "expert is of type list"),
        ({"load": [None]}, "load is of type null"),
        ({"layer": [-1]}, "row 1: layer is -1"),
        ({"load": [float("nan")]}, "expert 0 is nan"),
    ],
)
def test_other_parquet_is_refused(write_table, changes, message):
    columns = {name: [0] for name in ("window", "layer", "expert", "load")} | changes
    with pytest.raises(InputError, match=rf"loads\.parquet: .*{message}"):
        read_loads(write_table(**columns))


def test_parquet_with_empty_places_is_refused(write_table):
    columns = {name: [0, 1] for name in ("window", "layer", "expert")}
    with pytest.raises(InputError, match="load is empty in 1 rows"):
        read_loads(write_table(**columns, load=[1, None]))


@pytest.mark.parametrize("step", [read_loads, lambda path: write_loads(Loads([[1]]), path)])
def test_without_pyarrow_the_error_says_how_to_get_it(tmp_path, monkeypatch, step):
    (tmp_path / "loads.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"loads\.parquet: .*pip install 'equipoise\[parquet\]'"):
        step(tmp_path / "loads.parquet")


@pytest.mark.parametrize("name", LOADS_WRITTEN)
def test_recorded_loads_are_the_same_afterwards(tmp_path, real_loads, name):
    for source in ("deepseek_v3_sglang_ep", "gpt_oss_20b_tasks", "mixtral_8x7b_domains"):
        loads, path = read_loads(real_loads / f"{source}.npz"), tmp_path / f"{source}{LOADS[name].written[0]}"
        write_loads(loads, path)
        np.testing.assert_array_equal(read_loads(path).counts, loads.counts)
