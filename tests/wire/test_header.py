"""The headers, and the chain: what a hostile NextCommand can and cannot do."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.wire.codec import WireError
from smbfs.wire.header import (
    CHAIN_LIMIT,
    Command,
    Header,
    HeaderFlags,
    TransformHeader,
    parse_header,
    parse_transform_header,
    split_chain,
)


def message(next_command: int = 0, size: int = 72) -> bytes:
    """A message of ``size`` bytes with this NextCommand."""
    header = Header(command=Command.ECHO, message_id=1, next_command=next_command)
    return bytes(header).ljust(size, b"\x04")


def test_sizes() -> None:
    """Both are as long as the specification says."""
    assert Header.FIXED == 64
    assert TransformHeader.FIXED == 52


def test_commands_are_numbered_as_published() -> None:
    """Nineteen of them, without a hole."""
    assert [int(command) for command in Command] == list(range(19))


def test_parse_header() -> None:
    """One that is right."""
    header = parse_header(memoryview(message()))
    assert (header.command, header.message_id) == (Command.ECHO, 1)


def test_another_protocol() -> None:
    """SMB1, a sealed message and rubbish are not SMB2."""
    for start in (b"\xffSMB", b"\xfdSMB", b"GET "):
        with pytest.raises(WireError, match="not an SMB2 message"):
            parse_header(memoryview(start + message()[4:]))


def test_header_of_another_size() -> None:
    """64 it is, always."""
    wire = bytearray(message())
    wire[4] = 65
    with pytest.raises(WireError, match="Header has StructureSize 65"):
        parse_header(memoryview(wire))


def test_short_header() -> None:
    """A header that is not all there."""
    with pytest.raises(WireError, match="Header is truncated"):
        parse_header(memoryview(message())[:63])


def test_async_id() -> None:
    """Sixty-four bits over two fields, [MS-SMB2] 2.2.1.1."""
    header = Header(
        command=Command.READ,
        message_id=1,
        flags=HeaderFlags.ASYNC,
        reserved=0x55667788,
        tree_id=0x11223344,
    )
    assert header.async_id == 0x1122334455667788
    assert bytes(header)[32:40] == bytes.fromhex("8877665544332211")


def test_transform_header() -> None:
    """One that is right, and one that is not."""
    wire = bytes(TransformHeader(nonce=bytes(16), original_message_size=64, session_id=1))
    assert parse_transform_header(memoryview(wire)).original_message_size == 64
    with pytest.raises(WireError, match="not a sealed message"):
        parse_transform_header(memoryview(message()))
    with pytest.raises(WireError, match="truncated"):
        parse_transform_header(memoryview(wire)[:51])


def test_a_chain_of_one() -> None:
    """The usual case; it is not copied."""
    frame = memoryview(message())
    assert split_chain(frame) == [frame]
    assert split_chain(frame)[0].obj is frame.obj


def test_a_chain_of_three() -> None:
    """Each element with its padding, the last with whatever the server put behind it."""
    wires = [message(72), message(80, 80), message(0, 77)]
    elements = split_chain(memoryview(b"".join(wires)))
    assert [bytes(element) for element in elements] == wires


@pytest.mark.parametrize(
    ("next_command", "why"),
    [
        (8, "NextCommand is 8"),  # into our own header: would go round for ever
        (64, "NextCommand is 64"),  # a message without a body
        (73, "NextCommand is 73"),  # not aligned
        (76, "NextCommand is 76"),
        (144, "runs past the end"),  # exactly the end: nothing follows
        (152, "runs past the end"),
        (0xFFFFFFF8, "runs past the end"),
        (136, "a message of 8 bytes"),  # what follows is no message
        (80, "a message of 64 bytes"),  # what follows has no body
    ],
)
def test_a_broken_chain(next_command: int, why: str) -> None:
    """It advances by whole, aligned messages to its end, or it is refused."""
    with pytest.raises(WireError, match=why):
        split_chain(memoryview(message(next_command, 144)))


@pytest.mark.parametrize("size", [0, 1, 63, 64])
def test_too_short_for_a_message(size: int) -> None:
    """A header needs at least the size of a body after it."""
    with pytest.raises(WireError, match=f"a message of {size} bytes"):
        split_chain(memoryview(message())[:size])


def test_the_longest_chain() -> None:
    """Bounded, so that a frame of megabytes is not a hundred thousand messages."""
    longest = message(72) * (CHAIN_LIMIT - 1) + message()
    assert len(split_chain(memoryview(longest))) == CHAIN_LIMIT
    with pytest.raises(WireError, match="a chain of more than"):
        split_chain(memoryview(message(72) + longest))


@given(st.lists(st.tuples(st.integers(0, 160), st.integers(65, 160)), max_size=6))
def test_any_chain_is_whole_or_refused(elements: list[tuple[int, int]]) -> None:
    """What comes out, joined, is what came in; else WireError."""
    wire = b"".join(message(next_command, size) for next_command, size in elements)
    with contextlib.suppress(WireError):
        assert b"".join(split_chain(memoryview(wire))) == wire


@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    """WireError and nothing else."""
    view = memoryview(data)
    for parse in (split_chain, parse_header, parse_transform_header):
        with contextlib.suppress(WireError):
            parse(view)
