"""The pages as text: what is said, how large they are, and that they are made of nothing but themselves."""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest

from equipoise import Batch, Cluster, ExpertCost, Loads, Placement, Scenarios, plan
from equipoise.forecasting.forecast import METHODS
from equipoise.planning.forecast import Forecast
from equipoise.replay.policies import Never, Oracle
from equipoise.replay.simulate import compare
from equipoise.report.pages.forecast_section import PLANNED_FOR
from equipoise.report.pages.page import Page, Section, Table
from equipoise.report.pages.plan import last_windows, plan_page
from equipoise.report.pages.simulation import simulation_page
from tests.report.conftest import BATCH, CLUSTER, COUNTS

NO_TIMES = Table("", (), [])


def page_of(planned, title="A plan"):
    """The page of a plan whose loads are all that was recorded, and of which nothing was forecast."""
    nothing = Forecast(planned.scenarios, ("recent",) * planned.loads.layers, {})
    return plan_page(replace(planned, forecast=nothing), planned.loads, title, [(title, title)], title)


def text_of(page):
    return re.sub(r"<[^>]+>|\s+", " ", page.html().partition("<script")[0])


def numbers_of(page):
    return {number.name: number.value for number in page.numbers}


def section_of(page, name):
    return next((section for section in page.sections if section.name == name), None)


def test_the_numbers_are_those_of_the_plan(page, planned):
    before = planned.par_before
    numbers = numbers_of(page)
    assert numbers["PAR before and after"] == f"{before.mean():.4f} → {planned.par.mean():.4f}"
    assert numbers["bound on PAR"] == f"{planned.bound_on_par.mean():.4f}"
    assert f"gets below PAR {planned.bound_on_par.mean():.4f}" in page.verdict
    assert numbers["moves"] == f"{planned.moves.sum():,}"
    saved = planned.time_saved(BATCH)
    times = (time.mean(planned.scenarios.weights)[0] for time in (saved.before, saved.after))
    assert numbers["time of a layer, 64 tokens a GPU"] == "{:,.0f} → {:,.0f} µs".format(*times)
    assert all(f"{value:.4f}" in page.verdict for value in (before.mean(), planned.par.mean()))


def test_every_layer_has_a_row_and_can_be_opened(page, planned):
    table = section_of(page, "peaks").table
    assert [row[0] for row in table.rows] == [str(layer) for layer in range(5)]
    assert [row[2] for row in table.rows] == [f"{par:.4f}" for par in planned.par]
    assert [len(section.figures) for section in page.sections] == [1, 1, 1, 1, 1, 5, 5, 1, 1]
    assert (page.layers, page.opened) == (5, int(planned.par.argmax()))


def test_settings_command_and_versions_are_in_the_footer(html):
    footer = html.partition("<footer>")[2].partition("</footer>")[0]
    assert "<dt>groups</dt><dd>1</dd>" in footer
    assert "<code>equipoise plan</code>" in footer
    assert f"numpy {np.__version__}" in footer


def test_nothing_that_is_named_runs(planned):
    evil = "<script>alert(1)</script>"
    html = page_of(planned, evil).html()
    assert evil not in html
    assert html.count("&lt;script&gt;alert(1)") == 5


def test_the_same_plan_makes_the_same_bytes(html, planned):
    again = plan_page(
        planned, Loads(COUNTS), "A plan", [("groups", "1")], "equipoise plan", [planned.time_saved(BATCH)]
    )
    assert again.html() == html


def test_a_large_model_stays_a_small_page(large_html):
    assert len(large_html) < 6_000_000


def test_the_page_carries_its_figures_and_plotly(html):
    packed = dict(re.findall(r'<script type="application/gzip" id="(\w+)-packed">([^<]+)</script>', html))
    figures = json.loads(gzip.decompress(b64decode(packed["figures"])))
    assert {name: len(versions) for name, versions in figures.items()} == {
        "gpus": 1,
        "peaks": 1,
        "windows": 1,
        "times": 1,
        "forecast": 1,
        "experts": 1,
        "layer": 5,
        "copies": 5,
        "moves": 1,
    }
    assert b"plotly.js" in gzip.decompress(b64decode(packed["plotly"]))
    assert not re.findall(r'(?:src|href)="', html)


def test_idle_loads_are_said_to_be(tmp_path):
    page = page_of(plan(Scenarios(np.zeros((2, 4))), Cluster(gpus=2, slots_per_gpu=2)))
    assert page.verdict == "The loads are all zero: any placement serves them equally well."
    assert numbers_of(page)["moves"] == "0"
    page.save(tmp_path / "page.html")


def test_a_plan_that_moves_nothing_says_so(planned):
    page = page_of(plan(COUNTS, CLUSTER, current=planned.placement, max_moves=0))
    assert page.verdict.startswith("Nothing moves: ")
    assert "every GPU holds the experts that it needs already" in text_of(page)
    assert numbers_of(page)["moves"] == "0"


def test_a_plan_that_is_not_worth_it_says_so(planned):
    declined = plan(COUNTS[0], CLUSTER, current=planned.placement, min_gain=0.9)
    assert page_of(declined).verdict.startswith(f"Not worth it: PAR would fall from {declined.par.mean():.4f} to ")


def test_a_plan_for_fewer_gpus_may_be_less_even(planned):
    left = plan(COUNTS, Cluster(gpus=4, nodes=2, slots_per_gpu=6, dead=(3,)), current=planned.placement)
    words = "down from" if left.par.mean() < planned.par.mean() else "up from"
    assert f"{words} {planned.par.mean():.4f}; no placement" in page_of(left).verdict


def test_what_cannot_be_better_is_said_to_be_proven_optimal():
    page = page_of(plan([[1, 1, 1, 1]], Cluster(gpus=2, slots_per_gpu=2)))
    assert page.verdict.endswith("; this is proven optimal.")
    assert {number.name: number.note for number in page.numbers}["bound on PAR"].endswith("proven optimal")


def test_what_differs_from_the_bound_by_less_than_is_printed_is_optimal_to_four_decimals():
    planned = plan([[1, 1, 1, 1]], Cluster(gpus=2, slots_per_gpu=2))
    page = page_of(replace(planned, peak=planned.bound * (1 + 1e-5)))
    assert page.verdict.endswith("; this is proven optimal to four decimals.")
    assert (
        "0.00%" not in text_of(page).partition("How this page was made")[0].partition("The figures of every layer")[0]
    )


def test_no_sentence_says_how_much_better_a_placement_could_be_than_is_possible():
    planned = plan([[97, 1, 1, 1]], Cluster(gpus=4, slots_per_gpu=1))
    assert "% better" not in text_of(page_of(replace(planned, peak=2.5 * planned.bound)))


def test_a_batch_has_a_number_and_all_have_their_times_below(page, planned):
    times = [planned.time_saved(BATCH), planned.time_saved(replace(BATCH, tokens=4096))]
    both = plan_page(planned, Loads(COUNTS), "A plan", [], "", times)
    assert list(numbers_of(both)) == list(numbers_of(page))
    table = section_of(both, "times").table
    assert [row[0] for row in table.rows] == ["64", "4,096"]
    for row, saved in zip(table.rows, times, strict=True):
        means = (time.mean(saved.weights) for time in (saved.before, saved.after))
        assert row[1:] == (*(f"{mean:,.1f} ± {error:.1f}" for mean, error in means), f"{saved.share:.1%}")
    assert section_of(page_of(planned), "times") is None


def test_a_plan_for_filled_routing_says_what_filling_makes_of_it(planned):
    filled = plan(Loads(COUNTS), CLUSTER, routing="filled")
    section = section_of(page_of(filled), "filled")
    par = {
        (name, routing): filled.scenarios.par(placement, routing).mean()
        for name, placement in (("before", filled.before), ("after", filled.placement))
        for routing in ("even", "filled")
    }
    assert section.table.rows == [
        (name, f"{par[name, 'even']:.4f}", f"{par[name, 'filled']:.4f}") for name in ("before", "after")
    ]
    assert f"in {(filled.primaries_over == 0).sum()} of the 5 layers" in section.text
    assert section_of(page_of(planned), "filled") is None


def test_the_forecast_comes_last(page):
    assert page.sections[-1].name == "forecast"


def test_dead_gpus_are_said_to_be_hatched(page):
    dead = page_of(plan(COUNTS[0], Cluster(gpus=4, slots_per_gpu=6, dead=(1,))))
    assert "hatched ones are dead" in section_of(dead, "gpus").text
    assert "hatched" not in section_of(page, "gpus").text


def test_a_layer_can_be_seen_in_the_last_windows(planned):
    windows = last_windows(planned, Loads(np.concatenate([COUNTS] * 3)))
    assert windows.numbers == range(2, 18)
    for (most, packed), heights in zip(windows.packed(), windows.heights, strict=True):
        shares = np.frombuffer(gzip.decompress(b64decode(packed)), "<u2") / 65535
        np.testing.assert_allclose(shares.reshape(heights.shape) * most, heights, atol=most / 65535)
    assert page_of(plan(COUNTS[0], CLUSTER)).windows is None


def test_what_was_served_by_nobody_before_has_no_time():
    current = Placement([[0, 1, 2, 2]], Cluster(gpus=2, slots_per_gpu=2), experts=4)
    planned = plan(Scenarios([[4, 3, 2, 1]]), current.cluster, current=current)
    assert len(planned.lost) == 1
    time = planned.time_saved(Batch(16, 1, ExpertCost(expert=10)))
    page = plan_page(planned, planned.loads, "A plan", [], "equipoise plan", [time])
    assert time.share is None
    assert page.numbers[-1].note == "what its slowest GPU takes for its experts, of a GPU at its best, not measured"
    words = "There is one node alone: 1 experts move within nodes, 0 between nodes, 1 come from disk."
    assert section_of(page_of(planned), "moves").text == words


def test_a_layer_alone_is_open():
    page = page_of(plan([[3, 2, 2, 1]], Cluster(gpus=2, slots_per_gpu=2)))
    assert "<select" not in page.html()
    assert "Layer 0: before" in text_of(page)


def test_with_several_windows_it_is_said_what_is_a_mean_over_them(page):
    words = [section_of(page, name).text for name in ("gpus", "peaks", "experts", "layer")]
    assert all("of the windows planned for" in text or "over the windows planned for" in text for text in words)
    assert "on average over the windows planned for, down from" in page.verdict
    notes = {number.name: number.note for number in page.numbers}
    assert "mean over windows and layers" in notes["PAR before and after"]
    assert notes["bound on PAR"].endswith("; the bound is that of plans made anew for every window")
    assert "the mean of the windows" in section_of(page, "gpus").figures[0].layout.meta["label"]


def test_with_one_window_there_is_no_word_of_windows():
    page = page_of(plan(COUNTS[0], CLUSTER))
    assert "window" not in text_of(page)
    assert (section_of(page, "windows"), section_of(page, "forecast")) == (None, None)


def test_a_plan_for_one_load_of_several_windows_shows_each_of_them():
    page = plan_page(plan(COUNTS, CLUSTER, forecast="last"), Loads(COUNTS), "A plan", [], "")
    assert len(section_of(page, "windows").figures) == 1
    assert section_of(page, "forecast") is None
    assert "planned for" not in page.verdict


def test_of_a_plan_for_scenarios_nothing_was_forecast():
    page = plan_page(plan(Scenarios(COUNTS), CLUSTER), Loads(COUNTS), "A plan", [], "")
    assert section_of(page, "forecast") is None
    assert "planned for" in page.verdict


def test_the_forecasts_have_their_par_and_their_layers(page, expected):
    section = section_of(page, "forecast")
    assert "(cuts: 3)" in section.text
    found = {row[0].partition(":")[0]: row[1:] for row in section.table.rows}
    used = expected.used()
    assert found == {name: (f"{par.mean():.4f}", str(used.get(name, 0))) for name, par in expected.tested.items()}
    assert [row[1] for row in section.table.rows] == sorted(row[1] for row in section.table.rows)


def test_every_forecast_is_told_in_words():
    assert set(PLANNED_FOR) == set(METHODS)


@pytest.fixture(scope="module")
def replayed():
    return compare(COUNTS, CLUSTER, {"never": Never(), "oracle": Oracle()})


def test_the_oracle_is_never_called_the_best(replayed, expected):
    table = Table("The policies", ("policy", "PAR"), [("never", "1.5")])
    page = simulation_page(replayed, [table, NO_TIMES], expected, "A replay", [], "equipoise simulate")
    assert replayed["oracle"].par.mean() < replayed["never"].par.mean()
    par = f"{replayed['never'].par.mean():.4f}"
    assert page.verdict == f"No policy that knows only the past serves more evenly than “never”: PAR {par}."
    assert numbers_of(page)["PAR, never"] == par
    assert '<th scope="row">never</th><td>1.5</td>' in page.html()


def test_the_best_policy_is_the_one_with_the_least_par(replayed, expected):
    best = replayed["oracle"]
    replays = {"never": replayed["never"], "by chance": best, "oracle": best}
    page = simulation_page(replays, [NO_TIMES, NO_TIMES], expected, "A replay", [], "equipoise simulate")
    assert "“by chance” serves most evenly" in page.verdict
    assert numbers_of(page)["moves, by chance"] == f"{best.moves.sum():,}"
    assert numbers_of(page)["stall, by chance"] == f"{best.stall_seconds.sum():.3f} s"


def test_the_verdict_of_a_replay_weighs_gain_against_moves(replayed, expected):
    best, never = replayed["oracle"], replayed["never"]
    few = replace(best, par=0.9 * best.par + 0.1 * never.par, moves=best.moves // 10)
    tables = [NO_TIMES, NO_TIMES]
    page = simulation_page({"never": never, "few": few, "all": best}, tables, expected, "A replay", [], "")
    moves = f"{few.moves.sum() / best.moves.sum():.0%}"
    assert page.verdict.endswith(f" “few” gets 90% of that gain with {moves} of the moves.")
    page = simulation_page({"never": never, "all": best}, tables, expected, "A replay", [], "")
    assert "of the moves" not in page.verdict


def test_a_replay_has_the_forecast_at_its_end(replayed, expected):
    nothing = Forecast(expected.scenarios, ("last",) * 5, {})
    tables = [NO_TIMES, NO_TIMES]
    with_it, without = (simulation_page(replayed, tables, one, "A replay", [], "") for one in (expected, nothing))
    assert section_of(with_it, "forecast").text.startswith("Every decision chooses anew; this is the choice")
    assert [section.name for section in without.sections] == ["policies", "totals"]


def test_a_page_may_have_no_figures(tmp_path):
    page = Page("Title", "Verdict", [], [Section("words", "Heading", "Text")], [], "command")
    page.save(tmp_path / "page.html")
    assert "Text" in (tmp_path / "page.html").read_text()
