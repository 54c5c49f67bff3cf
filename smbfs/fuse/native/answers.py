"""The filesystem's values as bytes for the kernel: attributes, entries, opens, listings.

Pure.  Knows the layouts of `replies` and the values of `smbfs.fuse.server`.  What is answered by
the thousand (attributes, entries, listings) is packed straight into compiled layouts, a quarter
faster than by way of tuples of fields.

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

NS = 1_000_000_000
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


def _layout(*structures: type[Structure]) -> struct.Struct:
    """Several structures that go out one behind the other, as one."""
    return struct.Struct("=" + "".join(one.LAYOUT for one in structures))


ATTR, ATTR_HEAD = _layout(Attr), _layout(AttrOut)
ENTRY_HEAD, DIRENT = _layout(EntryOut), _layout(Dirent)
STATX = _layout(StatxOut, Statx, SxTime, SxTime, SxTime, SxTime, StatxTail)
NO_ATTRIBUTES = bytes(ATTR.size)
NOT_LASTING = 0, 0
PADDING = [bytes(-length % 8) for length in range(8)]  # behind a name, by the end of its length


def _lasts(seconds: float) -> tuple[int, int]:
    """How long something may be believed, as seconds and nanoseconds."""
    if not seconds:
        return NOT_LASTING
    if seconds >= FOR_EVER_S:
        return FOR_EVER_S, 0
    whole = int(seconds)
    return whole, int((seconds - whole) * 1e9)


def _attr(of: Attributes) -> bytes:
    """An `Attr`."""
    atime, atime_ns = divmod(of.atime_ns, NS)
    mtime, mtime_ns = divmod(of.mtime_ns, NS)
    ctime, ctime_ns = divmod(of.ctime_ns, NS)
    return ATTR.pack(
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
    valid, valid_ns = _lasts(of.believe_s)
    return Answer((ATTR_HEAD.pack(valid, valid_ns), _attr(of)))


def entry(found: Entry) -> Parts:
    """Answer LOOKUP and what makes a name; node 0 is a name that is known to be absent."""
    valid, valid_ns = _lasts(found.believe_s)
    of = found.attributes
    if of is None:
        return ENTRY_HEAD.pack(0, 0, valid, 0, valid_ns, 0), NO_ATTRIBUTES
    attr_valid, attr_valid_ns = _lasts(of.believe_s)
    head = ENTRY_HEAD.pack(of.node, of.generation, valid, attr_valid, valid_ns, attr_valid_ns)
    return head, _attr(of)


def opened(opening: Opened) -> Parts:
    """Answer OPEN and OPENDIR."""
    flags = OpenFlag.KEEP_CACHE if opening.keep_cache else 0
    if opening.direct_io:
        # Or the kernel would let no two writes of one file go side by side.
        flags |= OpenFlag.DIRECT_IO | OpenFlag.PARALLEL_DIRECT_WRITES
    return (bytes(OpenOut(fh=opening.fh, open_flags=flags)),)


def created(opening: Opened, found: Entry) -> Parts:
    """Answer CREATE and TMPFILE."""
    return *entry(found), *opened(opening)


def statx(of: Attributes) -> Answer:
    """Answer STATX: what GETATTR answers, when the file was made, and its flags."""
    times: list[int] = []
    for time_ns in (of.atime_ns, of.birth_ns, of.ctime_ns, of.mtime_ns):
        times += divmod(time_ns, NS)
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
        of, name = item.attributes, item.name
        length = len(name)
        packed = DIRENT.pack(of.node, item.next_id, length, of.mode >> 12) + name
        packed += PADDING[length & 7]
        if is_plus:
            is_told = count_lookups and not item.is_name_only
            packed = _listed(of, of.node if is_told else NAME_ONLY) + packed
        size -= len(packed)
        if size < 0:
            return parts, nodes, False
        parts.append(packed)
        if is_plus and is_told:
            nodes.append(of.node)
    return parts, nodes, True


def _listed(of: Attributes, told: int) -> bytes:
    """An `EntryOut` and its `Attr`; a listing knows one duration for both."""
    valid, valid_ns = _lasts(of.believe_s)
    return ENTRY_HEAD.pack(told, of.generation, valid, valid, valid_ns, valid_ns) + _attr(of)
