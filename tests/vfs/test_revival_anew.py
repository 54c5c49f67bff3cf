"""Open files that the server did not keep: opened anew if nothing speaks against it, or stale."""

from __future__ import annotations

import errno

import pytest
import trio
import trio.testing

from smbfs.engine.handle import Handle
from smbfs.errors import ConnectionLost, SmbError, Stale
from smbfs.fuse.server import FileHandle, Lock, LockType
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Drops, Fails, Silent
from tests.fake.tree import Volume
from tests.vfs.mounted import BOTH, READ, WHO, Mounted, mounted
from tests.vfs.revived import LEASED, NEW, OLD, settled, text

pytestmark = pytest.mark.logs("connection lost|is away")


def opened_handle(fake: Mounted, fh: FileHandle) -> Handle:
    return fake.fs.content.of(fh).handle


# What it did not keep


async def test_a_reader_goes_on_with_the_file_that_has_its_name(autojump_clock: object) -> None:
    async with mounted() as fake:
        fake.share.put("file", OLD)
        opened = await fake.open("file")
        fake.server.hang_up()
        fake.share.put("file", NEW)  # the same file, changed
        await settled()
        assert await text(fake, opened.fh) == NEW
        await fake.fs.release(WHO, opened.fh)


@pytest.mark.logs("connection lost|is not any more: .*another file has its name")
async def test_a_reader_of_a_file_that_was_replaced_is_told(autojump_clock: object) -> None:
    async with mounted() as fake:
        fake.share.put("file", OLD)
        opened = await fake.open("file")
        fake.server.hang_up()
        fake.share.remove("file")
        fake.share.put("file", NEW)
        await settled()
        with pytest.raises(Stale) as caught:
            await text(fake, opened.fh)
        assert caught.value.errno == errno.ESTALE
        await fake.fs.release(WHO, opened.fh)
        assert len(fake.server.open_handles) == 0


@pytest.mark.logs("connection lost|is not any more: .*OBJECT_NAME_NOT_FOUND")
async def test_one_that_is_gone(autojump_clock: object) -> None:
    async with mounted() as fake:
        fake.share.put("file", OLD)
        opened = await fake.open("file")
        fake.server.hang_up()
        fake.share.remove("file")
        await settled()
        with pytest.raises(Stale):
            await text(fake, opened.fh)
        await fake.fs.release(WHO, opened.fh)


async def test_a_writer_goes_on_if_the_file_is_as_it_was(autojump_clock: object) -> None:
    async with mounted(Volume(keeps=False), policy=LEASED) as fake:
        fake.share.put("file", OLD)
        opened = await fake.open("file", BOTH)
        fake.server.hang_up()
        await settled()
        await fake.fs.write(WHO, opened.fh, 0, NEW)
        await fake.fs.flush(WHO, opened.fh)
        assert fake.share.read("file") == NEW
        await fake.fs.release(WHO, opened.fh)


@pytest.mark.logs("connection lost|is not any more: it may have been changed")
async def test_and_not_if_somebody_changed_it(autojump_clock: object) -> None:
    async with mounted(Volume(keeps=False), policy=LEASED) as fake:
        fake.share.put("file", OLD)
        opened = await fake.open("file", BOTH)
        fake.server.hang_up()
        fake.share.put("file", NEW)
        await settled()
        with pytest.raises(Stale):
            await fake.fs.write(WHO, opened.fh, 0, b"over what others wrote")
        with pytest.raises(Stale):
            await text(fake, opened.fh)
        await fake.fs.release(WHO, opened.fh)
        assert fake.share.read("file") == NEW


@pytest.mark.logs("connection lost|is not any more: it may have been changed")
@pytest.mark.parametrize("reader_first", [True, False])
async def test_nor_if_somebody_here_has_seen_the_change(
    autojump_clock: object, reader_first: bool
) -> None:
    async with mounted(Volume(keeps=False), policy=LEASED, actimeo_s=0) as fake:
        fake.share.put("file", OLD)
        first, second = (READ, BOTH) if reader_first else (BOTH, READ)
        opens = [await fake.open("file", first), await fake.open("file", second)]
        reader, writer = opens if reader_first else reversed(opens)
        fake.server.hang_up()
        fake.share.put("file", NEW)
        assert (await fake.stat("file")).size == len(NEW)
        await settled()
        assert await text(fake, reader.fh) == NEW
        with pytest.raises(Stale):
            await fake.fs.write(WHO, writer.fh, 0, b"over what others wrote")
        for opened in opens:
            await fake.fs.release(WHO, opened.fh)


async def test_who_has_waited_already_does_not_wait_as_long_for_a_connection(
    autojump_clock: object,
) -> None:
    async with mounted() as fake:
        fake.share.put("file", bytes(1 << 20))
        opened = await fake.open("file")
        fake.server.script.append(Silent(on=Command.READ))

        async def cut() -> None:
            await trio.sleep(14)
            fake.server.script[:] = [Silent(on=Command.NEGOTIATE)]
            fake.server.hang_up()

        began_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cut)
            with pytest.raises(ConnectionLost):
                await fake.fs.read(WHO, opened.fh, 0, 100)
            assert 14 <= trio.current_time() - began_s < 17
        fake.server.script.clear()
        await trio.sleep(10)
        await fake.fs.release(WHO, opened.fh)


@pytest.mark.logs("connection lost|could not be written|is not any more")
async def test_a_write_under_way_is_not_repeated_by_a_handle_opened_anew(
    autojump_clock: object,
) -> None:
    async with mounted(Volume(keeps=False), policy=LEASED) as fake:
        fake.share.put("file", OLD)
        opened = await fake.open("file", BOTH)
        fake.server.script.append(Drops(on=Command.WRITE, times=1))
        await fake.fs.write(WHO, opened.fh, 0, NEW)
        with pytest.raises(OSError, match="an earlier write was lost"):
            await fake.fs.flush(WHO, opened.fh)
        assert fake.share.read("file") == OLD
        await fake.fs.release(WHO, opened.fh)


async def test_a_restarted_server_has_forgotten_what_it_kept(autojump_clock: object) -> None:
    async with mounted(policy=LEASED) as fake:
        fake.share.put("file", OLD)
        opened = await fake.open("file", BOTH)
        fake.server.refuses_to_connect = ConnectionRefusedError("refused")
        fake.server.hang_up()
        await trio.sleep(1)
        fake.server.forget_kept()
        fake.server.refuses_to_connect = None
        await trio.sleep(6)
        assert len(fake.server.open_handles) == 1
        await fake.fs.write(WHO, opened.fh, 0, NEW)
        await fake.fs.release(WHO, opened.fh)
        assert fake.share.read("file") == NEW


async def test_a_server_that_has_not_come_up_yet_is_asked_again(autojump_clock: object) -> None:
    async with mounted(policy=LEASED) as fake:
        fake.share.put("file", OLD)
        opened = await fake.open("file")
        fake.server.script.append(
            Fails(on=Command.CREATE, status=Status.FILE_NOT_AVAILABLE, times=3)
        )
        fake.server.hang_up()
        await trio.sleep(0.2)
        with pytest.raises(ConnectionLost):
            await opened_handle(fake, opened.fh).be_back()
        await trio.sleep(5)
        assert await text(fake, opened.fh) == OLD
        await fake.fs.release(WHO, opened.fh)


# Locks


async def test_a_lock_that_nobody_else_could_have_taken_is_kept(autojump_clock: object) -> None:
    policy = DataPolicy(leases=True, locks_stay=True)
    async with mounted(policy=policy) as fake:
        opened = await fake.create("file", OLD)
        await fake.fs.setlk(WHO, opened.fh, Lock(LockType.WRITE, 0, 9, 1, 7), False)
        fake.server.hang_up()
        await settled()
        await fake.fs.write(WHO, opened.fh, 0, NEW)
        other = await fake.open("file", BOTH)
        theirs = Lock(LockType.WRITE, 0, 9, 2, 8)
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number says it
            await fake.fs.setlk(WHO, other.fh, theirs, False)
        assert caught.value.errno == errno.EAGAIN
        await fake.fs.release(WHO, opened.fh)
        await fake.fs.release(WHO, other.fh)


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "anew"])
async def test_locks_on_the_server_are_taken_again(autojump_clock: object, keeps: bool) -> None:
    async with mounted(Volume(keeps=keeps), policy=DataPolicy(leases=True)) as fake:
        fake.share.put("file", OLD)
        opens = [await fake.open("file", BOTH), await fake.open("file", BOTH)]
        for number, opened in enumerate(opens):
            lock = Lock(LockType.WRITE, 10 * number, 10 * number + 5, number + 1, 7)
            await fake.fs.setlk(WHO, opened.fh, lock, False)
        fake.server.hang_up()
        await settled()
        held = [(one.offset, one.end) for one in fake.share.node("file").locks]
        assert sorted(held) == [(0, 5), (10, 15)]
        await fake.fs.write(WHO, opens[0].fh, 0, NEW)
        for opened in opens:
            await fake.fs.flush(WHO, opened.fh)
            await fake.fs.release(WHO, opened.fh)
        assert fake.share.read("file") == NEW


@pytest.mark.logs("connection lost|its locks are lost")
@pytest.mark.parametrize("by", ["lock", "change"])
async def test_but_not_if_somebody_else_was_there(autojump_clock: object, by: str) -> None:
    async with mounted(Volume(keeps=False), policy=DataPolicy(leases=True)) as fake:
        fake.share.put("file", OLD)
        opened = await fake.open("file")
        await fake.fs.setlk(WHO, opened.fh, Lock(LockType.READ, 0, 9, 1, 7), False)
        fake.server.hang_up()
        if by == "change":
            fake.share.put("file", NEW)
        else:
            fake.server.script.append(Fails(on=Command.LOCK, status=Status.LOCK_NOT_GRANTED))
        await settled()
        with pytest.raises(Stale):
            await text(fake, opened.fh)
        fake.server.script.clear()
        await fake.fs.release(WHO, opened.fh)


# Queries


async def test_a_question_is_asked_again_and_a_change_is_not(autojump_clock: object) -> None:
    async with mounted() as fake:
        fake.share.put("file", OLD)
        fake.server.script.append(Drops(on=Command.CREATE, times=1))
        assert (await fake.stat("file")).size == len(OLD)
        fake.server.script.append(Drops(on=Command.CREATE, times=1))
        with pytest.raises(SmbError):
            await fake.mkdir("new")
        assert "new" not in fake.share.names()
