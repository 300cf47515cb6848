"""The page in a real browser, against a real server with two tiny models without insight.

How a photo comes in, the answer to it, the address and what goes wrong; test_page_explorer.py
opens the layers.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from models.bundle import Bundle, seal
from models.bundles.calibration import FamiliarityThreshold, PredictionSet, Thresholds
from models.mosaic import EMBER
from tests.browsing import (
    SAMPLES,
    ask,
    drop,
    open_page,
    paste,
    photo,
    pick,
    tab_to,
    with_samples,
)
from tests.serving import ROOT, serving

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def origin(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with the models `first` and `second`, two samples each."""
    place = tmp_path_factory.mktemp("bundles")
    with serving(*[with_samples(tiny_bundle, place / name) for name in ("first", "second")]) as it:
        yield f"http://127.0.0.1:{it.port}"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


def expect_answer(page: Page, origin: str, model: str, content: bytes, caption: str) -> None:
    """The photo of that caption, what the service says of it, and a box drawn for every layer."""
    _, body = ask(origin, f"/models/{model}/activations?top=5", content)
    labels = [prediction["label"] for prediction in body["predictions"]]
    names = [layer["name"] for layer in body["layers"]]
    expect(page.locator("#frame figcaption")).to_contain_text(caption)
    expect(page.get_by_role("status")).to_contain_text(f"{len(names)} layers shown")
    expect(page.locator("#prediction-list .label")).to_have_text(labels)
    expect(page.locator("#boxes button canvas")).to_have_count(len(names))
    drawn = page.locator("#boxes button").evaluate_all("boxes => boxes.map(b => b.dataset.layer)")
    assert drawn == names


def test_every_module_is_fetched_with_the_page_and_not_one_after_the_other():
    page = ROOT / "service" / "page"
    named = re.findall(r'modulepreload" href="page/(\w+)\.js"', (page / "index.html").read_text())
    assert named == sorted(file.stem for file in page.glob("*.js") if file.stem != "page")


def test_the_tour_of_the_page_names_every_file():
    page = ROOT / "service" / "page"
    tour = (page / "page.js").read_text(encoding="utf-8").partition("*/")[0]
    assert sorted(re.findall(r"([a-z]+)\.js\b", tour)) == sorted(
        file.stem for file in page.glob("*.js") if file.stem != "page"
    )


def test_a_map_has_the_colours_of_the_services_sheets(page, origin):
    open_page(page, origin)
    drawn = page.evaluate("""async () => {
        const { paint } = await import(new URL("page/ember.js", document.baseURI));
        const levels = Uint8Array.from({ length: 256 }, (_, level) => level);
        const canvas = paint(document.createElement("canvas"), { levels, width: 256, height: 1 });
        return [...canvas.getContext("2d").getImageData(0, 0, 256, 1).data];
    }""")
    found = np.array(drawn).reshape(256, 4)
    assert np.abs(found[:, :3] - EMBER.astype(int)).max() <= 1  # fractions are cut off
    assert (found[:, 3] == 255).all()


@pytest.mark.parametrize("give", [drop, paste, pick])
def test_a_photo_given_shows_the_services_labels_and_a_box_for_every_layer(page, origin, give):
    open_page(page, origin)
    give(page, photo(1))
    expect_answer(page, origin, "first", photo(1), caption="mine.png")


def test_a_sample_can_be_picked_with_the_keyboard_alone(page, origin):
    open_page(page, origin)
    tab_to(page, "#samples [data-sample='b.png']")
    page.keyboard.press("Enter")
    expect_answer(page, origin, "first", SAMPLES["b.png"], caption="the first b")
    sample = page.locator("#samples").get_by_role("button", name="the first b")
    assert sample.get_attribute("aria-pressed") == "true"


def test_a_broken_file_shows_the_services_words_and_no_earlier_answer(page, origin):
    broken = b"<html>not a photo</html>"
    status, body = ask(origin, "/models/first/activations?top=5", broken)
    assert 400 <= status < 500
    open_page(page, origin)
    drop(page, photo(1), "good.png")
    expect_answer(page, origin, "first", photo(1), caption="good.png")
    drop(page, broken, "broken.png")
    expect(page.get_by_role("alert")).to_have_text(body["error"]["message"])
    expect(page.locator("#frame figcaption")).to_have_text("broken.png")
    for left in ("#predictions", "#saliency", "#strip", "#overview"):
        expect(page.locator(left)).to_be_hidden()


def test_a_service_that_is_gone_is_said_in_words(page, origin):
    page.route("**/activations?*", lambda route: route.abort())
    open_page(page, f"{origin}/?model=first&sample=a.png")
    expect(page.get_by_role("alert")).to_contain_text("No answer from the service")
    expect(page.locator("#predictions")).to_be_hidden()
    page.unroute_all()
    page.locator("#samples").get_by_role("button", name="the first b").click()
    expect_answer(page, origin, "first", SAMPLES["b.png"], caption="the first b")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_an_answer_that_comes_late_is_not_shown_beside_the_next_photo(page, origin):
    held: list[Route] = []
    # Only the first photo's is held: the next one goes through.
    page.route("**/activations?*", lambda route: held.append(route), times=1)
    open_page(page, origin)
    with page.expect_request("**/activations?*"):
        drop(page, photo(1), "slow.png")
    drop(page, photo(2), "next.png")
    expect_answer(page, origin, "first", photo(2), caption="next.png")
    _, late = ask(origin, "/models/first/activations?top=5", photo(1))
    held[0].fulfill(json=late | {"predictions": [{"label": "too late", "probability": 1}]})
    page.evaluate("fetch('/v2/health/live').then(r => r.text())")  # a round trip after it
    expect_answer(page, origin, "first", photo(2), caption="next.png")


def test_the_address_brings_the_view_back_after_a_reload_and_by_back_and_forward(page, origin):
    address = f"{origin}/?model=second&sample=a.png"
    open_page(page, address)
    expect_answer(page, origin, "second", SAMPLES["a.png"], caption="the second a")
    page.reload()
    expect_answer(page, origin, "second", SAMPLES["a.png"], caption="the second a")
    expect(page.get_by_role("combobox", name="Model")).to_have_value("second")
    assert page.url == address
    page.locator("#samples").get_by_role("button", name="the second b").click()
    expect_answer(page, origin, "second", SAMPLES["b.png"], caption="the second b")
    assert page.url == f"{origin}/?model=second&sample=b.png"
    page.go_back()
    expect_answer(page, origin, "second", SAMPLES["a.png"], caption="the second a")
    drop(page, photo(3), "third.png")
    expect_answer(page, origin, "second", photo(3), caption="third.png")
    assert page.url == f"{origin}/?model=second"  # a photo of one's own has no address
    page.go_back()
    page.go_forward()
    expect_answer(page, origin, "second", photo(3), caption="third.png")


def test_the_photo_stays_when_the_model_is_changed(page, origin):
    open_page(page, origin)
    drop(page, photo(1))
    expect_answer(page, origin, "first", photo(1), caption="mine.png")
    with page.expect_request("**/models/second/activations?*"):
        page.get_by_role("combobox", name="Model").select_option("second")
    expect_answer(page, origin, "second", photo(1), caption="mine.png")
    expect(page.locator("#samples").get_by_role("button", name="the second a")).to_be_visible()
    assert page.url == f"{origin}/?model=second"


def test_a_model_the_service_does_not_have_is_named_and_the_first_is_shown(page, origin):
    open_page(page, f"{origin}/?model=third&sample=a.png")
    expect(page.get_by_role("alert")).to_contain_text("There is no model “third” here")
    expect(page.get_by_role("combobox", name="Model")).to_have_value("first")


def test_a_class_chosen_is_explained_and_stands_in_the_address(page, origin):
    open_page(page, f"{origin}/?model=first&sample=a.png")
    expect_answer(page, origin, "first", SAMPLES["a.png"], caption="the first a")
    best, second = page.locator("#prediction-list .label").all_text_contents()[:2]
    expect(page.locator("#saliency-title")).to_have_text(f"What speaks for “{best}”")
    page.locator("#prediction-list button").nth(1).click()
    expect(page.locator("#saliency-title")).to_have_text(f"What speaks for “{second}”")
    expect(page.locator("#prediction-list button").nth(1)).to_have_attribute("aria-pressed", "true")
    assert page.url == f"{origin}/?model=first&sample=a.png&label={second}"
    page.go_back()
    expect(page.locator("#saliency-title")).to_have_text(f"What speaks for “{best}”")


def test_saliency_can_be_taken_off_the_photo_and_made_finer(page, origin):
    open_page(page, f"{origin}/?model=first&sample=a.png")
    overlay = page.locator("#frame canvas")
    expect(overlay).to_be_visible()
    coarse = overlay.evaluate("map => map.width")
    with page.expect_request("**/saliency?*method=masks"):
        page.get_by_role("button", name="Finer").click()
    expect(page.locator("#saliency")).to_have_attribute("aria-busy", "false")
    assert overlay.evaluate("map => map.width") > coarse
    page.get_by_role("checkbox", name="Show").uncheck()
    expect(overlay).to_be_hidden()


def test_a_model_without_insight_says_how_to_add_it_and_shows_its_maps(page, origin):
    layer = ask(origin, "/models/first/activations", SAMPLES["a.png"])[1]["layers"][0]
    open_page(page, f"{origin}/?model=first&sample=a.png&layer={layer['name']}")
    expect(page.locator("#layer-hint")).to_contain_text("python -m training insight BUNDLE PHOTOS")
    expect(page.locator("#channels canvas")).to_have_count(layer["channels"])
    expect(page.locator("#sorts button", has_text="Selectivity")).to_have_count(0)
    page.locator("#channels button").first.click()
    expect(page.locator("#channel-hint")).to_contain_text("python -m training insight")
    expect(page.locator("#channel-maps canvas.laid")).to_be_visible()


def test_a_busy_service_is_asked_again(page, origin):
    error = {"error": {"code": "too_many_requests", "message": "busy"}}
    refuse = {"status": 429, "headers": {"Retry-After": "1"}, "json": error}
    page.route("**/activations?*", lambda route: route.fulfill(**refuse), times=1)
    open_page(page, f"{origin}/?model=first&sample=a.png")
    expect_answer(page, origin, "first", SAMPLES["a.png"], caption="the first a")


def test_the_page_is_silent_and_asks_nobody_but_its_own_server(page, origin):
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    open_page(page, f"{origin}/?model=first&sample=a.png")
    expect_answer(page, origin, "first", SAMPLES["a.png"], caption="the first a")
    drop(page, photo(1))
    expect_answer(page, origin, "first", photo(1), caption="mine.png")
    assert said == []
    own = (f"{origin}/", f"blob:{origin}/", "data:")  # blob and data: nothing leaves the page
    assert [url for url in asked if not url.startswith(own)] == []
    assert sum("/activations?" in url for url in asked) == 2  # one request a photo


@pytest.mark.parametrize("width", [390, 1024, 1600])
def test_nothing_scrolls_sideways(page, origin, width):
    page.set_viewport_size({"width": width, "height": 844})
    open_page(page, origin)
    spare = "document.documentElement.clientWidth - document.documentElement.scrollWidth"
    assert page.evaluate(spare) == 0
    drop(page, photo(1), name="a-file-name-without-any-place-to-break-" * 4 + ".png")
    expect_answer(page, origin, "first", photo(1), caption="a-file-name")
    assert page.evaluate(spare) == 0


@pytest.fixture(scope="module")
def wary(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the models `familiar` and `strange`: every photo is one of the two to them."""
    place = tmp_path_factory.mktemp("wary")
    bundles = []
    for name, least in (("familiar", -1.0), ("strange", 2.0)):
        bundle = with_samples(tiny_bundle, place / name)
        manifest = Bundle(bundle).manifest
        arrays = np.eye(16, dtype=np.float32)
        np.savez(bundle / "familiarity.npz", directions=arrays, photos=arrays)
        (bundle / "manifest.json").unlink()
        chosen = PredictionSet(coverage=0.9, least_probability=0.0)
        known = FamiliarityThreshold(neighbours=1, least=least)
        thresholds = Thresholds(prediction_set=chosen, familiarity=known)
        seal(bundle, manifest.model_copy(update={"thresholds": thresholds, "files": {}}), bundle)
        bundles.append(bundle)
    with serving(*bundles) as it:
        yield f"http://127.0.0.1:{it.port}"


def test_the_page_says_what_a_photo_may_be_unless_it_is_unlike_those_of_training(page, wary):
    open_page(page, wary)
    pick(page, photo(1))
    expect(page.locator("#prediction-set")).to_contain_text("right for 90% of photos")
    for label in ("apple", "pear", "plum"):  # each of them is probable enough
        expect(page.locator("#prediction-set")).to_contain_text(label)
    expect(page.locator("#strange")).to_be_hidden()
    open_page(page, f"{wary}/?model=strange")
    pick(page, photo(1))
    expect(page.locator("#strange")).to_contain_text("unlike the photos the model was trained on")
    expect(page.locator("#prediction-set")).to_be_hidden()
    expect(page.get_by_role("status")).to_contain_text("Unlike the training photos")
