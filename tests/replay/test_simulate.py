from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Loads, Placement, plan, simulate
from equipoise.replay.policies import Afresh, DeepSeekRule, FewMoves, Never, Oracle
from tests.reference.replay import slow_replay
from tests.replay.cases import CLUSTER, COSTS, EXPERTS, LAYERS, POLICIES, drifting

if TYPE_CHECKING:
    from equipoise.replay.situation import Situation


def kind(policy):
    return type(policy).__name__


@pytest.mark.parametrize("policy", POLICIES, ids=kind)
@pytest.mark.parametrize(("groups", "interval", "window", "windows"), [(1, 1, 1, 7), (4, 2, 3, 9), (1, 4, 2, 9)])
def test_a_replay_is_what_a_slow_obvious_loop_says(policy, groups, interval, window, windows):
    trace = drifting(windows)
    replay = simulate(trace, CLUSTER, policy, groups=groups, interval=interval, window=window, costs=COSTS)
    rows = slow_replay(trace, CLUSTER, policy, {"groups": groups}, interval, window, COSTS)
    np.testing.assert_allclose(np.transpose(list(replay.columns().values())), rows, rtol=1e-12)


@settings(deadline=None)
@given(seed=st.integers(0, 999), window=st.integers(1, 3))
def test_nothing_does_better_than_the_oracle_on_the_windows_it_knows(seed, window):
    trace = drifting(5, seed)
    oracle, *others = (
        simulate(trace, CLUSTER, policy, window=window).par
        for policy in (Oracle(), Never(), Afresh(), FewMoves(0.1), FewMoves(1.0))
    )
    assert (oracle < np.min(others, axis=0)).all()


@settings(deadline=None)
@given(seed=st.integers(0, 999), interval=st.integers(1, 3))
def test_never_moves_nothing(seed, interval):
    never = simulate(drifting(6, seed), CLUSTER, Never(), interval=interval).totals()
    assert [never[name] for name in ("moves", "bytes_within", "bytes_between", "stall_seconds")] == [0, 0, 0, 0]


@settings(deadline=None)
@given(seed=st.integers(0, 999), interval=st.integers(1, 3), most=st.sampled_from([0, 1, 7, 0.05, 0.5]))
def test_every_decision_keeps_to_the_budget_and_moves_at_its_first_window_alone(seed, interval, most):
    moves = simulate(drifting(7, seed), CLUSTER, FewMoves(most), interval=interval).moves
    assert moves.max() <= (most if isinstance(most, int) else most * LAYERS * CLUSTER.slots)
    assert not np.delete(moves, np.s_[::interval]).any()


def test_planning_afresh_moves_nothing_at_the_start():
    moves = simulate(drifting(6), CLUSTER, Afresh(), window=2).moves
    assert moves[0] == 0 < moves[1:].min()


@dataclass(frozen=True)
class Recorder:
    """A policy that notes what it is shown."""

    shown: list[Situation] = field(default_factory=list)

    def decide(self, situation):
        self.shown.append(situation)
        return Afresh().decide(situation)


def test_a_policy_is_shown_the_past_what_comes_what_is_live_and_what_is_asked():
    recorder, trace = Recorder(), drifting(8)
    simulate(trace, CLUSTER, recorder, groups=4, effort="fast", interval=2, window=3)
    pasts, coming = (trace[0:3], trace[2:5], trace[4:7]), (trace[3:5], trace[5:7], trace[7:8])
    for shown, past, comes in zip(recorder.shown, pasts, coming, strict=True):
        assert np.array_equal(shown.past.counts, past)
        assert np.array_equal(shown.coming.counts, comes)
        assert (shown.groups, shown.asked) == (4, {"groups": 4, "effort": "fast"})
    for before, after in zip(recorder.shown, recorder.shown[1:], strict=False):
        assert np.array_equal(after.current.phy2log, Afresh().decide(before).phy2log)


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != Oracle()], ids=kind)
def test_another_future_changes_nothing_before_it(policy):
    trace, other = drifting(9), drifting(9)
    other[6:] = drifting(3, seed=1)
    replays = [simulate(some, CLUSTER, policy, interval=2, window=2).columns() for some in (trace, other)]
    for name in replays[0]:  # the decision at window 6 has not seen window 6
        known = np.s_[:4] if name in ("par", "step_time") else np.s_[:5]
        assert np.array_equal(*(replay[name][known] for replay in replays))


def test_the_oracle_is_shown_what_comes():
    trace = drifting(6)
    replay = simulate(trace, CLUSTER, Oracle(), window=2)
    assert replay.par == pytest.approx([plan(one, CLUSTER).par.mean() for one in trace[2:]], abs=0.01)


@pytest.mark.parametrize("policy", POLICIES, ids=kind)
def test_columns_have_a_row_for_each_window_and_agree_with_the_totals(policy):
    replay = simulate(drifting(8), CLUSTER, policy, interval=3, window=2, costs=COSTS)
    columns, totals = replay.columns(), replay.totals()
    assert columns.pop("window").tolist() == [2, 3, 4, 5, 6, 7]
    assert {len(column) for column in columns.values()} == {6}
    assert totals.pop("worst_par") == columns["par"].max()
    means = {"par", "step_time"}
    assert totals == {name: column.mean() if name in means else column.sum() for name, column in columns.items()}
    sent = (totals["bytes_within"] + totals["bytes_between"]) / COSTS.expert_bytes
    assert sent == totals["moves"] or (policy == DeepSeekRule() and sent > totals["moves"])  # some experts go twice


@pytest.mark.parametrize("policy", POLICIES, ids=kind)
def test_the_same_trace_gives_the_same_replay(policy):
    first, second = (simulate(Loads(drifting(6)), CLUSTER, policy, costs=COSTS).columns() for _ in range(2))
    for name in first:
        assert np.array_equal(first[name], second[name])


def test_idle_layers_do_not_count_and_others_in_step_time_by_their_load():
    trace = np.array([[[8, 1, 1, 1, 1], [2, 2, 2, 2, 2]], [[8, 1, 1, 1, 1], [0, 0, 0, 0, 0]], [[0] * 5, [0] * 5]])
    cluster = Cluster(gpus=5)
    replay = simulate(trace, cluster, Never())
    assert replay.par.tolist() == [pytest.approx(8 / 2.4), 1]
    assert replay.step_time.tolist() == [pytest.approx(8 / 2.4), 1]


def test_progress_says_how_many_windows_are_served():
    told = []
    simulate(drifting(9), CLUSTER, Never(), interval=3, window=2, progress=lambda *numbers: told.append(numbers))
    assert told == [(3, 7), (6, 7), (7, 7)]


def test_the_shortest_trace_serves_one_interval():
    assert simulate(drifting(5), CLUSTER, Never(), window=3, interval=2).window.tolist() == [3, 4]


@pytest.mark.parametrize("policy", POLICIES, ids=kind)
def test_gpus_that_are_dead_from_the_start_stay_so(policy):
    down = Cluster(gpus=4, nodes=2, slots_per_gpu=8, dead=[2])
    assert (simulate(drifting(5), down, policy, costs=COSTS).par < 2).all()


@dataclass(frozen=True)
class Fixed:
    """A policy that decides on one placement always."""

    placement: Placement

    def decide(self, situation):
        return self.placement


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Fixed(Placement([[0] * 20] * LAYERS, CLUSTER, EXPERTS)), "layer 0 holds no replica of expert 1"),
        (Fixed(Placement.default(CLUSTER, EXPERTS, 2)), "the loads have 3 layers of 16 experts, the placement 2 of 16"),
        (Fixed(Placement.default(Cluster(gpus=4, slots_per_gpu=4), EXPERTS, 3)), "the policy decided on a placement "),
        (FewMoves(-1), "max_moves is -1; expected a whole number of moves"),
        (FewMoves(1, forecast="tomorrow"), "forecast is 'tomorrow'; expected 'auto', 'last'"),
        (FewMoves(1, min_gain=2), "min_gain is 2; expected a share, from 0 to 1"),
    ],
)
def test_a_bad_policy_is_refused_by_name(policy, message):
    with pytest.raises(InputError) as refused:
        simulate(drifting(3), CLUSTER, policy)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("trace", "settings", "message"),
    [
        (drifting(4), {"window": 3, "interval": 2}, "windows of the trace: 4; expected at least 5, 3 to decide by (w"),
        (drifting(1)[0], {}, "windows of the trace: 1; expected at least 2, 1 to decide by (window) and 1 to serve (i"),
        (drifting(3), {"window": 0}, "window is 0; expected a whole number of at least 1"),
        (drifting(3), {"interval": 1.0}, "interval is 1.0; expected a whole number of at least 1"),
        (drifting(3), {"groups": 3}, "16 experts do not divide into 3 groups"),
        (drifting(3), {"groups": 0}, "groups is 0; expected a whole number of at least 1"),
        (drifting(3)[None], {}, "loads have shape [1, 3, 3, 16]; expected [experts], [layers, experts] or [windows, "),
        (np.repeat(drifting(3), 2, axis=2), {}, "20 slots (4 GPUs with 5 each) do not hold 32 experts"),
        (-drifting(3), {}, "the load of window 0, layer 0, expert 0 is"),
    ],
)
def test_bad_input_is_refused_by_name(trace, settings, message):
    with pytest.raises(InputError) as refused:
        simulate(trace, CLUSTER, Never(), **settings)
    assert str(refused.value).startswith(message)
