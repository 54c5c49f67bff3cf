"""Through which handle a part of a file is asked for.

All that is done to ranges besides reading and writing comes here, so the choice is made once.

Easily broken: what lies at a file's path may be another file by now, and what is learnt of that
one decides what is overwritten in ours; so it must have the same id, and no id is no proof.
"""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from smbfs.engine.handle import Handle
from smbfs.engine.how import How
from smbfs.engine.steps import query_all
from smbfs.errors import StatusError
from smbfs.vfs.openfile import Open, must_live
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


def may_read(opened: Open) -> bool:
    """Whether it was opened for reading."""
    return opened.flags & os.O_ACCMODE != os.O_WRONLY


@asynccontextmanager
async def way_to_read(
    volume: Volume, opened: Open, offset: int, size: int
) -> AsyncIterator[Handle]:
    """A handle that may read: of this descriptor, of another one, or made for the block.

    Raises OSError(EOPNOTSUPP) where none can be made.
    """
    for other in (opened, *opened.file.opens):
        if may_read(other) and other.is_alive:
            yield way_of(other, offset, size)
            return
    handle = await _by_path(volume, opened)
    try:
        yield handle
    finally:
        handle.close_soon()


async def _by_path(volume: Volume, opened: Open) -> Handle:
    """Open what lies at the path of a file, if it is proven to be that file."""
    must_live(opened)
    inode = opened.file.inode
    try:
        handle, results = await volume.steady.at(
            lambda: volume.inodes.path(inode),
            lambda path: volume.share.open(path, How.reading(), query_all()),
        )
    except StatusError as error:
        if error.errno not in NO_WAY:
            raise
        raise unsupported(BY_PATH) from error
    try:
        # Not the id of the inode: that may be what was seen at the path.
        [ours] = await opened.handle.do(query_all())
        if not ours.file_id or ours.file_id != results[-1].file_id:
            raise unsupported(BY_PATH)
    except BaseException:
        handle.close_soon()
        raise
    return handle
