"""The handle that has the locks: for which rights it asks, and when it is given up."""

from __future__ import annotations

import os
from functools import partial

import pytest
import trio

from smbfs.engine.how import How
from smbfs.engine.share import Share
from smbfs.errors import StatusError
from smbfs.vfs.locks import IDLE_S
from smbfs.vfs.passage import past_locks, way
from smbfs.wire.constants import Access
from smbfs.wire.constants import Share as Sharing
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.vfs.bench import WHO, Gate, on_mock_time
from tests.vfs.locking import HERE, READ, THERE, UNLOCK, WRITE, Pair, beside, pair

DENYING = How(Access.FILE_READ_DATA, share=Sharing.READ)  # as Windows opens what it only reads


async def may_deny_writing(both: Pair) -> bool:
    """Whether somebody else could open the file and let nobody write."""
    share = Share(both.two.link)
    await share.connect()
    try:
        handle, _ = await share.open("file", DENYING)
    except StatusError as error:
        return error.status != Status.SHARING_VIOLATION
    await handle.close()
    return True


async def only_reads(both: Pair) -> None:
    """Have the first machine open the file for reading only, and the second not at all."""
    await both.two.close()
    await both.one.close()
    both.one.fh = await both.one.open(os.O_RDONLY)


def creates(both: Pair) -> int:
    """How often something was opened since the last look."""
    count = sum(Command.CREATE in one for one in both.server.requests)
    both.server.requests.clear()
    return count


# Rights


def test_who_only_reads_does_not_keep_others_from_forbidding_to_write() -> None:
    async def main() -> None:
        async with pair(b"data") as both:
            await only_reads(both)
            await both.one.lock(READ, flock=True)
            assert await may_deny_writing(both)
            writer = await both.one.open()
            await both.one.lock(READ, 0, 10, owner=THERE, fh=writer)
            assert not await may_deny_writing(both)

    on_mock_time(main)


def test_a_writer_who_comes_later_has_all_locks_moved() -> None:
    async def main() -> None:
        async with pair(b"0123456789") as both:
            reader = await both.one.open(os.O_RDONLY)
            await only_reads(both)
            both.two.fh = await both.two.open()
            await both.one.lock(READ, 0, 5)
            writer = await both.one.open()
            await both.one.lock(WRITE, 5, 10, owner=THERE, fh=writer)
            assert both.spans() == [(0, 5, False), (5, 10, True)]
            await both.one.write(b"later", 5, fh=writer)
            await both.one.fs.flush(WHO, writer)
            assert await both.one.read(fh=reader) == b"01234later"
            await both.one.lock(UNLOCK)
            assert both.spans() == [(5, 10, True)]
            assert await both.two.may(0, 5) == "X"

    on_mock_time(main)


def test_what_cannot_be_moved_stays() -> None:
    async def main() -> None:
        async with pair(b"data") as both:
            await only_reads(both)
            both.two.fh = await both.two.open()
            await both.one.lock(WRITE, flock=True)
            before, spans = both.one.locks._server.handle, both.spans()
            writer = await both.one.open()
            await both.one.lock(READ, 0, 10, owner=THERE, fh=writer)
            assert both.one.locks._server.handle is before
            assert both.spans() == [(0, 10, False), *spans]

    on_mock_time(main)


@pytest.mark.parametrize("status", [Status.LOCK_NOT_GRANTED, Status.INSUFFICIENT_RESOURCES])
def test_a_move_that_fails_loses_nothing(status: Status) -> None:
    async def main() -> None:
        async with pair(b"data") as both:
            await only_reads(both)
            await both.one.lock(READ, 0, 5)
            writer = await both.one.open()
            before = both.one.locks._server.handle
            both.server.script.append(Fails(on=Command.LOCK, status=status, times=1))
            locking = beside(both.nursery, partial(both.one.lock, READ, 10, 20, fh=writer))
            await locking.done.wait()
            assert both.one.locks._server.handle is before
            is_refused = status == Status.INSUFFICIENT_RESOURCES
            assert (locking.error is not None) is is_refused
            assert both.spans() == [(0, 5, False)] + ([] if is_refused else [(10, 20, False)])

    on_mock_time(main)


def test_who_waits_goes_on_waiting_when_all_moves() -> None:
    async def main() -> None:
        async with pair(b"data") as both:
            await only_reads(both)
            both.two.fh = await both.two.open()
            await both.two.lock(WRITE, 0, 5)
            waiting = beside(both.nursery, partial(both.one.lock, READ, 0, 5, wait=True))
            await trio.sleep(1)
            writer = await both.one.open()
            await both.one.lock(WRITE, 10, 20, owner=THERE, fh=writer)
            await trio.sleep(1)
            assert not waiting.done.is_set()
            await both.two.lock(UNLOCK)
            await waiting.done.wait()
            assert waiting.is_done
            assert both.spans() == [(0, 5, False), (10, 20, True)]

    on_mock_time(main)


# Rest


def test_who_locks_again_and_again_opens_once() -> None:
    async def main() -> None:
        async with pair() as both:
            both.server.requests.clear()
            for _ in range(20):
                await both.one.lock(WRITE, 0, 10)
                await trio.sleep(0.1)
                await both.one.lock(UNLOCK)
                await trio.sleep(IDLE_S - 0.2)
            assert creates(both) == 1
            await both.one.lock(WRITE, 0, 10)
            await trio.sleep(10 * IDLE_S)
            await both.one.lock(UNLOCK)
            assert creates(both) == 0

    on_mock_time(main)


def test_the_handle_is_given_up_when_nothing_was_locked_for_a_while() -> None:
    async def main() -> None:
        async with pair() as both:
            opened = len(both.server.open_handles)
            await both.one.lock(WRITE, 0, 10)
            await both.one.lock(UNLOCK)
            assert len(both.server.open_handles) == opened + 1
            await trio.sleep(IDLE_S + 0.1)
            assert len(both.server.open_handles) == opened
            both.server.requests.clear()
            await both.one.lock(WRITE, 0, 10)
            assert creates(both) == 1
            assert both.spans() == [(0, 10, True)]

    on_mock_time(main)


def test_a_borrowed_handle_is_given_back_or_closed() -> None:
    async def main() -> None:
        async with pair() as both:
            opened = len(both.server.open_handles)
            for is_closed in (False, True):
                other = await both.one.open(os.O_RDONLY)
                refusal = Fails(on=Command.CREATE, status=Status.ACCESS_DENIED)
                both.server.script[:] = [refusal]
                await both.one.lock(READ, 0, 10, fh=other)
                assert both.one.locks.keeps(both.one.fs.content.of(other).handle)
                await both.one.lock(UNLOCK, fh=other)
                if is_closed:
                    await both.one.close(other)
                assert len(both.server.open_handles) == opened + 1
                await trio.sleep(IDLE_S + 0.1)
                assert len(both.server.open_handles) == opened + (not is_closed)
                both.server.script.clear()
                if not is_closed:
                    await both.one.close(other)
                await both.settled()
                assert len(both.server.open_handles) == opened

    on_mock_time(main)


def test_what_is_read_by_a_handle_that_is_given_up_is_read_by_another() -> None:
    async def main() -> None:
        async with pair(b"0123456789") as both:
            await both.one.lock(WRITE)
            opened = both.one.fs.content.of(both.one.fh)
            ours = way(opened, 0, 10)
            assert both.one.locks.keeps(ours)
            gate = Gate(on=Command.READ, times=1)
            both.server.script.append(gate)
            got: list[bytes] = []

            async def reads() -> None:
                views = await past_locks(opened, 0, 10, lambda handle: handle.read(0, 10))
                got.append(b"".join(views))

            reading = beside(both.nursery, reads)
            await both.settled()
            await both.one.lock(UNLOCK, owner=HERE)
            await trio.sleep(IDLE_S + 0.1)
            gate.open()
            await reading.done.wait()
            assert got == [b"0123456789"]

    on_mock_time(main)
