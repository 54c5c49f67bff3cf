"""Times that are set right behind the last bytes of a file."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from smbfs.fuse.server import Change as Wish
from smbfs.fuse.server import FileHandle
from smbfs.vfs.linger import FEW_BYTES
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.file_messages import WriteResponse
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.messages import Answer
from tests.fake.script import Changes, Drops, Fails
from tests.vfs.mounted import WHO, Denies, Mounted, mounted
from tests.vfs.revived import settled
from tests.vfs.tables import fails

LATER_NS = 7 * 10**9
DATA = b"what is written"
CHAIN = (Command.WRITE, Command.SET_INFO, Command.QUERY_INFO)
ALONE = CHAIN[1:]
POLICY = DataPolicy(linger_s=60, leases=True, patience_s=15)


@dataclass
class Written:
    """A file with bytes that are not sent."""

    fake: Mounted
    fh: FileHandle

    async def touch(self) -> int:
        """Set its time; what stat tells then."""
        node = await self.fake.node("file")
        self.fake.server.requests.clear()
        told = await self.fake.fs.setattr(WHO, node, Wish(mtime_ns=LATER_NS), self.fh)
        return told.mtime_ns

    @property
    def frames(self) -> list[tuple[Command, ...]]:
        """What the server was asked since."""
        return list(self.fake.server.requests)


@asynccontextmanager
async def written(data: bytes = DATA) -> AsyncIterator[Written]:
    async with mounted(policy=POLICY) as fake:
        opened = await fake.create("file")
        await fake.fs.write(WHO, opened.fh, 0, data)
        yield Written(fake, opened.fh)
        assert fake.share.read("file") == data
        await fake.fs.flush(WHO, opened.fh)
        await fake.fs.release(WHO, opened.fh)
        assert (await fake.stat("file")).mtime_ns == LATER_NS


async def test_they_go_out_with_the_bytes() -> None:
    async with written() as file:
        assert await file.touch() == LATER_NS
        assert file.frames == [CHAIN]
        assert await file.touch() == LATER_NS
        assert file.frames == [ALONE]


async def test_much_is_sent_by_itself() -> None:
    async with written(bytes(FEW_BYTES + 1)) as file:
        assert await file.touch() == LATER_NS
        assert file.frames[-1] == ALONE


async def test_a_server_that_takes_no_chains() -> None:
    async with written() as file:
        file.fake.volume.share._manners.takes_compounds = False
        assert await file.touch() == LATER_NS
        assert file.frames == [(one,) for one in CHAIN]


@pytest.mark.parametrize("command", [Command.SET_INFO, Command.WRITE])
async def test_a_server_that_will_not_do_it_in_a_chain(command: Command) -> None:
    async with written() as file:
        file.fake.server.script.append(Denies(on=command, status=Status.INVALID_PARAMETER, times=1))
        assert await file.touch() == LATER_NS
        again = [(Command.WRITE,)] if command is Command.WRITE else []
        assert file.frames == [CHAIN, *again, ALONE]


async def test_a_server_that_takes_only_some_of_the_bytes() -> None:
    def half(answer: Answer) -> None:
        answer.body = bytes(WriteResponse(count=3))

    async with written() as file:
        file.fake.server.script.append(Changes(on=Command.WRITE, how=half, times=1))
        assert await file.touch() == LATER_NS
        assert file.frames == [CHAIN, (Command.WRITE,), ALONE]


@pytest.mark.logs("connection lost|is away")
@pytest.mark.parametrize("mid_frame", [False, True], ids=["before it", "after it"])
async def test_a_connection_that_is_lost_over_it(autojump_clock: object, mid_frame: bool) -> None:
    async with written() as file:
        drops = Drops(on=Command.WRITE, times=1, mid_frame=mid_frame)
        file.fake.server.script.append(drops)
        assert await file.touch() == LATER_NS
        await settled()
        assert file.fake.server.dialled == 2


@pytest.mark.logs("could not be written")
async def test_bytes_that_are_lost_are_told() -> None:
    async with mounted(policy=POLICY) as fake:
        opened = await fake.create("file")
        await fake.fs.write(WHO, opened.fh, 0, DATA)
        fake.server.script.append(Fails(on=Command.WRITE, status=Status.DISK_FULL))
        with fails(errno.ENOSPC):
            await Written(fake, opened.fh).touch()
        with fails(errno.ENOSPC):
            await fake.fs.flush(WHO, opened.fh)
        await fake.fs.release(WHO, opened.fh)
