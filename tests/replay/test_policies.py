from __future__ import annotations

import numpy as np
import pytest

from equipoise import Cluster, InputError, Loads, Migration, Placement, Scenarios, balance, plan
from equipoise.migration.costs import Costs
from equipoise.migration.migration import count_moves
from equipoise.replay.deepseek_rule import deepseek_rule
from equipoise.replay.policies import Afresh, DeepSeekRule, FewMoves, Never, Oracle, WhenWorth
from equipoise.replay.situation import Situation

CLUSTER = Cluster(gpus=4, nodes=2, slots_per_gpu=5)
EARLIER, PAST, COMING = (Loads(some) for some in np.random.default_rng(0).lognormal(3, 1, (3, 3, 4, 16)))
LIVE = plan(Scenarios(EARLIER), CLUSTER).placement
OTHER = Placement.default(CLUSTER, 16, 4)


def situation(current=LIVE, coming=COMING, **asked):
    return Situation(PAST, coming, current, asked)


def par(placement):
    return balance(placement, PAST).par.mean()


def test_never_keeps_what_is_live():
    assert Never().decide(situation()) is LIVE


def test_afresh_does_not_mind_what_is_live():
    planned = [Afresh().decide(situation(current)).phy2log for current in (LIVE, OTHER)]
    assert np.array_equal(*planned)
    assert np.array_equal(planned[0], plan(Scenarios(PAST), CLUSTER, effort="fast").placement.phy2log)


def test_deepseeks_rule_plans_for_the_past_added_up_whatever_is_live():
    planned = [DeepSeekRule().decide(situation(current)).phy2log for current in (LIVE, OTHER)]
    assert np.array_equal(*planned)
    assert np.array_equal(planned[0], deepseek_rule(PAST.counts.sum(axis=0), CLUSTER).phy2log)


@pytest.mark.parametrize("method", ["auto", "last", "sum", "windows"])
@pytest.mark.parametrize("most", [0, 3, 0.1])
def test_few_moves_are_those_of_the_planner_for_what_is_expected(most, method):
    decided = FewMoves(most, forecast=method).decide(situation())
    expected = plan(PAST, CLUSTER, forecast=method, current=LIVE, max_moves=most).placement
    assert np.array_equal(decided.phy2log, expected.phy2log)
    assert count_moves(LIVE, decided).sum() <= (most if isinstance(most, int) else most * LIVE.phy2log.size)


def test_few_moves_are_none_for_too_little_gain():
    assert par(FewMoves(3).decide(situation())) < par(LIVE)
    assert np.array_equal(FewMoves(3, min_gain=0.99).decide(situation()).phy2log, LIVE.phy2log)


def test_the_oracle_plans_for_what_comes_from_what_is_live():
    expected = plan(Scenarios(COMING), CLUSTER, current=LIVE).placement
    assert np.array_equal(Oracle().decide(situation()).phy2log, expected.phy2log)


@pytest.mark.parametrize("policy", [Never(), Afresh(), DeepSeekRule(), FewMoves(1.0), WhenWorth(FewMoves(1.0), 1e9)])
def test_none_but_the_oracle_looks_at_what_comes(policy):
    decided = [policy.decide(situation(coming=coming)).phy2log for coming in (COMING, EARLIER, None)]
    assert np.array_equal(decided[0], decided[1])
    assert np.array_equal(decided[0], decided[2])


@pytest.mark.parametrize("policy", [Afresh(), DeepSeekRule(), FewMoves(1.0), Oracle(), WhenWorth(Afresh(), 1e9)])
def test_groups_stay_on_their_nodes(policy):
    live = plan(Scenarios(EARLIER), CLUSTER, groups=2).placement
    group = policy.decide(situation(live, groups=2)).phy2log.reshape(4, 2, -1) // 8
    assert (group == group[:, :, :1]).all()


def test_what_is_worth_it_saves_more_than_its_moves_take():
    policy, costs = FewMoves(8), Costs()
    decided = policy.decide(situation())
    assert par(decided) < par(LIVE)
    even = costs.stall(Migration(LIVE, decided)) / (par(LIVE) - par(decided))
    assert WhenWorth(policy, even * 0.999, costs).decide(situation()) is LIVE
    worth = WhenWorth(policy, even * 1.001, costs).decide(situation())
    assert np.array_equal(worth.phy2log, decided.phy2log)


def test_what_takes_no_time_but_gains_nothing_is_not_worth_it():
    assert WhenWorth(Never(), 1e9).decide(situation()) is LIVE
    planned = plan(Scenarios(PAST), CLUSTER).placement
    assert WhenWorth(FewMoves(0), 1e9).decide(situation(planned)) is planned


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "a minute", None])
def test_a_time_that_is_none_is_refused(seconds):
    with pytest.raises(InputError, match=r"^interval_seconds is .*; expected a finite number above 0$"):
        WhenWorth(Never(), seconds)


def test_a_forecast_that_is_none_is_refused():
    with pytest.raises(InputError, match="forecast is 'tomorrow'; expected 'auto', 'last'"):
        FewMoves(3, forecast="tomorrow").decide(situation())


def test_an_oracle_may_be_followed_where_it_pays():
    knows = situation(coming=PAST)
    decided = Oracle().decide(knows)
    assert np.array_equal(WhenWorth(Oracle(), 1e9).decide(knows).phy2log, decided.phy2log)
    assert WhenWorth(Oracle(), 1e-9).decide(knows) is LIVE
