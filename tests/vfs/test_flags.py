"""The flags of lsattr and chattr, and those of statx."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator

import pytest

from smbfs.vfs.stat import COMPRESSED, ENCRYPTED, IMMUTABLE
from smbfs.wire.constants import Attributes
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.tree import Node, Volume
from tests.vfs.mounted import WHO, WRITE, Denies, Mounted, mounted
from tests.vfs.tables import fails


@pytest.fixture
async def made() -> AsyncIterator[Mounted]:
    share = Volume()
    share.abilities.compresses = True
    share.put("file", b"data")
    share.mkdir("folder")
    async with mounted(share) as one:
        yield one


async def flags(made: Mounted, path: str = "file") -> int:
    return await made.fs.get_flags(WHO, await made.node(path))


async def put(made: Mounted, flags: int, path: str = "file") -> None:
    await made.fs.set_flags(WHO, await made.node(path), flags)


def theirs(made: Mounted, path: str = "file") -> Node:
    return made.share.node(path)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (0, 0),
        (Attributes.ARCHIVE | Attributes.HIDDEN | Attributes.SPARSE_FILE, 0),
        (Attributes.READONLY, IMMUTABLE),
        (Attributes.COMPRESSED | Attributes.ENCRYPTED, COMPRESSED | ENCRYPTED),
    ],
)
async def test_flags_are_attributes(made: Mounted, attributes: int, expected: int) -> None:
    theirs(made).attributes = attributes
    assert await flags(made) == expected
    assert (await made.stat("file")).flags == expected


async def test_a_read_only_directory_is_not_immutable(made: Mounted) -> None:
    theirs(made, "folder").attributes = Attributes.READONLY | Attributes.COMPRESSED
    assert await flags(made, "folder") == COMPRESSED
    with fails(errno.EOPNOTSUPP):
        await put(made, COMPRESSED | IMMUTABLE, "folder")


async def test_immutable_is_read_only(made: Mounted) -> None:
    await put(made, IMMUTABLE)
    assert theirs(made).attributes & Attributes.READONLY
    assert (await made.stat("file")).mode & 0o222 == 0
    assert await flags(made) == IMMUTABLE
    await put(made, 0)
    assert not theirs(made).attributes & Attributes.READONLY
    assert theirs(made).attributes & Attributes.ARCHIVE


async def test_compression_is_the_servers(made: Mounted) -> None:
    await put(made, COMPRESSED)
    assert theirs(made).attributes & Attributes.COMPRESSED
    assert await flags(made) == COMPRESSED
    await put(made, COMPRESSED, "folder")
    assert await flags(made, "folder") == COMPRESSED
    await put(made, 0)
    assert await flags(made) == 0


async def test_both_at_once_in_the_order_that_works(made: Mounted) -> None:
    await put(made, COMPRESSED | IMMUTABLE)
    assert await flags(made) == COMPRESSED | IMMUTABLE
    await put(made, 0)
    assert await flags(made) == 0


async def test_a_server_without_compression_is_asked_once(made: Mounted) -> None:
    made.share.abilities.compresses = False
    with fails(errno.EOPNOTSUPP):
        await put(made, COMPRESSED)
    node = await made.node("file")
    with made.turns(0), fails(errno.EOPNOTSUPP):
        await made.fs.set_flags(WHO, node, COMPRESSED)


@pytest.mark.parametrize("flag", [0x1, 0x8, 0x20, 0x40, 0x80, ENCRYPTED, 0x80000])
async def test_flags_that_are_not_kept(made: Mounted, flag: int) -> None:
    with fails(errno.EOPNOTSUPP):
        await put(made, flag)


async def test_flags_that_stay_are_no_change(made: Mounted) -> None:
    theirs(made).attributes = Attributes.ENCRYPTED
    node = await made.node("file")
    with made.turns(0):
        await made.fs.set_flags(WHO, node, ENCRYPTED)


async def test_a_refusal_is_told(made: Mounted) -> None:
    made.server.script.append(Denies(on=Command.SET_INFO, status=Status.ACCESS_DENIED))
    with fails(errno.EACCES):
        await put(made, IMMUTABLE)


async def test_an_open_file(made: Mounted) -> None:
    opened = await made.open("file", WRITE)
    await put(made, IMMUTABLE)
    await made.fs.write(WHO, opened.fh, 0, b"still")
    await made.fs.flush(WHO, opened.fh)
    assert made.share.read("file") == b"still"
    assert await flags(made) == IMMUTABLE


async def test_a_file_stays_sparse_when_its_flags_change(made: Mounted) -> None:
    theirs(made).attributes |= Attributes.SPARSE_FILE
    await put(made, IMMUTABLE)
    assert theirs(made).attributes & Attributes.SPARSE_FILE
    assert await flags(made) == IMMUTABLE
