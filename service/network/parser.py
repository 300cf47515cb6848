"""gunicorn's HTTP parser, with what it does for each byte in Python made in C.

Its checks of a head take a millisecond for each 8 kB, and sizes of chunks likewise, in the event
loop, while everybody else waits.
"""

import re
from typing import Any

from gunicorn.asgi.parser import (
    ChunkMissingTerminator,
    InvalidChunkSize,
    ParseError,
    PythonProtocol,
)
from gunicorn.http.body import CHUNK_EXT_RE

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)((?:[/?].*)?)", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # what a value may not hold: RFC 9110, 5.5
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:%b)\r\n" % CHUNK_EXT_RE.pattern)  # RFC 9112, 7.1
SIZE_LINE_BYTES = 128  # the size of a chunk, with its extensions
EMPTY_LINES = re.compile(rb"\A(?:\r\n){1,8}")  # in front of a request; more is no HTTP
PARTS = 100  # that are handed over at once, and looked at whether they are too small
FRAMING_BYTES = 1_000  # sizes of chunks and trailers: that many, and one for
FRAMED_BYTES = 32  # so many bytes of content; smaller chunks cost more than they carry
AHEAD = b"what is in the buffer already"


class Parser(PythonProtocol):
    """The same parser: nothing is kept beside what it keeps."""

    __slots__ = tuple[str]()  # none: it takes the place of an object of gunicorn's class
    is_complete: bool
    _state: str
    _buffer: bytearray
    _chunk_state: str
    _chunk_remaining: int

    def _is_valid_token(self, data: bytes) -> bool:
        return _TOKEN.fullmatch(data) is not None

    def _has_invalid_header_chars(self, value: bytes) -> bool:
        return _CONTROL.search(value) is not None

    @property
    def fresh(self) -> bool:
        """Whether nothing of a request has come."""
        return self._state == "request_line" and not self._buffer

    def feed(self, data: bytes) -> None:
        """Go on with these bytes; with AHEAD, begin the request that came with the one before."""
        super().feed(b"" if data is AHEAD else data)

    def remaining(self) -> bytes:
        """Return AHEAD if requests that came ahead wait: all of them copied for each takes long."""
        return AHEAD if self.is_complete and self._buffer else b""

    def skip_empty_lines(self) -> None:
        """Pass over a few that have come behind a request, as some clients send."""
        if self.is_complete and (found := EMPTY_LINES.match(self._buffer)):
            del self._buffer[: found.end()]

    def reset(self) -> None:
        """Forget the request, and keep what came after it."""
        kept, self._buffer = self._buffer, bytearray()
        super().reset()
        self._buffer = kept

    def _parse_chunked_body(self) -> bool:
        """Take the chunks that are there, and hand the content of many over in one piece.

        Trailers are left to gunicorn. Raises ParseError.
        """
        data, at, parts = self._buffer, 0, list[bytes]()
        while at < len(data) and len(parts) < PARTS and self._chunk_state != "trailer":
            if self._chunk_state == "size":
                line = bytes(data[at : at + SIZE_LINE_BYTES])
                found = _SIZE_LINE.match(line)
                if found is None:
                    _check_begun(line)
                    break
                at += found.end()
                self._chunk_remaining = int(found[1], 16)
                self._chunk_state = "data" if self._chunk_remaining else "trailer"
            elif self._chunk_state == "data":
                part = bytes(data[at : at + self._chunk_remaining])
                at += len(part)
                parts.append(part)
                self._chunk_remaining -= len(part)
                if not self._chunk_remaining:
                    self._chunk_state = "crlf"
            else:
                end = data[at : at + 2]
                if end == b"\r":
                    break
                if end != b"\r\n":
                    raise ChunkMissingTerminator("a chunk does not end with CRLF")
                at += 2
                self._chunk_state = "size"
        del data[:at]
        if parts:
            self._on_body(b"".join(parts))
        if self._chunk_state == "trailer":
            return bool(super()._parse_chunked_body())
        return len(parts) == PARTS


def _check_begun(line: bytes) -> None:
    """Raise InvalidChunkSize unless the rest of this line may make it the size of a chunk."""
    if b"\n" in line:
        raise InvalidChunkSize("the size of a chunk is not hexadecimal, or what follows is wrong")
    if len(line) == SIZE_LINE_BYTES:
        raise InvalidChunkSize(f"the size of a chunk takes over {SIZE_LINE_BYTES} bytes")


def check_framing(taken: int, content: int) -> None:
    """See that not too much of a body, in bytes, stands between its content. Raises ParseError."""
    if taken - content > FRAMING_BYTES + content // FRAMED_BYTES:
        raise ParseError("the body comes in chunks of a few bytes each, or with much beside them")


def size_of(headers: list[tuple[bytes, bytes]]) -> int:
    """Count the bytes of headers."""
    return sum(len(name) + len(value) for name, value in headers)


def take_target(parser: Any) -> None:
    """Bring the target of a request, which proxies send with its host, into the usual form.

    RFC 9112, 3.2: the host of such a target replaces that of the header, which HTTP/1.1 needs
    in any case. Raises ParseError.
    """
    if parser.http_version >= (1, 1) and all(name != b"host" for name, _ in parser.headers):
        raise ParseError("HTTP/1.1 without a Host header")
    if parser.path.startswith(b"/") or b"://" not in parser.path:
        return
    absolute = _ABSOLUTE.fullmatch(parser.path)
    if absolute is None:
        raise ParseError("the target is neither a path nor an http address")
    host, path = absolute.groups()
    parser.path = path if path.startswith(b"/") else b"/" + path
    others = [(name, value) for name, value in parser.headers if name != b"host"]
    parser.headers = [(b"host", host), *others]
