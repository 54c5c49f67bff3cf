"""What stat tells and what can be changed of it: times, mode, owner, sizes; statfs and access."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.mount.ground import Here, eventually, fails, opened

UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
LIBC = ctypes.CDLL(None, use_errno=True)


class Timespec(ctypes.Structure):
    """struct timespec."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def utimensat(path: Path, access: tuple[int, int], write: tuple[int, int]) -> None:
    """Call utimensat(2), whose UTIME_NOW and UTIME_OMIT Python does not offer."""
    times = (Timespec * 2)(Timespec(*access), Timespec(*write))
    if LIBC.utimensat(-100, os.fsencode(path), times, 0) != 0:
        raise OSError(ctypes.get_errno(), "utimensat")


@pytest.fixture
def file(here: Here) -> Path:
    """A small file."""
    path = here.path / "file"
    path.write_bytes(b"content")
    return path


@pytest.mark.parametrize(
    "time_ns",
    [1, 10**18 + 123_456_700, 1_700_000_000_999_999_900, 4_000_000_000 * 10**9, 0],
)
def test_times_are_kept_to_100_ns(here: Here, file: Path, time_ns: int) -> None:
    wanted = time_ns // 100 * 100
    os.utime(file, ns=(time_ns, time_ns + 300))
    for place in (file, here.other / "file"):
        found = os.stat(place)
        assert (found.st_atime_ns, found.st_mtime_ns) == (wanted, wanted + 300)
    assert (here.behind / "file").stat().st_mtime_ns == wanted + 300


def test_times_before_1970(file: Path) -> None:
    os.utime(file, ns=(-(10**18), -(10**18)))
    assert os.stat(file).st_mtime_ns == -(10**18)


def test_now_and_omit(file: Path) -> None:
    os.utime(file, ns=(10**18, 10**18))
    utimensat(file, (0, UTIME_OMIT), (1_500_000_000, 100))
    assert os.stat(file).st_atime_ns == 10**18
    assert os.stat(file).st_mtime_ns == 1_500_000_000 * 10**9 + 100
    utimensat(file, (1_600_000_000, 0), (0, UTIME_OMIT))
    assert os.stat(file).st_atime_ns == 1_600_000_000 * 10**9
    assert os.stat(file).st_mtime_ns == 1_500_000_000 * 10**9 + 100
    before = time.time_ns()
    utimensat(file, (0, UTIME_OMIT), (0, UTIME_NOW))
    assert abs(os.stat(file).st_mtime_ns - before) < 5 * 10**9
    assert os.stat(file).st_atime_ns == 1_600_000_000 * 10**9
    utimensat(file, (0, UTIME_OMIT), (0, UTIME_OMIT))
    os.utime(file)
    assert abs(os.stat(file).st_atime_ns - time.time_ns()) < 5 * 10**9


def test_times_set_after_writing_stay(here: Here, file: Path) -> None:
    with opened(file, os.O_RDWR) as fd:
        os.write(fd, b"x" * 200_000)
        os.utime(fd, ns=(10**18, 10**18))
        assert os.fstat(fd).st_mtime_ns == 10**18
    assert os.stat(file).st_mtime_ns == 10**18
    time.sleep(0.1)
    assert (here.behind / "file").stat().st_mtime_ns == 10**18
    assert os.stat(here.other / "file").st_mtime_ns == 10**18


def test_writing_moves_the_time(here: Here, file: Path) -> None:
    os.utime(file, ns=(10**18, 10**18))
    with opened(file, os.O_RDWR) as fd:
        os.pwrite(fd, b"C", 0)
        os.fsync(fd)
    assert eventually(lambda: os.stat(file).st_mtime_ns > 10**18 + 10**17)
    (here.path / "dir").mkdir()
    os.utime(here.path / "dir", ns=(10**18, 10**18))
    assert os.stat(here.path / "dir").st_mtime_ns == 10**18
    (here.path / "dir" / "new").write_bytes(b"")
    assert eventually(lambda: os.stat(here.path / "dir").st_mtime_ns > 10**18)


def test_sizes_and_blocks(here: Here, file: Path) -> None:
    found = os.stat(file)
    assert found.st_size == 7
    assert found.st_blocks >= 1  # tar takes a file without blocks for a hole
    assert found.st_nlink == 1
    assert stat.S_ISREG(found.st_mode)
    (here.path / "empty").write_bytes(b"")
    assert os.stat(here.path / "empty").st_size == 0
    assert stat.S_ISDIR(os.stat(here.path).st_mode)
    assert os.stat(here.path).st_ino == os.stat(here.path).st_ino


def test_inode_numbers_are_unique_and_stay(here: Here) -> None:
    for number in range(50):
        (here.path / str(number)).write_bytes(b"")
    nodes = {entry.name: entry.inode() for entry in os.scandir(here.path)}
    assert len(set(nodes.values())) == 50
    assert nodes == {name: os.stat(here.path / name).st_ino for name in nodes}
    assert nodes == {entry.name: entry.inode() for entry in os.scandir(here.path)}


def test_the_mode_follows_read_only_and_back(here: Here, file: Path) -> None:
    whole = os.stat(file).st_mode
    os.chmod(file, 0o444)
    assert os.stat(file).st_mode & 0o222 == 0
    assert os.stat(here.other / "file").st_mode & 0o222 == 0
    os.chmod(file, 0o600)
    assert os.stat(file).st_mode == whole
    with opened(file, os.O_RDWR) as fd:
        os.fchmod(fd, 0o400)
        os.write(fd, b"still writable here")
        os.fchmod(fd, 0o644)
    assert os.stat(file).st_mode == whole
    for mode in (0o777, 0o644, 0o4755, 0o000, 0o644):  # accepted; stat tells the truth
        os.chmod(file, mode)
    os.chmod(here.path, 0o700)


def test_a_read_only_file_cannot_be_opened_for_writing(file: Path) -> None:
    os.chmod(file, 0o444)
    if os.geteuid() == 0:  # the kernel lets root pass, the server does not
        with fails(errno.EACCES, errno.EPERM):
            os.open(file, os.O_RDWR)
    assert file.read_bytes() == b"content"
    os.chmod(file, 0o644)
    file.write_bytes(b"again")


def test_a_read_only_file_is_replaced_and_removed(here: Here, file: Path) -> None:
    os.chmod(file, 0o444)
    (here.path / "new").write_bytes(b"new")
    os.rename(here.path / "new", file)
    assert file.read_bytes() == b"new"
    os.chmod(file, 0o444)
    os.rename(file, here.path / "moved")
    assert os.stat(here.path / "moved").st_mode & 0o222 == 0
    os.unlink(here.path / "moved")
    assert os.listdir(here.behind) == []


def test_chown_is_accepted_and_stat_tells_the_truth(here: Here, file: Path) -> None:
    before = os.stat(file)
    os.chown(file, 12345, 54321)
    os.chown(here.path, 12345, -1)
    os.chown(file, -1, -1)
    os.symlink("file", here.path / "link")
    os.lchown(here.path / "link", 1, 1)
    after = os.stat(file)
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid) == (os.getuid(),) * 2


def test_access(here: Here, file: Path) -> None:
    assert os.access(file, os.R_OK | os.W_OK)
    assert os.access(here.path, os.R_OK | os.W_OK | os.X_OK)
    assert not os.access(here.path / "absent", os.F_OK)
    os.chmod(file, 0o444)
    assert os.access(file, os.R_OK)


def test_statfs_is_what_the_server_has(here: Here) -> None:
    ours, theirs = os.statvfs(here.path), os.statvfs(here.behind)
    assert ours.f_namemax == 255
    total = theirs.f_blocks * theirs.f_frsize
    assert abs(ours.f_blocks * ours.f_frsize - total) < total / 50
    assert 0 < ours.f_bavail <= ours.f_bfree <= ours.f_blocks
    shown = subprocess.run(
        ["df", "--output=source,fstype,size", here.path],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout
    assert "//127.0.0.1/share" in shown
    assert "fuse.smbfs" in shown or "smbfs" in shown


def test_a_directory_whose_times_were_set_goes_on_changing(here: Here) -> None:
    for number in range(6):  # so often that it is watched, by a handle of ours
        assert not (here.path / f"nothing-{number}").exists()
    time.sleep(0.5)
    for change in (Path.mkdir, Path.rmdir):
        os.utime(here.path, (1, 1))
        assert here.path.stat().st_mtime == 1
        change(here.path / "new")
        told_ns, is_ns = here.path.stat().st_mtime_ns, here.behind.stat().st_mtime_ns
        assert abs(told_ns - is_ns) < 100
