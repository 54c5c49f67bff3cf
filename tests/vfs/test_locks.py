"""Locks of two machines on one file: who excludes whom, and what is seen under them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import process_time

import pytest
import trio

from smbfs.fuse.server import LOCK_END, ROOT, Deaf, Lock, Node
from smbfs.vfs import locktable
from smbfs.vfs.locktable import FLOCK_BYTE, Held, segment_of
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Delay, Fails
from tests.vfs.bench import WHO, Gate, on_mock_time
from tests.vfs.locking import HERE, NAME, READ, THERE, UNLOCK, WRITE, beside, errno_from, pair


def test_two_machines_exclude_each_other() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE, 0, 10)
            assert await both.two.may(0, 10) == ""
            assert await both.two.may(9, 11) == ""
            assert await both.two.may(10, 20) == "X"
            await both.one.lock(READ, 0, 10)
            assert await both.two.may(0, 10) == "S"
            await both.one.lock(UNLOCK, 0, 10)
            assert await both.two.may(0, 10) == "X"
            assert not both.held

    on_mock_time(main)


def test_two_processes_of_a_machine_exclude_each_other() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(READ, 0, 10)
            await both.one.lock(READ, 5, 15, owner=THERE)
            assert await both.one.is_refused(WRITE, 0, 1, owner=THERE)
            assert await both.one.is_refused(WRITE, 0, 10)
            await both.one.lock(UNLOCK, 0, LOCK_END, owner=THERE)
            await both.one.lock(WRITE, 0, 10)
            assert await both.one.is_refused(READ, owner=THERE)
            assert both.spans() == [(0, 10, True)]

    on_mock_time(main)


def test_a_part_is_let_go_for_this_machine_only() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE, 0, 10)
            await both.one.lock(UNLOCK, 3, 5)
            assert await both.one.may(3, 5) == "X"
            assert await both.two.may(3, 5) == ""
            await both.one.lock(UNLOCK)
            assert await both.two.may(0, 10) == "X"

    on_mock_time(main)


def test_an_upgrade() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(READ, 0, 10)
            await both.one.lock(WRITE, 0, 10)
            assert both.spans() == [(0, 10, True)]
            await both.one.lock(READ, 0, 10)
            await both.two.lock(READ, 0, 10)
            assert await both.one.is_refused(WRITE, 0, 10)
            assert both.spans() == [(0, 10, False)] * 2

    on_mock_time(main)


def test_all_locks_of_a_process_go_with_its_first_close() -> None:
    async def main() -> None:
        async with pair() as both:
            other = await both.one.open()
            await both.one.lock(WRITE, 0, 10)
            await both.one.lock(WRITE, 20, 30, owner=THERE)
            await both.one.lock(WRITE, owner=HERE, flock=True)
            await both.one.close(other, owner=HERE)
            flock = (FLOCK_BYTE, FLOCK_BYTE + 1, True)
            assert both.spans() == [(20, 30, True), flock]
            await both.one.fs.flush(WHO, both.one.fh)  # of nobody
            assert both.spans() == [(20, 30, True), flock]

    on_mock_time(main)


def test_what_was_locked_through_an_open_file_goes_with_it() -> None:
    async def main() -> None:
        async with pair() as both:
            other = await both.one.open()
            await both.one.lock(WRITE, flock=True, fh=other)
            await both.one.lock(READ, 0, 10, owner=THERE, fh=other)
            await both.one.lock(READ, 5, 10)
            await both.one.close(other)
            assert both.spans() == [(5, 10, False)]
            await both.one.close()
            await both.settled()
            assert not both.held

    on_mock_time(main)


def test_flock() -> None:
    """It excludes flock and whole-file locks elsewhere, but no data and no fcntl lock."""

    async def main() -> None:
        async with pair(b"data") as both:
            await both.one.lock(WRITE, flock=True)
            assert await both.two.is_refused(READ, flock=True)
            assert await both.one.is_refused(READ, flock=True, owner=THERE)
            await both.two.lock(WRITE)
            assert await both.two.read() == b"data"
            await both.two.write(b"DATA")
            await both.two.lock(UNLOCK)
            assert await both.one.read() == b"DATA"
            await both.one.lock(READ, flock=True)
            await both.two.lock(READ, flock=True)
            await both.one.lock(UNLOCK, flock=True)
            assert both.spans() == [(FLOCK_BYTE, FLOCK_BYTE + 1, False)]

    on_mock_time(main)


def test_who_is_in_the_way() -> None:
    async def main() -> None:
        async with pair() as both:
            assert await both.one.getlk(WRITE) is None
            assert not both.held
            await both.one.lock(WRITE, 0, 10)
            assert await both.one.getlk(WRITE) is None
            assert await both.one.getlk(READ, owner=THERE) == Lock(WRITE, 0, 10, HERE, pid=HERE)
            assert await both.two.getlk(READ) == Lock(WRITE, 0, LOCK_END, 0)
            await both.one.lock(READ, 0, 10)
            assert await both.two.getlk(READ) is None
            assert await both.two.getlk(WRITE, 5, 8) == Lock(READ, 5, 8, 0)
            await both.two.lock(READ, 0, 10)
            assert await both.one.getlk(WRITE, 0, 10) is None, "an upgrade is not tried"
            assert both.spans() == [(0, 10, False)] * 2

    on_mock_time(main)


def test_what_was_written_is_there_before_the_lock_goes() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE, 0, 10)
            gate = Gate(on=Command.WRITE)
            both.server.script.append(gate)
            await both.one.write(b"new")
            unlocking = beside(both.nursery, partial(both.one.lock, UNLOCK))
            await both.settled()
            assert await both.two.may(0, 10) == ""
            gate.open()
            await unlocking.done.wait()
            await both.two.lock(WRITE, 0, 10)
            assert await both.two.read() == b"new"

    on_mock_time(main)


def test_a_downgrade_lets_others_read_what_was_written() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE)
            both.server.script.append(Delay(on=Command.WRITE, seconds=1))
            for at in range(5):
                await both.one.write(b"new", 3 * at)
            await both.one.lock(READ)
            await both.two.lock(READ)
            assert await both.two.read() == b"new" * 5

    on_mock_time(main)


@pytest.mark.logs("DISK_FULL")
def test_a_lost_write_does_not_keep_the_lock() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE)
            both.server.script.append(Fails(on=Command.WRITE, status=Status.DISK_FULL))
            await both.one.write(b"new")
            await both.one.lock(UNLOCK)
            assert not both.held
            with pytest.raises(OSError, match="lost"):
                await both.one.fs.flush(WHO, both.one.fh)

    on_mock_time(main)


def test_what_is_read_under_a_lock_is_what_the_server_has() -> None:
    async def main() -> None:
        async with pair(b"old") as both:
            assert await both.one.read(1) == b"o"
            await both.two.write(b"newer")
            await both.two.fs.flush(WHO, both.two.fh)
            assert await both.one.read(1, 1) == b"l"
            await both.one.lock(READ)
            assert await both.one.read() == b"newer"
            attributes = await both.one.fs.getattr(WHO, both.one.node, None)
            assert attributes.size == 5

    on_mock_time(main)


class Hearing(Deaf):
    """A kernel that notes what it is to drop, and does it or never comes to it."""

    def __init__(self) -> None:
        self.dropped: list[Node] = []
        self.does = True

    def data_changed(
        self,
        node: Node,
        offset: int = 0,
        size: int = -1,
        then: Callable[[], None] | None = None,
    ) -> None:
        self.dropped.append(node)
        if then is not None and self.does:
            then()


@pytest.mark.logs("the kernel keeps old data")
def test_the_kernel_drops_its_pages_before_a_lock_is_answered() -> None:
    async def main() -> None:
        async with pair() as both:
            kernel = both.one.fs.volume.kernel = Hearing()
            await both.one.lock(WRITE, 0, 10)
            assert kernel.dropped == [both.one.node]
            await both.one.lock(READ, 2, 5)
            assert len(kernel.dropped) == 1, "nobody can have changed it"
            kernel.does = False
            began_s = trio.current_time()
            await both.one.lock(WRITE, 20, 30)
            assert 4 < trio.current_time() - began_s < 6
            assert len(kernel.dropped) == 2

    on_mock_time(main)


def test_a_file_without_a_name_is_locked_through_the_descriptor() -> None:
    async def main() -> None:
        async with pair(b"data") as both:
            other = await both.one.open()
            await both.two.close()
            await both.one.fs.unlink(WHO, ROOT, NAME)
            await both.one.lock(WRITE, 0, 10, fh=other)
            assert await both.one.is_refused(READ, 5, 6, owner=THERE)
            await both.one.close(other, owner=THERE)
            assert await both.one.is_refused(READ, 5, 6, owner=THERE) is False
            await both.one.lock(WRITE, 10, 20, fh=both.one.fh)
            await both.one.write(b"more", 10)
            await both.one.fs.flush(WHO, both.one.fh)
            assert await both.one.read(4) == b"data"

    on_mock_time(main)


@pytest.mark.logs("connection lost", "it may have been changed")
def test_the_connection_is_lost() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE, 0, 10)
            both.server.hang_up()
            both.server.volume.put("file", b"others had it meanwhile")
            await both.settled()
            assert await errno_from(beside(both.nursery, partial(both.one.lock, WRITE, 20, 30)))
            other = await both.one.open()
            more = partial(both.one.lock, READ, 20, 30, owner=THERE, fh=other)
            assert await errno_from(beside(both.nursery, more)) == errno.EHOSTDOWN
            assert await errno_from(beside(both.nursery, partial(both.one.getlk, READ, 20, 30)))
            await both.one.lock(UNLOCK)
            await both.one.lock(READ, 20, 30, owner=THERE, fh=other)
            assert both.spans() == [(20, 30, False)]
            await both.one.fs.flush(replace(WHO, lock_owner=THERE), other)
            assert not both.held

    on_mock_time(main)


def test_any_other_error_leaves_everything_as_it_was() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(READ, 0, 10)
            refusal = Fails(on=Command.LOCK, status=Status.INSUFFICIENT_RESOURCES, times=1)
            both.server.script.append(refusal)
            assert await errno_from(beside(both.nursery, partial(both.one.lock, WRITE, 5, 20)))
            assert both.spans() == [(0, 10, False)]
            assert await both.one.may(5, 20) == "S"

    on_mock_time(main)


def test_there_is_an_end_to_the_locks_of_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locktable, "MOST_LOCKS", 3)

    async def main() -> None:
        async with pair() as both:
            for start in (0, 20, 40):
                await both.one.lock(READ, start, start + 10)
            for kind, start in ((READ, 60), (UNLOCK, 4)):
                call = partial(both.one.lock, kind, start, start + 3)
                assert await errno_from(beside(both.nursery, call)) == errno.ENOLCK
            assert len(both.held) == 3
            await both.one.lock(READ, 10, 20)
            await both.one.lock(UNLOCK)
            await both.one.lock(READ, 60, 63)

    on_mock_time(main)


def test_a_call_costs_little_where_much_is_locked() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE, 0, 5)
            [first], locks = both.held, both.one.locks
            for start in range(10, 10_000, 10):
                more = Lock(WRITE, start, start + 5, HERE)
                locks.table.held.append(Held(more, both.one.fh))
                locks._server.held.append(segment_of(more))
                both.held.append(replace(first, offset=start, end=start + 5))
            began_s = process_time()
            for start in range(20_000, 20_100, 10):
                await both.one.lock(WRITE, start, start + 5)
                await both.one.lock(UNLOCK, start, start + 5)
            assert process_time() - began_s < 4, "20 calls took a minute, now a tenth of a second"

    on_mock_time(main)
