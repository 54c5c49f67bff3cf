"""The filesystem's values as bytes for the kernel: attributes, entries, opens, listings.

Pure.  Knows the layouts of `replies` and the values of `smbfs.fuse.server`; a listing of thousands
is packed with one compiled call an entry, so structures that go out together are one layout here.

Easily broken: the order of the arguments is the order of the declarations; and of a listing only
what was packed is counted as looked up.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from smbfs.fuse.native.replies import (
    Attr,
    AttrOut,
    Dirent,
    EntryOut,
    LkOut,
    OpenOut,
    StatfsOut,
    Statx,
    StatxOut,
    StatxTail,
    SxTime,
)
from smbfs.fuse.native.uapi import STATX_BASIC_AND_BIRTH, OpenFlag
from smbfs.fuse.server import (
    LOCK_END,
    Attributes,
    DirectoryItem,
    Entry,
    Lock,
    LockType,
    Node,
    Opened,
    Space,
)
from smbfs.wire.codec import Blob, Structure

Parts = Sequence[Blob]

FOR_EVER_S = 1 << 40  # more than the kernel counts; it takes infinity for that
OFFSET_MAX = LOCK_END - 1
NAME_ONLY = 0  # a node number of 0: no inode comes with the name, and no lookup is counted
SHOWN_FLAGS = 0x874  # the STATX_ATTR_* that we know the value of: c, i, d, e of lsattr(1)


@dataclass(slots=True)
class Answer:
    """A reply's parts, and how to take it back if the kernel does not come to know of it."""

    parts: Parts = ()
    undo: Callable[[], None] | None = None


DONE = Answer()


def _joined(*structures: type[Structure]) -> struct.Struct:
    """Several structures that go out one behind the other, as one."""
    return struct.Struct("=" + "".join(one.LAYOUT for one in structures))


ATTRIBUTES = _joined(AttrOut, Attr)
ENTRY = _joined(EntryOut, Attr)
CREATED = _joined(EntryOut, Attr, OpenOut)
LISTED_WITH_ATTRIBUTES = _joined(EntryOut, Attr, Dirent)
LISTED = _joined(Dirent)
STATX = _joined(StatxOut, Statx, SxTime, SxTime, SxTime, SxTime, StatxTail)
NO_ATTRIBUTES = (0,) * 16


def _lasts(seconds: float) -> tuple[int, int]:
    """How long something may be believed, as seconds and nanoseconds."""
    if seconds >= FOR_EVER_S:
        return FOR_EVER_S, 0
    whole = int(seconds)
    return whole, int((seconds - whole) * 1e9)


def _attr(of: Attributes) -> tuple[int, ...]:
    """The fields of `Attr`."""
    atime, atime_ns = divmod(of.atime_ns, 1_000_000_000)
    mtime, mtime_ns = divmod(of.mtime_ns, 1_000_000_000)
    ctime, ctime_ns = divmod(of.ctime_ns, 1_000_000_000)
    return (
        of.node,
        of.size,
        of.blocks,
        atime,
        mtime,
        ctime,
        atime_ns,
        mtime_ns,
        ctime_ns,
        of.mode,
        of.links,
        of.uid,
        of.gid,
        of.rdev,
        of.block_size,
        0,
    )


def attributes(of: Attributes) -> Answer:
    """Answer GETATTR and SETATTR."""
    return Answer((ATTRIBUTES.pack(*_lasts(of.believe_s), *_attr(of)),))


def _entry(entry: Entry) -> tuple[int, ...]:
    """The fields of `EntryOut` and `Attr`; node 0 is a name that is known to be absent."""
    valid, valid_ns = _lasts(entry.believe_s)
    of = entry.attributes
    if of is None:
        return (0, 0, valid, 0, valid_ns, 0, *NO_ATTRIBUTES)
    attr_valid, attr_valid_ns = _lasts(of.believe_s)
    return (of.node, of.generation, valid, attr_valid, valid_ns, attr_valid_ns, *_attr(of))


def entry(found: Entry) -> Parts:
    """Answer LOOKUP and what makes a name."""
    return (ENTRY.pack(*_entry(found)),)


def _open(opened: Opened) -> tuple[int, int, int]:
    """The fields of `OpenOut`."""
    flags = OpenFlag.KEEP_CACHE if opened.keep_cache else 0
    if opened.direct_io:
        # Or the kernel would let no two writes of one file go side by side.
        flags |= OpenFlag.DIRECT_IO | OpenFlag.PARALLEL_DIRECT_WRITES
    return opened.fh, flags, 0


def opened(opening: Opened) -> Parts:
    """Answer OPEN and OPENDIR."""
    fh, flags, backing = _open(opening)
    return (bytes(OpenOut(fh=fh, open_flags=flags, backing_id=backing)),)


def created(opening: Opened, found: Entry) -> Parts:
    """Answer CREATE and TMPFILE."""
    return (CREATED.pack(*_entry(found), *_open(opening)),)


def statx(of: Attributes) -> Answer:
    """Answer STATX: what GETATTR answers, when the file was made, and its flags."""
    times: list[int] = []
    for time_ns in (of.atime_ns, of.birth_ns, of.ctime_ns, of.mtime_ns):
        times += divmod(time_ns, 1_000_000_000)
    whole = STATX.pack(
        *_lasts(of.believe_s),
        0,
        STATX_BASIC_AND_BIRTH,
        of.block_size,
        of.flags,
        of.links,
        of.uid,
        of.gid,
        of.mode,
        of.node,
        of.size,
        of.blocks,
        SHOWN_FLAGS,
        *times,
        of.rdev >> 8 & 0xFFF,
        of.rdev & 0xFF | of.rdev >> 12 & ~0xFF,
        0,
        0,
    )
    return Answer((whole,))


def statfs(space: Space) -> Answer:
    """Answer STATFS."""
    told = StatfsOut(
        blocks=space.blocks,
        bfree=space.blocks_free,
        bavail=space.blocks_available,
        files=space.files,
        ffree=space.files_free,
        bsize=space.block_size,
        namelen=space.name_max,
        frsize=space.fragment_size,
    )
    return Answer((bytes(told),))


def lock(found: Lock | None) -> Answer:
    """Answer GETLK: who is in the way, or that nobody is."""
    if found is None:
        return Answer((bytes(LkOut(start=0, end=0, type=LockType.UNLOCK, pid=0)),))
    told = LkOut(
        start=found.start,
        end=min(found.end, LOCK_END) - 1,
        type=found.type,
        pid=found.pid,
    )
    return Answer((bytes(told),))


def listing(
    items: Iterable[DirectoryItem], size: int, *, is_plus: bool, count_lookups: bool = True
) -> tuple[list[bytes], list[Node], bool]:
    """Pack entries into ``size`` bytes: the parts, the nodes that were told, and if all fitted."""
    parts: list[bytes] = []
    nodes: list[Node] = []
    for item in items:
        packed = _listed_plus(item, count_lookups) if is_plus else _listed(item)
        size -= len(packed)
        if size < 0:
            return parts, nodes, False
        parts.append(packed)
        if is_plus and count_lookups:
            nodes.append(item.attributes.node)
    return parts, nodes, True


def _listed(item: DirectoryItem) -> bytes:
    of, name = item.attributes, item.name
    head = LISTED.pack(of.node, item.next_id, len(name), of.mode >> 12 & 15)
    return head + name + bytes(-len(name) % 8)


def _listed_plus(item: DirectoryItem, counts: bool) -> bytes:
    of, name = item.attributes, item.name
    valid, valid_ns = _lasts(of.believe_s)
    head = LISTED_WITH_ATTRIBUTES.pack(
        of.node if counts else NAME_ONLY,
        of.generation,
        valid,
        valid,
        valid_ns,
        valid_ns,
        *_attr(of),
        of.node,
        item.next_id,
        len(name),
        of.mode >> 12 & 15,
    )
    return head + name + bytes(-len(name) % 8)
