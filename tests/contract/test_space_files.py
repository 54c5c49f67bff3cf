"""What programs get of it: the filesystem on either server, copying, reserving and punching."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from smbfs.engine.how import How
from smbfs.fuse.server import ROOT, Attributes, Change, FileHandle, Node, Request
from smbfs.vfs.filesystem import Filesystem
from smbfs.vfs.policy import DataPolicy
from smbfs.vfs.presentation import Presentation
from tests.contract.servers import Bench
from tests.vfs.tables import fails

WHO = Request(1000, 1000, 1)
MIB, UNIT = 1 << 20, 4096
DATA, HOLE = 3, 4
PUNCH, ZERO = 3, 16


@asynccontextmanager
async def files(bench: Bench) -> AsyncIterator[Filesystem]:
    """The filesystem on the share of the bench."""
    async with trio.open_nursery() as nursery:
        fs = Filesystem(bench.share, Presentation(1000, 100), DataPolicy(), nursery)
        await fs.start()
        yield fs
        await fs.stop()
        await bench.share.on("", How.looking())  # what nobody waits for was done before
        nursery.cancel_scope.cancel()


async def create(fs: Filesystem, name: bytes, data: bytes = b"") -> tuple[FileHandle, Node]:
    opened, entry = await fs.create(WHO, ROOT, name, 0o644, os.O_RDWR | os.O_CREAT)
    assert entry.attributes is not None
    await fs.write(WHO, opened.fh, 0, data)
    return opened.fh, entry.attributes.node


async def stat(fs: Filesystem, node: Node) -> Attributes:
    return await fs.getattr(WHO, node, None)


async def test_a_file_is_copied_by_the_server(bench: Bench) -> None:
    data = os.urandom(40 * MIB + 5)
    async with files(bench) as fs:
        source, _ = await create(fs, b"source", data)
        target, node = await create(fs, b"target")
        assert await fs.copy_file_range(WHO, source, 0, target, 0, 1 << 40) == len(data)
        assert (await stat(fs, node)).size == len(data)
        assert await fs.copy_file_range(WHO, source, len(data), target, 0, 5) == 0
        assert b"".join(await fs.read(WHO, target, MIB - 2, 4)) == data[MIB - 2 : MIB + 2]
    assert bench.place.read("target") == data


async def test_room_zeros_and_holes(bench: Bench) -> None:
    async with files(bench) as fs:
        fh, node = await create(fs, b"file", b"x" * MIB)
        await fs.fallocate(WHO, fh, 0, 0, 2 * MIB)
        assert (await stat(fs, node)).size == 2 * MIB
        await fs.fallocate(WHO, fh, ZERO, 10, 20)
        await fs.fallocate(WHO, fh, PUNCH, UNIT, 4 * UNIT)
        assert await fs.seek(WHO, fh, 0, HOLE) == UNIT
        assert await fs.seek(WHO, fh, UNIT, DATA) == 5 * UNIT
        await fs.fallocate(WHO, fh, 1, UNIT, 2 * UNIT)
        assert await fs.seek(WHO, fh, 0, HOLE) == 3 * UNIT
        with fails(errno.ENXIO):
            await fs.seek(WHO, fh, 2 * MIB, DATA)
    head = b"x" * 10 + bytes(20) + b"x" * (UNIT - 30)
    rest = bytes(4 * UNIT) + b"x" * (MIB - 5 * UNIT) + bytes(MIB)
    assert bench.place.read("file") == head + rest


async def test_gaps_take_no_room(bench: Bench) -> None:
    async with files(bench) as fs:
        fh, node = await create(fs, b"file", b"start")
        await fs.setattr(WHO, node, Change(size=64 * MIB), fh)
        await fs.write(WHO, fh, 128 * MIB, b"end")
        await fs.flush(WHO, fh)
        told = await stat(fs, node)
        assert told.size == 128 * MIB + 3
        assert told.blocks <= 4 * UNIT // 512
        await fs.setattr(WHO, node, Change(mode=0o644, mtime_ns=10**18), fh)
        assert await fs.seek(WHO, fh, UNIT, DATA) == 128 * MIB


async def test_a_file_without_a_name_gets_one(bench: Bench) -> None:
    async with files(bench) as fs:
        opened, entry = await fs.tmpfile(WHO, ROOT, 0o600, os.O_TMPFILE | os.O_RDWR)
        assert entry.attributes is not None
        await fs.write(WHO, opened.fh, 0, b"data")
        assert (await stat(fs, entry.attributes.node)).links == 0
        named = await fs.link(WHO, entry.attributes.node, ROOT, b"named")
        assert named.attributes is not None
        assert named.attributes.links == 1
        other, _ = await fs.tmpfile(WHO, ROOT, 0o600, os.O_TMPFILE | os.O_RDWR)
        await fs.release(WHO, other.fh)
    assert bench.place.names() == ["named"]
    assert bench.place.read("named") == b"data"


async def test_flags(bench: Bench) -> None:
    async with files(bench) as fs:
        _, node = await create(fs, b"file")
        await fs.set_flags(WHO, node, 0x10)
        assert await fs.get_flags(WHO, node) == 0x10
        await fs.set_flags(WHO, node, 0)
        assert await fs.get_flags(WHO, node) == 0
        with fails(errno.EOPNOTSUPP):
            await fs.set_flags(WHO, node, 0x4)
