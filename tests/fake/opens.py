"""What the fake server does to files: CREATE and all that changes a tree.

Knows [MS-FSA]'s rules as far as a client can meet them, with Samba's answers where servers
differ; knows no bytes of messages.  Each function fails with `Fail` and has then changed nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from smbfs.wire.constants import Access, Attributes, CreateAction, Disposition, Options
from smbfs.wire.reparse import ReparseTag
from smbfs.wire.status import Status
from tests.fake.tree import (
    ALL_ACCESS,
    KEPT_ATTRIBUTES,
    SHARED,
    UNIT,
    Entry,
    Fail,
    Node,
    Open,
    Stopped,
    Volume,
)

WRITES = (
    Access.FILE_WRITE_DATA
    | Access.FILE_APPEND_DATA
    | Access.FILE_WRITE_EA
    | Access.FILE_WRITE_ATTRIBUTES
    | Access.FILE_DELETE_CHILD
    | Access.DELETE
    | Access.WRITE_DAC
    | Access.WRITE_OWNER
)
READS = ALL_ACCESS & ~WRITES
WRITES_DATA = Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA
DATA = (
    Access.FILE_READ_DATA | Access.FILE_EXECUTE | Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA
)
REPLACES = (Disposition.SUPERSEDE, Disposition.OVERWRITE, Disposition.OVERWRITE_IF)
MAKES = (
    Disposition.SUPERSEDE,
    Disposition.CREATE,
    Disposition.OPEN_IF,
    Disposition.OVERWRITE_IF,
)
GENERIC = {
    Access.GENERIC_READ: 0x00120089,
    Access.GENERIC_WRITE: 0x00120116,
    Access.GENERIC_EXECUTE: 0x001200A0,
    Access.GENERIC_ALL: ALL_ACCESS,
}
LAST = 2**64


@dataclass(frozen=True, slots=True)
class Wish:
    """What a CREATE asks for."""

    path: str
    access: int
    share: int
    disposition: int
    options: int
    attributes: int = 0


def rights(volume: Volume) -> int:
    """The most anybody may do on this share."""
    return READS if volume.read_only else ALL_ACCESS


def find_or_make(volume: Volume, wish: Wish) -> tuple[Entry, int, int]:
    """Do a CREATE as far as the tree is concerned: the entry, what was done, what was granted."""
    access = granted(volume, wish.access)
    if wish.options & Options.DELETE_ON_CLOSE and not access & Access.DELETE:
        raise Fail(Status.INVALID_PARAMETER)
    if wish.disposition > Disposition.OVERWRITE_IF:
        raise Fail(Status.INVALID_PARAMETER)
    if wish.path.startswith("\\"):
        raise Fail(Status.INVALID_PARAMETER)
    entry = volume.find(wish.path)
    if entry is None:
        if wish.disposition not in MAKES:
            raise Fail(Status.OBJECT_NAME_NOT_FOUND)
        return _make(volume, wish), CreateAction.CREATED, access
    _may_open(entry, wish, access)
    if wish.disposition not in REPLACES:
        return entry, CreateAction.OPENED, access
    if volume.read_only:
        raise Fail(Status.ACCESS_DENIED)
    _empty(volume, entry.node, wish)
    superseded = wish.disposition == Disposition.SUPERSEDE
    action = CreateAction.SUPERSEDED if superseded else CreateAction.OVERWRITTEN
    return entry, action, access


def granted(volume: Volume, wanted: int) -> int:
    """The access mask that was asked for, spelled out.  Fails if it is more than there is."""
    most = rights(volume)
    access = wanted & ALL_ACCESS
    for generic, meant in GENERIC.items():
        access |= meant if wanted & generic else 0
    if wanted & Access.MAXIMUM_ALLOWED:
        access |= most
    if access & ~most or not access:
        raise Fail(Status.ACCESS_DENIED)
    return access


def _make(volume: Volume, wish: Wish) -> Entry:
    if volume.read_only:
        raise Fail(Status.ACCESS_DENIED)
    parent, name = volume.place(wish.path)
    if any(entry.delete_pending for entry in parent.entries):
        raise Fail(Status.DELETE_PENDING)
    is_directory = bool(wish.options & Options.DIRECTORY_FILE)
    entry = volume.add(parent, name, is_directory=is_directory)
    entry.node.attributes |= wish.attributes & KEPT_ATTRIBUTES
    return entry


def _may_open(entry: Entry, wish: Wish, access: int) -> None:
    node = entry.node
    if entry.delete_pending:
        raise Fail(Status.DELETE_PENDING)
    if wish.disposition == Disposition.CREATE:
        raise Fail(Status.OBJECT_NAME_COLLISION)
    if node.reparse and not wish.options & Options.OPEN_REPARSE_POINT:
        if node.reparse_tag == ReparseTag.SYMLINK:
            raise Stopped(node, "")
        raise Fail(Status.IO_REPARSE_TAG_NOT_HANDLED)
    if wish.options & Options.DIRECTORY_FILE and not node.is_directory:
        raise Fail(Status.NOT_A_DIRECTORY)
    if wish.options & Options.NON_DIRECTORY_FILE and node.is_directory:
        raise Fail(Status.FILE_IS_A_DIRECTORY)
    if wish.disposition in REPLACES and node.is_directory:
        raise Fail(Status.INVALID_PARAMETER)
    if node.attributes & Attributes.READONLY and not node.is_directory:
        if wish.access & (WRITES_DATA | Access.GENERIC_WRITE | Access.GENERIC_ALL):
            raise Fail(Status.ACCESS_DENIED)
        if wish.disposition in REPLACES:
            raise Fail(Status.ACCESS_DENIED)
        if wish.options & Options.DELETE_ON_CLOSE:
            raise Fail(Status.CANNOT_DELETE)
    hides = node.attributes & (Attributes.HIDDEN | Attributes.SYSTEM)
    if wish.disposition in REPLACES and hides & ~wish.attributes:
        raise Fail(Status.ACCESS_DENIED)  # [MS-FSA] 2.1.5.1.2.1
    _shares(node, access, wish.share)


def _shares(node: Node, access: int, share: int) -> None:
    """Fail if somebody does not want this access, or we do not want somebody's."""
    if not access & (DATA | Access.DELETE):
        return
    for other in node.opens:
        if not other.access & (DATA | Access.DELETE):
            continue
        for mode, kinds in SHARED.items():
            if (access & kinds and not other.share & mode) or (
                other.access & kinds and not share & mode
            ):
                raise Fail(Status.SHARING_VIOLATION)


def _empty(volume: Volume, node: Node, wish: Wish) -> None:
    node.reach(0)
    node.eas.clear()
    node.attributes = Attributes.ARCHIVE | wish.attributes & KEPT_ATTRIBUTES
    volume.touch(node)


# What is done to an open


def read(open_: Open, offset: int, length: int) -> bytes:
    """Bytes of a file; fails at its end."""
    node = open_.node
    if node.is_directory:
        raise Fail(Status.INVALID_DEVICE_REQUEST)
    open_.need(Access.FILE_READ_DATA)
    not_locked(open_, offset, offset + length, for_writing=False)
    if length and offset >= node.size:
        raise Fail(Status.END_OF_FILE)
    return bytes(node.data[offset : offset + length])


def write(open_: Open, offset: int, data: bytes) -> int:
    """Put bytes into a file; how many were taken."""
    node, volume = open_.node, open_.volume
    if node.is_directory:
        raise Fail(Status.INVALID_DEVICE_REQUEST)
    open_.need_any(Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA)
    if offset == LAST - 1:
        offset = node.size
    not_locked(open_, offset, offset + len(data), for_writing=True)
    resize(volume, node, max(node.size, offset + len(data) if data else 0))
    node.data[offset : offset + len(data)] = data
    node.fill(offset, offset + len(data))
    volume.touch(node, frozen=open_.frozen)
    return len(data)


def resize(volume: Volume, node: Node, size: int) -> None:
    """Cut a file or fill it up with zeros."""
    if size - node.size > volume.room:
        raise Fail(Status.DISK_FULL)
    volume.room -= size - node.size
    if size < node.size:
        node.allocated = 0
    node.reach(size)


def not_locked(open_: Open, start: int, end: int, *, for_writing: bool) -> None:
    """Fail if another open has locked some of a range ([MS-FSA] 2.1.4.10)."""
    for lock in open_.node.locks:
        is_ours = lock.owner is open_ and not (lock.is_shared and for_writing)
        is_harmless = lock.is_shared and not for_writing
        if not is_ours and not is_harmless and lock.offset < end and start < lock.end:
            raise Fail(Status.FILE_LOCK_CONFLICT)


def allocate(open_: Open, size: int) -> None:
    """Reserve room, or cut the file to it ([MS-FSA] 2.1.5.14.1)."""
    node = open_.node
    if size - node.allocation > open_.volume.room:
        raise Fail(Status.DISK_FULL)
    if size < node.size:
        resize(open_.volume, node, size)
    node.allocated = -(-size // UNIT) * UNIT


def set_times(open_: Open, times: dict[str, int], attributes: int) -> None:
    """Set times and attributes; 0 leaves one alone, -1 stops and -2 starts the clock again."""
    open_.need(Access.FILE_WRITE_ATTRIBUTES)
    node = open_.node
    for name, value in times.items():
        if value == LAST - 1:
            open_.frozen.add(name)
        elif value == LAST - 2:
            open_.frozen.discard(name)
        elif value:
            setattr(node, name, value)
    if attributes:
        if attributes & Attributes.DIRECTORY and not node.is_directory:
            raise Fail(Status.INVALID_PARAMETER)
        node.attributes = attributes & KEPT_ATTRIBUTES | node.attributes & Attributes.COMPRESSED
    if "change_time" not in open_.frozen and not times["change_time"]:
        node.change_time = open_.volume.now()


def dispose(open_: Open, delete: bool) -> None:
    """Mark a name for deletion when its last open ends, or not."""
    open_.need(Access.DELETE)
    node = open_.node
    if delete and node.attributes & Attributes.READONLY:
        raise Fail(Status.CANNOT_DELETE)
    if delete and node.children:
        raise Fail(Status.DIRECTORY_NOT_EMPTY)
    open_.entry.delete_pending = delete


def rename(open_: Open, path: str, *, replace: bool) -> None:
    """Give what is open another name ([MS-FSA] 2.1.5.14.11), as Samba does it."""
    open_.need(Access.DELETE)
    volume, entry = open_.volume, open_.entry
    parent, name = volume.place(path)
    there = volume.child(parent, name)
    if entry.parent is None:
        raise Fail(Status.ACCESS_DENIED)
    if there is not None and there is not entry:
        _may_replace(open_.node, there.node, replace=replace)
    if open_.node.is_directory:
        if volume.is_below(parent, open_.node):
            raise Fail(Status.SHARING_VIOLATION)
        if volume.strict_rename and _has_opens_below(open_.node):
            raise Fail(Status.ACCESS_DENIED)
    if there is not None and there is not entry:
        volume.detach(there)
    volume.rename(entry, parent, name)


def _may_replace(node: Node, there: Node, *, replace: bool) -> None:
    """Fail unless one node may take another's name; Windows replaces no directories at all."""
    if not replace or node.is_directory != there.is_directory:
        raise Fail(Status.OBJECT_NAME_COLLISION)
    if there.opens:
        raise Fail(Status.ACCESS_DENIED)
    if there.children:
        raise Fail(Status.DIRECTORY_NOT_EMPTY)


def _has_opens_below(node: Node) -> bool:
    return any(child.node.opens or _has_opens_below(child.node) for child in node.children.values())


def link(open_: Open, path: str, *, replace: bool) -> None:
    """Give what is open one name more."""
    volume = open_.volume
    if volume.read_only:
        raise Fail(Status.ACCESS_DENIED)
    if open_.node.is_directory:
        raise Fail(Status.FILE_IS_A_DIRECTORY)
    parent, name = volume.place(path)
    there = volume.child(parent, name)
    if there is not None:
        if not replace:
            raise Fail(Status.OBJECT_NAME_COLLISION)
        if there.node.opens:
            raise Fail(Status.ACCESS_DENIED)
        if there.node.attributes & Attributes.READONLY:
            raise Fail(Status.CANNOT_DELETE)
        volume.detach(there)
    volume.attach(parent, name, open_.node)
    open_.node.change_time = volume.now()
