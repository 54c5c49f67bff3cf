"""Names that go away or change: unlink, rmdir, rename, and files deleted while they are open.

SMB keeps the name of a deleted file until its last close, and renames over nothing that is open,
read-only or a directory.  POSIX programs expect all of that, so:

* A file that we have open is moved to a hidden name and marked deleted, by one chain whose handle
  stays as its `Grave`; the last close ends both.  A directory with nothing but graves is removed
  after they were moved to the root of the share.
* READONLY is taken off in the same chain that deletes, and put back there for further hard links
  or if the delete fails.
* A rename is tried as it is.  What it may have met at its destination is looked at only when it
  failed: an empty directory is removed, anything else is moved aside, and back if all was in vain.

Easily broken: what has been moved aside must come back or be deleted even if the caller gives up.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from smbfs.engine.handle import Handle
from smbfs.engine.how import How
from smbfs.engine.steps import rename_to, set_disposition
from smbfs.errors import SmbError, StatusError
from smbfs.fuse.server import RenameFlag
from smbfs.vfs.deleting import delete, despite_read_only, is_emptied, quietly, writable
from smbfs.vfs.inode import Grave, Inode
from smbfs.vfs.namespace import Seen, found, see
from smbfs.vfs.volume import Volume
from smbfs.wire.constants import Attributes as Dos
from smbfs.wire.header import Command
from smbfs.wire.status import Status

PUT_BACK_S = 5.0  # how long a caller who gave up is kept until a file moved aside is back
TOUCH_S = 5.0  # how long others may take to let go of what we have replaced
IN_THE_WAY = frozenset(  # what servers say of a rename to a name that is taken
    {
        Status.ACCESS_DENIED,
        Status.CANNOT_DELETE,
        Status.DIRECTORY_NOT_EMPTY,
        Status.FILE_IS_A_DIRECTORY,
        Status.INVALID_PARAMETER,
        Status.NOT_A_DIRECTORY,
        Status.OBJECT_NAME_COLLISION,
        Status.SHARING_VIOLATION,
        Status.USER_MAPPED_FILE,
    }
)


# Unlink and rmdir


async def unlink(volume: Volume, parent: Inode, name: bytes) -> None:
    """Remove a name that leads to anything but a directory."""
    _may_delete(volume)
    path = volume.inodes.path_of(parent, name)
    async with _known(volume, parent, name) as inode:
        volume.idle.close_of(inode)
        if inode.opens and not inode.is_directory:
            await _bury(volume, parent, path, inode)
        else:
            await delete(volume, path, inode, False)
        _forgotten(volume, parent, name, inode)


async def rmdir(volume: Volume, parent: Inode, name: bytes) -> None:
    """Remove an empty directory.  Raises with ENOTEMPTY for another."""
    _may_delete(volume)
    path = volume.inodes.path_of(parent, name)
    async with _known(volume, parent, name) as inode:
        if not inode.is_directory:
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", path)
        await _remove_directory(volume, path, inode)
        _forgotten(volume, parent, name, inode)


async def _remove_directory(volume: Volume, path: str, inode: Inode | None) -> None:
    if inode is not None:  # the name would stay until they are closed
        await volume.let_go(inode)
    try:
        await delete(volume, path, inode, True)
    except StatusError as error:
        if error.status != Status.DIRECTORY_NOT_EMPTY:
            raise
        if not await _exhume(volume, inode) and not (
            inode is not None and inode.seems_empty and await is_emptied(volume, path)
        ):
            raise
        await delete(volume, path, inode, True)


def _may_delete(volume: Volume) -> None:
    if volume.presentation.nodelete:
        raise OSError(errno.EPERM, "nothing may be deleted on this mount (nodelete)")


def _child(parent: Inode, name: bytes) -> Inode | None:
    known = parent.children.get(name)
    return known.inode if known else None


@asynccontextmanager
async def _known(volume: Volume, parent: Inode, name: bytes) -> AsyncIterator[Inode]:
    """The file of a name, kept for the length of the block; the kernel has mostly looked it up.

    Raises OSError(ENOENT) if there is none.
    """
    inode = _child(parent, name) or await found(volume, parent, name)
    if inode is None:
        raise FileNotFoundError(errno.ENOENT, "no such file", name)
    volume.inodes.hold(inode)
    try:
        yield inode
    finally:
        volume.inodes.let_go(inode)


def _forgotten(volume: Volume, parent: Inode, name: bytes, inode: Inode) -> None:
    volume.inodes.remove(parent, name)
    volume.inodes.unlinked(inode)
    volume.inodes.changed(parent)


# Files deleted while they are open


def _silly_path(volume: Volume, beside: str) -> str:
    above = beside.rpartition("\\")[0]
    return f"{above}\\{volume.silly_name()}" if above else volume.silly_name()


async def _bury(volume: Volume, parent: Inode, path: str, inode: Inode) -> None:
    """Delete a file that we have open, so that its name is free and its handles work on."""
    await _unkept(volume, path, inode)
    silly = _silly_path(volume, path)
    steps = (rename_to(silly, replace=False), set_disposition(True))
    attributes = inode.information.attributes
    how = How.renaming() if not attributes & Dos.READONLY else writable(How.renaming())
    try:
        handle, _ = await volume.share.open(path, how, *despite_read_only(attributes, *steps))
    except StatusError as error:
        if error.command == Command.CREATE.name:
            raise
        # Not to be renamed.  It may be marked deleted all the same, a chain goes on after a failed
        # step; if not, that is done now.  Its name then stays until the last close.
        await _mark_deleted(volume, path, inode)
        return
    _entomb(volume, inode, Grave(handle, parent, silly))


async def _unkept(volume: Volume, path: str, inode: Inode | None) -> None:
    """Have the server keep no open of a file that is to be deleted, should we be killed.

    Samba forgets that a name was to go when it gives up a durable open.  It keeps none whose lease
    does not keep handles, and that is broken by an open that shares nothing.
    """
    if inode is None or inode.file is None or not inode.file.be_kept_no_longer():
        return
    try:
        await volume.share.on(path, How.touching())
    except StatusError:
        return  # for we have it open


async def _mark_deleted(volume: Volume, path: str, inode: Inode) -> None:
    try:
        await delete(volume, path, inode, False)
    except FileNotFoundError:
        return


def _entomb(volume: Volume, inode: Inode, grave: Grave) -> None:
    if inode.grave is not None or not inode.opens:  # of several hard links one keeps a handle
        grave.handle.close_soon()
        return
    inode.grave = grave
    volume.inodes.graves.add(inode)


async def _exhume(volume: Volume, directory: Inode | None) -> bool:
    """Move the graves of a directory to the root; false if there were none."""
    moved = False
    for inode in list(volume.inodes.graves):
        grave = inode.grave
        if grave is None or grave.parent is not directory or directory is volume.inodes.root:
            continue
        name = volume.silly_name()
        try:
            # What is marked deleted cannot be renamed ([MS-FSA] 2.1.5.15.11).
            steps = set_disposition(False), rename_to(name, replace=False), set_disposition(True)
            await grave.handle.do(*steps)
        except SmbError:
            return moved
        inode.grave = replace(grave, parent=volume.inodes.root, name=name)
        moved = True
    return moved


# Rename


async def rename(
    volume: Volume, parent: Inode, name: bytes, new_parent: Inode, new_name: bytes, flags: int
) -> None:
    """Rename, replacing what POSIX lets be replaced.  Raises OSError EINVAL, EISDIR, ENOTDIR."""
    if flags & ~RenameFlag.NOREPLACE:
        raise OSError(errno.EINVAL, "the server can neither exchange nor white out names")
    path = volume.inodes.path_of(parent, name)
    new_path = volume.inodes.path_of(new_parent, new_name)
    async with _known(volume, parent, name) as source, volume.steady.renaming():
        if source.is_directory and new_parent.is_below(source):
            raise OSError(errno.EINVAL, "a directory cannot be moved into itself")
        replaces = not flags & RenameFlag.NOREPLACE
        target = _child(new_parent, new_name)
        volume.idle.close_beneath(source)
        if target is not None:
            volume.idle.close_of(target)
        if target is source and _is_no_op(source, path, new_path):
            if not replaces:
                raise FileExistsError(errno.EEXIST, "the name is taken", new_path)
            return
        asked = volume.moment()
        await _moved(volume, path, new_path, source, target, replaces)
        volume.inodes.move(parent, name, new_parent, new_name, asked)
    volume.inodes.changed(parent)
    volume.inodes.changed(new_parent)


async def _moved(
    volume: Volume, path: str, new_path: str, source: Inode, target: Inode | None, replaces: bool
) -> None:
    if replaces and target is not None and target is not source and target.opens:
        await _over(volume, path, new_path, source, target, None)
    else:
        await _straight(volume, path, new_path, source, target, replaces)


def _is_no_op(source: Inode, path: str, new_path: str) -> bool:
    """Whether both names are links to one file; a name that differs in case only is another."""
    return path == new_path or source.information.links > 1 or path.lower() != new_path.lower()


async def _touched(volume: Volume, path: str, done: trio.Event) -> None:
    try:
        await quietly(volume, path, How.touching())
    finally:
        done.set()


async def _straight(
    volume: Volume,
    path: str,
    new_path: str,
    source: Inode,
    target: Inode | None,
    replaces: bool,
) -> None:
    """Rename in one turnaround, and find out what was in the way if there was something."""
    # With replace some servers put a directory in a file's place.
    step = rename_to(new_path, replace=replaces and not source.is_directory)
    if source.is_directory:
        await volume.let_go(source, beneath=True)
    leases = volume.policy.leases and not source.is_directory
    touched = trio.Event()
    if replaces and leases and target is not None and not target.is_directory:
        # Whoever holds idly what is replaced would go on with it.  He is asked right before, and
        # has let it go when we are done; to wait in between would cost one turnaround more.
        volume.nursery.start_soon(_touched, volume, new_path, touched)
        for _ in range(2):
            await trio.lowlevel.checkpoint()
    else:
        touched.set()
    try:
        if leases:  # it may have to wait for others, which only the last of a chain may
            handle, _ = await volume.share.open(path, How.renaming().asking_holders(), step)
            handle.close_soon()
        else:
            await volume.share.on(path, How.renaming(), step)
    except StatusError as error:
        if not replaces or error.command == Command.CREATE.name or error.status not in IN_THE_WAY:
            raise
        await _over(volume, path, new_path, source, None, error)
    with trio.move_on_after(TOUCH_S):
        await touched.wait()


async def _over(
    volume: Volume,
    path: str,
    new_path: str,
    source: Inode,
    target: Inode | None,
    error: StatusError | None,
) -> None:
    """Rename over what is at the new name; ``error`` is why it was not simply done."""
    try:
        seen = await _what_is_there(volume, new_path, target)
    except StatusError as why:
        # If nothing is there, that was not the reason.
        raise (error if error is not None and why.errno == errno.ENOENT else why) from None
    is_directory = seen.kind == stat.S_IFDIR
    if is_directory and not source.is_directory:
        raise IsADirectoryError(errno.EISDIR, "a directory is there", new_path)
    if source.is_directory and not is_directory:
        raise NotADirectoryError(errno.ENOTDIR, "something else is there", new_path)
    if is_directory:
        await _over_directory(volume, path, new_path, target)
    else:
        await _aside(volume, path, new_path, seen, target, error)


async def _what_is_there(volume: Volume, path: str, target: Inode | None) -> Seen:
    if target is not None and volume.is_fresh(target):
        return Seen(target.information, target.special, target.seen)
    return await see(volume, path, target)


async def _over_directory(volume: Volume, path: str, new_path: str, target: Inode | None) -> None:
    await _remove_directory(volume, new_path, target)
    try:
        await volume.share.on(path, How.renaming(), rename_to(new_path, replace=False))
    except BaseException:
        with trio.move_on_after(PUT_BACK_S, shield=True):
            await quietly(volume, new_path, How.making_directory())
        raise


async def _aside(
    volume: Volume,
    path: str,
    new_path: str,
    seen: Seen,
    target: Inode | None,
    error: StatusError | None,
) -> None:
    """Move what is at the new name aside, rename, then delete it; or put it back."""
    await _unkept(volume, new_path, target)
    attributes = seen.information.attributes
    silly = _silly_path(volume, new_path)
    how = How.renaming() if not attributes & Dos.READONLY else writable(How.renaming())
    steps = despite_read_only(attributes, rename_to(silly, replace=False))
    try:
        handle, _ = await volume.share.open(new_path, how, *steps)
    except StatusError as why:
        raise (error or why) from None  # it cannot be moved: the first answer holds
    try:
        await volume.share.on(path, How.renaming(), rename_to(new_path, replace=False))
    except BaseException:
        with trio.move_on_after(PUT_BACK_S, shield=True):
            await _put_back(handle, new_path)
        raise
    with trio.move_on_after(PUT_BACK_S, shield=True):
        await _finish(volume, handle, attributes, silly, target)


async def _put_back(handle: Handle, path: str) -> None:
    try:
        await handle.do(rename_to(path, replace=False))
    except SmbError:
        return  # somebody took the name, or the server is gone: it stays under its silly name
    finally:
        handle.close_soon()


async def _finish(
    volume: Volume, handle: Handle, attributes: int, silly: str, target: Inode | None
) -> None:
    try:
        await handle.do(*despite_read_only(attributes, set_disposition(True)))
    except SmbError:
        handle.close_soon()
        raise
    if target is None or not target.opens or not target.places:
        handle.close_soon()
        return
    parent, _ = next(reversed(target.places))
    _entomb(volume, target, Grave(handle, parent, silly))
