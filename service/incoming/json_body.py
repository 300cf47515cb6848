"""A posted body -> JSON, in bounded memory.

A text of 32 MB may become a gigabyte of Python objects. So what it holds is counted before it
is parsed, which takes a millisecond a megabyte, and memory is asked for as for a large photo.
Python stands still while one is parsed: so that is done for one at a time, without looking for
circles of references among its objects, which would take four times as long, and in a thread that
need not wait for a core: those of heavy requests do.
"""

import gc
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from flask import current_app
from pydantic_core import from_json

from service.errors import BadRequestBody
from service.incoming.decode_memory import DecodeMemory
from service.incoming.rest import Rest

T = TypeVar("T")

KEYS = 10_000  # of all objects
MARKS = 4 * KEYS  # quotation marks: two a text, which takes 90 bytes beside its characters
FEW_LISTS = 1_000  # that may be nearly empty: shapes, and what nests others
LARGE_BYTES = 100_000  # a text from here on is parsed so
DIGITS = 1_000  # of a number in a row: to read ten times as many takes a hundred times as long
JSON_REST_S = 1.0  # at most
OBJECTS = 500  # in a body: one for each photo and tensor, and a few more
# Of memory, measured with pydantic-core 2.50 and CPython 3.11: a float in a list 32 + 8,
# a list of three 96, an object 250, a key in it 150 to 200; lists grow ahead.
NUMBER_BYTES, LIST_BYTES, OBJECT_BYTES, KEY_BYTES = 48, 120, 400, 200

_AS_DIGITS = bytes(48 if 48 <= byte < 58 else 0 for byte in range(256))  # each digit as 0

HEADER_LENGTH = "HTTP_INFERENCE_HEADER_CONTENT_LENGTH"  # in the WSGI environment


def split_binary(declared: str | None, size: int) -> int | None:
    """The length of the JSON at the start of a body of `size` bytes; None: it cannot be.

    Args:
        declared: the header Inference-Header-Content-Length, which comes with binary data.
    """
    if declared is None:
        return size
    number = declared.isascii() and declared.isdigit() and len(declared) < 12
    return int(declared) if number and 0 < int(declared) <= size else None


def memory_of(text: bytes) -> int:
    """Estimate the bytes that a JSON text takes when parsed, rather too many than too few."""
    return _memory(text, {sign: text.count(sign) for sign in (b",", b":", b"[", b"{")})


def _memory(text: bytes, counts: Mapping[bytes, int]) -> int:
    """Likewise, of a text whose signs have been counted."""
    values = counts[b","] * NUMBER_BYTES + counts[b":"] * KEY_BYTES
    lists, objects = counts[b"["], counts[b"{"]
    plain = text.isascii() and b"\\u" not in text  # else each character may take four bytes
    return (2 if plain else 6) * len(text) + values + lists * LIST_BYTES + objects * OBJECT_BYTES


@contextmanager
def parsed(text: bytes, most_numbers: int) -> Iterator[Any]:
    """Parse a body, and keep room for what it becomes until that is no longer needed.

    Args:
        most_numbers: that may be in it; it may have half as many lists.

    Raises:
        BadRequestBody: no JSON, or more in it than may be. Busy: no memory is free.
    """
    large = len(text) >= LARGE_BYTES
    size = _in_turn(_check, text, most_numbers) if large else _check(text, most_numbers)
    memory: DecodeMemory = current_app.extensions["decode_memory"]
    with memory.room(size):
        yield _in_turn(_parse_large, text) if large else _parse(text)


_parser = ThreadPoolExecutor(1, "json")
_rest = Rest()


def start_parser(gives_way: Callable[[], bool]) -> None:
    """Start the thread that parses; it is as nice as the one that calls this.

    Args:
        gives_way: whether it rests after each text, so that others get on.
    """
    global _rest
    _rest = Rest(gives_way, JSON_REST_S)
    _parser.submit(int).result()


def _in_turn(work: Callable[..., T], *arguments: Any) -> T:
    """Do something with a large text, one after the other."""

    def rested() -> T:
        with _rest:
            return work(*arguments)

    return _parser.submit(rested).result()


def _check(text: bytes, most_numbers: int) -> int:
    """Estimate its memory as `memory_of` does; BadRequestBody if more is in it than may be."""
    counts: dict[bytes, int] = {}
    for sign, most, words in (
        (b",", most_numbers, "values"),
        (b"[", most_numbers // 2, "lists"),
        (b"{", OBJECTS, "objects"),
        (b":", KEYS, "keys"),
        (b'"', MARKS, "quotation marks"),
    ):
        counts[sign] = count = text.count(sign)
        if count > most:
            raise BadRequestBody(
                f"the JSON has {count:,} {words}; the limit is {most:,}: send fewer photos, or "
                "send them encoded or as binary data"
            )
    lists, values = counts[b"["], counts[b","]
    if lists > FEW_LISTS + values // 2:  # a pixel has three
        raise BadRequestBody(
            f"the JSON has {lists:,} lists with {values:,} commas; expected pixels of three values"
        )
    if b"0" * DIGITS in text.translate(_AS_DIGITS):
        raise BadRequestBody(f"the JSON has a number of {DIGITS:,} digits or more")
    return _memory(text, counts)


def _parse_large(text: bytes) -> Any:
    collected = gc.isenabled()
    gc.disable()
    try:
        return _parse(text)
    finally:
        if collected:
            gc.enable()


def _parse(text: bytes) -> Any:
    try:
        return from_json(text, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        kind = "no JSON came" if text[:64].lstrip()[:1] not in (b"{", b"[") else "not valid JSON"
        raise BadRequestBody(
            f"{kind}: {error}; expected a JSON object (the bytes of a photo alone go to /predict)"
        ) from None
