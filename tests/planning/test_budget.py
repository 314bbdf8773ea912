from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.planning.budget import Expense, stops_within


@st.composite
def histories(draw):
    """PARs that fall, histories of different lengths, and whole expenses that rise, fall or stand still on the way."""
    layers, points = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    falls = st.lists(st.sampled_from([0, 0, 1, 5]), min_size=points, max_size=points)
    par = np.array([3 - np.cumsum(draw(falls)) / 32 for _ in range(layers)])
    for layer in range(layers):
        par[layer, draw(st.integers(1, points)) :] = np.inf
    spent = st.lists(st.sampled_from([-3, -1, 0, 1, 4]), min_size=points, max_size=points)
    expenses = []
    for _ in range(draw(st.integers(0, 2))):
        history = np.array([np.cumsum(draw(spent)) for _ in range(layers)], float)
        expenses.append(Expense(history + draw(st.integers(0, 3)), float(draw(st.integers(0, 12)))))
    return par, expenses


def total(expense, stops) -> float:
    return sum(row[stop] for row, stop in zip(expense.spent.tolist(), stops, strict=True))


def affordable(expenses, stops) -> bool:
    """Whether no budget is exceeded by more than by what cannot be saved."""
    nothing = [0] * len(stops)
    return all(total(e, stops) <= max(e.budget, total(e, nothing)) for e in expenses)


@settings(max_examples=300, deadline=None)
@given(histories())
def test_no_budget_is_exceeded_beyond_what_cannot_be_saved(history):
    par, expenses = history
    with warnings.catch_warnings(action="error"):
        stops = stops_within(par, expenses)
    assert np.isfinite(par[np.arange(len(par)), stops]).all()
    assert affordable(expenses, stops)


@settings(max_examples=300, deadline=None)
@given(histories())
def test_no_layer_can_go_on_to_a_lower_par_within_what_is_left(history):
    par, expenses = history
    stops = stops_within(par, expenses).tolist()
    for layer, stop in product(range(len(par)), range(par.shape[1])):
        if par[layer, stop] < par[layer, stops[layer]]:
            assert not affordable(expenses, [*stops[:layer], stop, *stops[layer + 1 :]])


@settings(max_examples=300, deadline=None)
@given(histories())
def test_one_layer_stops_at_its_best_point_within_the_budgets(history):
    par, expenses = history
    par, expenses = par[:1], [Expense(e.spent[:1], e.budget) for e in expenses]
    reachable = [par[0, stop] for stop in range(par.shape[1]) if affordable(expenses, [stop])]
    assert par[0, stops_within(par, expenses)[0]] == min(reachable)


@settings(max_examples=300, deadline=None)
@given(histories())
def test_without_a_limit_every_layer_stops_at_its_least_par_and_of_equals_where_least_is_spent(history):
    par, expenses = history
    unlimited = [Expense(e.spent, np.inf) for e in expenses]
    stops = stops_within(par, unlimited)
    for layer, row in enumerate(par.tolist()):
        extra = sum((np.maximum(e.spent[layer] - e.spent[layer, 0], 0) for e in expenses), np.zeros(len(row)))
        best = min((par, spent, stop) for stop, (par, spent) in enumerate(zip(row, extra.tolist(), strict=True)))
        assert stops[layer] == best[-1]


@pytest.mark.parametrize("seed", range(20))
def test_where_every_move_gains_less_than_the_one_before_nothing_gains_more(seed):
    rng = np.random.default_rng(seed)
    par = 2 - np.sort(rng.uniform(0, 0.2, (3, 6)))[:, ::-1].cumsum(axis=1)
    moves = np.tile(np.arange(6.0), (3, 1))
    for budget in range(16):
        expense = Expense(moves, budget)
        stops = stops_within(par, [expense])
        best = min(par[range(3), every].mean() for every in product(range(6), repeat=3) if affordable([expense], every))
        assert par[range(3), stops].mean() == pytest.approx(best, rel=1e-12)


def test_moves_that_cost_more_than_they_gain_elsewhere_are_not_made():
    # Layer 0 could use up the whole budget; layers 1 and 2 together gain more by it.
    par = np.array([[2.0, 1.6], [2.0, 1.7], [2.0, 1.7]])
    moves = np.array([[0, 10], [0, 5], [0, 5.0]])
    assert stops_within(par, [Expense(moves, 10.0)]).tolist() == [0, 1, 1]
    assert stops_within(par, [Expense(moves, 9.0)]).tolist() == [0, 1, 0]


def test_both_budgets_hold():
    par = np.array([[2.0, 1.5, 1.2]])
    moves, off_node = Expense(np.array([[0.0, 1, 2]]), 2.0), Expense(np.array([[0, 0.3, 0.5]]), 0.4)
    assert stops_within(par, [moves]).tolist() == [2]
    assert stops_within(par, [moves, off_node]).tolist() == [1]
