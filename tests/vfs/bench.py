"""One share of a fake server with `Content` on it: open files by name, and a server in disorder."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import trio
import trio.testing

from smbfs.engine.dialect import Policy
from smbfs.engine.how import How
from smbfs.engine.link import Link
from smbfs.engine.share import Share
from smbfs.fuse.server import MISS, ROOT, Change, FileHandle
from smbfs.fuse.server import Request as Asker
from smbfs.vfs.content import Content
from smbfs.vfs.filesystem import Filesystem
from smbfs.vfs.inode import Inode
from smbfs.vfs.openfile import File
from smbfs.vfs.policy import DataPolicy
from smbfs.vfs.presentation import Presentation
from smbfs.wire.header import Command
from tests.fake.link import fake_link
from tests.fake.messages import Answer, Request
from tests.fake.script import FOR_EVER, BadDay
from tests.fake.server import FakeServer
from tests.fake.tree import Volume

WHO = Asker(1000, 1000, 1)
BOTH = os.O_RDWR
NAME = "file"
DATA = {Command.READ, Command.WRITE, Command.SET_INFO, Command.QUERY_INFO, Command.FLUSH}


@dataclass
class Bench:
    """What a test works with."""

    fs: Filesystem
    server: FakeServer
    link: Link
    nursery: trio.Nursery

    @property
    def content(self) -> Content:
        """What is tested."""
        return self.fs.content

    @property
    def share(self) -> Volume:
        """What the server keeps."""
        return self.server.volume

    @property
    def data(self) -> bytes:
        """What the server has of the file."""
        return self.share.read(NAME)

    @property
    def inode(self) -> Inode:
        """The file's inode."""
        return self.fs.volume.inodes.root.children[NAME.encode()].inode

    @property
    def file(self) -> File:
        """The open file."""
        assert isinstance(self.inode.file, File)
        return self.inode.file

    async def open(self, flags: int = BOTH) -> FileHandle:
        """Look the file up and open it."""
        entry = await self.fs.lookup(WHO, ROOT, NAME.encode())
        assert entry.attributes is not None
        return (await self.fs.open(WHO, entry.attributes.node, flags)).fh

    async def create(self, flags: int = BOTH) -> FileHandle:
        """Make the file."""
        opened, _ = await self.fs.create(WHO, ROOT, NAME.encode(), 0o644, flags | os.O_CREAT)
        return opened.fh

    async def read(self, fh: FileHandle, offset: int = 0, size: int = 1 << 20) -> bytes:
        """Read as the kernel does: what is here first."""
        views = self.content.read_now(fh, offset, size)
        if not isinstance(views, list):
            views = await self.content.read(fh, offset, size)
        return b"".join(views)

    async def write(self, fh: FileHandle, offset: int, data: bytes) -> None:
        """Write, and see that all was taken."""
        count = self.content.write_now(fh, offset, data)
        if count is MISS:
            count = await self.content.write(fh, offset, data)
        assert count == len(data)

    async def size(self) -> int:
        """What stat tells."""
        return (await self.fs.getattr(WHO, self.inode.node, None)).size

    async def truncate(self, size: int, fh: FileHandle | None = None) -> int:
        """Set the size; what stat tells then."""
        change = Change(size=size)
        return (await self.fs.setattr(WHO, self.inode.node, change, fh)).size

    async def close(self, fh: FileHandle) -> None:
        """Close as the kernel does: flush, then release."""
        try:
            await self.content.flush(fh)
        finally:
            await self.content.release(fh)

    async def share_is_there(self) -> None:
        """Have the server answer something."""
        await self.fs.volume.share.on("", How.looking())

    def gate(self, on: Command, *, does: bool = False, times: int = FOR_EVER) -> Gate:
        """Hold requests of a kind from now on."""
        closed = Gate(on=on, does=does, times=times)
        self.server.script.append(closed)
        return closed

    def turns(self) -> int:
        """How many turnarounds there were since the last look."""
        count = self.server.turnarounds
        self.server.requests.clear()
        return count

    async def settled(self) -> None:
        """Let everything come to rest that needs no time."""
        await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def bench(
    data: bytes | None = b"",
    *,
    policy: DataPolicy | None = None,
    script: Iterable[BadDay] = (),
    share: Volume | None = None,
    engine: Policy | None = None,
    **options: Any,
) -> AsyncIterator[Bench]:
    """A mounted share with one file; afterwards nothing is open there and no memory is held."""
    share = share or Volume()
    if data is not None:
        share.put(NAME, data)
    async with (
        trio.open_nursery() as nursery,
        fake_link(nursery, share=share, policy=engine) as (link, server),
    ):
        smb = Share(link)
        await smb.connect()
        fs = Filesystem(smb, Presentation(1000, 100, **options), policy or DataPolicy(), nursery)
        await fs.start()
        server.requests.clear()
        server.script[:] = script
        yield Bench(fs, server, link, nursery)
        server.script.clear()
        await fs.stop()
        await trio.testing.wait_all_tasks_blocked()
        assert not server.open_handles
        ground = fs.content.ground
        assert not ground.files
        for _ in range(100):  # what was asked for comes, and is thrown away
            if ground.read_budget.used_bytes:
                await trio.sleep(0.05)
        assert ground.read_budget.used_bytes == 0
        assert ground.room.budget.used_bytes == ground.read_budget.holders == 0
        nursery.cancel_scope.cancel()


def on_mock_time(main: Callable[[], Awaitable[None]], *, patience_s: float = 3600) -> None:
    """Run something to its end in no time; what would wait for ever fails."""

    async def bounded() -> None:
        with trio.fail_after(patience_s):
            await main()

    trio.run(bounded, clock=trio.testing.MockClock(autojump_threshold=0))


async def together(*doings: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Do several things at once."""
    async with trio.open_nursery() as nursery:
        for doing in doings:
            nursery.start_soon(doing)


@dataclass(kw_only=True)
class Disorder(BadDay):
    """Requests are done in any order and answered in any other, as far as SMB allows.

    A chain stays together; a CLOSE overtakes whatever its client did not wait for.
    """

    nursery: trio.Nursery
    chance: Random
    commands: set[Command] = field(default_factory=lambda: DATA | {Command.CREATE})

    def swallows(self, requests: Sequence[Request]) -> bool:
        """Take the frame away, to be done later."""
        if not self.commands.issuperset({requests[0].command}):
            return False
        self.nursery.start_soon(self._do, list(requests))
        return True

    async def _pause(self) -> None:
        """Wait a while, now and then a long one."""
        await trio.sleep(self.chance.random() * self.chance.choice((0.1, 0.1, 1)))

    async def _do(self, requests: list[Request]) -> None:
        await self._pause()
        wire = requests[0].wire
        days = [day for day in wire.server.script if day is not self]
        refusals = [day.refuses(requests) for day in days]
        refusal = next((status for status in refusals if status is not None), None)
        answers = [wire._done(request, refusal) for request in requests]
        await self._pause()
        wire.outbox.answer([answer for answer in answers if answer is not None])


@dataclass(kw_only=True)
class Gate(BadDay):
    """Requests of a kind wait, undone or done but unanswered, until the test lets them go."""

    does: bool = False  # do at once and hold the answer back
    held: list[tuple[list[Request], list[Answer]]] = field(default_factory=list)

    def swallows(self, requests: Sequence[Request]) -> bool:
        """Keep the frame."""
        if not self.strikes(*(request.command for request in requests)):
            return False
        answers = self._done(requests) if self.does else []
        self.held.append((list(requests), answers))
        return True

    def _done(self, requests: Sequence[Request]) -> list[Answer]:
        wire = requests[0].wire
        days = [day for day in wire.server.script if day is not self]
        refusals = [day.refuses(requests) for day in days]
        refusal = next((status for status in refusals if status is not None), None)
        return [one for one in (wire._done(request, refusal) for request in requests) if one]

    def let_go(self, number: int = 0) -> None:
        """Do one of those that are held, if that was not done yet, and answer it."""
        requests, answers = self.held.pop(number)
        requests[0].wire.outbox.answer(answers or self._done(requests))

    def open(self) -> None:
        """Let all go, and hold no more."""
        self.times = 0
        while self.held:
            self.let_go()
