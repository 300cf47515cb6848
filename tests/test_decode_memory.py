"""Memory for decoding: estimated from the header, shared by processes, given back by the dead."""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.decoding.decode_cost import guess_memory, read_header
from models.errors import ImageError
from models.images import FORMATS, MORE_FORMATS, Framing, Limits, decode_image
from service.errors import Busy
from service.incoming import decode_memory
from service.incoming.decode_memory import SMALL_BYTES, DecodeMemory
from tests.conftest import encode_photo, paint_photo

FORK = multiprocessing.get_context("fork")
MOST = 25_000_000
ROW = 32  # bytes
PHOTO = paint_photo(60, 90)


KINDS = [
    ("JPEG", {}, "JPEG", 4),
    ("JPEG", {"progressive": True}, "PROGRESSIVE", 12.5),
    ("PNG", {}, "PNG", 10),
    ("WEBP", {}, "WEBP", 19),
    ("WEBP", {"lossless": True}, "WEBP", 19),
    ("GIF", {}, "GIF", 10),
    ("BMP", {}, "BMP", 5),
]


def asked_for(data: bytes, size: int = 64) -> list[int]:
    """What decoding asks room for; it need not succeed."""
    asked: list[int] = []

    def room(size_bytes: int) -> AbstractContextManager[None]:
        asked.append(size_bytes)
        return nullcontext()

    with suppress(ImageError):
        decode_image(data, Framing(size=size), Limits(formats=FORMATS + MORE_FORMATS), room)
    return asked


@pytest.mark.parametrize(("kind", "options", "found", "bytes_a_pixel"), KINDS)
def test_the_size_in_a_header_is_read_without_decoding(kind, options, found, bytes_a_pixel):
    photo = encode_photo(PHOTO, kind, **options)
    assert read_header(photo) == (found, 90, 60)
    tables = 20_000 * min(338, len(photo) // 4) if "lossless" in options else 0
    needed = int(90 * 60 * bytes_a_pixel) + 60 * ROW + tables
    assert guess_memory(photo, 64, MOST) == needed
    assert read_header(b"in front" + photo, start=8) == (found, 90, 60)  # inside a form
    if found == "PROGRESSIVE":  # 1.5 numbers a pixel, as colours are stored at half the size
        needed = int(2.1 * 1.5 * 5400) + 5400 * 4 + 60 * ROW
    assert asked_for(photo) == [needed]


def test_sixteen_bits_transparency_and_a_sized_frame_cost_more_or_the_same():
    deep = encode_photo(Image.fromarray(np.zeros((60, 90), np.uint16)))
    assert read_header(deep) == ("PNG16", 90, 60)
    assert asked_for(deep) == [int(90 * 60 * 14.5) + 60 * ROW]
    clear = encode_photo(Image.fromarray(PHOTO).convert("RGBA"), "WEBP", lossless=True)
    assert read_header(clear) == ("WEBP", 90, 60)


def test_a_large_jpeg_is_cheap_because_it_is_decoded_small():
    photo = encode_photo(np.zeros((2400, 2400, 3), np.uint8), "JPEG")
    eighth = 300 * (300 * 4 + ROW)  # 2400 / (4 x 64) is over 8
    assert guess_memory(photo, 64, MOST) == eighth
    assert guess_memory(photo, 1024, MOST) == 2400 * (2400 * 4 + ROW)
    assert asked_for(photo) == [eighth]
    assert asked_for(photo, 1024) == [2400 * (2400 * 4 + ROW)]
    slow = encode_photo(np.zeros((2400, 2400, 3), np.uint8), "JPEG", progressive=True)
    kept = int(2.1 * 1.5 * 2400 * 2400)  # all coefficients, however small it is decoded
    assert asked_for(slow) == [300 * (300 * 4 + ROW) + kept]


@pytest.mark.parametrize("kind", ["TIFF", "AVIF"])
def test_a_photo_whose_header_is_not_read_is_guessed_to_be_of_the_largest_size(kind):
    photo = encode_photo(PHOTO, kind)
    assert guess_memory(photo, 224, MOST) == int(14.5 * MOST) + ROW
    known = {"TIFF": int(90 * 60 * (12.5 + 3)) + (60 + 90) * ROW}  # and its strip, of three bytes
    assert asked_for(photo) == [known.get(kind, int(90 * 60 * 14.5) + 60 * ROW)]


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def segments(count: int) -> bytes:
    return (b"\xff\xfe" + (3).to_bytes(2, "big") + b"a") * count


LOSSLESS = encode_photo(PHOTO, "WEBP", lossless=True)
JPEG = encode_photo(PHOTO, "JPEG")
PNG = encode_photo(PHOTO)
GIF = encode_photo(PHOTO, "GIF")
BMP = encode_photo(PHOTO, "BMP")
SMALL_SCREEN = GIF[:6] + bytes([1, 0, 1, 0]) + GIF[10:]  # its picture is larger than it
CORE = BMP[:14] + (12).to_bytes(4, "little") + bytes([90, 0, 60, 0, 1, 0, 24, 0]) + BMP[54:]
CORE = CORE[:10] + (26).to_bytes(4, "little") + CORE[14:]
START = JPEG.index(b"\xff\xda")
ONE_COLOUR = JPEG[:START] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + bytes(99) + b"\xff\xd9"
LIES = {  # what a file is -> what it takes, in bytes a pixel
    "WebP behind a chunk that is unknown": (riff(b"abcd" + bytes(4), LOSSLESS[12:]), 19),
    "PNG behind a chunk that is unknown": (PNG[:8] + b"\0\0\0\0abCd\0\0\0\0" + PNG[8:], 10),
    "JPEG behind 990 comments": (JPEG[:2] + segments(990) + JPEG[2:], 4),
    "GIF with a screen of one pixel": (SMALL_SCREEN, 10),
    "BMP of OS/2": (CORE, 5),
    "JPEG whose only scan has one of three colours": (ONE_COLOUR, 4),
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_in_a_rare_form_hides_no_memory(name):
    data, each = LIES[name]
    taken = int(5400 * each) + 60 * ROW
    taken += int(2.1 * 1.5 * 5400) if data is ONE_COLOUR else 0  # coefficients
    taken += 20_000 * (len(LOSSLESS) // 4) if data[:4] == b"RIFF" else 0  # tables of a lossless one
    assert guess_memory(data, 64, MOST) >= taken  # it waits where large ones wait
    assert asked_for(data) == [taken]


def test_codes_of_a_lossless_picture_count_beside_pixels():
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
    large = encode_photo(noise, "WEBP", lossless=True, method=0)
    assert asked_for(large) == [1024 * (1024 * 19 + ROW) + 65_536 * 20_000]  # as many as can be
    lossy = encode_photo(PHOTO, "WEBP")
    clear = encode_photo(Image.fromarray(PHOTO).convert("RGBA").rotate(45), "WEBP")
    assert asked_for(clear)[0] > asked_for(lossy)[0]  # its alpha channel is lossless


def test_rows_count_beside_pixels():
    tall = encode_photo(np.zeros((60_000, 1), np.uint8))
    assert asked_for(tall) == [60_000 * (10 + ROW)]  # Pillow keeps a pointer to each
    assert guess_memory(tall, 64, MOST) == 60_000 * (10 + ROW)


def test_a_gif_is_stepped_through_no_further_than_a_thousand_blocks():
    long = GIF[:13] + b"\x21\xfe" + b"\x01a" * 2_000 + b"\0" + GIF[13:]
    assert read_header(long) == ("GIF", 0, 0)


def test_a_photo_that_lacks_its_end_takes_room_once():
    assert asked_for(JPEG[:-2]) == [6 * (4 * 5400 + 60 * ROW)]  # and for two pictures of it


def test_room_that_is_refused_is_no_damage_of_the_photo():
    def refuse(_: int) -> AbstractContextManager[None]:
        raise Busy("full")

    with pytest.raises(Busy):
        decode_image(PNG, Framing(size=64), Limits(), refuse)


def test_a_photo_over_the_limit_takes_no_room_because_it_is_refused():
    large = encode_photo(np.zeros((5_001, 5_000), np.uint8))
    assert asked_for(large) == []


@pytest.mark.parametrize("data", [b"", b"text", b"RIFF0000WAVE"])
def test_what_is_no_photo_needs_no_memory(data):
    assert guess_memory(data, 224, MOST) == 0


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
