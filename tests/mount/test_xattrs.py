"""Extended attributes on a real mount."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
from pathlib import Path

import pytest

from tests.mount.ground import Here, fails, noise, opened

# Version 2; owner, group and others with their permissions.
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHi", tag, permissions, -1) for tag, permissions in ((1, 6), (4, 4), (32, 4))
)


@pytest.fixture
def file(here: Here) -> Path:
    """A small file."""
    path = here.path / "file"
    path.write_bytes(b"content")
    return path


def test_an_attribute_is_set_read_listed_and_removed(here: Here, file: Path) -> None:
    assert os.listxattr(file) == []
    with fails(errno.ENODATA):
        os.getxattr(file, "user.colour")
    os.setxattr(file, "user.colour", b"blue")
    os.setxattr(file, "user.shape", bytes(range(256)))
    assert os.getxattr(file, "user.colour") == b"blue"
    assert sorted(name.lower() for name in os.listxattr(file)) == ["user.colour", "user.shape"]
    assert os.getxattr(here.other / "file", "user.shape") == bytes(range(256))
    os.setxattr(file, "user.colour", b"red")
    assert os.getxattr(file, "user.colour") == b"red"
    os.removexattr(file, "user.colour")
    with fails(errno.ENODATA):
        os.getxattr(file, "user.colour")
    with fails(errno.ENODATA):
        os.removexattr(file, "user.colour")
    assert file.read_bytes() == b"content"


def test_create_and_replace(file: Path) -> None:
    with fails(errno.ENODATA):
        os.setxattr(file, "user.a", b"1", os.XATTR_REPLACE)
    os.setxattr(file, "user.a", b"1", os.XATTR_CREATE)
    with fails(errno.EEXIST):
        os.setxattr(file, "user.a", b"2", os.XATTR_CREATE)
    os.setxattr(file, "user.a", b"3", os.XATTR_REPLACE)
    assert os.getxattr(file, "user.a") == b"3"


def test_directories_and_descriptors_have_them_too(here: Here, file: Path) -> None:
    os.setxattr(here.path, "user.dir", b"yes")
    assert os.getxattr(here.path, "user.dir") == b"yes"
    with opened(file, os.O_RDWR) as fd:
        os.setxattr(fd, "user.open", b"yes")
        assert os.getxattr(fd, "user.open") == b"yes"
        assert len(os.listxattr(fd)) == 1
    os.removexattr(here.path, "user.dir")


def test_a_large_value_is_kept_or_refused(file: Path) -> None:
    os.setxattr(file, "user.middle", noise(1000))
    assert os.getxattr(file, "user.middle") == noise(1000)
    kept = noise(3000)  # ext4 keeps 4 KiB of all of them
    os.setxattr(file, "user.middle", kept)
    with fails(errno.E2BIG, errno.ENOSPC, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO, errno.EACCES):
        os.setxattr(file, "user.large", noise(65_536))
    assert os.getxattr(file, "user.middle") == kept


def test_what_the_server_cannot_keep_is_answered_here(file: Path) -> None:
    for name in ("security.ima", "security.capability", "trusted.x"):
        with fails(errno.ENODATA):
            os.getxattr(file, name)
    for name in ("system.posix_acl_access", "system.posix_acl_default"):
        with fails(errno.EOPNOTSUPP, errno.ENODATA):
            os.getxattr(file, name)
    with fails(errno.EOPNOTSUPP):
        os.setxattr(file, "system.posix_acl_access", ACL)
    with fails(errno.EOPNOTSUPP, errno.EPERM):
        os.setxattr(file, "security.anything", b"x")


def test_they_outlive_a_rename_and_another_look(here: Here, file: Path) -> None:
    os.setxattr(file, "user.tag", b"kept")
    os.rename(file, here.path / "moved")
    assert os.getxattr(here.path / "moved", "user.tag") == b"kept"
    assert os.getxattr(here.other / "moved", "user.tag") == b"kept"


def test_the_tools_of_the_attr_and_acl_packages(here: Here, file: Path) -> None:
    subprocess.run(["setfattr", "-n", "user.who", "-v", "me", file], check=True, timeout=20)
    shown = subprocess.run(
        ["getfattr", "--absolute-names", "-d", file],
        check=True,
        timeout=20,
        capture_output=True,
        text=True,
    ).stdout
    assert "=" in shown
    assert "me" in shown
    subprocess.run(["getfacl", "--absolute-names", file], check=True, timeout=20)
