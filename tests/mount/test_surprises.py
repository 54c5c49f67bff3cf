"""What others do behind our back: files changed, removed, replaced, forbidden; a full disk."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.ground import TEST_S, Here, complaints, eventually, fails, noise, opened
from tests.mounted import MountedShare
from tests.samba import Samba

RW = os.O_RDWR | os.O_CREAT


# Files that others change


def test_a_file_that_others_rewrite_is_read_anew(here: Here) -> None:
    (here.path / "file").write_bytes(b"ours, first")
    for number in range(3):
        (here.behind / "file").write_bytes(b"theirs %d" % number * (number + 1))
        assert eventually(lambda: same(here.path / "file", here.behind / "file"))


def same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def test_a_file_that_others_remove_is_gone(here: Here) -> None:
    (here.path / "file").write_bytes(b"x")
    os.unlink(here.behind / "file")
    assert eventually(lambda: not (here.path / "file").exists())
    (here.path / "file").write_bytes(b"anew")
    assert (here.behind / "file").read_bytes() == b"anew"


def test_a_file_that_others_remove_can_be_made_at_once(here: Here) -> None:
    (here.path / "file").write_bytes(b"old content")
    os.unlink(here.behind / "file")
    (here.path / "file").write_bytes(b"new")
    assert (here.behind / "file").read_bytes() == b"new"


def test_opening_what_others_have_just_removed(here: Here) -> None:
    (here.path / "file").write_bytes(b"x")
    os.unlink(here.behind / "file")
    with fails(errno.ENOENT, errno.ESTALE):
        os.open(here.path / "file", os.O_RDONLY)
    (here.path / "dir").mkdir()
    os.rmdir(here.behind / "dir")
    with fails(errno.ENOENT, errno.ESTALE):
        (here.path / "dir" / "new").touch()
    with fails(errno.ENOENT, errno.ESTALE):
        os.listdir(here.path / "dir")


def test_a_file_that_others_replace_while_we_read_it(here: Here) -> None:
    (here.path / "file").write_bytes(noise(3_000_000, 1))
    (here.behind / "new").write_bytes(noise(3_000_000, 2))
    with opened(here.path / "file") as fd:
        assert os.pread(fd, 1000, 0) == noise(3_000_000, 1)[:1000]
        os.rename(here.behind / "new", here.behind / "file")
        assert os.pread(fd, 1000, 2_900_000) == noise(3_000_000, 1)[2_900_000:2_901_000]
    assert eventually(lambda: (here.path / "file").read_bytes() == noise(3_000_000, 2))


def test_a_file_that_others_cut_short_while_we_read_it(here: Here) -> None:
    (here.behind / "file").write_bytes(noise(2_000_000))
    with opened(here.other / "file") as fd:
        assert len(os.pread(fd, 1000, 0)) == 1000
        os.truncate(here.behind / "file", 500)
        assert eventually(lambda: os.fstat(fd).st_size == 500)
        assert os.pread(fd, 1000, 0) == noise(2_000_000)[:500]
        assert os.pread(fd, 1000, 1_000_000) == b""


def test_a_file_turned_into_a_directory_and_back(here: Here) -> None:
    (here.path / "name").write_bytes(b"file")
    os.unlink(here.behind / "name")
    (here.behind / "name").mkdir()
    (here.behind / "name" / "inside").write_bytes(b"x")
    assert eventually((here.path / "name").is_dir)
    assert eventually(lambda: os.listdir(here.path / "name") == ["inside"])
    shutil.rmtree(here.behind / "name")
    (here.behind / "name").write_bytes(b"file again")
    assert eventually((here.path / "name").is_file)
    assert eventually(lambda: (here.path / "name").read_bytes() == b"file again")


def test_a_directory_that_others_rename(here: Here) -> None:
    (here.path / "dir").mkdir()
    (here.path / "dir" / "file").write_bytes(b"content")
    os.rename(here.behind / "dir", here.behind / "moved")
    assert (here.path / "moved" / "file").read_bytes() == b"content"
    assert eventually(lambda: not (here.path / "dir").exists())
    assert not (here.path / "dir" / "file").exists()


def test_a_new_directory_with_the_number_of_a_removed_one(here: Here) -> None:
    for turn in range(10):  # file systems give numbers of removed directories out again at once
        old, new = f"old-{turn}", f"new-{turn}"
        (here.path / old).mkdir()
        (here.path / old / "child").touch()
        os.unlink(here.behind / old / "child")
        os.rmdir(here.behind / old)
        (here.behind / new).mkdir()
        assert eventually((here.path / new).is_dir)
        assert os.listdir(here.path / new) == []
        (here.path / new / "child").mkdir()


def test_an_open_file_that_others_rename(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        os.write(fd, b"before")
        os.fsync(fd)
        os.rename(here.behind / "file", here.behind / "moved")
        os.write(fd, b" after")
        os.fsync(fd)
        assert os.fstat(fd).st_size == 12
    assert (here.behind / "moved").read_bytes() == b"before after"


def test_both_write_to_their_halves_of_a_file(here: Here) -> None:
    (here.path / "file").write_bytes(bytes(20_000))
    with opened(here.path / "file", os.O_RDWR) as ours, opened(here.other / "file", os.O_RDWR) as t:
        for at in range(0, 10_000, 1000):
            os.pwrite(ours, b"a" * 1000, at)
            os.pwrite(t, b"b" * 1000, 10_000 + at)
    assert (here.behind / "file").read_bytes() == b"a" * 10_000 + b"b" * 10_000


# What the server does not allow


@pytest.fixture(scope="module")
def odd_shares(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samba]:
    """A server with a share that forbids some names, and one on a tiny disk if we may make one."""
    disk = tmp_path_factory.mktemp("disk")
    is_tiny = os.geteuid() == 0 and mount_tiny(disk)
    shares = {
        "guarded": {"veto files": "/secret*/"},
        "sensitive": {"case sensitive": "yes"},
        "tiny": {"path": str(disk)},
    }
    try:
        with Samba(shares=shares) as server:
            (server["tiny"].path / "disk").symlink_to(disk if is_tiny else "none")
            yield server
    finally:
        if is_tiny:
            subprocess.run(["umount", "-l", disk], check=True, timeout=20)


def mount_tiny(disk: Path) -> bool:
    words = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=0777", "smbfs-test", str(disk)]
    return subprocess.run(words, timeout=20, capture_output=True, check=False).returncode == 0


def test_a_share_that_is_read_only(odd_shares: Samba) -> None:
    place = odd_shares["readonly"]
    (place.path / "file").write_bytes(b"to be read")
    with MountedShare(odd_shares, "readonly", limit_s=TEST_S) as mounted:
        path = mounted.path
        assert (path / "file").read_bytes() == b"to be read"
        with fails(errno.EACCES, errno.EROFS):
            os.open(path / "file", os.O_RDWR)
        with fails(errno.EACCES, errno.EROFS):
            (path / "new").touch()
        with fails(errno.EACCES, errno.EROFS):
            os.unlink(path / "file")
        with fails(errno.EACCES, errno.EROFS):
            os.rename(path / "file", path / "other")
        with fails(errno.EACCES, errno.EROFS):
            os.mkdir(path / "dir")
        with fails(errno.EACCES, errno.EROFS):
            os.symlink("a", path / "b")
        with fails(errno.EACCES, errno.EROFS):
            os.truncate(path / "file", 1)
        assert os.listdir(path) == ["file"]
        assert complaints(mounted.log(), []) == []
    assert (place.path / "file").read_bytes() == b"to be read"


def test_a_mount_that_is_read_only(odd_shares: Samba) -> None:
    (odd_shares["share"].path / "file").write_bytes(b"x")
    with MountedShare(odd_shares, "share", "ro", limit_s=TEST_S) as mounted:
        assert (mounted.path / "file").read_bytes() == b"x"
        with fails(errno.EROFS):
            os.open(mounted.path / "file", os.O_RDWR)
        with fails(errno.EROFS):
            os.unlink(mounted.path / "file")


def test_a_share_that_tells_case_apart(odd_shares: Samba) -> None:
    odd_shares["sensitive"].empty()
    with MountedShare(odd_shares, "sensitive", limit_s=TEST_S) as mounted:
        path = mounted.path
        (path / "name").write_bytes(b"small")
        (path / "NAME").write_bytes(b"large")
        assert sorted(os.listdir(path)) == ["NAME", "name"]
        assert (path / "name").read_bytes() == b"small"
        assert not os.path.samefile(path / "name", path / "NAME")
        os.rename(path / "name", path / "Name")
        assert sorted(os.listdir(path)) == ["NAME", "Name"]
        os.unlink(path / "NAME")
        assert (path / "Name").read_bytes() == b"small"


def test_permission_withdrawn(here: Here) -> None:
    (here.path / "dir").mkdir()
    (here.path / "dir" / "file").write_bytes(b"x")
    if os.geteuid() == 0:
        subprocess.run(["chattr", "+i", here.behind / "dir" / "file"], check=True, timeout=10)
        restore = ["chattr", "-i", str(here.behind / "dir" / "file")]
    else:
        (here.behind / "dir" / "file").chmod(0o444)
        restore = ["chmod", "644", str(here.behind / "dir" / "file")]
    try:
        with fails(errno.EACCES, errno.EPERM):
            os.open(here.path / "dir" / "file", os.O_RDWR)
        assert (here.path / "dir" / "file").read_bytes() == b"x"
    finally:
        subprocess.run(restore, check=True, timeout=10)
    (here.path / "dir" / "file").write_bytes(b"again")


# A disk that is full


@pytest.fixture
def tiny(odd_shares: Samba) -> Iterator[MountedShare]:
    """A mount of a share that holds less than 3 MiB."""
    disk = odd_shares["tiny"].path / "disk"
    if not disk.is_dir():
        pytest.skip("only root may make a small disk")
    mounted = MountedShare(odd_shares, "tiny", limit_s=TEST_S)
    mounted.behind = disk
    with mounted:
        yield mounted
    for path in disk.iterdir():
        path.unlink()


def fill_up(fd: int) -> None:
    """Write until it fails, at the latest when that is asked for."""
    for _ in range(60):
        os.write(fd, bytes(100_000))
    os.fsync(fd)


def test_a_full_disk_is_told_at_write_or_fsync_and_at_close(tiny: MountedShare) -> None:
    fd = os.open(tiny.path / "file", RW)
    with fails(errno.ENOSPC):
        fill_up(fd)
    with fails(errno.ENOSPC):
        os.fsync(fd)
    with fails(errno.ENOSPC):
        os.close(fd)
    os.unlink(tiny.path / "file")
    (tiny.path / "small").write_bytes(noise(10_000))
    assert (tiny.behind / "small").read_bytes() == noise(10_000)


def test_a_full_disk_is_told_at_close_alone(tiny: MountedShare) -> None:
    with fails(errno.ENOSPC), (tiny.path / "file").open("wb", buffering=0) as file:
        for _ in range(40):
            if file.write(bytes(100_000)) != 100_000:
                break
    os.unlink(tiny.path / "file")


def test_a_full_disk_is_told_to_who_writes_through(tiny: MountedShare) -> None:
    with opened(tiny.path / "file", RW | os.O_DIRECT) as fd, fails(errno.ENOSPC):
        for _ in range(40):
            os.write(fd, bytes(100_000))
    os.unlink(tiny.path / "file")


def test_cp_to_a_full_disk_fails(tiny: MountedShare, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(noise(5_000_000))
    words = ["cp", str(tmp_path / "large"), str(tiny.path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "No space left" in done.stderr
