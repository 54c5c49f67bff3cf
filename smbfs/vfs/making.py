"""Making and opening files and directories; each in one turnaround.

The directory is looked at beside it (`smbfs.vfs.beside`).  Easily broken: of a directory that we
made ourselves all names are known, none, until others may have made some.
"""

from __future__ import annotations

import os
import stat

from smbfs.engine.how import How
from smbfs.engine.information import Information
from smbfs.engine.steps import query_all
from smbfs.fuse.server import Entry, Opened
from smbfs.vfs.beside import beside
from smbfs.vfs.content import Content
from smbfs.vfs.inode import Inode, Moment
from smbfs.vfs.links import make_device
from smbfs.vfs.namespace import still_there
from smbfs.vfs.stat import dos_attributes_of
from smbfs.vfs.volume import Volume
from smbfs.wire.constants import Disposition


async def mkdir(volume: Volume, parent: Inode, name: bytes) -> Entry:
    """Make a directory."""
    async with beside(volume, parent):
        return await _make(volume, parent, name, How.making_directory())


async def mknod(volume: Volume, parent: Inode, name: bytes, mode: int, rdev: int) -> Entry:
    """Make an empty file, or a fifo, socket or device where the server keeps such."""
    kind = stat.S_IFMT(mode) or stat.S_IFREG
    if kind != stat.S_IFREG:
        numbers = os.major(rdev), os.minor(rdev)
        async with beside(volume, parent):
            return await make_device(volume, parent, name, kind, *numbers)
    opening = How.opening(os.O_RDONLY | os.O_CREAT | os.O_EXCL)
    attributes = dos_attributes_of(mode)
    how = How(How.looking().access, Disposition.CREATE, opening.options, attributes)
    async with beside(volume, parent):
        return await _make(volume, parent, name, how)


async def _make(volume: Volume, parent: Inode, name: bytes, how: How) -> Entry:
    asked = volume.moment()
    _, information = await volume.steady.at(
        lambda: volume.inodes.path_of(parent, name),
        lambda path: volume.share.on(path, how, query_all()),
    )
    inode = volume.made(parent, name, information, None, asked)
    if inode.is_directory:
        volume.directories.keep_raw(inode, [], volume.moment())
    return volume.entry(inode, asked)


async def open_(volume: Volume, content: Content, inode: Inode, flags: int) -> Opened:
    """Open a file that is there; the kernel then knows how long it is."""
    opened = await still_there(volume, inode, lambda: content.open(inode, flags))
    volume.correct(inode)
    return opened


async def create(
    volume: Volume, content: Content, parent: Inode, name: bytes, mode: int, flags: int
) -> tuple[Opened, Entry]:
    """Create a file and open it; without O_EXCL one that is there is opened."""
    path = volume.inodes.path_of(parent, name)
    times: list[Moment] = []

    def found(information: Information, asked: Moment) -> Inode:
        times.append(asked)
        return volume.made(parent, name, information, None, asked)

    async with beside(volume, parent):
        opened, inode = await content.create(path, flags, dos_attributes_of(mode), found)
    return opened, volume.entry(inode, times[0])
