"""A filesystem that has everything in memory, served by one of the kernel servers.

    python -m tests.bench.memory native|pyfuse3 MOUNTPOINT CPU

It has the methods of `smbfs.vfs.filesystem.Filesystem` that `tests.bench.kernel` makes the kernel
ask for, each as cheap as can be, so that what is measured is the server.  The kernel may believe
nothing, and so always asks; only what a listing tells it may keep, for that is how listings are
read.  Easily broken: a directory is cold only once, so each name of one is a new directory.
"""

from __future__ import annotations

import errno
import os
import sys
from itertools import count
from typing import Any, cast

import trio

from smbfs.fuse.choice import server_for
from smbfs.fuse.native.greeting import Wishes
from smbfs.fuse.server import (
    MISS,
    ROOT,
    Attributes,
    DirectoryItem,
    Entry,
    FileHandle,
    Kernel,
    Miss,
    Node,
    Opened,
    Request,
)
from smbfs.vfs.filesystem import Filesystem
from smbfs.vfs.listing import FEW

MIB = 1 << 20
FILE, SLOW = b"file", b"slow"  # all other names in the root are directories
LOOKUP_S = 0.05  # how long a name in the slow directory takes
LISTED = 10_000  # names in any other directory
BELIEF_S = 60.0
TIMEOUT_S = 15.0


def _attributes(node: Node, mode: int, believe_s: float = 0.0) -> Attributes:
    now_ns = 1_700_000_000_123_456_700
    size = 64 * MIB
    return Attributes(
        node=node,
        mode=mode,
        links=1,
        uid=0,
        gid=0,
        size=size,
        blocks=size // 512,
        block_size=MIB,
        atime_ns=now_ns,
        mtime_ns=now_ns,
        ctime_ns=now_ns,
        believe_s=believe_s,
    )


class Memory:
    """A file, a slow directory, and as many large ones as are asked for."""

    def __init__(self) -> None:
        self._nodes = count(2)
        self._known: dict[Node, Attributes] = {ROOT: _attributes(ROOT, 0o40755)}
        self._slow = self._made(0o40755).node
        self._names = {
            (ROOT, FILE): Entry(self._made(0o100644)),
            (ROOT, SLOW): Entry(self._known[self._slow]),
        }
        self._listings: dict[FileHandle, list[DirectoryItem]] = {}
        self._data = memoryview(bytes(MIB))

    def _made(self, mode: int, believe_s: float = 0.0) -> Attributes:
        node = Node(next(self._nodes))
        self._known[node] = _attributes(node, mode, believe_s)
        return self._known[node]

    def may_read_exactly(self, is_possible: bool) -> None:
        """Read as the kernel likes."""

    def hear(self, kernel: Kernel) -> None:
        """Have nothing to tell."""

    def forget(self, forgotten: list[tuple[Node, int]]) -> None:
        """Keep everything."""

    def listed(self, node: Node) -> None:
        """Count nothing."""

    def lookup_now(self, request: Request, parent: Node, name: bytes) -> Entry | Miss:
        """Find a name; a new one in the root becomes a directory."""
        if parent == self._slow:
            return MISS
        found = self._names.get((parent, name))
        if found is None:
            found = self._names[parent, name] = Entry(self._made(0o40755))
        return found

    async def lookup(self, request: Request, parent: Node, name: bytes) -> Entry:
        """Find a name in the slow directory."""
        await trio.sleep(LOOKUP_S)
        return Entry(self._made(0o100644))

    def getattr_now(self, request: Request, node: Node, fh: FileHandle | None) -> Attributes:
        """Tell what is known."""
        return self._known[node]

    def getxattr_now(self, request: Request, node: Node, name: bytes) -> bytes:
        """Have none."""
        raise OSError(errno.ENODATA, "no such attribute")

    async def open(self, request: Request, node: Node, flags: int) -> Opened:
        """Open the file."""
        return Opened(FileHandle(node))

    def read_now(
        self, request: Request, fh: FileHandle, offset: int, size: int
    ) -> list[memoryview]:
        """Tell zeros."""
        return [self._data[:size]]

    def write_now(self, request: Request, fh: FileHandle, offset: int, data: Any) -> int:
        """Take everything and keep nothing."""
        return len(data)

    async def write(self, request: Request, fh: FileHandle, offset: int, data: Any) -> int:
        """Take everything and keep nothing."""
        return len(data)

    def flush_now(self, request: Request, fh: FileHandle) -> None:
        """Be done."""

    async def flush(self, request: Request, fh: FileHandle) -> None:
        """Be done."""

    async def release(self, request: Request, fh: FileHandle) -> None:
        """Be done."""

    async def opendir(self, request: Request, node: Node) -> Opened:
        """Make what the directory holds."""
        fh = FileHandle(node)
        self._listings[fh] = [
            DirectoryItem(b"file-%05d" % number, self._made(0o100644, BELIEF_S), number + 3)
            for number in range(LISTED)
        ]
        return Opened(fh)

    def dots(self, fh: FileHandle) -> list[DirectoryItem]:
        """Tell the two that every directory has."""
        root = self._known[ROOT]
        return [DirectoryItem(b".", root, 1), DirectoryItem(b"..", root, 2)]

    def readdir_now(self, request: Request, fh: FileHandle, after: int) -> list[DirectoryItem]:
        """Tell a few names."""
        begin = max(after - 2, 0)
        return self._listings[fh][begin : begin + FEW]

    async def releasedir(self, request: Request, fh: FileHandle) -> None:
        """Forget the names."""
        for item in self._listings.pop(fh):
            del self._known[item.attributes.node]


def main() -> None:
    """Mount, say so with one line, and serve until somebody unmounts."""
    transport, mountpoint, cpu = sys.argv[1:]
    os.sched_setaffinity(0, [int(cpu)])
    filesystem = cast(Filesystem, Memory())
    server = server_for(transport, filesystem, TIMEOUT_S, Wishes())
    server.attach(mountpoint, [f"fsname={transport}"])
    sys.stdout.write("mounted\n")
    sys.stdout.flush()
    trio.run(server.serve)
    server.detach(unmount=False)


if __name__ == "__main__":
    main()
