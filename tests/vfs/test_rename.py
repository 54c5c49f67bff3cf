"""rename, as POSIX means it."""

import errno

import pytest
import trio
import trio.testing

from smbfs.fuse.server import ROOT, RenameFlag
from smbfs.wire.constants import Attributes
from smbfs.wire.fscc import FileRenameInformation
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake import settings
from tests.fake.script import Fails, Silent
from tests.fake.tree import Fail, Open, Volume
from tests.vfs.mounted import WHO, Mounted, mounted
from tests.vfs.tables import fails

READONLY = Attributes.READONLY


async def content(m: Mounted, fh: int) -> bytes:
    return b"".join(await m.fs.read(WHO, fh, 0, 100))  # type: ignore[arg-type]  # a FileHandle


class Renames:
    """What the server does with renames, one after the other: None does it, a status refuses."""

    def __init__(self, patch: pytest.MonkeyPatch, *answers: Status | None) -> None:
        self.answers = list(answers)
        self.does = settings.SETTERS[FileRenameInformation.number]
        patch.setitem(settings.SETTERS, FileRenameInformation.number, self)

    def __call__(self, open_: Open, data: memoryview) -> None:
        status = self.answers.pop(0) if self.answers else None
        if status is not None:
            raise Fail(status)
        self.does(open_, data)


# Files


async def test_a_rename_is_one_turnaround() -> None:
    async with mounted() as m:
        node = await m.put("a", b"A")
        directory = await m.mkdir("d")
        with m.turns(1):
            await m.fs.rename(WHO, ROOT, b"a", directory, b"b", 0)
        assert m.share.read("d/b") == b"A"
        assert await m.node("d/b") == node
        assert (await m.fs.lookup(WHO, ROOT, b"a")).attributes is None


async def test_a_file_replaces_a_file_in_one_turnaround() -> None:
    async with mounted() as m:
        node, over = await m.put("a", b"A"), await m.put("b", b"B")
        with m.turns(1):
            await m.fs.rename(WHO, ROOT, b"a", ROOT, b"b", 0)
        assert m.share.names() == ["b"]
        assert m.share.read("b") == b"A"
        assert await m.node("b") == node
        assert m.inode(over).is_unlinked


async def test_noreplace() -> None:
    async with mounted() as m:
        await m.put("a", b"A")
        await m.put("b", b"B")
        with m.turns(1), fails(errno.EEXIST):
            await m.fs.rename(WHO, ROOT, b"a", ROOT, b"b", RenameFlag.NOREPLACE)
        with m.turns(1):
            await m.fs.rename(WHO, ROOT, b"a", ROOT, b"c", RenameFlag.NOREPLACE)
        assert m.share.read("b") == b"B"


@pytest.mark.parametrize("flags", [RenameFlag.EXCHANGE, RenameFlag.WHITEOUT, 8])
async def test_flags_that_no_server_has(flags: int) -> None:
    async with mounted() as m:
        await m.put("a")
        with m.turns(0), fails(errno.EINVAL):
            await m.fs.rename(WHO, ROOT, b"a", ROOT, b"b", flags)


async def test_onto_itself() -> None:
    async with mounted() as m:
        node = await m.put("a", b"A")
        await m.fs.link(WHO, node, ROOT, b"b")
        for name in (b"a", b"b"):
            with m.turns(0):
                await m.fs.rename(WHO, ROOT, b"a", ROOT, name, 0)
            with fails(errno.EEXIST):
                await m.fs.rename(WHO, ROOT, b"a", ROOT, name, RenameFlag.NOREPLACE)
        assert m.share.names() == ["a", "b"]


async def test_in_case_only() -> None:
    async with mounted() as m:
        node = await m.put("name")
        await m.rename("name", "NAME")
        assert m.share.names() == ["NAME"]
        assert await m.node("NAME") == node


async def test_what_is_not_there() -> None:
    async with mounted() as m:
        with fails(errno.ENOENT):
            await m.fs.rename(WHO, ROOT, b"a", ROOT, b"b", 0)
        m.share.put("unseen", b"U")
        await m.fs.rename(WHO, ROOT, b"unseen", ROOT, b"b", 0)
        assert m.share.read("b") == b"U"
        m.share.remove("b")
        with fails(errno.ENOENT):
            await m.fs.rename(WHO, ROOT, b"b", ROOT, b"c", 0)


@pytest.mark.parametrize("is_seen", [True, False])
async def test_over_a_file_that_we_have_open(is_seen: bool) -> None:
    async with mounted() as m:
        await m.put("a", b"A")
        opened = await m.create("b", b"B")
        node = await m.node("b")
        if not is_seen:
            m.volume.inodes.changed(m.inode(node))
        await m.fs.rename(WHO, ROOT, b"a", ROOT, b"b", 0)
        assert m.share.read("b") == b"A"
        assert list(await m.listed()) == [b"b"]
        assert (await m.fs.getattr(WHO, node, None)).links == 0
        assert await content(m, opened.fh) == b"B"
        await m.fs.release(WHO, opened.fh)
        await trio.testing.wait_all_tasks_blocked()
        assert m.share.names() == ["b"]


async def test_over_a_read_only_file_that_is_open() -> None:
    async with mounted() as m:
        await m.put("a", b"A")
        m.share.put("b", b"B", attributes=READONLY)
        opened = await m.open("b")
        await m.fs.rename(WHO, ROOT, b"a", ROOT, b"b", 0)
        assert m.share.read("b") == b"A"
        await m.fs.release(WHO, opened.fh)
        await trio.testing.wait_all_tasks_blocked()
        assert m.share.names() == ["b"]


@pytest.mark.parametrize("attributes", [0, READONLY])
async def test_over_a_file_that_the_server_protects(
    attributes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with mounted() as m:
        await m.put("a", b"A")
        m.share.put("b", b"B", attributes=attributes)
        Renames(monkeypatch, Status.ACCESS_DENIED)  # somebody else has it open, or it is READONLY
        await m.rename("a", "b")
        await trio.testing.wait_all_tasks_blocked()
        assert m.share.names() == ["b"]
        assert m.share.read("b") == b"A"


async def test_what_was_moved_aside_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mounted() as m:
        await m.put("a", b"A")
        await m.put("b", b"B")
        refused = Status.ACCESS_DENIED
        Renames(monkeypatch, refused, None, refused, None)
        with fails(errno.EACCES):
            await m.rename("a", "b")
        assert m.share.read("a") == b"A"
        assert m.share.read("b") == b"B"


async def test_what_cannot_come_back_keeps_its_silly_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mounted() as m:
        await m.put("a", b"A")
        await m.put("b", b"B")
        refused = Status.ACCESS_DENIED
        Renames(monkeypatch, refused, None, refused, refused)
        with fails(errno.EACCES):
            await m.rename("a", "b")
        [silly] = [name for name in m.share.names() if name != "a"]
        assert m.share.read(silly) == b"B"


async def test_what_cannot_be_moved_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mounted() as m:
        await m.put("a", b"A")
        await m.put("b", b"B")
        Renames(monkeypatch, Status.SHARING_VIOLATION, Status.ACCESS_DENIED)
        with fails(errno.EBUSY):
            await m.rename("a", "b")
        opened = await m.open("b")
        Renames(monkeypatch, Status.ACCESS_DENIED)
        with fails(errno.EACCES):
            await m.rename("a", "b")
        await m.fs.release(WHO, opened.fh)
        assert m.share.names() == ["a", "b"]


async def test_a_caller_who_gives_up_leaves_no_hole(autojump_clock: trio.testing.MockClock) -> None:
    async with mounted() as m:
        await m.put("a", b"A")
        opened = await m.create("b", b"B")
        await m.node("b")
        m.server.script.append(Silent(on=Command.SET_INFO, after=1, times=1))
        with trio.move_on_after(0.5) as scope:
            await m.fs.rename(WHO, ROOT, b"a", ROOT, b"b", 0)
        assert scope.cancelled_caught
        assert m.share.read("b") == b"B"
        await m.fs.release(WHO, opened.fh)


async def test_the_deletion_of_what_was_replaced_may_fail() -> None:
    async with mounted() as m:
        await m.put("a", b"A")
        opened = await m.create("b", b"B")
        m.server.script.append(Fails(on=Command.SET_INFO, status=Status.DATA_ERROR, after=2))
        with fails(errno.EIO):
            await m.fs.rename(WHO, ROOT, b"a", ROOT, b"b", 0)
        m.server.script.clear()
        await m.fs.release(WHO, opened.fh)
        assert m.share.read("b") == b"A"


async def test_a_refusal_with_nothing_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mounted() as m:
        await m.put("a", b"A")
        Renames(monkeypatch, Status.ACCESS_DENIED)
        with m.turns(2), fails(errno.EACCES):
            await m.fs.rename(WHO, ROOT, b"a", ROOT, b"b", 0)
        Renames(monkeypatch, Status.DISK_FULL)
        with m.turns(1), fails(errno.ENOSPC):
            await m.fs.rename(WHO, ROOT, b"a", ROOT, b"b", 0)
        await m.put("b")
        Renames(monkeypatch, Status.ACCESS_DENIED)
        m.volume.inodes.changed(m.inode(await m.node("b")))
        m.server.script.append(Fails(on=Command.QUERY_INFO, status=Status.DATA_ERROR))
        with fails(errno.EIO):
            await m.fs.rename(WHO, ROOT, b"a", ROOT, b"b", 0)


# Directories


async def test_a_directory_takes_what_is_in_it_along() -> None:
    async with mounted() as m:
        await m.mkdir("d")
        node = await m.put("d/file", b"F")
        with m.turns(1):
            await m.fs.rename(WHO, ROOT, b"d", ROOT, b"e", 0)
        assert m.volume.inodes.path(m.inode(node)) == "e\\file"
        assert (await m.stat("e/file")).size == 1


async def test_a_directory_over_an_empty_one() -> None:
    async with mounted() as m:
        node, over = await m.mkdir("d"), await m.mkdir("e")
        m.share.put("d/file")
        await m.fs.rename(WHO, ROOT, b"d", ROOT, b"e", 0)
        assert m.share.names() == ["e"]
        assert await m.node("e") == node
        assert m.inode(over).is_unlinked


async def test_a_directory_over_a_full_one() -> None:
    async with mounted() as m:
        await m.mkdir("d")
        m.share.put("e/file")
        with fails(errno.ENOTEMPTY):
            await m.rename("d", "e")
        with fails(errno.EEXIST):
            await m.rename("d", "e", RenameFlag.NOREPLACE)
        assert m.share.names() == ["d", "e"]


async def test_different_types() -> None:
    async with mounted() as m:
        await m.mkdir("d")
        await m.put("file")
        with fails(errno.EISDIR):
            await m.rename("file", "d")
        with fails(errno.ENOTDIR):
            await m.rename("d", "file")
        opened = await m.open("file")
        with fails(errno.ENOTDIR):
            await m.rename("d", "file")
        await m.fs.release(WHO, opened.fh)
        assert m.share.names() == ["d", "file"]


async def test_into_itself() -> None:
    async with mounted() as m:
        directory = await m.mkdir("d")
        with m.turns(0), fails(errno.EINVAL):
            await m.fs.rename(WHO, ROOT, b"d", directory, b"x", 0)


async def test_a_directory_that_is_being_listed() -> None:
    async with mounted() as m:
        m.list_in_pages(500)
        for number in range(60):
            m.share.put(f"d/sub/{number}")
        opened = await m.fs.opendir(WHO, await m.node("d/sub"))
        await m.rename("d", "e")
        assert len(await m.items(opened.fh)) == 60
        await m.fs.releasedir(WHO, opened.fh)


async def test_a_directory_with_open_files_in_it() -> None:
    async with mounted() as m:
        await m.mkdir("d")
        opened = await m.create("d/file")
        with fails(errno.EACCES):
            await m.rename("d", "e")
        await m.mkdir("e")
        with fails(errno.EACCES):
            await m.rename("d", "e")
        await m.fs.release(WHO, opened.fh)
        assert m.share.names() == ["d", "e"]  # the empty one was made again
    async with mounted(Volume(strict_rename=False)) as m:
        await m.mkdir("d")
        opened = await m.create("d/file", b"F")
        await m.rename("d", "e")
        assert await content(m, opened.fh) == b"F"
        await m.fs.release(WHO, opened.fh)
