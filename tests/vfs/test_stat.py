"""SMB's description of a file into POSIX's and back."""

import errno
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.engine.information import Information
from smbfs.fuse.server import Attributes, Change, Node
from smbfs.vfs.presentation import Presentation
from smbfs.vfs.special import Special
from smbfs.vfs.stat import (
    COMPRESSED,
    ENCRYPTED,
    IMMUTABLE,
    Basic,
    Override,
    attributes_of,
    basic_of,
    check_ownership,
    dos_attributes_of,
    filetime,
    settable,
)
from smbfs.wire.constants import Attributes as Dos
from smbfs.wire.units import filetime_to_ns
from tests.vfs.tables import fails

SHOWN = Presentation(1000, 100, file_mode=0o644, dir_mode=0o711)
DAY = 864_000_000_000  # in FILETIME's units
NOW = 150_000 * DAY


def shown(information: Information, special: Special | None = None, **more: object) -> Attributes:
    links = more.pop("links", 1)
    return attributes_of(Node(7), information, special, SHOWN, links=links, **more)  # type: ignore[arg-type]  # passed through


def test_a_file() -> None:
    told = shown(
        Information(
            creation_time=NOW,
            last_access_time=NOW + 1,
            last_write_time=NOW + 2,
            change_time=NOW + 3,
            allocation_size=4097,
            end_of_file=3000,
        ),
        links=3,
    )
    assert (told.node, told.uid, told.gid, told.links) == (7, 1000, 100, 3)
    assert told.mode == stat.S_IFREG | 0o644
    assert (told.size, told.blocks, told.block_size) == (3000, 9, 1 << 20)
    times = told.birth_ns, told.atime_ns, told.mtime_ns, told.ctime_ns
    assert times == tuple(filetime_to_ns(NOW + extra) for extra in range(4))


def test_times_that_the_server_does_not_keep() -> None:
    told = shown(Information(last_write_time=NOW, last_access_time=-1))
    assert told.atime_ns == told.ctime_ns == told.mtime_ns == filetime_to_ns(NOW)
    assert told.birth_ns == 0
    assert shown(Information()).mtime_ns == 0


def test_a_directory_keeps_its_mode_when_windows_says_readonly() -> None:
    told = shown(Information(attributes=Dos.DIRECTORY | Dos.READONLY))
    assert told.mode == stat.S_IFDIR | 0o711
    assert told.links == 2
    assert shown(Information(attributes=Dos.DIRECTORY), links=0).links == 0


def test_readonly_takes_the_write_bits() -> None:
    assert shown(Information(attributes=Dos.READONLY)).mode == stat.S_IFREG | 0o444


def test_flags_are_attributes() -> None:
    assert shown(Information(attributes=Dos.ARCHIVE | Dos.HIDDEN)).flags == 0
    assert shown(Information(attributes=Dos.READONLY)).flags == IMMUTABLE
    assert shown(Information(attributes=Dos.READONLY | Dos.DIRECTORY)).flags == 0
    both = Dos.COMPRESSED | Dos.ENCRYPTED
    assert shown(Information(attributes=both)).flags == COMPRESSED | ENCRYPTED


def test_a_link_has_the_size_of_its_target() -> None:
    link = Special(stat.S_IFLNK, b"over/there")
    told = shown(Information(end_of_file=1067, attributes=Dos.READONLY), link)
    assert told.mode == stat.S_IFLNK | 0o777
    assert told.size == 10


def test_a_device() -> None:
    told = shown(Information(), Special(stat.S_IFCHR, rdev=0x103))
    assert told.mode == stat.S_IFCHR | 0o644
    assert told.rdev == 0x103


def test_bytes_without_blocks_are_no_hole() -> None:
    assert shown(Information(end_of_file=1025)).blocks == 3
    assert shown(Information(end_of_file=1025, attributes=Dos.SPARSE_FILE)).blocks == 0


def test_what_dynperm_keeps_is_shown() -> None:
    told = shown(Information(), override=Override(mode=0o4711, gid=5))
    assert told.mode == stat.S_IFREG | 0o4711
    assert (told.uid, told.gid) == (1000, 5)


@pytest.mark.parametrize(
    ("mode", "before", "after"),
    [
        (0o600, Dos.ARCHIVE, 0),
        (0o444, Dos.ARCHIVE, Dos.ARCHIVE | Dos.READONLY),
        (0o444, 0, Dos.READONLY),
        (0o644, Dos.READONLY, Dos.NORMAL),
        (0o200, Dos.READONLY | Dos.HIDDEN, Dos.HIDDEN),
        (0o400, Dos.READONLY, 0),
    ],
)
def test_chmod_stores_whether_anybody_may_write(mode: int, before: int, after: int) -> None:
    assert basic_of(Change(mode=mode), stat.S_IFREG, before) == Basic(attributes=after)


@pytest.mark.parametrize("kind", [stat.S_IFDIR, stat.S_IFLNK])
def test_chmod_stores_nothing_for_directories_and_links(kind: int) -> None:
    assert not basic_of(Change(mode=0o500), kind, Dos.DIRECTORY)


def test_times_are_set_and_left_alone() -> None:
    basic = basic_of(Change(mtime_ns=10**18), stat.S_IFREG, 0)
    assert basic == Basic(write=filetime(10**18))
    assert filetime_to_ns(basic.write) == 10**18
    assert basic_of(Change(atime_ns=0), stat.S_IFREG, 0).access == filetime(0) != 0


@given(st.integers(-(2**80), 2**80))
def test_no_time_becomes_one_of_the_special_values(time_ns: int) -> None:
    assert 0 < filetime(time_ns) < 2**63


@given(st.integers(0, 2**32 - 1))
def test_attributes_to_set_are_never_nothing(attributes: int) -> None:
    assert settable(attributes)
    assert not settable(attributes) & (Dos.DIRECTORY | Dos.REPARSE_POINT)


def test_attributes_of_a_new_file() -> None:
    assert dos_attributes_of(0o100644) == Dos.NORMAL
    assert dos_attributes_of(0o100444) == Dos.READONLY


@pytest.mark.parametrize(
    "change",
    [Change(uid=1000), Change(gid=100), Change(mode=0o644), Change(mode=0o444), Change(size=1)],
)
def test_strict_ids_take_what_stat_will_show(change: Change) -> None:
    strict = Presentation(1000, 100, file_mode=0o644, ids="strict")
    check_ownership(change, stat.S_IFREG, 0, strict)


@pytest.mark.parametrize("change", [Change(uid=0), Change(gid=0), Change(mode=0o600)])
def test_strict_ids_refuse_the_rest(change: Change) -> None:
    with fails(errno.EPERM):
        check_ownership(change, stat.S_IFREG, 0, Presentation(1000, 100, ids="strict"))
    check_ownership(change, stat.S_IFREG, 0, Presentation(1000, 100))
    check_ownership(change, stat.S_IFREG, 0, Presentation(1000, 100, ids="strict", dynperm=True))
