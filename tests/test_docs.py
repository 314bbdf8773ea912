"""Every code block of README.md and docs/ works: page by page, in a folder with the recordings that they speak of."""

from __future__ import annotations

import doctest
import json
import logging
import os
import re
from io import StringIO
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app as benchmarks
from equipoise import Cluster, Placement, plan, sample_loads, write_placement
from equipoise.cli import SUMMARIES, app
from equipoise.engines.live import EngineCall, replanned
from equipoise.engines.settings import read_settings
from equipoise.formats.registry import LOADS, LOADS_WRITTEN, PLACEMENTS
from equipoise.serving.slot_shares import Routing
from tests.formats.samples import in_base64, write_passes, write_statistics
from tests.pages import DOCS, FENCED, PAGES, ROOT, blocks, commands, shown, tables

torch = pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")
pytest.importorskip("plotly")

NOT_RUN = {
    "pip install": "CI installs Equipoise, by the README's line",
    "pytest": "runs already",
    "torchrun": "tests/test_examples.py runs the examples",
    "equipoise measure": "needs a GPU; tests/cli/test_measure.py runs it with times of its own",
    "equipoise record": "needs a model; tests/cli/test_record.py saves a small one, and records it",
    "equipoise size trace.npz --gpus 16,32,64,128": "needs a Ray cluster; tests/sizing/test_size.py starts one",
    "vllm serve": "needs GPUs; tests/engines/test_commands_in_docs.py has vLLM read the options",
    "python -m sglang.launch_server": "needs GPUs; tests/engines/test_commands_in_docs.py has SGLang read the options",
    "curl": "asks a server on GPUs",
    "trtllm-llmapi-launch": "needs GPUs, and so does TensorRT-LLM's parser of the options",
}
"""Commands that are not run, by how they start, and why."""

NUMBER = re.compile(r"\**[\d,]*\.?\d+( %|x)?\**")
NUMBERS = re.compile(rf"({NUMBER.pattern}( ms)?([,;] |$)){{2,}}")


def counts(windows, layers=3):
    return np.random.default_rng(windows).integers(0, 100, (windows, layers, 256))


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """Stand in a folder that holds all files that pages start from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name, windows in {"loads": 2, "monday": 1, "tuesday": 3, "later": 4, "trace": 14}.items():
        np.savez(f"{name}.npz", counts=counts(windows))
    torch.save({"rank": 0, "logical_count": torch.tensor(counts(3))}, "expert_distribution_recorder_1.pt")
    for folder in ("passes", "statistics"):
        Path(folder).mkdir()
    write_passes(Path("passes"), ranks=4)
    write_statistics(Path("statistics"), counts(5), ranks=4)
    picks = np.random.default_rng(0).integers(0, 8, (40, 3, 2), np.uint8)
    Path("responses.jsonl").write_text(json.dumps({"choices": [{"routed_experts": in_base64(picks)}]}))
    default = Placement.default(Cluster(gpus=32, nodes=4, slots_per_gpu=9), experts=256, layers=3)
    write_placement(default, "placement.json")


class Reader:
    """Someone who does what a page says, block by block."""

    def __init__(self, page, monkeypatch, printed):
        self.page, self.monkeypatch, self.printed = page, monkeypatch, printed
        self.names = {}

    def pycon(self, text):
        examples = doctest.DocTestParser().get_doctest(text, self.names, self.page.name, str(self.page), 0)
        examples.globs = self.names
        told = StringIO()
        doctest.DocTestRunner().run(examples, out=told.write, clear_globs=False)
        assert not told.getvalue(), told.getvalue()

    def sh(self, text):
        for words in commands(text):
            if not any(words[: len(start.split())] == start.split() for start in NOT_RUN):
                self.command(words)

    def command(self, words):
        match words:
            case ["equipoise", *arguments]:
                result = CliRunner().invoke(app, arguments)
                assert (result.exit_code, result.stderr) == (0, ""), words
                self.printed += result.stdout
            case ["export", setting]:
                self.monkeypatch.setenv(*setting.split("=", 1))
                read_settings(os.environ)
            case ["python", "-m", "benchmarks", *arguments]:
                assert CliRunner().invoke(benchmarks, [*arguments, "--help"]).exit_code == 0, words  # which reads all
            case _:
                pytest.fail(f"{words} is neither run nor among what is not run")

    def text(self, text):
        """Compare with what has been printed, to the letter; a page may break a long line at a space."""
        shown, printed = (without_times(words).replace("\n", " ") for words in (text, self.printed))
        assert shown in printed, f"{self.page.name} shows\n{text}\nwhere this was printed:\n{self.printed}"

    def toml(self, text):
        """Nothing but the file that its title says: a command reads it."""

    def python(self, text):
        """Nothing but that it is Python: what it needs is a GPU less."""
        compile(text, str(self.page), "exec")

    def dockerfile(self, text):
        """Nothing but that its commands are ours: what is built needs a registry and an engine's image."""
        run = commands("\n".join(re.findall("^RUN (.*)", text, re.MULTILINE)))
        assert all(words[:2] == ["pip", "install"] or words[1] in SUMMARIES for words in run)

    def yaml(self, text):
        """Return nothing: an engine's file, and what it names has been written."""
        assert yaml.safe_load(text)
        assert all(Path(name).exists() for name in re.findall(r"(?:load_balancer|pattern_path): (\S+)", text))


def without_times(text):
    """Return the text with nothing left out but what a clock said, and whether there was anything to compile."""
    return re.sub(r"\d[\d.]* m?s\b( of (compiling, first run only|getting ready))?", "0 s", text)


@pytest.fixture(scope="session")
def log_line():
    """Return what a live plug-in logs of a re-plan: for the last half of the sample, from the plan for the first."""
    told, log = StringIO(), logging.Logger("plug-in")
    log.addHandler(logging.StreamHandler(told))
    cluster, loads = Cluster(gpus=32, nodes=4, slots_per_gpu=9), sample_loads().counts
    live = plan(loads[:8].sum(axis=0), cluster).placement.phy2log
    replanned(EngineCall(loads[8:], cluster, 1, live), read_settings({"EQUIPOISE_MAX_MOVES": "5%"}), log)
    return told.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.usefixtures("recordings")
def test_what_a_page_shows_works(page, monkeypatch, log_line):
    reader = Reader(page, monkeypatch, printed=log_line)
    for block in blocks(page):
        if block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")
        getattr(reader, block.language)(block.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_all_code_is_in_fences(page):
    beside = FENCED.sub("", page.read_text(encoding="utf-8"))
    assert "```" not in beside
    assert not re.search(r"^(    |\t)", beside, re.MULTILINE)
    assert ">>>" not in beside


@pytest.mark.parametrize("start", NOT_RUN)
def test_what_is_not_run_is_on_some_page(start):
    assert shown(start)


def test_the_readme_links_to_files_that_exist():
    links = re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert "docs/index.md" in links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_cell_has_one_value_and_columns_of_numbers_are_to_the_right(page):
    for head, alignments, *rows in tables(page):
        for name, alignment, *cells in zip(head, alignments, *rows, strict=True):
            assert [cell for cell in cells if NUMBERS.fullmatch(cell)] == []
            numeric = all(NUMBER.fullmatch(cell) for cell in cells if cell)
            assert (name, alignment) == (name, "---:" if numeric else "---")


def named(cells):
    """Return what the cells have as code."""
    return [name for cell in cells for name in re.findall(r"`(.+?)`", cell)]


def rows_of(page):
    """Return the rows of all tables of a page, their heads among them."""
    return [row for table in tables(DOCS / page) for row in table]


def first_cells(page):
    """Return the code in the first cell of every row of the page's tables."""
    return named(row[0] for row in rows_of(page))


def test_the_page_on_files_has_all_formats():
    assert sorted(first_cells("formats.md")) == sorted([*LOADS, *PLACEMENTS])


def test_the_page_on_files_says_which_loads_are_written_and_which_files_end_so():
    rows = [(name, row) for row in rows_of("formats.md") for name in named(row[:1])]
    assert {name for name, row in rows if name in LOADS and row[-1]} == set(LOADS_WRITTEN)
    about = {name: row[1] for name, row in rows}
    endings = {name: known.suffixes for name, known in LOADS.items() if known.suffixes and not known.encode}
    assert [(name, end) for name, ends in endings.items() for end in ends if end not in about[name]] == []


def test_the_page_on_routing_has_all_rules():
    assert sorted(first_cells("routing.md")) == sorted(get_args(Routing))


def test_the_table_of_engines_has_all_formats_and_rules_of_engines():
    all_named = {name for row in rows_of("engines.md") for name in named(row)}
    own = {"numpy", "csv", "parquet", "json", "tokens-per-expert", "tensor", "equipoise", "even", "filled"}
    assert {*LOADS, *PLACEMENTS, *get_args(Routing)} - own <= all_named
