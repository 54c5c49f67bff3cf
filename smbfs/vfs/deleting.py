"""Deleting what lies at a path, read-only or not, held idly by others or not.

What is open here is `smbfs.vfs.removal`'s.  Easily broken: a READONLY that was taken off comes
back, whatever happens, for other names of the file may have it.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import trio

from smbfs.engine.how import How
from smbfs.engine.steps import SMALL, Step, list_directory, set_basic, set_disposition
from smbfs.errors import SmbError, StatusError
from smbfs.vfs.inode import Inode
from smbfs.vfs.namespace import see
from smbfs.vfs.stat import settable
from smbfs.vfs.volume import Volume
from smbfs.wire.constants import Access
from smbfs.wire.constants import Attributes as Dos
from smbfs.wire.header import Command
from smbfs.wire.status import Status

FEW = 16  # names of which it is found out whether they are going
LOOKS, LOOK_S = 20, 0.05


async def delete(volume: Volume, path: str, inode: Inode | None, is_directory: bool) -> None:
    """Delete what is at a path, read-only or not."""
    how = How.deleting(_wanted_type(inode, is_directory))
    attributes = inode.information.attributes if inode else 0
    if not attributes & Dos.READONLY:
        try:
            marking = [set_disposition(True)]
            await _alone_first(how, is_directory, lambda one: volume.share.on(path, one, *marking))
        except StatusError as error:
            if error.status == Status.DELETE_PENDING:
                raise FileNotFoundError(errno.ENOENT, "already deleted", path) from error
            if error.status != Status.CANNOT_DELETE:
                raise
        else:
            return
        attributes = (await see(volume, path, inode)).information.attributes
    steps = despite_read_only(attributes, set_disposition(True))
    how = writable(how)
    await _alone_first(
        how, is_directory, lambda one: _restoring(volume, path, attributes, one, steps)
    )


async def _alone_first(
    how: How, is_directory: bool, mark: Callable[[How], Awaitable[object]]
) -> None:
    """Mark something deleted.

    Other machines may have the file open idly, which keeps its name: an open that shares no data
    makes the server ask them to close it, where marking it deleted does not (on Samba 4.17).
    """
    if not is_directory:
        try:
            await mark(how.alone())
        except StatusError as error:
            if error.status != Status.SHARING_VIOLATION:
                raise
        else:
            return
    await mark(how)


async def is_emptied(volume: Volume, path: str) -> bool:
    """Wait a while if all that is left in a directory is deleted and held by others for a moment.

    Others who watch a directory, or have a file open idly, let it go when the server tells them.
    """
    for _ in range(LOOKS):
        _, page = await volume.share.on(path, How.listing(), list_directory("*", SMALL))
        names = [one.name for one in page or ()]
        if not names:
            return True
        if len(names) > FEW or not all([await _is_going(volume, f"{path}\\{n}") for n in names]):
            return False
        await trio.sleep(LOOK_S)
    return False


async def _is_going(volume: Volume, path: str) -> bool:
    try:
        await volume.share.on(path, How.looking())
    except StatusError as error:
        return error.status in (Status.DELETE_PENDING, Status.OBJECT_NAME_NOT_FOUND)
    return False


def _wanted_type(inode: Inode | None, is_directory: bool) -> bool | None:
    """What type to insist on: none for a link, which Windows keeps in a file or a directory."""
    if inode is not None and inode.kind == stat.S_IFLNK and not is_directory:
        return None
    return is_directory


def writable(how: How) -> How:
    """The same, with the right to change attributes."""
    return replace(how, access=how.access | Access.FILE_WRITE_ATTRIBUTES)


def despite_read_only(attributes: int, *steps: Step[None]) -> list[Step[None]]:
    """The steps between taking READONLY off and putting it back (other names may have it)."""
    if not attributes & Dos.READONLY:
        return list(steps)
    return [
        set_basic(attributes=settable(attributes & ~Dos.READONLY)),
        *steps,
        set_basic(attributes=settable(attributes)),
    ]


async def _restoring(
    volume: Volume, path: str, attributes: int, how: How, steps: Sequence[Step[Any]]
) -> None:
    """Do steps that begin without READONLY; a failure leaves the attributes as they were."""
    try:
        await volume.share.on(path, how, *steps)
    except StatusError as error:
        # A chain goes on after a failed step, but not every server takes chains.
        if attributes & Dos.READONLY and error.command != Command.CREATE.name:
            await quietly(volume, path, How.changing(), set_basic(attributes=settable(attributes)))
        raise


async def quietly(volume: Volume, path: str, how: How, *steps: Step[Any]) -> None:
    """Do steps where the first error is told already."""
    try:
        await volume.share.on(path, how, *steps)
    except SmbError:
        return  # it is gone, or never was ours to change: the first error is the one to tell
