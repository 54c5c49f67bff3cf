"""Open files that outlive their connection: claimed back, opened anew, or stale."""

from __future__ import annotations

import errno

import pytest
import trio
import trio.testing

from smbfs.engine.handle import Handle
from smbfs.errors import ConnectionLost, ServerAway, SmbError, Stale
from smbfs.fuse.server import FileHandle, Lock, LockType
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.login import Nature
from tests.fake.script import Delay, Drops, Fails
from tests.fake.tree import Volume
from tests.vfs.mounted import BOTH, WHO, WRITE, Mounted, mounted

pytestmark = pytest.mark.logs("connection lost|is away")

LEASED = DataPolicy(leases=True, patience_s=15.0)
OLD, NEW = b"what was there", b"what is written now"


async def settled() -> None:
    """Let the files come back, which takes no time but turns."""
    await trio.sleep(2)


async def text(fake: Mounted, fh: FileHandle) -> bytes:
    return b"".join(await fake.fs.read(WHO, fh, 0, 100))


def opened_handle(fake: Mounted, fh: FileHandle) -> Handle:
    return fake.fs.content.of(fh).handle


def count(fake: Mounted, command: Command) -> int:
    return sum(frame.count(command) for frame in fake.server.requests)


# What the server kept


async def test_a_file_goes_on_as_the_server_kept_it(autojump_clock: object) -> None:
    async with mounted(policy=LEASED) as fake:
        opened = await fake.create("file", OLD)
        [before] = fake.server.open_handles
        fake.server.hang_up()
        await settled()
        assert fake.server.open_handles == [before], "it is the same open file"
        fake.share.put("other", b"")
        await fake.fs.write(WHO, opened.fh, 0, NEW)
        await fake.fs.fsync(WHO, opened.fh, False)
        assert fake.share.read("file") == NEW
        await fake.fs.release(WHO, opened.fh)


async def test_it_comes_back_by_itself_and_soon(autojump_clock: object) -> None:
    async with mounted(policy=LEASED) as fake:
        opened = await fake.create("file", OLD)
        fake.server.hang_up()
        await trio.sleep(0.1)
        assert all(one.session_id for one in fake.server.open_handles)
        await fake.fs.release(WHO, opened.fh)


@pytest.mark.parametrize("mid_frame", [False, True], ids=["before it", "after it"])
async def test_a_write_that_was_under_way_is_sent_again(
    autojump_clock: object, mid_frame: bool
) -> None:
    async with mounted(policy=LEASED) as fake:
        opened = await fake.create("file", OLD)
        fake.server.script.append(Drops(on=Command.WRITE, times=1, mid_frame=mid_frame))
        await fake.fs.write(WHO, opened.fh, 0, NEW)
        await fake.fs.fsync(WHO, opened.fh, False)
        assert fake.share.read("file") == NEW
        assert fake.server.dialled == 2
        await fake.fs.release(WHO, opened.fh)


async def test_unsent_bytes_wait_for_a_server_that_is_away(autojump_clock: object) -> None:
    async with mounted(policy=LEASED) as fake:
        opened = await fake.create("file", OLD)
        fake.server.script.append(Drops(on=Command.WRITE, times=1))
        fake.server.refuses_to_connect = ConnectionRefusedError("refused")
        await fake.fs.write(WHO, opened.fh, 0, NEW)
        await trio.sleep(5)
        with pytest.raises(ServerAway):
            await fake.fs.write(WHO, opened.fh, 0, b"not taken: it could not be sent")
        fake.server.refuses_to_connect = None
        await fake.fs.fsync(WHO, opened.fh, False)
        assert fake.share.read("file") == NEW
        await fake.fs.release(WHO, opened.fh)


@pytest.mark.logs("connection lost|is away|could not be written")
async def test_they_do_not_wait_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    async with mounted(policy=LEASED) as fake:
        opened = await fake.create("file", OLD)
        fake.server.script.append(Drops(on=Command.WRITE, times=1))
        fake.server.refuses_to_connect = ConnectionRefusedError("refused")
        began_s = trio.current_time()
        await fake.fs.write(WHO, opened.fh, 0, NEW)
        with pytest.raises(OSError, match="an earlier write was lost") as caught:
            await fake.fs.flush(WHO, opened.fh)
        assert caught.value.errno == errno.EHOSTDOWN
        assert 15 <= trio.current_time() - began_s < 18
        fake.server.refuses_to_connect = None
        await settled()
        await fake.fs.release(WHO, opened.fh)


async def test_what_the_old_connection_confirmed_is_on_the_disk_after_a_flush(
    autojump_clock: object,
) -> None:
    async with mounted(policy=LEASED) as fake:
        opened = await fake.create("file", OLD)  # written, and not flushed
        fake.server.hang_up()
        await settled()
        await fake.fs.fsync(WHO, opened.fh, False)  # a server that kept the file lost no byte
        assert fake.server.flushed == 1
        await fake.fs.release(WHO, opened.fh)


async def test_a_server_of_the_first_version(autojump_clock: object) -> None:
    async with mounted(policy=LEASED, nature=Nature(dialects=[0x0210])) as fake:
        opened = await fake.create("file", OLD)
        [before] = fake.server.open_handles
        fake.server.hang_up()
        await settled()
        assert fake.server.open_handles == [before]
        assert await text(fake, opened.fh) == OLD
        await fake.fs.release(WHO, opened.fh)


async def test_a_server_that_has_oplocks_only(autojump_clock: object) -> None:
    async with mounted(policy=LEASED, nature=Nature(leasing=False)) as fake:
        opened = await fake.create("file", OLD)
        [before] = fake.server.open_handles
        fake.server.hang_up()
        await settled()
        assert fake.server.open_handles == [before]
        await fake.fs.write(WHO, opened.fh, 0, NEW)
        await fake.fs.release(WHO, opened.fh)
        assert fake.share.read("file") == NEW


async def test_several_descriptors_of_one_file(autojump_clock: object) -> None:
    async with mounted(policy=LEASED) as fake:
        first = await fake.create("file", OLD)
        second, reader = await fake.open("file", WRITE), await fake.open("file")
        fake.server.hang_up()
        await settled()
        await fake.fs.write(WHO, second.fh, 0, NEW)
        assert await text(fake, reader.fh) == NEW
        for opened in (first, second, reader):
            await fake.fs.release(WHO, opened.fh)


async def test_renamed_before(autojump_clock: object) -> None:
    async with mounted(policy=LEASED) as fake:
        opened = await fake.create("file", OLD)
        await fake.rename("file", "other")
        fake.server.hang_up()
        await settled()
        await fake.fs.write(WHO, opened.fh, 0, NEW)
        await fake.fs.release(WHO, opened.fh)
        assert fake.share.read("other") == NEW


async def test_many_callers_bring_one_file_back_once(autojump_clock: object) -> None:
    async with mounted(policy=LEASED) as fake:
        opened = await fake.create("file", OLD)
        fake.server.hang_up()
        before = count(fake, Command.CREATE)
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(text, fake, opened.fh)
        assert count(fake, Command.CREATE) - before == 1
        await fake.fs.release(WHO, opened.fh)


async def test_a_descriptor_that_is_closed_meanwhile_leaves_nothing(autojump_clock: object) -> None:
    async with mounted(policy=LEASED) as fake:
        opened = await fake.create("file", OLD)
        fake.server.script.append(Delay(on=Command.CREATE, seconds=1))
        fake.server.hang_up()
        await trio.sleep(0.5)
        await fake.fs.release(WHO, opened.fh)
        await trio.sleep(3)
        assert not fake.server.open_handles


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


@pytest.mark.logs("connection lost|its locks are lost")
async def test_who_had_locked_it_on_the_server_is_told(autojump_clock: object) -> None:
    policy = DataPolicy(leases=True)
    async with mounted(policy=policy) as fake:
        opened = await fake.create("file", OLD)
        await fake.fs.setlk(WHO, opened.fh, Lock(LockType.WRITE, 0, 9, 1, 7), False)
        fake.server.hang_up()
        await settled()
        with pytest.raises(Stale):
            await fake.fs.write(WHO, opened.fh, 0, NEW)
        await fake.fs.release(WHO, opened.fh)


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
