"""A man in the middle, who reads and changes every frame: where he sits, and how he changes one.

He has no keys.  What he may reach is that a connection ends; never that we believe him, sign less,
seal less or speak an older dialect than both ends wanted.  Answers that he only holds back or swaps
are the server's own, and reach whoever asked for them.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
import trio.testing

from smbfs.engine.dialect import Policy
from smbfs.engine.how import How
from smbfs.engine.link import Link, Target
from smbfs.engine.share import Share
from smbfs.wire.header import Command, HeaderFlags
from smbfs.wire.status import Status
from tests.fake.link import LOGIN
from tests.fake.server import FakeServer
from tests.fake.tree import Volume

PLAIN, SEALED = b"\xfeSMB", b"\xfdSMB"
SIGNED = Policy(posix=False)
SECRET = b"what is in the file"
Change = Callable[[bytes], list[bytes]]


def same(message: bytes) -> list[bytes]:
    return [message]


@dataclass
class Middle:
    """Where he sits: what he makes of each message, up to the server and down from it."""

    up: Change = same
    down: Change = same
    seen: list[bytes] = field(default_factory=list)  # what came down

    def between(self, dial: Callable[[], object], nursery: trio.Nursery) -> Callable[[], object]:
        async def dialled() -> tuple[trio.abc.Stream, bool]:
            there, _ = await dial()  # type: ignore[misc]  # a dial of the fake server
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(self._pass, theirs, there, lambda message: self.up(message))
            nursery.start_soon(self._pass, there, theirs, self._down)
            return ours, False

        return dialled

    def _down(self, message: bytes) -> list[bytes]:
        self.seen.append(message)
        return self.down(message)

    async def _pass(self, source: trio.abc.Stream, target: trio.abc.Stream, change: Change) -> None:
        buffer = b""
        try:
            while more := await source.receive_some():
                buffer += more
                while len(buffer) >= 4 and len(buffer) >= (
                    end := 4 + int.from_bytes(buffer[1:4], "big")
                ):
                    message, buffer = buffer[4:end], buffer[end:]
                    for one in change(message):
                        await target.send_all(len(one).to_bytes(4, "big") + one)
            await target.aclose()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.aclose_forcefully(target)
            await trio.aclose_forcefully(source)


def command(message: bytes) -> int:
    return int.from_bytes(message[12:14], "little") if message[:4] == PLAIN else -1


def status(message: bytes) -> int:
    return int.from_bytes(message[8:12], "little")


def at(message: bytes, offset: int, data: bytes) -> bytes:
    return message[:offset] + data + message[offset + len(data) :]


def only(wanted: Command, change: Callable[[bytes], bytes], *, final: bool = False) -> Change:
    """Change the messages of one command; ``final`` for those that succeeded."""

    def changed(message: bytes) -> list[bytes]:
        if command(message) != wanted or (final and status(message) != Status.SUCCESS):
            return [message]
        return [change(message)]

    return changed


@asynccontextmanager
async def attacked(
    middle: Middle, policy: Policy = SIGNED, server: FakeServer | None = None
) -> AsyncIterator[tuple[Share, Link]]:
    volume = Volume()
    volume.put("file", SECRET)
    server = server or FakeServer(volume)
    async with trio.open_nursery() as nursery:
        dial = middle.between(server.dialler(nursery), nursery)
        link = Link(Target("fake", "share"), policy, lambda: [LOGIN], dial, nursery)  # type: ignore[arg-type]  # a dial
        yield Share(link), link
        await link.close()
        server.hang_up()
        nursery.cancel_scope.cancel()


async def read(share: Share) -> bytes:
    handle, _ = await share.open("file", How.reading())
    data = b"".join(await handle.read(0, 100))
    handle.close_soon()
    return data


def without_signature(message: bytes) -> bytes:
    flags = int.from_bytes(message[16:20], "little") & ~HeaderFlags.SIGNED
    return at(at(message, 16, struct.pack("<I", flags)), 48, bytes(16))
