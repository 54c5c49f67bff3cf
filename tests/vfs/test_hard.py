"""With `hard` calls wait until the server is back, and a mount that ends waits for nobody."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from smbfs.engine.dialect import Policy
from smbfs.errors import ConnectionLost, SmbError
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from tests.fake.script import Drops, Silent
from tests.vfs.mounted import BOTH, WHO, Mounted, mounted

pytestmark = pytest.mark.logs("connection lost|is away")
HARD = Policy(hard=True)
LEASED = DataPolicy(leases=True, patience_s=15.0)
LONG_S = 500.0


def away(fake: Mounted) -> None:
    fake.server.refuses_to_connect = ConnectionRefusedError("refused")
    fake.server.hang_up()


async def back(fake: Mounted, after_s: float = LONG_S) -> None:
    await trio.sleep(after_s)
    fake.server.refuses_to_connect = None
    fake.server.script.clear()


@pytest.mark.parametrize("call", ["stat", "read", "write", "sync write", "mkdir", "list", "open"])
async def test_a_call_waits_until_the_server_is_back(autojump_clock: object, call: str) -> None:
    policy = DataPolicy(leases=True, patience_s=15.0, is_synchronous=call == "sync write")
    async with mounted(policy=policy, engine=HARD, actimeo_s=0) as fake:
        fake.share.put("file", b"x" * 200_000)
        opened = await fake.open("file", BOTH)
        away(fake)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(back, fake)
            match call:
                case "stat":
                    assert (await fake.stat("file")).size == 200_000
                case "read":
                    views = await fake.fs.read(WHO, opened.fh, 100_000, 10)
                    assert b"".join(views) == b"x" * 10
                case "write" | "sync write":
                    await fake.fs.write(WHO, opened.fh, 0, b"new")
                    await fake.fs.fsync(WHO, opened.fh, False)
                    assert fake.share.read("file")[:4] == b"newx"
                case "mkdir":
                    await fake.mkdir("new")
                case "list":
                    assert set(await fake.listed()) == {b"file"}
                case "open":
                    other = await fake.open("file")
                    await fake.fs.release(WHO, other.fh)
            assert trio.current_time() >= LONG_S
        await fake.fs.release(WHO, opened.fh)


async def test_bytes_that_were_taken_wait_as_well(autojump_clock: object) -> None:
    async with mounted(policy=LEASED, engine=HARD) as fake:
        opened = await fake.create("file", b"old")
        fake.server.script.append(Drops(on=Command.WRITE, times=1))
        fake.server.refuses_to_connect = ConnectionRefusedError("refused")
        await fake.fs.write(WHO, opened.fh, 0, b"new")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(back, fake)
            await fake.fs.flush(WHO, opened.fh)
        assert fake.share.read("file") == b"new"
        await fake.fs.release(WHO, opened.fh)


async def test_a_server_that_is_silent_is_asked_again(autojump_clock: object) -> None:
    async with mounted(engine=HARD) as fake:
        fake.share.put("file", b"x")
        fake.server.script.append(Silent())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(back, fake, 40)
            assert (await fake.stat("file")).size == 1
        assert trio.current_time() >= 40


async def test_a_change_whose_answer_was_lost_is_not_made_twice(autojump_clock: object) -> None:
    async with mounted(engine=HARD) as fake:
        fake.server.script.append(Drops(on=Command.CREATE, times=1, mid_frame=True))
        with pytest.raises(SmbError):
            await fake.mkdir("new")
        assert fake.share.names() == ["new"]


@pytest.mark.logs("connection lost|is away|could not be written")
async def test_a_mount_that_ends_waits_for_nobody(autojump_clock: object) -> None:
    async with mounted(policy=LEASED, engine=HARD, actimeo_s=0) as fake:
        opened = await fake.create("file", b"old")
        fake.server.script.append(Drops(on=Command.WRITE, times=1))
        fake.server.refuses_to_connect = ConnectionRefusedError("refused")
        await fake.fs.write(WHO, opened.fh, 0, b"new")
        await trio.sleep(LONG_S)

        async def end() -> None:
            await trio.sleep(10)
            fake.volume.share.be_soft()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(end)
            with pytest.raises(ConnectionLost):
                await fake.stat("file")
            with pytest.raises(OSError, match="an earlier write was lost"):
                await fake.fs.flush(WHO, opened.fh)
        assert trio.current_time() < LONG_S + 30
        await back(fake, 10)
        await trio.sleep(10)
        await fake.fs.release(WHO, opened.fh)
