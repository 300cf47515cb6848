"""Our checks of a head and of chunks say what gunicorn's say; and they take little time."""

import pytest
from gunicorn.asgi.parser import InvalidHeader, InvalidHeaderName, ParseError, PythonProtocol

from service.network.parser import SIZE_LINE_BYTES, Parser

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


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def read_chunks(kind, *parts):
    """What a parser makes of a chunked body: its content, whether it is whole, what is left."""
    content = []
    parser = kind(on_body=content.append)
    parser.feed(CHUNKED)
    try:
        for part in parts:
            parser.feed(part)
    except ParseError:
        return "refused"
    return b"".join(content), parser.is_complete, bytes(parser._buffer)


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0A;a=b;c\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.1",
        b'1 ;\ta = "\\"q"\r\nx\r\n0;last\r\n\r\n',
        b"2\r\nab\r\n00\r\nHost: y\r\n\r\n",  # a trailer that may not be one
        b"1\r\nab\r\n0\r\n\r\n",  # longer than it says
        b"1\r\na\rb0\r\n\r\n",
        b"1\na\r\n0\r\n\r\n",
        b"1 \r\na\r\n0\r\n\r\n",
        b" 1\r\na\r\n0\r\n\r\n",
        b"+1\r\na\r\n0\r\n\r\n",
        b"1_0\r\na\r\n0\r\n\r\n",
        b"0x1\r\na\r\n0\r\n\r\n",
        b"\r\na\r\n0\r\n\r\n",
        b"1;a\rb\r\na\r\n0\r\n\r\n",
        b"1;\x01\r\na\r\n0\r\n\r\n",
        b"1;=a\r\na\r\n0\r\n\r\n",
        b"\xb2\r\na\r\n0\r\n\r\n",
    ],
)
def test_chunks_are_read_as_by_gunicorn_wherever_they_are_cut(body):
    expected = read_chunks(PythonProtocol, body)
    cuts = [[body[:at], body[at:]] for at in range(len(body))]
    cuts += [[body[at : at + 1] for at in range(len(body))]]
    for parts in cuts:
        assert read_chunks(Parser, *parts) == expected, parts


@pytest.mark.parametrize("line", [b"1" + b";a" * 64, b"0" * 128 + b"1", b'1;a="' + b"x" * 200])
def test_the_size_of_a_chunk_takes_few_bytes_also_where_its_end_does_not_come(line):
    assert read_chunks(Parser, line + b"\r\nx\r\n") == "refused"
    assert read_chunks(Parser, line[:SIZE_LINE_BYTES]) == "refused"
    assert read_chunks(Parser, line[: SIZE_LINE_BYTES - 1]) != "refused"


def test_sizes_have_few_digits():
    assert read_chunks(Parser, b"0000000000000001\r\na\r\n") == (b"a", False, b"")
    assert read_chunks(Parser, b"00000000000000001\r\na\r\n") == "refused"


def test_many_small_chunks_are_handed_over_in_few_pieces():
    pieces = []
    parser = Parser(on_body=pieces.append)
    parser.feed(CHUNKED + b"2\r\nab\r\n" * 1_250 + b"0\r\n\r\n")
    assert [len(one) for one in pieces] == [200] * 12 + [100]
    assert parser.is_complete
