"""ROOM promises, and what else needs the native transport: birth times and flags."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from pathlib import Path

from tests.mount.ground import eventually, fails, noise, opened
from tests.semantics.conftest import Here
from tests.semantics.document import proves

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
MIB = 1 << 20
NEW = os.O_CREAT | os.O_RDWR
LIBC = ctypes.CDLL(None, use_errno=True)


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Call fallocate(2); raises OSError."""
    if LIBC.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@proves(
    "ROOM-1 `fallocate` reserves room as far as the server does, makes the file as long as was "
    "asked unless `FALLOC_FL_KEEP_SIZE` is given, and never makes it shorter."
)
def test_reserving(here: Here) -> None:
    data = noise(3 * MIB)
    with opened(here.path / "file", NEW) as fd:
        os.pwrite(fd, data, 0)
        fallocate(fd, KEEP_SIZE, 0, 8 * MIB)
        assert os.fstat(fd).st_size == 3 * MIB
        fallocate(fd, 0, 0, 1 * MIB)
        assert os.fstat(fd).st_size == 3 * MIB
        os.posix_fallocate(fd, 0, 4 * MIB)
        assert os.fstat(fd).st_size == 4 * MIB
        for mode in (0x08, 0x20, 0x40):  # collapse, insert, unshare
            with fails(errno.EOPNOTSUPP):
                fallocate(fd, mode, 0, MIB)
    assert (here.behind / "file").read_bytes() == data + bytes(MIB)


@proves(
    "ROOM-2 `FALLOC_FL_PUNCH_HOLE` and `FALLOC_FL_ZERO_RANGE` have the server put zeros into a "
    "range, the former by giving the room back."
)
def test_zeros(here: Here) -> None:
    data = bytearray(noise(4 * MIB))
    with opened(here.path / "file", NEW) as fd:
        os.pwrite(fd, data, 0)
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, MIB, MIB)
        data[MIB : 2 * MIB] = bytes(MIB)
        assert os.pread(fd, 4 * MIB, 0) == data
        fallocate(fd, ZERO_RANGE, 3 * MIB + 5, 100)
        data[3 * MIB + 5 : 3 * MIB + 105] = bytes(100)
        assert os.pread(fd, 4 * MIB, 0) == data
    assert (here.behind / "file").read_bytes() == data
    assert (here.behind / "file").stat().st_blocks * 512 < 4 * MIB


@proves(
    "ROOM-3 `SEEK_DATA` and `SEEK_HOLE` tell the holes of a file that the server keeps as sparse;"
    " any other file has none."
)
def test_holes(here: Here) -> None:
    with opened(here.path / "sparse", NEW) as fd:
        os.ftruncate(fd, 8 * MIB)
        os.pwrite(fd, b"data", 4 * MIB)
        assert os.lseek(fd, 0, os.SEEK_HOLE) == 0
        assert os.lseek(fd, 0, os.SEEK_DATA) == 4 * MIB
        assert 4 * MIB < os.lseek(fd, 4 * MIB, os.SEEK_HOLE) <= 5 * MIB
        with fails(errno.ENXIO):
            os.lseek(fd, 6 * MIB, os.SEEK_DATA)
    with opened(here.path / "solid", NEW) as fd:
        os.pwrite(fd, bytes(MIB), 0)
        assert os.lseek(fd, 5, os.SEEK_DATA) == 5
        assert os.lseek(fd, 5, os.SEEK_HOLE) == MIB


@proves(
    "ROOM-4 A file that grows by more than 8 KiB at a stroke is marked sparse on the server, "
    "unless `nosparse` is given."
)
def test_sparse_growth(here: Here) -> None:
    for path, is_sparse in ((here.path, True), (here.through("nosparse"), False)):
        with opened(path / f"grown-{is_sparse}", NEW) as fd:
            os.ftruncate(fd, 8 * MIB)
            os.pwrite(fd, b"end", 16 * MIB)
            assert os.lseek(fd, 0, os.SEEK_HOLE) == (0 if is_sparse else 16 * MIB + 3)


@proves(
    "ROOM-5 A file opened with `O_TMPFILE` is in no listing, gets a name by `linkat` unless it "
    "was opened with `O_EXCL`, and goes with its last descriptor otherwise."
)
def test_files_without_a_name(here: Here) -> None:
    with opened(here.path, os.O_TMPFILE | os.O_RDWR) as fd:
        os.write(fd, b"nameless")
        assert os.listdir(here.path) == []
        named(fd, here.path / "named")
        assert os.listdir(here.path) == ["named"]
    assert (here.behind / "named").read_bytes() == b"nameless"
    with opened(here.path, os.O_TMPFILE | os.O_RDWR | os.O_EXCL) as fd:
        os.write(fd, b"for ever")
        with fails(errno.ENOENT):
            named(fd, here.path / "other")
        assert os.pread(fd, 20, 0) == b"for ever"
    assert eventually(lambda: os.listdir(here.behind) == ["named"])


def named(fd: int, path: Path) -> None:
    """Give a name to what has none."""
    # The descriptor of a folder, which does not count here, has Python call linkat(2).
    os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=fd, follow_symlinks=True)


@proves(
    "STAT-13 With `transport=native`, the birth time that `statx` tells is when the file was made"
    " on the server."
)
def test_birth_times(here: Here) -> None:
    (here.path / "file").touch()
    os.utime(here.path / "file", ns=(10**18, 10**18))
    said = {
        path: subprocess.check_output(["stat", "-c", "%W", path / "file"], timeout=20)
        for path in (here.path, here.behind)
    }
    assert abs(int(said[here.path]) - int(said[here.behind])) <= 1
    assert int(said[here.path]) > 10**9


@proves(
    "STAT-14 With `transport=native`, `lsattr` shows READONLY as `i`, and `chattr` sets and "
    "clears it."
)
def test_flags(here: Here) -> None:
    path = here.path / "file"
    path.touch()
    assert "i" not in lsattr(path)
    subprocess.run(["chattr", "+i", path], check=True, timeout=20)
    assert "i" in lsattr(path)
    assert not path.stat().st_mode & 0o222
    subprocess.run(["chattr", "-i", path], check=True, timeout=20)
    assert path.stat().st_mode & 0o200
    refused = subprocess.run(["chattr", "+a", path], capture_output=True, check=False, timeout=20)
    assert b"not supported" in refused.stderr


def lsattr(path: Path) -> str:
    """The flags of a file, as the command tells them."""
    said = subprocess.check_output(["lsattr", path], text=True, timeout=20)
    return said.split()[0]
