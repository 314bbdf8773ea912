"""The pages as text: what is said, how large they are, and that they are made of nothing but themselves."""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64decode

import numpy as np
import pytest

from equipoise import Cluster, Placement, plan
from equipoise.policies import Never, Oracle
from equipoise.report.page import Page, Section, Table
from equipoise.report.plan_page import plan_page, time_saved
from equipoise.report.simulation_page import simulation_page
from equipoise.simulate import simulate
from tests.report.conftest import CLUSTER, COUNTS


def page_of(planned):
    return plan_page(planned, "A plan", [("groups", "1")], "equipoise plan")


def text_of(page):
    return re.sub(r"<[^>]+>|\s+", " ", page.html().partition("<script")[0])


def numbers_of(page):
    return {number.name: number.value for number in page.numbers}


def test_the_numbers_are_those_of_the_plan(planned):
    page, before = page_of(planned), planned.figure("peaks").data[0].y
    numbers = numbers_of(page)
    assert numbers["PAR before and after"] == f"{before.mean():.4f} → {planned.par.mean():.4f}"
    assert numbers["gap to the bound"] == f"{planned.gap.mean():.2%}"
    assert numbers["moves"] == f"{planned.moves.sum():,}"
    peaks_before = (before * planned.mean).sum()
    assert numbers["time saved in a layer's step"] == f"{(peaks_before - planned.peak.sum()) / peaks_before:.1%}"
    assert all(f"{value:.4f}" in page.verdict for value in (before.mean(), planned.par.mean()))


def test_every_layer_has_a_row_and_can_be_opened(planned):
    page = page_of(planned)
    table = next(section.table for section in page.sections if section.table)
    assert [row[0] for row in table.rows] == [str(layer) for layer in range(5)]
    assert [row[2] for row in table.rows] == [f"{par:.4f}" for par in planned.par]
    assert [len(section.figures) for section in page.sections] == [1, 1, 1, 5, 5, 1]
    assert (page.layers, page.opened) == (5, int(planned.par.argmax()))


def test_settings_command_and_versions_are_in_the_footer(planned):
    footer = page_of(planned).html().partition("<footer>")[2].partition("</footer>")[0]
    assert "<dt>groups</dt><dd>1</dd>" in footer
    assert "<code>equipoise plan</code>" in footer
    assert f"numpy {np.__version__}" in footer


def test_nothing_that_is_named_runs(planned):
    evil = "<script>alert(1)</script>"
    html = plan_page(planned, evil, [(evil, evil)], evil).html()
    assert evil not in html
    assert html.count("&lt;script&gt;alert(1)") == 5


def test_the_same_plan_makes_the_same_bytes(planned):
    assert page_of(planned).html() == page_of(planned).html()


def test_a_large_model_stays_a_small_page():
    counts = np.random.default_rng(0).lognormal(3, 1, (58, 256)).round()
    planned = plan(counts, Cluster(gpus=144, nodes=18, slots_per_gpu=2), effort="fast")
    assert len(page_of(planned).html()) < 6_000_000


def test_the_page_carries_its_figures_and_plotly(planned):
    html = page_of(planned).html()
    packed = dict(re.findall(r'<script type="application/gzip" id="(\w+)-packed">([^<]+)</script>', html))
    figures = json.loads(gzip.decompress(b64decode(packed["figures"])))
    assert {name: len(versions) for name, versions in figures.items()} == {
        "gpus": 1,
        "peaks": 1,
        "experts": 1,
        "layer": 5,
        "copies": 5,
        "moves": 1,
    }
    assert b"plotly.js" in gzip.decompress(b64decode(packed["plotly"]))
    assert not re.findall(r'(?:src|href)="', html)


def test_idle_loads_are_said_to_be(tmp_path):
    page = page_of(plan(np.zeros((2, 4)), Cluster(gpus=2, slots_per_gpu=2)))
    assert page.verdict == "The loads are all zero: any placement serves them equally well."
    assert numbers_of(page)["time saved in a layer's step"] == "not known"
    page.save(tmp_path / "page.html")


def test_a_plan_that_moves_nothing_says_so(planned):
    page = page_of(plan(COUNTS, CLUSTER, current=planned.placement, max_moves=0))
    assert page.verdict.startswith("Nothing moves: ")
    assert "every GPU holds the experts that it needs already" in text_of(page)
    assert (numbers_of(page)["moves"], numbers_of(page)["time saved in a layer's step"]) == ("0", "0.0%")


def test_a_plan_that_is_not_worth_it_says_so(planned):
    declined = plan(COUNTS[0], CLUSTER, current=planned.placement, min_gain=0.9)
    assert page_of(declined).verdict.startswith(f"Not worth it: PAR would fall from {declined.par.mean():.4f} to ")


def test_a_plan_for_fewer_gpus_may_be_less_even(planned):
    left = plan(COUNTS, Cluster(gpus=4, nodes=2, slots_per_gpu=6, dead=(3,)), current=planned.placement)
    words = "down from" if left.par.mean() < planned.par.mean() else "up from"
    assert f"{words} {planned.par.mean():.4f}; no placement" in page_of(left).verdict


def test_what_was_served_by_nobody_before_has_no_time():
    current = Placement([[0, 1, 2, 2]], Cluster(gpus=2, slots_per_gpu=2), experts=4)
    planned = plan([[4, 3, 2, 1]], current.cluster, current=current)
    assert len(planned.lost) == 1
    assert time_saved(planned) is None
    assert "1 come from disk" in text_of(page_of(planned))


def test_a_layer_alone_is_open():
    page = page_of(plan([[3, 2, 2, 1]], Cluster(gpus=2, slots_per_gpu=2)))
    assert "<select" not in page.html()
    assert "Layer 0: before" in text_of(page)


@pytest.fixture(scope="module")
def replayed():
    policies = {"never": Never(), "oracle": Oracle()}
    return policies, {name: simulate(COUNTS, CLUSTER, policy) for name, policy in policies.items()}


def test_the_oracle_is_never_called_the_best(replayed):
    policies, replays = replayed
    table = Table("The policies", ("policy", "PAR"), [("never", "1.5")])
    page = simulation_page(replays, policies, table, "A replay", [], "equipoise simulate")
    par = f"{replays['never'].par.mean():.4f}"
    assert page.verdict == f"No policy that knows only the past serves more evenly than “never”: PAR {par}."
    assert numbers_of(page)["PAR, never"] == par
    assert '<th scope="row">never</th><td>1.5</td>' in page.html()


def test_the_best_policy_is_the_one_with_the_least_par(replayed):
    _, replays = replayed
    policies = {"never": Never(), "oracle": Never()}
    page = simulation_page(replays, policies, Table("", (), []), "A replay", [], "equipoise simulate")
    assert "“oracle” serves most evenly" in page.verdict
    assert numbers_of(page)["moves, oracle"] == f"{replays['oracle'].moves.sum():,}"
    assert numbers_of(page)["stall, oracle"] == f"{replays['oracle'].stall_seconds.sum():.3f} s"


def test_a_page_may_have_no_figures(tmp_path):
    page = Page("Title", "Verdict", [], [Section("words", "Heading", "Text")], [], "command")
    page.save(tmp_path / "page.html")
    assert "Text" in (tmp_path / "page.html").read_text()
