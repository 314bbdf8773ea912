"""Weights that know what they are go from placement to placement, between real processes."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from equipoise import Cluster, InputError, Placement
from tests.runtime.processes import KilledError, run

torch = pytest.importorskip("torch")

GPUS, EXPERTS = 4, 10


def weights_of(layer, expert):
    """Return what an expert holds, in tensors of several types and shapes: no two experts hold the same."""
    number = 100 * layer + expert + 1
    return [
        torch.full((3, 2), number, dtype=torch.float32),
        torch.tensor([number / 7, number / 3], dtype=torch.bfloat16),
        torch.arange(5).add(number % 50).to(torch.float8_e4m3fn),
        torch.tensor(number % 128, dtype=torch.int8),
    ]


def tensors_of(placement, gpu, slots):
    """Return a GPU's tensors, ``[layers][kinds]`` with so many slots; slots without an expert hold something else."""
    layers = []
    for layer in range(placement.layers):
        held = placement.by_gpu[layer, gpu].tolist() if gpu < placement.cluster.gpus else []
        experts = [weights_of(layer, expert) for expert in [*held, *[-1] * (slots - len(held))]]
        layers.append([torch.stack(kind) for kind in zip(*experts, strict=True)])
    return layers


def random_placement(rng, cluster, layers, experts=EXPERTS):
    """Return a placement with every expert, and whatever else, in any order; perhaps twice on a GPU."""
    live = np.tile(np.arange(experts), (layers, 1))
    more = rng.integers(0, experts, (layers, cluster.live_slots - experts))
    slots = rng.permuted(np.concatenate([live, more], axis=1), axis=1).reshape(layers, len(cluster.live), -1)
    return Placement.on_live(slots, cluster, experts)


def random_pair(seed, layers=2):
    """Return two placements, perhaps of other slots, nodes, or with a dead GPU in the second."""
    rng = np.random.default_rng(seed)
    nodes = int(rng.choice([1, 2, 4]))
    before = Cluster(GPUS, nodes, int(rng.integers(3, 6)))
    after = Cluster(GPUS, nodes, int(rng.integers(3, 6))) if rng.random() < 0.5 else before
    return random_placement(rng, before, layers), random_placement(rng, after, layers)


def holds(tensors, placement, gpu):
    """Assert that each slot of a GPU holds its expert's bytes."""
    for layer, slots in enumerate(placement.by_gpu[:, gpu].tolist()):
        for slot, expert in enumerate(slots):
            for tensor, expected in zip(tensors[layer], weights_of(layer, expert), strict=True):
                same = tensor[slot].reshape(-1).view(torch.uint8), expected.reshape(-1).view(torch.uint8)
                assert torch.equal(*same), f"layer {layer}, slot {slot} of GPU {gpu}"


def expert_bytes():
    return sum(tensor.numel() * tensor.element_size() for tensor in weights_of(0, 0))


def exchange_many(rank, seeds, layers, bound=None):
    """Exchange for random pairs; return the rounds of each, 0 where the buffers were refused as too small."""
    from equipoise.runtime.exchange import ExpertExchange

    return [exchange_one(ExpertExchange, rank, random_pair(seed, layers), bound) for seed in seeds]


def exchange_one(exchanging, rank, pair, bound):
    before, after = pair
    tensors = tensors_of(before, rank, max(before.cluster.slots_per_gpu, after.cluster.slots_per_gpu))
    try:
        exchange = exchanging(tensors, pair, buffer_bytes=bound)
    except InputError as error:
        if "too small for layer" in str(error):
            return 0
        raise
    rounds = 0
    while not exchange.done:
        exchange.begin()
        exchange._mover.join()
        waiting = {id(part): part.numel() for row in exchange._buffers.values() for part in row}
        assert bound is None or sum(waiting.values()) <= bound
        holds_what_is_live(tensors, exchange.placement, rank)
        exchange.commit()
        assert exchange.placement.logcnt.all()
        holds_what_is_live(tensors, exchange.placement, rank)
        rounds += 1
    holds(tensors, after, rank)
    return rounds


def holds_what_is_live(tensors, placement, gpu):
    for layer, slots in enumerate(placement.by_gpu[:, gpu].tolist()):
        for slot, expert in enumerate(slots):
            if expert >= 0:
                assert int(tensors[layer][0][slot].flatten()[0]) == 100 * layer + expert + 1


def test_a_thousand_migrations_lose_nothing_and_no_rank_waits_for_ever():
    """TEST_EXCHANGES=1000 makes it ten thousand."""
    pairs = int(os.environ.get("TEST_EXCHANGES", "100"))
    assert min(run(GPUS, exchange_many, range(pairs), 10)[0]) == 1


@pytest.mark.parametrize("experts", [2, 3, 4])
def test_buffers_stay_within_their_bound_and_every_expert_is_in_a_slot_throughout(experts):
    found = run(GPUS, exchange_many, range(1000, 1030), 2, experts * expert_bytes())[0]
    assert max(found) > 2
    assert found.count(0) < 29


def refused(rank, case):
    """Return what a rank is told, and whether its tensors are what they were."""
    from equipoise.runtime.exchange import ExpertExchange

    before, after = random_pair(7)
    tensors = tensors_of(before, rank, 5)
    if case == "plan" and rank == 2:
        after = random_pair(8)[1]
    if case == "shape" and rank == 1:
        tensors[1][0] = tensors[1][0][:2]
    if case == "type" and rank == 3:
        tensors[0][1] = tensors[0][1].half()
    if case == "lost":
        after = Placement(np.where(after.phy2log == 3, 4, after.phy2log), after.cluster, EXPERTS)
    if case == "dead":
        before = Placement(np.where(before.phy2log == 3, -1, before.phy2log), before.cluster, EXPERTS)
    kept = [[tensor.clone() for tensor in layer] for layer in tensors]
    try:
        ExpertExchange(tensors, (before, after), buffer_bytes=8 if case == "buffers" else None)
    except InputError as error:
        same = all(torch.equal(*pair) for one in zip(tensors, kept, strict=True) for pair in zip(*one, strict=True))
        return str(error), same
    return None


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("plan", "ranks 2 would move other experts than rank 0"),
        ("shape", r"rank 1: layer 1, tensor 0 has shape [2, 3, 2]; expected [4 slots or more, ...]"),
        ("type", "ranks 3 would move other experts than rank 0, or tensors of other shapes"),
        ("lost", "rank 0: layer 0 holds no replica of expert 3"),
        ("dead", "no live GPU holds expert 3 of layer 0, 3 of layer 1; expected restore="),
        ("buffers", "buffer_bytes is too small for layer"),
    ],
)
def test_all_ranks_stop_with_one_error_before_anything_moves(case, message):
    found = run(GPUS, refused, case)
    assert {said for said, _ in found} == {found[0][0]}
    assert message in found[0][0]
    assert all(same for _, same in found)


def restore_what_died(rank):
    """Exchange where GPU 3 is dead, which held experts alone."""
    from equipoise.runtime.exchange import exchange_experts

    before = Placement([[*range(EXPERTS), 0, 1]] * 2, Cluster(GPUS, slots_per_gpu=3), EXPERTS)
    dead = Cluster(GPUS, slots_per_gpu=4, dead=[3])
    after = Placement.on_live(np.resize(np.arange(EXPERTS), (2, 3, 4)), dead, EXPERTS)
    group = torch.distributed.new_group([0, 1, 2])
    if rank == 3:
        return []
    tensors, asked = tensors_of(before, rank, 4), []

    def restore(layer, expert):
        asked.append((layer, expert))
        return weights_of(layer, expert)

    exchange_experts(tensors, (before, after), group, restore=restore)
    holds(tensors, after, rank)
    return asked


def test_what_only_a_dead_gpu_held_is_restored():
    found = run(GPUS, restore_what_died)
    assert sorted({one for rank in found for one in rank}) == [(layer, 9) for layer in range(2)]


def cannot_restore(rank):
    """Exchange with a restore that fails on the rank that asks."""
    from equipoise.runtime.exchange import ExchangeError, ExpertExchange

    before = Placement([[*range(9), -1, 0, 1]], Cluster(GPUS, slots_per_gpu=3), EXPERTS)
    after = Placement([[*range(1, EXPERTS), 0, 1, 2]], Cluster(GPUS, slots_per_gpu=3), EXPERTS)
    tensors = tensors_of(before, rank, 3)

    def restore(layer, expert):
        raise OSError("the disk is gone")

    exchange = ExpertExchange(tensors, (before, after), restore=restore)
    exchange.begin()
    try:
        exchange.commit()
    except ExchangeError as error:
        holds_what_is_live(tensors, before, rank)
        return str(error.__cause__)
    return "went on"


def test_what_cannot_be_restored_stops_all_ranks_with_nothing_changed():
    assert set(run(GPUS, cannot_restore)) == {"None", "the disk is gone"}


POINTS = ("before", "agreed", "moving", "arrived", "taking")


def exchange_and_die(rank, seed, point):
    """Exchange while rank 1 is killed; return whether this rank ended, with its slots as before or after a round."""
    from equipoise.runtime.exchange import ExpertExchange

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    before, after = pair = random_pair(seed)
    tensors = tensors_of(before, rank, max(before.cluster.slots_per_gpu, after.cluster.slots_per_gpu))
    exchange = None
    try:
        if rank == 1 and point == "before":
            die()
        exchange = ExpertExchange(tensors, pair, buffer_bytes=5 * expert_bytes())
        if rank == 1:
            for name, at in (("_exchange", "moving"), ("_take", "taking")):
                if at == point:
                    setattr(exchange, name, die)
            if point == "agreed":
                die()
        while not exchange.done:
            exchange.begin()
            if rank == 1 and point == "arrived":
                exchange._mover.join()
                die()
            exchange.commit()
    except RuntimeError as error:
        holds_what_is_live(tensors, exchange.placement if exchange else before, rank)
        return type(error).__name__
    holds(tensors, after, rank)
    return "done"


@pytest.mark.parametrize("point", POINTS)
def test_where_a_rank_is_killed_the_others_end_and_nothing_is_half_changed(point):
    """TEST_KILLS=20 kills twenty times at each point."""
    for seed in range(int(os.environ.get("TEST_KILLS", "2"))):
        found = run(GPUS, exchange_and_die, seed, point, seconds=4)
        assert isinstance(found[1], KilledError)
        assert {type(one) for one in found[:1] + found[2:]} == {str}


def test_steps_out_of_turn_are_refused():
    assert run(1, out_of_turn) == [None]


def out_of_turn(rank):
    from equipoise.runtime.exchange import ExpertExchange

    cluster = Cluster(1, slots_per_gpu=2)
    pair = Placement([[0, 1]], cluster, 2), Placement([[1, 0]], cluster, 2)
    exchange = ExpertExchange(tensors_of(pair[0], 0, 2), pair)
    with pytest.raises(InputError, match="begin comes first"):
        exchange.commit()
    exchange.begin()
    with pytest.raises(InputError, match="commit comes next"):
        exchange.begin()
    exchange.commit()
    with pytest.raises(InputError, match="all is done"):
        exchange.begin()
