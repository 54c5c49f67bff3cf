"""rename(2) in all its cases, on a real mount."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from pathlib import Path

from tests.mount.ground import Here, eventually, fails, noise, opened

NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
AT_FDCWD = -100
LIBC = ctypes.CDLL(None, use_errno=True)


def renameat2(old: Path, new: Path, flags: int) -> None:
    """Call renameat2(2), which Python does not offer."""
    if LIBC.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(new))


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def test_to_a_free_name_in_the_same_directory_and_in_another(here: Here) -> None:
    (here.path / "a").write_bytes(b"content")
    (here.path / "dir").mkdir()
    node = os.stat(here.path / "a").st_ino
    os.rename(here.path / "a", here.path / "b")
    os.rename(here.path / "b", here.path / "dir" / "c")
    assert names(here.path) == names(here.behind) == ["dir"]
    assert (here.path / "dir" / "c").read_bytes() == b"content"
    assert os.stat(here.path / "dir" / "c").st_ino == node
    with fails(errno.ENOENT):
        os.stat(here.path / "a")
    with fails(errno.ENOENT):
        os.rename(here.path / "a", here.path / "z")
    with fails(errno.ENOENT):
        os.rename(here.path / "dir" / "c", here.path / "nowhere" / "c")


def test_over_another_file(here: Here) -> None:
    (here.path / "old").write_bytes(b"old content")
    (here.path / "new").write_bytes(b"new")
    node = os.stat(here.path / "new").st_ino
    os.rename(here.path / "new", here.path / "old")
    assert names(here.path) == names(here.behind) == ["old"]
    assert (here.path / "old").read_bytes() == b"new"
    assert os.stat(here.path / "old").st_ino == node


def test_noreplace_and_exchange(here: Here) -> None:
    (here.path / "a").write_bytes(b"a")
    (here.path / "b").write_bytes(b"b")
    with fails(errno.EEXIST):
        renameat2(here.path / "a", here.path / "b", NOREPLACE)
    with fails(errno.EINVAL):
        renameat2(here.path / "a", here.path / "b", EXCHANGE)
    with fails(errno.EINVAL):
        renameat2(here.path / "a", here.path / "b", WHITEOUT)
    assert (here.behind / "a").read_bytes() == b"a"
    assert (here.behind / "b").read_bytes() == b"b"
    renameat2(here.path / "a", here.path / "c", NOREPLACE)
    assert names(here.behind) == ["b", "c"]
    (here.behind / "theirs").write_bytes(b"theirs")
    with fails(errno.EEXIST):
        renameat2(here.path / "c", here.path / "theirs", NOREPLACE)
    assert (here.behind / "theirs").read_bytes() == b"theirs"


def test_a_directory_with_what_is_in_it(here: Here) -> None:
    (here.path / "dir" / "sub").mkdir(parents=True)
    (here.path / "dir" / "sub" / "file").write_bytes(b"deep")
    with opened(here.path / "dir" / "sub" / "empty", os.O_WRONLY | os.O_CREAT):
        pass
    (here.path / "else").mkdir()
    os.rename(here.path / "dir", here.path / "else" / "moved")
    assert (here.path / "else" / "moved" / "sub" / "file").read_bytes() == b"deep"
    with fails(errno.ENOENT):
        os.stat(here.path / "dir" / "sub" / "file")
    (here.path / "else" / "moved" / "sub" / "more").write_bytes(b"!")
    assert names(here.behind / "else" / "moved" / "sub") == ["empty", "file", "more"]


def test_a_directory_that_is_being_listed(here: Here) -> None:
    (here.path / "dir").mkdir()
    for number in range(300):
        (here.behind / "dir" / f"{number:03}").touch()
    with os.scandir(here.path / "dir") as listing:
        found = [next(listing).name]
        os.rename(here.path / "dir", here.path / "moved")
        found += [entry.name for entry in listing]
    assert sorted(found) == names(here.path / "moved") == [f"{n:03}" for n in range(300)]


def test_a_directory_over_an_empty_one_only(here: Here) -> None:
    for name in ("a", "empty", "full"):
        (here.path / name).mkdir()
    (here.path / "a" / "file").write_bytes(b"in a")
    (here.path / "full" / "file").write_bytes(b"in full")
    with fails(errno.ENOTEMPTY, errno.EEXIST):
        os.rename(here.path / "a", here.path / "full")
    os.rename(here.path / "a", here.path / "empty")
    assert names(here.path) == names(here.behind) == ["empty", "full"]
    assert (here.path / "empty" / "file").read_bytes() == b"in a"
    assert (here.path / "full" / "file").read_bytes() == b"in full"


def test_types_do_not_replace_each_other(here: Here) -> None:
    (here.path / "dir").mkdir()
    (here.path / "file").write_bytes(b"file")
    with fails(errno.EISDIR):
        os.rename(here.path / "file", here.path / "dir")
    with fails(errno.ENOTDIR):
        os.rename(here.path / "dir", here.path / "file")
    os.symlink("dir", here.path / "link")
    os.rename(here.path / "file", here.path / "link")  # the link itself is replaced
    assert names(here.path) == ["dir", "link"]
    assert (here.path / "link").read_bytes() == b"file"


def test_onto_itself_and_onto_another_link_nothing_happens(here: Here) -> None:
    (here.path / "a").write_bytes(b"same")
    os.link(here.path / "a", here.path / "b")
    os.rename(here.path / "a", here.path / "a")
    os.rename(here.path / "a", here.path / "b")
    assert names(here.path) == names(here.behind) == ["a", "b"]
    with fails(errno.EEXIST):
        renameat2(here.path / "a", here.path / "b", NOREPLACE)


def test_a_directory_cannot_go_into_itself(here: Here) -> None:
    (here.path / "dir" / "sub").mkdir(parents=True)
    with fails(errno.EINVAL):
        os.rename(here.path / "dir", here.path / "dir" / "sub" / "again")
    with fails(errno.ENOTEMPTY, errno.EEXIST):
        os.rename(here.path / "dir" / "sub", here.path / "dir")
    assert names(here.path / "dir") == ["sub"]


def test_only_the_case_of_a_name(here: Here) -> None:
    # To a server that does not tell case apart both names are one file, and the kernel does not
    # rename a file onto itself; by way of another name it can be done.
    (here.path / "file").write_bytes(b"content")
    os.rename(here.path / "file", here.path / "File")
    assert (here.path / "File").read_bytes() == b"content"
    os.rename(here.path / "File", here.path / "other")
    os.rename(here.path / "other", here.path / "File")
    assert names(here.path) == names(here.behind) == ["File"]
    assert (here.path / "File").read_bytes() == b"content"


def test_over_an_open_file_whose_reader_keeps_the_old_bytes(here: Here) -> None:
    (here.path / "old").write_bytes(noise(300_000, 1))
    (here.path / "new").write_bytes(noise(300_000, 2))
    with opened(here.path / "old", os.O_RDWR) as fd:
        node = os.fstat(fd).st_ino
        assert os.pread(fd, 10, 0) == noise(300_000, 1)[:10]
        os.rename(here.path / "new", here.path / "old")
        assert (here.path / "old").read_bytes() == noise(300_000, 2)
        assert os.pread(fd, 10, 290_000) == noise(300_000, 1)[290_000:290_010]
        os.pwrite(fd, b"still mine", 5)
        assert os.pread(fd, 10, 5) == b"still mine"
        assert os.fstat(fd).st_ino == node
        assert os.fstat(fd).st_nlink == 0
        assert names(here.path) == ["old"]
    assert eventually(lambda: names(here.behind) == ["old"])
    assert (here.behind / "old").read_bytes() == noise(300_000, 2)


def test_an_open_file_is_written_under_its_new_name(here: Here) -> None:
    with opened(here.path / "temporary", os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, b"before, ")
        os.rename(here.path / "temporary", here.path / "final")
        os.write(fd, b"after")
        assert os.pread(fd, 99, 0) == b"before, after"
        assert os.fstat(fd).st_size == 13
        assert os.fstat(fd).st_nlink == 1
    assert (here.behind / "final").read_bytes() == b"before, after"
    assert names(here.path) == names(here.behind) == ["final"]


def test_an_open_file_over_an_open_file(here: Here) -> None:
    with (
        opened(here.path / "a", os.O_RDWR | os.O_CREAT) as a,
        opened(here.path / "b", os.O_RDWR | os.O_CREAT) as b,
    ):
        os.write(a, b"of a")
        os.write(b, b"of b")
        os.rename(here.path / "a", here.path / "b")
        os.write(a, b"!")
        os.write(b, b"?")
        assert os.pread(a, 9, 0) == b"of a!"
        assert os.pread(b, 9, 0) == b"of b?"
    assert eventually(lambda: names(here.behind) == ["b"])
    assert (here.path / "b").read_bytes() == b"of a!"


def test_an_ancestor_of_an_open_file(here: Here) -> None:
    # SMB servers refuse to rename above an open file; then nothing may have changed.
    (here.path / "top" / "mid").mkdir(parents=True)
    with opened(here.path / "top" / "mid" / "file", os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, b"one")
        os.fsync(fd)
        refused = None
        try:
            os.rename(here.path / "top", here.path / "renamed")
        except OSError as error:
            refused = error.errno
        os.write(fd, b" two")
        assert refused in (None, errno.EACCES, errno.EBUSY, errno.ETXTBSY)
        top = here.path / ("top" if refused else "renamed")
        assert (top / "mid" / "file").read_bytes() == b"one two"
        assert os.listdir(here.behind) == [top.name]


def test_over_a_file_that_somebody_else_has_open(here: Here) -> None:
    (here.path / "old").write_bytes(b"old")
    (here.path / "new").write_bytes(b"new")
    with opened(here.other / "old") as fd:
        os.rename(here.path / "new", here.path / "old")
        assert (here.path / "old").read_bytes() == b"new"
        assert os.pread(fd, 9, 0) == b"old"
    assert [name for name in names(here.behind) if not name.startswith(".")] == ["old"]


def test_a_replaced_name_is_never_missing(here: Here) -> None:
    (here.path / "file").write_bytes(b"0")
    missed: list[Exception] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            try:
                os.stat(here.path / "file")
            except OSError as error:
                missed.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for number in range(20):
            (here.path / "new").write_bytes(b"%d" % number)
            os.rename(here.path / "new", here.path / "file")
            assert (here.path / "file").read_bytes() == b"%d" % number
    finally:
        done.set()
        thread.join(10)
    assert not missed
