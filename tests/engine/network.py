"""A pretended network: who answers a dial, when and with what."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
import trio

from smbfs.engine import transport
from smbfs.engine.transport import Address


def pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in ends)
    return ours, theirs


def is_closed(stream: trio.SocketStream) -> bool:
    return stream.socket.fileno() == -1


class Network:
    """What `_dial` finds: after so many seconds an error or a stream; else silence."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dialled: list[tuple[float, str, int]] = []
        self.answers: dict[tuple[str, int] | str, tuple[float, OSError | None]] = {}
        self.streams: list[trio.SocketStream] = []
        self.servers: list[trio.SocketStream] = []
        self.gate: trio.Event | None = None
        self.on_answer: Callable[[], None] = lambda: None
        monkeypatch.setattr(transport, "_dial", self._dial)

    async def _dial(self, address: Address, port: int, source: str | None) -> trio.SocketStream:
        host = str(address[0])
        self.dialled.append((trio.current_time(), host, port))
        nothing = (float("inf"), None)
        delay, error = self.answers.get((host, port)) or self.answers.get(host) or nothing
        await trio.sleep(delay)
        if self.gate is not None:
            await self.gate.wait()
        if error is not None:
            raise error
        ours, theirs = pair()
        self.streams.append(ours)
        self.servers.append(theirs)
        self.on_answer()
        return ours

    def close(self) -> None:
        for stream in (*self.streams, *self.servers):
            stream.socket.close()
