"""A browser for tests of the page: the Chromium that is installed; nothing is downloaded.

Waits for conditions, never for a time. A page opened here is a fresh visitor: nothing is left
of the test before.
"""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, JSHandle, Page, expect, sync_playwright

from models.bundle import Bundle, new_bundle, seal
from tests.serving import WAIT_S, Server

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


@contextmanager
def browsing() -> Iterator[Browser]:
    """The browser of this machine; without one the test is skipped, in CI it fails."""
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


@contextmanager
def visiting(browser: Browser, expected: str | None = None) -> Iterator[Page]:
    """A visitor; what the page says on the console fails the test.

    Args:
        expected: words of what may be said.
    """
    opened = browser.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    opened.close()
    assert [words for words in said if expected is None or expected not in words] == []


def with_samples(source: Path, target: Path) -> Path:
    """A copy of a bundle, named after its place and with samples of its own."""
    samples = [{"name": file, "label": f"the {target.name} {file[0]}"} for file in SAMPLES]
    manifest = Bundle(source).manifest
    data = manifest.data | {"samples": samples}
    with new_bundle(target) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        shutil.rmtree(folder / "samples", ignore_errors=True)
        (folder / "samples").mkdir()
        for file, content in SAMPLES.items():
            (folder / "samples" / file).write_bytes(content)
        (folder / "manifest.json").unlink()
        seal(folder, manifest.model_copy(update={"name": target.name, "data": data}), target)
    return target


def ask(origin: str, path: str, data: bytes | None = None) -> tuple[int, Any]:
    """The service's own answer, to compare the page with."""
    return Server(int(origin.rpartition(":")[2])).ask(path, data)


def open_page(page: Page, address: str) -> None:
    """Open the page and wait until it knows its models: only then can it take a photo."""
    page.goto(address)
    expect(page.locator("#about")).to_be_visible()


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


def pick(page: Page, content: bytes, name: str = "mine.png", button: str = "#choose") -> None:
    with page.expect_file_chooser() as chooser:
        page.locator(button).click()
    chooser.value.set_files({"name": name, "mimeType": "image/png", "buffer": content})


def tab_to(page: Page, selector: str, key: str = "Tab") -> None:
    """Press Tab until the focus is on `selector`, as someone without a mouse does."""
    for _ in range(40):  # more than the page has stops on the way
        page.keyboard.press(key)
        if page.locator(f"{selector}:focus").count():
            return
    raise AssertionError(f"Tab does not reach {selector}")
