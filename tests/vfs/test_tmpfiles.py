"""Files without a name, and how one gets a name."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import trio

from smbfs.errors import SmbError
from smbfs.fuse.server import ROOT, FileHandle, Node
from smbfs.vfs.tmpfiles import NAMELESS, is_nameless
from smbfs.wire.constants import Access
from smbfs.wire.file_messages import CreateRequest
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.messages import Request
from tests.fake.script import BadDay, Drops, Fails
from tests.fake.tree import Volume
from tests.vfs.bench import Gate
from tests.vfs.mounted import BOTH, WHO, Denies, Mounted, mounted
from tests.vfs.tables import fails

O_TMPFILE = os.O_TMPFILE


async def tmpfile(made: Mounted, path: str = "", flags: int = 0) -> tuple[FileHandle, Node]:
    parent = await made.node(path)
    opened, entry = await made.fs.tmpfile(WHO, parent, 0o600, O_TMPFILE | BOTH | flags)
    assert entry.attributes is not None
    assert entry.attributes.links == 0
    return opened.fh, entry.attributes.node


async def name(made: Mounted, node: Node, path: str) -> Node:
    entry = await made.fs.link(WHO, node, *await made.place(path))
    assert entry.attributes is not None
    assert entry.attributes.links == 1
    return entry.attributes.node


async def test_a_file_without_a_name_is_read_and_written_and_gone() -> None:
    async with mounted() as made:
        made.share.mkdir("folder")
        parent = await made.node("folder")
        with made.turns(2):
            opened, entry = await made.fs.tmpfile(WHO, parent, 0o600, O_TMPFILE | BOTH)
        assert entry.attributes is not None
        fh, node = opened.fh, entry.attributes.node
        assert await made.listed("folder") == {}
        await made.fs.write(WHO, fh, 0, b"data")
        assert b"".join(await made.fs.read(WHO, fh, 0, 10)) == b"data"
        found = await made.fs.getattr(WHO, node, fh)
        assert (found.size, found.links) == (4, 0)
        await made.fs.release(WHO, fh)
        await trio.testing.wait_all_tasks_blocked()
        assert made.share.names("folder") == []
        made.fs.forget([(node, 1)])
        assert len(made.volume.inodes) == 2


@pytest.mark.logs("connection lost", "it had been deleted")
async def test_it_is_gone_even_if_we_are() -> None:
    async with mounted() as made:
        await tmpfile(made)
        assert len(made.share.names()) == 1
        made.server.hang_up()
        await trio.testing.wait_all_tasks_blocked()
        assert made.share.names() == []


async def test_a_directory_with_one_is_removed() -> None:
    async with mounted() as made:
        await made.mkdir("folder")
        fh, node = await tmpfile(made, "folder")
        await made.rmdir("folder")
        await made.fs.write(WHO, fh, 0, b"data")
        await made.fs.flush(WHO, fh)
        await name(made, node, "kept")
        assert made.share.read("kept") == b"data"


# A name


async def test_it_gets_a_name_and_is_like_any_file() -> None:
    async with mounted() as made:
        await made.mkdir("folder")
        fh, node = await tmpfile(made)
        await made.fs.write(WHO, fh, 0, b"data")
        await made.fs.flush(WHO, fh)
        place = await made.place("folder/new")
        with made.turns(1):
            await made.fs.link(WHO, node, *place)
        assert await made.node("folder/new") == node
        await made.fs.write(WHO, fh, 4, b" more")
        await made.fs.flush(WHO, fh)
        assert made.share.read("folder/new") == b"data more"
        assert (await made.stat("folder/new")).size == 9
        assert not is_nameless(made.inode(node))
        await made.fs.release(WHO, fh)
        await trio.testing.wait_all_tasks_blocked()
        assert not made.server.open_handles
        await made.rename("folder/new", "newer")
        assert made.share.names() == ["folder", "newer"]
        await made.unlink("newer")
        assert made.share.names() == ["folder"]


async def test_a_second_name_is_a_hard_link() -> None:
    async with mounted() as made:
        _, node = await tmpfile(made)
        await name(made, node, "new")
        entry = await made.fs.link(WHO, node, ROOT, b"newer")
        assert entry.attributes is not None
        assert entry.attributes.links == 2


async def test_it_is_named_where_something_was_before() -> None:
    async with mounted() as made:
        await made.put("new", b"old")
        fh, node = await tmpfile(made)
        await made.fs.write(WHO, fh, 0, b"data")
        made.share.remove("new")
        await name(made, node, "new")
        await made.fs.flush(WHO, fh)
        assert (await made.stat("new")).size == 4


async def test_a_name_that_is_taken() -> None:
    async with mounted() as made:
        made.share.put("new", b"theirs")
        fh, node = await tmpfile(made)
        with fails(errno.EEXIST):
            await name(made, node, "new")
        assert is_nameless(made.inode(node))
        await name(made, node, "newer")
        await made.fs.release(WHO, fh)
        assert made.share.read("new") == b"theirs"


async def test_what_got_no_name_is_deleted_all_the_same() -> None:
    async with mounted() as made:
        made.share.put("new")
        fh, node = await tmpfile(made)
        with fails(errno.EEXIST):
            await name(made, node, "new")
        await made.fs.release(WHO, fh)
        await trio.testing.wait_all_tasks_blocked()
        assert made.share.names() == ["new"]


async def test_a_caller_who_leaves_leaves_nothing_behind() -> None:
    async with mounted() as made:
        fh, node = await tmpfile(made)
        gate = Gate(on=Command.SET_INFO, does=True, times=1)
        made.server.script.append(gate)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(name, made, node, "new")
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        gate.open()
        await made.fs.release(WHO, fh)
        await trio.testing.wait_all_tasks_blocked()
        assert made.share.names() == []


async def test_one_that_never_gets_a_name() -> None:
    async with mounted() as made:
        _, node = await tmpfile(made, flags=os.O_EXCL)
        with fails(errno.ENOENT):
            await name(made, node, "new")


async def test_a_deleted_file_gets_no_name() -> None:
    async with mounted() as made:
        await made.create("file")
        node = await made.node("file")
        await made.unlink("file")
        with fails(errno.ENOENT):
            await name(made, node, "new")


# A server that does not do it


@dataclass(kw_only=True)
class DeniesDeleting(BadDay):
    """Files may be made and written, but not deleted."""

    def refuses(self, requests: Sequence[Request]) -> Status | None:
        for request in requests:
            if self.strikes(request.command):
                access = request.parse(CreateRequest).desired_access
                return Status.ACCESS_DENIED if access & Access.DELETE else None
        return None


async def test_where_nothing_may_be_deleted_nothing_is_made() -> None:
    async with mounted() as made:
        made.server.script.append(DeniesDeleting(on=Command.CREATE))
        with fails(errno.EOPNOTSUPP):
            await tmpfile(made)
        with made.turns(0), fails(errno.EOPNOTSUPP):
            await made.fs.tmpfile(WHO, ROOT, 0o600, O_TMPFILE | BOTH)
        assert made.share.names() == []
        await made.put("with a name")


async def test_where_nothing_may_be_made_is_one_directory() -> None:
    async with mounted() as made:
        made.share.read_only = True
        with fails(errno.EACCES):
            await tmpfile(made)
        made.share.read_only = False
        await tmpfile(made)


@pytest.mark.parametrize(
    ("status", "number"),
    [
        (Status.NOT_SUPPORTED, errno.EOPNOTSUPP),
        (Status.ACCESS_DENIED, errno.EOPNOTSUPP),
        (Status.DISK_FULL, errno.ENOSPC),
    ],
)
async def test_a_file_that_cannot_be_marked_is_removed(status: Status, number: int) -> None:
    async with mounted() as made:
        made.server.script.append(Denies(on=Command.SET_INFO, status=status, times=1))
        with fails(number):
            await tmpfile(made)
        await trio.testing.wait_all_tasks_blocked()
        assert made.share.names() == []
        assert (NAMELESS in made.volume.refused) == (number == errno.EOPNOTSUPP)


async def test_who_gives_up_leaves_no_file_behind() -> None:
    async with mounted() as made:
        gate = Gate(on=Command.SET_INFO, times=1)
        made.server.script.append(gate)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tmpfile, made)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        gate.open()
        await trio.testing.wait_all_tasks_blocked()
        assert made.share.names() == []


@pytest.mark.logs("smbfs_.*could not be deleted")
async def test_a_server_that_deletes_nothing_is_not_asked_again() -> None:
    async with mounted() as made:
        made.server.script.append(Fails(on=Command.SET_INFO, status=Status.NOT_SUPPORTED))
        with fails(errno.EOPNOTSUPP):
            await tmpfile(made)
        made.server.script.clear()
        for left in made.share.names():
            made.share.remove(left)
        with made.turns(0), fails(errno.EOPNOTSUPP):
            await made.fs.tmpfile(WHO, ROOT, 0o600, O_TMPFILE | BOTH)


async def test_no_files_without_a_name_on_a_mount_that_deletes_nothing() -> None:
    async with mounted(nodelete=True) as made:
        with fails(errno.EOPNOTSUPP):
            await tmpfile(made)


async def test_a_share_that_cannot_be_written() -> None:
    async with mounted(Volume(read_only=True)) as made:
        with fails(errno.EACCES):
            await tmpfile(made)


@pytest.mark.logs("connection lost")
async def test_the_connection_is_lost_while_it_gets_a_name() -> None:
    async with mounted() as made:
        _, node = await tmpfile(made)
        made.server.script.append(Drops(on=Command.SET_INFO))
        with pytest.raises(SmbError):
            await name(made, node, "new")
