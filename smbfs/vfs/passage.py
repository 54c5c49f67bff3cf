"""By which handle a descriptor gets at data: its own, or the one that has the range locked.

SMB lets nobody at what is locked exclusively but the handle that locked it; on this machine locks
are advisory, so everybody here goes by that one.

Easily broken: a lock holds on the server before its answer is here, and what was sent by another
handle meanwhile is refused; that is tried once more, by the handle that may have got the lock.  And
that one is closed when nothing is locked, maybe before a slow transfer by it has ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from smbfs.engine.handle import Handle
from smbfs.errors import StatusError
from smbfs.wire.status import Status

if TYPE_CHECKING:
    from smbfs.vfs.descriptor import Open

T = TypeVar("T")


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
) -> T:
    """Read or write a range by the handle that the server lets at it."""
    handle = way(opened, offset, size, writes=writes)
    try:
        return await do(handle)
    except StatusError as error:
        other = _other_way(opened, handle, error, offset, size, writes)
        if other is handle:
            raise
    return await do(other)


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
