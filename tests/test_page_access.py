"""Every view of the page through axe, light and dark: nothing serious, nothing critical.

The tool finds what a machine can find; the keyboard is tested in test_page_explorer.py.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, expect

from tests.browsing import ask, open_page, with_samples
from tests.serving import serving

pytestmark = pytest.mark.browser

VIEWS = {  # the address -> what is there once the view is complete
    "": "#overview h3",
    "?sample=a.png": "#boxes canvas",
    "?sample=a.png&layer={last}": "#channels canvas",
    "?sample=a.png&layer={last}&channel=1": "#numbers dd",
    "?sample=a.png&with=b.png&layer={last}&channel=1": "#channel-maps figure + figure",
    "?layer={last}&channel=1": "#numbers dd",
    "?model=nowhere": "#trouble:not(:empty)",
}


@pytest.fixture(scope="module")
def origin(insight_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = tmp_path_factory.mktemp("bundles") / "colours"
    with serving(with_samples(insight_bundle, place)) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(browser: Browser, origin: str, view: str) -> None:
    page = browser.new_page(color_scheme="light", reduced_motion="reduce")
    last = ask(origin, "/layers")[1]["layers"][-1]["name"]
    open_page(page, f"{origin}/{view.format(last=last)}")
    expect(page.locator(VIEWS[view]).first).to_be_visible()
    page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    found = Axe().run(page).response["violations"]
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    found += Axe().run(page).response["violations"]
    page.close()
    check_nothing_serious(found)


def test_the_page_about_the_routes_has_its_style_and_no_complaint(
    browser: Browser, origin: str
) -> None:
    page = browser.new_page(color_scheme="light")
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"{origin}/docs")
    page.get_by_role("link", name="POST /predict").click()
    expect(page.locator("[id='models.predict']")).to_be_in_viewport()
    assert page.evaluate("document.styleSheets.length") == 2
    found = Axe().run(page).response["violations"]
    page.emulate_media(color_scheme="dark")
    found += Axe().run(page).response["violations"]
    page.close()
    assert complaints == []  # such as of the policy
    check_nothing_serious(found)


def check_nothing_serious(found: list[Any]) -> None:
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in serious] == []
