"""SMB's description of a file into POSIX's, and changes of attributes the other way.  Pure.

A plain server keeps no owner and no mode: those come from the `Presentation`, and the one bit
that is real, READONLY, takes the write bits away from a file (never from a directory, where
Windows uses it for something else).  chmod therefore stores exactly "may anybody write?".

Easily broken: a file that has bytes but no allocated blocks looks like one big hole to tar, which
then archives zeros, so no blocks are shown only for files marked sparse.  A FILETIME of 0 in a
change means "leave it alone", so no real time may become 0.
"""

from __future__ import annotations

import errno
import stat
from dataclasses import dataclass

from smbfs.engine.information import Information
from smbfs.fuse.server import Attributes, Change, Node
from smbfs.vfs.presentation import Presentation
from smbfs.vfs.special import Special
from smbfs.wire.constants import Attributes as Dos
from smbfs.wire.units import filetime_to_ns, ns_to_filetime

COMPRESSED, IMMUTABLE, ENCRYPTED = 0x4, 0x10, 0x800  # STATX_ATTR_*, and FS_*_FL alike
LARGEST_TIME = 2**63 - 1  # FILETIMEs are signed on the wire; negative ones mean something else


@dataclass(slots=True)
class Override:
    """What chmod and chown said, kept in memory only (``dynperm``)."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class Basic:
    """The arguments of a FileBasicInformation: 0 leaves a value alone ([MS-FSCC] 2.4.7)."""

    access: int = 0
    write: int = 0
    attributes: int = 0

    def __bool__(self) -> bool:
        return bool(self.access or self.write or self.attributes)


def kind_of(information: Information, special: Special | None) -> int:
    """The S_IFMT bits of a file."""
    if special is not None:
        return special.kind
    return stat.S_IFDIR if information.is_directory else stat.S_IFREG


def permissions(kind: int, dos_attributes: int, presentation: Presentation) -> int:
    """The permission bits shown for a file of this type with these DOS attributes."""
    if kind == stat.S_IFDIR:
        return presentation.dir_mode
    if kind == stat.S_IFLNK:
        return 0o777
    if dos_attributes & Dos.READONLY:
        return presentation.file_mode & ~0o222
    return presentation.file_mode


def attributes_of(
    node: Node,
    information: Information,
    special: Special | None,
    presentation: Presentation,
    *,
    links: int,
    override: Override | None = None,
) -> Attributes:
    """What stat(2) tells of a file."""
    kind = kind_of(information, special)
    mode = permissions(kind, information.attributes, presentation)
    uid, gid = presentation.uid, presentation.gid
    if override is not None:
        mode = mode if override.mode is None else override.mode
        uid = uid if override.uid is None else override.uid
        gid = gid if override.gid is None else override.gid
    size = _size(information, special)
    write_time = information.last_write_time
    # In the order of the fields: by their names the whole of it takes 1.3 times as long.
    return Attributes(
        node,
        kind | mode,
        2 if kind == stat.S_IFDIR and links else links,
        uid,
        gid,
        size,
        _blocks(information, size),
        presentation.block_size,
        _ns(information.last_access_time, write_time),
        _ns(write_time),
        _ns(information.change_time, write_time),
        _ns(information.creation_time),
        special.rdev if special is not None else 0,
        flags=flags_of(kind, information.attributes),
    )


def flags_of(kind: int, dos_attributes: int) -> int:
    """The attributes of statx(2) that a file has; for a directory READONLY is none."""
    flags = COMPRESSED if dos_attributes & Dos.COMPRESSED else 0
    flags |= ENCRYPTED if dos_attributes & Dos.ENCRYPTED else 0
    return flags | (IMMUTABLE if dos_attributes & Dos.READONLY and kind != stat.S_IFDIR else 0)


def check_ownership(
    change: Change, kind: int, dos_attributes: int, presentation: Presentation
) -> None:
    """Refuse, under ``ids=strict``, an owner or a mode that stat would not show afterwards.

    Raises OSError(EPERM).
    """
    if presentation.ids != "strict" or presentation.dynperm:
        return
    after = permissions(kind, wanted_attributes(change, kind, dos_attributes), presentation)
    if (
        change.uid not in (None, presentation.uid)
        or change.gid not in (None, presentation.gid)
        or (change.mode is not None and change.mode & 0o7777 != after)
    ):
        raise OSError(errno.EPERM, "the server cannot store this owner or mode")


def wanted_attributes(change: Change, kind: int, dos_attributes: int) -> int:
    """The DOS attributes after a change: READONLY stands for a mode that lets nobody write."""
    if change.mode is None or kind in (stat.S_IFDIR, stat.S_IFLNK):
        return dos_attributes
    if change.mode & 0o222:
        return dos_attributes & ~Dos.READONLY
    return dos_attributes | Dos.READONLY


def basic_of(change: Change, kind: int, dos_attributes: int) -> Basic:
    """What to set on the server for a change of mode and times; false if there is nothing."""
    wanted = wanted_attributes(change, kind, dos_attributes)
    return Basic(
        access=0 if change.atime_ns is None else filetime(change.atime_ns),
        write=0 if change.mtime_ns is None else filetime(change.mtime_ns),
        attributes=0 if wanted == dos_attributes else settable(wanted),
    )


def dos_attributes_of(mode: int) -> int:
    """The DOS attributes for a new file of this mode."""
    return Dos.NORMAL if mode & 0o222 else Dos.READONLY


def settable(dos_attributes: int) -> int:
    """Attributes as a set wants them: never 0, which would mean "leave them alone"."""
    kept = dos_attributes & ~(Dos.DIRECTORY | Dos.REPARSE_POINT | Dos.SPARSE_FILE | Dos.COMPRESSED)
    return kept & ~Dos.NORMAL or Dos.NORMAL


def filetime(time_ns: int) -> int:
    """A FILETIME that means a time and nothing else: never 0 or negative."""
    return min(max(ns_to_filetime(time_ns), 1), LARGEST_TIME)


def _ns(time: int, otherwise: int = 0) -> int:
    kept = time if time > 0 else otherwise  # 0 and -1 mean that the server keeps no such time
    return filetime_to_ns(kept) if kept > 0 else 0


def _size(information: Information, special: Special | None) -> int:
    if special is not None and special.target is not None:
        return len(special.target)
    return information.end_of_file


def _blocks(information: Information, size: int) -> int:
    if information.allocation_size or information.attributes & Dos.SPARSE_FILE:
        return -(-information.allocation_size // 512)
    return -(-size // 512)
