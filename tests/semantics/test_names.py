"""NAME promises: rename, unlink, rmdir, which names there can be, and who sees them when."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
import threading
import time
from pathlib import Path

import pytest

from tests.mount.ground import BELIEF_S, eventually, fails, opened
from tests.mounted import MountedShare, MountError
from tests.samba import Samba
from tests.semantics.conftest import Here
from tests.semantics.document import proves

NOREPLACE, EXCHANGE = 1, 2
AT_CWD = -100
FORBIDDEN = {  # a name here, and the same on the server's disk
    "a:b": "a\uf022b",
    "a*": "a\uf021",
    "a?": "a\uf025",
    '"a"': "\uf020a\uf020",
    "<a>": "\uf023a\uf024",
    "a|b": "a\uf027b",
    "a\\b": "a\uf026b",
    "a\tb": "a\uf009b",
    "a.": "a\uf029",
    "a ": "a\uf028",
}
MANY = 3000


def renameat2(old: Path, new: Path, flags: int) -> None:
    """renameat2(2), which Python does not offer."""
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.renameat2(AT_CWD, os.fsencode(old), AT_CWD, os.fsencode(new), flags)
    if done != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@proves(
    "NAME-1 `rename` puts a file in the place of another in one step: there is no moment at which"
    " the name is absent."
)
def test_rename_replaces_in_one_step(here: Here) -> None:
    (here.path / "file").write_text("0")
    absent, is_over = [], threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            try:
                (here.behind / "file").stat()
            except FileNotFoundError:
                absent.append(time.monotonic())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(1, 60):
        (here.path / "new").write_text(str(number))
        os.rename(here.path / "new", here.path / "file")
    is_over.set()
    watcher.join()
    assert not absent
    assert (here.behind / "file").read_text() == "59"
    assert os.listdir(here.behind) == ["file"]


@proves(
    "NAME-2 `rename` over a file that is open here works, and whoever has the old file open goes "
    "on with the old bytes."
)
def test_rename_over_an_open_file(here: Here) -> None:
    (here.path / "file").write_text("old")
    (here.path / "new").write_text("new")
    with opened(here.path / "file", os.O_RDWR) as fd:
        os.rename(here.path / "new", here.path / "file")
        assert (here.path / "file").read_text() == "new"
        assert os.pread(fd, 10, 0) == b"old"
        os.pwrite(fd, b"ancient", 0)
        assert os.pread(fd, 10, 0) == b"ancient"
    assert (here.behind / "file").read_text() == "new"
    assert eventually(lambda: os.listdir(here.behind) == ["file"])


@proves(
    "NAME-3 `RENAME_NOREPLACE` is decided by the server (EEXIST); `RENAME_EXCHANGE` is refused "
    "(EINVAL)."
)
def test_renames_with_flags(here: Here) -> None:
    (here.path / "one").write_text("1")
    assert not (here.path / "two").exists()
    (here.behind / "two").write_text("2")  # what we know of it is out of date
    with fails(errno.EEXIST):
        renameat2(here.path / "one", here.path / "two", NOREPLACE)
    renameat2(here.path / "one", here.path / "three", NOREPLACE)
    with fails(errno.EINVAL):
        renameat2(here.path / "three", here.path / "two", EXCHANGE)
    assert (here.behind / "two").read_text() == "2"
    assert (here.behind / "three").read_text() == "1"


@proves("NAME-4 A directory can be renamed over an empty directory, over no other (ENOTEMPTY).")
def test_rename_over_a_directory(here: Here) -> None:
    for name in ("moved", "empty", "full"):
        (here.path / name).mkdir()
    (here.path / "full" / "file").touch()
    (here.path / "moved" / "mark").touch()
    with fails(errno.ENOTEMPTY):
        os.rename(here.path / "moved", here.path / "full")
    os.rename(here.path / "moved", here.path / "empty")
    assert sorted(os.listdir(here.behind)) == ["empty", "full"]
    assert os.listdir(here.behind / "empty") == ["mark"]


@proves(
    "NAME-5 A directory beneath which a file is open cannot be renamed (EACCES) where the server "
    "forbids it."
)
def test_rename_of_a_directory_in_use(here: Here) -> None:
    (here.path / "directory").mkdir()
    with opened(here.path / "directory" / "file", os.O_CREAT | os.O_RDWR) as fd:
        with fails(errno.EACCES):
            os.rename(here.path / "directory", here.path / "elsewhere")
        os.write(fd, b"still here")
    os.rename(here.path / "directory", here.path / "elsewhere")


@proves(
    "NAME-6 A file that is open here can be unlinked: its name is gone at once, its descriptors "
    "work on, and its bytes go with the last of them."
)
def test_unlink_of_an_open_file(here: Here) -> None:
    with opened(here.path / "file", os.O_CREAT | os.O_RDWR) as fd:
        os.write(fd, b"ghost")
        (here.path / "file").unlink()
        assert not (here.path / "file").exists()
        assert not (here.behind / "file").exists()
        assert os.listdir(here.path) == []
        os.pwrite(fd, b"G", 0)
        assert os.pread(fd, 10, 0) == b"Ghost"
        assert os.fstat(fd).st_nlink == 0
        (here.path / "file").write_text("another")
    assert (here.behind / "file").read_text() == "another"
    assert eventually(lambda: os.listdir(here.behind) == ["file"])


@proves(
    "NAME-7 A file that was unlinked while open is removed by the server even if smbfs is killed."
)
def test_unlink_and_die(private: Samba) -> None:
    mounted = MountedShare(private)
    mounted.mount()
    fd = os.open(mounted.path / "file", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"ghost")
    (mounted.path / "file").unlink()
    assert len(os.listdir(mounted.behind)) == 1
    mounted.abort()
    with fails(errno.ENOTCONN, errno.ECONNABORTED):
        os.close(fd)
    assert eventually(lambda: os.listdir(mounted.behind) == [])
    with pytest.raises(MountError):  # it had to be aborted, it says
        mounted.close()


@proves(
    "NAME-8 A file with the DOS attribute READONLY can be unlinked and replaced, as on any POSIX "
    "filesystem."
)
def test_read_only_files_go_away(here: Here) -> None:
    for name in ("one", "two"):
        (here.path / name).write_text(name)
        (here.path / name).chmod(0o444)
    (here.path / "one").unlink()
    (here.path / "new").write_text("new")
    os.rename(here.path / "new", here.path / "two")
    assert os.listdir(here.behind) == ["two"]
    assert (here.behind / "two").read_text() == "new"


@proves(
    "NAME-16 A file that another machine keeps open without using it can be deleted and replaced, "
    "and its directory removed."
)
def test_what_others_hold_idly(here: Here) -> None:
    other = here.through("closetimeo=60")
    (here.path / "directory").mkdir()
    for name in ("one", "two"):
        (here.path / "directory" / name).write_text(name)
        assert (other / "directory" / name).read_text() == name
    os.replace(here.path / "directory" / "one", here.path / "directory" / "two")
    assert (other / "directory" / "two").read_text() == "one"
    shutil.rmtree(here.path / "directory")
    assert os.listdir(here.behind) == []


@proves("NAME-9 `rmdir` of a directory that is not empty fails with ENOTEMPTY.")
def test_rmdir(here: Here) -> None:
    (here.path / "directory").mkdir()
    (here.behind / "directory" / "file").touch()  # which we never saw
    with fails(errno.ENOTEMPTY):
        (here.path / "directory").rmdir()
    (here.behind / "directory" / "file").unlink()
    (here.path / "directory").rmdir()
    assert os.listdir(here.behind) == []


@proves(
    'NAME-10 The characters that SMB forbids (`: * ? " < > | \\`, control characters, a dot or '
    "blank at the end) may stand in names; on the server they become the same private characters "
    "that macOS and the Linux kernel's client use."
)
def test_forbidden_characters(here: Here) -> None:
    for name in FORBIDDEN:
        (here.path / name).write_text(name)
    assert sorted(os.listdir(here.behind)) == sorted(FORBIDDEN.values())
    assert sorted(os.listdir(here.through("actimeo=0"))) == sorted(FORBIDDEN)
    for name in FORBIDDEN:
        assert (here.through("actimeo=0") / name).read_text() == name


@proves(
    "NAME-11 With `nomapposix`, a name with one of these characters within it is refused (EINVAL)."
)
def test_forbidden_characters_unmapped(here: Here) -> None:
    path = here.through("nomapposix")
    for name in FORBIDDEN.keys() - {"a.", "a "}:
        with fails(errno.EINVAL):
            (path / name).touch()
    assert os.listdir(here.behind) == []


@proves(
    "NAME-12 Upper and lower case are the same where the server says so: both spellings then lead"
    " to one file."
)
def test_case(here: Here) -> None:
    (here.behind / "Some File").write_text("one")
    assert (here.path / "SOME FILE").read_text() == "one"
    assert (here.path / "some file").stat().st_ino == (here.path / "Some File").stat().st_ino
    assert os.listdir(here.path) == ["Some File"]


@proves(
    "NAME-13 A listing tells each name that was there all the while exactly once, however long it"
    " is."
)
def test_long_listings(here: Here) -> None:
    names = {f"stays {number:04}" for number in range(MANY)}
    for name in names:
        (here.behind / name).touch()
    listed = []
    with os.scandir(here.path) as entries:
        for number, entry in enumerate(entries):
            listed.append(entry.name)
            if number % 300 == 0:  # others come and go meanwhile
                (here.behind / f"comes {number}").touch()
                (here.behind / f"comes {number - 300}").unlink(missing_ok=True)
    found = [name for name in listed if name in names]
    assert len(found) == len(names)
    assert set(found) == names


@proves(
    "NAME-14 What is created, renamed or removed here is seen here at once, in listings as well."
)
def test_own_changes_are_seen_at_once(here: Here) -> None:
    def names() -> list[str]:
        return sorted(os.listdir(here.path))

    assert not (here.path / "a").exists()
    (here.path / "a").touch()
    (here.path / "d").mkdir()
    assert names() == ["a", "d"]
    os.rename(here.path / "a", here.path / "d" / "b")
    assert names() == ["d"]
    assert os.listdir(here.path / "d") == ["b"]
    assert not (here.path / "a").exists()
    (here.path / "d" / "b").unlink()
    (here.path / "d").rmdir()
    assert names() == []
    assert not (here.path / "d").exists()


@proves(
    "NAME-15 What is created, renamed or removed elsewhere is seen here when `acdirmax=` seconds "
    "(`actimeo=`, 1) have passed, an absent name included."
)
def test_changes_elsewhere_are_seen_in_time(here: Here) -> None:
    (here.behind / "old").touch()
    (here.behind / "gone").touch()
    assert (here.path / "old").exists()
    assert (here.path / "gone").exists()
    assert not (here.path / "new").exists()
    (here.behind / "old").rename(here.behind / "new")
    (here.behind / "gone").unlink()
    time.sleep(BELIEF_S + 0.1)
    assert (here.path / "new").exists()
    assert not (here.path / "gone").exists()
    assert not (here.path / "old").exists()
    assert os.listdir(here.path) == ["new"]
    assert stat.S_ISREG((here.path / "new").stat().st_mode)
