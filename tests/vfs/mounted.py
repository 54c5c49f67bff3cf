"""A whole filesystem on the fake server, without a kernel: what the tests of vfs/ stand on."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import trio
import trio.testing

from smbfs.auth import Login, Secret
from smbfs.engine.dialect import Policy
from smbfs.engine.link import Link, Target
from smbfs.engine.share import Share
from smbfs.fuse.server import ROOT, Attributes, DirectoryItem, FileHandle, Node, Opened, Request
from smbfs.vfs.filesystem import Filesystem
from smbfs.vfs.inode import Inode
from smbfs.vfs.listing import PAGES
from smbfs.vfs.policy import DataPolicy
from smbfs.vfs.presentation import Presentation
from smbfs.vfs.volume import Volume
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.login import PASSWORD, USER, Nature
from tests.fake.messages import Answer, failed
from tests.fake.script import BadDay
from tests.fake.server import FakeServer
from tests.fake.tree import Volume as Share_

WHO = Request(1000, 1000, 1)
READ, WRITE, BOTH = os.O_RDONLY, os.O_WRONLY, os.O_RDWR


@dataclass(kw_only=True)
class Denies(BadDay):
    """One element of a chain is answered with an error, although it was done."""

    status: Status

    def change(self, answer: Answer) -> None:
        if self.strikes(answer.command):
            answer.status = self.status
            answer.body = failed(self.status, b"", with_contexts=False)


@dataclass
class Mounted:
    """The filesystem, the server behind it, and operations on paths for short tests."""

    fs: Filesystem
    server: FakeServer
    link: Link

    @property
    def share(self) -> Share_:
        """What the server keeps, to look at and to change behind our back."""
        return self.server.volume

    @property
    def volume(self) -> Volume:
        """What the rooms of vfs/ work on."""
        return self.fs.volume

    def show(self, **options: Any) -> None:
        """Change how the mount presents its files."""
        self.volume.presentation = replace(self.volume.presentation, **options)

    def inode(self, node: Node) -> Inode:
        """The inode of a number."""
        return self.volume.inodes.get(node)

    def list_in_pages(self, size: int) -> None:
        """Let listings come in pages of so many bytes."""
        share = self.volume.share
        share.facts = replace(share.facts, list_size=PAGES * size)

    @contextmanager
    def turns(self, number: int) -> Iterator[None]:
        """Expect so many turnarounds; nobody waits for a CLOSE that goes by itself."""
        before = self.server.turnarounds
        yield
        asked = [one for one in self.server.requests[before:] if one != (Command.CLOSE,)]
        assert len(asked) == number, [[one.name for one in frame] for frame in asked]

    async def node(self, path: str) -> Node:
        """Look a path up, as the kernel would."""
        return (await self.stat(path)).node

    async def stat(self, path: str) -> Attributes:
        """Look a path up and tell what stat would."""
        attributes = await self.fs.getattr(WHO, ROOT, None)
        for name in path.split("/") if path else ():
            entry = await self.fs.lookup(WHO, attributes.node, name.encode())
            if entry.attributes is None:
                raise FileNotFoundError(2, "no such file", path)
            attributes = entry.attributes
        return attributes

    async def place(self, path: str) -> tuple[Node, bytes]:
        """The directory of a path and its last name."""
        above, _, name = path.rpartition("/")
        return await self.node(above), name.encode()

    async def mkdir(self, path: str) -> Node:
        """Make a directory."""
        entry = await self.fs.mkdir(WHO, *await self.place(path), 0o755)
        assert entry.attributes is not None
        return entry.attributes.node

    async def create(self, path: str, data: bytes = b"", flags: int = BOTH) -> Opened:
        """Make a file and leave it open."""
        parent, name = await self.place(path)
        opened, _ = await self.fs.create(WHO, parent, name, 0o644, flags | os.O_CREAT)
        if data:
            await self.fs.write(WHO, opened.fh, 0, data)
            await self.fs.flush(WHO, opened.fh)
        return opened

    async def put(self, path: str, data: bytes = b"") -> Node:
        """Make a closed file."""
        opened = await self.create(path, data)
        await self.fs.release(WHO, opened.fh)
        return await self.node(path)

    async def open(self, path: str, flags: int = READ) -> Opened:
        """Open a file that is there."""
        return await self.fs.open(WHO, await self.node(path), flags)

    async def unlink(self, path: str) -> None:
        """Remove a name."""
        await self.fs.unlink(WHO, *await self.place(path))

    async def rmdir(self, path: str) -> None:
        """Remove a directory."""
        await self.fs.rmdir(WHO, *await self.place(path))

    async def rename(self, old: str, new: str, flags: int = 0) -> None:
        """Rename, both names looked up first as the kernel does."""
        await self.node(old)
        with suppress(FileNotFoundError):
            await self.node(new)
        await self.fs.rename(WHO, *await self.place(old), *await self.place(new), flags)

    async def items(self, fh: FileHandle, after: int = 0) -> list[DirectoryItem]:
        """Read an open directory to its end."""
        items: list[DirectoryItem] = []
        while page := await self.fs.readdir(WHO, fh, after):
            items += page
            after = page[-1].next_id
        return items

    async def listed(self, path: str = "") -> dict[bytes, Attributes]:
        """List a directory, taking nothing."""
        opened = await self.fs.opendir(WHO, await self.node(path))
        items = await self.items(opened.fh)
        await self.fs.releasedir(WHO, opened.fh)
        assert len({item.name for item in items}) == len(items)
        return {item.name: item.attributes for item in items}


@asynccontextmanager
async def mounted(
    share: Share_ | None = None,
    *,
    prefix: str = "",
    policy: DataPolicy | None = None,
    nature: Nature | None = None,
    engine: Policy | None = None,
    **options: Any,
) -> AsyncIterator[Mounted]:
    """Mount a share of a fake server; afterwards nothing is open there."""
    server = FakeServer(share or Share_(), nature=nature or Nature())
    async with trio.open_nursery() as nursery:
        link = Link(
            Target("fake", server.volume.name),
            engine or Policy(),
            lambda: [Login(USER, Secret(PASSWORD))],
            server.dialler(nursery),
            nursery,
        )
        smb = Share(link, prefix)
        await smb.connect()
        fs = Filesystem(smb, Presentation(1000, 100, **options), policy or DataPolicy(), nursery)
        await fs.start()
        try:
            yield Mounted(fs, server, link)
        finally:
            await fs.stop()
            await trio.testing.wait_all_tasks_blocked()
            leaked = [open_.entry.name for open_ in server.open_handles]
            await link.close()
        assert not leaked
        assert not server.violations
        nursery.cancel_scope.cancel()
