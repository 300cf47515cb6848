"""Memory for decoding: estimated from the header, shared by processes, given back by the dead."""

import multiprocessing
import os
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.decoding.decode_cost import memory_needed, read_header
from service.errors import Busy
from service.incoming import decode_memory
from service.incoming.decode_memory import SMALL_BYTES, DecodeMemory
from tests.conftest import encode_photo, paint_photo

FORK = multiprocessing.get_context("fork")
MOST = 25_000_000
PHOTO = paint_photo(60, 90)


@pytest.mark.parametrize(
    ("kind", "options", "found", "bytes_a_pixel"),
    [
        ("JPEG", {}, "JPEG", 4),
        ("JPEG", {"progressive": True}, "PROGRESSIVE", 8.5),
        ("PNG", {}, "PNG", 10),
        ("WEBP", {}, "WEBP", 19),
        ("WEBP", {"lossless": True}, "WEBP", 19),
        ("GIF", {}, "GIF", 6),
        ("BMP", {}, "BMP", 5),
    ],
)
def test_the_size_in_a_header_is_read_without_decoding(kind, options, found, bytes_a_pixel):
    photo = encode_photo(PHOTO, kind, **options)
    assert read_header(photo) == (found, 90, 60)
    assert memory_needed(photo, 64, MOST) == int(90 * 60 * bytes_a_pixel)
    assert read_header(b"in front" + photo, start=8) == (found, 90, 60)  # inside a form
    assert [read_header(photo[:cut]) for cut in range(10)] == [None] * 10


def test_sixteen_bits_transparency_and_a_sized_frame_cost_more_or_the_same():
    deep = encode_photo(Image.fromarray(np.zeros((60, 90), np.uint16)))
    assert read_header(deep) == ("PNG16", 90, 60)
    clear = encode_photo(Image.fromarray(PHOTO).convert("RGBA"), "WEBP", lossless=True)
    assert read_header(clear) == ("WEBP", 90, 60)


def test_a_large_jpeg_is_cheap_because_it_is_decoded_small():
    photo = encode_photo(np.zeros((2400, 2400, 3), np.uint8), "JPEG")
    assert memory_needed(photo, 64, MOST) == 300 * 300 * 4  # an eighth: 2400 / (4 x 64) is over 8
    assert memory_needed(photo, 1024, MOST) == 2400 * 2400 * 4


@pytest.mark.parametrize("kind", ["TIFF", "AVIF"])
def test_a_photo_whose_header_is_not_read_is_taken_to_be_of_the_largest_size(kind):
    assert memory_needed(encode_photo(PHOTO, kind), 224, MOST) == int(14.5 * MOST)


def test_a_photo_over_the_limit_needs_no_memory_because_it_is_refused():
    assert memory_needed(encode_photo(PHOTO), 224, most_pixels=60 * 90 - 1) == 0


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8" + b"\xff" * 99, b"GIF8", b"text", b"RIFF0000WEBPVP8?"]
)
def test_what_is_no_photo_needs_no_memory(data):
    assert memory_needed(data, 224, MOST) == 0


@pytest.fixture
def memory() -> DecodeMemory:
    return DecodeMemory(100_000_000)


def test_a_small_photo_needs_no_room(memory):
    with memory.room(SMALL_BYTES):
        assert memory.used() == 0


def test_room_is_taken_and_given_back_even_by_a_failure(memory):
    with memory.room(60_000_000):
        assert memory.used() == 60_000_000
    with pytest.raises(ZeroDivisionError), memory.room(60_000_000):
        1 / 0  # noqa: B018
    assert memory.used() == 0


def test_a_photo_over_the_limit_is_decoded_alone(memory):
    with memory.room(900_000_000):
        assert memory.used() == 100_000_000


def test_two_threads_whose_photos_do_not_fit_take_turns(memory):
    most = []

    def decode() -> None:
        with memory.room(60_000_000):
            most.append(memory.used())
            time.sleep(0.05)

    threads = [threading.Thread(target=decode) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [60_000_000] * 3


def test_more_waiters_than_may_are_told_to_come_back():
    memory = DecodeMemory(100_000_000, waiters=1)
    with memory.room(60_000_000), pytest.raises(Busy), memory.room(60_000_000):
        pass


def test_who_waits_too_long_is_told_to_come_back(memory, monkeypatch):
    monkeypatch.setattr(decode_memory, "WAIT_S", 0.0)
    with memory.room(60_000_000), pytest.raises(Busy), memory.room(60_000_000):
        pass


def _hold(memory: DecodeMemory, taken: Any) -> None:
    with memory.room(80_000_000):
        taken.set()
        time.sleep(60)


def test_another_process_counts_and_a_killed_one_gives_back(memory, monkeypatch):
    taken = FORK.Event()
    holder = FORK.Process(target=_hold, args=(memory, taken))
    holder.start()
    assert taken.wait(30)
    assert holder.pid
    assert memory.used() == 80_000_000
    monkeypatch.setattr(decode_memory, "WAIT_S", 0.0)
    with pytest.raises(Busy), memory.room(50_000_000):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with memory.room(50_000_000):
        assert memory.used() == 50_000_000
