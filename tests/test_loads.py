from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise import InputError, Loads


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5)])
def test_missing_axes_are_added_in_front(shape):
    counts = np.arange(np.prod(shape)).reshape(shape)
    loads = Loads(counts)
    assert (loads.windows, loads.layers, loads.experts) == (1, 1, 1)[len(shape) :] + shape
    np.testing.assert_array_equal(loads.counts.reshape(shape), counts)


def test_the_callers_array_is_not_changed():
    counts = np.ones((2, 3, 4))
    assert Loads(counts).sum().counts.tolist() == [[[2.0] * 4] * 3]
    assert counts.tolist() == [[[1.0] * 4] * 3] * 2


@given(
    busy=st.lists(st.booleans(), min_size=1, max_size=12),
    most=st.integers(1, 13),
    seed=st.integers(0, 99),
)
def test_neighbours_are_added_up_in_parts_as_equal_as_can_be_and_idle_windows_left_out(busy, most, seed):
    counts = np.random.default_rng(seed).integers(1, 9, (len(busy), 2, 3)) * np.array(busy)[:, None, None]
    found = Loads(counts).added_up(most).counts
    left = counts[busy] if any(busy) else counts[-1:]
    parts = [at * min(most, len(left)) // len(left) for at in range(len(left))]
    assert found.tolist() == [
        sum(window for window, of in zip(left, parts, strict=True) if of == part).tolist() for part in range(len(found))
    ]
    assert len(found) == min(most, len(left))


def test_levelled_loads_have_one_total_in_all_windows_of_a_layer():
    loads = Loads([[[30, 10], [1, 1]], [[2, 18], [0, 0]], [[0, 0], [3, 1]]])
    assert loads.levelled.tolist() == [[[22.5, 7.5], [1.5, 1.5]], [[3, 27], [0, 0]], [[0, 0], [2.25, 0.75]]]
    assert Loads(loads.levelled).levelled.tolist() == loads.levelled.tolist()


def test_integers_beyond_doubles_are_rounded():
    assert Loads([2**53 + 1, 2**63]).counts.tolist() == [[[2.0**53, 2.0**63]]]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (3, r"shape \[\]"),
        (np.ones((1, 1, 1, 1)), r"shape \[1, 1, 1, 1\]"),
        ([], "at least one of each axis"),
        (np.ones((2, 0, 4)), "at least one of each axis"),
        ([[1, 2], [3]], "ragged"),
        ([["a", "b"]], "expected integers or floating-point"),
        ([[True, False]], "of type bool"),
        ([[1j, 0]], "of type complex"),
        ([None], "of type object"),
        ([[[0, 0], [0, 0]], [[0, 0], [0, -1]]], r"window 1, layer 1, expert 1 is -1.0"),
        ([[1, np.nan], [np.nan, 1]], r"window 0, layer 0, expert 1 is nan.*2 such loads in all"),
        ([[1, np.inf]], "expert 1 is inf"),
        ([[np.inf, -np.inf]], "expert 0 is inf"),
    ],
)
def test_what_is_no_load_is_refused(counts, message):
    with pytest.raises(InputError, match=message):
        Loads(counts)


@pytest.mark.filterwarnings("error")
def test_a_total_beyond_doubles_is_refused():
    with pytest.raises(InputError, match="scale them down"):
        Loads([1e308, 1e308])


def test_labels_name_the_windows():
    assert Loads(np.ones((2, 1, 1)), ("a", "b")).labels == ("a", "b")
    with pytest.raises(InputError, match="1 labels for 2 windows"):
        Loads(np.ones((2, 1, 1)), ("a",))


@pytest.mark.parametrize("counts", [np.ones((2, 3, 4)), np.ones((3, 4), np.int64), np.asfortranarray(np.ones((3, 4)))])
def test_what_they_were_given_may_change_and_what_they_have_cannot(counts):
    loads = Loads(counts)
    counts[:] = -1
    assert (loads.counts == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        loads.counts[0, 0, 0] = -1


def test_loads_are_numbered_without_a_copy():
    loads = Loads([[[1, 2], [3, 4]]], labels=("monday",))
    numbered = loads.numbered([3, 5])
    assert numbered.counts is loads.counts
    assert (numbered.labels, numbered.decoder_layers, loads.decoder_layers) == (("monday",), (3, 5), None)
    with pytest.raises(InputError, match="expected a rising number of at least 0 for each of 2"):
        loads.numbered([3])
