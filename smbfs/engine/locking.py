"""Byte-range locks as steps: take one range, or let some go ([MS-SMB2] 2.2.26).

Pure.  What another has locked is an answer and no error: `lock` says whether it was granted.

Easily broken: such a step goes out alone on a handle (`Handle.post`), never in a chain, which it
would hold up; a lock that is granted to nobody any more is let go again (`on_late`); an unlock
names exactly a range that was locked; and of several locks on one range of one handle it takes
the exclusive one first.
"""

from __future__ import annotations

from collections.abc import Sequence

from smbfs.engine.exchange import Ask, Reply
from smbfs.engine.steps import Step, Where
from smbfs.wire.constants import LockFlags
from smbfs.wire.file_messages import LockElement, LockRequest
from smbfs.wire.status import Status

# Two words for "it is in the way": Windows has one for a range that was refused a moment ago.
REFUSALS = frozenset({Status.LOCK_NOT_GRANTED, Status.FILE_LOCK_CONFLICT})
ANSWERS = REFUSALS | {Status.SUCCESS}


def lock(offset: int, length: int, *, exclusive: bool, wait: bool = False) -> Step[bool]:
    """Lock a range; the answer is whether it was granted.

    With ``wait`` the server answers when it can be granted, maybe never; who gives up waiting
    abandons what was posted, and the server is told to cancel it.
    """
    flags = LockFlags.EXCLUSIVE_LOCK if exclusive else LockFlags.SHARED_LOCK
    flags |= 0 if wait else LockFlags.FAIL_IMMEDIATELY

    def ask(where: Where) -> Ask:
        def undo(reply: Reply) -> Sequence[Ask]:
            ranges = [(offset, length)] if reply.status == Status.SUCCESS else []
            return [Ask(_request(where, one, LockFlags.UNLOCK)) for one in ranges]

        body = _request(where, (offset, length), flags)
        return Ask(body, answers=ANSWERS, on_late=undo, patient=wait)

    return Step(ask, lambda reply, _: reply.status == Status.SUCCESS)


def unlock(offset: int, length: int) -> Step[None]:
    """Let go one lock on exactly this range; of several the exclusive one first."""
    return Step(
        lambda where: Ask(_request(where, (offset, length), LockFlags.UNLOCK)),
        lambda reply, where: None,
    )


def _request(where: Where, one: tuple[int, int], flags: int) -> LockRequest:
    offset, length = one
    element = LockElement(offset=offset, length=length, flags=flags)
    return LockRequest(file_id=where.file_id, locks=bytes(element))
