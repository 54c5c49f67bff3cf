"""Frames come out whole however the stream was cut, and nothing else comes out."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import memory_stream_one_way_pair

from smbfs.engine.frames import SMALL, Frames
from smbfs.errors import ConnectionLost
from smbfs.wire.codec import WireError

LIMIT = 4 * SMALL
BIG = bytes(range(256)) * (SMALL // 256) + b"and more"


def framed(*payloads: bytes) -> bytes:
    return b"".join(len(payload).to_bytes(4, "big") + payload for payload in payloads)


class Pieces(trio.abc.ReceiveStream):
    """A stream that gives what it has in given pieces, and then ends."""

    def __init__(self, data: bytes, cuts: list[int]) -> None:
        edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        self._pieces = [data[a:b] for a, b in pairwise(edges)]

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self._pieces:
            return b""
        assert max_bytes is not None
        piece, rest = self._pieces[0][:max_bytes], self._pieces[0][max_bytes:]
        self._pieces[:1] = [rest] if rest else []
        return piece

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def received(frames: Frames) -> AsyncIterator[bytes]:
    """All frames until the stream ends."""
    while True:
        try:
            yield bytes(await frames.receive())
        except ConnectionLost:
            return


async def test_a_stream_without_payload_ends_with_connection_lost() -> None:
    stream = Pieces(b"\0\0\0\5ab", [])
    with pytest.raises(ConnectionLost, match="closed the connection"):
        await Frames(stream, LIMIT).receive()
    await stream.aclose()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([b"", b"x", b"message" * 9, BIG]), max_size=6),
    st.lists(st.integers(0, 1 << 20), max_size=12),
)
async def test_any_cut_of_a_stream_gives_the_same_frames(
    payloads: list[bytes], cuts: list[int]
) -> None:
    frames = Frames(Pieces(framed(*payloads), cuts), LIMIT)
    assert [frame async for frame in received(frames)] == payloads


async def test_a_big_frame_is_filled_straight_from_a_socket() -> None:
    ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(s)) for s in _pair())
    frames = Frames(ours, LIMIT)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.send_all, framed(b"a", BIG, b"b", BIG))
        assert [bytes(await frames.receive()) for _ in range(4)] == [b"a", BIG, b"b", BIG]
    await theirs.send_all(framed(BIG)[:-1])
    await theirs.aclose()
    with pytest.raises(ConnectionLost):
        await frames.receive()
    await ours.aclose()


def _pair() -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    return pair


async def test_frames_do_not_share_memory() -> None:
    frames = Frames(Pieces(framed(b"one", b"two"), []), LIMIT)
    first = await frames.receive()
    await frames.receive()
    assert bytes(first) == b"one"


async def test_a_frame_longer_than_the_limit_is_refused() -> None:
    frames = Frames(Pieces(framed(b"12345", b"123456"), []), 5)
    assert bytes(await frames.receive()) == b"12345"
    with pytest.raises(WireError, match="6 bytes"):
        await frames.receive()


async def test_the_limit_may_change_between_frames() -> None:
    frames = Frames(Pieces(framed(b"12345", b"123456"), []), 5)
    await frames.receive()
    frames.limit = 6
    assert bytes(await frames.receive()) == b"123456"


@pytest.mark.parametrize("kind", [0x01, 0x81, 0x85, 0xFF])
async def test_another_type_is_no_frame(kind: int) -> None:
    with pytest.raises(WireError, match=f"type {kind:#x}"):
        await Frames(Pieces(bytes([kind, 0, 0, 0]), []), LIMIT).receive()


async def test_netbios_keep_alives_are_skipped() -> None:
    alive = b"\x85\0\0\0"
    frames = Frames(Pieces(alive + alive + framed(b"a") + alive, [2, 9]), LIMIT, netbios=True)
    assert [frame async for frame in received(frames)] == [b"a"]


async def test_waiting_for_a_frame_can_be_cancelled_and_goes_on() -> None:
    theirs, ours = memory_stream_one_way_pair()
    frames = Frames(ours, LIMIT)
    await theirs.send_all(b"\0\0\0\2a")
    with trio.move_on_after(0) as scope:
        await frames.receive()
    assert scope.cancelled_caught
    await theirs.send_all(b"b")
    assert bytes(await frames.receive()) == b"ab"
