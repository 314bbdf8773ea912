"""Which slots are advised: the fastest, and of what the cost cannot tell apart, the fewest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from equipoise import Cell
from equipoise.sizing.recommending import fewest_slots, recommend


def cell(slots, tokens, time, gpus=32, **other):
    asked = {"nodes": 1, "groups": 1, "routing": "even", "par": 1.0, "error": 0.0, "beyond": False, "memory": None}
    return Cell(gpus=gpus, slots_per_gpu=slots, tokens=tokens, layer_time=time, tokens_per_second=1.0, **asked | other)


def test_within_the_residual_fewer_slots_win_and_of_those_the_faster():
    times = {(8, "even"): 103.0, (9, "even"): 102.0, (9, "local"): 101.0, (10, "even"): 100.0}
    assert fewest_slots(times, 0.0) == (10, "even")
    assert fewest_slots(times, 0.02) == (9, "local")
    assert fewest_slots(times, 0.03) == (8, "even")


CHOICES = st.tuples(st.integers(1, 12), st.sampled_from("ab"))


@given(st.dictionaries(CHOICES, st.floats(1, 9), min_size=1), st.floats(0, 1))
def test_what_is_chosen_is_within_the_residual_and_nothing_with_fewer_slots_is(times, residual):
    chosen = fewest_slots(times, residual)
    limit = (1 + residual) * min(times.values())
    assert times[chosen] <= limit
    assert all(time > limit for (slots, _), time in times.items() if slots < chosen[0])


def test_sizes_of_batches_with_the_same_choice_are_told_together():
    cells = [cell(8, 16, 40), cell(9, 16, 50), cell(8, 64, 60), cell(9, 64, 65), cell(8, 999, 300), cell(9, 999, 200)]
    small, large = recommend(cells, 0.0)
    assert [one.tokens for one in small.cells] == [16, 64]
    assert small.others == (cells[1], cells[3])
    assert (large.cells, large.others) == ((cells[5],), (cells[4],))


def test_gpus_that_the_cost_cannot_tell_apart_are_as_few_as_possible():
    cells = [cell(8, 16, 103), cell(9, 16, 110), cell(4, 16, 100, gpus=64), cell(5, 16, 101, gpus=64)]
    assert recommend(cells, 0.0)[0].cells == (cells[2],)
    assert recommend(cells, 0.05)[0].cells == (cells[0],)


def test_nodes_and_groups_are_those_of_the_fastest_and_only_slots_of_these_are_beside_it():
    cells = [cell(8, 16, 100), cell(8, 16, 140, groups=8), cell(9, 16, 90, groups=8), cell(9, 16, 120)]
    advice = recommend(cells, 0.0)[0]
    assert advice.cells == (cells[2],)
    assert advice.others == (cells[1],)


def test_one_number_of_slots_has_nothing_beside_it():
    assert recommend([cell(8, 16, 100), cell(8, 16, 90, routing="vllm")], 0.0)[0].others == (None,)
