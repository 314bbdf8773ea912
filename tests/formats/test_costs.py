"""Costs in files: what was written is read, tables of one's own too, and what no cost is gets refused by name."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import Conditions, ExpertCost, InputError, read_cost, read_model, write_cost
from equipoise.timing.table import Table
from tests.formats.mutations import damaged

CONDITIONS = Conditions("NVIDIA H100", {"torch": "2.11"}, hidden_size=7168, expert_size=2048, dtype="bf16")
MEASURED = ExpertCost(
    67, 14.6, {64: 2.5, 128: 16.8}, 0.01, measured_to=8306, residual=0.06, scatter=0.03, conditions=CONDITIONS
)
TABLED = ExpertCost(table=Table([1, 64, 128], [42, 40, 55]), sending=0.5, measured_to=128)


@pytest.mark.parametrize("cost", [MEASURED, TABLED, ExpertCost()])
def test_a_cost_is_read_as_it_was_written(tmp_path, cost):
    write_cost(cost, tmp_path / "cost.json")
    assert read_cost(str(tmp_path / "cost.json")) == cost


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        write_cost(MEASURED, tmp_path / "missing" / "cost.json")
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_ones_own_is_read_levelled_and_extrapolated(tmp_path):
    path = tmp_path / "cost.csv"
    path.write_text("Microseconds, tokens, note\n42,1,cold\n40,64,\n55,128,\n")
    cost = read_cost(path)
    assert cost == ExpertCost(table=Table([1, 64, 128], [42, 40, 55]), measured_to=128)
    assert cost.table.levelled == pytest.approx(2 / 42)
    assert cost.expert_time([0, 1, 64, 128, 192]) == pytest.approx([0, 41, 41, 55, 69])
    assert cost.is_beyond([128, 192]).tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "tokens,microseconds\n1,40\n",
            "rows of the table: 1; expected two at least, to tell of other numbers of tokens",
        ),
        ("tokens,microseconds\n1,40\n2,-1\n", "row 2: microseconds is -1.0; expected a finite number of at least 0"),
        ("tokens,microseconds\n1,40\n2,nan\n", "row 2: microseconds is nan; expected a finite number of at least 0"),
        ("tokens,microseconds\n1,40\n2,4\n", "row 2: 2 tokens take 4 microseconds, 90% less than fewer tokens do"),
        ("tokens,time\n1,40\n", "has no column microseconds among tokens, time; expected tokens, microseconds"),
        ("tokens,microseconds\n1,forty\n", "not a table of numbers"),
    ],
)
def test_a_bad_table_is_refused_with_the_files_name(tmp_path, text, message):
    path = tmp_path / "cost.csv"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_cost(path)
    assert str(refused.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"format": "equipoise-placement"},
            'not a cost; expected a JSON object with "format": "equipoise-cost", or CSV',
        ),
        ({"version": 2}, "version is 2; this Equipoise reads version 1"),
        ({"speed": 1}, "the cost has speed; expected format, version, "),
        ({"layer": -1}, "layer is -1; expected a number from 0 to 1e18"),
        ({"expert": float("nan")}, "expert is nan; expected a number from 0 to 1e18"),
        ({"token": "1"}, "token is '1'; expected a number from 0 to 1e18"),
        ({"residual": 10**400}, "residual is 1000000"),
        ({"tiles": [1]}, "tiles is [1]; expected an object of rows and microseconds"),
        ({"tiles": {"big": 1}}, "tiles has 'big' for a number of rows; expected a whole number"),
        ({"tiles": {"0": 1}}, "rows of a tile is 0; expected a whole number of at least 1"),
        ({"tiles": {"64": -1}}, "tiles: 64 is -1; expected a number from 0 to 1e18"),
        ({"measured_to": -1}, "measured_to is -1; expected a number from 0 to 1e18"),
        ({"expert_size": 0}, "expert_size is 0; expected a whole number of at least 1"),
        ({"device": 1}, "device is 1; expected a text"),
        ({"versions": []}, "versions is []; expected an object of names and versions"),
        ({"versions": {"torch": 2}}, "versions: 'torch' is 2; expected a text"),
        ({"table": []}, "table is []; expected an object with tokens, microseconds, levelled"),
        ({"table": {"tokens": 1, "microseconds": [], "levelled": 0}}, "table: tokens is 1; expected a list of numbers"),
        ({"table": {"tokens": [1], "microseconds": [1], "levelled": 0}}, "rows of the table: 1; expected two at least"),
    ],
)
def test_json_that_is_no_cost_is_refused_by_key(tmp_path, changed, message):
    path = tmp_path / "cost.json"
    write_cost(MEASURED, path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(InputError) as refused:
        read_cost(path)
    assert str(refused.value).startswith(f"{path}: {message}")


def test_a_cost_for_other_experts_than_the_models_is_refused(tmp_path):
    write_cost(MEASURED, tmp_path / "cost.json")
    assert read_cost(tmp_path / "cost.json", read_model("kimi-k2")) == MEASURED  # whose experts are as large
    with pytest.raises(InputError, match=r"cost\.json: the cost is for a hidden_size of 7168, the model has 4096"):
        read_cost(tmp_path / "cost.json", read_model("qwen3-235b-a22b"))


@given(seed=st.integers(0, 10**6), cost=st.sampled_from([MEASURED, TABLED]))
def test_damaged_files_are_read_or_refused(tmp_path_factory, seed, cost):
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    write_cost(cost, path)
    path.write_bytes(damaged(path.read_bytes(), seed))
    with suppress(InputError):
        assert (read_cost(path).gpu_time([1, 200]) >= 0).all()
