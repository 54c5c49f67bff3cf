"""Waiting for locks: no more requests may wait on the server than it has credits for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pytest

from smbfs.engine.handle import Handle
from smbfs.vfs import lockhandle
from smbfs.wire.constants import LockFlags
from smbfs.wire.file_messages import LockRequest, lock_elements
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.messages import Request
from tests.fake.script import BadDay
from tests.vfs.bench import on_mock_time
from tests.vfs.locking import UNLOCK, WRITE, beside, pair
from tests.vfs.test_locks_waiting import passes


@pytest.mark.parametrize(("most", "window"), [(2, 512), (64, 8)])
def test_only_some_wait_on_the_server_and_the_others_ask_again(
    most: int, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockhandle, "MOST_PATIENT", most)
    monkeypatch.setattr(Handle, "window", window)

    async def main() -> None:
        async with pair() as both:
            waiting = []
            for start in range(0, 100, 20):
                await both.two.lock(WRITE, start, start + 10)
                wish = partial(both.one.lock, WRITE, start, start + 10, wait=True)
                waiting.append(beside(both.nursery, wish))
            await passes(10)
            volume = both.one.fs.volume
            assert sum(len(one.parked) for one in both.server.wires) == volume.patient == 2
            waiting.pop(0).scope.cancel()
            await passes(1)
            assert volume.patient == 2, "another one waits there now"
            await both.two.lock(UNLOCK)
            for one in waiting:
                await one.done.wait()
                assert one.is_done
            assert len(both.held) == 4
            assert volume.patient == 0

    on_mock_time(main)


@dataclass(kw_only=True)
class LetsNobodyWait(BadDay):
    """A server that has no room for who waits."""

    asked: int = 0

    def refuses(self, requests: Sequence[Request]) -> Status | None:
        if requests[0].command != Command.LOCK:
            return None
        [element] = lock_elements(requests[0].parse(LockRequest))
        is_patient = element.flags in (LockFlags.SHARED_LOCK, LockFlags.EXCLUSIVE_LOCK)
        self.asked += is_patient
        return Status.INSUFFICIENT_RESOURCES if is_patient else None


def test_a_server_that_has_no_room_for_who_waits_is_asked_again() -> None:
    async def main() -> None:
        async with pair() as both:
            await both.two.lock(WRITE, 0, 10)
            refuses = LetsNobodyWait()
            both.server.script.append(refuses)
            waiting = beside(both.nursery, partial(both.one.lock, WRITE, 0, 10, wait=True))
            await passes(10)
            assert not waiting.done.is_set()
            assert refuses.asked == 1
            await both.two.lock(UNLOCK)
            await waiting.done.wait()
            assert waiting.is_done
            assert both.one.fs.volume.patient == 0

    on_mock_time(main)
