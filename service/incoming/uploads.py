"""A request -> the encoded photos in it: one multipart field of files, or the raw body."""

import io
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any

import numpy as np
from flask import Request, current_app
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from models.classifier import Classifier
from models.errors import ImageError, ImageTooLarge
from models.images import Limits
from service.errors import BadUpload, BodyIncomplete, DecodingTimeout, NotAPhoto, TooManyPhotos
from service.incoming.decode_memory import DecodeMemory
from service.watching.record import record_in, stage

DECODE_S = 20.0  # for all photos of a request
FIELD = "image"
BOUNDARY = 70  # characters (RFC 2046, section 5.1.1); Werkzeug looks for a long one slowly
PART_HEAD_BYTES = 8_192  # of the headers of a part, each of which Werkzeug takes apart slowly
PARAMETERS = 20  # in them
PREAMBLE_BYTES = 1_024  # before the first boundary; those who post forms send none
# Behind a boundary: the sign of the last one, or some spaces and the end of the line; more of them
# are no client's.
_PADDING = re.compile(rb"--|[^\S\r\n]{0,99}+(?:[\r\n]|([^\S\r\n]))")
_BLANK_LINE = re.compile(rb"\r\n\r\n|\r\r|\n\n")  # the three that Werkzeug takes for one
SEND = "send it as the multipart field `image` or as the raw body"
RAW = "post the bytes of the photo themselves, as `curl --data-binary @photo.jpg` does"


class PhotoRequest(Request):
    """A request whose uploads stay in memory: the request is whole and bounded already."""

    def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
        return io.BytesIO()


def photos_in(request: Request, most: int) -> list[bytes]:
    """The bytes of every photo that was posted, in order.

    Raises:
        BadUpload: none, or in fields that leave open which are meant.
        BodyIncomplete: a body shorter than it says. NotAPhoto: a form that wraps the photo.
        TooManyPhotos: more than `most`.
    """
    data = body_of(request, RAW)
    if request.mimetype == "multipart/form-data":
        photos = _from_fields(request, data)
    else:
        if not data:
            raise BadUpload(f"no photo was posted: {SEND}")
        _check_form(request.mimetype, data)
        photos = [data]
    if len(photos) > most:
        raise TooManyPhotos(f"{len(photos)} photos in one request; the limit is {most}")
    record_in(request.environ).photos = len(photos)
    return photos


def body_of(request: Request, advice: str) -> bytes:
    """The whole body. Raises NotAPhoto: it is compressed; BodyIncomplete: shorter than it says."""
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise NotAPhoto(f"the body has Content-Encoding {encoding[:40]!r}: {advice}")
    try:
        return request.get_data(cache=True, parse_form_data=False)
    except ClientDisconnected as error:
        raise BodyIncomplete(
            f"fewer than the promised {request.content_length:,} bytes came: send the body again"
        ) from error


def photo_in(request: Request) -> bytes:
    """The one photo that was posted. Raises what `photos_in` does."""
    return photos_in(request, most=1)[0]


def _from_fields(request: Request, data: bytes) -> list[bytes]:
    """The files of the field `image`, or of the only field with files."""
    boundary = request.mimetype_params.get("boundary", "")
    if not 1 <= len(boundary) <= BOUNDARY:
        raise BadUpload(
            f"multipart with a boundary of {len(boundary):,} characters; expected 1 to {BOUNDARY}: "
            "let your client set the Content-Type, which names it"
        )
    _check_parts(data, boundary)
    fields = [name for name in request.files if request.files.getlist(name)]
    if FIELD in fields:
        fields = [FIELD]
    if len(fields) > 1:
        raise BadUpload(
            f"the fields {_listed(fields)} came with files; expected one, such as `{FIELD}`"
        )
    if not fields:
        raise BadUpload(_why_no_file(request))
    return [_bytes_of(file.stream) for file in request.files.getlist(fields[0])]


def blank_line(data: bytes, start: int) -> re.Match[bytes] | None:
    """Find the end of the headers of a part that begins at `start`; None: it is too far away."""
    return _BLANK_LINE.search(data, start, start + PART_HEAD_BYTES)


def _check_parts(data: bytes, boundary: str) -> None:
    """Look at the headers of all parts, before Werkzeug takes them apart in quadratic time.

    What looks like a boundary at the beginning of a line counts as a part. No pattern is searched
    for in the whole body: one of dashes in a body of dashes would hold all threads for seconds.

    Raises:
        BadUpload: they are longer than any client's, or the form does not begin with its boundary.
        RequestEntityTooLarge: too many parts.
    """
    most = current_app.config["MAX_FORM_PARTS"] + 1  # one is the end
    for number, end in enumerate(_boundaries(data, boundary), start=1):
        if number > most:
            raise RequestEntityTooLarge  # as Werkzeug does
        padding = _PADDING.match(data, end)
        if padding is None and number == 1:
            raise BadUpload(_NO_BOUNDARY)
        if padding is None or padding[0] == b"--":
            continue
        if padding[1]:
            raise BadUpload("a boundary is followed by 100 spaces; expected the end of its line")
        start = padding.end() - 1
        blank = blank_line(data, start)
        if blank is None or data.count(b";", start, blank.start()) > PARAMETERS:
            raise BadUpload(
                f"part {number} of the form has headers of over {PART_HEAD_BYTES:,} bytes or over "
                f"{PARAMETERS} parameters, or no end: expected a name, a file's name and its kind"
            )


_NO_BOUNDARY = "the form does not begin with its boundary: let your client set the Content-Type"


def _boundaries(data: bytes, boundary: str) -> Iterator[int]:
    """Where the first boundary ends, and every other one that begins a line."""
    delimiter = b"--" + boundary.encode("latin-1", "replace")
    first = data.find(delimiter, 0, PREAMBLE_BYTES + len(delimiter))
    if first < 0:
        raise BadUpload(_NO_BOUNDARY)
    yield first + len(delimiter)
    for begin in (b"\n" + delimiter, b"\r" + delimiter):
        place = first
        while (place := data.find(begin, place)) >= 0:
            place += len(begin)
            yield place


def _why_no_file(request: Request) -> str:
    texts = list(request.form)
    if FIELD in texts:
        return (
            f"the field `{FIELD}` came as text, not as a file: with curl write "
            f"-F {FIELD}=@photo.jpg, with the @"
        )
    if texts:
        return f"the fields {_listed(texts)} came, without a file; expected a file in `{FIELD}`"
    return f"no field with a file came: {SEND}"


def _listed(names: Sequence[str | None]) -> str:
    """Some names of fields for a message; Werkzeug gives None for a part that has none."""
    return ", ".join("one without a name" if x is None else f"`{x[:40]}`" for x in names[:5])


def _bytes_of(stream: IO[bytes]) -> bytes:
    return stream.getvalue() if isinstance(stream, io.BytesIO) else stream.read()


def _check_form(mimetype: str, data: bytes) -> None:
    """Raise NotAPhoto for what wraps a photo: said in words that help, not `no image`."""
    head = data[:200].lstrip()
    if mimetype == "application/json" or head[:1] in (b"{", b"["):
        raise NotAPhoto(f"JSON came: {RAW}")
    if head.startswith(b"data:"):
        raise NotAPhoto(f"a data URL came: decode what follows its comma, and {RAW}")
    if len(data) >= 64 and all(byte in _BASE64 for byte in data[:4096]):
        raise NotAPhoto(f"base64 came: decode it, and {RAW}")
    if head.startswith((b"image=", b"%FF%D8", b"%89PNG")):
        raise NotAPhoto(f"a form of text fields came: {RAW}")
    if head[:7].lower() == b"http://" or head[:8].lower() == b"https://":
        raise NotAPhoto(f"an address came, and this service fetches none: {RAW}")


_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_\r\n")


@contextmanager
def _room(memory: DecodeMemory, size_bytes: int) -> Iterator[None]:
    """Memory for the pixels; the time until it is there counts as waiting."""
    with ExitStack() as held:
        with stage("wait"):
            held.enter_context(memory.room(size_bytes))
        yield


def decode(classifier: Classifier, data: bytes, limits: Limits) -> np.ndarray:
    """The pixels of one photo; a large one waits for memory. Raises ImageError, Busy."""
    memory: DecodeMemory = current_app.extensions["decode_memory"]
    try:
        with stage("decode"):
            return classifier.decode(data, limits, lambda size: _room(memory, size))
    except ImageError as error:
        if not isinstance(error, ImageTooLarge) and lost_line_ends(data):
            error.args = (
                f"{error}; it has not one line end, as if sent with `curl -d`, which strips "
                "them: use --data-binary",
            )
        raise


def lost_line_ends(data: bytes) -> bool:
    """Whether bytes that stand in every long file of photos are missing from this one."""
    return len(data) > 4096 and not any(byte in data for byte in (b"\r", b"\n", b"\0"))


def decode_all(classifier: Classifier, encoded: list[bytes], limits: Limits) -> list[np.ndarray]:
    """The pixels of every photo.

    Raises:
        ImageError, which says which photo it was; DecodingTimeout: it took too long.
    """
    photos: list[np.ndarray] = []
    started = time.monotonic()
    for number, data in enumerate(encoded, start=1):
        if time.monotonic() - started > DECODE_S:
            raise DecodingTimeout(
                f"decoding {number - 1} of {len(encoded)} photos took over {DECODE_S:.0f} s: "
                "send fewer or smaller ones"
            )
        try:
            photos.append(decode(classifier, data, limits))
        except ImageError as error:
            if len(encoded) > 1:
                error.args = (f"photo {number} of {len(encoded)}: {error}",)
            raise
    return photos
