"""The report in a browser: with the network off, by keyboard, on a phone, in the dark."""

from dataclasses import replace

import pytest
from playwright.sync_api import Browser, expect

from tests.test_report import BEHIND, EXPLAINED, written

pytestmark = pytest.mark.browser
LONG = "x" * 300


def test_a_cell_opens_its_photos_by_keyboard_and_closes_again(browser: Browser, tmp_path):
    written(tmp_path, ["cat", "dog"], gallery=BEHIND)
    page = browser.new_page(offline=True)
    page.goto((tmp_path / "report.html").as_uri())
    photos = page.locator("#cell-1-0")
    expect(photos).to_be_hidden()
    page.get_by_role("button", name="1 of dog taken for cat").focus()
    page.keyboard.press("Enter")
    expect(photos).to_be_visible()
    image = photos.get_by_role("img")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 40
    page.keyboard.press("Escape")
    expect(photos).to_be_hidden()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_sticks_out_however_long_the_names(browser: Browser, tmp_path, width, scheme):
    mistake = replace(EXPLAINED, truth=LONG, predicted="שלום", name=f"{LONG}.png")
    written(tmp_path, [LONG, "שלום"], mistakes=[mistake])
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.goto((tmp_path / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(18, 23, 30)") is (scheme == "dark")
    page.close()
