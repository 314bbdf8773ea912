"""The pages in a browser without a network: what is drawn, how a layer opens, and who can read it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from equipoise import Cluster, balance, plan
from equipoise.policies import FewMoves, Never
from equipoise.report.page import Table
from equipoise.report.plan_page import plan_page
from equipoise.report.simulation_page import simulation_page
from equipoise.simulate import simulate
from tests.report.conftest import CLUSTER, COUNTS

DESKTOP, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def pages(planned, tmp_path_factory):
    """Files of a plan's page and of a replay's."""
    folder = tmp_path_factory.mktemp("pages")
    plan_page(planned, "A plan", [("groups", "1")], "equipoise plan").save(folder / "plan.html")
    policies = {"never": Never(), "few moves": FewMoves(5)}
    replays = {name: simulate(COUNTS, CLUSTER, policy) for name, policy in policies.items()}
    table = Table("The policies", ("policy", "PAR"), [(name, f"{replays[name].par.mean():.4f}") for name in policies])
    simulation_page(replays, policies, table, "A replay", [], "equipoise simulate").save(folder / "replay.html")
    return folder


@pytest.fixture
def open_page(browser):
    """Open a file with the network off; whatever the browser complains of fails the test."""
    contexts, complaints = [], []

    def opened(path, viewport=DESKTOP, scheme="light", **options):
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme, offline=True, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url == path.as_uri() or complaints.append(request.url[:80]))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-drawn]", state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
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
    assert page.locator("#gpus .heatmaplayer image").count() == 2
    assert page.locator("#peaks .scatterlayer .point").count() == 4 * 5
    assert page.locator("#layer .barlayer .point").count() == 2 * CLUSTER.slots
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


@pytest.mark.parametrize("name", ["plan.html", "replay.html"])
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

    page = open_page(pages / "plan.html", scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.querySelector('.figure text').style.fill") == "rgb(29, 33, 38)"
    wide = page.evaluate("document.querySelector('#gpus .main-svg').width.baseVal.value")
    assert wide == pytest.approx(180 / 25.4 * 96, abs=1)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    expect(page.locator("#gpus .main-svg").first).to_have_attribute("width", re.compile(r"1\d{3}"))


def test_without_scripts_the_words_and_numbers_are_there(browser, pages, planned):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((pages / "plan.html").as_uri())
    assert f"{planned.par.mean():.4f}" in page.locator(".verdict").inner_text()
    assert page.locator(".missing").count() == 6
    context.close()


def test_many_layers_and_gpus_stay_legible_and_the_page_small(open_page, tmp_path):
    counts = np.random.default_rng(0).lognormal(3, 1, (94, 128)).round()
    large = plan(counts, Cluster(gpus=144, nodes=18, slots_per_gpu=1), effort="fast")
    plan_page(large, "A large plan", [], "equipoise plan").save(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 6_000_000
    for viewport, least in ((DESKTOP, 6), (NARROW, 2)):
        page = open_page(tmp_path / "page.html", viewport)
        cell = page.evaluate(
            "(() => { const box = document.querySelector('#gpus .heatmaplayer image');"
            " return [box.width.baseVal.value / 144, box.height.baseVal.value / 94]; })()"
        )
        assert cell[0] >= least
        assert cell[1] >= 4
