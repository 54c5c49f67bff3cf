"""Files that stand for something else: symbolic links, mount points, fifos, sockets, devices.

Three families say such things in reparse points: Windows ([MS-FSCC] 2.1.2.4, 2.1.2.5), NFS servers
on Windows (2.1.2.6) and WSL.  This turns their buffers into values and back; how a link's target
reads as a POSIX path is in `smbfs.wire.symlink`.

Rule easily broken: a reparse buffer is written by *another client*, not by the server, so a
WireError from here says that one file is broken, and not that the connection is.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from errno import ENAMETOOLONG
from typing import ClassVar

from smbfs.wire.codec import U16, U32, U64, Blob, Pad, Structure, WireError, derived, trailing
from smbfs.wire.units import from_kernel, text, to_kernel, utf16


class ReparseTag:
    """IO_REPARSE_TAG_*, [MS-FSCC] 2.1.2.1; those that have a POSIX meaning."""

    MOUNT_POINT = 0xA0000003
    SYMLINK = 0xA000000C
    NFS = 0x80000014
    LX_SYMLINK = 0xA000001D
    AF_UNIX = 0x80000023
    LX_FIFO = 0x80000024
    LX_CHR = 0x80000025
    LX_BLK = 0x80000026


@dataclass(frozen=True, slots=True)
class SymbolicLink:
    """A Windows symbolic link; names are as on the wire, with ``\\`` between components."""

    substitute_name: str  # what counts; an absolute one is an NT path, ``\\??\\C:\\...``
    print_name: str  # what a user is shown
    is_relative: bool


@dataclass(frozen=True, slots=True)
class MountPoint:
    """A junction or a mounted volume: always absolute, and on the server."""

    substitute_name: str
    print_name: str


@dataclass(frozen=True, slots=True)
class PosixLink:
    """A symbolic link that an NFS server or WSL wrote; the target is a POSIX path as it was."""

    tag: int  # NFS or LX_SYMLINK
    target: bytes


@dataclass(frozen=True, slots=True)
class Special:
    """A fifo, a socket or a device; WSL keeps the numbers of devices elsewhere, so they are 0."""

    tag: int  # NFS, AF_UNIX or one of LX_...
    mode: int  # the S_IFMT part: S_IFIFO, S_IFSOCK, S_IFCHR or S_IFBLK
    major: int = 0
    minor: int = 0


@dataclass(frozen=True, slots=True)
class Other:
    """A reparse point that means nothing here: an offline file, a deduplicated one, ..."""

    tag: int
    data: bytes


Reparse = SymbolicLink | MountPoint | PosixLink | Special | Other


# The buffer of FSCTL_GET_REPARSE_POINT and FSCTL_SET_REPARSE_POINT.

REPARSE_MAX = 16384  # MAXIMUM_REPARSE_DATA_BUFFER_SIZE, [MS-FSCC] 2.1.2.2
FLAG_RELATIVE = 0x00000001
NFS_LNK = 0x00000000014B4E4C
NFS_SPECIAL = {
    0x000000004F464946: stat.S_IFIFO,
    0x0000000000524843: stat.S_IFCHR,
    0x00000000004B4C42: stat.S_IFBLK,
    0x000000004B434F53: stat.S_IFSOCK,
}
LX_SPECIAL = {
    ReparseTag.AF_UNIX: stat.S_IFSOCK,
    ReparseTag.LX_FIFO: stat.S_IFIFO,
    ReparseTag.LX_CHR: stat.S_IFCHR,
    ReparseTag.LX_BLK: stat.S_IFBLK,
}
LX_SYMLINK_VERSION = 2
_NFS_TYPE = {mode: kind for kind, mode in NFS_SPECIAL.items()}
_DEVICES = (stat.S_IFCHR, stat.S_IFBLK)


class ReparseDataBuffer(Structure, at=0):
    """REPARSE_DATA_BUFFER, [MS-FSCC] 2.1.2.2."""

    reparse_tag: U32
    reparse_data_length: U16 = derived()
    _reserved: ClassVar = Pad(2)
    data_buffer: Blob = trailing("reparse_data_length")


class SymbolicLinkData(Structure, at=0):
    """The data of a SYMLINK, [MS-FSCC] 2.1.2.4; offsets count from ``path_buffer``."""

    substitute_name_offset: U16
    substitute_name_length: U16
    print_name_offset: U16
    print_name_length: U16
    flags: U32
    path_buffer: Blob = trailing()


class MountPointData(Structure, at=0):
    """The data of a MOUNT_POINT, [MS-FSCC] 2.1.2.5; each name is followed by a NUL."""

    substitute_name_offset: U16
    substitute_name_length: U16
    print_name_offset: U16
    print_name_length: U16
    path_buffer: Blob = trailing()


class NfsData(Structure, at=0):
    """The data of an NFS reparse point, [MS-FSCC] 2.1.2.6."""

    type: U64
    data_buffer: Blob = trailing(default=b"")


class NfsDevice(Structure, at=0):
    """The numbers of an NFS device, [MS-FSCC] 2.1.2.6."""

    major: U32
    minor: U32


class LxSymlinkData(Structure, at=0):
    """The data of an LX_SYMLINK, as WSL writes it."""

    version: U32 = LX_SYMLINK_VERSION
    target: Blob = trailing()


def parse_reparse(view: memoryview) -> Reparse:
    """Read one reparse buffer; WireError if its data is not what its tag says."""
    whole = ReparseDataBuffer.parse(view, 0)
    tag, data = whole.reparse_tag, memoryview(whole.data_buffer)
    if tag == ReparseTag.SYMLINK:
        link = SymbolicLinkData.parse(data, 0)
        return SymbolicLink(*_names(link), is_relative=bool(link.flags & FLAG_RELATIVE))
    if tag == ReparseTag.MOUNT_POINT:
        return MountPoint(*_names(MountPointData.parse(data, 0)))
    if tag == ReparseTag.NFS:
        return _nfs(NfsData.parse(data, 0))
    if tag == ReparseTag.LX_SYMLINK:
        lx = LxSymlinkData.parse(data, 0)
        if lx.version != LX_SYMLINK_VERSION or b"\0" in bytes(lx.target):
            raise WireError(f"WSL link of version {lx.version}")
        return PosixLink(tag, bytes(lx.target))
    if tag in LX_SPECIAL:
        return Special(tag, LX_SPECIAL[tag])
    return Other(tag, bytes(data))


def _names(link: SymbolicLinkData | MountPointData) -> tuple[str, str]:
    spans = (
        (link.substitute_name_offset, link.substitute_name_length),
        (link.print_name_offset, link.print_name_length),
    )
    found = [link.path_buffer[offset : offset + length] for offset, length in spans]
    if any(len(name) != length for name, (_, length) in zip(found, spans, strict=True)):
        raise WireError("a name of the link is outside its buffer")
    return _text(found[0]), _text(found[1])


def _text(data: Blob) -> str:
    name = text(data).rstrip("\0")  # some count the NUL as well
    if "\0" in name:
        raise WireError("a link with NUL in it")
    return name


def _nfs(data: NfsData) -> PosixLink | Special:
    if data.type == NFS_LNK:
        return PosixLink(ReparseTag.NFS, to_kernel(_text(data.data_buffer)))
    mode = NFS_SPECIAL.get(data.type)
    if mode is None:
        raise WireError(f"NFS reparse point of type {data.type:#x}")
    if mode not in _DEVICES:
        return Special(ReparseTag.NFS, mode)
    device = NfsDevice.parse(memoryview(data.data_buffer), 0)
    return Special(ReparseTag.NFS, mode, device.major, device.minor)


def pack_reparse(reparse: Reparse) -> bytes:
    """The reparse buffer that says this; OSError(ENAMETOOLONG) beyond 16 KiB."""
    tag, data = _tag_and_data(reparse)
    if ReparseDataBuffer.FIXED + len(data) > REPARSE_MAX:
        raise OSError(ENAMETOOLONG, "link target too long")
    return bytes(ReparseDataBuffer(reparse_tag=tag, data_buffer=data))


def _tag_and_data(reparse: Reparse) -> tuple[int, bytes]:
    match reparse:
        case SymbolicLink():
            return ReparseTag.SYMLINK, _link_data(reparse)
        case MountPoint():
            return ReparseTag.MOUNT_POINT, _mount_point_data(reparse)
        case PosixLink(ReparseTag.LX_SYMLINK as tag, target):
            return tag, bytes(LxSymlinkData(target=target))
        case PosixLink(tag, target):
            return tag, bytes(NfsData(type=NFS_LNK, data_buffer=utf16(from_kernel(target))))
        case Special(ReparseTag.NFS as tag, mode, major, minor):
            numbers = bytes(NfsDevice(major=major, minor=minor)) if mode in _DEVICES else b""
            return tag, bytes(NfsData(type=_NFS_TYPE[mode], data_buffer=numbers))
        case Special(tag):
            return tag, b""
    return reparse.tag, reparse.data


def _link_data(link: SymbolicLink) -> bytes:
    substitute, shown = _both(link)
    data = SymbolicLinkData(
        substitute_name_offset=0,
        substitute_name_length=len(substitute),
        print_name_offset=len(substitute),
        print_name_length=len(shown),
        flags=FLAG_RELATIVE if link.is_relative else 0,
        path_buffer=substitute + shown,
    )
    return bytes(data)


def _mount_point_data(point: MountPoint) -> bytes:
    substitute, shown = _both(point)
    data = MountPointData(
        substitute_name_offset=0,
        substitute_name_length=len(substitute),
        print_name_offset=len(substitute) + 2,
        print_name_length=len(shown),
        path_buffer=substitute + bytes(2) + shown + bytes(2),
    )
    return bytes(data)


def _both(link: SymbolicLink | MountPoint) -> tuple[bytes, bytes]:
    substitute, shown = utf16(link.substitute_name), utf16(link.print_name)
    if len(substitute) + len(shown) > REPARSE_MAX:  # the fields for it have 16 bits
        raise OSError(ENAMETOOLONG, "link target too long")
    return substitute, shown
