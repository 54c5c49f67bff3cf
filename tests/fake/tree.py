"""The share of the fake server: files and directories in memory, and who has them open.

Knows names, times and what may be done to a tree; knows no messages.  The methods with "/" in
their paths are for the tests: other people's changes, behind the client's back.

Rule easily broken: a name (`Entry`) and what it names (`Node`) are two things, since hard links,
renames and deletions that wait for the last close are about the one and not the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from smbfs.wire.constants import Access, Attributes, Options, Share, ShareType
from smbfs.wire.reparse import ReparseTag
from smbfs.wire.status import Status

EPOCH = 134_120_448_000_000_000  # 2026-01-05 as FILETIME: the day the fake world begins
STEP = 10_000  # and each time somebody looks at the clock a millisecond has passed
ALL_ACCESS = 0x001F01FF
UNIT = 4096  # bytes in one allocation unit
FORBIDDEN = set('"*:<>?|/') | {chr(code) for code in range(32)}
# Kinds of access that a share mode is about ([MS-FSA] 2.1.4.12).
SHARED = {
    Share.READ: Access.FILE_READ_DATA | Access.FILE_EXECUTE,
    Share.WRITE: Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA,
    Share.DELETE: Access.DELETE,
}
KEPT_ATTRIBUTES = (  # what SET_INFO may change; the rest is what the file is
    Attributes.READONLY | Attributes.HIDDEN | Attributes.SYSTEM | Attributes.ARCHIVE
)


class Fail(Exception):
    """A request cannot be done: the status to answer, and the error data that goes with it."""

    def __init__(self, status: Status, data: bytes = b"") -> None:
        super().__init__(status.name)
        self.status = status
        self.data = data


@dataclass(eq=False, slots=True)
class Lock:
    """A byte range that one open has locked."""

    owner: Open
    offset: int
    end: int
    is_shared: bool


@dataclass(eq=False, slots=True)
class Node:
    """A file or a directory, whatever its names."""

    file_id: int
    is_directory: bool
    attributes: int
    creation_time: int = 0
    last_access_time: int = 0
    last_write_time: int = 0
    change_time: int = 0
    data: bytearray = field(default_factory=bytearray)
    allocated: int = 0  # bytes asked for by FileAllocationInformation
    holes: set[int] = field(default_factory=set)  # units of a sparse file that take no room
    children: dict[str, Entry] = field(default_factory=dict)
    eas: dict[bytes, bytes] = field(default_factory=dict)
    reparse: bytes = b""
    entries: list[Entry] = field(default_factory=list)
    opens: list[Open] = field(default_factory=list)
    locks: list[Lock] = field(default_factory=list)

    @property
    def reparse_tag(self) -> int:
        """What it stands for, 0 if for itself."""
        return int.from_bytes(self.reparse[:4], "little")

    @property
    def shown_attributes(self) -> int:
        """The attributes as a server tells them: never none at all."""
        shown = self.attributes
        shown |= Attributes.DIRECTORY if self.is_directory else 0
        shown |= Attributes.REPARSE_POINT if self.reparse else 0
        return shown or Attributes.NORMAL

    @property
    def size(self) -> int:
        """End of file."""
        return len(self.data)

    @property
    def allocation(self) -> int:
        """Bytes it takes on the disk that is not there."""
        return max((-(-len(self.data) // UNIT) - len(self.holes)) * UNIT, self.allocated)

    def reach(self, size: int) -> None:
        """Have just so many bytes; whole new units of a sparse file are holes."""
        old, new = -(-self.size // UNIT), -(-size // UNIT)
        if size < self.size:
            del self.data[size:]
            self.holes = {unit for unit in self.holes if unit < new}
        else:
            self.data.extend(bytes(size - self.size))
            if self.attributes & Attributes.SPARSE_FILE:
                self.holes.update(range(old, new))

    def fill(self, start: int, end: int) -> None:
        """Take room for a range."""
        if self.holes:
            self.holes.difference_update(range(start // UNIT, -(-end // UNIT)))


@dataclass(eq=False, slots=True)
class Entry:
    """One name of one node."""

    parent: Node | None  # None: the root, or a name that is gone
    name: str
    node: Node
    delete_pending: bool = False


@dataclass(eq=False, slots=True)
class Open:
    """What a CREATE made and a CLOSE ends."""

    file_id: bytes
    volume: Volume
    entry: Entry
    access: int
    share: int
    options: int
    session_id: int
    tree_id: int
    oplock: int = 0
    lease_key: bytes = b""
    guid: bytes | None = None  # kept if the connection is lost, for who comes with this
    scan: Iterator[tuple[str, Node]] | None = None
    pushed_back: list[tuple[str, Node]] = field(default_factory=list)
    frozen: set[str] = field(default_factory=set)  # times this open does not move any more

    @property
    def node(self) -> Node:
        """What is open."""
        return self.entry.node

    def need(self, access: int) -> None:
        """Fail unless the open has all of these rights."""
        if self.access & access != access:
            raise Fail(Status.ACCESS_DENIED)

    def need_any(self, access: int) -> None:
        """Fail unless the open has one of these rights."""
        if not self.access & access:
            raise Fail(Status.ACCESS_DENIED)

    def close(self) -> None:
        """End it; the last one takes a name with it that was to be deleted."""
        node = self.node
        if self.options & Options.DELETE_ON_CLOSE and not node.children:
            self.entry.delete_pending = True
        node.opens.remove(self)
        node.locks = [lock for lock in node.locks if lock.owner is not self]
        if self.entry.delete_pending and not any(o.entry is self.entry for o in node.opens):
            self.volume.detach(self.entry)


@dataclass
class Abilities:
    """What a share can do with blocks."""

    chunks: int = 256
    chunk_size: int = 1 << 20
    copy_size: int = 16 << 20
    clones: bool = False  # DUPLICATE_EXTENTS
    takes_none: bool = False  # a copy succeeds and copies nothing
    compresses: bool = False
    tells_some: bool = False  # of the ranges if all are too many; Samba tells none
    ranges: int = 1 << 32  # told in one answer at most, however long that may be
    refused: dict[int, Status] = field(default_factory=dict)  # by control code


class Volume:
    """One share.  What it can do is said when it is made, as a server's configuration does."""

    def __init__(
        self,
        name: str = "share",
        *,
        case_sensitive: bool = False,
        reparse: bool = True,
        eas: bool = True,
        read_only: bool = False,
        encrypt: bool = False,
        share_type: int = ShareType.DISK,
        flags: int = 0,
        room: int = 1 << 30,  # bytes
        strict_rename: bool = True,  # no directory is renamed while files below are open
        keeps: bool = True,  # durable opens outlive their connection
    ) -> None:
        self.name = name
        self.case_sensitive = case_sensitive
        self.reparse = reparse
        self.eas = eas
        self.read_only = read_only
        self.encrypt = encrypt
        self.share_type = share_type
        self.flags = flags
        self.room = room
        self.within: list[tuple[str, bytes]] = []  # what was opened, and the key of its directory
        self.strict_rename = strict_rename
        self.keeps = keeps
        self.abilities = Abilities()
        self.serial = 0x5EED_F00D
        self._ids = itertools.count(0x10_0000)
        self._ticks = itertools.count(EPOCH, STEP)
        self.root = Entry(None, "", self._node(True))
        self.root.node.entries.append(self.root)

    # Names and nodes

    def now(self) -> int:
        """The time as FILETIME; it passes by being asked."""
        return next(self._ticks)

    def key(self, name: str) -> str:
        """What decides whether two names are the same."""
        return name if self.case_sensitive else name.casefold()

    def _node(self, is_directory: bool) -> Node:
        now = self.now()
        attributes = 0 if is_directory else Attributes.ARCHIVE
        return Node(next(self._ids), is_directory, attributes, now, now, now, now)

    def child(self, parent: Node, name: str) -> Entry | None:
        """The entry of that name, if there is one."""
        return parent.children.get(self.key(name))

    def add(self, parent: Node, name: str, *, is_directory: bool = False) -> Entry:
        """Make something new."""
        return self.attach(parent, name, self._node(is_directory))

    def attach(self, parent: Node, name: str, node: Node) -> Entry:
        """Give a node one more name."""
        entry = Entry(parent, name, node)
        parent.children[self.key(name)] = entry
        node.entries.append(entry)
        self.touch(parent)
        return entry

    def detach(self, entry: Entry) -> None:
        """Take a name away; the node lives while somebody has it open."""
        if entry.parent is not None:
            del entry.parent.children[self.key(entry.name)]
            entry.node.entries.remove(entry)
            self.touch(entry.parent)
            entry.parent = None

    def touch(self, node: Node, *, frozen: set[str] | None = None) -> None:
        """Note that content changed now."""
        now = self.now()
        for time in {"last_write_time", "change_time"} - (frozen or set()):
            setattr(node, time, now)

    def is_below(self, node: Node, directory: Node) -> bool:
        """Whether a node is a directory or lies anywhere under it."""
        return node is directory or any(
            entry.parent is not None and self.is_below(entry.parent, directory)
            for entry in node.entries
        )

    def path_of(self, entry: Entry) -> str:
        """The path from the root, in wire form."""
        if entry.parent is None:
            return entry.name
        above = self.path_of(entry.parent.entries[0])
        return f"{above}\\{entry.name}" if above else entry.name

    # Paths in wire form

    def place(self, path: str) -> tuple[Node, str]:
        """The directory and the name a path means.  Fails as a server does."""
        *above, name = path.split("\\")
        node = self.root.node
        for number, component in enumerate(above):
            self._check(component)
            entry = self.child(node, component)
            if entry is None:
                raise Fail(Status.OBJECT_PATH_NOT_FOUND)
            node = entry.node
            if node.reparse_tag == ReparseTag.SYMLINK:
                rest = "\\".join(["", *above[number + 1 :], name])
                raise Stopped(node, rest)
            if not node.is_directory:
                raise Fail(Status.OBJECT_PATH_NOT_FOUND)
        self._check(name)
        return node, name

    def _check(self, name: str) -> None:
        if not name or FORBIDDEN & set(name) or name[-1] in ". ":
            raise Fail(Status.OBJECT_NAME_INVALID)
        if len(name) > 255:
            raise Fail(Status.OBJECT_NAME_INVALID)

    def find(self, path: str) -> Entry | None:
        """The entry a path leads to, or None if only its last component is missing."""
        if not path:
            return self.root
        return self.child(*self.place(path))

    # Behind the client's back; paths have "/" here

    def put(self, path: str, data: bytes = b"", *, attributes: int | None = None) -> Node:
        """Write a file, with the directories above it."""
        entry = self._entry(path) or self._make(path, is_directory=False)
        entry.node.data[:] = data
        entry.node.holes.clear()
        self.touch(entry.node)
        if attributes is not None:
            entry.node.attributes = attributes
        return entry.node

    def mkdir(self, path: str) -> Node:
        """Make a directory, with those above it."""
        return (self._entry(path) or self._make(path, is_directory=True)).node

    def link(self, path: str, reparse: bytes, *, is_directory: bool = False) -> Node:
        """Make a reparse point."""
        entry = self._make(path, is_directory=is_directory)
        entry.node.reparse = reparse
        return entry.node

    def remove(self, path: str) -> None:
        """Take a file or a directory away, open or not."""
        self.detach(self._sure(path))

    def move(self, path: str, new: str) -> None:
        """Rename, open or not; what has the new name is gone."""
        entry = self._sure(path)
        if (there := self._entry(new)) is not None:
            self.detach(there)
        *above, name = new.split("/")
        parent = self.mkdir("/".join(above)) if above else self.root.node
        self.rename(entry, parent, name)

    def rename(self, entry: Entry, parent: Node, name: str) -> None:
        """Move a name; who has it open keeps it."""
        if entry.parent is not None:
            del entry.parent.children[self.key(entry.name)]
            self.touch(entry.parent)
        entry.parent, entry.name = parent, name
        parent.children[self.key(name)] = entry
        entry.node.change_time = self.now()
        self.touch(parent)

    def read(self, path: str) -> bytes:
        """What is in a file."""
        return bytes(self._sure(path).node.data)

    def node(self, path: str) -> Node:
        """The file or directory itself, to look at or to change."""
        return self._sure(path).node

    def exists(self, path: str) -> bool:
        """Whether something has that name."""
        return self._entry(path) is not None

    def names(self, path: str = "") -> list[str]:
        """The names in a directory, sorted."""
        return sorted(entry.name for entry in self.node(path).children.values())

    def _sure(self, path: str) -> Entry:
        entry = self._entry(path)
        if entry is None:
            raise KeyError(path)
        return entry

    def _entry(self, path: str) -> Entry | None:
        entry: Entry | None = self.root
        for name in path.split("/") if path else ():
            entry = self.child(entry.node, name) if entry is not None else None
        return entry

    def _make(self, path: str, *, is_directory: bool) -> Entry:
        *above, name = path.split("/")
        parent = self.mkdir("/".join(above)) if above else self.root.node
        return self.add(parent, name, is_directory=is_directory)


class Stopped(Fail):
    """The path met a symbolic link; ``rest`` is what is still to go, with its separator."""

    def __init__(self, node: Node, rest: str) -> None:
        super().__init__(Status.STOPPED_ON_SYMLINK)
        self.node = node
        self.rest = rest
