"""Through which handle a part of a file is asked for.

All that is done to ranges besides reading and writing comes here, so the choice is made once.

Easily broken: what lies at a file's path may be another file by now, and what is learnt of that
one decides what is overwritten in ours; so it must have the same id, and no id is no proof.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from smbfs.engine.handle import Handle
from smbfs.engine.how import How
from smbfs.engine.steps import query_all
from smbfs.errors import StatusError
from smbfs.vfs.descriptor import Open, must_live
from smbfs.vfs.passage import way
from smbfs.vfs.refusals import unsupported
from smbfs.vfs.volume import Volume

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
        lambda path: volume.share.open(path, how, query_all()),
    )
    # Not the id of the inode: that may be what was seen at the path.
    if opened.known_id and opened.known_id == results[-1].file_id:
        return handle
    handle.close_soon()
    return None


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
