"""compare(): every policy as if it were alone, but what they expect worked out once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise import Cluster, InputError, simulate
from equipoise.forecasting import forecast as module
from equipoise.forecasting.backtest import backtest
from equipoise.replay.policies import Afresh, FewMoves, Never, Oracle, WhenWorth
from equipoise.replay.simulate import compare
from tests.reference.replay import slow_replay
from tests.replay.cases import CLUSTER, COSTS, POLICIES, drifting

BY_NAME = {str(number): policy for number, policy in enumerate(POLICIES)}
# Of which DeepSeek's rule knows nothing.
LOOKING_AHEAD = {name: policy for name, policy in BY_NAME.items() if isinstance(policy, FewMoves | WhenWorth | Oracle)}


def columns(replay):
    return {name: values.tolist() for name, values in replay.columns().items()}


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 999),
    groups=st.sampled_from([1, 4]),
    interval=st.integers(1, 3),
    window=st.integers(1, 4),
    effort=st.sampled_from(["fast", "default"]),
)
def test_every_policy_does_what_it_does_alone(seed, groups, interval, window, effort):
    trace = drifting(window + 5, seed)
    asked = {"groups": groups, "interval": interval, "window": window, "effort": effort, "costs": COSTS}
    together = compare(trace, CLUSTER, BY_NAME, **asked)
    assert list(together) == list(BY_NAME)
    for name, policy in BY_NAME.items():
        assert columns(together[name]) == columns(simulate(trace, CLUSTER, policy, **asked))


def test_what_comes_before_a_policy_does_not_matter_to_it():
    trace = drifting(7)
    forward, backward = (compare(trace, CLUSTER, dict(some), window=3) for some in (BY_NAME, [*BY_NAME.items()][::-1]))
    assert list(backward) == list(BY_NAME)[::-1]
    assert {name: columns(one) for name, one in forward.items()} == {
        name: columns(one) for name, one in backward.items()
    }


@pytest.mark.parametrize(("interval", "window"), [(1, 3), (2, 4)])
def test_the_backtest_of_one_past_is_worked_out_once_for_all_policies(monkeypatch, interval, window):
    tested = []

    def counted(past, *others):
        tested.append(past.counts)
        return backtest(past, *others)

    monkeypatch.setattr(module, "backtest", counted)
    trace = drifting(9)
    others = {"never": Never(), "afresh": Afresh(), "oracle": Oracle(), "last": FewMoves(3, forecast="last")}
    compare(trace, CLUSTER, others, interval=interval, window=window)
    assert tested == []
    auto = {"3 moves": FewMoves(3), "any": FewMoves(1.0), "worth it": WhenWorth(FewMoves(0.1), 300, COSTS)}
    compare(trace, CLUSTER, others | auto, interval=interval, window=window)
    pasts = [trace[now - window : now] for now in range(window, len(trace), interval)]
    assert len(tested) == len(pasts)
    assert all(np.array_equal(*both) for both in zip(tested, pasts, strict=True))


@pytest.mark.parametrize(
    "asked",
    [
        {"groups": 4, "locality": "soft"},
        {"groups": 4, "off_node": 0.05},
        {"groups": 4, "locality": "none", "effort": "fast"},
        {"effort": "thorough", "workers": 2},
    ],
    ids=str,
)
def test_every_plan_is_asked_for_what_is_asked(asked):
    trace = drifting(7)
    replays = compare(trace, CLUSTER, LOOKING_AHEAD, window=3, costs=COSTS, **asked)
    for name, policy in LOOKING_AHEAD.items():
        rows = slow_replay(trace, CLUSTER, policy, asked, 1, 3, COSTS)
        np.testing.assert_allclose(np.transpose(list(replays[name].columns().values())), rows, rtol=1e-12)


def test_progress_says_how_many_windows_are_served_under_all_policies():
    told = []
    policies = {"never": Never(), "again": Never()}
    compare(drifting(9), CLUSTER, policies, interval=3, window=2, progress=lambda done, of: told.append((done, of)))
    assert told == [(3, 14), (6, 14), (9, 14), (12, 14), (13, 14), (14, 14)]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"locality": "loose"}, "locality is 'loose'; expected 'strict', 'soft', 'none'"),
        ({"off_node": 0.1}, "off_node is 0.1 but groups is 1; expected groups"),
        ({"effort": "most"}, "effort is 'most'; expected 'fast', 'default', 'thorough'"),
        ({"workers": 0}, "workers is 0; expected a whole number of at least 1"),
    ],
)
def test_what_plans_cannot_be_asked_for_is_refused(asked, message):
    with pytest.raises(InputError) as refused:
        compare(drifting(3), Cluster(gpus=4, slots_per_gpu=5), {"few": FewMoves(3)}, **asked)
    assert str(refused.value).startswith(message)
