"""CSV as people have it: other names of columns, other separators, and matrices without any names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import InputError
from equipoise.formats import read_loads, read_model

COUNTS = [[5, 1, 2, 4], [3, 0, 9, 2]]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "loads.csv"


@pytest.mark.parametrize(
    "names",
    [
        "layer_id,expert_id,count",
        "layer,expert,tokens",
        "Layer_Idx,Expert_Idx,num_tokens",
        "moe_layer,logical_expert_id,load",
        "layer;expert;count",
        "layer\texpert\tcount",
        "layer expert load",
        '\ufeff"layer_id", "expert_id", "count"',
    ],
)
def test_columns_are_known_by_the_names_that_recorders_give_them(path, names):
    between = next((separator for separator in ",;\t" if separator in names), " ")
    rows = [
        between.join(map(str, (3 + layer, expert, COUNTS[layer][expert]))) for layer in (0, 1) for expert in range(4)
    ]
    path.write_text("\n".join([names, *rows]), encoding="utf-8")
    assert read_loads(path).counts.tolist() == [COUNTS]


def test_ranks_of_a_column_are_added_up(path):
    path.write_text("step,rank,layer,expert,count\n9,0,0,1,5\n9,1,0,1,2\n10,1,0,0,1\n")
    assert read_loads(path).counts.tolist() == [[[0, 7]], [[1, 0]]]


@given(
    counts=st.lists(st.lists(st.integers(0, 10**6), min_size=6, max_size=6), min_size=1, max_size=4),
    between=st.sampled_from([",", ";", "\t", " "]),
    form=st.sampled_from(["%d", "%.18e", "%.1f"]),
)
def test_a_matrix_is_read_as_layers_of_experts(tmp_path_factory, counts, between, form):
    path = tmp_path_factory.getbasetemp() / "matrix.csv"
    counts[0][0] += 1  # a first line 0, 1, 2, ... could be names
    np.savetxt(path, counts, fmt=form, delimiter=between)
    assert read_loads(path, "csv").counts.tolist() == [counts]


@pytest.mark.parametrize(
    "names", ["expert_0,expert_1,expert_2,expert_3", "e0,e1,e2,e3", "Expert 0,Expert 1,Expert 2,Expert 3"]
)
@pytest.mark.parametrize("first", ["", "layer,", ","])
def test_a_line_of_names_above_a_matrix_is_not_loads(path, names, first):
    rows = [(f"{place}," if first else "") + ",".join(map(str, row)) for place, row in enumerate(COUNTS)]
    path.write_text("\n".join([first + names, *rows]))
    assert read_loads(path).counts.tolist() == [COUNTS]


def test_numbered_columns_with_numbered_rows_are_names(path):
    path.write_text(",0,1,2,3\n0,5,1,2,4\n1,3,0,9,2\n")
    assert read_loads(path).counts.tolist() == [COUNTS]


def test_the_model_says_where_the_windows_of_a_matrix_end(path):
    model = read_model("DeepSeek-V3")
    counts = np.random.default_rng(0).integers(1, 99, (3, 58, 256))
    np.savetxt(path, counts.reshape(-1, 256), fmt="%d", delimiter=",")
    np.testing.assert_array_equal(read_loads(path, model=model).counts, counts)
    np.testing.assert_array_equal(read_loads(path).counts, counts.reshape(1, -1, 256))
    np.savetxt(path, counts.reshape(-1, 256)[1:], fmt="%d", delimiter=",")
    with pytest.raises(InputError, match="has 173 rows; expected 58 for each window"):
        read_loads(path, model=model)
    np.savetxt(path, np.ones((300, 4)), delimiter=",")
    with pytest.raises(InputError, match=r"has 300 rows, more than a model has layers, .*name the model"):
        read_loads(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5,1\n3\n", "not a table of numbers: line 2 has 1 fields; expected 2"),
        ("5,1\n3,x\n", "not a table of numbers: line 2, column 2 is 'x'; expected a number"),
        ("5,1\n3,\n", "not a table of numbers: line 2, column 2 is ''; expected a number"),
        ("0,1,2\n5,1,4\n", "has the first line 0, 1, 2, .*: names of columns, or the loads of a layer"),
        ("0,0,5\n0,1,7\n1,0,3\n1,1,2\n", "without its line of names, or 3 experts; write .*: layer,expert,load"),
        ("expert_0,expert_2\n5,1\n", "has the columns expert_0, expert_2; expected layer, expert and load, or"),
        ("layer,expert_0,expert_1\n1,5,1\n0,2,2\n", "row 2 is of layer 0, after layer 1; expected rising numbers"),
        ("expert_0,expert_1\n", "has no numbers; expected a row for each layer"),
        ("layer,physical_expert_id,count\n0,1,2\n", "has no column expert among layer, physical_expert_id, count"),
        ("layer,layer_id,expert,count\n0,0,1,2\n", "has more than one column layer among"),
        ("5,-1\n3,2\n", "holds whole numbers from -1 on, .* a map of experts or of slots, not loads"),
        ("5,nan\n3,2\n", "is nan; expected a finite number of at least 0"),
    ],
)
def test_other_tables_are_refused_with_the_place(path, text, message):
    path.write_text(text)
    with pytest.raises(InputError, match=rf"loads\.csv: .*{message}"):
        read_loads(path)
