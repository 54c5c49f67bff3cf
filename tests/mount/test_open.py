"""open(2) with each of its flags, on a real mount."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from tests.mount.ground import Here, fails, opened

RW = os.O_RDWR | os.O_CREAT


def test_a_missing_file_is_missing(here: Here) -> None:
    with fails(errno.ENOENT):
        os.open(here.path / "absent", os.O_RDWR)
    with fails(errno.ENOENT):
        os.open(here.path / "absent" / "child", RW)


def test_create_makes_an_empty_file_and_opens_one_that_is_there(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        os.write(fd, b"kept")
    with opened(here.path / "file", RW) as fd:
        assert os.read(fd, 9) == b"kept"
    assert (here.behind / "file").read_bytes() == b"kept"


def test_exclusive_creation_refuses_what_is_there(here: Here) -> None:
    with opened(here.path / "file", RW | os.O_EXCL):
        pass
    with fails(errno.EEXIST):
        os.open(here.path / "file", RW | os.O_EXCL)
    with fails(errno.ENOENT):
        os.stat(here.path / "theirs")
    (here.behind / "theirs").write_text("made behind our back")
    with fails(errno.EEXIST):
        os.open(here.path / "theirs", RW | os.O_EXCL)
    os.symlink("nowhere", here.path / "link")
    with fails(errno.EEXIST):
        os.open(here.path / "link", RW | os.O_EXCL)


def test_of_many_exclusive_creators_on_two_mounts_one_wins(here: Here) -> None:
    winners: list[int] = []
    start = threading.Barrier(12)

    def create(number: int) -> None:
        place = here.path if number % 2 else here.other
        start.wait(10)
        try:
            fd = os.open(place / "lock", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return
        winners.append(number)
        os.close(fd)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(winners) == 1


def test_truncating_at_open_keeps_the_file(here: Here) -> None:
    (here.path / "file").write_bytes(b"long content")
    os.setxattr(here.path / "file", "user.kept", b"yes")
    before = os.stat(here.path / "file").st_ino
    with opened(here.path / "file") as reader:
        with opened(here.path / "file", os.O_WRONLY | os.O_TRUNC) as fd:
            assert os.fstat(fd).st_size == os.fstat(reader).st_size == 0
            assert os.pread(reader, 5, 0) == b""
            os.write(fd, b"new")
        assert os.pread(reader, 9, 0) == b"new"
    assert os.stat(here.path / "file").st_ino == before
    assert os.getxattr(here.path / "file", "user.kept") == b"yes"
    assert (here.behind / "file").read_bytes() == b"new"


def test_truncating_a_file_of_unsent_bytes_leaves_none(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        os.write(fd, b"x" * 300_000)
        os.close(os.open(here.path / "file", os.O_WRONLY | os.O_TRUNC))
        assert os.fstat(fd).st_size == 0
    assert (here.behind / "file").read_bytes() == b""


def test_appends_of_two_mounts_and_of_the_server_follow_each_other(here: Here) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    with opened(here.path / "log", flags) as ours, opened(here.other / "log", flags) as theirs:
        for number in range(8):
            os.write(ours, b"a%d\n" % number)
            os.write(theirs, b"b%d\n" % number)
            with (here.behind / "log").open("ab") as local:
                local.write(b"c%d\n" % number)
    wanted = [f"{who}{number}" for number in range(8) for who in "abc"]
    assert (here.behind / "log").read_text().split() == wanted
    assert (here.path / "log").read_text().split() == wanted


def test_appending_ignores_the_offset(here: Here) -> None:
    (here.path / "log").write_bytes(b"0123456789")
    with opened(here.path / "log", os.O_RDWR | os.O_APPEND) as fd:
        assert os.pwrite(fd, b"end", 2) == 3
        assert os.lseek(fd, 0, os.SEEK_CUR) == 0
        os.write(fd, b"!")
        assert os.lseek(fd, 0, os.SEEK_CUR) == 14
        assert os.pread(fd, 99, 0) == b"0123456789end!"
    assert (here.behind / "log").read_bytes() == b"0123456789end!"


def test_appends_of_many_threads_are_not_torn(here: Here) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT

    def append(letter: bytes) -> None:
        with opened(here.path / "log", flags) as fd:
            for _ in range(15):
                assert os.write(fd, letter * 700 + b"\n") == 701

    threads = [threading.Thread(target=append, args=(b"%c" % c,)) for c in b"abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    lines = (here.behind / "log").read_bytes().splitlines()
    assert sorted(lines) == sorted(b"%c" % c * 700 for c in b"abcdef" for _ in range(15))


def test_direct_reads_and_writes_meet_the_server(here: Here) -> None:
    with opened(here.path / "file", RW | os.O_DIRECT) as fd:
        assert os.pwrite(fd, b"odd bytes", 3) == 9
        assert (here.behind / "file").read_bytes() == b"\0\0\0odd bytes"
        with (here.behind / "file").open("r+b") as local:
            local.write(b"changed")
        assert os.pread(fd, 5, 1) == b"hange"
        assert os.pread(fd, 99, 7) == b"bytes"
        assert os.pread(fd, 99, 12) == b""


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
def test_a_synchronous_write_is_on_the_server_when_it_returns(here: Here, flag: int) -> None:
    with opened(here.path / "file", RW | flag) as fd:
        for number in range(3):
            os.write(fd, b"%d" % number * 5000)
            assert (here.behind / "file").stat().st_size == 5000 * (number + 1)
        os.pwrite(fd, b"!", 0)
        assert (here.behind / "file").read_bytes()[:2] == b"!0"


def test_the_access_mode_holds(here: Here) -> None:
    (here.path / "file").write_bytes(b"bytes")
    with opened(here.path / "file", os.O_RDONLY) as fd:
        with fails(errno.EBADF):
            os.write(fd, b"no")
        with fails(errno.EINVAL, errno.EBADF):
            os.ftruncate(fd, 1)
    with opened(here.path / "file", os.O_WRONLY) as fd, fails(errno.EBADF):
        os.read(fd, 1)


def test_directories_are_opened_as_such(here: Here) -> None:
    (here.path / "dir").mkdir()
    (here.path / "file").write_bytes(b"")
    with fails(errno.EISDIR):
        os.open(here.path / "dir", os.O_RDWR)
    with fails(errno.EISDIR):
        os.open(here.path / "dir", RW)
    with fails(errno.ENOTDIR):
        os.open(here.path / "file", os.O_DIRECTORY)
    with fails(errno.ENOTDIR):
        os.open(here.path / "file" / "below", os.O_RDONLY)
    with opened(here.path / "dir", os.O_DIRECTORY) as fd:
        os.fsync(fd)
        with fails(errno.EISDIR):
            os.read(fd, 1)
        with opened("new", RW, dir_fd=fd) as inside:
            os.write(inside, b"by openat")
    assert (here.behind / "dir" / "new").read_bytes() == b"by openat"


def test_links_are_followed_unless_told_not_to(here: Here) -> None:
    (here.path / "file").write_bytes(b"target")
    os.symlink("file", here.path / "link")
    os.symlink("new", here.path / "to-new")
    os.symlink("loop", here.path / "loop")
    with opened(here.path / "link") as fd:
        assert os.read(fd, 9) == b"target"
    with fails(errno.ELOOP):
        os.open(here.path / "link", os.O_RDONLY | os.O_NOFOLLOW)
    with fails(errno.ELOOP):
        os.open(here.path / "loop", os.O_RDONLY)
    with opened(here.path / "to-new", RW) as fd:
        os.write(fd, b"through the link")
    assert (here.behind / "new").read_bytes() == b"through the link"


def test_a_file_without_a_name_is_refused_in_plain_words(here: Here) -> None:
    with fails(errno.EOPNOTSUPP):
        os.open(here.path, os.O_TMPFILE | os.O_RDWR)


def test_a_path_descriptor_leads_to_its_file(here: Here) -> None:
    (here.path / "file").write_bytes(b"12345")
    with opened(here.path / "file", os.O_PATH) as fd:
        assert os.fstat(fd).st_size == 5
        with fails(errno.EBADF):
            os.read(fd, 1)
        with opened(f"/proc/self/fd/{fd}", os.O_RDONLY) as again:
            assert os.read(again, 9) == b"12345"


def test_a_new_read_only_file_can_be_written_by_who_made_it(here: Here) -> None:
    with opened(here.path / "file", RW | os.O_EXCL, 0o444) as fd:
        os.write(fd, b"written")
        assert os.fstat(fd).st_mode & 0o222 == 0
    assert (here.path / "file").read_bytes() == b"written"
    assert os.stat(here.path / "file").st_mode & 0o222 == 0
