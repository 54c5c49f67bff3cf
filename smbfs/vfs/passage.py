"""By which handle a descriptor gets at data, and what is asked again when a connection was lost.

SMB lets nobody at what is locked exclusively but the handle that locked it; on this machine locks
are advisory, so everybody here goes by that one.

Easily broken: a lock holds on the server before its answer is here, and what was sent by another
handle meanwhile is refused; that is tried once more, by the handle that may have got the lock.  And
that one is closed when nothing is locked, maybe before a slow transfer by it has ended.  What
changes a file is asked again only by a handle that was claimed back: of one that was opened anew
nobody knows what the server did of it, nor who has written since.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import trio

from smbfs.engine.handle import Handle
from smbfs.errors import ConnectionLost, ServerAway, StatusError
from smbfs.wire.status import Status

if TYPE_CHECKING:
    from smbfs.vfs.descriptor import Open

T = TypeVar("T")

TRIES = 4  # a request that brings the server down is not asked for ever
SHORT_S = 1.0  # how long a connection is waited for at least
PAUSE_S = 0.5  # between two looks whether the server is back


def way(opened: Open, offset: int, size: int, *, writes: bool = False) -> Handle:
    """Name the handle that the server lets at a range, as far as is known."""
    locks = opened.file.locks
    return opened.handle if locks is None else locks.way(opened, offset, size, writes=writes)


async def past_locks(
    opened: Open,
    offset: int,
    size: int,
    do: Callable[[Handle], Awaitable[T]],
    *,
    writes: bool = False,
    began_s: float | None = None,
    patience: Callable[[], float] = lambda: 0.0,
) -> T:
    """Read or write a range by the handle that the server lets at it.

    ``began_s`` is since when the caller waits; ``patience`` says, when the connection is lost, how
    many seconds a server that is away is waited for.
    """
    handle = way(opened, offset, size, writes=writes)
    try:
        return await again(
            handle, lambda: do(handle), changes=writes, began_s=began_s, patience=patience
        )
    except StatusError as error:
        other = _other_way(opened, handle, error, offset, size, writes)
        if other is handle:
            raise
    return await do(other)


async def again(
    handle: Handle,
    do: Callable[[], Awaitable[T]],
    *,
    changes: bool,
    began_s: float | None = None,
    patience: Callable[[], float] = lambda: 0.0,
) -> T:
    """Do something by a handle, and again if it came back after its connection was lost over it.

    What ``changes`` the file is done again only if the handle was claimed back.
    """
    lost: ConnectionLost | None = None
    opens, away_s = handle.opens, 0.0
    # Whoever has waited for the answer is not kept waiting for a connection as long again.
    until_s = (trio.current_time() if began_s is None else began_s) + handle.timeout_s
    for left in reversed(range(TRIES)):
        if handle.may_come_back:
            away_s = away_s or trio.current_time()
            await _back(handle, max(until_s, away_s + SHORT_S), away_s + patience())
        if lost is not None and changes and handle.opens != opens:
            raise lost
        opens, generation = handle.opens, handle.generation
        try:
            return await do()
        except ConnectionLost as error:
            # Another task may have brought it back before this one heard of the loss.
            is_or_may_be_back = handle.may_come_back or handle.generation != generation
            if not left or not is_or_may_be_back:
                raise
            lost = error
    raise AssertionError("the last try either answers or raises")


async def _back(handle: Handle, until_s: float, patient_until_s: float) -> None:
    """Wait for a handle to be back: for so long, or as long for a server that is away as well."""
    reason: ConnectionLost = ServerAway(f"{handle.path}: the server has not come back in time")
    with trio.move_on_at(math.inf if handle.waits else max(until_s, patient_until_s)):
        while True:
            try:
                return await handle.be_back()
            except ConnectionLost as error:
                is_over = trio.current_time() >= patient_until_s and not handle.waits
                if is_over or not handle.may_come_back:
                    raise
                reason = error
            await trio.sleep(PAUSE_S)
    raise reason


def _other_way(
    opened: Open, handle: Handle, error: StatusError, offset: int, size: int, writes: bool
) -> Handle:
    """Name the handle to try after one; the same if that makes no sense."""
    locks = opened.file.locks
    if locks is None:
        return handle
    if error.status == Status.FILE_LOCK_CONFLICT:
        return locks.other_way(opened, writes=writes)
    if error.status == Status.FILE_CLOSED:
        return way(opened, offset, size, writes=writes)
    return handle
