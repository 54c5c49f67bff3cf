"""Through which handle a part of a file is asked for.

All that is done to ranges besides reading and writing comes here, so the choice is made once.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from smbfs.engine.handle import Handle
from smbfs.engine.how import How
from smbfs.vfs.openfile import Open, must_live
from smbfs.vfs.passage import way
from smbfs.vfs.volume import Volume


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
    """A handle that may read: of this descriptor, of another one, or made for the block."""
    for other in (opened, *opened.file.opens):
        if may_read(other) and other.is_alive:
            yield way_of(other, offset, size)
            return
    inode = opened.file.inode
    handle, _ = await volume.steady.at(
        lambda: volume.inodes.path(inode), lambda path: volume.share.open(path, How.reading())
    )
    try:
        yield handle
    finally:
        handle.close_soon()
