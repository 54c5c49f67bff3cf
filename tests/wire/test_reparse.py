"""Reparse buffers of Windows, NFS and WSL against bytes worked out by hand."""

from __future__ import annotations

import errno
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.wire.codec import WireError
from smbfs.wire.reparse import (
    MountPoint,
    Other,
    PosixLink,
    Reparse,
    ReparseTag,
    Special,
    SymbolicLink,
    pack_reparse,
    parse_reparse,
)

NFS, LX = ReparseTag.NFS, ReparseTag.LX_SYMLINK

VECTORS: list[tuple[Reparse, str]] = [
    (
        SymbolicLink("..\\a", "..\\a", is_relative=True),
        "0c0000a0 1c00 0000 0000 0800 0800 0800 01000000 2e002e005c006100 2e002e005c006100",
    ),
    (
        SymbolicLink("\\??\\C:\\a", "C:\\a", is_relative=False),
        "0c0000a0 2400 0000 0000 1000 1000 0800 00000000"
        "5c003f003f005c0043003a005c006100 43003a005c006100",
    ),
    (
        MountPoint("\\??\\D:\\", "D:\\"),
        "030000a0 2000 0000 0000 0e00 1000 06005c003f003f005c0044003a005c00 0000 44003a005c00 0000",
    ),
    (PosixLink(NFS, "a/é".encode()), "14000080 0e00 0000 4c4e4b0100000000 61002f00e900"),
    (Special(NFS, stat.S_IFIFO), "14000080 0800 0000 4649464f00000000"),
    (Special(NFS, stat.S_IFSOCK), "14000080 0800 0000 534f434b00000000"),
    (
        Special(NFS, stat.S_IFCHR, 1, 3),
        "14000080 1000 0000 4348520000000000 01000000 03000000",
    ),
    (
        Special(NFS, stat.S_IFBLK, 8, 1 << 20),
        "14000080 1000 0000 424c4b0000000000 08000000 00001000",
    ),
    (PosixLink(LX, b"/etc/\xff"), "1d0000a0 0a00 0000 02000000 2f6574632fff"),
    (Special(ReparseTag.AF_UNIX, stat.S_IFSOCK), "23000080 0000 0000"),
    (Special(ReparseTag.LX_FIFO, stat.S_IFIFO), "24000080 0000 0000"),
    (Special(ReparseTag.LX_CHR, stat.S_IFCHR), "25000080 0000 0000"),
    (Special(ReparseTag.LX_BLK, stat.S_IFBLK), "26000080 0000 0000"),
    (Other(0x80000013, b"abc"), "13000080 0300 0000 616263"),
]


@pytest.mark.parametrize(("value", "wire"), VECTORS, ids=lambda value: str(value)[:40])
def test_both_ways(value: Reparse, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert pack_reparse(value) == data
    assert parse_reparse(memoryview(data)) == value
    assert parse_reparse(memoryview(data + b"behind")) == value


def test_names_in_another_order_with_nuls_and_a_gap() -> None:
    data = bytes.fromhex(
        "0c0000a0 1800 0000 0600 0400 0000 0400 01000000 70000000 ffff 73000000 ffff"
    )
    assert parse_reparse(memoryview(data)) == SymbolicLink("s", "p", is_relative=True)


@pytest.mark.parametrize(
    "wire",
    [
        "",
        "0c0000a0 0000 00",
        "0c0000a0 0400 0000 000000",  # its data is not there
        "0c0000a0 0000 0000",
        "0c0000a0 0e00 0000 0000 0400 0000 0000 00000000 6100",  # a name outside
        "0c0000a0 0e00 0000 0000 0000 ffff 0200 00000000 6100",
        "0c0000a0 0f00 0000 0000 0300 0000 0000 00000000 610061",  # half a character
        "0c0000a0 1200 0000 0000 0600 0000 0000 00000000 6100 0000 6100",  # NUL inside
        "030000a0 0600 0000 0000 0000 0000",
        "14000080 0400 0000 4c4e4b01",
        "14000080 0800 0000 0000000000000000",  # no type
        "14000080 0c00 0000 4348520000000000 01000000",  # half a device
        "14000080 0e00 0000 4c4e4b0100000000 6100 0000 6100",
        "1d0000a0 0200 0000 0200",
        "1d0000a0 0500 0000 01000000 61",  # another version
        "1d0000a0 0600 0000 02000000 6100",
    ],
)
def test_lies(wire: str) -> None:
    with pytest.raises(WireError):
        parse_reparse(memoryview(bytes.fromhex(wire)))


@given(
    tag=st.sampled_from([value for name, value in vars(ReparseTag).items() if name[0] != "_"]),
    data=st.binary(max_size=60),
)
def test_any_bytes(tag: int, data: bytes) -> None:
    whole = tag.to_bytes(4, "little") + len(data).to_bytes(2, "little") + b"\0\0" + data
    try:
        value = parse_reparse(memoryview(whole))
    except WireError:
        return
    assert parse_reparse(memoryview(pack_reparse(value))) == value


@given(st.binary(max_size=12))
def test_any_bytes_at_all(data: bytes) -> None:
    try:
        parse_reparse(memoryview(data))
    except WireError:
        return


@pytest.mark.parametrize(
    "value",
    [
        SymbolicLink("a" * 4100, "a" * 4100, is_relative=True),
        SymbolicLink("a" * 70000, "", is_relative=True),
        MountPoint("a" * 9000, ""),
        PosixLink(LX, b"a" * 16384),
        PosixLink(NFS, b"a" * 8190),
    ],
    ids=lambda value: type(value).__name__,
)
def test_too_long(value: Reparse) -> None:
    with pytest.raises(OSError, match="too long") as caught:
        pack_reparse(value)
    assert caught.value.errno == errno.ENAMETOOLONG


def test_the_longest_nfs_link() -> None:
    value = PosixLink(NFS, b"a" * 4095)
    assert parse_reparse(memoryview(pack_reparse(value))) == value
