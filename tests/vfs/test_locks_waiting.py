"""Waiting for a lock: who wakes it, who ends it, and that nothing is left of it."""

from __future__ import annotations

import errno
from functools import partial

import pytest
import trio

from smbfs.errors import ServerSilent
from smbfs.fuse.server import LOCK_END
from smbfs.vfs.locktable import Held
from smbfs.vfs.lockwait import WATCH_S
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails, Silent
from tests.vfs.bench import WHO, Gate, on_mock_time
from tests.vfs.locking import HERE, READ, THERE, UNLOCK, WRITE, Pair, beside, errno_from, pair

BLINK_S = 0.001


async def passes(seconds: float) -> None:
    await trio.sleep(seconds)


def is_quiet(both: Pair) -> bool:
    """Whether nothing of a wait is left anywhere."""
    connections = [one.link._connection for one in (both.one, both.two)]
    is_asked = any(one is not None and one.exchange.outstanding for one in connections)
    return not is_asked and not any(one.parked for one in both.server.wires)


def test_a_lock_of_another_machine_is_waited_for_without_asking_twice() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.two.lock(WRITE, 0, 10)
            waiting = beside(both.nursery, partial(both.one.lock, WRITE, 0, 10, wait=True))
            await passes(10)
            both.server.requests.clear()
            await passes(10)
            assert not both.server.requests
            began_s = trio.current_time()
            await both.two.lock(UNLOCK)
            await waiting.done.wait()
            assert trio.current_time() - began_s < BLINK_S
            assert waiting.is_done
            assert both.spans() == [(0, 10, True)]
            assert await both.one.is_refused(READ, 0, 10, owner=THERE)

    on_mock_time(main)


def test_a_lock_of_this_machine_is_waited_for() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE, 0, 10)
            wish = partial(both.one.lock, WRITE, 5, 15, owner=THERE, wait=True)
            waiting = beside(both.nursery, wish)
            await passes(100)
            began_s = trio.current_time()
            await both.one.lock(UNLOCK, 5, 10)
            await waiting.done.wait()
            assert waiting.is_done
            assert trio.current_time() - began_s < BLINK_S
            await both.one.lock(UNLOCK, 0, LOCK_END, owner=THERE)
            await both.one.lock(UNLOCK)
            assert not both.held

    on_mock_time(main)


def test_an_upgrade_is_tried_again_and_again() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(READ, 0, 10)
            await both.two.lock(READ, 5, 6)
            waiting = beside(both.nursery, partial(both.one.lock, WRITE, 0, 10, wait=True))
            await passes(10)
            assert not waiting.done.is_set()
            assert await both.two.is_refused(WRITE, 0, 1)
            await both.two.lock(UNLOCK)
            await waiting.done.wait()
            assert both.spans() == [(0, 10, True)]

    on_mock_time(main)


def test_two_that_share_a_flock_may_both_want_it_alone() -> None:
    async def main() -> None:
        async with pair() as both:
            for machine in (both.one, both.two):
                await machine.lock(READ, flock=True)
            first = beside(both.nursery, partial(both.one.lock, WRITE, flock=True, wait=True))
            second = beside(both.nursery, partial(both.two.lock, WRITE, flock=True, wait=True))
            await passes(2)
            assert first.is_done != second.is_done
            winner = both.one if first.is_done else both.two
            await winner.lock(UNLOCK, flock=True)
            await passes(2)
            assert first.is_done
            assert second.is_done

    on_mock_time(main)


@pytest.mark.parametrize("is_here", [True, False])
def test_who_gives_up_leaves_nothing_behind(is_here: bool) -> None:
    async def main() -> None:
        async with pair() as both:
            holder = both.one if is_here else both.two
            await holder.lock(WRITE, 0, 10, owner=THERE)
            waiting = beside(both.nursery, partial(both.one.lock, READ, 0, 10, wait=True))
            await passes(1)
            waiting.scope.cancel()
            await waiting.done.wait()
            await both.settled()
            assert is_quiet(both)
            assert bool(both.server.cancelled) is not is_here
            await holder.lock(UNLOCK, 0, 10, owner=THERE)
            assert not both.held
            assert not both.one.locks.table.pending
            assert await both.two.may() == "X"

    on_mock_time(main)


@pytest.mark.parametrize("does", [True, False])
@pytest.mark.parametrize("wait", [True, False])
def test_who_is_killed_while_the_server_grants(does: bool, wait: bool) -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(READ, 50, 60)
            gate = Gate(on=Command.LOCK, does=does)
            both.server.script.append(gate)
            waiting = beside(both.nursery, partial(both.one.lock, WRITE, 0, 10, wait=wait))
            await both.settled()
            assert len(gate.held) == 1
            waiting.scope.cancel()
            await both.settled()
            gate.open()
            await waiting.done.wait()
            await both.settled()
            assert both.spans() == [(50, 60, False)]
            assert is_quiet(both)
            assert await both.two.may(0, 10) == "X"

    on_mock_time(main)


def test_who_is_killed_in_a_downgrade_has_what_is_left() -> None:
    """Another machine may share it already: to have it alone again could fail."""

    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE, 0, 10)
            gate = Gate(on=Command.LOCK, after=2)  # the shared ones are there
            both.server.script.append(gate)
            weaker = beside(both.nursery, partial(both.one.lock, READ, 0, 20))
            await both.settled()
            weaker.scope.cancel()
            gate.open()
            await weaker.done.wait()
            await both.settled()
            assert len(gate.held) == 0
            assert [(one.lock.end, one.lock.type) for one in held(both)] == [(10, READ)]
            assert both.spans() == [(0, 10, False)]
            await both.two.lock(READ, 0, 20)

    on_mock_time(main)


def held(both: Pair) -> list[Held]:
    """What the first machine knows to be locked."""
    return both.one.locks.table.held


def test_who_is_killed_in_the_moment_of_the_grant() -> None:
    """Whatever comes first, he has the lock or nobody has."""

    async def main() -> None:
        for steps in range(12):
            async with pair() as both:
                await both.two.lock(WRITE, 0, 10)
                waiting = beside(both.nursery, partial(both.one.lock, WRITE, 0, 10, wait=True))
                await passes(1)
                beside(both.nursery, partial(both.two.lock, UNLOCK))
                for _ in range(2 * steps):
                    await trio.lowlevel.checkpoint()
                waiting.scope.cancel()
                await waiting.done.wait()
                await both.settled()
                assert both.spans() == ([(0, 10, True)] if waiting.is_done else [])
                assert not both.one.locks.table.pending

    on_mock_time(main)


def test_an_unlock_goes_on_without_its_caller() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE, 0, 10)
            gate = Gate(on=Command.WRITE)
            both.server.script.append(gate)
            await both.one.write(b"new")
            closing = beside(both.nursery, partial(both.one.close, owner=HERE))
            await both.settled()
            closing.scope.cancel()
            await closing.done.wait()
            assert both.held
            gate.open()
            await both.settled()
            assert not both.held
            await both.two.lock(READ)
            assert await both.two.read() == b"new"

    on_mock_time(main)


def test_what_is_asked_for_keeps_others_of_this_machine_away() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.two.lock(READ, 0, 10)
            first = beside(both.nursery, partial(both.one.lock, WRITE, 0, 10, wait=True))
            await passes(1)
            assert await both.one.is_refused(READ, 5, 15, owner=THERE)
            second = partial(both.one.lock, READ, 5, 15, owner=THERE, wait=True)
            waiting = beside(both.nursery, second)
            await passes(1)
            await both.two.lock(UNLOCK)
            await first.done.wait()
            await passes(1)
            assert not waiting.done.is_set()
            await both.one.lock(UNLOCK)
            await waiting.done.wait()
            assert both.spans() == [(5, 15, False)]

    on_mock_time(main)


def test_who_gives_up_lets_the_next_one_go_on() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.two.lock(READ, 0, 10)
            first = beside(both.nursery, partial(both.one.lock, WRITE, 0, 10, wait=True))
            await passes(1)
            wish = partial(both.one.lock, READ, 0, 10, owner=THERE, wait=True)
            second = beside(both.nursery, wish)
            await passes(1)
            first.scope.cancel()
            await second.done.wait()
            assert second.is_done

    on_mock_time(main)


def test_a_deadlock_is_an_error() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE, 0, 10)
            await both.one.lock(WRITE, 20, 30, owner=THERE)
            wish = partial(both.one.lock, WRITE, 20, 30, wait=True)
            waiting = beside(both.nursery, wish)
            await both.settled()
            cross = partial(both.one.lock, READ, 0, 10, owner=THERE, wait=True)
            assert await errno_from(beside(both.nursery, cross)) == errno.EDEADLK
            await both.one.lock(UNLOCK, 0, LOCK_END, owner=THERE)
            await waiting.done.wait()
            assert waiting.is_done

    on_mock_time(main)


def test_flock_knows_no_deadlock() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE, flock=True)
            await both.one.lock(WRITE, 0, 10, owner=THERE)
            first = partial(both.one.lock, WRITE, flock=True, owner=THERE, wait=True)
            second = partial(both.one.lock, WRITE, 0, 10, wait=True)
            waits = [beside(both.nursery, one) for one in (first, second)]
            await passes(1)
            assert not any(one.done.is_set() for one in waits)
            for one in waits:
                one.scope.cancel()

    on_mock_time(main)


@pytest.mark.logs("connection lost", "is away")
@pytest.mark.parametrize("is_here", [True, False])
def test_a_dead_server_ends_the_wait(is_here: bool) -> None:
    async def main() -> None:
        async with pair() as both:
            holder = both.one if is_here else both.two
            await holder.lock(WRITE, 0, 10, owner=THERE)
            waiting = beside(both.nursery, partial(both.one.lock, WRITE, 0, 10, wait=True))
            await passes(WATCH_S + 1)
            assert not waiting.done.is_set()
            both.server.script.append(Silent())
            began_s = trio.current_time()
            await waiting.done.wait()
            assert waiting.error is not None
            assert trio.current_time() - began_s < 3 * WATCH_S
            both.server.script.clear()
            if is_here:
                await both.one.lock(UNLOCK, 0, 10, owner=THERE)

    on_mock_time(main)


@pytest.mark.logs("connection lost")
def test_a_lost_connection_ends_the_wait_at_once() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.two.lock(WRITE, 0, 10)
            waiting = beside(both.nursery, partial(both.one.lock, WRITE, 0, 10, wait=True))
            await passes(1)
            both.server.hang_up()
            await both.settled()
            assert waiting.error is not None
            assert not isinstance(waiting.error, ServerSilent)

    on_mock_time(main)


def test_a_server_that_lets_nobody_wait_is_asked_again() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.two.lock(WRITE, 0, 10)
            both.server.script.append(Fails(on=Command.LOCK, status=Status.LOCK_NOT_GRANTED))
            waiting = beside(both.nursery, partial(both.one.lock, WRITE, 0, 10, wait=True))
            await passes(5)
            assert not waiting.done.is_set()
            asked = len(both.server.requests)
            await passes(5)
            assert len(both.server.requests) - asked < 25
            both.server.script.clear()
            await both.two.lock(UNLOCK)
            await waiting.done.wait()
            assert waiting.is_done
            await both.one.fs.flush(WHO, both.one.fh)

    on_mock_time(main)


def test_two_that_try_again_do_not_wake_each_other() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.two.lock(READ)
            upgrades = []
            for owner, start in ((HERE, 0), (THERE, 20)):
                await both.one.lock(READ, start, start + 10, owner=owner)
                wish = partial(both.one.lock, WRITE, start, start + 10, owner=owner, wait=True)
                upgrades.append(beside(both.nursery, wish))
            await passes(10)
            both.server.requests.clear()
            await passes(10)
            assert len(both.server.requests) < 150
            await both.two.lock(UNLOCK)
            for one in upgrades:
                await one.done.wait()
                assert one.is_done

    on_mock_time(main)
