"""A small filesystem in memory, for sessions on a real mount: one folder, a few files."""

from __future__ import annotations

import errno
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from smbfs.fuse.native.server import Server
from smbfs.fuse.server import (
    MISS,
    ROOT,
    Attributes,
    Deaf,
    DirectoryItem,
    Entry,
    FileHandle,
    Kernel,
    Miss,
    Node,
    Opened,
    Space,
)

SOON_S = 10.0


class Memory:
    """Files by name; ``delay_s`` is how long a lookup and a read take."""

    def __init__(self, delay_s: float = 0.0, **files: bytes) -> None:
        self.names = [name.encode() for name in files]
        self.data = [bytearray(data) for data in files.values()]
        self.delay_s = delay_s
        self.lookups: dict[int, int] = {}
        self.kernel: Kernel = Deaf()
        self.is_stuck = False
        self.cancelled = 0
        self.at_once = self.most_at_once = 0  # lookups and reads
        self.believe_s = 0.0

    def may_read_exactly(self, is_possible: bool) -> None:
        """Read as the kernel likes."""

    def hear(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def attributes(self, node: Node) -> Attributes:
        is_root = node == ROOT
        size = 0 if is_root else len(self.data[node - 2])
        mode = stat.S_IFDIR | 0o755 if is_root else stat.S_IFREG | 0o644
        return Attributes(
            node, mode, 1, 0, 0, size, 8, 4096, 0, 0, 0, birth_ns=10**18, believe_s=self.believe_s
        )

    async def _pause(self) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await trio.sleep(float("inf") if self.is_stuck else self.delay_s)
        except trio.Cancelled:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1

    def lookup_now(self, request: Any, parent: Node, name: bytes) -> Entry | Miss:
        return MISS

    async def lookup(self, request: Any, parent: Node, name: bytes) -> Entry:
        await self._pause()
        if name not in self.names:
            return Entry(None, self.believe_s)
        node = Node(self.names.index(name) + 2)
        self.lookups[node] = self.lookups.get(node, 0) + 1
        return Entry(self.attributes(node), self.believe_s)

    def forget(self, nodes: list[tuple[Node, int]]) -> None:
        for node, count in nodes:
            self.lookups[node] = self.lookups.get(node, 0) - count

    def getattr_now(self, request: Any, node: Node, fh: FileHandle | None) -> Attributes:
        return self.attributes(node)

    async def open(self, request: Any, node: Node, flags: int) -> Opened:
        return Opened(FileHandle(node), keep_cache=True)

    def read_now(
        self, request: Any, fh: FileHandle, offset: int, size: int
    ) -> list[memoryview] | Miss:
        return MISS

    async def read(self, request: Any, fh: FileHandle, offset: int, size: int) -> list[memoryview]:
        await self._pause()
        return [memoryview(bytes(self.data[fh - 2][offset : offset + size]))]

    async def write(self, request: Any, fh: FileHandle, offset: int, data: Any) -> int:
        self.data[fh - 2][offset : offset + len(data)] = data
        return len(data)

    def flush_now(self, request: Any, fh: FileHandle) -> None:
        return None

    def release_now(self, request: Any, fh: FileHandle) -> None:
        return None

    async def unlink(self, request: Any, parent: Node, name: bytes) -> None:
        await self._pause()
        raise OSError(errno.EPERM, "nothing goes away here")

    async def opendir(self, request: Any, node: Node) -> Opened:
        return Opened(FileHandle(node))

    def dots(self, fh: FileHandle) -> list[DirectoryItem]:
        return [
            DirectoryItem(b".", self.attributes(ROOT), 1),
            DirectoryItem(b"..", self.attributes(ROOT), 2),
        ]

    def readdir_now(self, request: Any, fh: FileHandle, after: int) -> list[DirectoryItem]:
        return [
            DirectoryItem(name, self.attributes(Node(number + 2)), number + 3)
            for number, name in enumerate(self.names)
            if number + 2 >= after
        ]

    def listed(self, node: Node) -> None:
        self.lookups[node] = self.lookups.get(node, 0) + 1

    async def releasedir(self, request: Any, fh: FileHandle) -> None:
        return None

    async def statfs(self, request: Any) -> Space:
        return Space(4096, 4096, 100, 50, 50)

    def getxattr_now(self, request: Any, node: Node, name: bytes) -> bytes:
        raise OSError(errno.ENODATA, "none")


@asynccontextmanager
async def mounted(filesystem: Memory, path: Path, *options: str) -> AsyncIterator[Server]:
    """Mount it for real in this process; programs that use it must run in threads or apart."""
    served = Server(filesystem, SOON_S)  # type: ignore[arg-type]  # it has the methods
    served.attach(str(path), ["fsname=memory", "subtype=smbfs", *options])
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.serve)
            try:
                with trio.fail_after(SOON_S * 3):
                    yield served
            finally:
                served.detach(unmount=True)
                served.stop()
                nursery.cancel_scope.cancel()
    finally:
        assert not is_mounted(path)


def is_mounted(path: Path) -> bool:
    """Whether the kernel's table has it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == str(path) for line in lines)
