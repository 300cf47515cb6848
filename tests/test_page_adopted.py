"""An adopted model in a real browser: the guide's cats and dogs, and a network without photos."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsing import ask, open_page, photo, pick, visiting
from tests.foreign import sequential
from tests.foreign_files import liven
from tests.pets import adopt_recipe
from tests.serving import serving
from training.adopt.adopt import adopt
from training.adopt.config import AdoptConfig
from training.settings.console import Stages

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundles `pets`, measured on photos, and `plain`: three classes, and a Flatten head."""
    place = tmp_path_factory.mktemp("adopted")
    adopt_recipe(place)
    liven(sequential()).save(place / "plain.h5")
    names = "ant,bee,cow"
    adopt(place / "plain.h5", names, place / "plain", None, AdoptConfig(), Stages(quiet=True))
    return place


@pytest.fixture(scope="module")
def origin(place: Path) -> Iterator[str]:
    with serving(place / "pets", place / "plain") as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with visiting(browser) as opened:
        yield opened


def expect_answer(page: Page, origin: str, model: str, content: bytes) -> dict:
    """The labels that the service gives the photo, and a box drawn for every layer."""
    _, body = ask(origin, f"/models/{model}/activations?top=5", content)
    labels = [prediction["label"] for prediction in body["predictions"]]
    expect(page.locator("#prediction-list .label")).to_have_text(labels)
    expect(page.locator("#boxes button canvas")).to_have_count(len(body["layers"]))
    expect(page.locator("#frame canvas")).to_be_visible()  # its saliency
    return body


@pytest.mark.parametrize("animal", ["cat", "dog"])
def test_the_recipes_answer_is_shown_for_a_photo_of_ones_own(animal, page, origin, place):
    content = (place / "photos" / animal / "0.jpg").read_bytes()
    open_page(page, origin)
    pick(page, content)
    body = expect_answer(page, origin, "pets", content)
    assert {one["label"] for one in body["predictions"]} == {"cat", "dog"}
    best = body["predictions"][0]["label"]
    expect(page.locator("#saliency-title")).to_have_text(f"What speaks for “{best}”")
    expect(page.locator("#saliency-words")).to_contain_text("Bright: without this part")


def test_the_recipes_layers_are_opened_down_to_what_a_channel_detects(page, origin, place):
    content = (place / "photos/cat/1.jpg").read_bytes()
    open_page(page, origin)
    pick(page, content)
    body = expect_answer(page, origin, "pets", content)
    for layer in body["layers"]:  # of the backbone, which was nested in the file
        page.locator(f"#boxes [data-layer='{layer['name']}']").click()
        expect(page.locator("#layer-title")).to_have_text(layer["name"])
        expect(page.locator("#channels canvas")).to_have_count(layer["channels"])
    page.locator("#channels button").first.click()
    expect(page.locator("#channel-maps canvas.laid")).to_be_visible()
    expect(page.locator("#numbers dd").first).to_be_visible()  # measured on the photos


def test_the_recipes_own_samples_and_accuracy_are_on_the_page(page, origin):
    open_page(page, origin)
    page.locator("#samples button").first.click()
    expect(page.locator("#prediction-list .label")).to_have_count(2)
    accuracy = ask(origin, "/models/pets")[1]["accuracy"]
    expect(page.locator("#about")).to_contain_text("Test accuracy")
    expect(page.locator("#about")).not_to_contain_text("not measured")
    assert accuracy > 0.8


def test_a_network_adopted_without_photos_says_what_is_not_known(page, origin):
    open_page(page, f"{origin}/?model=plain")
    expect(page.locator("#about")).to_contain_text("not measured")
    pick(page, photo(1))
    expect_answer(page, origin, "plain", photo(1))
    expect(page.locator("#saliency-words")).to_contain_text("parts of the photo are hidden instead")
    expect(page.locator("#saliency-finer")).to_be_hidden()
