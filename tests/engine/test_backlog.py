"""A backlog that shrinks is a sign of life; small requests that a kernel takes are none."""

from __future__ import annotations

import os

import trio
import trio.testing

from smbfs.engine.backlog import Backlog

SIZE = 64 << 20  # more than all buffers between two sockets hold


async def pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        client = await trio.open_tcp_stream("127.0.0.1", port)
        return client, await listener.accept()


def given(client: trio.SocketStream) -> int:
    """Give the kernel as much as it takes; how much that is."""
    return os.write(client.socket.fileno(), bytes(SIZE))


async def test_what_is_not_taken_does_not_shrink() -> None:
    client, server = await pair()
    async with client, server:
        backlog = Backlog(client)
        backlog.sent(given(client))
        await trio.sleep(0.1)
        backlog.shrinks()
        assert not backlog.shrinks(), "nobody reads"


async def test_what_is_taken_shrinks() -> None:
    client, server = await pair()
    async with client, server:
        backlog = Backlog(client)
        size = given(client)
        backlog.sent(size)
        backlog.shrinks()
        while size:
            size -= len(await server.receive_some(1 << 20))
        await trio.sleep(0.05)
        assert backlog.shrinks()
        assert not backlog.shrinks()


async def test_a_small_request_says_nothing() -> None:
    client, server = await pair()
    async with client, server:
        backlog = Backlog(client)
        for _ in range(3):
            await client.send_all(b"small")
            backlog.sent(5)
            await trio.sleep(0.05)
            assert not backlog.shrinks(), "the other side's kernel has it, and nobody else"


async def test_a_stream_that_is_no_socket_or_closed() -> None:
    one, _ = trio.testing.memory_stream_pair()
    assert not Backlog(one).shrinks()
    client, server = await pair()
    await client.aclose()
    await server.aclose()
    assert not Backlog(client).shrinks()
