"""LOCK on the fake server, as Samba and Windows do it; the contract tests say so.

A handle's shared lock may lie on its own exclusive one, nothing else on an exclusive one; an
unlock names a whole lock and takes the exclusive one first; the ranges of one request are locked
all or none; only a single range is waited for.
"""

from __future__ import annotations

from smbfs.wire.constants import LockFlags
from smbfs.wire.file_messages import LockElement, LockRequest, LockResponse, lock_elements
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.messages import Parked, Request, Result, done
from tests.fake.tree import Fail, Lock, Open

KINDS = {LockFlags.SHARED_LOCK, LockFlags.EXCLUSIVE_LOCK}
LAST = 2**64


def lock(request: Request) -> Result:
    body = request.parse(LockRequest)
    open_ = request.opened(body.file_id)
    elements = lock_elements(body)
    if not elements:
        raise Fail(Status.INVALID_PARAMETER)
    if elements[0].flags == LockFlags.UNLOCK:
        _unlock_all(open_, elements)
        request.wire.server.retry_parked(Command.LOCK)
    else:
        _lock_all(open_, elements)
    return done(LockResponse())


def _unlock_all(open_: Open, elements: list[LockElement]) -> None:
    for element in elements:
        if element.flags != LockFlags.UNLOCK:
            raise Fail(Status.INVALID_PARAMETER)
    for element in elements:
        _unlock(open_, element.offset, element.offset + element.length)


def _unlock(open_: Open, start: int, end: int) -> None:
    locks = open_.node.locks
    ours = [one for one in locks if (one.owner, one.offset, one.end) == (open_, start, end)]
    if not ours:
        raise Fail(Status.RANGE_NOT_LOCKED)
    locks.remove(min(ours, key=lambda one: one.is_shared))


def _lock_all(open_: Open, elements: list[LockElement]) -> None:
    at_once = bool(elements[0].flags & LockFlags.FAIL_IMMEDIATELY)
    for element in elements:
        if element.flags & ~LockFlags.FAIL_IMMEDIATELY not in KINDS:
            raise Fail(Status.INVALID_PARAMETER)
        if len(elements) > 1 and not element.flags & LockFlags.FAIL_IMMEDIATELY:
            raise Fail(Status.INVALID_PARAMETER)
        if element.offset + element.length > LAST:
            raise Fail(Status.INVALID_LOCK_RANGE)
    taken: list[Lock] = []
    for element in elements:
        is_shared = bool(element.flags & LockFlags.SHARED_LOCK)
        wanted = Lock(open_, element.offset, element.offset + element.length, is_shared)
        if any(_conflict(held, wanted) for held in open_.node.locks):
            for one in taken:
                open_.node.locks.remove(one)
            if at_once:
                raise Fail(Status.LOCK_NOT_GRANTED)
            raise Parked
        open_.node.locks.append(wanted)
        taken.append(wanted)


def _conflict(held: Lock, wanted: Lock) -> bool:
    if wanted.is_shared and (held.is_shared or held.owner is wanted.owner):
        return False
    return held.offset < wanted.end and wanted.offset < held.end
