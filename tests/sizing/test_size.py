"""What every setup would have reached: the backtest written out, on this machine and on a Ray that is started here."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import sleep

import numpy as np
import pytest

from equipoise import (
    Batch,
    Cluster,
    ExpertCost,
    InputError,
    Loads,
    Setup,
    balance,
    layer_time,
    plan,
    setups_of,
    size,
    synthetic_trace,
)
from equipoise.sizing import size as module
from equipoise.sizing.judging import DRAWS, Question, judge

ALONE = os.environ | {"RAY_AUTH_MODE": "disabled"}
TRACE = synthetic_trace("fast", windows=5, layers=2, experts=16, selections=5000)
COST = ExpertCost(layer=67, expert=15, tiles={128: 17}, residual=0.05, scatter=0.04, measured_to=1500)
BATCHES = [Batch(16, 4, COST), Batch(2000, 4, COST)]
SETUPS = setups_of(16, [4], gpus_per_node=2, groups=[1, 4])


def planned(past, setup, routing):
    return plan(past, setup.cluster, groups=setup.groups, effort="fast", routing=routing).placement


def test_a_setup_is_judged_by_what_came_after_each_plan():
    setup = Setup(Cluster(gpus=4, nodes=2, slots_per_gpu=5), groups=4)
    cells = judge(setup, Question(TRACE, BATCHES, ("even", "filled"), 1000, "fast"))
    assert [(one.tokens, one.routing) for one in cells] == [
        (16, "even"),
        (16, "filled"),
        (2000, "even"),
        (2000, "filled"),
    ]
    for one in cells:
        served = [
            (planned(Loads(TRACE.counts[:now]), setup, one.routing), TRACE.counts[now])
            for now in (4, 3)  # half of the windows are left to plan by
        ]
        batch = Batch(one.tokens, 4, COST)
        par = [balance(*at, routing=one.routing, batch=one.tokens).par.mean() for at in served]
        times = [
            layer_time(*at, batch, routing=one.routing, draws=DRAWS, seed=seed).mean() for seed, at in enumerate(served)
        ]
        assert one.par == pytest.approx(np.mean(par))
        assert one.layer_time == pytest.approx(np.mean([time for time, _ in times]))
        assert one.error == pytest.approx(np.hypot(*(error for _, error in times)) / 2)
        assert one.tokens_per_second == pytest.approx(1e6 * one.tokens / (2 * one.layer_time))
        assert (one.gpus, one.nodes, one.slots_per_gpu, one.groups) == (4, 2, 5, 4)
        assert (one.memory, one.beyond) == (5 * 2 * 1000, one.tokens == 2000)


def test_one_window_judges_its_own_plan():
    setup = Setup(Cluster(gpus=4, slots_per_gpu=5))
    one = judge(setup, Question(Loads(TRACE.counts[:1]), BATCHES[:1], ("even",), None, "default"))[0]
    planned = plan(Loads(TRACE.counts[:1]), setup.cluster)
    assert one.par == pytest.approx(planned.par.mean())
    assert one.memory is None


def test_idle_windows_judge_nothing_and_idle_layers_serve_nothing():
    counts = np.concatenate([TRACE.counts, np.zeros((5, 1, 16))], axis=1)
    counts[4] = 0
    setup = Setup(Cluster(gpus=4, slots_per_gpu=5))
    [one] = judge(setup, Question(Loads(counts), BATCHES[:1], ("even",), None, "fast"))
    time = layer_time(planned(Loads(counts[:3]), setup, "even"), counts[3], BATCHES[0], draws=DRAWS).mean()[0]
    assert one.layer_time == pytest.approx(time)
    assert one.tokens_per_second == pytest.approx(1e6 * 16 / (2 * time))
    with pytest.raises(InputError, match="the last 1 windows, which would judge every setup, are idle"):
        judge(setup, Question(Loads(counts[[0, 4]]), BATCHES[:1], ("even",), None, "fast"))


def test_what_is_asked_twice_is_judged_once():
    once = size(TRACE, SETUPS[:1], BATCHES[:1])
    assert size(TRACE, SETUPS[:1] * 2, BATCHES[:1], routings=["even", "even"]).cells == once.cells


def test_all_setups_are_judged_in_their_order_whatever_runs_them():
    seen = []
    found = size(TRACE, SETUPS, BATCHES, progress=lambda done, of: seen.append((done, of)))
    question = Question(TRACE, BATCHES, ("even",), None, "default")
    assert found.cells == [one for setup in SETUPS for one in judge(setup, question)]
    assert seen == [(done, 6) for done in range(1, 7)]
    assert {cell for advice in found.advice for cell in advice.cells} <= set(found.cells)


@pytest.fixture
def judged(monkeypatch):
    """Judge in this process, and stop after two setups; return what was judged."""
    done = []

    def judge_all(setups, question, ray):
        for setup in setups:
            if len(done) == 2:
                raise KeyboardInterrupt
            done.append(setup)
            yield setup, judge(setup, question)

    monkeypatch.setattr(module, "judge_all", judge_all)
    return done


def test_what_is_done_is_kept_until_all_is(tmp_path, judged):
    folder = tmp_path / "caches" / "equipoise"
    with pytest.raises(KeyboardInterrupt):
        size(TRACE, SETUPS[:4], BATCHES, kept=folder)
    assert len(list(folder.iterdir())) == 2
    judged.clear()
    found = size(TRACE, SETUPS[:4], BATCHES, kept=folder)
    assert judged == SETUPS[2:4]
    assert list(folder.iterdir()) == []
    judged.clear()
    assert size(TRACE, SETUPS[:2], BATCHES).cells == found.cells[:4]


@pytest.mark.parametrize(
    "asked",
    [
        {"trace": TRACE.counts + 1},
        {"batches": [Batch(17, 4, COST)]},
        {"batches": [Batch(16, 3, COST)]},
        {"batches": [Batch(16, 4, ExpertCost(expert=15))]},
        {"routings": ["vllm"]},
        {"expert_bytes": 5},
        {"effort": "fast"},
    ],
)
def test_another_question_is_not_answered_by_what_is_kept(tmp_path, judged, asked):
    first = {"trace": TRACE, "setups": SETUPS[:3], "batches": BATCHES[:1], "kept": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        size(**first)
    judged.clear()
    with pytest.raises(KeyboardInterrupt):
        size(**first | asked)
    assert judged == SETUPS[:2]


def test_a_damaged_file_is_judged_again(tmp_path, judged):
    with pytest.raises(KeyboardInterrupt):
        size(TRACE, SETUPS[:3], BATCHES, kept=tmp_path)
    for path, text in zip(sorted(tmp_path.iterdir()), ("[{]", '[{"gpus": 1}]'), strict=True):
        path.write_text(text)
    judged.clear()
    assert len(size(TRACE, SETUPS[:2], BATCHES, kept=tmp_path).cells) == 4
    assert judged == SETUPS[:2]


def test_a_file_in_the_folders_place_is_refused(tmp_path, judged):
    (tmp_path / "kept").write_text("")
    with pytest.raises(InputError, match="where what is done is kept, cannot be made: File exists; use another folder"):
        size(TRACE, SETUPS[:1], BATCHES, kept=tmp_path / "kept")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"setups": []}, "there is no setup, no batch or no routing to judge"),
        ({"batches": []}, "there is no setup, no batch or no routing to judge"),
        ({"routings": []}, "there is no setup, no batch or no routing to judge"),
        ({"routings": ["nearest"]}, "routing is 'nearest'; expected 'even', 'vllm', "),
        ({"trace": [[-1.0]]}, "the load of window 0, layer 0, expert 0 is -1.0"),
        ({"setups": [Setup(Cluster(gpus=2, slots_per_gpu=4))]}, "8 slots .* do not hold 16 experts"),
        ({"ray": "127.0.0.1:1"}, "ray is '127.0.0.1:1', where no Ray cluster answers: .*refused"),
    ],
)
def test_what_cannot_be_judged_is_refused(asked, message):
    pytest.importorskip("ray")
    with pytest.raises(InputError, match=message):
        size(**{"trace": TRACE, "setups": SETUPS, "batches": BATCHES} | asked)


@pytest.fixture
def ray_address():
    """Start a Ray cluster on this machine."""
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = shutil.which("ray", path=str(Path(sys.executable).parent)) or "ray"
    options = ["--head", "--block", "--num-cpus=2", f"--port={port}", "--include-dashboard=false"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([command, "start", *options, "--disable-usage-stats"], env=ALONE, **quiet) as cluster:
        try:
            wait_for(port)
            yield f"127.0.0.1:{port}"
        finally:
            cluster.terminate()


def wait_for(port):
    for _ in range(600):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        sleep(0.1)
    pytest.fail("Ray has not started within a minute")


def test_a_ray_cluster_prints_the_same_bytes(ray_address, tmp_path):
    np.savez(tmp_path / "trace.npz", counts=TRACE.counts)
    (tmp_path / "cost.csv").write_text("tokens,microseconds\n1,30\n128,31\n512,90\n")
    start = [sys.executable, "-c", "from equipoise.cli import app; app()", "size", "trace.npz", "--gpus", "4,8"]
    env = ALONE | {"XDG_CACHE_HOME": str(tmp_path)}
    printed = []
    for on in ([], ["--ray", ray_address]):
        command = [*start, "--cost", "cost.csv", "--top-k", "4", "--json", *on]
        printed.append(subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, timeout=300))
    assert printed[0].stdout == printed[1].stdout
    assert printed[0].stdout.count(b'"layer_time"') >= 12
