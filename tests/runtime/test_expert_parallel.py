"""Models served by several processes say what they say in one: before, while and after their experts move."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from equipoise import Cluster, InputError, Placement
from tests.runtime.models import EXPERTS, SIZES, moe_layers, own_copy
from tests.runtime.processes import KilledError, run
from tests.runtime.test_exchange import random_placement

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

GPUS = 4
FAMILIES = ["Qwen3Moe", "Mixtral", "DeepseekV3", "GptOss"]
CLUSTERS = [
    Cluster(GPUS, nodes=1, slots_per_gpu=3),
    Cluster(GPUS, nodes=2, slots_per_gpu=4),
    Cluster(GPUS, nodes=4, slots_per_gpu=5),
    Cluster(GPUS, nodes=2, slots_per_gpu=5, dead=[2]),
]


def tokens_of(rank):
    """Return the batch of a rank, ``[sequences, length]``: another for each, and not of the same size."""
    generator = torch.Generator().manual_seed(rank)
    return torch.randint(1, SIZES["vocab_size"], (1 + rank % 2, 7 + rank), generator=generator)


def same(model, expected, rank):
    with torch.no_grad():
        found = model(tokens_of(rank)).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def serve(rank, family, pairs):
    """Serve while experts move between random placements; return how often they did."""
    from equipoise.runtime.expert_parallel import ExpertParallel

    with torch.no_grad():
        expected = own_copy(family)(tokens_of(rank)).logits
    moved, layers = 0, moe_layers(family)
    for number, cluster in enumerate(CLUSTERS):
        groups = [torch.distributed.new_group(list(cluster.live)) for _ in range(2)]
        if rank not in cluster.live:
            continue
        rng, model = np.random.default_rng(number), own_copy(family)
        parallel = ExpertParallel(model, random_placement(rng, cluster, layers, EXPERTS), *groups, floor=0)
        for _ in range(pairs):
            same(model, expected, rank)
            parallel._begin(random_placement(rng, cluster, layers, EXPERTS))
            same(model, expected, rank)
            while parallel.step():
                moved += 1
                same(model, expected, rank)
    return moved


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_one_process_before_during_and_after_an_exchange(family):
    """TEST_PAIRS=50 makes it two hundred pairs of placements for each model."""
    pairs = int(os.environ.get("TEST_PAIRS", "13"))
    assert min(run(GPUS, serve, family, pairs)) >= 3 * pairs


def replan(rank):
    """Plan from what was counted, twice; return the loads, the placements and what was moved."""
    from equipoise.runtime.expert_parallel import ExpertParallel

    model = own_copy("Qwen3Moe")
    parallel = ExpertParallel(model, Placement.default(CLUSTERS[1], EXPERTS, 3))
    assert not parallel.step()
    with torch.no_grad():
        expected = own_copy("Qwen3Moe")(tokens_of(rank)).logits
    for _ in range(3):
        same(model, expected, rank)
    found = parallel.replan()
    if found.moves.any():
        with pytest.raises(InputError, match="weights are still on their way"):
            parallel.replan()
    while parallel.step():
        same(model, expected, rank)
    return found.loads.counts[0], parallel.placement.phy2log, found.par.mean(), found.par_before.mean()


def test_it_plans_from_what_all_ranks_counted():
    ranks = run(GPUS, replan)
    picked = np.zeros((3, EXPERTS))
    for rank in range(GPUS):
        picked += 3 * picks_of(rank)
    for counts, phy2log, after, before in ranks:
        np.testing.assert_array_equal(counts, picked)
        np.testing.assert_array_equal(phy2log, ranks[0][1])
        assert after < before


def picks_of(rank):
    """Return what a rank's tokens pick by the model's own routers."""
    model, counts = own_copy("Qwen3Moe"), []
    for block in model.model.layers:
        block.mlp.gate.register_forward_hook(
            lambda gate, given, found: counts.append(torch.bincount(found[-1].flatten(), minlength=EXPERTS).numpy())
        )
    with torch.no_grad():
        model(tokens_of(rank))
    return np.array(counts)


def survive(rank, folder, restores):
    """Serve; rank 1 is killed; the others go on."""
    from equipoise.runtime.expert_parallel import ExpertParallel
    from equipoise.runtime.sharded_experts import stacked

    whole = own_copy("Mixtral")
    with torch.no_grad():
        expected = whole(tokens_of(rank)).logits
    experts = [block.mlp.experts for block in whole.model.layers]

    def restore(layer, expert):
        return [tensor[expert] for _, tensor in stacked(experts[layer])]

    model = own_copy("Mixtral")
    parallel = ExpertParallel(model, Placement.default(CLUSTERS[0], EXPERTS, 3))
    same(model, expected, rank)
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    with pytest.raises(RuntimeError):
        same(model, expected, rank)
    store = torch.distributed.FileStore(str(Path(folder) / "again"), GPUS)
    try:
        gone = parallel.survive(store, restore if restores else None, seconds=5)
    except InputError as error:
        return str(error)
    same(model, expected, rank)
    found = parallel.replan()
    while parallel.step():
        same(model, expected, rank)
    assert found.placement.cluster.dead == (1,)
    return gone


def test_where_a_rank_is_killed_the_others_go_on_without_it(tmp_path):
    found = run(GPUS, survive, tmp_path, True, seconds=5)
    assert isinstance(found[1], KilledError)
    assert found[:1] + found[2:] == [[1]] * 3


def test_what_cannot_be_saved_is_named(tmp_path):
    found = run(GPUS, survive, tmp_path, False, seconds=5)
    assert len({found[0], found[2], found[3]}) == 1
    assert "no live GPU holds expert 4 of layer 0, 5 of layer 0, 4 of layer 1, 5 of layer 1, " in found[0]


def too_late(rank, folder):
    from equipoise.runtime.survivors import find_survivors

    store = torch.distributed.FileStore(str(Path(folder) / "again"), 3)
    if rank == 2:
        store.wait(["survivors"])
        with pytest.raises(InputError, match=r"ranks \[0, 1\] went on without this one, 2"):
            find_survivors(store, 2, [0, 1, 2], 1)
        return None
    return find_survivors(store, rank, [0, 1, 2], 1)


def test_who_comes_too_late_is_told(tmp_path):
    assert run(3, too_late, tmp_path) == [[0, 1], [0, 1], None]


def other_model(rank):
    from equipoise.runtime.expert_parallel import ExpertParallel

    with pytest.raises(InputError, match=r"the model has 3 layers of \[8\] experts, the placement 2 of 8"):
        ExpertParallel(own_copy("Mixtral"), Placement.default(Cluster(1, slots_per_gpu=8), EXPERTS, 2))


def test_another_models_placement_is_refused():
    assert run(1, other_model) == [None]
