"""What the pages tell to type is understood by the engines' own parsers."""

from __future__ import annotations

import argparse

import pytest

from tests.pages import shown

torch = pytest.importorskip("torch")


def test_sglang_understands_its_options(sglang_locations):
    from sglang.srt.server_args import ServerArgs

    parser = argparse.ArgumentParser()
    ServerArgs.add_cli_args(parser)
    for _page, options in shown("python -m sglang.launch_server"):
        assert parser.parse_args(options).ep_size == 8


def test_vllm_understands_its_options(vllm_policies, monkeypatch):
    from vllm import platforms

    monkeypatch.setattr(platforms.current_platform, "device_type", "cpu")  # which it would ask the machine
    from vllm.engine.arg_utils import EngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = EngineArgs.add_cli_args(FlexibleArgumentParser())
    found = {page.stem: parser.parse_args(options) for page, (_model, *options) in shown("vllm serve")}
    assert all(options.enable_expert_parallel for options in found.values())
    assert found["vllm"].eplb_config.num_redundant_experts == 8
    assert found["vllm-ascend"].additional_config == {"eplb_config": {"expert_map_path": "map.json"}}
