"""Through which handle a part of a file is asked for.

All that is done to ranges besides reading and writing comes here, so the choice is made once.

Easily broken: what lies at a file's path may be another file by now, and what is learnt of that
one decides what is overwritten in ours; so it must have the same id, and no id is no proof.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import trio

from smbfs.engine.handle import Handle
from smbfs.engine.how import How
from smbfs.engine.steps import query_all
from smbfs.errors import StatusError
from smbfs.vfs.descriptor import Open, must_live
from smbfs.vfs.leases import wish_of
from smbfs.vfs.openfile import File
from smbfs.vfs.passage import way
from smbfs.vfs.refusals import unsupported
from smbfs.vfs.volume import Volume
from smbfs.wire.status import Status

BY_PATH = "other way to read what was opened for writing only"
NO_WAY = frozenset({errno.EACCES, errno.EPERM, errno.ENOENT})


def way_of(opened: Open, offset: int, size: int, *, writes: bool = False) -> Handle:
    """The handle of a descriptor for a range of its file, locked by us or not.

    Raises ConnectionLost.
    """
    must_live(opened)
    return way(opened, offset, size, writes=writes)


@asynccontextmanager
async def way_to_read(
    volume: Volume, opened: Open, offset: int, size: int
) -> AsyncIterator[Handle]:
    """A handle that may read: of this descriptor, of another one, or made for the block.

    Raises OSError(EOPNOTSUPP) where none can be made.
    """
    for other in (opened, *opened.file.opens):
        if other.may_read and other.is_alive:
            yield way_of(other, offset, size)
            return
    handle = await _by_path(volume, opened)
    try:
        yield handle
    finally:
        handle.close_soon()


async def open_again(volume: Volume, opened: Open, how: How) -> Handle | None:
    """Open the file of a descriptor once more, at its path; None if it is not proven to be that.

    Raises OSError or SmbError if nothing can be opened there.
    """
    handle, results = await volume.steady.at(
        lambda: volume.inodes.path(opened.file.inode),
        lambda path: _under_its_lease(volume, opened.file, path, how),
    )
    # Not the id of the inode: that may be what was seen at the path.
    if opened.known_id and opened.known_id == results[-1].file_id:
        return handle
    handle.close_soon()
    return None


async def _under_its_lease(
    volume: Volume, file: File, path: str, how: How
) -> tuple[Handle, list[Any]]:
    """Open a path with the key of a file's lease, or the server would take us for a stranger."""
    lease, leases = file.lease, file.ground.leases
    if lease is None or lease.is_oplock:
        return await volume.share.open(path, how, query_all())
    lease.asking(trio.current_time())
    try:
        asking = replace(how, lease=wish_of(lease, writes=False))
        handle, results = await volume.share.open(path, asking, query_all())
    except BaseException as error:
        lease.refused()
        leases.given_up(lease)
        if not isinstance(error, StatusError) or error.status != Status.INVALID_PARAMETER:
            raise
        # The key is bound to another name of the file.
        return await volume.share.open(path, how, query_all())
    leases.answered(lease, handle, writes=False)
    lease.arrived()
    file.took(lease)
    return handle, results


async def _by_path(volume: Volume, opened: Open) -> Handle:
    """A handle that may read what was opened for writing only."""
    must_live(opened)
    try:
        handle = await open_again(volume, opened, How.reading())
    except StatusError as error:
        if error.errno not in NO_WAY:
            raise
        raise unsupported(BY_PATH) from error
    if handle is None:
        raise unsupported(BY_PATH)
    return handle
