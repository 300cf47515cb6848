"""Our checks of a head say what gunicorn's say, of every byte."""

import pytest
from gunicorn.asgi.parser import InvalidHeader, InvalidHeaderName, PythonProtocol

from service.network.parser import Parser

EVERY = [bytes([number]) for number in range(256)]


@pytest.mark.parametrize("around", [b"", b"a"])
def test_tokens_and_values_are_checked_as_by_gunicorn(around):
    ours, theirs = Parser(), PythonProtocol()
    for one in (around + byte + around for byte in EVERY):
        assert ours._is_valid_token(one) == theirs._is_valid_token(one), one
        assert ours._has_invalid_header_chars(one) == theirs._has_invalid_header_chars(one), one
    assert not ours._is_valid_token(b"")
    assert not ours._is_valid_token(b"a\n")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"X : a", InvalidHeaderName),
        (b"X: a\x00b", InvalidHeader),
        (b"X: a\rb", InvalidHeader),
        (b": a", InvalidHeaderName),
    ],
)
def test_a_damaged_line_is_refused(line, error):
    with pytest.raises(error):
        Parser().feed(b"GET / HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n")
