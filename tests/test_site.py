"""The site that docs/ becomes: built strictly, complete, and read from disk without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

import equipoise
from tests.pages import ROOT

pytest.importorskip("material")
pytest.importorskip("mkdocstrings")

PAGES = [page.stem for page in sorted((ROOT / "docs").glob("*")) if page.suffix in (".md", ".ipynb")]
DESKTOP, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Return the folder of the built site; whatever MkDocs warns of fails."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    quiet = {"NO_MKDOCS_2_WARNING": "1"}  # Material's word on its successor
    built = subprocess.run(command, cwd=ROOT, env=os.environ | quiet, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    return folder


class Assets(HTMLParser):
    """What a page fetches to be shown."""

    def __init__(self, html):
        super().__init__()
        self.names = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        fetched = {"link": "href"}.get(tag, "src")
        self.names += [value for name, value in attributes if name == fetched]


@pytest.mark.parametrize("page", [*PAGES, "404"])
def test_a_page_fetches_nothing_from_a_network(site, page):
    assets = Assets((site / f"{page}.html").read_text(encoding="utf-8")).names
    assert assets
    assert [name for name in assets if re.match(r"(https?:)?//", name)] == []


def test_no_style_fetches_anything_from_a_network(site):
    styles = "\n".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert "--md-primary-fg-color" in styles
    assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//.+", styles) == []


def test_the_api_has_every_public_name(site):
    page = (site / "api.html").read_text(encoding="utf-8")
    assert [name for name in equipoise.__all__ if f'id="equipoise.{name}"' not in page] == []


def test_the_api_shows_no_markup_and_roles_are_links(site):
    page = (site / "api.html").read_text(encoding="utf-8")
    assert re.findall(r":\w+:(?:<code>|`)|``\[", page) == []
    assert 'href="#equipoise.Scenarios.folded"' in page  # as plan()'s docstring says


def test_the_notebook_is_a_page_with_what_it_printed_and_drew(site):
    page = (site / "tour.html").read_text(encoding="utf-8")
    assert "16 windows, 58 layers, 256 experts" in page
    assert 'src="data:image/png;base64,' in page
    assert 'href="re-planning.html"' in page


@pytest.fixture
def open_page(browser, site):
    """Open a page of the site from disk with the network off; whatever the browser complains of fails the test."""
    contexts, complaints = [], []

    def opened(page, viewport=DESKTOP, scheme="light"):
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme, offline=True))
        shown = contexts[-1].new_page()
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("request", lambda request: request.url.startswith("file:") or complaints.append(request.url))
        shown.goto((site / f"{page}.html").as_uri())
        return shown

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("page", PAGES)
def test_a_narrow_page_scrolls_down_only(open_page, page):
    shown = open_page(page, NARROW)
    assert shown.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize(("scheme", "name"), [("light", "default"), ("dark", "slate")])
def test_the_site_follows_the_readers_light_or_dark(open_page, scheme, name):
    shown = open_page("index", scheme=scheme)
    assert shown.get_attribute("body", "data-md-color-scheme") == name


def test_search_works_from_disk(open_page):
    shown = open_page("index")
    shown.click("[data-md-component=search-query]")
    shown.keyboard.type("generate_eplb_config.py")
    shown.wait_for_selector(".md-search-result__link")
    assert "tensorrt-llm.html" in shown.get_attribute(".md-search-result__link", "href")


def test_what_is_copied_has_no_prompts_and_no_results(open_page):
    shown = open_page("how-it-works")
    code = shown.locator(".highlight code:has(.gp)").first
    assert ">>>" in code.inner_text()
    code.evaluate("(code) => code.setAttribute('data-md-copying', '')")  # as the button does
    copied = code.inner_text()
    assert copied.startswith("from equipoise import Cluster, plan\nresult = plan(")
    assert "[[1, 2, 1, 2, 2, 1]]" not in copied
