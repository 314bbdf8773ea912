"""The pages in a browser without a network: what is drawn, how a layer opens, and who can read it."""

from __future__ import annotations

import csv
import re
from dataclasses import replace

import numpy as np
import pytest

from equipoise import Cluster, balance, plan, read_loads, setups_of, size
from equipoise.cli.summaries.size import tables_of
from equipoise.replay.policies import FewMoves, Never
from equipoise.replay.simulate import compare
from equipoise.report.pages.page import Table
from equipoise.report.pages.plan import plan_page
from equipoise.report.pages.simulation import simulation_page
from equipoise.report.pages.sizing import sizing_page
from tests.report.conftest import BATCH, CLUSTER, COUNTS

DESKTOP, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def pages(html, expected, tmp_path_factory):
    """Files of a plan's page, of a replay's, and of one on GPUs and slots."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "plan.html").write_text(html)
    replays = compare(COUNTS, CLUSTER, {"never": Never(), "few moves": FewMoves(5)})
    rows = [(name, f"{replay.par.mean():.4f}") for name, replay in replays.items()]
    table = Table("The policies", ("policy", "PAR"), rows)
    tables = [table, Table("Layer time", ("microseconds of a layer", "at 128 tokens a GPU"), rows)]
    page = simulation_page(replays, tables, expected, "A replay", [], "equipoise simulate")
    page.save(folder / "replay.html")
    found = size(COUNTS, setups_of(16, [4]), [BATCH, replace(BATCH, tokens=4096)])
    sizing_page(found, tables_of(found, len(COUNTS)), "The fewest slots.", "GPUs and slots", [], "").save(
        folder / "size.html"
    )
    return folder


@pytest.fixture(scope="module")
def large_page(large_html, tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "page.html"
    path.write_text(large_html)
    return path


@pytest.fixture(scope="module")
def complaints():
    """What the browser complains of."""
    return []


@pytest.fixture(scope="module")
def open_once(browser, complaints):
    """Open a file with the network off, or return the page where it is open already: that takes seconds."""
    pages = {}

    def opened(path, viewport, scheme):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url == path.as_uri() or complaints.append(request.url[:80]))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-drawn]", state="attached")
        return page

    def opened_once(path, viewport=DESKTOP, scheme="light"):
        key = path, viewport["width"], scheme
        if key not in pages:
            pages[key] = opened(path, viewport, scheme)
        return pages[key]

    yield opened_once
    for page in pages.values():
        page.context.close()


@pytest.fixture
def open_page(open_once, complaints):
    """Open a file; whatever the browser complains of fails the test."""
    complaints.clear()
    yield open_once
    assert complaints == []


def drawn(page, figure, trace, name):
    values = page.evaluate(
        "([figure, trace, name]) => Array.from(document.getElementById(figure)._fullData[trace][name],"
        " (row) => row?.length ? Array.from(row) : row)",
        [figure, trace, name],
    )
    return np.array(values, float)


def test_the_figures_are_drawn_with_the_right_numbers(open_page, pages, planned):
    page = open_page(pages / "plan.html")
    for trace, placement in enumerate((planned.before, planned.placement)):
        served = balance(placement, planned.loads)
        np.testing.assert_allclose(
            drawn(page, "gpus", trace, "customdata"), served.gpu_load[0] / served.mean[0][:, None], rtol=1e-6
        )
    np.testing.assert_allclose(drawn(page, "peaks", 1, "y"), planned.par)
    np.testing.assert_allclose(drawn(page, "windows", 1, "y"), balance(planned.placement, COUNTS).par.mean(axis=1))
    assert page.locator("#forecast .scatterlayer .point").count() == 5
    assert page.locator("#gpus .heatmaplayer image").count() == 2
    assert page.locator("#peaks .scatterlayer .point").count() == 4 * 5
    assert page.locator("#layer .barlayer .point").count() == 2 * CLUSTER.slots
    assert page.evaluate("document.getElementById('layer')._fullLayout.xaxis.range") == [-0.5, 3.5]
    assert page.locator(".missing").count() == 0


def test_a_layer_opens_by_choice_by_key_and_by_click(open_page, pages, planned):
    from playwright.sync_api import expect

    page = open_page(pages / "plan.html")

    def opened():
        words = page.locator("#opened-words").inner_text()
        layer = int(page.locator("#opened").input_value())
        assert words.startswith(f"Layer {layer}: ")
        assert page.locator("#layer").get_attribute("aria-label") == words
        heights = [drawn(page, "layer", trace, "y") for trace in (2, 3)]
        assert np.concatenate(heights).max() == pytest.approx(
            (planned.loads.counts[0, layer] / planned.placement.logcnt[layer]).max() / planned.mean[layer], rel=1e-6
        )
        return layer

    assert opened() == int(planned.par.argmax())
    page.select_option("#opened", "0")
    assert opened() == 0
    assert page.locator("[data-step='-1']").is_disabled()
    page.locator("[data-step='1']").focus()
    page.keyboard.press("Enter")
    assert opened() == 1
    page.locator("#opened").focus()
    page.keyboard.press("End")
    assert opened() == 4
    assert page.locator("[data-step='1']").is_disabled()
    page.locator("#gpus .xy .nsewdrag").first.click()
    expect(page.locator("#opened")).to_have_value("2")
    assert opened() == 2
    page.locator("#forecast .nsewdrag").first.click(position={"x": 5, "y": 5})
    expect(page.locator("#opened")).to_have_value("0")


def test_the_address_opens_a_layer_and_follows_what_is_opened(open_page, pages):
    from playwright.sync_api import expect

    page = open_page(pages / "plan.html")
    page.evaluate("location.hash = '#layer=3&window=2'")
    page.reload()
    page.wait_for_selector("html[data-drawn]", state="attached")
    assert [page.locator(name).input_value() for name in ("#opened", "#window")] == ["3", "2"]
    assert page.locator("#layer-heading").evaluate("heading => heading.getBoundingClientRect().top") < 10
    page.select_option("#opened", "1")
    assert page.url.endswith("#layer=1&window=2")
    page.select_option("#window", "")
    assert page.url.endswith("#layer=1")
    page.evaluate("location.hash = '#layer=4'")
    expect(page.locator("#opened")).to_have_value("4")
    page.evaluate("location.hash = '#layer=99'")
    expect(page.locator("#opened")).to_have_value("4")


def test_a_layer_is_seen_in_the_window_that_is_chosen(open_page, pages, planned):
    page = open_page(pages / "plan.html")
    page.select_option("#opened", "3")
    page.select_option("#window", "1")
    words = page.locator("#opened-words").inner_text()
    for traces, placement in (((0, 1), planned.before), ((2, 3), planned.placement)):
        served = balance(placement, COUNTS[1])
        loads = served.gpu_load[0, 3] / served.mean[0, 3]
        gpus, heights, bases = (
            np.concatenate([drawn(page, "layer", trace, name) for trace in traces]) for name in ("x", "y", "base")
        )
        np.testing.assert_allclose([heights[gpus == gpu].sum() for gpu in range(4)], loads, atol=1e-3)
        np.testing.assert_allclose([(heights + bases)[gpus == gpu].max() for gpu in range(4)], loads, atol=1e-3)
        found = re.search(rf"the busiest GPU, {loads.argmax()}, has ([\d.]+) times the mean", words)
        assert float(found[1]) == pytest.approx(loads.max(), abs=1e-3)
    assert words.startswith("Layer 3, window 1: before, ")
    page.select_option("#window", "")
    assert page.locator("#opened-words").inner_text().startswith("Layer 3: before, ")


def test_columns_of_heat_maps_and_charts_line_up(open_page, pages):
    page = open_page(pages / "plan.html")
    columns = (
        "(name) => { const { xaxis, xaxis2 } = document.getElementById(name)._fullLayout;"
        " return [xaxis, xaxis2].filter(Boolean).flatMap((axis) => [axis._offset, axis._length, ...axis.range]); }"
    )
    for alike in (("gpus", "layer"), ("peaks", "times", "forecast"), ("experts", "copies")):
        first, *others = (page.evaluate(columns, name)[: None if "gpus" in alike else 4] for name in alike)
        for other in others:
            assert other == pytest.approx(first)


def test_tables_can_be_downloaded(open_page, pages, planned):
    page = open_page(pages / "plan.html")
    page.locator("summary").click()
    button = page.get_by_role("button", name="Download as CSV: The figures of every layer")
    with page.expect_download() as download:
        button.press("Enter")
    assert download.value.suggested_filename == "the-figures-of-every-layer.csv"
    with download.value.path().open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head[:3] == ["layer", "PAR before", "PAR after"]
    assert head[-1] == "microseconds after, 64 tokens"
    assert [row[2] for row in rows] == [f"{par:.4f}" for par in planned.par]


def test_four_tiles_stand_in_one_row_or_two_by_two(open_page, pages):
    page = open_page(pages / "plan.html")
    columns = "getComputedStyle(document.querySelector('.numbers')).gridTemplateColumns.split(' ').length"
    assert page.locator(".numbers > div").count() == 4
    found = []
    for width in (1400, 1000, 800, 390):
        page.set_viewport_size({"width": width, "height": 800})
        found.append(page.evaluate(columns))
    page.set_viewport_size(DESKTOP)
    assert found == [4, 2, 2, 1]


@pytest.mark.parametrize("name", ["replay.html", "size.html"])
def test_no_name_at_the_end_of_a_line_covers_another(open_page, pages, name):
    page = open_page(pages / name, NARROW, "dark")
    boxes = page.evaluate(
        "Array.from(document.querySelectorAll('.figure .annotation-text-g text'), (name) => {"
        " const { right, top, bottom } = name.getBoundingClientRect(); return [top, bottom, right]; })"
    )
    top, bottom, right = np.array(sorted(boxes)).T
    assert len(boxes) >= 6
    assert (top[1:] >= bottom[:-1] - 2).all()  # the box of a line of text has room above and below its letters
    assert right.max() <= NARROW["width"]


@pytest.mark.parametrize("name", ["plan.html", "replay.html", "size.html"])
@pytest.mark.parametrize(("viewport", "scheme"), [(DESKTOP, "light"), (NARROW, "dark")], ids=["desktop", "narrow"])
def test_everyone_can_read_it(open_page, pages, name, viewport, scheme, tmp_path):
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(pages / name, viewport, scheme)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    ink = page.evaluate("document.querySelector('.figure text').style.fill")
    assert (ground, ink) == {
        "light": ("rgb(255, 255, 255)", "rgb(29, 33, 38)"),
        "dark": ("rgb(20, 23, 26)", "rgb(232, 234, 237)"),
    }[scheme]


def test_it_prints_on_white_with_figures_as_wide_as_the_paper(open_page, pages):
    from playwright.sync_api import expect

    page = open_page(pages / "plan.html", NARROW, "dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.querySelector('.figure text').style.fill") == "rgb(29, 33, 38)"
    wide = page.evaluate("document.querySelector('#gpus .main-svg').width.baseVal.value")
    assert wide == pytest.approx(180 / 25.4 * 96, abs=1)
    page.emulate_media(media="print")
    heights = page.evaluate("Array.from(document.querySelectorAll('.whole'), (whole) => whole.offsetHeight)")
    page.emulate_media(media="screen")
    assert len(heights) == 9
    assert max(heights) < (279 - 30) / 2 / 25.4 * 96  # two on a page of Letter's height less its margins
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    expect(page.locator("#gpus .main-svg").first).to_have_attribute("width", re.compile(r"3\d\d"))


def test_it_follows_the_readers_choice_of_light_or_dark(open_page, pages):
    from playwright.sync_api import expect

    page = open_page(pages / "plan.html")
    scale = "(name) => document.getElementById(name).layout.coloraxis.colorscale"
    for scheme, one, ink in (("dark", "#353b42", "rgb(232, 234, 237)"), ("light", "#e4e4e4", "rgb(29, 33, 38)")):
        page.emulate_media(color_scheme=scheme)
        for figure in ("gpus", "forecast"):
            expect(page.locator(f"#{figure} text").first).to_have_css("fill", ink)
        expect(page.locator("#moves .heatmap-label text").first).to_have_css("fill", ink)
        assert page.evaluate(scale, "gpus")[1] == [0.5, one]
        assert page.evaluate(scale, "forecast")[0] == [0, one]


def test_without_scripts_the_words_and_numbers_are_there(browser, pages, planned):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((pages / "plan.html").as_uri())
    assert f"{planned.par.mean():.4f}" in page.locator(".verdict").inner_text()
    assert page.locator(".missing").count() == 9
    context.close()


def test_many_layers_and_gpus_stay_legible(open_page, large_page):
    from playwright.sync_api import expect

    page = open_page(large_page)
    for viewport, width, least in ((DESKTOP, r"1\d{3}", 6), (NARROW, r"3\d\d", 2)):
        page.set_viewport_size(viewport)
        for name in ("gpus", "forecast"):
            expect(page.locator(f"#{name} .main-svg").first).to_have_attribute("width", re.compile(width))
        gpus, methods = (
            page.evaluate(
                f"(() => {{ const box = document.querySelector('#{name} .heatmaplayer image');"
                " return [box.width.baseVal.value, box.height.baseVal.value]; })()"
            )
            for name in ("gpus", "forecast")
        )
        assert gpus[0] / 144 >= least
        assert gpus[1] / 94 >= 4
        assert methods[0] / 94 >= least
        assert methods[1] / 8 >= 16
    page.set_viewport_size(DESKTOP)


def test_where_two_sides_would_be_narrow_one_is_shown_and_the_other_a_press_away(open_page, pages, large_page):
    page = open_page(large_page)
    first, second = (
        page.get_by_role("group", name=f"{name}: before or after")
        for name in ("The load of every GPU", "One layer opened")
    )
    assert page.locator("#gpus .heatmaplayer image").count() == 1
    before = drawn(page, "gpus", 0, "customdata")
    first.get_by_role("button", name="After").press("Enter")
    assert second.get_by_role("button", name="After").get_attribute("aria-pressed") == "true"
    after = drawn(page, "gpus", 0, "customdata")
    assert after.max() < before.max()
    assert page.locator("#layer .annotation-text").all_text_contents() == ["after"]
    assert page.locator("#layer .legendtext").count() == 2
    assert not open_page(pages / "plan.html").locator(".sides").first.is_visible()


def test_recorded_loads_make_a_small_page_with_all_its_figures(open_page, real_loads, tmp_path):
    loads, cluster = read_loads(real_loads / "deepseek_v3_sglang_ep.npz"), Cluster(gpus=32, nodes=4, slots_per_gpu=9)
    planned = plan(loads, cluster)
    plan_page(planned, loads, "Recorded loads", [], "equipoise plan").save(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 6_000_000
    page = open_page(tmp_path / "page.html")
    np.testing.assert_allclose(drawn(page, "windows", 1, "y"), balance(planned.placement, loads).par.mean(axis=1))
    chosen = drawn(page, "forecast", 1, "y")
    assert len(chosen) == 58
    assert np.unique(chosen, return_counts=True)[1].max() == max(planned.forecast.used().values())
    assert page.locator("#peaks .scatterlayer .point").count() == 4 * 58
