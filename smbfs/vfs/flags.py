"""The flags of lsattr and chattr: those of Linux that are an attribute on the server.

Immutable is READONLY, which also takes the write bits from the mode; compression is the server's
own.  Encryption is shown and cannot be switched.  What is shown is made in `smbfs.vfs.stat`.

Easily broken: a flag that cannot be kept is refused, for chattr believes what is not.
"""

from __future__ import annotations

from smbfs.engine.controls import set_compression
from smbfs.engine.how import How
from smbfs.engine.steps import query_all
from smbfs.vfs import namespace
from smbfs.vfs.inode import Inode
from smbfs.vfs.refusals import unless_refused, unsupported
from smbfs.vfs.stat import COMPRESSED, IMMUTABLE, Basic, settable
from smbfs.vfs.volume import Volume
from smbfs.wire.constants import Access
from smbfs.wire.constants import Attributes as Dos

CHANGING = How(
    Access.FILE_READ_DATA | Access.FILE_WRITE_DATA | Access.FILE_READ_ATTRIBUTES,
)


async def get(volume: Volume, inode: Inode) -> int:
    """The flags of a file, in FS_IOC_GETFLAGS's bits."""
    return (await namespace.getattr(volume, inode)).flags


async def put(volume: Volume, inode: Inode, flags: int) -> None:
    """Set the flags of a file to just these.  Raises OSError(EOPNOTSUPP) for what is not kept."""
    change = flags ^ await get(volume, inode)
    may_change = COMPRESSED if inode.is_directory else COMPRESSED | IMMUTABLE
    if change & ~may_change:
        raise unsupported("such flag")
    # While READONLY is set nobody may open the file to compress it.
    if change & IMMUTABLE and not flags & IMMUTABLE:
        await _set_read_only(volume, inode, False)
    if change & COMPRESSED:
        await _compress(volume, inode, bool(flags & COMPRESSED))
    if change & IMMUTABLE and flags & IMMUTABLE:
        await _set_read_only(volume, inode, True)
    await volume.dropped(inode)  # the kernel does not know that this changes the mode


async def _set_read_only(volume: Volume, inode: Inode, is_on: bool) -> None:
    others = inode.information.attributes & ~Dos.READONLY
    basic = Basic(attributes=settable(others | (Dos.READONLY if is_on else 0)))
    asked = volume.moment()
    results = await namespace.on_handle_or_path(volume, inode, *namespace.changing(inode, basic))
    volume.told(inode, results[-1], asked)


async def _compress(volume: Volume, inode: Inode, is_on: bool) -> None:
    steps = set_compression(is_on), query_all()
    asked = volume.moment()
    results = await unless_refused(
        volume,
        "compression",
        lambda: volume.steady.at(
            lambda: volume.inodes.path(inode), lambda path: volume.share.on(path, CHANGING, *steps)
        ),
    )
    volume.told(inode, results[-1], asked)
