"""A table of measured times: what is between, below and beyond its rows, how it is levelled, and what it may not be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import InputError
from equipoise.timing.table import FALL, Table

H100 = Table([1, 8, 32, 64, 128, 256, 384, 512], [376, 342, 342, 348, 358, 439, 686, 680])


def test_lines_are_drawn_between_rows_and_the_last_one_goes_on():
    table = Table([10, 20, 40], [5, 6, 16])
    assert table(np.array([0, 1, 10, 15, 30, 40, 60])).tolist() == [0, 5, 5, 5.5, 11, 16, 26]


def test_small_falls_are_levelled_and_kept():
    assert H100.levelled == pytest.approx(1 - 342 / 376)
    assert H100.microseconds[:4] == pytest.approx([352, 352, 352, 352])  # their mean
    assert H100.microseconds[4:] == pytest.approx([358, 439, 683, 683])
    assert Table([1, 2], [3, 3]).levelled == 0


@given(times=st.lists(st.floats(85, 100), min_size=2, max_size=8))
def test_levelled_rows_never_fall_and_keep_their_sum(times):
    table = Table(np.arange(1, len(times) + 1), times)
    assert (np.diff(table.microseconds) >= 0).all()
    assert sum(table.microseconds) == pytest.approx(sum(times))
    assert table.levelled <= FALL + 1e-12
    assert Table(table.tokens, table.microseconds, table.levelled) == table


@pytest.mark.parametrize(
    ("tokens", "microseconds", "message"),
    [
        ([], [], "rows of the table: 0; expected two at least, to tell of other numbers of tokens"),
        ([1], [3], "rows of the table: 1; expected two at least, to tell of other numbers of tokens"),
        ([1, 2], [3, -1], "row 2: microseconds is -1.0; expected a finite number of at least 0"),
        ([1, np.nan], [3, 4], "row 2: tokens is nan; expected a finite number of at least 0"),
        ([1, 2], [3, np.inf], "row 2: microseconds is inf; expected a finite number of at least 0"),
        ([0, 2], [3, 4], "row 1: tokens is 0; expected more than 0, which takes no time"),
        ([1, 2, 2], [3, 4, 5], "row 3: tokens is 2; expected more than the 2 of the row before"),
        (
            [1, 64, 128],
            [100, 110, 90],
            "row 3: 128 tokens take 90 microseconds, 18% less than fewer tokens do; expected a time that rises with "
            "tokens or falls by 15% at most",
        ),
        ([1, 2], [3, 4, 5], "tokens and microseconds of a table have shapes [2] and [3]; expected [rows] for both"),
    ],
)
def test_a_bad_table_is_refused_by_row_and_column(tokens, microseconds, message):
    with pytest.raises(InputError) as refused:
        Table(tokens, microseconds)
    assert str(refused.value) == message
