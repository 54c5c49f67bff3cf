"""Listings on a real mount: large ones, ones that change while they are read, seeking in them."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mount.ground import BELIEF_S, Here, eventually, fails, opened

LIBC = ctypes.CDLL(None, use_errno=True)


class Dirent(ctypes.Structure):
    """struct dirent of 64-bit Linux."""

    _fields_ = (
        ("ino", ctypes.c_ulong),
        ("offset", ctypes.c_long),
        ("length", ctypes.c_ushort),
        ("type", ctypes.c_ubyte),
        ("name", ctypes.c_char * 256),
    )


LIBC.opendir.restype = ctypes.c_void_p
LIBC.readdir.restype = ctypes.POINTER(Dirent)
LIBC.telldir.restype = ctypes.c_long
for function in (LIBC.readdir, LIBC.telldir, LIBC.rewinddir, LIBC.closedir):
    function.argtypes = [ctypes.c_void_p]
LIBC.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


class Stream:
    """opendir(3) and what belongs to it."""

    def __init__(self, path: Path) -> None:
        self.stream = LIBC.opendir(os.fsencode(path))
        assert self.stream

    def next(self) -> str | None:
        """The next name, without the dots."""
        while entry := LIBC.readdir(self.stream):
            name: bytes = entry.contents.name
            if name not in (b".", b".."):
                return name.decode()
        return None

    def rest(self) -> list[str]:
        """All names from here on."""
        return list(iter(self.next, None))

    def tell(self) -> int:
        """Where we are."""
        return int(LIBC.telldir(self.stream))


@contextmanager
def stream(path: Path) -> Iterator[Stream]:
    one = Stream(path)
    yield one
    LIBC.closedir(one.stream)


def fill(directory: Path, count: int, prefix: str = "file") -> list[str]:
    """Make empty files on the server's disk; their names in order."""
    names = [f"{prefix}-{number:05}" for number in range(count)]
    for name in names:
        (directory / name).touch()
    return names


def test_an_empty_directory(here: Here) -> None:
    assert os.listdir(here.path) == []
    with fails(errno.ENOENT):
        os.listdir(here.path / "absent")
    (here.path / "file").touch()
    with fails(errno.ENOTDIR):
        os.listdir(here.path / "file")


def test_ten_thousand_entries(here: Here) -> None:
    names = fill(here.behind, 10_000)
    assert sorted(os.listdir(here.path)) == names
    with os.scandir(here.path) as listing:
        sizes = {entry.name: entry.stat().st_size for entry in listing}
    assert sorted(sizes) == names
    (here.path / "file-05000").write_bytes(b"one more byte"[:1])
    os.unlink(here.path / "file-09999")
    assert sorted(os.listdir(here.path)) == names[:-1]


def test_attributes_of_a_listing_are_those_of_stat(here: Here) -> None:
    (here.behind / "dir").mkdir()
    (here.behind / "file").write_bytes(b"12345")
    (here.behind / "read-only").write_bytes(b"")
    os.chmod(here.path / "read-only", 0o444)
    os.symlink("file", here.path / "link")
    with os.scandir(here.path) as listing:
        listed = {entry.name: entry.stat(follow_symlinks=False) for entry in listing}
    assert sorted(listed) == ["dir", "file", "link", "read-only"]
    assert eventually(
        lambda: all(tuple(os.lstat(here.path / name)) == tuple(listed[name]) for name in listed)
    )


def test_rewinding_tells_what_is_new(here: Here) -> None:
    names = fill(here.behind, 600)
    with stream(here.path) as listing:
        assert listing.next() in names
        (here.path / "new").touch()
        os.unlink(here.path / names[300])
        LIBC.rewinddir(listing.stream)
        assert sorted(listing.rest()) == sorted({*names, "new"} - {names[300]})
        assert listing.next() is None
        LIBC.rewinddir(listing.stream)
        assert len(listing.rest()) == 600


def test_seeking_back_to_where_one_was(here: Here) -> None:
    fill(here.behind, 1500)
    with stream(here.path) as listing:
        places = []
        for _ in range(1500):
            at = listing.tell()
            places.append((at, listing.next()))
        assert listing.next() is None
        for at, name in places[::-101]:
            LIBC.seekdir(listing.stream, at)
            assert listing.next() == name


def test_names_that_come_and_go_meanwhile(here: Here) -> None:
    stay = fill(here.behind, 600, "stay")
    go = fill(here.behind, 50, "go")
    done = threading.Event()

    def change() -> None:
        for number in range(50):
            (here.path / f"new-{number}").touch()
            os.unlink(here.path / go[number])
            if number % 10 == 0:
                (here.behind / f"theirs-{number}").touch()
        done.set()

    thread = threading.Thread(target=change)
    thread.start()
    rounds = 0
    while rounds < 3 or not done.is_set():
        found = os.listdir(here.path)
        assert len(found) == len(set(found))
        assert set(stay) <= set(found)
        assert {name.partition("-")[0] for name in found} <= {"stay", "go", "new", "theirs"}
        rounds += 1
        time.sleep(0.02)
    thread.join(20)
    found = os.listdir(here.path)
    assert sorted(found) == sorted(os.listdir(here.behind))
    assert len(found) == 600 + 50 + 5


def test_what_others_do_is_listed_at_once(here: Here) -> None:
    assert os.listdir(here.path) == []
    (here.behind / "theirs").write_bytes(b"x")
    assert os.listdir(here.path) == ["theirs"]
    os.rename(here.behind / "theirs", here.behind / "moved")
    assert os.listdir(here.path) == ["moved"]
    os.unlink(here.behind / "moved")
    assert os.listdir(here.path) == []


def test_what_was_missing_is_found_soon(here: Here) -> None:
    with fails(errno.ENOENT):
        os.stat(here.path / "file")
    (here.behind / "file").write_bytes(b"x")
    assert eventually((here.path / "file").exists, BELIEF_S + 1)
    with fails(errno.ENOENT):
        os.stat(here.path / "ours")
    (here.path / "ours").touch()
    assert (here.path / "ours").exists()


def test_two_listings_of_one_directory_at_once(here: Here) -> None:
    names = fill(here.behind, 900)
    with stream(here.path) as one, stream(here.path) as two:
        found_one = [one.next() or "" for _ in range(450)]
        found_two = two.rest()
        assert sorted([*found_one, *one.rest()]) == sorted(found_two) == names


@pytest.mark.parametrize("count", [180, 256, 257])
def test_counts_about_the_boundaries(here: Here, count: int) -> None:
    names = fill(here.behind, count, "a-name-" + "x" * 150)
    assert sorted(os.listdir(here.path)) == names


def test_a_listing_by_descriptor(here: Here) -> None:
    fill(here.behind, 10)
    with opened(here.path, os.O_DIRECTORY) as fd:
        assert len(os.listdir(fd)) == 10
        os.mkdir("sub", dir_fd=fd)
        os.rename("file-00001", "sub/moved", src_dir_fd=fd, dst_dir_fd=fd)
        os.unlink("file-00002", dir_fd=fd)
        assert os.stat("sub/moved", dir_fd=fd).st_size == 0
    assert len(os.listdir(here.behind)) == 9


def test_a_directory_lists_itself_and_the_one_above(here: Here) -> None:
    (here.path / "d").mkdir()
    said = subprocess.run(
        ["ls", "-ai", here.path / "d"], capture_output=True, text=True, check=True, timeout=30
    )
    numbers = {name: number for number, name in map(str.split, said.stdout.splitlines())}
    assert numbers.keys() == {".", ".."}
    assert int(numbers["."]) == (here.path / "d").stat().st_ino
    assert int(numbers[".."]) == here.path.stat().st_ino
