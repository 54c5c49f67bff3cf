"""The work that is timed: plain system calls and programs on a directory, seconds back.

Knows directories and files, not what serves them; nothing here is a test.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

MIB = 1 << 20
SMALL = 4096  # bytes of a small file
SEED = os.urandom(MIB)


def timed(work: Callable[[], object]) -> float:
    """How many seconds something took."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def blocks(mib: int) -> Iterator[bytes]:
    """That many different MiB which do not compress, the same ones within one run."""
    for number in range(mib):
        yield number.to_bytes(8, "little") + SEED[8:]


def digest_of(mib: int) -> str:
    """The checksum of a file that was written here."""
    whole = hashlib.sha256()
    for block in blocks(mib):
        whole.update(block)
    return whole.hexdigest()


def digest(path: Path) -> str:
    """The checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path) -> int:
    """Read a file from its start to its end as ``dd bs=1M`` does; its size."""
    buffer, size = bytearray(MIB), 0
    fd = os.open(path, os.O_RDONLY)
    try:
        while count := os.readv(fd, [buffer]):
            size += count
    finally:
        os.close(fd)
    return size


def write(path: Path, mib: int, *, sync: bool) -> None:
    """Write a new file as ``dd bs=1M`` does, with ``sync`` as ``dd bs=1M conv=fsync``."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        for block in blocks(mib):
            os.write(fd, block)
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def list_long(directory: Path) -> int:
    """What ``ls -l`` does; how many lines it wrote."""
    done = subprocess.run(["ls", "-l", str(directory)], capture_output=True, check=True)
    return len(done.stdout.splitlines()) - 1  # "total" comes first


def names(count: int) -> list[str]:
    """The names of so many small files."""
    return [f"file-{number:05}" for number in range(count)]


def create_small(directory: Path, count: int) -> None:
    """Create so many files of 4 KiB, one after the other."""
    for name in names(count):
        fd = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, SEED[:SMALL])
        os.close(fd)


def read_small(directory: Path, count: int) -> None:
    """Read so many files of 4 KiB, one after the other."""
    for name in names(count):
        fd = os.open(directory / name, os.O_RDONLY)
        if len(os.read(fd, SMALL)) != SMALL:
            raise RuntimeError(f"{name} is too short")
        os.close(fd)


def stat_all(directory: Path, count: int) -> None:
    """Ask for the attributes of so many files by name, one after the other."""
    for name in names(count):
        os.stat(directory / name)


def unlink_all(directory: Path, count: int) -> None:
    """Remove so many files, one after the other."""
    for name in names(count):
        os.unlink(directory / name)
