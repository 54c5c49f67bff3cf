"""A directory of the real kernel as a system to be compared: a local one, or a mounted share."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import Path

from tests.model.reference import DIRECTORY, FILE, KEEP_SIZE, LINK, ZERO_RANGE, Shape

LIBC = ctypes.CDLL(None, use_errno=True)


class Disk:
    """System calls below one directory; ``theirs`` is the same directory as others see it."""

    def __init__(self, root: Path, theirs: Path) -> None:
        self.ignored = os.O_DIRECT if root == theirs else 0  # a local disk wants whole sectors
        self.root = root
        self.theirs = theirs
        self.slots: dict[int, int] = {}

    def _at(self, path: str) -> str:
        return os.path.join(self.root, path)

    # What is there

    async def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        for directory, directories, files in os.walk(self.root):
            for name in [*directories, *files]:
                path = os.path.join(directory, name)
                found[path.removeprefix(f"{self.root}/")] = shape(path)
        return found

    async def content(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    async def settle(self) -> None:
        for fd in self.slots.values():
            os.fsync(fd)

    async def behind(self) -> dict[str, bytes | None]:
        return {
            str(path.relative_to(self.theirs)): content_of(path)
            for path in self.theirs.rglob("*")
            if not path.name.startswith(".smbfs")
        }

    async def time_passes(self) -> None:
        """Nothing is believed: the share is mounted with actimeo=0."""

    # Names

    async def mkdir(self, path: str) -> None:
        os.mkdir(self.root / path)

    async def symlink(self, path: str, target: str) -> None:
        os.symlink(target, self.root / path)

    async def link(self, path: str, new: str) -> None:
        os.link(self.root / path, self.root / new, follow_symlinks=False)

    async def unlink(self, path: str) -> None:
        os.unlink(self.root / path)

    async def rmdir(self, path: str) -> None:
        os.rmdir(self.root / path)

    async def rename(self, path: str, new: str, is_replacing: bool) -> None:
        old_name, new_name = os.fsencode(self.root / path), os.fsencode(self.root / new)
        if LIBC.renameat2(-100, old_name, -100, new_name, 0 if is_replacing else 1) != 0:
            raise OSError(ctypes.get_errno(), "renameat2")

    async def chmod(self, path: str, is_writable: bool) -> None:
        if not (self.root / path).is_dir():
            os.chmod(self.root / path, 0o644 if is_writable else 0o444)

    # Bytes

    async def open(self, slot: int, path: str, flags: int) -> None:
        flags = flags & ~self.ignored | os.O_NOFOLLOW
        if not flags & os.O_CREAT and shape(self._at(path))[0] == DIRECTORY:
            raise IsADirectoryError(errno.EISDIR, "a directory", path)
        fd = os.open(self.root / path, flags, 0o644)
        self.slots[slot] = fd

    async def close(self, slot: int) -> None:
        os.close(self.slots.pop(slot))

    async def read(self, slot: int, offset: int, size: int) -> bytes:
        return os.pread(self.slots[slot], size, offset)

    async def write(self, slot: int, offset: int, data: bytes) -> int:
        return os.pwrite(self.slots[slot], data, offset)

    async def copy(self, slot: int, source: int, offset: int, start: int, size: int) -> int:
        return os.copy_file_range(self.slots[source], self.slots[slot], size, start, offset)

    async def allocate(self, slot: int, mode: int, offset: int, size: int) -> None:
        place = ctypes.c_int64(offset), ctypes.c_int64(size)
        if LIBC.fallocate(self.slots[slot], mode, *place) == 0:
            return
        number = ctypes.get_errno()
        if number != errno.EOPNOTSUPP or not mode & ZERO_RANGE:
            raise OSError(number, "fallocate")
        # A local disk need not make zeros (tmpfs), nor must this test fail for it.
        length = os.fstat(self.slots[slot]).st_size
        end = min(offset + size, length) if mode & KEEP_SIZE else offset + size
        fd = os.open(f"/proc/self/fd/{self.slots[slot]}", os.O_WRONLY)
        os.pwrite(fd, bytes(max(0, end - offset)), offset)
        os.close(fd)

    async def read_sparsely(self, slot: int) -> bytes:
        fd, at = self.slots[slot], 0
        data = bytearray(os.fstat(fd).st_size)
        while at < len(data):
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break
            end = os.lseek(fd, at, os.SEEK_HOLE)
            data[at:end] = os.pread(fd, end - at, at)
            at = end
        return bytes(data)

    async def ftruncate(self, slot: int, size: int) -> None:
        os.ftruncate(self.slots[slot], size)

    async def truncate(self, path: str, size: int) -> None:
        os.truncate(self.root / path, size)

    async def fsync(self, slot: int) -> None:
        os.fsync(self.slots[slot])

    async def fstat(self, slot: int) -> tuple[int, bool]:
        found = os.fstat(self.slots[slot])
        return found.st_size, found.st_nlink == 0

    # What others do

    async def their_write(self, path: str, data: bytes) -> None:
        (self.theirs / path).write_bytes(data)

    async def their_unlink(self, path: str) -> None:
        (self.theirs / path).unlink()

    async def their_rename(self, path: str, new: str) -> None:
        (self.theirs / path).rename(self.theirs / new)

    async def their_mkdir(self, path: str) -> None:
        (self.theirs / path).mkdir()

    async def their_rmdir(self, path: str) -> None:
        (self.theirs / path).rmdir()

    def abandon(self) -> None:
        """Close what a failed walk left open."""
        while self.slots:
            os.close(self.slots.popitem()[1])


def shape(path: str) -> Shape:
    """A file as stat tells it."""
    found = os.lstat(path)
    if stat.S_ISDIR(found.st_mode):
        return DIRECTORY, None, 0, True
    if stat.S_ISLNK(found.st_mode):
        return LINK, os.readlink(path), found.st_nlink, True
    return FILE, found.st_size, found.st_nlink, bool(found.st_mode & 0o222)


def content_of(path: Path) -> bytes | None:
    """The bytes of a file; of a link on a share the server knows that it is none."""
    if path.is_symlink() or path.is_dir():
        return None
    data = path.read_bytes()
    return None if data.startswith(b"XSym\n") and len(data) == 1067 else data
