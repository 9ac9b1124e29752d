"""The parser, by bytes: the rules of WHATWG HTML, 9.2.6, and every way in which a network may split a stream."""

from __future__ import annotations

import pytest

from gapless._sse import Block, Parser, Retry, TooLarge


def parsed(*pieces: bytes) -> list[Block | Retry]:
    parser = Parser()
    return [part for piece in pieces for part in parser.feed(piece)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"data: x\n\n", [Block("message", "x", None)]),
        (b"data: x\r\n\r\n", [Block("message", "x", None)]),
        (b"data: x\r\r", [Block("message", "x", None)]),
        (b"data:x\ndata\ndata:  y\n\n", [Block("message", "x\n\n y", None)]),
        (b"data\n\n", [Block("message", "", None)]),
        (b"event: e\ndata: x\nid: e-1\n\n", [Block("e", "x", "e-1")]),
        # An incomplete block at the end is none.
        (b"data: x\nid: e-1\n", []),
        (b"data: x", []),
        # No data, no event; an id without data still counts.
        (b"event: e\n\n\n\n", []),
        (b"id: e-1\n\n", [Block("message", None, "e-1")]),
        # A name is for one block only.
        (b"event: e\ndata: x\n\ndata: y\n\n", [Block("e", "x", None), Block("message", "y", None)]),
        # An id with NUL is ignored; data may have one.
        (b"data: \0\nid: e\0-1\n\n", [Block("message", "\0", None)]),
        # `retry` counts without a blank line, and only if it is of digits.
        (b"retry: 3000\n", [Retry(3.0)]),
        (b"retry: -1\nretry: 1_0\nretry: 1.5\nretry:\nretry: \xd9\xa3\n", []),
        (b"retry: " + b"9" * 5000 + b"\n", [Retry((10**15 - 1) / 1000)]),
        (b":\n: data: x\ndata: y\n:\n\n", [Block("message", "y", None)]),
        # Only what the format names is a line break, a space or a field.
        (
            "data: \u2028\u0085\x0b\x0c\x1c\nid:\u00a0e\n\n".encode(),
            [Block("message", "\u2028\u0085\x0b\x0c\x1c", "\u00a0e")],
        ),
        (b" data: x\nDATA: y\ndatax: z\n\n", []),
        # One byte order mark, at the beginning only.
        (b"\xef\xbb\xbfdata: x\n\n", [Block("message", "x", None)]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n\xef\xbb\xbfdata: y\n\n", []),
        # Bytes that are no UTF-8 are replaced, and break nothing else.
        (b"data: \xf0\x9f\ndata: \xff\n\n", [Block("message", "\ufffd\n\ufffd", None)]),
    ],
)
def test_the_format(text: bytes, expected: list[Block | Retry]) -> None:
    assert parsed(text) == expected


STREAM = (
    "\ufeffretry: 100\r\n:\r\nevent: hub.cursor\rdata: {}\rid: e-0\r\r: x\n"
    "data: h\u00e9llo \U0001f30d\r\ndata:\r\nid: e-1\r\n\r\nevent: e\ndata: x\n\nid: e-2\r\n\n"
).encode()
MEANING = [
    Retry(0.1),
    Block("hub.cursor", "{}", "e-0"),
    Block("message", "h\u00e9llo \U0001f30d\n", "e-1"),
    Block("e", "x", None),
    Block("message", None, "e-2"),
]


def test_every_split_in_three() -> None:
    assert parsed(STREAM) == MEANING
    for first in range(len(STREAM) + 1):
        for second in range(first, len(STREAM) + 1):
            assert parsed(STREAM[:first], STREAM[first:second], STREAM[second:]) == MEANING, (first, second)


def test_byte_by_byte() -> None:
    assert parsed(*(STREAM[n : n + 1] for n in range(len(STREAM)))) == MEANING


def test_a_block_is_complete_with_the_cr_of_its_blank_line() -> None:
    parser = Parser()
    assert parser.feed(b"data: x\r\n\r") == [Block("message", "x", None)]
    assert parser.feed(b"\ndata: y\n\n") == [Block("message", "y", None)]


@pytest.mark.parametrize("line", [b"data: 0123456789\n", b"data: 0123456789", b":0123456789", b"event:123456789\n"])
def test_an_event_has_a_limit(line: bytes) -> None:
    parser = Parser(limit=1000)
    with pytest.raises(TooLarge):
        for _ in range(200):
            parser.feed(line)


def test_the_limit_is_of_one_event() -> None:
    parser = Parser(limit=100)
    for n in range(100):
        assert parser.feed(b":\nretry: 1\ndata: 0123456789\n\n")[-1] == Block("message", "0123456789", None), n
        assert parser.feed(b":0123456789\n" * 20) == []
