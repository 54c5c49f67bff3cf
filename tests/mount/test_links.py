"""Hard and symbolic links on a real mount."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from tests.mount.ground import Here, fails, opened

TARGETS = [
    "file",
    "../up/and/down",
    "/absolute/path",
    "dangling, with spaces & signs",
    "ünïcödé/日本語",
    ".",
    "a:b*c?",
    "trailing. ",
    "back\\slash",
    "x" * 250,
    "/".join(["deep"] * 180),
]


@pytest.mark.parametrize("target", TARGETS)
def test_a_link_leads_where_it_was_told(here: Here, target: str) -> None:
    os.symlink(target, here.path / "link")
    found = os.lstat(here.path / "link")
    assert stat.S_ISLNK(found.st_mode)
    assert found.st_size == len(os.fsencode(target))
    assert os.readlink(here.path / "link") == target
    assert os.readlink(here.other / "link") == target
    assert [(e.name, e.is_symlink()) for e in os.scandir(here.other)] == [("link", True)]
    with fails(errno.EINVAL):
        os.readlink(here.path)


def test_links_are_followed(here: Here) -> None:
    (here.path / "dir").mkdir()
    (here.path / "dir" / "file").write_bytes(b"content")
    os.symlink("dir", here.path / "to-dir")
    os.symlink("to-dir/file", here.path / "to-file")
    os.symlink("nowhere", here.path / "to-nowhere")
    assert (here.path / "to-file").read_bytes() == b"content"
    assert os.listdir(here.path / "to-dir") == ["file"]
    assert os.path.realpath(here.path / "to-file") == str(here.path / "dir" / "file")
    with fails(errno.ENOENT):
        os.stat(here.path / "to-nowhere")
    with fails(errno.EEXIST):
        os.symlink("other", here.path / "to-nowhere")


def test_a_link_is_removed_and_renamed_as_itself(here: Here) -> None:
    (here.path / "file").write_bytes(b"content")
    os.symlink("file", here.path / "link")
    os.rename(here.path / "link", here.path / "moved")
    assert os.readlink(here.path / "moved") == "file"
    os.symlink("elsewhere", here.path / "second")
    os.rename(here.path / "second", here.path / "moved")
    assert os.readlink(here.path / "moved") == "elsewhere"
    os.unlink(here.path / "moved")
    assert os.listdir(here.behind) == ["file"]


def test_a_link_to_a_directory_is_unlinked_not_emptied(here: Here) -> None:
    (here.path / "dir").mkdir()
    (here.path / "dir" / "file").write_bytes(b"content")
    os.symlink("dir", here.path / "link")
    with fails(errno.ENOTDIR):
        os.rmdir(here.path / "link")
    os.unlink(here.path / "link")
    assert os.listdir(here.path / "dir") == ["file"]


def test_a_link_has_times_of_its_own(here: Here) -> None:
    (here.path / "file").write_bytes(b"content")
    os.symlink("file", here.path / "link")
    os.utime(here.path / "link", ns=(10**18, 2 * 10**18), follow_symlinks=False)
    assert os.lstat(here.path / "link").st_mtime_ns == 2 * 10**18
    assert os.stat(here.path / "link").st_mtime_ns != 2 * 10**18
    assert os.readlink(here.path / "link") == "file"


def test_a_link_replaced_by_another_leads_elsewhere(here: Here) -> None:
    for number in range(6):  # of the same length: what changed is in the content only
        os.symlink(f"target-{number}", here.path / "next")
        os.rename(here.path / "next", here.path / "current")
        assert os.readlink(here.path / "current") == f"target-{number}"
        assert os.readlink(here.other / "current") == f"target-{number}"


def test_hard_links_are_one_file(here: Here) -> None:
    (here.path / "dir").mkdir()
    (here.path / "a").write_bytes(b"one")
    os.link(here.path / "a", here.path / "b")
    os.link(here.path / "b", here.path / "dir" / "c")
    places = [here.path / "a", here.path / "b", here.path / "dir" / "c"]
    assert len({os.stat(place).st_ino for place in places}) == 1
    assert {os.stat(place).st_nlink for place in places} == {3}
    with places[2].open("ab") as more:
        more.write(b" and all")
    assert [place.read_bytes() for place in places] == [b"one and all"] * 3
    os.unlink(here.path / "a")
    assert os.stat(here.path / "b").st_nlink == 2
    assert (here.behind / "b").stat().st_nlink == 2
    assert (here.path / "dir" / "c").read_bytes() == b"one and all"


def test_links_made_behind_our_back_are_one_file(here: Here) -> None:
    (here.behind / "a").write_bytes(b"one")
    os.link(here.behind / "a", here.behind / "b")
    with os.scandir(here.path) as listing:
        assert len({entry.inode() for entry in listing}) == 1
    assert os.path.samefile(here.path / "a", here.path / "b")
    assert os.stat(here.path / "a").st_nlink == 2
    with opened(here.path / "a", os.O_RDWR) as a, opened(here.path / "b") as b:
        os.pwrite(a, b"ONE", 0)
        assert os.pread(b, 9, 0) == b"ONE"


def test_what_cannot_be_linked(here: Here) -> None:
    (here.path / "dir").mkdir()
    (here.path / "a").write_bytes(b"a")
    (here.path / "b").write_bytes(b"b")
    with fails(errno.EPERM):
        os.link(here.path / "dir", here.path / "dir2")
    with fails(errno.EEXIST):
        os.link(here.path / "a", here.path / "b")
    with fails(errno.ENOENT):
        os.link(here.path / "absent", here.path / "c")
    with fails(errno.EXDEV):
        os.link(here.path / "a", here.other / "c")


def test_a_link_to_an_open_file_and_to_one_without_a_name(here: Here) -> None:
    with opened(here.path / "a", os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, b"unsent")
        os.link(here.path / "a", here.path / "b")
        os.write(fd, b" bytes")
        assert os.fstat(fd).st_nlink == 2
        os.unlink(here.path / "a")
        assert os.fstat(fd).st_nlink == 1
        assert (here.path / "b").read_bytes() == b"unsent bytes"
        os.unlink(here.path / "b")
        assert os.fstat(fd).st_nlink == 0


def test_special_files_are_made_or_refused(here: Here) -> None:
    try:
        os.mkfifo(here.path / "fifo")
    except PermissionError:
        assert os.listdir(here.behind) == []
    else:
        assert stat.S_ISFIFO(os.stat(here.path / "fifo").st_mode)
    os.mknod(here.path / "file", stat.S_IFREG | 0o644)
    assert os.stat(here.path / "file").st_size == 0
