"""The other side of /dev/fuse: a kernel on a socket pair, for a native session without a mount.

One message a request and one a reply, as the device has them.  Everything that is asked is numbered
like the kernel does it (even numbers); replies and notices are kept until somebody wants them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
import trio.testing

from smbfs.fuse.native.greeting import Wishes
from smbfs.fuse.native.questions import InHeader, InitIn, InterruptIn
from smbfs.fuse.native.replies import OutHeader
from smbfs.fuse.native.session import Session
from smbfs.fuse.native.uapi import OUT_HEADER, InitFlag, Opcode

ALL = 0xFFFFFFFF  # every flag
MAX_WRITE = 64 * 1024  # a message has to fit into a socket's buffer


@dataclass(frozen=True)
class Said:
    """One reply, or a notice: its code, or negative errno, and its body."""

    error: int
    body: bytes


class FakeKernel:
    """Asks, and keeps what it is told."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        theirs.setblocking(False)
        self.fd = theirs.detach()
        self.replies: dict[int, Said] = {}
        self.twice: list[int] = []  # numbers that were answered more than once
        self.notices: list[Said] = []
        self._socket = ours
        self._next = 2

    def ask(self, opcode: int, body: bytes = b"", node: int = 1, **who: int) -> int:
        """Send one request; its number."""
        unique, self._next = self._next, self._next + 2
        self.send(opcode, unique, body, node, **who)
        return unique

    def send(self, opcode: int, unique: int, body: bytes, node: int = 1, **who: int) -> None:
        """Send a request with a number of the test's choice."""
        about = {"uid": 1000, "gid": 100, "pid": os.getpid()} | who
        length = InHeader.FIXED + len(body)
        head = InHeader(len=length, opcode=opcode, unique=unique, nodeid=node, **about)
        self._socket.send(bytes(head) + body)

    def send_raw(self, message: bytes) -> None:
        """Send anything."""
        self._socket.send(message)

    def interrupt(self, unique: int) -> int:
        """Interrupt a request; the number of the interrupt itself."""
        self.send(Opcode.INTERRUPT, unique | 1, bytes(InterruptIn(unique=unique)), 0)
        return unique | 1

    def hear(self) -> None:
        """Take in what was said so far."""
        while True:
            try:
                message = self._socket.recv(1 << 20)
            except BlockingIOError:
                return
            head = OutHeader.parse(memoryview(message), 0)
            assert head.len == len(message)
            said = Said(head.error, message[OUT_HEADER:])
            if not head.unique:
                self.notices.append(said)
            elif head.unique in self.replies:
                self.twice.append(head.unique)
            else:
                self.replies[head.unique] = said

    async def settled(self) -> dict[int, Said]:
        """Every reply there is once nothing moves any more."""
        await trio.testing.wait_all_tasks_blocked(0.001)
        self.hear()
        return self.replies

    async def call(self, opcode: int, body: bytes = b"", node: int = 1, **who: int) -> Said:
        """Ask, and wait until it was answered."""
        unique = self.ask(opcode, body, node, **who)
        while unique not in self.replies:
            await trio.lowlevel.wait_readable(self._socket)
            self.hear()
        return self.replies[unique]

    def close(self) -> None:
        """Unmount: the session reads nothing any more."""
        self._socket.close()


def init(minor: int = 45, flags: int = ALL, flags2: int = ALL, major: int = 7) -> bytes:
    """The body of an INIT."""
    more = flags2.to_bytes(4, "little") + bytes(44) if flags & InitFlag.INIT_EXT else b""
    return bytes(InitIn(major=major, minor=minor, max_readahead=1 << 17, flags=flags, more=more))


@asynccontextmanager
async def kernel_of(
    filesystem: Any, timeout_s: float = 5.0, **more: Any
) -> AsyncIterator[tuple[FakeKernel, Session]]:
    """A session that serves a fake kernel; at the end it must end, with nothing left."""
    kernel = FakeKernel()
    session = Session(kernel.fd, filesystem, timeout_s, Wishes(max_write=MAX_WRITE), **more)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.serve)
            yield kernel, session
            kernel.hear()
            kernel.close()
        assert session.waiting == 0
        assert kernel.twice == []
    finally:
        kernel.close()
        os.close(kernel.fd)
