"""What a symbolic link says, as a POSIX path; and Minshall+French links, which are ordinary files.

Pure conversions between the values of `smbfs.wire.reparse` and the bytes of readlink(2).  An
absolute Windows target has no place in our tree: with a ``root`` (symlinkroot=) the drive C: is
root/c, without one the link reads as ``/??/C:/...``, which leads nowhere but loses nothing.

Rule easily broken: a target may say anything; it is text for the kernel to follow, never a path
for us.  Whether it may leave the mount is decided above.
"""

from __future__ import annotations

import hashlib
import re
from errno import EINVAL, ENAMETOOLONG, EOPNOTSUPP

from smbfs.wire.codec import Blob
from smbfs.wire.reparse import MountPoint, PosixLink, Reparse, SymbolicLink
from smbfs.wire.units import NameMap, from_wire, to_wire

NT_PREFIX, WIN32_PREFIX = "\\??\\", "\\\\?\\"
_SEPARATOR = re.compile(r"[\\/]")
_DRIVE = re.compile(r"(?:\\\?\?\\|\\\\\?\\)?([A-Za-z]):(?=[\\/]|\Z)")
_NT_PATH = re.compile(rb"/\?\?/([A-Za-z]:|UNC|Volume\{[0-9A-Fa-f-]+\})(/.*|)", re.S)


def posix_target(reparse: Reparse, names: NameMap, root: bytes | None = None) -> bytes | None:
    """What readlink(2) answers; None if it is no link.

    ``root`` is the local directory below which drives are mounted, as in symlinkroot=.
    """
    match reparse:
        case PosixLink(_, target):
            return target
        case SymbolicLink(substitute, shown, is_relative):
            if is_relative:
                return _posix(substitute or shown, names)
            return _absolute(substitute or shown, names, root)
        case MountPoint(substitute, shown):
            return _absolute(substitute or shown, names, root)
    return None


def _absolute(target: str, names: NameMap, root: bytes | None) -> bytes:
    drive = _DRIVE.match(target)
    if drive is not None:
        rest = _posix(target[drive.end() :], names)
        if root is None:
            return b"/??/" + drive[1].encode() + b":" + rest
        return root.rstrip(b"/") + b"/" + drive[1].lower().encode() + rest
    if target.startswith((NT_PREFIX, WIN32_PREFIX)):
        return b"/??/" + _posix(target[len(NT_PREFIX) :], names)
    if target.startswith("\\\\"):
        return b"/??/UNC/" + _posix(target[2:], names)
    return _posix(target, names)  # of a server that is no Windows: /etc/passwd, \etc\passwd


def _posix(target: str, names: NameMap) -> bytes:
    return b"/".join(from_wire(component, names) for component in _SEPARATOR.split(target))


def native_link(target: bytes, names: NameMap, root: bytes | None = None) -> SymbolicLink:
    """The Windows link that reads as ``target``: the reverse of `posix_target`.

    Raises OSError: EOPNOTSUPP for an absolute target that is neither below ``root`` nor of the
    form ``/??/...`` (another kind of link has to carry it), and what `to_wire` raises for one of
    its components.
    """
    if not target:
        raise OSError(EINVAL, "a link to nothing")
    if not target.startswith(b"/"):
        name = _windows(target, names)
        return SymbolicLink(name, name, is_relative=True)
    below = root and re.fullmatch(re.escape(root.rstrip(b"/")) + rb"/([a-z])(/.*|)", target, re.S)
    if below:
        return _nt(below[1].decode().upper() + ":", _windows(below[2] or b"/", names))
    if found := _NT_PATH.fullmatch(target):
        return _nt(found[1].decode(), _windows(found[2], names))
    raise OSError(EOPNOTSUPP, "a Windows link cannot say where this is", target)


def _nt(device: str, rest: str) -> SymbolicLink:
    shown = "\\" + rest if device == "UNC" else device + rest
    return SymbolicLink(NT_PREFIX + device + rest, shown, is_relative=False)


def _windows(path: bytes, names: NameMap) -> str:
    return "\\".join(
        part.decode() if part in (b"", b".", b"..") else to_wire(part, names)
        for part in path.split(b"/")
    )


# Minshall+French links, as cifs.ko, macOS and Samba's clients know them: a file of exactly 1067
# bytes, "XSym", the length, its MD5 and the target, filled up with spaces.

MFSYMLINK_SIZE = 1067
MFSYMLINK_TARGET_MAX = 1024
_MFSYMLINK = re.compile(rb"XSym\n(\d{4})\n([0-9a-f]{32})\n", re.ASCII)


def pack_mfsymlink(target: bytes) -> bytes:
    """The whole file that stands for a link to ``target``.

    Raises OSError: ENAMETOOLONG above 1024 bytes, EINVAL for nothing or a NUL.
    """
    if len(target) > MFSYMLINK_TARGET_MAX:
        raise OSError(ENAMETOOLONG, "link target longer than 1024 bytes", target)
    if not target or b"\0" in target:
        raise OSError(EINVAL, "no link target", target)
    head = b"XSym\n%04u\n%s\n" % (len(target), _md5(target))
    end = b"\n" if len(target) < MFSYMLINK_TARGET_MAX else b""
    return (head + target + end).ljust(MFSYMLINK_SIZE)


def parse_mfsymlink(data: Blob) -> bytes | None:
    """The target, if the file is a link; None if it only has the size of one."""
    if len(data) != MFSYMLINK_SIZE:
        return None
    head = _MFSYMLINK.match(data)
    if head is None or not 0 < int(head[1]) <= MFSYMLINK_TARGET_MAX:
        return None
    target = bytes(data[head.end() : head.end() + int(head[1])])
    return target if b"\0" not in target and _md5(target) == head[2] else None


def _md5(target: bytes) -> bytes:
    return hashlib.md5(target, usedforsecurity=False).hexdigest().encode()
