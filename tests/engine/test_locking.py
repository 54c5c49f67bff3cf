"""LOCK as a step, without a server."""

from __future__ import annotations

import pytest

from smbfs.engine.exchange import Ask, Reply
from smbfs.engine.locking import lock, unlock
from smbfs.engine.steps import Listing, Where
from smbfs.wire.constants import LockFlags
from smbfs.wire.directory import FileIdFullDirectoryInformation
from smbfs.wire.file_messages import LockRequest, lock_elements
from smbfs.wire.header import Command, Header
from smbfs.wire.status import Status

WHERE = Where(b"0123456789abcdef", "", Listing(FileIdFullDirectoryInformation, 65536), print)


def reply(status: Status) -> Reply:
    return Reply(Header(command=Command.LOCK, message_id=1, status=status), status, memoryview(b""))


def named(ask: Ask) -> tuple[int, int, int]:
    """Offset, length and flags of the one range that an ask is about."""
    assert isinstance(ask.body, LockRequest)
    assert ask.body.file_id == WHERE.file_id
    [element] = lock_elements(ask.body)
    return element.offset, element.length, element.flags


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("wait", [False, True])
def test_a_lock(exclusive: bool, wait: bool) -> None:
    step = lock(7, 2**63 - 7, exclusive=exclusive, wait=wait)
    ask = step.ask(WHERE)
    kind = LockFlags.EXCLUSIVE_LOCK if exclusive else LockFlags.SHARED_LOCK
    flags = kind | (0 if wait else LockFlags.FAIL_IMMEDIATELY)
    assert named(ask) == (7, 2**63 - 7, flags)
    assert ask.patient == wait


@pytest.mark.parametrize(
    ("status", "granted"),
    [
        (Status.SUCCESS, True),
        (Status.LOCK_NOT_GRANTED, False),
        (Status.FILE_LOCK_CONFLICT, False),
    ],
)
def test_what_a_lock_is_answered(status: Status, granted: bool) -> None:
    step = lock(0, 1, exclusive=True)
    assert status in step.ask(WHERE).answers
    assert step.result(reply(status), WHERE) is granted


def test_any_other_answer_is_an_error() -> None:
    answers = lock(0, 1, exclusive=True).ask(WHERE).answers
    assert not {Status.CANCELLED, Status.RANGE_NOT_LOCKED} & answers


def test_a_lock_that_nobody_waits_for_is_let_go() -> None:
    ask = lock(7, 3, exclusive=False).ask(WHERE)
    assert ask.on_late is not None
    [undone] = ask.on_late(reply(Status.SUCCESS))
    assert named(undone) == (7, 3, LockFlags.UNLOCK)
    for status in (Status.CANCELLED, Status.LOCK_NOT_GRANTED):
        assert not ask.on_late(reply(status))


def test_an_unlock() -> None:
    step = unlock(7, 3)
    assert named(step.ask(WHERE)) == (7, 3, LockFlags.UNLOCK)
    step.result(reply(Status.SUCCESS), WHERE)
