"""STAT and XATTR promises: what stat, chmod, utimens, df and the attribute calls tell and do."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

from tests.mount.ground import BELIEF_S, eventually, fails, noise, opened
from tests.mounted import MountedShare
from tests.samba import Samba
from tests.semantics.conftest import Here, meanwhile
from tests.semantics.document import proves

NOBODY = 65534
SECOND = 10**9
WRITE_BITS = 0o222


def mode(path: Path) -> int:
    """The permission bits that stat tells."""
    return stat.S_IMODE(path.stat().st_mode)


def is_read_only(samba: Samba, here: Here, name: str) -> bool:
    """Whether the server has the DOS attribute READONLY for a file."""
    said = samba.client("share", f"allinfo {here.path.name}/{name}")
    [line] = [line for line in said.splitlines() if line.startswith("attributes:")]
    return "R" in line.partition(":")[2].partition("(")[0]


@proves(
    "STAT-1 The owner and group of every file are `uid=` and `gid=`, else those of the user who "
    "mounted."
)
def test_owner(here: Here) -> None:
    (here.behind / "file").touch()
    told = (here.path / "file").stat()
    assert (told.st_uid, told.st_gid) == (os.getuid(), os.getgid())
    told = (here.through(f"uid={NOBODY}", "gid=1234") / "file").stat()
    assert (told.st_uid, told.st_gid) == (NOBODY, 1234)


@proves(
    "STAT-2 The mode of every file is `file_mode=` and that of every directory `dir_mode=` "
    "(0755), without the write bits where the file is READONLY."
)
def test_mode(here: Here) -> None:
    (here.behind / "file").touch()
    (here.behind / "locked").touch()
    (here.path / "locked").chmod(0o400)
    (here.behind / "directory").mkdir()
    assert [mode(here.path / name) for name in ("file", "locked", "directory")] == [
        0o755,
        0o555,
        0o755,
    ]
    path = here.through("file_mode=0640", "dir_mode=0750")
    assert [mode(path / name) for name in ("file", "locked", "directory")] == [0o640, 0o440, 0o750]


@proves(
    "STAT-3 `chmod` that takes the last write bit away sets READONLY on the server, and one that "
    "gives any back clears it."
)
def test_chmod(here: Here, samba: Samba) -> None:
    file = here.path / "file"
    file.touch()
    file.chmod(0o444)
    assert is_read_only(samba, here, "file")
    assert not mode(file) & WRITE_BITS
    file.chmod(0o600)
    assert not is_read_only(samba, here, "file")
    assert mode(file) == 0o755


@proves(
    "STAT-4 Any other `chmod` and every `chown` succeeds and changes nothing, and `stat` goes on "
    "telling the truth."
)
def test_what_cannot_be_stored(here: Here) -> None:
    file = here.path / "file"
    file.touch()
    file.chmod(0o4711)
    os.chown(file, NOBODY, NOBODY)
    here.path.chmod(0o700)
    told = file.stat()
    assert mode(file) == 0o755
    assert (told.st_uid, told.st_gid) == (os.getuid(), os.getgid())
    assert mode(here.path) == 0o755


@proves(
    "STAT-5 With `ids=strict`, a `chmod` or `chown` whose result `stat` would not show fails with"
    " EPERM."
)
def test_strict_ids(here: Here) -> None:
    file = here.through("ids=strict") / "file"
    file.touch()
    with fails(errno.EPERM):
        file.chmod(0o600)
    with fails(errno.EPERM):
        os.chown(file, NOBODY, -1)
    file.chmod(0o555)
    os.chown(file, os.getuid(), os.getgid())
    assert mode(file) == 0o555


@proves("STAT-6 Times are kept as the server keeps them, in steps of 100 ns.")
def test_times(here: Here) -> None:
    file = here.path / "file"
    file.touch()
    os.utime(file, ns=(1_600_000_000 * SECOND + 123_456_789, 1_700_000_000 * SECOND + 1))
    for told in (file.stat(), (here.behind / "file").stat()):
        assert told.st_atime_ns == 1_600_000_000 * SECOND + 123_456_700
        assert told.st_mtime_ns == 1_700_000_000 * SECOND


@proves(
    "STAT-7 A modification time that is set stays, even if the file was written to a moment "
    "before and is closed afterwards."
)
def test_a_time_that_is_set_stays(here: Here) -> None:
    file = here.path / "copy"
    with opened(file, os.O_CREAT | os.O_WRONLY) as fd:
        os.write(fd, noise(2 << 20))
        os.utime(fd, ns=(SECOND, 2 * SECOND))
    assert file.stat().st_mtime_ns == 2 * SECOND
    time.sleep(BELIEF_S + 0.1)
    assert file.stat().st_mtime_ns == 2 * SECOND
    assert (here.behind / "copy").stat().st_mtime_ns == 2 * SECOND


@proves("STAT-8 `stat` tells what the server said no more than `actimeo=` seconds (1) ago.")
def test_age(here: Here) -> None:
    (here.behind / "file").write_text("12")
    assert (here.path / "file").stat().st_size == 2
    (here.behind / "file").write_text("123456")
    time.sleep(BELIEF_S + 0.1)
    assert (here.path / "file").stat().st_size == 6


@proves("STAT-9 With `actimeo=0` each `stat` asks the server.")
def test_without_age(here: Here) -> None:
    file = here.through("actimeo=0") / "file"
    for size in (1, 2, 30):
        (here.behind / "file").write_text("x" * size)
        assert file.stat().st_size == size


@proves("STAT-10 The size of a file that is written here counts what was not sent yet.")
def test_unsent_size(private: Samba) -> None:
    with (
        MountedShare(private) as mounted,
        opened(mounted.path / "file", os.O_CREAT | os.O_WRONLY) as fd,
    ):
        for number in range(1, 4):
            private.freeze()
            os.write(fd, noise(1 << 20))
            with meanwhile(0.2, private.thaw):
                assert (mounted.path / "file").stat().st_size == number << 20


@proves(
    "STAT-11 The inode number of a file stays the same while the share is mounted, wherever the "
    "file is moved here, and no two files have the same."
)
def test_inode_numbers(here: Here) -> None:
    (here.path / "directory").mkdir()
    names = [f"file {number}" for number in range(100)]
    for name in names:
        (here.behind / name).touch()
    with os.scandir(here.path) as entries:
        listed = {entry.name: entry.inode() for entry in entries}
    assert len(set(listed.values())) == len(names) + 1
    time.sleep(BELIEF_S + 0.1)
    assert {name: (here.path / name).stat().st_ino for name in listed} == listed
    os.rename(here.path / names[0], here.path / "directory" / "moved")
    assert (here.path / "directory" / "moved").stat().st_ino == listed[names[0]]


@proves(
    "STAT-12 `df` tells the size and the free space that the server tells, at most two seconds old."
)
def test_df(here: Here) -> None:
    def total(path: Path) -> int:
        told = os.statvfs(path)
        return told.f_blocks * told.f_frsize

    def is_near() -> bool:  # other programs write to the disk meanwhile
        here_now, there = os.statvfs(here.path), os.statvfs(here.behind)
        free = here_now.f_bavail * here_now.f_frsize
        return any(
            abs(free - blocks * there.f_frsize) < 64 << 20
            for blocks in (there.f_bavail, there.f_bfree)
        )

    assert total(here.path) == total(here.behind)
    assert eventually(is_near, 2 + 5)


@proves(
    "XATTR-1 Attributes called `user.*` are kept by the server and are seen by its other clients."
)
def test_attributes(here: Here) -> None:
    file, again = here.path / "file", here.through("actimeo=0") / "file"
    file.touch()
    os.setxattr(file, "user.colour", b"red")
    os.setxattr(file, "user.bytes", bytes(range(256)), os.XATTR_CREATE)
    assert sorted(os.listxattr(again)) == ["user.bytes", "user.colour"]
    assert os.getxattr(again, "user.bytes") == bytes(range(256))
    assert os.getxattr(again, "user.colour") == b"red"
    os.removexattr(file, "user.colour")
    with fails(errno.ENODATA):
        os.getxattr(again, "user.colour")


@proves(
    "XATTR-2 Their names are the same in upper and lower case, and an empty value is refused "
    "(EOPNOTSUPP)."
)
def test_what_attributes_cannot(here: Here) -> None:
    file = here.path / "file"
    file.touch()
    os.setxattr(file, "user.Colour", b"red")
    assert os.getxattr(file, "user.COLOUR") == b"red"
    with fails(errno.EEXIST):
        os.setxattr(file, "user.colour", b"blue", os.XATTR_CREATE)
    with fails(errno.EOPNOTSUPP):
        os.setxattr(file, "user.empty", b"")


@proves(
    "XATTR-3 `security.*`, `trusted.*` and POSIX ACLs do not exist here, and to ask for them "
    "costs no question to the server."
)
def test_attributes_answered_here(private: Samba) -> None:
    with MountedShare(private) as mounted:
        fd = os.open(mounted.path / "file", os.O_CREAT | os.O_WRONLY)
        private.freeze()  # whatever asked the server would wait
        started = time.monotonic()
        for name, number in (
            ("security.selinux", errno.EOPNOTSUPP),
            ("security.capability", errno.ENODATA),
            ("trusted.overlay", errno.ENODATA),
            ("system.posix_acl_access", errno.EOPNOTSUPP),
        ):
            with fails(number):
                os.getxattr(fd, name)
        assert time.monotonic() - started < 5
        private.thaw()
        os.close(fd)
