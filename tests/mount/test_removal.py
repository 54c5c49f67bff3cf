"""unlink(2) and rmdir(2): of open files, of read-only ones, of directories that are not empty."""

from __future__ import annotations

import errno
import os
import shutil

from tests.mount.ground import Here, eventually, fails, noise, opened

RW = os.O_RDWR | os.O_CREAT


def test_a_name_is_gone_at_once(here: Here) -> None:
    (here.path / "file").write_bytes(b"x")
    os.unlink(here.path / "file")
    assert not (here.behind / "file").exists()
    with fails(errno.ENOENT):
        os.unlink(here.path / "file")
    with fails(errno.ENOENT):
        os.stat(here.path / "file")
    assert os.listdir(here.path) == []
    (here.path / "file").write_bytes(b"again")
    assert (here.path / "file").read_bytes() == b"again"


def test_an_open_file_lives_on_without_a_name(here: Here) -> None:
    (here.path / "file").write_bytes(noise(200_000))
    with opened(here.path / "file", os.O_RDWR) as fd, opened(here.path / "file") as reader:
        os.unlink(here.path / "file")
        assert os.listdir(here.path) == []
        with fails(errno.ENOENT):
            os.stat(here.path / "file")
        assert os.fstat(fd).st_nlink == 0
        assert os.fstat(fd).st_size == 200_000
        assert os.pread(reader, 200_000, 0) == noise(200_000)
        os.pwrite(fd, b"more", 200_000)
        os.fsync(fd)
        assert os.fstat(reader).st_size == 200_004
        assert os.pread(reader, 9, 199_999) == noise(200_000)[-1:] + b"more"
        os.ftruncate(fd, 10)
        os.utime(fd, ns=(10**18, 10**18))
        assert os.fstat(fd).st_mtime_ns == 10**18
        assert os.fstat(fd).st_size == 10
        os.fchmod(fd, 0o600)
    assert eventually(lambda: os.listdir(here.behind) == [])


def test_the_name_of_an_open_deleted_file_is_free(here: Here) -> None:
    with opened(here.path / "file", RW) as old:
        os.write(old, b"old")
        os.unlink(here.path / "file")
        with opened(here.path / "file", RW | os.O_EXCL) as new:
            os.write(new, b"new")
            assert os.fstat(new).st_ino != os.fstat(old).st_ino
            os.unlink(here.path / "file")
            assert os.pread(old, 9, 0) == b"old"
            assert os.pread(new, 9, 0) == b"new"
        (here.path / "file").write_bytes(b"third")
        assert os.pread(old, 9, 0) == b"old"
    assert (here.path / "file").read_bytes() == b"third"
    assert eventually(lambda: os.listdir(here.behind) == ["file"])


def test_unsent_bytes_of_a_deleted_file_do_no_harm(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        os.write(fd, noise(3_000_000))
        os.unlink(here.path / "file")
        os.write(fd, b"end")
        assert os.pread(fd, 9, 2_999_999) == noise(3_000_000)[-1:] + b"end"
        os.fsync(fd)
    assert eventually(lambda: os.listdir(here.behind) == [])


def test_a_file_deleted_by_others_while_we_have_it_open(here: Here) -> None:
    (here.path / "file").write_bytes(b"content")
    with opened(here.path / "file", os.O_RDWR) as fd:
        os.unlink(here.behind / "file")
        assert os.pread(fd, 9, 0) == b"content"
        os.pwrite(fd, b"C", 0)
        os.fstat(fd)
    assert os.listdir(here.behind) == []
    assert eventually(lambda: not (here.path / "file").exists())


def test_a_file_that_another_client_has_open(here: Here) -> None:
    (here.path / "file").write_bytes(b"content")
    with opened(here.other / "file") as fd:
        os.unlink(here.path / "file")
        with fails(errno.ENOENT):  # the server lists it until the other one closes it
            os.stat(here.path / "file")
        assert os.pread(fd, 9, 0) == b"content"
    assert eventually(lambda: os.listdir(here.behind) == [])


def test_read_only_files_go_too(here: Here) -> None:
    (here.path / "file").write_bytes(b"x")
    (here.path / "open").write_bytes(b"x")
    for name in ("file", "open"):
        os.chmod(here.path / name, 0o444)
    os.unlink(here.path / "file")
    with opened(here.path / "open") as fd:
        os.unlink(here.path / "open")
        assert os.read(fd, 9) == b"x"
    assert eventually(lambda: os.listdir(here.behind) == [])


def test_one_of_two_read_only_names(here: Here) -> None:
    (here.path / "a").write_bytes(b"x")
    os.link(here.path / "a", here.path / "b")
    os.chmod(here.path / "a", 0o444)
    os.unlink(here.path / "a")
    assert os.stat(here.path / "b").st_mode & 0o222 == 0
    assert os.stat(here.path / "b").st_nlink == 1


def test_files_and_directories_have_calls_of_their_own(here: Here) -> None:
    (here.path / "file").write_bytes(b"x")
    (here.path / "dir").mkdir()
    with fails(errno.EISDIR, errno.EPERM):
        os.unlink(here.path / "dir")
    with fails(errno.ENOTDIR):
        os.rmdir(here.path / "file")
    assert sorted(os.listdir(here.behind)) == ["dir", "file"]
    os.rmdir(here.path / "dir")
    with fails(errno.ENOENT):
        os.rmdir(here.path / "dir")


def test_a_directory_that_holds_something_stays(here: Here) -> None:
    (here.path / "dir").mkdir()
    (here.path / "dir" / "file").write_bytes(b"x")
    with fails(errno.ENOTEMPTY):
        os.rmdir(here.path / "dir")
    os.unlink(here.path / "dir" / "file")
    (here.behind / "dir" / "theirs").write_bytes(b"made behind our back")
    with fails(errno.ENOTEMPTY):
        os.rmdir(here.path / "dir")
    assert (here.path / "dir" / "theirs").read_bytes() == b"made behind our back"


def test_a_directory_that_holds_a_deleted_open_file_only(here: Here) -> None:
    (here.path / "dir").mkdir()
    with opened(here.path / "dir" / "file", RW) as fd:
        os.write(fd, b"kept")
        os.unlink(here.path / "dir" / "file")
        assert os.listdir(here.path / "dir") == []
        os.rmdir(here.path / "dir")
        assert not (here.behind / "dir").exists()
        assert os.pread(fd, 9, 0) == b"kept"
        os.write(fd, b" on")
        assert os.pread(fd, 9, 0) == b"kept on"
        assert os.listdir(here.path) == []
    assert eventually(lambda: os.listdir(here.behind) == [])
    assert eventually(lambda: not any(n.startswith(".smbfs") for n in hidden(here)))


def hidden(here: Here) -> list[str]:
    """The names at the root of the share, where graves of removed directories go."""
    return os.listdir(here.behind.parent)


def test_a_directory_that_is_open(here: Here) -> None:
    (here.path / "dir").mkdir()
    with opened(here.path / "dir", os.O_DIRECTORY) as fd:
        os.rmdir(here.path / "dir")
        assert os.listdir(fd) == []
        assert os.fstat(fd).st_nlink == 0
        with fails(errno.ENOENT):
            os.open("new", RW, dir_fd=fd)
        (here.path / "dir").mkdir()
    assert os.listdir(here.path) == ["dir"]


def test_a_tree_is_removed_while_it_is_listed(here: Here) -> None:
    for number in range(40):
        (here.path / "top" / f"{number % 4}").mkdir(parents=True, exist_ok=True)
        (here.path / "top" / f"{number % 4}" / f"{number}").write_bytes(b"x")
    shutil.rmtree(here.path / "top")
    assert os.listdir(here.behind) == []


def test_removing_each_file_as_it_is_listed(here: Here) -> None:
    for number in range(700):
        (here.behind / f"a-rather-long-name-of-a-file-{number:04}").touch()
    with os.scandir(here.path) as listing:
        for entry in listing:
            os.unlink(entry.path)
    assert os.listdir(here.behind) == []
    assert os.listdir(here.path) == []
