"""Files without a name: open(2) with O_TMPFILE, and linkat(2) that gives one a name.

A server knows no such files.  Ours has a hidden name and is marked deleted as soon as it is open,
so that it goes with its last handle, whoever closes that: us, or the server when we are gone.  The
handle that marked it is its `Grave`; through it the mark is taken back and the name given.

Easily broken: a file that could not be named must be marked deleted again, or it would stay; and
the right to delete is part of the CREATE, so that a server that does not give it makes nothing.
"""

from __future__ import annotations

import errno
import logging
import os
from functools import partial

import trio

from smbfs.engine.handle import Handle
from smbfs.engine.how import How
from smbfs.engine.information import Information
from smbfs.engine.steps import query_all, rename_to, set_disposition
from smbfs.errors import SmbError, StatusError
from smbfs.fuse.server import Entry, Opened
from smbfs.vfs.content import Content
from smbfs.vfs.inode import Grave, Inode, Moment
from smbfs.vfs.refusals import unless_refused, unsupported
from smbfs.vfs.volume import Volume
from smbfs.wire.constants import Access
from smbfs.wire.constants import Attributes as Dos
from smbfs.wire.contexts import MAXIMAL_ACCESS
from smbfs.wire.header import Command

log = logging.getLogger(__name__)

NAMELESS = "files without a name"
DENIED = frozenset({errno.EACCES, errno.EPERM})
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
    opened, inode = await _made(volume, content, parent, name, flags)
    try:
        handle = await _marked(volume, path)
    except BaseException:
        with trio.move_on_after(MARK_S, shield=True):
            await _undone(content, path, opened)
        raise
    inode.grave = Grave(handle, parent, name, may_return=not flags & os.O_EXCL)
    volume.inodes.graves.add(inode)
    volume.inodes.remove(parent, name.encode())
    volume.inodes.unlinked(inode)
    volume.inodes.changed(parent)
    return opened, volume.entry(inode, inode.seen)


async def _made(
    volume: Volume, content: Content, parent: Inode, name: str, flags: int
) -> tuple[Opened, Inode]:
    """Make and open a file that may be deleted, or none."""
    path = volume.inodes.path_of(parent, name.encode())

    def found(information: Information, asked: Moment) -> Inode:
        return volume.made(parent, name.encode(), information, None, asked)

    # READONLY would keep it from being deleted, so a mode without write bits waits for a chmod.
    how = flags & ~(os.O_TRUNC | os.O_TMPFILE) | os.O_CREAT | os.O_EXCL
    try:
        return await content.create(path, how, Dos.NORMAL, found, Access.DELETE)
    except StatusError as error:
        is_no = error.errno in DENIED and error.command == Command.CREATE.name
        if not is_no or not await _may_make(volume, parent):
            raise
        volume.refused.add(NAMELESS)
        raise unsupported(NAMELESS) from error


async def _may_make(volume: Volume, parent: Inode) -> bool:
    """Whether files may be made in a directory, so that it was the deleting that is not allowed."""
    how = How.looking().with_context(MAXIMAL_ACCESS)
    [seen] = await volume.share.on(volume.inodes.path(parent), how)
    return bool(seen.maximal_access & Access.FILE_ADD_FILE)  # all, if the server does not tell


async def _marked(volume: Volume, path: str) -> Handle:
    """Mark a file deleted; the handle that can take that back."""
    marking = partial(volume.share.open, path, How.renaming(), set_disposition(True))
    try:
        handle, _ = await unless_refused(volume, NAMELESS, marking)
    except StatusError as error:
        if error.errno not in DENIED:
            raise
        volume.refused.add(NAMELESS)
        raise unsupported(NAMELESS) from error
    return handle


async def _undone(content: Content, path: str, opened: Opened) -> None:
    why: object = "there was no answer in time"
    try:
        await content.of(opened.fh).handle.do(set_disposition(True))
        why = None
    except SmbError as error:
        why = error
    finally:
        if why is not None:
            log.warning("%s could not be deleted, and stays on the server: %s", path, why)
        content.release_soon(opened.fh)


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
