"""What hides behind a reparse point or in 1067 bytes."""

import os
import stat

import pytest

from smbfs.engine.information import Information
from smbfs.vfs.special import (
    Special,
    from_link_file,
    from_reparse,
    has_telling_tag,
    is_plain,
    may_be_link_file,
)
from smbfs.wire.constants import Attributes
from smbfs.wire.reparse import (
    MountPoint,
    Other,
    PosixLink,
    Reparse,
    ReparseTag,
    SymbolicLink,
    pack_reparse,
)
from smbfs.wire.reparse import Special as Device
from smbfs.wire.symlink import MFSYMLINK_SIZE, pack_mfsymlink
from smbfs.wire.units import NameMap

REPARSE = Attributes.REPARSE_POINT
DEDUPLICATED = 0x80000013


@pytest.mark.parametrize(
    ("information", "is_suspicious"),
    [
        (Information(end_of_file=1067), True),
        (Information(end_of_file=1067, attributes=Attributes.DIRECTORY), False),
        (Information(end_of_file=1067, attributes=REPARSE, reparse_tag=DEDUPLICATED), False),
        (Information(end_of_file=1066), False),
        (Information(attributes=REPARSE), True),
        (Information(attributes=REPARSE, reparse_tag=ReparseTag.SYMLINK), True),
        (Information(attributes=REPARSE, reparse_tag=ReparseTag.MOUNT_POINT), False),
        (Information(reparse_tag=ReparseTag.SYMLINK), False),
    ],
)
def test_which_files_have_to_be_read(information: Information, is_suspicious: bool) -> None:
    assert is_plain(information) is not is_suspicious
    assert (may_be_link_file(information) or has_telling_tag(information)) is is_suspicious


@pytest.mark.parametrize(
    ("reparse", "special"),
    [
        (SymbolicLink("a\\b", "a\\b", True), Special(stat.S_IFLNK, b"a/b")),
        (PosixLink(ReparseTag.NFS, b"/x"), Special(stat.S_IFLNK, b"/x")),
        (PosixLink(ReparseTag.LX_SYMLINK, b"y"), Special(stat.S_IFLNK, b"y")),
        (Device(ReparseTag.NFS, stat.S_IFBLK, 8, 1), Special(stat.S_IFBLK, None, os.makedev(8, 1))),
        (Device(ReparseTag.NFS, stat.S_IFBLK, 4096, 1), Special(stat.S_IFBLK)),
        (Device(ReparseTag.NFS, stat.S_IFCHR, 1, 1 << 20), Special(stat.S_IFCHR)),
        (Device(ReparseTag.LX_FIFO, stat.S_IFIFO), Special(stat.S_IFIFO)),
        (Device(ReparseTag.AF_UNIX, stat.S_IFSOCK), Special(stat.S_IFSOCK)),
        (MountPoint("\\??\\C:\\x", "C:\\x"), None),
        (Other(DEDUPLICATED, b"whatever"), None),
        (SymbolicLink("", "", True), None),
    ],
)
def test_what_a_reparse_buffer_says(reparse: Reparse, special: Special | None) -> None:
    assert from_reparse(pack_reparse(reparse), NameMap.SFM) == special


def test_windows_drives_are_where_the_option_says() -> None:
    link = SymbolicLink("\\??\\C:\\x", "C:\\x", False)
    found = from_reparse(pack_reparse(link), NameMap.SFM, b"/mnt")
    assert found == Special(stat.S_IFLNK, b"/mnt/c/x")


def test_nonsense_is_an_ordinary_file() -> None:
    assert from_reparse(b"", NameMap.SFM) is None
    assert from_reparse(b"\x0c\0\0\xa0\x04\0\0\0abcd", NameMap.SFM) is None
    assert from_link_file(bytes(MFSYMLINK_SIZE)) is None


def test_a_minshall_french_link() -> None:
    assert from_link_file(pack_mfsymlink(b"t")) == Special(stat.S_IFLNK, b"t")
