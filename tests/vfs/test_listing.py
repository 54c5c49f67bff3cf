"""Directory listings."""

import errno
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import trio
import trio.testing

from smbfs.fuse.server import MISS, ROOT, DirectoryItem, Entry, FileHandle
from smbfs.vfs.listing import BEHIND, CHUNK, DOTS, FEW, LEAST_PAGE, LOOKING, of
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from smbfs.wire.symlink import pack_mfsymlink
from tests.fake.script import Delay, Drops, Fails
from tests.vfs.mounted import WHO, Mounted, mounted
from tests.vfs.tables import fails

BEHIND_CHUNK = CHUNK + DOTS  # the cookie of the first chunk's last entry


@dataclass
class Reader:
    """Somebody who reads the root directory."""

    m: Mounted
    fh: FileHandle

    async def next(self, after: int = 0) -> list[DirectoryItem]:
        return await self.m.fs.readdir(WHO, self.fh, after)

    async def rest(self, after: int = 0) -> list[bytes]:
        return [item.name for item in await self.m.items(self.fh, after)]

    async def close(self) -> None:
        await self.m.fs.releasedir(WHO, self.fh)


async def reader(m: Mounted) -> Reader:
    return Reader(m, (await m.fs.opendir(WHO, ROOT)).fh)


def fill(m: Mounted, number: int, directory: str = "") -> list[bytes]:
    names = [f"file{count:05}" for count in range(number)]
    for name in names:
        m.share.put(directory + name)
    return [name.encode() for name in names]


def names_of(items: Sequence[DirectoryItem]) -> list[bytes]:
    return [item.name for item in items]


async def test_a_small_directory_is_one_turnaround() -> None:
    async with mounted() as m:
        m.share.put("a", b"123")
        m.share.mkdir("b")
        await m.node("")
        with m.turns(1):
            told = await m.listed()
        assert list(told) == [b"a", b"b"]
        assert told[b"a"].size == 3
        await trio.testing.wait_all_tasks_blocked()
        assert not m.server.open_handles


async def test_a_listing_answers_lookups_and_stats() -> None:
    async with mounted() as m:
        fill(m, 3)
        r = await reader(m)
        for item in await r.next():
            m.fs.listed(item.attributes.node)
        await r.close()
        with m.turns(0):
            entry = m.fs.lookup_now(WHO, ROOT, b"file00001")
        assert isinstance(entry, Entry)
        assert entry.attributes is not None
        assert m.inode(entry.attributes.node).lookups == 2


async def test_five_thousand_files_are_few_turnarounds() -> None:
    async with mounted() as m:
        names = fill(m, 5000)
        before = m.server.turnarounds
        assert list(await m.listed()) == names
        await trio.testing.wait_all_tasks_blocked()
        assert m.server.turnarounds - before <= 4


async def test_pages_chunks_and_cookies() -> None:
    async with mounted() as m:
        names = fill(m, 3 * CHUNK)
        m.list_in_pages(4000)
        r = await reader(m)
        items = await m.items(r.fh)
        assert names_of(items) == names
        assert [item.next_id for item in items] == list(range(1 + DOTS, 1 + DOTS + len(names)))
        for after in (items[5].next_id, items[CHUNK].next_id, items[-2].next_id):
            assert await r.rest(after) == names[after - DOTS :]
        assert await r.next(items[-1].next_id) == []
        await r.close()


async def test_the_twin_answers_what_is_at_hand() -> None:
    async with mounted() as m:
        names = fill(m, CHUNK + 1)
        r = await reader(m)
        assert m.fs.readdir_now(WHO, r.fh, 0) is MISS
        items = await r.next()
        assert names_of(items) == names[:FEW]
        again = m.fs.readdir_now(WHO, r.fh, items[9].next_id)
        assert again is not MISS
        assert names_of(again) == names[10 : 10 + FEW]
        last = m.fs.readdir_now(WHO, r.fh, BEHIND_CHUNK - 1)
        assert last is not MISS
        assert names_of(last) == [names[CHUNK - 1]]
        assert m.fs.readdir_now(WHO, r.fh, last[-1].next_id) is MISS
        await r.close()


async def test_what_the_kernel_does_not_take_is_let_go() -> None:
    async with mounted() as m:
        fill(m, 2 * CHUNK)
        r = await reader(m)
        first = await r.next()
        m.fs.listed(first[0].attributes.node)
        assert len(m.volume.inodes) == 1 + CHUNK
        await r.next(BEHIND_CHUNK)
        assert len(m.volume.inodes) == 1 + 1 + CHUNK
        await r.close()
        assert len(m.volume.inodes) == 1 + 1


async def test_an_entry_can_be_taken_although_it_was_forgotten_meanwhile() -> None:
    async with mounted() as m:
        fill(m, 2)
        r = await reader(m)
        [first, _] = await r.next()
        m.fs.listed(first.attributes.node)
        m.fs.forget([(first.attributes.node, 1)])
        m.fs.listed(first.attributes.node)
        await r.close()
        assert m.inode(first.attributes.node).lookups == 1


async def test_rewinding_reads_anew() -> None:
    async with mounted() as m:
        fill(m, 2)
        r = await reader(m)
        await r.rest()
        m.share.put("later")
        assert b"later" in await r.rest()
        await r.close()


async def test_going_back_beyond_what_is_kept() -> None:
    async with mounted() as m:
        names = fill(m, BEHIND + 3 * CHUNK)
        r = await reader(m)
        assert await r.rest() == names
        assert await r.rest(3 + DOTS) == names[3:]
        await r.close()


async def test_a_connection_lost_in_the_middle(caplog: pytest.LogCaptureFixture) -> None:
    async with mounted() as m:
        names = fill(m, 100)
        m.list_in_pages(2000)
        r = await reader(m)
        caplog.set_level(logging.CRITICAL, "smbfs.engine.link")
        m.server.script.append(Drops(on=Command.QUERY_DIRECTORY, times=1))
        assert await r.rest() == names
        await r.close()


async def test_names_that_go_while_they_are_listed() -> None:
    async with mounted() as m:
        fill(m, CHUNK + 10)
        r = await reader(m)
        await r.next()
        await m.fs.unlink(WHO, ROOT, b"file00256")
        await m.fs.rename(WHO, ROOT, b"file00257", ROOT, b"moved", 0)
        rest = await r.rest(BEHIND_CHUNK)
        assert rest == [b"file%05d" % number for number in range(258, 266)]
        await r.close()


async def test_names_that_change_while_they_are_listed() -> None:
    async with mounted() as m:
        fill(m, CHUNK + 10)
        r = await reader(m)
        await r.next()
        new = await m.put("new", b"12345")
        await m.rename("new", "file00260")
        rest = await m.items(r.fh, BEHIND_CHUNK)
        [item] = [item for item in rest if item.name == b"file00260"]
        assert item.attributes.node == new
        assert item.attributes.size == 5
        await r.close()


async def test_a_chunk_of_which_nothing_is_left() -> None:
    async with mounted() as m:
        names = fill(m, 2 * CHUNK + 1)
        r = await reader(m)
        await r.next()
        for name in names[CHUNK : 2 * CHUNK]:
            await m.fs.unlink(WHO, ROOT, name)
        assert await r.rest(BEHIND_CHUNK) == names[-1:]
        await r.close()


async def test_an_open_file_keeps_its_size_in_a_listing() -> None:
    async with mounted() as m:
        opened = await m.create("file", b"12345")
        m.share.node("file").data[:] = b""  # as a server whose directory lags behind
        assert (await m.listed())[b"file"].size == 5
        await m.fs.release(WHO, opened.fh)


async def test_links_in_a_listing_are_read_together(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with mounted() as m:
        for number in range(LOOKING):
            m.share.put(f"link{number}", pack_mfsymlink(b"t"))
        m.server.script.append(Delay(on=Command.READ, seconds=1))
        before_s = trio.current_time()
        told = await m.listed()
        assert {attributes.size for attributes in told.values()} == {1}
        assert trio.current_time() - before_s < 2


async def test_a_link_that_is_known_is_not_read_again() -> None:
    async with mounted() as m:
        m.share.put("link", pack_mfsymlink(b"t"))
        await m.node("link")
        with m.turns(1):
            assert (await m.listed())[b"link"].size == 1


async def test_a_link_that_cannot_be_read() -> None:
    async with mounted() as m:
        m.share.put("link", pack_mfsymlink(b"t"))
        r = await reader(m)
        m.server.script.append(Fails(on=Command.CREATE, status=Status.OBJECT_NAME_NOT_FOUND))
        assert await r.rest() == [b"link"]
        await r.close()


@pytest.mark.logs("unsafe name")
async def test_names_that_would_lead_elsewhere_are_left_out() -> None:
    async with mounted() as m:
        for name in ("a/b", "..\\up", "nul\0", "../../etc"):
            m.share.add(m.share.root.node, name)
        m.share.put("good")
        assert list(await m.listed()) == [b"good"]


@pytest.mark.logs("is not shown: ")
async def test_a_name_that_nobody_could_look_up() -> None:
    async with mounted() as m:
        m.share.put("good")
        m.share.add(m.share.root.node, "\U0001f600" * 200)  # longer than any name on a server
        assert list(await m.listed()) == [b"good"]


async def test_opening_what_is_no_directory() -> None:
    async with mounted() as m:
        node = await m.put("file")
        with fails(errno.ENOTDIR):
            await m.fs.opendir(WHO, node)
        assert m.inode(node).opens == 0


async def test_a_directory_that_was_removed_is_empty() -> None:
    async with mounted() as m:
        node = await m.mkdir("d")
        await m.rmdir("d")
        opened = await m.fs.opendir(WHO, node)
        with m.turns(0):
            assert await m.fs.readdir(WHO, opened.fh, 0) == []
        await m.fs.releasedir(WHO, opened.fh)


async def test_an_empty_directory() -> None:
    async with mounted() as m:
        assert await m.listed() == {}


async def test_numbers_that_are_not_open() -> None:
    async with mounted() as m:
        with fails(errno.EBADF):
            await m.fs.readdir(WHO, FileHandle(99), 0)
        await m.fs.releasedir(WHO, FileHandle(99))
        await m.fs.fsyncdir(WHO, FileHandle(99))


async def test_two_readers_of_one_open_directory() -> None:
    async with mounted() as m:
        names = fill(m, 100)
        m.list_in_pages(1000)
        r = await reader(m)
        first = await r.next()
        found: list[list[bytes]] = []

        async def read() -> None:
            found.append(await r.rest(first[-1].next_id))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(read)
        assert names_of(first) + found[0] == names
        assert found[0] == found[1]
        await r.close()


async def test_a_mount_that_ends_with_an_open_directory() -> None:
    async with mounted() as m:
        fill(m, 100)
        m.list_in_pages(500)
        await reader(m)


async def test_a_directory_and_the_one_above_it_can_be_listed_too() -> None:
    async with mounted() as m:
        m.share.mkdir("b")
        below = (await m.fs.lookup(WHO, ROOT, b"b")).attributes
        assert below is not None
        for node, nodes in ((ROOT, [ROOT, ROOT]), (below.node, [below.node, ROOT])):
            opened = await m.fs.opendir(WHO, node)
            dots = m.fs.dots(opened.fh)
            assert names_of(dots) == [b".", b".."]
            assert [item.next_id for item in dots] == [1, 2]
            assert [item.attributes.node for item in dots] == nodes
            await m.fs.releasedir(WHO, opened.fh)


async def turns_for(m: Mounted, pause_s: float) -> int:
    """How often the server is asked by a reader who takes so long for each chunk."""
    r = await reader(m)
    before, after = m.server.turnarounds, 0
    while items := await r.next(after):
        after = items[-1].next_id
        await trio.sleep(pause_s * len(items) / CHUNK)
    await r.close()
    return m.server.turnarounds - before


async def test_a_slow_reader_gets_less_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with mounted(actimeo_s=1) as m:
        fill(m, 2500)
        m.list_in_pages(LEAST_PAGE * 2)
        fast, steady, slow = [await turns_for(m, pause_s) for pause_s in (0, 0.05, 0.4)]
        assert fast == steady < slow
        m.show(actimeo_s=0)
        assert await turns_for(m, 0.4) == fast, "nothing is believed anyway"


async def test_a_fast_reader_gets_more_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with mounted() as m:
        fill(m, 1000)
        r = await reader(m)
        listing = of(m.volume, r.fh)
        listing.page_bytes = LEAST_PAGE
        await listing.start()
        assert len(await r.rest()) == 1000
        assert listing.page_bytes > LEAST_PAGE
        await r.close()
