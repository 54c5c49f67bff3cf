"""The kernel's part, played: paths are looked up, types are checked, then the filesystem is asked.

What Linux checks before it asks a filesystem is here, so that the walk asks no questions that a
kernel would not; it holds nodes as the kernel does and gives them up when time passes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter

import trio

from smbfs.fuse.server import ROOT, Attributes, Change, Entry, FileHandle, Miss, Node, Opened
from smbfs.wire.symlink import MFSYMLINK_SIZE
from tests.fake.tree import Node as TheirNode
from tests.model.reference import DIRECTORY, FILE, LINK, Shape, failure
from tests.vfs.mounted import WHO, Mounted

NOREPLACE = 1
BELIEF_S = 1.1  # a little more than actimeo


class Kernel:
    """One mount of a fake server, as programs see it."""

    def __init__(self, mounted: Mounted) -> None:
        self.fs = mounted.fs
        self.share = mounted.share
        self.held: Counter[Node] = Counter()
        self.directories: set[Node] = set()  # among them
        self.slots: dict[int, tuple[FileHandle, Node]] = {}
        self.appending: set[FileHandle] = set()

    # Looking up, and giving up

    def _took(self, entry: Entry) -> Attributes | None:
        if entry.attributes is not None:
            self._hold(entry.attributes)
        return entry.attributes

    def _hold(self, attributes: Attributes) -> None:
        self.held[attributes.node] += 1
        if stat.S_ISDIR(attributes.mode):
            self.directories.add(attributes.node)

    async def _lookup(self, parent: Node, name: str, *, anew: bool = False) -> Attributes | None:
        entry = self.fs.lookup_now(WHO, parent, name.encode())
        if isinstance(entry, Miss) or anew:
            if not isinstance(entry, Miss):
                self._took(entry)
            entry = await self.fs.lookup(WHO, parent, name.encode())
        return self._took(entry)

    async def _getattr(self, node: Node) -> Attributes:
        found = self.fs.getattr_now(WHO, node, None)
        return await self.fs.getattr(WHO, node, None) if isinstance(found, Miss) else found

    async def _place(self, path: str) -> tuple[Node, str]:
        """The directory and the last name of a path."""
        *above, name = path.split("/")
        node = ROOT
        for one in above:
            found = await self._lookup(node, one)
            if found is None or stat.S_ISLNK(found.mode):
                raise failure(errno.ENOENT)
            if not stat.S_ISDIR(found.mode):
                raise failure(errno.ENOTDIR)
            node = found.node
        return node, name

    async def _find(self, path: str) -> Attributes:
        found = await self._lookup(*await self._place(path))
        if found is None:
            raise failure(errno.ENOENT)
        return found

    async def _followed(self, path: str) -> Attributes:
        found = await self._find(path)
        if stat.S_ISLNK(found.mode):
            raise failure(errno.ENOENT)
        return found

    async def _free(self, path: str) -> tuple[Node, bytes]:
        parent, name = await self._place(path)
        if await self._lookup(parent, name) is not None:
            raise failure(errno.EEXIST)
        return parent, name.encode()

    def give_up(self) -> None:
        """Forget every node that is not open, nor above something that is."""
        kept = {node for _, node in self.slots.values()}
        if self.slots:  # an open file keeps the directory where it is or was
            kept |= self.directories
        self.fs.forget([(node, count) for node, count in self.held.items() if node not in kept])
        self.held = Counter({node: count for node, count in self.held.items() if node in kept})
        self.directories &= kept

    # What is there

    async def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        waiting = [("", ROOT)]
        while waiting:
            above, directory = waiting.pop()
            for name in await self._listed(directory):
                attributes = await self._lookup(directory, name)
                assert attributes is not None, f"{name} is listed and not there"
                path = f"{above}/{name}" if above else name
                found[path] = await self._shape(await self._getattr(attributes.node))
                if stat.S_ISDIR(attributes.mode):
                    waiting.append((path, attributes.node))
        return found

    async def _listed(self, directory: Node) -> list[str]:
        names: list[str] = []
        fh, after = (await self.fs.opendir(WHO, directory)).fh, 0
        while items := await self.fs.readdir(WHO, fh, after):
            for item in items:
                self.fs.listed(item.attributes.node)
                self._hold(item.attributes)
                names.append(item.name.decode())
            after = items[-1].next_id
        await self.fs.releasedir(WHO, fh)
        assert len(names) == len(set(names))
        return names

    async def _shape(self, found: Attributes) -> Shape:
        if stat.S_ISDIR(found.mode):
            return DIRECTORY, None, 0, True
        if stat.S_ISLNK(found.mode):
            target = await self.fs.readlink(WHO, found.node)
            return LINK, target.decode(), found.links, True
        return FILE, found.size, found.links, bool(found.mode & 0o222)

    async def content(self, path: str) -> bytes:
        node = (await self._find(path)).node
        fh = (await self.fs.open(WHO, node, os.O_RDONLY)).fh
        data = b"".join(await self.fs.read(WHO, fh, 0, 1 << 20))
        await self.fs.flush(WHO, fh)
        await self.fs.release(WHO, fh)
        return data

    async def settle(self) -> None:
        await self.fs.drain()

    async def behind(self) -> dict[str, bytes | None]:
        found: dict[str, bytes | None] = {}
        waiting: list[tuple[str, TheirNode]] = [("", self.share.root.node)]
        while waiting:
            above, directory = waiting.pop()
            for entry in directory.children.values():
                if entry.name.startswith(".smbfs"):
                    continue
                path = f"{above}/{entry.name}" if above else entry.name
                found[path] = _content(entry.node)
                if entry.node.is_directory:
                    waiting.append((path, entry.node))
        return found

    async def time_passes(self) -> None:
        await trio.sleep(BELIEF_S)
        self.give_up()

    # Names

    async def mkdir(self, path: str) -> None:
        self._took(await self.fs.mkdir(WHO, *await self._free(path), 0o755))

    async def symlink(self, path: str, target: str) -> None:
        self._took(await self.fs.symlink(WHO, *await self._free(path), target.encode()))

    async def link(self, path: str, new: str) -> None:
        node = await self._find(path)
        parent, name = await self._free(new)
        if stat.S_ISDIR(node.mode):
            raise failure(errno.EPERM)
        self._took(await self.fs.link(WHO, node.node, parent, name))

    async def unlink(self, path: str) -> None:
        found = await self._find(path)
        if stat.S_ISDIR(found.mode):
            raise failure(errno.EISDIR)
        parent, name = await self._place(path)
        await self.fs.unlink(WHO, parent, name.encode())

    async def rmdir(self, path: str) -> None:
        found = await self._find(path)
        if not stat.S_ISDIR(found.mode):
            raise failure(errno.ENOTDIR)
        parent, name = await self._place(path)
        await self.fs.rmdir(WHO, parent, name.encode())

    async def rename(self, path: str, new: str, is_replacing: bool) -> None:
        parent, name = await self._place(path)
        new_parent, new_name = await self._place(new)
        old = await self._lookup(parent, name)
        if old is None:
            raise failure(errno.ENOENT)
        there = await self._lookup(new_parent, new_name)
        if there is not None and not is_replacing:
            raise failure(errno.EEXIST)
        if new.startswith(f"{path}/"):
            raise failure(errno.EINVAL)
        if path.startswith(f"{new}/"):
            raise failure(errno.ENOTEMPTY)
        if there is not None and there.node == old.node:
            return
        if there is not None and stat.S_ISDIR(there.mode) != stat.S_ISDIR(old.mode):
            raise failure(errno.ENOTDIR if stat.S_ISDIR(old.mode) else errno.EISDIR)
        flags = 0 if is_replacing else NOREPLACE
        names = name.encode(), new_name.encode()
        await self.fs.rename(WHO, parent, names[0], new_parent, names[1], flags)

    async def chmod(self, path: str, is_writable: bool) -> None:
        found = await self._followed(path)
        if stat.S_ISREG(found.mode):
            mode = 0o644 if is_writable else 0o444
            await self.fs.setattr(WHO, found.node, Change(mode=mode), None)

    # Bytes

    async def open(self, slot: int, path: str, flags: int) -> None:
        try:
            opened, node = await self._open(path, flags, anew=False)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            opened, node = await self._open(path, flags, anew=True)
        self.slots[slot] = opened.fh, node
        if flags & os.O_APPEND:
            self.appending.add(opened.fh)

    async def _open(self, path: str, flags: int, *, anew: bool) -> tuple[Opened, Node]:
        parent, name = await self._place(path)
        found = await self._lookup(parent, name, anew=anew)
        if found is None:
            if not flags & os.O_CREAT:
                raise failure(errno.ENOENT)
            opened, entry = await self.fs.create(WHO, parent, name.encode(), 0o644, flags)
            attributes = self._took(entry)
            assert attributes is not None
            return opened, attributes.node
        if flags & os.O_CREAT and flags & os.O_EXCL:
            raise failure(errno.EEXIST)
        if not stat.S_ISREG(found.mode):
            raise failure(errno.ELOOP if stat.S_ISLNK(found.mode) else errno.EISDIR)
        kept = flags & ~(os.O_CREAT | os.O_EXCL)
        return await self.fs.open(WHO, found.node, kept), found.node

    async def close(self, slot: int) -> None:
        fh, _ = self.slots.pop(slot)
        await self.fs.flush(WHO, fh)
        await self.fs.release(WHO, fh)

    async def read(self, slot: int, offset: int, size: int) -> bytes:
        fh, _ = self.slots[slot]
        found = self.fs.read_now(WHO, fh, offset, size)
        if isinstance(found, Miss):
            found = await self.fs.read(WHO, fh, offset, size)
        return b"".join(found)

    async def write(self, slot: int, offset: int, data: bytes) -> int:
        if not data:
            return 0
        return await self.fs.write(WHO, self.slots[slot][0], offset, data)

    async def copy(self, slot: int, source: int, offset: int, start: int, size: int) -> int:
        (out, node), (fh, source_node) = self.slots[slot], self.slots[source]
        size = max(0, min(size, (await self._getattr(source_node)).size - start))
        if out in self.appending:
            raise failure(errno.EBADF)
        if node == source_node and abs(start - offset) < size:
            raise failure(errno.EINVAL)
        if not size:
            return 0
        try:
            return await self.fs.copy_file_range(WHO, fh, start, out, offset, size)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
        return await self.write(slot, offset, await self.read(source, start, size))

    async def allocate(self, slot: int, mode: int, offset: int, size: int) -> None:
        await self.fs.fallocate(WHO, self.slots[slot][0], mode, offset, size)

    async def _seek(self, slot: int, offset: int, whence: int) -> int:
        fh, _ = self.slots[slot]
        found = self.fs.seek_now(WHO, fh, offset, whence)
        return await self.fs.seek(WHO, fh, offset, whence) if isinstance(found, Miss) else found

    async def read_sparsely(self, slot: int) -> bytes:
        data, at = bytearray((await self._getattr(self.slots[slot][1])).size), 0
        while at < len(data):
            try:
                at = await self._seek(slot, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break
            end = await self._seek(slot, at, os.SEEK_HOLE)
            data[at:end] = await self.read(slot, at, end - at)
            at = end
        return bytes(data)

    async def ftruncate(self, slot: int, size: int) -> None:
        fh, node = self.slots[slot]
        await self.fs.setattr(WHO, node, Change(size=size), fh)

    async def truncate(self, path: str, size: int) -> None:
        found = await self._followed(path)
        if stat.S_ISDIR(found.mode):
            raise failure(errno.EISDIR)
        await self.fs.setattr(WHO, found.node, Change(size=size), None)

    async def fsync(self, slot: int) -> None:
        await self.fs.fsync(WHO, self.slots[slot][0], False)

    async def fstat(self, slot: int) -> tuple[int, bool]:
        found = await self._getattr(self.slots[slot][1])
        return found.size, found.links == 0

    # What others do

    async def their_write(self, path: str, data: bytes) -> None:
        self.share.put(path, data)

    async def their_unlink(self, path: str) -> None:
        self.share.remove(path)

    async def their_rename(self, path: str, new: str) -> None:
        self.share.move(path, new)

    async def their_mkdir(self, path: str) -> None:
        self.share.mkdir(path)

    async def their_rmdir(self, path: str) -> None:
        self.share.remove(path)


def _content(node: TheirNode) -> bytes | None:
    """The bytes of a file; None for directories and links of either kind."""
    is_link = node.reparse or (node.size == MFSYMLINK_SIZE and node.data.startswith(b"XSym\n"))
    return None if node.is_directory or is_link else bytes(node.data)
