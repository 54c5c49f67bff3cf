"""A `Connection` and the other end of its stream, held by the test."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio
import trio.testing

from smbfs.engine.connection import Connection
from smbfs.engine.credits import Credits
from smbfs.engine.exchange import Exchange
from smbfs.engine.frames import Frames
from smbfs.wire.header import Header, split_chain
from tests.engine.by_hand import answer


@dataclass
class Peer:
    """The server's end: reads requests, says what the test wants."""

    stream: trio.abc.HalfCloseableStream
    frames: Frames

    async def hear(self) -> list[Header]:
        """The headers of the next frame."""
        return [Header.parse(view) for view in split_chain(await self.frames.receive())]

    async def say(self, *messages: bytes) -> None:
        """Send each message in a frame of its own."""
        for message in messages:
            await self.stream.send_all(len(message).to_bytes(4, "big") + message)

    async def answer(self, *headers: Header, credits: int = 1) -> None:
        """Answer requests with success."""
        for header in headers:
            await self.say(answer(header.message_id, header.command, credits=credits))


@dataclass
class Talk:
    """A running connection and its peer."""

    connection: Connection
    peer: Peer
    breaks: list[bytes] = field(default_factory=list)


def talk(
    nursery: trio.Nursery,
    *,
    credits: int = 100,
    timeout_s: float = 15.0,
    echo_interval_s: float = 10.0,
    negotiated: bool = True,
    lockstep: bool = False,
    stream: trio.abc.Stream | None = None,
) -> Talk:
    """Start a connection whose peer is the test, or whoever is at the other end of ``stream``."""
    pair = trio.testing.lockstep_stream_pair if lockstep else trio.testing.memory_stream_pair
    ours, theirs = pair()
    window = Credits(512)
    window.grant(credits - 1, 0)
    breaks: list[bytes] = []
    connection = Connection(
        stream or ours,
        Exchange(window, 1 << 20, timeout_s, charges=True, large_mtu=True),
        server="peer",
        echo_interval_s=echo_interval_s,
        on_break=lambda view: breaks.append(bytes(view)),
    )
    if negotiated:
        connection.negotiated(1 << 20)
    nursery.start_soon(connection.run)
    return Talk(connection, Peer(theirs, Frames(theirs, 1 << 24)), breaks)
