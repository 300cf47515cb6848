"""The page in a real browser, against a real server with two tiny models.

Drives the Chromium that is installed; nothing is downloaded. Waits for conditions, never for
a time. `browser.new_page` is a fresh visitor: nothing is left of the test before.
"""

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, JSHandle, Page, Route, expect, sync_playwright

from models.bundle import Bundle, new_bundle, seal
from tests.serving import WAIT_S, Server, serving

pytestmark = [pytest.mark.alone, pytest.mark.browser]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = [  # no sandbox: CI runs as root; the rest keeps Chromium itself off the network
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def photo(seed: int) -> bytes:
    """A 64 x 48 photo of noise, PNG."""
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


SAMPLES = {"a.png": photo(100), "b.png": photo(101)}


@pytest.fixture(scope="module")
def origin(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with the models `first` and `second`, two samples each."""
    bundles = [with_samples(tiny_bundle, tmp_path_factory, name) for name in ("first", "second")]
    with serving(*bundles) as server:
        yield f"http://127.0.0.1:{server.port}"


def with_samples(source: Path, places: pytest.TempPathFactory, name: str) -> Path:
    """A copy of a bundle, under another name and with samples of its own."""
    target = places.mktemp("bundles") / name
    samples = [{"name": file, "label": f"the {name} {file[0]}"} for file in SAMPLES]
    manifest = Bundle(source).manifest
    data = manifest.data | {"samples": samples}
    with new_bundle(target) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        shutil.rmtree(folder / "samples", ignore_errors=True)
        (folder / "samples").mkdir()
        for file, content in SAMPLES.items():
            (folder / "samples" / file).write_bytes(content)
        (folder / "manifest.json").unlink()
        seal(folder, manifest.model_copy(update={"name": name, "data": data}), target)
    return target


def ask(origin: str, path: str, data: bytes | None = None) -> tuple[int, Any]:
    """The service's own answer, to compare the page with."""
    return Server(int(origin.rpartition(":")[2])).ask(path, data)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        missing = f"no browser: install one of {', '.join(BROWSERS)} (Debian: apt install chromium)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    expect.set_options(timeout=WAIT_S * 1000)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


def file_in(page: Page, content: bytes, name: str = "mine.png") -> JSHandle:
    """What a drag or the clipboard carries when it holds one file."""
    script = """([bytes, name]) => {
        const carried = new DataTransfer();
        carried.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
        return carried;
    }"""
    return page.evaluate_handle(script, [list(content), name])


def drop(page: Page, content: bytes, name: str = "mine.png") -> None:
    carried = {"dataTransfer": file_in(page, content, name)}
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("main", event, carried)


def paste(page: Page, content: bytes, name: str = "mine.png") -> None:
    script = "f => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: f}))"
    file_in(page, content, name).evaluate(script)


def pick(page: Page, content: bytes, name: str = "mine.png") -> None:
    with page.expect_file_chooser() as chooser:
        page.locator("#choose").click()
    chooser.value.set_files({"name": name, "mimeType": "image/png", "buffer": content})


def open_page(page: Page, address: str) -> None:
    """Open the page and wait until it knows its models: only then can it take a photo."""
    page.goto(address)
    expect(page.locator("#about")).to_be_visible()


def expect_answer(page: Page, origin: str, model: str, content: bytes, caption: str) -> None:
    """The photo of that caption, what the service says of it, and a sheet for every depth."""
    [depths] = [m["depths"] for m in ask(origin, "/models")[1]["models"] if m["name"] == model]
    _, body = ask(origin, f"/models/{model}/predict?top=5", content)
    labels = [prediction["label"] for prediction in body["predictions"]]
    expect(page.locator("#caption")).to_contain_text(caption)
    expect(page.get_by_role("status")).to_contain_text(f"{len(depths)} layers shown")
    expect(page.locator("#prediction-list .label")).to_have_text(labels)
    expect(page.locator(".card h4")).to_have_text(depths)
    widths = page.locator(".card img").evaluate_all("sheets => sheets.map(s => s.naturalWidth)")
    assert len(widths) == len(depths)
    assert min(widths) > 0


@pytest.mark.parametrize("give", [drop, paste, pick])
def test_a_photo_given_shows_the_services_labels_and_a_sheet_for_every_depth(page, origin, give):
    open_page(page, origin)
    give(page, photo(1))
    expect_answer(page, origin, "first", photo(1), caption="mine.png")


def test_a_sample_can_be_picked_with_the_keyboard_alone(page, origin):
    open_page(page, origin)
    sample = page.get_by_role("button", name="the first b")
    for _ in range(20):  # skip link, title, model, report, button, two samples: with room
        page.keyboard.press("Tab")
        if sample.evaluate("button => button === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect_answer(page, origin, "first", SAMPLES["b.png"], caption="the first b")
    assert sample.get_attribute("aria-pressed") == "true"


def test_a_broken_file_shows_the_services_words_and_no_earlier_answer(page, origin):
    broken = b"<html>not a photo</html>"
    status, body = ask(origin, "/models/first/predict?top=5", broken)
    assert 400 <= status < 500
    open_page(page, origin)
    drop(page, photo(1), "good.png")
    expect_answer(page, origin, "first", photo(1), caption="good.png")
    drop(page, broken, "broken.png")
    expect(page.get_by_role("alert")).to_have_text(body["error"]["message"])
    expect(page.locator("#caption")).to_have_text("broken.png")
    expect(page.locator("#prediction-list li")).to_have_count(0)
    expect(page.locator(".card")).to_have_count(0)


def test_an_answer_that_comes_late_is_not_shown_beside_the_next_photo(page, origin):
    held: list[Route] = []
    # Only the first photo's is held: the next one goes through.
    page.route("**/predict?*", lambda route: held.append(route), times=1)
    open_page(page, origin)
    with page.expect_request("**/predict?*"):
        drop(page, photo(1), "slow.png")
    drop(page, photo(2), "next.png")
    expect_answer(page, origin, "first", photo(2), caption="next.png")
    late = {"predictions": [{"label": "too late", "probability": 1}]}
    held[0].fulfill(json=late)
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
    page.get_by_role("button", name="the second b").click()
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
    with page.expect_request("**/models/second/predict?*"):
        page.get_by_role("combobox", name="Model").select_option("second")
    expect_answer(page, origin, "second", photo(1), caption="mine.png")
    expect(page.get_by_role("button", name="the second a")).to_be_visible()
    assert page.url == f"{origin}/?model=second"


def test_a_model_the_service_does_not_have_is_named_and_the_first_is_shown(page, origin):
    open_page(page, f"{origin}/?model=third&sample=a.png")
    expect(page.get_by_role("alert")).to_contain_text("There is no model “third” here")
    expect(page.get_by_role("combobox", name="Model")).to_have_value("first")


def test_a_sheet_that_fails_says_why_in_its_place_and_the_others_are_shown(page, origin):
    [first, *others] = ask(origin, "/models")[1]["models"][0]["depths"]
    error = {"error": {"code": "internal", "message": "this sheet went wrong"}}
    page.route(f"**/activations/{first}?*", lambda route: route.fulfill(status=503, json=error))
    open_page(page, f"{origin}/?model=first&sample=a.png")
    expect(page.get_by_role("status")).to_contain_text(f"{len(others)} layers shown")
    expect(page.locator(".card").first.locator(".tiles")).to_have_text("this sheet went wrong")
    expect(page.locator(".card img")).to_have_count(len(others))


def test_a_busy_service_is_asked_again(page, origin):
    error = {"error": {"code": "too_many_requests", "message": "busy"}}
    refuse = {"status": 429, "headers": {"Retry-After": "1"}, "json": error}
    page.route("**/predict?*", lambda route: route.fulfill(**refuse), times=1)
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
    assert any("/activations/" in url for url in asked)


@pytest.mark.parametrize("width", [390, 1024, 1600])
def test_nothing_scrolls_sideways(page, origin, width):
    page.set_viewport_size({"width": width, "height": 844})
    open_page(page, origin)
    spare = "document.documentElement.clientWidth - document.documentElement.scrollWidth"
    assert page.evaluate(spare) == 0
    drop(page, photo(1), name="a-file-name-without-any-place-to-break-" * 4 + ".png")
    expect_answer(page, origin, "first", photo(1), caption="a-file-name")
    assert page.evaluate(spare) == 0
