"""The layer explorer in a real browser: a tiny model with insight, its layers and channels."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from tests.browsing import (
    SAMPLES,
    ask,
    drop,
    open_page,
    photo,
    pick,
    tab_to,
    visiting,
    with_samples,
)
from tests.serving import serving

pytestmark = pytest.mark.browser
VIEW = "model=colours&sample=a.png"


@pytest.fixture(scope="module")
def bundle(insight_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_samples(insight_bundle, tmp_path_factory.mktemp("bundles") / "colours")


@pytest.fixture(scope="module")
def origin(bundle: Path) -> Iterator[str]:
    with serving(bundle) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def answer(origin: str) -> Any:
    """What the service says of the sample a.png."""
    return ask(origin, "/activations", SAMPLES["a.png"])[1]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with visiting(browser, "status of 415") as opened:  # the browser's, of a photo refused
        yield opened


def order_on(page: Page) -> list[int]:
    """The channels in the order of the grid."""
    return page.locator("#channels button").evaluate_all("all => all.map(t => +t.dataset.channel)")


def brightest(page: Page, canvas: str) -> tuple[int, int]:
    """The row and column of the brightest pixel of a canvas."""
    script = """canvas => {
        const {width, height} = canvas;
        const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
        const sums = Array.from({length: width * height},
            (_, at) => data[4 * at] + data[4 * at + 1] + data[4 * at + 2]);
        const at = sums.indexOf(Math.max(...sums));
        return [Math.floor(at / width), at % width];
    }"""
    row, column = page.locator(canvas).first.evaluate(script)
    return row, column


def test_layers_and_channels_are_walked_without_asking_for_the_photo_again(page, origin, answer):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    open_page(page, f"{origin}/?{VIEW}")
    for layer in answer["layers"]:
        page.locator(f"#boxes [data-layer='{layer['name']}']").click()
        expect(page.locator("#layer-title")).to_have_text(layer["name"])
        expect(page.locator("#channels canvas")).to_have_count(layer["channels"])
    page.locator("#channels button").first.click()
    expect(page.locator("#channel-maps canvas.laid")).to_be_visible()
    page.get_by_role("button", name="Next channel").click()
    page.go_back()
    page.go_back()
    expect(page.locator("#channels button").first).to_be_visible()
    assert asked.count("POST") == 1


def test_a_tile_is_brightest_where_the_network_answered_most(page, origin, answer):
    layer = answer["layers"][0]
    channel = int(np.argmax(layer["peaks"]))
    sheet = np.array(Image.open(io.BytesIO(base64.b64decode(layer["sheet"]))))
    height, width = layer["height"], layer["width"]
    down, right = divmod(channel, layer["columns"])
    levels = sheet[down * height :, right * width :][:height, :width]
    row, column = divmod(int(levels.argmax()), width)
    open_page(page, f"{origin}/?{VIEW}&layer={layer['name']}&scale=channel")
    tile = f"#channels [data-channel='{channel}'] canvas"
    expect(page.locator(tile)).to_be_visible()
    assert brightest(page, tile) == (row, column)


@pytest.mark.parametrize(("title", "name"), [("Strength", "strengths"), ("Effect", "effects")])
def test_channels_are_sorted_by_the_services_numbers(page, origin, answer, title, name):
    layer = answer["layers"][-1]
    open_page(page, f"{origin}/?{VIEW}&layer={layer['name']}&sort=index")
    expect(page.locator("#channels button")).to_have_count(layer["channels"])
    assert order_on(page) == list(range(layer["channels"]))
    page.locator("#sorts button", has_text=title).click()
    expect(page.locator("#sorts [aria-pressed='true']")).to_contain_text(title)
    values = np.array(layer[name])
    assert order_on(page) == np.argsort(-values, kind="stable").tolist()
    assert f"sort={title.lower()}" in page.url


def test_the_keyboard_alone_walks_to_a_channel_and_back(page, origin, answer):
    second = answer["layers"][1]["name"]
    open_page(page, f"{origin}/?{VIEW}")
    expect(page.locator("#boxes canvas").last).to_be_visible()
    tab_to(page, "#boxes button")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#layer-title")).to_have_text(second)
    tab_to(page, "#channels button")
    page.keyboard.press("ArrowRight")
    channel = order_on(page)[1]
    page.keyboard.press("Enter")
    expect(page.locator("#channel-title")).to_have_text(f"Channel {channel}")
    expect(page.locator("#channel-title")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(f"#channels [data-channel='{channel}']")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(f"#boxes [data-layer='{second}']")).to_be_focused()
    expect(page.locator("#overview")).to_be_visible()
    assert page.url == f"{origin}/?{VIEW}"


def test_the_address_of_a_channel_shows_the_same_after_a_restart(page, bundle, origin, answer):
    layer = answer["layers"][-1]["name"]
    open_page(page, f"{origin}/?{VIEW}&layer={layer}")
    page.locator("#channels button").nth(2).click()
    expect(page.locator("#channel-words")).not_to_be_empty()
    view, words = page.url.partition("?")[2], page.locator("#channel-words").text_content()
    facts = page.locator("#channel-facts dd").all_text_contents()
    assert f"layer={layer}&channel=" in view
    with serving(bundle) as again:
        open_page(page, f"http://127.0.0.1:{again.port}/?{view}")
        expect(page.locator("#channel-words")).to_have_text(words or "")
        expect(page.locator("#channel-facts dd")).to_have_text(facts)
        expect(page.locator("#channel-maps canvas.laid")).to_be_visible()


def test_a_channel_without_a_photo_shows_what_it_is_known_for(page, origin, answer):
    layer = answer["layers"][-1]["name"]
    channels = ask(origin, f"/layers/{layer}")[1]["channels"]
    alive = next(each["channel"] for each in channels if not each["dead"])
    known = ask(origin, f"/layers/{layer}/channels/{alive}")[1]
    open_page(page, f"{origin}/?model=colours&layer={layer}&channel={alive}")
    said = known["words"][0].upper() + known["words"][1:]
    expect(page.locator("#channel-words")).to_have_text(f"{said}.")
    labels = [each["label"] for each in known["exemplars"]]
    expect(page.locator("#exemplar-list .label")).to_have_text(labels)
    weights = [each["label"] for each in known["facts"]["weights"]]
    expect(page.locator("#weight-list .label")).to_have_text(weights)
    expect(page.locator("#channel-maps canvas")).to_have_count(0)


def test_two_photos_are_compared_in_the_grid_and_in_a_channel(page, origin, answer):
    layer = answer["layers"][0]
    open_page(page, f"{origin}/?{VIEW}&layer={layer['name']}")
    page.locator("#compare-title").click()
    page.locator("#second-samples [data-sample='b.png']").click()
    expect(page.locator("#channels canvas")).to_have_count(2 * layer["channels"])
    assert page.url == f"{origin}/?{VIEW}&layer={layer['name']}&with=b.png"
    expect(page.locator("#second-frame figcaption")).to_contain_text("the colours b")
    page.locator("#channels button").first.click()
    expect(page.locator("#channel-maps .badge")).to_have_text(["A", "B"])
    captions = page.locator("#channel-maps figcaption")
    expect(captions.first).to_contain_text("A: the colours a")
    expect(captions.last).to_contain_text("B: the colours b")
    page.get_by_role("button", name="Stop comparing").click()
    expect(page.locator("#channel-maps figure")).to_have_count(1)
    pick(page, photo(7), "seventh.png", button="#choose-second")
    expect(captions.last).to_contain_text("B: seventh.png")


def test_a_late_answer_never_draws_its_maps_into_the_layer_of_the_next_photo(page, origin, answer):
    layer = answer["layers"][0]["name"]
    held: list[Route] = []
    page.route("**/activations?*", lambda route: held.append(route), times=1)
    open_page(page, f"{origin}/?model=colours&layer={layer}")
    with page.expect_request("**/activations?*"):
        drop(page, photo(1), "slow.png")
    expect(page.locator("#layer")).to_be_hidden()  # what is known of no photo is gone, too
    drop(page, photo(2), "next.png")
    expect(page.locator("#channels canvas").first).to_be_visible()
    _, own = ask(origin, "/activations", photo(2))
    _, late = ask(origin, "/activations", photo(1))
    held[0].fulfill(json=late)
    page.evaluate("fetch('/v2/health/live').then(r => r.text())")  # a round trip after it
    strengths = np.array(own["layers"][0]["strengths"])
    assert order_on(page) == np.argsort(-strengths, kind="stable").tolist()
    expect(page.locator("#frame figcaption")).to_have_text("next.png")


def test_a_second_photo_that_cannot_be_read_leaves_the_first_as_it_is(page, origin, answer):
    open_page(page, f"{origin}/?{VIEW}&layer={answer['layers'][0]['name']}")
    page.locator("#compare-title").click()
    pick(page, b"not a photo", "broken.png", button="#choose-second")
    expect(page.get_by_role("alert")).to_contain_text("The second photo:")
    expect(page.locator("#channels canvas")).to_have_count(answer["layers"][0]["channels"])


def test_many_channels_come_in_steps(page, origin, answer):
    name = answer["layers"][0]["name"]
    wide = {"name": name, "channels": 200, "height": 1, "width": 1}
    buffer = io.BytesIO()
    Image.new("L", (20, 10), 255).save(buffer, "PNG")  # 200 tiles of one pixel
    numbers = {field: [1.0] * 200 for field in ("peaks", "strengths", "effects")}
    sheet = {"sheet": base64.b64encode(buffer.getvalue()).decode(), "columns": 20}
    layers = [answer["layers"][0] | wide | numbers | sheet]
    page.route("**/activations?*", lambda route: route.fulfill(json=answer | {"layers": layers}))
    known = ask(origin, "/layers")[1] | {"layers": [wide]}
    page.route("**/layers", lambda route: route.fulfill(json=known))
    page.route(f"**/layers/{name}", lambda route: route.fulfill(json={"channels": None}))
    open_page(page, f"{origin}/?{VIEW}&layer={name}")
    expect(page.locator("#channels button")).to_have_count(96)
    page.get_by_role("button", name="Show 96 more of 104").click()
    expect(page.locator("#channels button")).to_have_count(192)
    expect(page.locator("#channels button").nth(96)).to_be_focused()
    page.get_by_role("button", name="Show 8 more of 8").click()
    expect(page.locator("#channels button")).to_have_count(200)
    expect(page.locator("#more")).to_be_hidden()


def test_pictures_can_be_saved(page, origin, answer):
    layer = answer["layers"][0]
    open_page(page, f"{origin}/?{VIEW}&layer={layer['name']}")
    expect(page.locator("#channels canvas").first).to_be_visible()
    with page.expect_download() as sheet:
        page.get_by_role("button", name="Save the layer sheet as PNG").click()
    assert sheet.value.suggested_filename == f"a.png-{layer['name']}.png"
    saved = Image.open(io.BytesIO(Path(sheet.value.path()).read_bytes()))
    assert saved.format == "PNG"
    assert saved.width * saved.height >= layer["channels"] * layer["height"] * layer["width"]
    page.locator("#channels button").first.click()
    with page.expect_download() as over:
        page.get_by_role("button", name="Save the map as WebP").click()
    assert Image.open(io.BytesIO(Path(over.value.path()).read_bytes())).format == "WEBP"


@pytest.mark.parametrize(
    ("asked", "said"),
    [("layer=nowhere", "no layer “nowhere”"), ("layer={first}&channel=999", "no channel 999")],
)
def test_a_view_that_is_not_there_is_named(page, origin, answer, asked, said):
    place = asked.format(first=answer["layers"][0]["name"])
    open_page(page, f"{origin}/?{VIEW}&{place}")
    expect(page.get_by_role("alert")).to_contain_text(said)
    expect(page.locator("#prediction-list li").first).to_be_visible()
