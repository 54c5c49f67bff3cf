"""Open files that outlive their connection: claimed back, opened anew, or stale."""

from __future__ import annotations

import errno

import pytest
import trio
import trio.testing

from smbfs.errors import ServerAway
from smbfs.wire.header import Command
from tests.fake.login import Nature
from tests.fake.script import Delay, Drops
from tests.vfs.mounted import WHO, WRITE, mounted
from tests.vfs.revived import LEASED, NEW, OLD, count, settled, text

pytestmark = pytest.mark.logs("connection lost|is away")

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
