"""The dictionary filesystem: the one definition of what each operation must do.

Everything is in memory, nothing waits, and errors are OSError as Linux gives them.  Names are
paths with "/" from the root; links lead nowhere, so that no path runs through one.  A file lives
as long as a name or a `slot` (an open descriptor) leads to it.

Where a share on SMB differs from a local disk the difference is a rule of its own (`is_share`):
above an open file no directory can be renamed, and a read-only file can be written by nobody.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

FILE, DIRECTORY, LINK = "file", "dir", "link"
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16  # fallocate(2)
Shape = tuple[str, object, int, bool]  # kind; size, target or None; links; writable


@dataclass(eq=False)
class Node:
    """A file, a directory or a symbolic link."""

    kind: str
    data: bytearray = field(default_factory=bytearray)
    target: str = ""
    children: dict[str, Node] = field(default_factory=dict)
    links: int = 1
    is_writable: bool = True

    def shape(self) -> Shape:
        """What stat and readlink tell."""
        if self.kind == DIRECTORY:
            return self.kind, None, 0, True
        told = self.target if self.kind == LINK else len(self.data)
        return self.kind, told, self.links, self.kind == LINK or self.is_writable


@dataclass
class Slot:
    """An open descriptor; ``above`` is the directory in which it was opened or deleted."""

    node: Node
    flags: int
    above: Node


def failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Reference:
    """A tree of nodes, and the descriptors that are open."""

    def __init__(self, *, is_share: bool = True) -> None:
        self.root = Node(DIRECTORY)
        self.slots: dict[int, Slot] = {}
        self.is_share = is_share

    # Paths

    def find(self, path: str) -> Node:
        """What a path leads to; a link at its end is itself."""
        node = self.root
        for name in path.split("/") if path else ():
            node = self._entered(node, name)
        return node

    def _entered(self, node: Node, name: str) -> Node:
        if node.kind == LINK:
            raise failure(errno.ENOENT)  # it leads nowhere
        if node.kind == FILE:
            raise failure(errno.ENOTDIR)
        if name not in node.children:
            raise failure(errno.ENOENT)
        return node.children[name]

    def place(self, path: str) -> tuple[Node, str]:
        """The directory and the last name of a path."""
        above, _, name = path.rpartition("/")
        parent = self.find(above)
        if parent.kind != DIRECTORY:
            raise failure(errno.ENOENT if parent.kind == LINK else errno.ENOTDIR)
        return parent, name

    def _free(self, path: str) -> tuple[Node, str]:
        parent, name = self.place(path)
        if name in parent.children:
            raise failure(errno.EEXIST)
        return parent, name

    def _followed(self, path: str) -> Node:
        node = self.find(path)
        if node.kind == LINK:
            raise failure(errno.ENOENT)
        return node

    def shapes(self) -> dict[str, Shape]:
        """Everything that has a name, by its path."""
        found: dict[str, Shape] = {}
        waiting = [("", self.root)]
        while waiting:
            above, directory = waiting.pop()
            for name, node in directory.children.items():
                path = f"{above}/{name}" if above else name
                found[path] = node.shape()
                if node.kind == DIRECTORY:
                    waiting.append((path, node))
        return found

    # Names

    def mkdir(self, path: str) -> None:
        """Make a directory."""
        parent, name = self._free(path)
        parent.children[name] = Node(DIRECTORY)

    def symlink(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        parent, name = self._free(path)
        parent.children[name] = Node(LINK, target=target)

    def link(self, path: str, new: str) -> None:
        """Give a file one more name."""
        node = self.find(path)
        parent, name = self._free(new)
        if node.kind == DIRECTORY:
            raise failure(errno.EPERM)
        parent.children[name] = node
        node.links += 1

    def unlink(self, path: str) -> None:
        """Take a name away."""
        parent, name = self.place(path)
        node = self._entered(parent, name)
        if node.kind == DIRECTORY:
            raise failure(errno.EISDIR)
        self._drop(parent, name)

    def _drop(self, parent: Node, name: str) -> None:
        node = parent.children.pop(name)
        node.links -= 1
        for slot in self.slots.values():
            if slot.node is node:
                slot.above = parent

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        parent, name = self.place(path)
        node = self._entered(parent, name)
        if node.kind != DIRECTORY:
            raise failure(errno.ENOTDIR)
        if node.children:
            raise failure(errno.ENOTEMPTY)
        del parent.children[name]

    def rename(self, path: str, new: str, is_replacing: bool) -> None:
        """Rename, replacing what may be replaced."""
        parent, name = self.place(path)
        new_parent, new_name = self.place(new)
        node = self._entered(parent, name)
        there = new_parent.children.get(new_name)
        if there is not None and not is_replacing:
            raise failure(errno.EEXIST)
        if self._is_below(new_parent, node):
            raise failure(errno.EINVAL)
        if there is not None and self._is_below(parent, there):
            raise failure(errno.ENOTEMPTY)
        if node is there:
            return
        if there is not None:
            self._may_replace(node, there)
        if self.is_share and node.kind == DIRECTORY and self._is_busy(node):
            raise failure(errno.EACCES)
        if there is not None and there.kind != DIRECTORY:
            self._drop(new_parent, new_name)
        del parent.children[name]
        new_parent.children[new_name] = node

    def _may_replace(self, node: Node, there: Node) -> None:
        if there.kind == DIRECTORY and node.kind != DIRECTORY:
            raise failure(errno.EISDIR)
        if node.kind == DIRECTORY and there.kind != DIRECTORY:
            raise failure(errno.ENOTDIR)
        if there.children:
            raise failure(errno.ENOTEMPTY)

    def _is_below(self, node: Node, above: Node) -> bool:
        return node is above or any(
            self._is_below(node, child) for child in above.children.values()
        )

    def _is_busy(self, directory: Node) -> bool:
        """Whether a file is open, deleted or not, somewhere below."""
        return any(
            self._is_below(slot.above, directory) or self._is_below(slot.node, directory)
            for slot in self.slots.values()
        )

    def chmod(self, path: str, is_writable: bool) -> None:
        """Let everybody write to a file, or nobody."""
        node = self._followed(path)
        if node.kind == FILE:
            node.is_writable = is_writable

    # Bytes

    def open(self, slot: int, path: str, flags: int) -> None:
        """Open a file under a number; of directories that is another matter."""
        parent, name = self.place(path)
        node = parent.children.get(name)
        if node is None:
            if not flags & os.O_CREAT:
                raise failure(errno.ENOENT)
            node = parent.children[name] = Node(FILE)
        elif flags & os.O_CREAT and flags & os.O_EXCL:
            raise failure(errno.EEXIST)
        elif node.kind == LINK:
            raise failure(errno.ELOOP)
        elif node.kind == DIRECTORY:
            raise failure(errno.EISDIR)
        elif self.is_share and not node.is_writable and flags & os.O_ACCMODE:
            raise failure(errno.EACCES)
        if flags & os.O_TRUNC:
            node.data.clear()
        self.slots[slot] = Slot(node, flags, parent)

    def close(self, slot: int) -> None:
        """Close it."""
        del self.slots[slot]

    def read(self, slot: int, offset: int, size: int) -> bytes:
        """The bytes of a range."""
        return bytes(self.slots[slot].node.data[offset : offset + size])

    def write(self, slot: int, offset: int, data: bytes) -> int:
        """Put bytes at a place, or at the end for O_APPEND."""
        node = self.slots[slot].node
        if self.slots[slot].flags & os.O_APPEND:
            offset = len(node.data)
        if not data:  # not even a hole
            return 0
        node.data.extend(bytes(max(0, offset - len(node.data))))
        node.data[offset : offset + len(data)] = data
        return len(data)

    def copy(self, slot: int, source: int, offset: int, start: int, size: int) -> int:
        """Copy bytes of one open file to another, as copy_file_range(2)."""
        target, data = self.slots[slot], self.slots[source].node.data
        if target.flags & os.O_APPEND:
            raise failure(errno.EBADF)
        size = max(0, min(size, len(data) - start))
        if target.node is self.slots[source].node and abs(start - offset) < size:
            raise failure(errno.EINVAL)
        return self.write(slot, offset, bytes(data[start : start + size]))

    def allocate(self, slot: int, mode: int, offset: int, size: int) -> None:
        """Reserve room, make zeros or a hole, as fallocate(2)."""
        if not size:
            raise failure(errno.EINVAL)
        data, end = self.slots[slot].node.data, offset + size
        if not mode & KEEP_SIZE:
            data.extend(bytes(max(0, end - len(data))))
        if mode & (PUNCH_HOLE | ZERO_RANGE):
            end = max(min(end, len(data)), offset)
            data[offset:end] = bytes(len(data[offset:end]))

    def read_sparsely(self, slot: int) -> bytes:
        """All bytes of an open file, read where lseek(2) finds data and zero elsewhere."""
        return bytes(self.slots[slot].node.data)

    def ftruncate(self, slot: int, size: int) -> None:
        """Set the size of an open file."""
        self._resize(self.slots[slot].node, size)

    def truncate(self, path: str, size: int) -> None:
        """Set the size of a file."""
        node = self._followed(path)
        if node.kind == DIRECTORY:
            raise failure(errno.EISDIR)
        if self.is_share and not node.is_writable:
            raise failure(errno.EACCES)
        self._resize(node, size)

    def _resize(self, node: Node, size: int) -> None:
        del node.data[size:]
        node.data.extend(bytes(size - len(node.data)))

    def fsync(self, slot: int) -> None:
        """Nothing: what is written is written."""

    def fstat(self, slot: int) -> tuple[int, bool]:
        """The size, and whether it has no name any more."""
        node = self.slots[slot].node
        return len(node.data), node.links == 0

    def content(self, path: str) -> bytes:
        """All bytes of a file."""
        return bytes(self.find(path).data)
