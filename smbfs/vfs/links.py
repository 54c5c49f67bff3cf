"""Symbolic links, hard links and special files: read in every dialect, written in one that works.

``symlink=default`` makes a Windows link where the server allows it and the target can be told in
it (relative, no character that Windows knows otherwise), else a Minshall+French link, which is an
ordinary file: ``ln -s`` never fails for want of a right.  A server that said no is remembered.

Easily broken: making a reparse point takes an empty file first, so whatever fails after the
CREATE must remove it again; a CREATE that failed must not, for then the file is somebody else's.
"""

from __future__ import annotations

import errno
import stat

from smbfs.engine.how import How
from smbfs.engine.information import Information
from smbfs.engine.steps import (
    get_reparse,
    link_to,
    query_all,
    read,
    set_disposition,
    set_reparse,
    write,
)
from smbfs.errors import SmbError, StatusError
from smbfs.fuse.server import Entry
from smbfs.vfs.inode import Inode
from smbfs.vfs.special import (
    Special,
    from_link_file,
    from_reparse,
    has_telling_tag,
    is_plain,
)
from smbfs.vfs.volume import Volume
from smbfs.wire.constants import Disposition
from smbfs.wire.header import Command
from smbfs.wire.reparse import PosixLink, Reparse, ReparseTag, pack_reparse
from smbfs.wire.reparse import Special as Device
from smbfs.wire.status import Status
from smbfs.wire.symlink import MFSYMLINK_SIZE, native_link, pack_mfsymlink

UNREADABLE = frozenset(  # why a suspicious file is taken for what it looks like
    {
        Status.ACCESS_DENIED,
        Status.NOT_A_REPARSE_POINT,
        Status.NOT_SUPPORTED,
        Status.INVALID_DEVICE_REQUEST,
        Status.SHARING_VIOLATION,
        Status.FILE_LOCK_CONFLICT,
    }
)
FOR_EVER = frozenset(  # what a server says that will never make a reparse point for us
    {
        Status.NOT_SUPPORTED,
        Status.NOT_IMPLEMENTED,
        Status.INVALID_DEVICE_REQUEST,
        Status.PRIVILEGE_NOT_HELD,
        Status.VOLUME_NOT_UPGRADED,
    }
)
LINK_TAGS = {"nfs": ReparseTag.NFS, "wsl": ReparseTag.LX_SYMLINK}
WSL_TAGS = {
    stat.S_IFIFO: ReparseTag.LX_FIFO,
    stat.S_IFSOCK: ReparseTag.AF_UNIX,
    stat.S_IFCHR: ReparseTag.LX_CHR,
    stat.S_IFBLK: ReparseTag.LX_BLK,
}


async def special_of(
    volume: Volume, path: str, information: Information, known: Inode | None
) -> Special | None:
    """What a file is beyond what it seems; None for a plain one.

    Asks only if it may be more, and only if it is not the unchanged file that was ``known`` there.
    """
    if is_plain(information):
        return None
    if known is not None and _is_unchanged(known.information, information):
        return known.special
    share, presentation = volume.share, volume.presentation
    try:
        if has_telling_tag(information):
            _, buffer = await share.on(path, How.looking(), get_reparse())
            return from_reparse(buffer, presentation.names, presentation.symlinkroot)
        _, data = await share.on(path, How.reading(), read(0, MFSYMLINK_SIZE))
        return from_link_file(data)
    except StatusError as error:
        if error.status in UNREADABLE:
            return None
        raise


def _is_unchanged(old: Information, new: Information) -> bool:
    """Whether the content of a file cannot have changed."""
    return bool(new.change_time) and (
        (old.file_id, old.attributes, old.end_of_file, old.last_write_time, old.change_time)
        == (new.file_id, new.attributes, new.end_of_file, new.last_write_time, new.change_time)
    )


async def symlink(volume: Volume, parent: Inode, name: bytes, target: bytes) -> Entry:
    """Make a symbolic link.  Raises OSError(EPERM) where the option forbids it."""
    path = volume.inodes.path_of(parent, name)
    style = volume.presentation.symlink
    special = Special(stat.S_IFLNK, target)
    asked = volume.moment()
    if style == "none":
        raise OSError(errno.EPERM, "symbolic links are switched off by symlink=none")
    information = None
    if style in LINK_TAGS:
        information = await _reparse(volume, path, PosixLink(LINK_TAGS[style], target))
    elif style == "native" or (style == "default" and _may_be_native(volume)):
        information = await _native(volume, path, target)
    if information is None and style in ("default", "mfsymlinks"):
        information = await _link_file(volume, path, target)
    if information is None:
        raise OSError(errno.EPERM, f"the server makes no symbolic links as symlink={style} wants")
    inode = volume.made(parent, name, information, special, asked)
    await volume.forget_old_targets()  # it may have the number of another link
    return volume.entry(inode, asked)


def _may_be_native(volume: Volume) -> bool:
    return "symlink" not in volume.refused and volume.share.facts.has_reparse_points


async def _native(volume: Volume, path: str, target: bytes) -> Information | None:
    try:
        link = native_link(target, volume.presentation.names, volume.presentation.symlinkroot)
    except OSError:  # a Windows link cannot say it
        return None
    return await _reparse(volume, path, link)


async def _link_file(volume: Volume, path: str, target: bytes) -> Information:
    how = How(
        How.writing().access, Disposition.CREATE, How.writing().options | How.looking().options
    )
    results = await volume.share.on(path, how, write(0, pack_mfsymlink(target)), query_all())
    information: Information = results[-1]
    return information


async def _reparse(volume: Volume, path: str, reparse: Reparse) -> Information | None:
    """Make a reparse point; None if the server will not have it, and then nothing is left."""
    buffer = pack_reparse(reparse)
    try:
        results = await volume.share.on(
            path, How.making_reparse(), set_reparse(buffer), query_all()
        )
    except StatusError as error:
        if error.command != Command.IOCTL.name:
            raise
        if error.status in FOR_EVER:
            volume.refused.add("device" if isinstance(reparse, Device) else "symlink")
        await volume.share.on(path, How.deleting(False), set_disposition(True))
        return None
    information: Information = results[-1]
    return information


def target_of(inode: Inode) -> bytes:
    """Where a symbolic link leads.  Raises OSError(EINVAL) for another file."""
    if inode.special is None or inode.special.target is None:
        raise OSError(errno.EINVAL, "not a symbolic link")
    return inode.special.target


async def make_device(
    volume: Volume, parent: Inode, name: bytes, kind: int, major: int, minor: int
) -> Entry:
    """Make a fifo, socket or device.  Raises OSError(EPERM) where the server has no such thing."""
    style = volume.presentation.reparse
    path = volume.inodes.path_of(parent, name)
    asked = volume.moment()
    forbidden = OSError(errno.EPERM, "the server keeps no fifos, sockets or devices")
    may = volume.share.facts.has_reparse_points and "device" not in volume.refused
    if style == "none" or not (may or style != "default"):
        raise forbidden
    if style == "wsl":
        if major or minor:  # kept in an attribute of WSL's own, which we do not write
            raise forbidden
        device = Device(WSL_TAGS[kind], kind)
    else:
        device = Device(ReparseTag.NFS, kind, major, minor)
    information = await _reparse(volume, path, device)
    if information is None:
        raise forbidden
    buffer = pack_reparse(device)
    special = from_reparse(buffer, volume.presentation.names)
    return volume.entry(volume.made(parent, name, information, special, asked), asked)


async def link(volume: Volume, inode: Inode, parent: Inode, name: bytes) -> Entry:
    """Give a file one more name.  Raises OSError(EPERM) where that cannot be."""
    if inode.is_directory:
        raise OSError(errno.EPERM, "a directory has one name only")
    target = volume.inodes.path_of(parent, name)
    asked = volume.moment()
    steps = (link_to(target, replace=False), query_all())
    try:
        results = await volume.share.on(volume.inodes.path(inode), How.looking(), *steps)
    except SmbError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        raise OSError(errno.EPERM, "the server makes no hard links") from error
    volume.inodes.changed(inode)
    placed = volume.made(parent, name, results[-1], inode.special, asked)
    return volume.entry(placed, asked)
