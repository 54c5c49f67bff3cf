"""The handle that has the locks, and a server that does not do what it was asked, or does not say.

Whatever goes wrong: nothing stays locked on the server that nobody here knows of.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pytest
import trio

from smbfs.engine.handle import Handle, Posted
from smbfs.engine.steps import Step
from smbfs.errors import ServerSilent
from smbfs.fuse.server import Change
from smbfs.vfs.locks import IDLE_S
from smbfs.wire.constants import LockFlags
from smbfs.wire.file_messages import LockRequest, lock_elements
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.messages import Request
from tests.fake.script import FOR_EVER, BadDay, Fails, Silent
from tests.vfs.bench import WHO, on_mock_time
from tests.vfs.locking import READ, UNLOCK, WRITE, beside, pair


def flags_of(request: Request) -> int:
    """How a LOCK locks its one range; 0 for any other request."""
    if request.command != Command.LOCK:
        return 0
    [element] = lock_elements(request.parse(LockRequest))
    return element.flags


@dataclass(kw_only=True)
class RefusesUnlocks(BadDay):
    """No unlock is done."""

    def refuses(self, requests: Sequence[Request]) -> Status | None:
        is_hit = flags_of(requests[0]) == LockFlags.UNLOCK and self.strikes(Command.LOCK)
        return Status.INSUFFICIENT_RESOURCES if is_hit else None


@dataclass(kw_only=True)
class SwallowsUnlocks(Silent):
    """No unlock is done, nor answered."""

    def swallows(self, requests: Sequence[Request]) -> bool:
        return flags_of(requests[0]) == LockFlags.UNLOCK and super().swallows(requests)


@pytest.mark.parametrize("times", [1, FOR_EVER])
def test_an_unlock_that_is_refused_leaves_nothing(times: int) -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE, 0, 10)
            both.server.script.append(RefusesUnlocks(times=times))
            await both.one.lock(UNLOCK)
            await both.settled()
            assert not both.held
            assert await both.two.is_refused(WRITE, 0, 10) is False
            both.server.script.clear()
            await both.two.lock(UNLOCK)
            await both.one.lock(WRITE, 0, 10)
            assert both.spans() == [(0, 10, True)]

    on_mock_time(main)


def test_an_unlock_is_asked_again_while_something_else_is_locked() -> None:
    async def main() -> None:
        async with pair() as both:
            for start in (0, 20):
                await both.one.lock(WRITE, start, start + 10)
            both.server.script.append(RefusesUnlocks())
            await both.one.lock(UNLOCK, 0, 10)
            assert both.spans() == [(0, 10, True), (20, 30, True)]
            await both.one.lock(READ, 20, 30)
            assert await both.two.is_refused(READ, 20, 30), "it is no weaker there yet"
            both.server.script.clear()
            await both.one.lock(READ, 40, 50)
            assert both.spans() == [(20, 30, False), (40, 50, False)]

    on_mock_time(main)


def test_an_unlock_without_an_answer_is_asked_again() -> None:
    async def main() -> None:
        async with pair() as both:
            for start in (0, 20):
                await both.one.lock(WRITE, start, start + 10)
            both.server.script.append(SwallowsUnlocks(times=1))
            await both.one.lock(UNLOCK, 0, 10)
            assert both.spans() == [(0, 10, True), (20, 30, True)]
            await both.one.lock(WRITE, 0, 5)
            assert both.spans() == [(0, 5, True), (20, 30, True)]
            both.server.script.append(SwallowsUnlocks(times=1))
            await both.one.lock(UNLOCK)
            await both.settled()
            assert not both.held, "it was closed"

    on_mock_time(main)


def test_what_is_in_doubt_does_not_take_another_lock_with_it() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.one.lock(WRITE, 0, 10)
            both.server.script.append(SwallowsUnlocks(times=1))
            await both.one.lock(READ, 0, 10)
            both.held[:] = [one for one in both.held if one.is_shared]  # it was done after all
            await both.one.lock(READ, 20, 30)
            assert both.spans() == [(0, 10, False), (20, 30, False)]

    on_mock_time(main)


def test_a_borrowed_handle_is_asked_until_it_has_let_go() -> None:
    async def main() -> None:
        async with pair() as both:
            refusal = Fails(on=Command.CREATE, status=Status.ACCESS_DENIED)
            both.server.script.append(refusal)
            await both.one.lock(WRITE, 0, 10)
            both.server.script.append(RefusesUnlocks())
            await both.one.lock(UNLOCK)
            await trio.sleep(5 * IDLE_S)
            assert both.spans() == [(0, 10, True)]
            both.server.script.clear()
            await trio.sleep(IDLE_S + 0.1)
            assert not both.held

    on_mock_time(main)


@pytest.mark.parametrize("good", range(6))
def test_a_swap_that_cannot_be_asked_to_the_end(good: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with pair() as both:
            for start in (0, 20):
                await both.one.lock(READ, start, start + 10)
            handle = both.one.locks._server.handle
            assert handle is not None
            asked, post = 0, handle.post

            async def fails_once(step: Step[bool]) -> Posted[bool]:
                nonlocal asked
                asked += 1
                if asked == good + 1:
                    raise ServerSilent("no credits")
                return await post(step)

            monkeypatch.setattr(handle, "post", fails_once)
            upgrade = beside(both.nursery, partial(both.one.lock, WRITE, 0, 30))
            await upgrade.done.wait()
            await both.settled()
            assert not both.one.locks._server._doubtful, "every answer was heard"
            if upgrade.error is None:
                assert both.spans() == [(0, 10, True), (10, 20, True), (20, 30, True)]
            else:
                assert isinstance(upgrade.error, ServerSilent)
                assert both.spans() == [(0, 10, False), (20, 30, False)]
            await both.one.lock(UNLOCK)
            await both.settled()
            assert not both.held

    on_mock_time(main)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_file_whose_id_nobody_tells_is_locked_by_the_descriptor(is_known: bool) -> None:
    """What lies at the path may be another file, and data would go there."""

    async def main() -> None:
        async with pair(b"data") as both:
            both.server.volume.node("file").file_id = 0
            opened = both.one.fs.content.of(both.one.fh)
            if not is_known:
                opened.known_id = 0
            await both.one.lock(WRITE, 0, 10)
            assert both.one.locks.keeps(opened.handle)
            assert opened.flags & os.O_ACCMODE == os.O_RDWR
            assert isinstance(both.one.locks._server.handle, Handle)

    on_mock_time(main)


def test_a_lock_is_on_the_open_file_whatever_was_seen_at_its_path() -> None:
    async def main() -> None:
        async with pair(b"data") as both:
            one = both.one
            await one.close()
            one.fh = (await one.fs.open(WHO, one.node, os.O_RDONLY)).fh
            both.server.volume.move("file", "elsewhere")
            other = both.server.volume.put("file", b"other")
            # A handle for reading may not change times, so that goes by the path.
            await one.fs.setattr(WHO, one.node, Change(mtime_ns=10**18), None)
            assert one.file.inode.information.file_id == other.file_id
            await one.lock(READ, 0, 10)
            assert one.locks.keeps(one.fs.content.of(one.fh).handle)
            assert await one.read() == b"data"

    on_mock_time(main)
