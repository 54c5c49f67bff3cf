"""Waiting for a lock: for somebody on this machine, or for another one that the server knows.

A lock that is waited for has no deadline: somebody may hold it for hours.  So something else is
asked of the server now and then, which has one.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from smbfs.engine import steps
from smbfs.engine.handle import Handle
from smbfs.errors import SmbError
from smbfs.fuse.server import Lock
from smbfs.vfs.locktable import Pending, WaitGraph
from smbfs.vfs.openfile import KNOWN

WATCH_S = 30.0  # between two proofs that the server of a lock that is waited for is alive


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a lock was not granted: what we hold, or something on the server."""

    serial: int  # of the table's last change
    is_ours: bool = False
    owners: frozenset[int] = frozenset()
    pending: Pending | None = None  # registered, for the one request that can wait for it


async def wait_for_owners(
    waits: WaitGraph, lock: Lock, obstacle: Obstacle, changed: Callable[[], Awaitable[None]]
) -> None:
    """Wait for a change of those who are in the way; raises OSError(EDEADLK) for a circle."""
    others = () if lock.is_flock else obstacle.owners - {lock.owner}
    if waits.would_close(lock.owner, others):
        raise OSError(errno.EDEADLK, "it would wait for somebody who waits for it")
    waiting = waits.begin(lock.owner, others)
    try:
        await changed()
    finally:
        waits.end(waiting)


async def watched(
    handle_of: Callable[[], Handle | None], wait: Callable[[], Awaitable[None]]
) -> None:
    """Wait until it is over or the server of a handle does not answer; raises what waiting did."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch, handle_of, nursery.cancel_scope)
        try:
            await wait()
        except KNOWN as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _watch(handle_of: Callable[[], Handle | None], scope: trio.CancelScope) -> None:
    while (handle := handle_of()) is not None:
        await trio.sleep(WATCH_S)
        try:
            await handle.do(steps.query_all())
        except SmbError:
            scope.cancel()
            return
