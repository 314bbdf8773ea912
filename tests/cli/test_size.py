"""``equipoise size``: the tables, the advice and the files, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise import Batch, Cell, Conditions, ExpertCost, read_cost, setups_of, size, synthetic_trace, write_cost
from equipoise.cli import app
from equipoise.cli.summaries.size import advice_in_words
from equipoise.sizing.recommending import recommend
from equipoise.sizing.size import Sizing

TRACE = synthetic_trace("fast", windows=4, layers=2, experts=16, selections=5000)
COST = ExpertCost(
    layer=67,
    expert=15,
    tiles={128: 17},
    measured_to=9000,
    residual=0.06,
    conditions=Conditions("NVIDIA H100", {}, 1024, 512, "bf16", top_k=2),
)
ASKED = ("trace.npy", "--gpus", "8,4", "--cost", "cost.json")


def equipoise(*arguments):
    return CliRunner().invoke(app, ["size", *(str(argument) for argument in arguments)])


def figures_of(*arguments):
    result = equipoise(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    np.save("trace.npy", TRACE.counts)
    write_cost(COST, "cost.json")
    config = {"num_experts": 16, "num_experts_per_tok": 2, "hidden_size": 1024, "moe_intermediate_size": 512}
    Path("config.json").write_text(json.dumps(config | {"num_hidden_layers": 2, "n_group": 4}))


def test_the_cells_are_those_of_the_library():
    asked = ("--gpus-per-node", 4, "--groups", "1,4", "--tokens", "16,600", "--routing", "even", "--routing", "vllm")
    figures = figures_of(*ASKED, *asked)
    setups = setups_of(16, [4, 8], gpus_per_node=4, groups=[1, 4])
    batches = [Batch(tokens, 2, read_cost("cost.json")) for tokens in (16, 600)]
    expert_bytes = 3 * 1024 * 512 * 2
    found = size(TRACE, setups, batches, routings=["even", "vllm"], expert_bytes=expert_bytes)
    assert figures["cells"] == [cell.figures() for cell in found.cells]
    assert figures["recommended"] == [[cell.figures() for cell in advice.cells] for advice in found.advice]
    assert (figures["gpus"], figures["groups"], figures["groups_of_model"]) == ([4, 8], [1, 4], False)
    assert len(figures["cells"]) == (3 + 6) * 4


def test_the_tables_the_csv_and_the_page_say_the_same(tmp_path):
    files = ("--csv", "table.csv", "--report", "page.html")
    figures, printed = figures_of(*ASKED, *files), equipoise(*ASKED, *files).stdout
    with Path("table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [{name: str(value) for name, value in cell.items()} for cell in figures["cells"]] == rows
    page = " ".join(Path("page.html").read_text().split())
    for cell in figures["cells"]:
        for text in (f"{cell['layer_time']:.1f}", f"{cell['tokens_per_second']:,.0f}", f"{cell['par']:.4f}"):
            assert text in printed
            assert text in page
    assert "25.2 MB" in printed  # of 4 slots in 2 layers, 3.1 MB an expert
    assert figures["advice"] in printed
    assert figures["advice"] in page
    assert "cost cost.json, measured on NVIDIA H100 in bf16" in " ".join(printed.split())
    assert "table.csv: table of all\npage.html: report\n" in printed
    assert max(map(len, printed.replace(figures["advice"], "").splitlines())) <= 90
    assert list(Path("caches/equipoise").iterdir()) == []


def test_on_standard_output_the_table_is_alone():
    asked = (*ASKED, "--slots", 4, "--tokens", 16)
    cells = figures_of(*asked)["cells"]
    rows = list(csv.DictReader(equipoise(*asked, "--csv", "-").stdout.splitlines()))
    assert rows == [{name: str(value) for name, value in cell.items()} for cell in cells]


def test_what_does_not_hold_the_experts_is_said():
    printed = equipoise(*ASKED, "--slots", "2,4", "--tokens", 16).stdout
    assert "too few or too many for the experts: 2 slots on 4 GPUs" in printed
    assert "8 GPUs, 2 slots each, no redundancy" in printed


def test_groups_are_as_the_model_has_them_unless_said_otherwise():
    asked = (*ASKED, "--gpus-per-node", 4, "--slots", 4, "--tokens", 16, "--model", ".")
    figures = figures_of(*asked)
    assert [(cell["gpus"], cell["groups"]) for cell in figures["cells"]] == [(4, 1), (8, 4)]
    printed = equipoise(*asked).stdout
    assert "as . has them; --groups 1 undoes it" in printed
    assert "4 GPUs, 4 slots each, 1 group" in printed
    assert {cell["groups"] for cell in figures_of(*asked, "--groups", 1)["cells"]} == {1}


def test_one_window_is_said_to_judge_itself():
    asked = (*ASKED, "--tokens", 16, "--slots", 4)
    assert "there is no other" not in equipoise(*asked).stdout
    np.save("trace.npy", TRACE.counts[:1])
    printed = equipoise(*asked).stdout
    assert "there is no other to judge by" in printed
    assert "PAR of the window that was planned for" in printed


def test_without_a_trace_the_sample_is_judged_on_gpus_that_hold_its_shape():
    figures = figures_of("--gpus", 64, "--slots", 5, "--tokens", 64, "--effort", "fast")
    assert (figures["trace"], figures["synthetic"], figures["windows"]) == ("synthetic sample", True, 16)
    assert (figures["cost"]["source"], figures["cost"]["top_k"]) == ("H100", 8)
    assert [(one["gpus"], one["nodes"], one["slots_per_gpu"]) for one in figures["cells"]] == [(64, 8, 5)]


def cell(slots, tokens, time, gpus=32):
    other = {"nodes": 1, "groups": 1, "routing": "even", "par": 1.0, "error": 0.0, "beyond": False, "memory": None}
    return Cell(gpus=gpus, slots_per_gpu=slots, tokens=tokens, layer_time=time, tokens_per_second=1.0, **other)


@pytest.mark.parametrize(
    ("cells", "residual", "sentence"),
    [
        (
            [cell(8, 128, 455), cell(9, 128, 528), cell(8, 4096, 5334), cell(9, 4096, 5000)],
            0,
            "At 128 tokens a GPU, 32 GPUs, 8 slots each, no redundancy: 455 µs a layer (9 slots cost 16.0% more); at "
            "4096 tokens a GPU, 32 GPUs, 9 slots each, 32 redundant experts: 5000 µs a layer (8 slots cost 6.7% more).",
        ),
        (
            [cell(8, 16, 300), cell(9, 16, 299), cell(8, 64, 400), cell(9, 64, 399)],
            0.05,
            "From 16 to 64 tokens a GPU, 32 GPUs, 8 slots each, no redundancy: 300 µs a layer (9 slots save 0.3%, less "
            "than the cost can tell), 400 µs at 64 (9 slots save 0.2%, less than the cost can tell).",
        ),
        (
            [cell(slots, tokens, 3 + ((slots == 9) == (tokens < 4))) for tokens in (1, 2, 4, 8) for slots in (8, 9)],
            0,
            "Up to 2 tokens a GPU, 32 GPUs, 8 slots each, no redundancy: 3 µs a layer (9 slots cost 33.3% more), 3 µs "
            "at 2 (9 slots cost 33.3% more); from 4 tokens a GPU on, 32 GPUs, 9 slots each, 32 redundant experts: 3 µs "
            "a layer (8 slots cost 33.3% more), 3 µs at 8 (8 slots cost 33.3% more).",
        ),
        ([cell(8, 1, 3)], 0, "At 1 token a GPU, 32 GPUs, 8 slots each, no redundancy: 3 µs a layer."),
    ],
)
def test_the_advice_is_one_sentence(cells, residual, sentence):
    assert advice_in_words(Sizing(cells, recommend(cells, residual)), experts=256) == sentence


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trace.npy", "--cost", "cost.json"), "--gpus: say which numbers of GPUs are in question"),
        (("trace.npy", "--gpus", "4"), "--cost: say what experts take, or which GPU and --model it is"),
        (("trace.npy", "--gpus", "4", "--gpu", "H100"), "--model: say whose experts the GPU has"),
        ((*ASKED, "--routing", "nearest"), "'nearest' is no routing; expected even, vllm,"),
        (
            (*ASKED, "--slots", "1"),
            "4 or 8 GPUs with 1 slots each, or would be twice on one; use --slots from 2 to 16",
        ),
        ((*ASKED, "--gpus-per-node", "3"), "4 GPUs do not divide into nodes of 3; use another --gpus"),
        ((*ASKED, "--groups", "3"), "16 experts do not divide into 3 groups; use 2 or 4 --groups"),
        ((*ASKED, "--csv", "missing/table.csv"), "there is no folder"),
        ((*ASKED, "--csv", "trace.npy"), "--csv: the table would replace the trace"),
        ((*ASKED, "--csv", "cost.json"), "--csv: the table would replace the cost"),
        ((*ASKED, "--ray", "127.0.0.1:1"), "--ray is '127.0.0.1:1', where no Ray cluster answers"),
        (("nothing.npy", "--gpus", "4", "--cost", "cost.json"), "nothing.npy: No such file or directory"),
        (("--model", "kimi-k2"), "the loads have 256 experts, kimi-k2 has 384; expected another --model"),
    ],
)
def test_what_cannot_be_sized_is_refused(arguments, message):
    result = equipoise(*arguments)
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert np.load("trace.npy").shape == TRACE.counts.shape


def test_a_run_that_is_stopped_goes_on_from_what_is_done(tmp_path):
    long = synthetic_trace("fast", windows=8, layers=16, experts=128, selections=50_000)
    np.save("trace.npy", long.counts)
    # A shell lets programs in the background ignore the signal.
    start = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from equipoise.cli import app; app()"
    )
    command = [sys.executable, "-c", start, "size", "trace.npy", "--cost", "cost.json"]
    command += ["--gpus", "8,16,32", "--tokens", "64", "--effort", "fast", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, **pipes) as stopped:
        folder = tmp_path / "caches" / "equipoise"
        for _ in range(600):
            if folder.is_dir() and any(folder.glob("size-*.json")):
                break
            sleep(0.1)
        os.killpg(stopped.pid, signal.SIGINT)
        stdout, stderr = stopped.communicate(timeout=60)
    kept = len(list(folder.iterdir()))
    assert (stopped.returncode, stdout) == (130, "")
    assert f"Stopped: {kept} of 9 setups are kept, and the same command goes on from them." in stderr
    assert 0 < kept < 9
    gone_on = subprocess.run(command, capture_output=True, check=True)
    assert len(json.loads(gone_on.stdout)["cells"]) == 9
    assert list(folder.iterdir()) == []
