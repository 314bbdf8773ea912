"""What docs/ tell to type is understood: by the engines' own parsers, and by Equipoise, which runs it."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from equipoise.cli import app

torch = pytest.importorskip("torch")
DOCS = Path(__file__).parents[2] / "docs"


def commands(page, start):
    """Return the commands of a page that start so, each as its further arguments."""
    lines = (DOCS / page).read_text().replace("\\\n", " ").splitlines()
    found = [line.strip().removeprefix(start) for line in lines if line.startswith(f"    {start}")]
    assert found
    return [shlex.split(command) for command in found]


def test_sglang_understands_its_options(sglang_locations):
    from sglang.srt.server_args import ServerArgs

    parser = argparse.ArgumentParser()
    ServerArgs.add_cli_args(parser)
    for command in commands("sglang.md", "python -m sglang.launch_server"):
        assert parser.parse_args(command).ep_size == 8


def test_vllm_understands_its_options(vllm_policies, monkeypatch):
    from vllm import platforms

    monkeypatch.setattr(platforms.current_platform, "device_type", "cpu")  # which it would ask the machine
    from vllm.engine.arg_utils import EngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = EngineArgs.add_cli_args(FlexibleArgumentParser())
    for _model, *options in commands("vllm.md", "vllm serve"):
        assert parser.parse_args(options).eplb_config.num_redundant_experts == 8


def test_equipoise_runs_what_is_said_of_a_dump(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = np.random.default_rng(0).integers(0, 100, (3, 5, 256), dtype=np.int32)
    torch.save({"rank": 0, "logical_count": torch.from_numpy(counts)}, "expert_distribution_recorder_1.pt")
    for command in commands("sglang.md", "equipoise"):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output


def test_equipoise_runs_what_is_said_of_a_trace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("trace.npz", counts=np.random.default_rng(0).integers(0, 100, (12, 2, 256)))
    for command in commands("vllm.md", "equipoise simulate"):
        result = CliRunner().invoke(app, ["simulate", *command])
        assert result.exit_code == 0, result.output
