"""Which requests are heavy: they have threads of their own, so that they delay no single photo.

Told from the bytes in the event loop, so it must be quick: nothing is parsed. What is not
clearly one photo that is decoded in little memory is heavy.
"""

import binascii
import re
from typing import Any

from werkzeug.http import parse_options_header

from models.decoding.decode_cost import guess_memory
from models.images import Limits
from service.errors import speaks_protocol
from service.incoming.decode_memory import SMALL_BYTES
from service.incoming.json_body import HEADER_LENGTH, memory_of, split_binary
from service.incoming.uploads import blank_line

USUAL_PX = 512  # a network's square, to estimate what a JPEG takes
SEARCHED_BYTES = 2_000_000  # of a form or of JSON; a longer one is heavy in any case
FEW_TEXTS = 2_000  # quotation marks in the JSON of one photo: each is looked at
HEAD_CHARACTERS = 400_000  # of base64: what stands before the size of a photo fits
_SHAPE = re.compile(rb'"shape"\s*:\s*\[\s*1\s*[\],]')  # of one photo
_BASE64 = re.compile(rb'"([A-Za-z0-9+/]{40})')  # the shortest photo has 46 characters


def is_heavy(environ: dict[str, Any], body: bytes, limits: Limits) -> bool:
    """Whether a request has several parts, or a photo that takes much memory to decode.

    Parts are counted by their delimiters, as the form's parser finds them: a word of their
    headers can be spelt in many ways. What is not clearly one part is heavy.
    """
    if speaks_protocol(environ):
        return _is_heavy_json(environ, body, limits)
    kind, options = parse_options_header(environ.get("CONTENT_TYPE", ""))
    start = 0
    if kind.lower() == "multipart/form-data":
        if len(body) > SEARCHED_BYTES:
            return True
        delimiter = b"--" + options.get("boundary", "").encode("ascii", "replace")
        opened = max(0, body.find(delimiter))
        blank = blank_line(body, opened)
        if body.count(delimiter) > 2 or blank is None:  # one opens a part, one closes the form
            return True
        start = blank.end()  # after the headers of the part
    return guess_memory(body, USUAL_PX, limits.pixels, start) > SMALL_BYTES


def _is_heavy_json(environ: dict[str, Any], body: bytes, limits: Limits) -> bool:
    """Likewise, of a protocol's JSON and the binary data behind it.

    An escape could hide a word that is looked for: who writes one is heavy.
    """
    binary = environ["PATH_INFO"].startswith("/v2")
    size = split_binary(environ.get(HEADER_LENGTH) if binary else None, len(body))
    if size is None:
        return False  # refused before anything is done
    if size > SEARCHED_BYTES:
        return True
    text = body[:size]
    if text.count(b'"') > FEW_TEXTS:
        return True
    if b"\\" in text or memory_of(text) - 2 * size > SMALL_BYTES:
        return True
    if text.count(b'"shape"') != len(_SHAPE.findall(text)):
        return True
    if size < len(body):  # an encoded photo, behind its length; or pixels, which are no header
        return guess_memory(body, USUAL_PX, limits.pixels, size + 4) > SMALL_BYTES
    photos = [found.start(1) for found in _BASE64.finditer(text)]
    if len(photos) != 1:
        return len(photos) > 1
    head = text[photos[0] : photos[0] + HEAD_CHARACTERS].partition(b'"')[0]
    try:
        start = binascii.a2b_base64(head[: len(head) // 4 * 4])
    except binascii.Error:
        return False  # refused likewise
    return guess_memory(start, USUAL_PX, limits.pixels) > SMALL_BYTES
