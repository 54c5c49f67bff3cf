"""Two mounts of one share of a fake server, as two machines that lock the same file."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import pytest
import trio
import trio.testing

from smbfs.engine.link import Link
from smbfs.engine.share import Share
from smbfs.errors import SmbError
from smbfs.fuse.server import LOCK_END, ROOT, FileHandle, Lock, LockType, Node
from smbfs.vfs.filesystem import Filesystem
from smbfs.vfs.locks import Locks
from smbfs.vfs.openfile import File
from smbfs.vfs.policy import DataPolicy
from smbfs.vfs.presentation import Presentation
from tests.fake.link import fake_link
from tests.fake.server import FakeServer
from tests.fake.tree import Lock as ServerLock
from tests.fake.tree import Volume
from tests.vfs.bench import WHO

READ, WRITE, UNLOCK = LockType.READ, LockType.WRITE, LockType.UNLOCK
NAME = b"file"
HERE, THERE = 11, 12  # owners: two processes of one machine


@dataclass
class Machine:
    """One mount, and its file opened once."""

    fs: Filesystem
    link: Link
    node: Node
    fh: FileHandle

    @property
    def file(self) -> File:
        """The open file."""
        found = self.fs.volume.inodes.get(self.node).file
        assert isinstance(found, File)
        return found

    @property
    def locks(self) -> Locks:
        """The locks of the open file, of which there are some."""
        assert self.file.locks is not None
        return self.file.locks

    async def open(self, flags: int = os.O_RDWR) -> FileHandle:
        """Open the file once more."""
        return (await self.fs.open(WHO, self.node, flags)).fh

    async def close(self, fh: FileHandle | None = None, owner: int = 0) -> None:
        """Close as the kernel does for a process."""
        fh = self.fh if fh is None else fh
        await self.fs.flush(replace(WHO, lock_owner=owner), fh)
        await self.fs.release(WHO, fh)

    async def lock(
        self,
        kind: LockType,
        start: int = 0,
        end: int = LOCK_END,
        *,
        owner: int = HERE,
        wait: bool = False,
        flock: bool = False,
        fh: FileHandle | None = None,
    ) -> None:
        """Lock or unlock a range."""
        lock = Lock(kind, start, end, owner, pid=owner, is_flock=flock)
        await self.fs.setlk(WHO, self.fh if fh is None else fh, lock, wait)

    async def is_refused(
        self, kind: LockType, start: int = 0, end: int = LOCK_END, **how: object
    ) -> bool:
        """Whether a lock is refused because something is in the way."""
        with suppress(BlockingIOError):
            await self.lock(kind, start, end, **how)  # type: ignore[arg-type]  # keywords of `lock`
            return False
        return True

    async def may(self, start: int = 0, end: int = LOCK_END, *, owner: int = 99) -> str:
        """What somebody else of this machine could lock: "X" anything, "S" shared, "" nothing."""
        for kind, answer in ((WRITE, "X"), (READ, "S")):
            if not await self.is_refused(kind, start, end, owner=owner):
                await self.lock(UNLOCK, start, end, owner=owner)
                return answer
        return ""

    async def getlk(
        self, kind: LockType, start: int = 0, end: int = LOCK_END, owner: int = HERE
    ) -> Lock | None:
        """Who is in the way."""
        return await self.fs.getlk(WHO, self.fh, Lock(kind, start, end, owner))

    async def read(self, size: int = 100, offset: int = 0, fh: FileHandle | None = None) -> bytes:
        """Read as the kernel does: what is here first."""
        fh = self.fh if fh is None else fh
        views = self.fs.content.read_now(fh, offset, size)
        if not isinstance(views, list):
            views = await self.fs.content.read(fh, offset, size)
        return b"".join(views)

    async def write(self, data: bytes, offset: int = 0, fh: FileHandle | None = None) -> None:
        """Write, behind the back or not."""
        fh = self.fh if fh is None else fh
        assert await self.fs.content.write(fh, offset, data) == len(data)


@dataclass
class Pair:
    """Two machines and the server."""

    one: Machine
    two: Machine
    server: FakeServer
    nursery: trio.Nursery

    @property
    def held(self) -> list[ServerLock]:
        """What is locked on the server."""
        return self.server.volume.node(NAME.decode()).locks

    def spans(self) -> list[tuple[int, int, bool]]:
        """The same as values: from, to, and whether it is exclusive."""
        return sorted((one.offset, one.end, not one.is_shared) for one in self.held)

    async def settled(self) -> None:
        """Let everything come to rest that needs no time."""
        await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def pair(data: bytes = b"", policy: DataPolicy | None = None) -> AsyncIterator[Pair]:
    """Two mounts of one file; afterwards nothing is open or locked on the server."""
    server = FakeServer(Volume())
    server.volume.put(NAME.decode(), data)
    async with (
        trio.open_nursery() as nursery,
        fake_link(nursery, server=server) as (first, _),
        fake_link(nursery, server=server) as (second, _),
    ):
        machines = []
        for link in (first, second):
            share = Share(link)
            await share.connect()
            made = Presentation(1000, 100)
            fs = Filesystem(share, made, policy or DataPolicy(), nursery)
            await fs.start()
            entry = await fs.lookup(WHO, ROOT, NAME)
            assert entry.attributes is not None
            opened = await fs.open(WHO, entry.attributes.node, os.O_RDWR)
            machines.append(Machine(fs, link, entry.attributes.node, opened.fh))
        yield Pair(machines[0], machines[1], server, nursery)
        server.script.clear()
        for machine in machines:
            await machine.fs.stop()
        await trio.testing.wait_all_tasks_blocked()
        assert not server.open_handles
        nursery.cancel_scope.cancel()


@dataclass
class Doing:
    """Something that a test lets run beside itself."""

    scope: trio.CancelScope
    done: trio.Event
    error: Exception | None = None
    ended_at: float = 0.0

    @property
    def is_done(self) -> bool:
        """Whether it came to a good end."""
        return self.done.is_set() and self.error is None and not self.scope.cancelled_caught


def beside(nursery: trio.Nursery, what: Callable[[], object]) -> Doing:
    """Begin something and go on."""
    doing = Doing(trio.CancelScope(), trio.Event())

    async def run() -> None:
        with doing.scope:
            try:
                await what()  # type: ignore[misc]  # what it gives can be waited for
            except (OSError, SmbError) as error:
                doing.error = error
        doing.ended_at = trio.current_time()
        doing.done.set()

    nursery.start_soon(run)
    return doing


async def errno_from(doing: Doing) -> int:
    """What something failed with, once it has."""
    await doing.done.wait()
    if doing.error is None:
        pytest.fail("it did not fail")
    return getattr(doing.error, "errno", 0) or 0
