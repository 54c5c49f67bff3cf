"""The handle that has the locks: data what it is, and servers that make it hard."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pytest

from smbfs.fuse.server import LOCK_END
from smbfs.vfs.passage import way
from smbfs.wire.constants import LockFlags
from smbfs.wire.file_messages import LockRequest, lock_elements
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.messages import Answer, Request
from tests.fake.script import BadDay, Fails
from tests.fake.tree import Lock as ServerLock
from tests.vfs.bench import Gate, on_mock_time
from tests.vfs.locking import HERE, READ, THERE, UNLOCK, WRITE, Pair, beside, errno_from, pair


def test_a_file_that_cannot_be_opened_for_both_is_locked_by_the_descriptor() -> None:
    async def main() -> None:
        async with pair(b"data") as both:
            reader = await both.one.open(os.O_RDONLY)
            await both.one.close()
            both.one.fh = await both.one.open()
            refusal = Fails(on=Command.CREATE, status=Status.ACCESS_DENIED)
            both.server.script.append(refusal)
            await both.one.lock(READ, 0, 10, fh=reader)
            opened = both.one.fs.content.of(both.one.fh)
            assert both.one.locks.keeps(both.one.fs.content.of(reader).handle)
            await both.one.lock(READ, 0, 20, owner=THERE, fh=reader)
            await both.one.close(reader)
            assert not both.held
            await both.one.lock(WRITE, 0, 10)
            assert await both.one.read() == b"data"
            assert way(opened, 0, 1, writes=True) is opened.handle, "ours may not"

    on_mock_time(main)


def test_another_file_at_the_path_is_not_locked() -> None:
    async def main() -> None:
        async with pair(b"data") as both:
            volume = both.server.volume
            volume.node("file").file_id += 1000
            await both.one.lock(WRITE, 0, 10)
            opened = both.one.fs.content.of(both.one.fh)
            assert both.one.locks.keeps(opened.handle)

    on_mock_time(main)


# Trouble


@dataclass(kw_only=True)
class NoStacking(BadDay):
    """A server whose exclusive locks tolerate no shared one, of the same handle neither."""

    def refuses(self, requests: Sequence[Request]) -> Status | None:
        if requests[0].command != Command.LOCK:
            return None
        body = requests[0].parse(LockRequest)
        [element] = lock_elements(body)
        held = requests[0].opened(body.file_id).node.locks
        end = element.offset + element.length
        is_under = any(
            not one.is_shared and one.offset < end and element.offset < one.end for one in held
        )
        is_refused = element.flags & LockFlags.SHARED_LOCK and is_under
        return Status.LOCK_NOT_GRANTED if is_refused else None


def test_a_server_without_stacking() -> None:
    async def main() -> None:
        async with pair() as both:
            both.server.script.append(NoStacking())
            await both.one.lock(WRITE, 0, 10)
            await both.one.lock(READ, 0, 10)
            assert await both.two.may(0, 10) == "S"
            assert await both.one.may(0, 10) == "S"
            await both.one.lock(UNLOCK)
            assert not both.held

    on_mock_time(main)


@dataclass(kw_only=True)
class Sneaks(BadDay):
    """Another client gets in between an unlock and what follows it."""

    both: Pair
    is_shared: bool = False

    def change(self, answer: Answer) -> None:
        if answer.command != Command.LOCK or self.struck:
            return
        [element] = lock_elements(answer.request.parse(LockRequest))
        if element.flags != LockFlags.UNLOCK:
            return
        self.struck += 1
        theirs = self.both.two.fs.content.of(self.both.two.fh).handle.file_id
        owner = self.both.server.opens[theirs]
        end = element.offset + element.length
        self.both.held.append(ServerLock(owner, element.offset, end, self.is_shared))


@pytest.mark.logs("lost to another client")
def test_a_lock_that_is_lost_in_an_upgrade() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(READ, 0, 10)
            await both.one.lock(READ, 50, 60)
            both.server.script.append(Sneaks(both=both))
            upgrade = partial(both.one.lock, WRITE, 0, 10)
            assert await errno_from(beside(both.nursery, upgrade)) == errno.ENOLCK
            assert [one.lock.start for one in both.one.locks.table.held] == [50]
            both.held[:] = [one for one in both.held if one.is_shared]
            assert both.spans() == [(50, 60, False)]

    on_mock_time(main)


def test_an_upgrade_that_is_refused_loses_nothing() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(READ, 0, 10)
            both.server.script.append(Sneaks(both=both, is_shared=True))
            assert await both.one.is_refused(WRITE, 5, 8)
            assert [one.lock.type for one in both.one.locks.table.held] == [READ]
            ours = [one for one in both.spans() if one != (0, 10, False)] or both.spans()
            assert len(ours) >= 1
            await both.one.lock(UNLOCK)
            assert both.spans() == [(0, 10, False)], "only theirs"

    on_mock_time(main)


def test_an_unlock_that_the_server_does_not_know() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE, 0, 10)
            both.held.clear()
            await both.one.lock(UNLOCK)
            await both.one.lock(WRITE, 0, 10, owner=HERE)
            assert both.spans() == [(0, 10, True)]

    on_mock_time(main)


def test_a_file_closed_while_its_lock_is_under_way() -> None:
    async def main() -> None:
        async with pair() as both:
            for on in (Command.CREATE, Command.LOCK):
                gate = Gate(on=on)
                both.server.script.append(gate)
                locking = beside(both.nursery, partial(both.one.lock, WRITE, 0, LOCK_END))
                await both.settled()
                locking.scope.cancel()
                closing = beside(both.nursery, both.one.close)
                await both.settled()
                gate.open()
                await closing.done.wait()
                await both.settled()
                assert not both.held
                both.one.fh = await both.one.open()

    on_mock_time(main)
