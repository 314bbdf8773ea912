from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import ExpertCost, read_cost
from equipoise.cli import app
from equipoise.timing import measure
from equipoise.timing.points import as_table
from tests.pages import shown

torch = pytest.importorskip("torch")

TINY = ("--hidden-size", 16, "--expert-size", 16)
COST = ExpertCost(layer=67, expert=14.6, tiles={128: 16.8})


def equipoise(*arguments):
    return CliRunner().invoke(app, ["measure", *(str(argument) for argument in arguments)])


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(measure.CACHE, "cpu", 2**12)


@pytest.fixture
def known_times(monkeypatch):
    """Have GPUs take what a cost says that they take, in the fit exactly and in the check half as long again."""

    def times(gpus, conditions, progress):
        progress(len(gpus), len(gpus))
        return COST.gpu_time(as_table(gpus))

    monkeypatch.setattr(measure, "time_gpus", times)
    monkeypatch.setattr("equipoise.timing.check.time_gpus", lambda *asked: 1.5 * times(*asked))


def test_this_machine_is_measured_for_real(tmp_path):
    path = tmp_path / "cost.json"
    result = equipoise(*TINY, "--slots", 2, "--points", 32, "--output", path, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found, cost = json.loads(result.stdout), read_cost(path)
    assert found["device"].startswith("CPU ")
    assert found["versions"] == {"torch": torch.__version__}
    assert (found["hidden_size"], found["expert_size"], found["dtype"]) == (16, 16, "bf16")
    assert (found["slots"], found["points"], found["output"]) == ([2], 32, str(path))
    assert cost.conditions.device == found["device"]
    for name in ("layer", "expert", "token", "residual", "scatter", "measured_to", "floor"):
        assert getattr(cost, name) == found[name], name
    assert (cost.gpu_time([[1, 1], [4000, 4000]]) > 0).all()
    assert found["check"] == []


@pytest.mark.usefixtures("known_times")
def test_the_cost_is_fitted_to_the_times(tmp_path):
    path = tmp_path / "cost.json"
    assert equipoise("--model", "DeepSeek-V3", "--points", 300, "-o", path).exit_code == 0
    tokens = np.random.default_rng(0).integers(0, 4000, (20, 9))
    np.testing.assert_allclose(read_cost(path).gpu_time(tokens), COST.gpu_time(tokens), rtol=1e-6)
    assert read_cost(path).conditions.hidden_size == 7168


@pytest.mark.usefixtures("known_times")
def test_people_read_what_was_measured_and_how_far_it_is_off(tmp_path):
    path = tmp_path / "cost.json"
    result = equipoise("--model", "deepseek-v3", "--slots", 9, "--slots", 8, "--points", 300, "--check", "-o", path)
    assert (result.exit_code, result.stderr) == (0, "")
    words = " ".join(result.stdout.split())
    for part in (
        f"versions torch {torch.__version__}",
        "experts hidden size 7168, expert size 2048 of deepseek-v3 weights and tokens in bf16",
        "measured 300 GPUs of 8 or 9 slots",
        "the layer 67.00",
        "each expert with a token 14.60",
        "each tile of 128 tokens 16.80",
        "residual 0.0%, of it 0.0% from GPU to GPU",
        "an expert's split pays from 385 tokens on",
        "check 33.3% off on GPUs of random placements",
        f"{path}: cost of experts",
    ):
        assert part in words
    assert max(map(len, result.stdout.splitlines())) <= max(120, len(str(path)) + 20)


@pytest.mark.usefixtures("known_times")
def test_a_check_shows_every_gpu_to_machines():
    found = json.loads(equipoise(*TINY, "--slots", 3, "--points", 300, "--check", "--json").stdout)
    assert found["check_error"] == pytest.approx(1 / 3)
    for one in found["check"]:
        assert one["slots"] == 3
        assert one["error"] == pytest.approx(1 / 3)
        np.testing.assert_allclose(one["measured"], 1.5 * np.array(one["predicted"]))


@pytest.mark.usefixtures("known_times")
def test_a_models_own_config_says_how_large_its_experts_are(tmp_path):
    config = {
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "hidden_size": 64,
        "moe_intermediate_size": 48,
        "num_hidden_layers": 3,
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    found = json.loads(equipoise("--model", path, "--points", 32, "--json").stdout)
    assert (found["hidden_size"], found["expert_size"], found["slots"]) == (64, 48, [8, 9, 10])
    for model in (path, tmp_path):
        result = equipoise("--model", model, "-o", path)
        assert result.exit_code == 2
        assert "the cost would replace the model" in result.stderr
    assert json.loads(path.read_text()) == config


@pytest.mark.usefixtures("known_times")
@pytest.mark.parametrize(("page", "words"), shown("equipoise measure"), ids=lambda part: str(part)[-20:])
def test_the_pages_commands_work(tmp_path, monkeypatch, page, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measure, "this_machine", lambda *_: COST.conditions)
    assert equipoise(*words, "--points", 32).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--hidden-size", 30, "--expert-size", 16],
            "--hidden-size is 30; expected a multiple of 16, as GPUs multiply",
        ),
        ([*TINY, "--dtype", "fp8"], "--dtype is 'fp8', but torch finds no GPU here; use --dtype bf16"),
        (["--model", "gpt-2"], "--model is 'gpt-2'; expected the path of its config.json, or one of deepseek-v3, "),
        ([*TINY, "--output", "missing/cost.json"], "missing/cost.json: there is no folder "),
    ],
)
def test_bad_input_ends_with_1_and_one_line_before_anything_is_timed(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measure, "time_gpus", lambda *_: pytest.fail("it was timed"))
    result = equipoise(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say whose experts, or both --hidden-size and --expert-size"),
        (["--hidden-size", 16], "say whose experts, or both --hidden-size and --expert-size"),
        (["--model", "kimi-k2", "--expert-size", 16], "the model says how large its experts are"),
        ([*TINY, "--dtype", "fp4"], "--dtype"),
        ([*TINY, "--slots", 0], "--slots"),
        ([*TINY, "--points", 2], "--points"),
    ],
)
def test_wrong_usage_ends_with_2(arguments, message):
    result = equipoise(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.replace("│", "").split())


def test_without_torch_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    result = equipoise(*TINY)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: measuring needs torch, which is not installed; pip install 'equipoise[torch]'\n"


@pytest.mark.usefixtures("known_times")
@pytest.mark.parametrize("step", [(os, "fsync"), (Path, "replace")])
def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch, step):
    path = tmp_path / "cost.json"
    path.write_bytes(b"before")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*step, fail)
    result = equipoise(*TINY, "--points", 32, "-o", path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {path}: No space left on device\n"
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_torch_cannot_do_is_said_in_the_words_of_the_command(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(measure._Layer, "prepared", fail)
    result = equipoise(*TINY)
    assert result.exit_code == 1
    assert "no kernel image; use another --dtype, fewer --slots or a newer torch" in result.stderr
