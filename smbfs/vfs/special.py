"""What kind of file hides behind a reparse point or in a file of a certain size.  Pure.

A listing or a stat shows such a file as a plain one with a mark: the reparse attribute, or 1067
bytes, the size of every Minshall+French link.  What it is stands in its content, which has to be
fetched; the result is a `Special`, or None for a file that is just what it looks like.

Easily broken: content was written by another client, so nonsense in it means "an ordinary file"
and never an error.  A junction is followed by the server, so to us it is a directory.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from smbfs.engine.information import Information
from smbfs.wire.codec import Blob, WireError
from smbfs.wire.reparse import MountPoint, Other, ReparseTag, parse_reparse
from smbfs.wire.reparse import Special as Device
from smbfs.wire.symlink import MFSYMLINK_SIZE, parse_mfsymlink, posix_target
from smbfs.wire.units import NameMap

MOST_MAJOR, MOST_MINOR = (1 << 12) - 1, (1 << 20) - 1
TELLING = frozenset(  # the reparse tags that make a file something else than it seems
    {
        ReparseTag.SYMLINK,
        ReparseTag.NFS,
        ReparseTag.LX_SYMLINK,
        ReparseTag.AF_UNIX,
        ReparseTag.LX_FIFO,
        ReparseTag.LX_CHR,
        ReparseTag.LX_BLK,
    }
)


@dataclass(frozen=True, slots=True)
class Special:
    """A symbolic link, fifo, socket or device."""

    kind: int  # S_IFMT bits
    target: bytes | None = None  # of a link
    rdev: int = 0


def may_be_link_file(information: Information) -> bool:
    """Whether the bytes of the file have to be read to know that it is no link."""
    return information.end_of_file == MFSYMLINK_SIZE and not (
        information.is_directory or information.is_reparse
    )


def has_telling_tag(information: Information) -> bool:
    """Whether the reparse buffer has to be read; an unknown tag (0) may be anything."""
    return information.is_reparse and information.reparse_tag in TELLING | {0}


def is_plain(information: Information) -> bool:
    """Whether the file is what it looks like, without another question."""
    return not (may_be_link_file(information) or has_telling_tag(information))


def from_reparse(buffer: Blob, names: NameMap, root: bytes | None = None) -> Special | None:
    """What a reparse buffer says of its file."""
    try:
        reparse = parse_reparse(memoryview(buffer))
    except WireError:
        return None
    match reparse:
        case MountPoint() | Other():
            return None
        case Device(_, mode, major, minor):
            if major > MOST_MAJOR or minor > MOST_MINOR:  # no number that Linux could show
                return Special(mode)
            return Special(mode, rdev=os.makedev(major, minor))
    target = posix_target(reparse, names, root)
    return Special(stat.S_IFLNK, target) if target else None


def from_link_file(data: Blob) -> Special | None:
    """What the bytes of a file of the suspicious size say."""
    target = parse_mfsymlink(data)
    return Special(stat.S_IFLNK, target) if target else None
