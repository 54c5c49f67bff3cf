"""unlink and rmdir, of open files as well."""

import errno
from collections.abc import Callable

import pytest
import trio.testing

from smbfs.fuse.server import ROOT
from smbfs.wire.constants import Attributes
from smbfs.wire.fscc import FileBasicInformation, FileDispositionInformation, FileRenameInformation
from smbfs.wire.header import Command
from smbfs.wire.reparse import SymbolicLink, pack_reparse
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.fake.settings import SETTERS
from tests.fake.tree import Fail, Volume
from tests.vfs.mounted import WHO, Mounted, mounted
from tests.vfs.tables import fails

READONLY = Attributes.READONLY
BASIC, DISPOSITION = FileBasicInformation.number, FileDispositionInformation.number


@pytest.fixture
def no_renames(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the server refuse every rename from now on."""

    def refuse(*_: object) -> None:
        raise Fail(Status.ACCESS_DENIED)

    return lambda: monkeypatch.setitem(SETTERS, FileRenameInformation.number, refuse)


async def content(m: Mounted, fh: int) -> bytes:
    return b"".join(await m.fs.read(WHO, fh, 0, 100))  # type: ignore[arg-type]  # a FileHandle


# Closed files


async def test_unlink_is_one_turnaround() -> None:
    async with mounted() as m:
        node = await m.put("file")
        with m.turns(1):
            await m.fs.unlink(WHO, ROOT, b"file")
        assert m.share.names() == []
        assert m.inode(node).is_unlinked
        with fails(errno.ENOENT):
            await m.fs.unlink(WHO, ROOT, b"file")


async def test_unlink_of_a_directory() -> None:
    async with mounted() as m:
        await m.mkdir("d")
        with fails(errno.EISDIR):
            await m.unlink("d")
        m.share.mkdir("unseen")
        with fails(errno.EISDIR):
            await m.fs.unlink(WHO, ROOT, b"unseen")
        assert m.share.names() == ["d", "unseen"]


@pytest.mark.parametrize("is_known", [True, False])
async def test_unlink_of_a_read_only_file(is_known: bool) -> None:
    async with mounted() as m:
        m.share.put("file", attributes=READONLY | Attributes.HIDDEN)
        if is_known:
            await m.node("file")
        with m.turns(1 if is_known else 2):
            await m.fs.unlink(WHO, ROOT, b"file")
        assert m.share.names() == []


async def test_a_read_only_file_with_another_name_stays_read_only() -> None:
    async with mounted() as m:
        node = await m.put("a")
        await m.fs.link(WHO, node, ROOT, b"b")
        m.share.node("a").attributes = READONLY
        await m.unlink("a")
        assert m.share.node("b").attributes & READONLY


async def test_a_read_only_file_that_cannot_be_deleted_stays_read_only() -> None:
    async with mounted() as m:
        m.share.put("file", attributes=READONLY)
        await m.node("file")
        m.volume.share._manners.takes_compounds = False  # it does not go on after an error
        theirs = m.share.node("file")
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(SETTERS, DISPOSITION, _cannot)
            with fails(errno.EACCES):
                await m.fs.unlink(WHO, ROOT, b"file")
        assert theirs.attributes & READONLY


async def test_a_file_that_the_server_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    async with mounted() as m:
        await m.put("file")
        monkeypatch.setitem(SETTERS, DISPOSITION, _keeps)
        with m.turns(3), fails(errno.EACCES):
            await m.fs.unlink(WHO, ROOT, b"file")
        monkeypatch.setitem(SETTERS, BASIC, _cannot)
        m.share.node("file").attributes = READONLY
        with fails(errno.EACCES):
            await m.fs.unlink(WHO, ROOT, b"file")
        assert m.share.names() == ["file"]


def _keeps(*_: object) -> None:
    raise Fail(Status.CANNOT_DELETE)


def _cannot(*_: object) -> None:
    raise Fail(Status.ACCESS_DENIED)


async def test_unlink_of_a_file_that_another_client_is_deleting() -> None:
    async with mounted() as m:
        await m.put("file")
        m.server.script.append(Fails(on=Command.CREATE, status=Status.DELETE_PENDING, times=1))
        with fails(errno.ENOENT):
            await m.fs.unlink(WHO, ROOT, b"file")


async def test_nodelete() -> None:
    async with mounted(nodelete=True) as m:
        await m.put("file")
        await m.mkdir("d")
        with fails(errno.EPERM):
            await m.unlink("file")
        with fails(errno.EPERM):
            await m.rmdir("d")
        assert m.share.names() == ["d", "file"]


async def test_unlink_of_a_link_to_a_directory() -> None:
    async with mounted() as m:
        buffer = pack_reparse(SymbolicLink("d", "d", True))
        m.share.link("link", buffer, is_directory=True)
        with fails(errno.ENOTDIR):
            await m.rmdir("link")
        await m.unlink("link")
        assert m.share.names() == []


# rmdir


async def test_rmdir_is_one_turnaround_and_tells_the_truth() -> None:
    async with mounted() as m:
        node = await m.mkdir("d")
        m.share.put("d/file")
        with m.turns(1), fails(errno.ENOTEMPTY):
            await m.fs.rmdir(WHO, ROOT, b"d")
        m.share.remove("d/file")
        with m.turns(1):
            await m.fs.rmdir(WHO, ROOT, b"d")
        assert m.share.names() == []
        assert m.inode(node).is_unlinked


async def test_rmdir_of_a_file() -> None:
    async with mounted() as m:
        await m.put("file")
        with m.turns(0), fails(errno.ENOTDIR):
            await m.fs.rmdir(WHO, ROOT, b"file")
        m.share.put("unseen")
        with fails(errno.ENOTDIR):
            await m.fs.rmdir(WHO, ROOT, b"unseen")


async def test_rmdir_of_a_directory_that_is_being_listed() -> None:
    async with mounted() as m:
        m.list_in_pages(500)
        for number in range(60):  # more than the pages that opening brings
            m.share.put(f"d/{number}")
        node = await m.node("d")
        opened = await m.fs.opendir(WHO, node)
        other = await m.fs.opendir(WHO, ROOT)
        for name in m.share.names("d"):
            m.share.remove(f"d/{name}")
        await m.rmdir("d")
        assert m.share.names() == []
        assert len(await m.items(opened.fh)) < 60  # what was listed before, and then the end
        assert await m.fs.readdir(WHO, opened.fh, 0) == []
        await m.fs.releasedir(WHO, opened.fh)
        await m.fs.releasedir(WHO, other.fh)


# Open files


async def test_a_deleted_file_works_until_its_last_close() -> None:
    async with mounted() as m:
        opened = await m.create("file", b"data")
        node = await m.node("file")
        with m.turns(1):
            await m.fs.unlink(WHO, ROOT, b"file")
        assert (await m.fs.lookup(WHO, ROOT, b"file")).attributes is None
        assert await m.listed() == {}
        [silly] = m.share.names()
        assert silly.startswith(".smbfs_")
        assert (await m.fs.lookup(WHO, ROOT, silly.encode())).attributes is None
        assert (await m.fs.getattr(WHO, node, None)).links == 0
        await m.fs.write(WHO, opened.fh, 4, b"more")
        await m.fs.flush(WHO, opened.fh)
        assert await content(m, opened.fh) == b"datamore"
        await m.put("file", b"another")
        await m.fs.release(WHO, opened.fh)
        await trio.testing.wait_all_tasks_blocked()
        assert m.share.names() == ["file"]
        assert m.share.read("file") == b"another"


async def test_a_deleted_read_only_file() -> None:
    async with mounted() as m:
        m.share.put("file", b"data", attributes=READONLY)
        opened = await m.open("file")
        await m.unlink("file")
        assert await content(m, opened.fh) == b"data"
        await m.fs.release(WHO, opened.fh)
        await trio.testing.wait_all_tasks_blocked()
        assert m.share.names() == []


async def test_all_links_of_an_open_file() -> None:
    async with mounted() as m:
        node = await m.put("a", b"data")
        await m.fs.link(WHO, node, ROOT, b"b")
        opened = await m.fs.open(WHO, node, 0)
        await m.unlink("a")
        assert (await m.fs.getattr(WHO, node, None)).links == 1
        await m.unlink("b")
        assert (await m.fs.getattr(WHO, node, None)).links == 0
        assert await content(m, opened.fh) == b"data"
        await m.fs.release(WHO, opened.fh)
        await trio.testing.wait_all_tasks_blocked()
        assert m.share.names() == []


async def test_a_server_that_does_not_rename(no_renames: Callable[[], None]) -> None:
    async with mounted() as m:
        opened = await m.create("file", b"data")
        no_renames()
        await m.unlink("file")
        assert await content(m, opened.fh) == b"data"
        await m.fs.release(WHO, opened.fh)
        await trio.testing.wait_all_tasks_blocked()
        assert m.share.names() == []


async def test_a_server_without_chains_that_does_not_rename(
    no_renames: Callable[[], None],
) -> None:
    async with mounted() as m:
        opened = await m.create("file", b"data")
        m.volume.share._manners.takes_compounds = False
        no_renames()
        await m.unlink("file")
        await m.fs.release(WHO, opened.fh)
        await trio.testing.wait_all_tasks_blocked()
        assert m.share.names() == []


async def test_a_file_that_may_not_be_deleted() -> None:
    async with mounted() as m:
        opened = await m.create("file", b"data")
        node = await m.node("file")
        m.server.script.append(Fails(on=Command.CREATE, status=Status.ACCESS_DENIED, times=1))
        with fails(errno.EACCES):
            await m.fs.unlink(WHO, ROOT, b"file")
        assert not m.inode(node).is_unlinked
        await m.fs.release(WHO, opened.fh)


async def test_a_directory_with_nothing_but_deleted_files() -> None:
    async with mounted() as m:
        await m.mkdir("d")
        await m.mkdir("other")
        opened = [await m.create(f"{path}", b"data") for path in ("d/1", "d/2", "other/3")]
        for path in ("d/1", "d/2", "other/3"):
            await m.unlink(path)
        assert await m.listed("d") == {}
        await m.rmdir("d")
        assert not m.share.exists("d")
        assert list(await m.listed()) == [b"other"]
        for one in opened:
            assert await content(m, one.fh) == b"data"
            await m.fs.release(WHO, one.fh)
        await trio.testing.wait_all_tasks_blocked()
        assert m.share.names() == ["other"]
        assert m.share.names("other") == []


async def test_a_directory_whose_deleted_files_cannot_move(
    no_renames: Callable[[], None],
) -> None:
    async with mounted(Volume()) as m:
        await m.mkdir("d")
        opened = await m.create("d/file")
        await m.unlink("d/file")
        no_renames()
        with fails(errno.ENOTEMPTY):
            await m.rmdir("d")
        await m.fs.release(WHO, opened.fh)
        await trio.testing.wait_all_tasks_blocked()
        await m.rmdir("d")
