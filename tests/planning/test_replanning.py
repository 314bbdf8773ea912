from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from equipoise import Cluster, InputError, Migration, Placement, Scenarios, balance, plan
from equipoise.planning.effort import SETTINGS
from tests.reference.execution import contents
from tests.situations import changed_ones, live_ones

EFFORTS = ["fast", "default", "thorough"]
BUDGETS = [0, 1, 3, 0.0, 0.1, 0.5, None]


def held(placement, layer) -> set[tuple[int, int]]:
    """Return every GPU with each expert it holds."""
    return {(gpu, expert) for (gpu, _), expert in contents(placement, layer).items()}


def slowly_counted_moves(before, after) -> list[int]:
    return [len(held(after, layer) - held(before, layer)) for layer in range(after.layers)]


def most_allowed(budget, situation) -> float:
    slots = situation.cluster.live_slots * len(situation.loads)
    return np.inf if budget is None else budget * slots if isinstance(budget, float) else budget


@settings(max_examples=150, deadline=None)
@given(situation=changed_ones() | live_ones(), budget=st.sampled_from(BUDGETS), effort=st.sampled_from(EFFORTS))
def test_every_placement_is_valid_and_what_is_said_of_it_is_true(situation, budget, effort):
    result = situation.plan(max_moves=budget, effort=effort)
    result.placement.validate()
    assert result.before is situation.current
    assert result.moves.tolist() == slowly_counted_moves(situation.current, result.placement)
    once = result.placement.duplicates == 0
    migration = Migration(situation.current, result.placement)
    np.testing.assert_array_equal(result.moves[once], migration.moves[once])
    np.testing.assert_allclose(result.peak, balance(result.placement, situation.loads).peak[0], rtol=1e-12)
    assert (result.bound <= result.peak * (1 + 1e-12)).all()
    from_disk = zip(migration.layer[migration.source < 0], migration.expert[migration.source < 0], strict=True)
    assert {tuple(both) for both in result.lost.tolist()} == set(from_disk)


@settings(max_examples=100, deadline=None)
@given(situation=changed_ones() | live_ones(), budget=st.sampled_from(BUDGETS), effort=st.sampled_from(EFFORTS))
def test_moves_are_within_the_budget_or_required(situation, budget, effort):
    result = situation.plan(max_moves=budget, effort=effort)
    required = situation.plan(max_moves=0, effort=effort).moves
    assert result.required.tolist() == required.tolist()
    assert result.moves.sum() <= max(most_allowed(budget, situation) + 1e-9, required.sum())


@settings(max_examples=100, deadline=None)
@given(situation=changed_ones() | live_ones(), budget=st.sampled_from(BUDGETS), effort=st.sampled_from(EFFORTS))
def test_an_expert_that_stays_on_its_gpu_stays_in_its_slot(situation, budget, effort):
    after = situation.plan(max_moves=budget, effort=effort).placement
    for layer in range(after.layers):
        slots, stays = contents(after, layer), held(after, layer)
        seen = set()
        for (gpu, place), expert in sorted(contents(situation.current, layer).items()):
            if (gpu, expert) in stays - seen and place < after.cluster.slots_per_gpu:
                assert slots[gpu, place] == expert
            seen.add((gpu, expert))


@settings(max_examples=100, deadline=None)
@given(situation=live_ones(), budget=st.sampled_from(BUDGETS), effort=st.sampled_from(EFFORTS))
def test_no_layer_is_worse_than_if_nothing_were_done(situation, budget, effort):
    assume(situation.within_its_cap)
    result = situation.plan(max_moves=budget, effort=effort)
    before = balance(situation.current, situation.loads)
    assert (result.peak <= before.peak[0] * (1 + 1e-9)).all()
    assert result.par.mean() <= before.par.mean() * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(situation=live_ones(most_left_over=0) | live_ones(strict=True), effort=st.sampled_from(EFFORTS))
def test_without_moves_a_valid_placement_stays_as_it_is(situation, effort):
    assume(situation.within_its_cap)
    result = situation.plan(max_moves=0, effort=effort)
    np.testing.assert_array_equal(result.placement.phy2log, situation.current.phy2log)
    assert not result.required.any()
    assert not result.lost.size


@settings(max_examples=60, deadline=None)
@given(situation=changed_ones(strict=True) | live_ones(strict=True))
def test_strict_groups_are_each_on_one_node_wherever_they_were(situation):
    placement, groups = situation.plan().placement, situation.settings["groups"]
    cluster, group_size = placement.cluster, placement.experts // groups
    for layer in range(placement.layers):
        homes = {(expert // group_size, gpu // cluster.gpus_per_node) for gpu, expert in held(placement, layer)}
        assert sorted(group for group, _ in homes) == list(range(groups))
        assert Counter(node for _, node in homes) == dict.fromkeys(range(cluster.nodes), groups // cluster.nodes)


@settings(max_examples=60, deadline=None)
@given(situation=live_ones(most_left_over=0, may_die=False), effort=st.sampled_from(EFFORTS))
def test_with_any_number_of_moves_it_ends_no_higher_than_afresh_or_near_its_bound(situation, effort):
    soft = situation.settings.get("locality") == "soft" or situation.settings.get("off_node", 0) > 0
    assume(situation.settings["groups"] == 1 or not soft)
    afresh, replanned = situation.plan(current=None, effort=effort), situation.plan(effort=effort)
    near = replanned.bound * (1 + SETTINGS[effort].good_enough) if effort != "fast" else np.inf
    assert (replanned.peak <= np.maximum(afresh.peak, near) * (1 + 1e-9)).all()


@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("effort", EFFORTS)
def test_par_does_not_rise_with_the_budget(effort, groups):
    rng = np.random.default_rng(groups)
    earlier = rng.lognormal(5, 1, (12, 64))
    loads, cluster = earlier * rng.lognormal(0, 0.4, earlier.shape), Cluster(gpus=16, nodes=4, slots_per_gpu=6)
    current = plan(earlier, cluster, groups=groups).placement
    results = [
        plan(loads, cluster, groups=groups, current=current, effort=effort, max_moves=budget)
        for budget in (0, 0.01, 0.05, 0.2, None)
    ]
    pars = [result.par.mean() for result in results]
    assert pars == sorted(pars, reverse=True)
    assert pars[0] > pars[1] > pars[2] > pars[-1]


def test_a_share_of_all_live_slots_is_as_good_as_a_number():
    loads, cluster = DRIFTED, Cluster(gpus=8, nodes=2, slots_per_gpu=5, dead=[3])
    share, number = (plan(loads, cluster, current=LIVE, max_moves=budget) for budget in (0.25, 23 * 35 // 4))
    assert number.moves.sum() > 0.24 * 23 * 35
    assert digest(share) == digest(number)


def test_the_budget_goes_to_the_layer_that_gains_most_by_it():
    # One move halves the peak of layer 1; in layer 0 one gains little.
    cluster = Cluster(gpus=2, slots_per_gpu=3)
    current = Placement([[0, 1, 2, 3, 0, 1]] * 2, cluster, experts=4)
    result = plan([[10, 10, 12, 10], [0, 0, 60, 0]], cluster, current=current, max_moves=1)
    assert result.moves.tolist() == [0, 1]
    assert result.peak.tolist() == [22, 30]


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("groups", [1, 4])
def test_a_move_that_is_missing_changes_few_layers(effort, groups):
    task = {"loads": DRIFTED, "cluster": LIVE_CLUSTER, "groups": groups, "effort": effort}
    task["current"] = LIVE if groups == 1 else LIVE_GROUPS
    unlimited = plan(**task)
    limited = plan(**task, max_moves=int(unlimited.moves.sum()) - 1)
    same = (limited.placement.phy2log == unlimited.placement.phy2log).all(axis=1)
    assert 19 <= same.sum() < 23


@pytest.mark.parametrize("budget", [120, None])
@pytest.mark.parametrize("task", ["none", "strict", "soft", "a GPU is dead"])
def test_moves_that_gain_too_little_are_not_made(task, budget):
    cluster = Cluster(gpus=8, nodes=2, slots_per_gpu=5, dead=(6,) if task not in TASKS else ())
    task = {"loads": DRIFTED, "cluster": cluster} | TASKS.get(task, {"current": LIVE}) | {"max_moves": budget}
    least, most = plan(**task | {"max_moves": 0}), plan(**task)
    gain = 1 - most.par.mean() / least.par.mean()
    assert gain > 0.01
    worth_it, not_worth_it = plan(**task, min_gain=gain * 0.999), plan(**task, min_gain=gain * 1.001)
    assert (digest(worth_it), worth_it.declined) == (digest(most), None)
    assert digest(not_worth_it) == digest(least)
    assert not_worth_it.moves.tolist() == not_worth_it.required.tolist()
    np.testing.assert_allclose(not_worth_it.declined, most.par.mean())


def test_nothing_is_declined_where_nothing_is_within_reach():
    current = Placement([[0, 1, 2, 3]], Cluster(gpus=2, slots_per_gpu=2), experts=4)
    result = plan([[1, 1, 1, 1]], current.cluster, current=current, min_gain=0.5)
    assert (result.declined, result.moves.tolist()) == (None, [0])


@pytest.mark.parametrize(("experts", "gpus", "slots_per_gpu", "groups"), [(8, 4, 3, 1), (24, 16, 2, 4)])
def test_a_plan_made_afresh_is_taken_where_it_is_better_and_the_budget_allows(experts, gpus, slots_per_gpu, groups):
    cluster, rng = Cluster(gpus=gpus, nodes=2, slots_per_gpu=slots_per_gpu), np.random.default_rng(5)
    loads, earlier = rng.lognormal(5, 1, (2, 20, experts))
    current = plan(earlier, cluster, groups=groups).placement
    afresh = plan(loads, cluster, groups=groups)
    unlimited = plan(loads, cluster, groups=groups, current=current)
    same = [contents_by_node(unlimited.placement, i) == contents_by_node(afresh.placement, i) for i in range(20)]
    assert any(same)
    not_relabelled = np.array(slowly_counted_moves(current, afresh.placement))
    assert unlimited.moves[same].sum() < not_relabelled[same].sum()

    dearer = []
    for layer in np.flatnonzero(same):
        live, budget = Placement(current.phy2log[[layer]], cluster, experts), int(unlimited.moves[layer]) - 1
        limited = plan(loads[layer], cluster, groups=groups, current=live, max_moves=budget)
        assert limited.moves.sum() <= budget
        dearer.append(limited.peak[0] > unlimited.peak[layer])
    assert sum(dearer) > len(dearer) / 2


def contents_by_node(placement, layer):
    """Return what the GPUs of each node hold, whatever nodes and GPUs are called."""
    gpus = [sorted(gpu) for gpu in placement.phy2log[layer].reshape(placement.cluster.gpus, -1).tolist()]
    per_node = placement.cluster.gpus_per_node
    return sorted(sorted(gpus[first : first + per_node]) for first in range(0, len(gpus), per_node))


@pytest.mark.parametrize("budget", [0, 1, 4, 0.1, None])
def test_repeats_on_a_gpu_with_more_slots_than_experts_do_not_end_worse(budget):
    # A GPU has a slot for each expert and one to spare; both repeat expert 0, in different slots.
    current = Placement([[0, 0, 1, 0, 1, 0]], Cluster(gpus=2, slots_per_gpu=3), experts=2)
    result = plan([[10, 1]], current.cluster, current=current, max_moves=budget)
    assert result.peak.tolist() == [5.5]


def test_slots_left_over_are_filled_even_if_what_was_there_was_lighter():
    # Two of the GPUs had empty slots, and groups were on nodes of others; nothing need move to mend that.
    before = Placement([[2, 1, 1, 0, 0, -1, -1, -1, -1, 2, 1, 2]], Cluster(gpus=3, slots_per_gpu=4), experts=3)
    cluster = Cluster(gpus=3, nodes=3, slots_per_gpu=4)
    result = plan([[1, 1, 10]], cluster, groups=3, current=before, max_moves=0)
    result.placement.validate()
    assert [len(set(gpu)) for gpu in result.placement.phy2log.reshape(3, 4).tolist()] == [1, 1, 1]


def test_soft_groups_may_fill_all_slots_of_a_gpu_with_different_experts():
    current = Placement([[0, 1, 2, 0, 1, 3, 2, 3, 0, 2, 3, 0]], Cluster(gpus=4, nodes=2, slots_per_gpu=3), experts=4)
    result = plan([[10, 1, 1, 1]], current.cluster, groups=2, locality="soft", current=current, max_moves=0)
    assert result.placement.phy2log.tolist() == current.phy2log.tolist()


def test_one_live_gpu_can_hold_the_soft_groups_of_all_nodes():
    result = plan([[10, 5, 1, 1]], Cluster(gpus=4, nodes=2, slots_per_gpu=4, dead=[1, 2, 3]), groups=2, locality="soft")
    assert sorted(result.placement.phy2log[0, :4].tolist()) == [0, 1, 2, 3]


def test_what_lived_only_on_the_dead_gpu_moves_and_nothing_else():
    before = Placement([[0, 1, 2, 3, 4, 5, 0, 1]], Cluster(gpus=4, slots_per_gpu=2), experts=6)
    cluster = Cluster(gpus=4, slots_per_gpu=2, dead=[1])
    result = plan([[9, 9, 5, 5, 1, 1]], cluster, current=before, max_moves=0)
    assert result.lost.tolist() == [[0, 2], [0, 3]]
    # Experts 0 and 1 have a replica to spare on both GPUs that hold them.
    assert result.required.tolist() == result.moves.tolist() == [2]
    assert result.placement.phy2log[0, 2:6].tolist() == [-1, -1, 4, 5]
    assert sorted(result.placement.phy2log[0].tolist()) == [-1, -1, 0, 1, 2, 3, 4, 5]


def test_gpus_that_are_new_are_filled_with_what_is_heaviest():
    before = Placement([[0, 1, 2, 3]], Cluster(gpus=2, slots_per_gpu=2), experts=4)
    result = plan([[40, 5, 30, 6]], Cluster(gpus=3, slots_per_gpu=2), current=before, max_moves=0)
    assert result.placement.phy2log[0, :4].tolist() == [0, 1, 2, 3]
    assert set(result.placement.phy2log[0, 4:].tolist()) == {0, 2}
    assert result.required.tolist() == [2]


LIVE_CLUSTER = Cluster(gpus=8, nodes=2, slots_per_gpu=5)
EARLIER = np.random.default_rng(0).lognormal(5, 1, (23, 32))
DRIFTED = EARLIER * np.random.default_rng(1).lognormal(0, 1, (23, 32))
LIVE = plan(EARLIER, LIVE_CLUSTER).placement
LIVE_GROUPS = plan(EARLIER, LIVE_CLUSTER, groups=4).placement


def digest(result):
    """Return a few letters that differ for plans that differ in one bit."""
    arrays = result.placement.phy2log, result.peak, result.bound, result.off_node, result.required
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


TASKS = {
    "none": {"current": LIVE, "max_moves": 0.1},
    "strict": {"groups": 4, "current": LIVE_GROUPS, "max_moves": 0.1},
    "soft": {"groups": 4, "current": LIVE_GROUPS, "max_moves": 0.1, "off_node": 0.05},
    "soft, afresh": {"groups": 4, "locality": "soft"},
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("effort", EFFORTS)
def test_any_number_of_workers_gives_the_same_plan(effort, task):
    digests = {
        digest(plan(DRIFTED, LIVE_CLUSTER, effort=effort, workers=workers, **TASKS[task]))
        for workers in (None, 1, 2, 3)
    }
    assert len(digests) == 1


REPLAN_A_FILE = """
import sys
import numpy as np
from equipoise import Cluster, Placement, plan
file = np.load(sys.argv[1])
cluster = Cluster(gpus=8, nodes=2, slots_per_gpu=5)
current = Placement(file["live"], cluster, experts=32)
result = plan(file["loads"], cluster, groups=4, current=current, off_node=0.05, max_moves=0.1)
sys.stdout.buffer.write(result.placement.phy2log.tobytes() + result.peak.tobytes() + result.bound.tobytes())
sys.stdout.buffer.write(result.off_node.tobytes() + result.required.tobytes())
"""


def test_any_process_gives_the_same_plan(tmp_path):
    np.savez(tmp_path / "task.npz", loads=DRIFTED, live=LIVE_GROUPS.phy2log)
    command = [sys.executable, "-c", REPLAN_A_FILE, str(tmp_path / "task.npz")]
    written = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)]
    expected = digest(plan(DRIFTED, LIVE_CLUSTER, **TASKS["soft"]))
    assert [hashlib.sha256(output).hexdigest() for output in written] == [expected] * 2


@pytest.mark.parametrize("exponent", [-600, -20, 20, 600])
@pytest.mark.parametrize("task", TASKS)
def test_the_unit_of_the_loads_does_not_matter(task, exponent):
    placements = [plan(loads, LIVE_CLUSTER, **TASKS[task]).placement for loads in (DRIFTED, DRIFTED * 2.0**exponent)]
    np.testing.assert_array_equal(*(placement.phy2log for placement in placements))


@pytest.mark.parametrize("task", TASKS)
def test_progress_counts_up_to_all_layers_once(task):
    calls = []
    plan(DRIFTED, LIVE_CLUSTER, workers=1, progress=lambda *call: calls.append(call), **TASKS[task])
    done = [finished for finished, _ in calls]
    assert {layers for _, layers in calls} == {23}
    assert done == sorted(set(done))
    assert done[-1] == 23


@pytest.mark.parametrize("effort", EFFORTS)
def test_idle_layers_stay_as_they_are_without_a_warning(effort, recwarn):
    result = plan(Scenarios(np.zeros((23, 32))), LIVE_CLUSTER, current=LIVE, effort=effort)
    assert result.placement.phy2log.tolist() == LIVE.phy2log.tolist()
    assert result.par.tolist() == [1] * 23
    assert not recwarn.list


CURRENT = Placement([[0, 1, 2, 3, 0, 1]], Cluster(gpus=2, nodes=2, slots_per_gpu=3), experts=4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"current": None, "max_moves": 3}, "max_moves and min_gain limit .*; expected current with them"),
        ({"current": None, "min_gain": 0.1}, "max_moves and min_gain limit .*; expected current with them"),
        (
            {"max_moves": -1},
            "max_moves is -1; expected a whole number of moves, or a share of the live slots as a float",
        ),
        ({"max_moves": -0.1}, "max_moves is -0.1; expected"),
        ({"max_moves": 1.5}, "max_moves is 1.5; expected"),
        ({"max_moves": float("nan")}, "max_moves is nan; expected"),
        ({"max_moves": True}, "max_moves is True; expected"),
        ({"max_moves": "10%"}, "max_moves is '10%'; expected"),
        ({"min_gain": 1.1}, "min_gain is 1.1; expected a share, from 0 to 1"),
        ({"min_gain": -0.1}, "min_gain is -0.1; expected"),
        ({"min_gain": float("nan")}, "min_gain is nan; expected"),
        ({"min_gain": "10%"}, "min_gain is '10%'; expected"),
        ({"off_node": 0.1}, "off_node is 0.1 but groups is 1; expected groups and locality='soft', or no off_node"),
        ({"off_node": 0.1, "groups": 2, "locality": "strict"}, "off_node is 0.1 but locality is 'strict'; expected"),
        ({"off_node": 0.1, "groups": 2, "locality": "none"}, "off_node is 0.1 but locality is 'none'; expected"),
        ({"off_node": 1.1, "groups": 2}, "off_node is 1.1; expected a share, from 0 to 1"),
        ({"off_node": -0.1, "groups": 2}, "off_node is -0.1; expected"),
        ({"off_node": "10%", "groups": 2}, "off_node is '10%'; expected"),
        ({"off_node": True, "groups": 2}, "off_node is True; expected"),
        ({"locality": "loose"}, "locality is 'loose'; expected 'strict', 'soft', 'none'"),
        ({"loads": [[1] * 4] * 2}, "loads have 2 layers of 4 experts, the current placement 1 of 4; expected the same"),
        ({"loads": [1] * 5}, "loads have 1 layers of 5 experts, the current placement 1 of 4; expected the same"),
        (
            {"cluster": Cluster(gpus=3, slots_per_gpu=2, dead=[0, 2])},
            r"2 slots \(1 live GPUs with 2 each\) do not hold 4 experts; use at least 4 slots per GPU",
        ),
        (
            {"cluster": Cluster(gpus=4, nodes=2, slots_per_gpu=2, dead=[2, 3]), "groups": 2},
            r"node 1 has 0 slots \(0 live GPUs with 2 each\) for the 2 experts of its groups; use locality='soft'",
        ),
    ],
)
def test_bad_input_is_refused_by_name(changes, message):
    arguments = {"loads": [1] * 4, "cluster": CURRENT.cluster, "current": CURRENT} | changes
    with pytest.raises(InputError, match=message):
        plan(**arguments)
