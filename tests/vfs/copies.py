"""Two open files of one mount, to be copied from and to by the server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from smbfs.fuse.server import ROOT, FileHandle
from smbfs.wire.constants import Fsctl
from tests.fake.tree import Volume
from tests.vfs.bench import WHO, Bench, bench

KIB, MIB = 1 << 10, 1 << 20
READ, WRITE = os.O_RDONLY, os.O_WRONLY
COPIES = (Fsctl.SRV_COPYCHUNK_WRITE, Fsctl.SRV_COPYCHUNK)
DATA = bytes(range(256)) * 1000


@asynccontextmanager
async def two(
    data: bytes = DATA, *, flags: int = WRITE, share: Volume | None = None
) -> AsyncIterator[tuple[Bench, FileHandle, FileHandle]]:
    """A source with these bytes and an empty target, both open."""
    async with bench(data, share=share) as made:
        source = await made.open(READ)
        target = await target_of(made, flags)
        made.turns()
        yield made, source, target


async def target_of(made: Bench, flags: int = WRITE) -> FileHandle:
    """Make and open the target."""
    opened, _ = await made.fs.create(WHO, ROOT, b"target", 0o644, flags | os.O_CREAT)
    return opened.fh


async def copy(
    made: Bench, source: FileHandle, target: FileHandle, size: int, start: int = 0, at: int = 0
) -> int:
    """Have a range copied; how many bytes that were."""
    return await made.fs.copy_file_range(WHO, source, start, target, at, size)


def held(made: Bench) -> bytes:
    """What the server has of the target."""
    return made.share.read("target")


async def size_of(made: Bench) -> int:
    """What stat tells of the target."""
    entry = await made.fs.lookup(WHO, ROOT, b"target")
    assert entry.attributes is not None
    return entry.attributes.size


def cloning() -> Volume:
    """A share that can share blocks."""
    share = Volume()
    share.abilities.clones = True
    return share
