"""Files without a name: open(2) with O_TMPFILE, and linkat(2) that gives one a name.

A server knows no such files.  Ours has a hidden name and is marked deleted as soon as it is open,
so that it goes with its last handle, whoever closes that: us, or the server when we are gone.  The
handle that marked it is its `Grave`; through it the mark is taken back and the name given.

Easily broken: a file that could not be named must be marked deleted again, or it would stay.
"""

from __future__ import annotations

import errno
import os

import trio

from smbfs.engine.how import How
from smbfs.engine.information import Information
from smbfs.engine.steps import query_all, rename_to, set_disposition
from smbfs.errors import SmbError
from smbfs.fuse.server import Entry, Opened
from smbfs.vfs.content import Content
from smbfs.vfs.inode import Grave, Inode, Moment
from smbfs.vfs.refusals import unless_refused, unsupported
from smbfs.vfs.volume import Volume
from smbfs.wire.constants import Attributes as Dos

NAMELESS = "files without a name"
MARK_S = 5.0  # how long a caller is kept until a file that got no name is marked deleted again


async def tmpfile(
    volume: Volume, content: Content, parent: Inode, mode: int, flags: int
) -> tuple[Opened, Entry]:
    """Make and open a file without a name; O_EXCL says that it will never get one.

    Raises OSError(EOPNOTSUPP) where the server does not delete what is open, and where nothing
    may be deleted.
    """
    if volume.presentation.nodelete or NAMELESS in volume.refused:
        raise unsupported(NAMELESS)
    name = volume.silly_name()
    path = volume.inodes.path_of(parent, name.encode())

    def found(information: Information, asked: Moment) -> Inode:
        return volume.made(parent, name.encode(), information, None, asked)

    # READONLY would keep it from being deleted, so a mode without write bits waits for a chmod.
    how = flags & ~(os.O_TRUNC | os.O_TMPFILE) | os.O_CREAT | os.O_EXCL
    opened, inode = await content.create(path, how, Dos.NORMAL, found)
    try:
        handle, _ = await unless_refused(
            volume,
            NAMELESS,
            lambda: volume.share.open(path, How.renaming(), set_disposition(True)),
        )
    except BaseException:
        with trio.move_on_after(MARK_S, shield=True):
            await _undone(volume, content, path, opened)
        raise
    inode.grave = Grave(handle, parent, name, may_return=not flags & os.O_EXCL)
    volume.inodes.graves.add(inode)
    volume.inodes.remove(parent, name.encode())
    volume.inodes.unlinked(inode)
    volume.inodes.changed(parent)
    return opened, volume.entry(inode, inode.seen)


async def _undone(volume: Volume, content: Content, path: str, opened: Opened) -> None:
    await content.release(opened.fh)
    try:
        await volume.share.on(path, How.deleting(False), set_disposition(True))
    except SmbError:
        return  # its name tells whoever finds it what it was


def is_nameless(inode: Inode) -> bool:
    """Whether a file has no name and is kept by our handles alone."""
    return inode.is_unlinked and not inode.is_directory


async def name(volume: Volume, inode: Inode, parent: Inode, new_name: bytes) -> Entry:
    """Give a name to a file that has none; it is an ordinary file from then on.

    Raises OSError(ENOENT) for one that was deleted, or that was made never to have a name.
    """
    grave = inode.grave
    if grave is None or not grave.may_return:
        raise FileNotFoundError(errno.ENOENT, "a deleted file gets no name")
    grave.may_return = False  # of two names that it is given at once it gets one
    asked = volume.moment()
    try:
        information = await volume.steady.at(
            lambda: volume.inodes.path_of(parent, new_name), lambda path: _named(grave, path)
        )
    except BaseException:
        grave.may_return = True
        raise
    volume.inodes.revive(inode, parent, new_name, information, asked)
    volume.inodes.changed(parent)
    return volume.entry(inode, inode.seen)


async def _named(grave: Grave, path: str) -> Information:
    try:
        steps = set_disposition(False), rename_to(path, replace=False), query_all()
        information: Information = (await grave.handle.do(*steps))[-1]
    except BaseException:
        with trio.move_on_after(MARK_S, shield=True):
            await _marked_again(grave)
        raise
    return information


async def _marked_again(grave: Grave) -> None:
    try:
        await grave.handle.do(set_disposition(True))
    except SmbError:
        return  # the server is gone, and the file went with our handles
