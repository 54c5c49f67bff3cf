"""The POSIX extension's structures, unaligned as they are, by hand from protocol 100."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.wire.codec import WireError
from smbfs.wire.directory import directory_entries, pack_entries
from smbfs.wire.posix import (
    FileFsPosixInformation,
    FilePosixDirectoryInformation,
    FilePosixInformation,
    posix_owners,
)
from smbfs.wire.units import sid_to_text, text, text_to_sid, utf16

FIELDS = {
    "creation_time": 1,
    "last_access_time": 2,
    "last_write_time": 3,
    "change_time": 4,
    "end_of_file": 5,
    "allocation_size": 6,
    "file_attributes": 0x10,
    "inode": 7,
    "device": 8,
    "number_of_links": 9,
    "reparse_tag": 10,
    "posix_mode": 0o11755,
}
BLOCK = (
    "0100000000000000 0200000000000000 0300000000000000 0400000000000000"
    "0500000000000000 0600000000000000 10000000 0700000000000000 08000000 00000000"
    "09000000 0a000000 ed130000"
)
OWNER, GROUP = text_to_sid("S-1-22-1-1000"), text_to_sid("S-1-1-0")
SIDS_WIRE = "01 02 000000000016 01000000 e8030000" + "01 01 000000000001 00000000"


def test_file() -> None:
    data = bytes.fromhex(BLOCK + SIDS_WIRE)
    assert FilePosixInformation.number == 100
    assert FilePosixInformation.FIXED == 80
    assert bytes(FilePosixInformation(**FIELDS, sids=OWNER + GROUP)) == data
    parsed = FilePosixInformation.parse(memoryview(data), 0)
    assert [getattr(parsed, name) for name in FIELDS] == list(FIELDS.values())
    owner, group, rest = posix_owners(parsed.sids)
    assert (sid_to_text(owner), sid_to_text(group), bytes(rest)) == (
        "S-1-22-1-1000",
        "S-1-1-0",
        b"",
    )


def entry(name: bytes) -> FilePosixDirectoryInformation:
    tail = OWNER + GROUP + len(name).to_bytes(4, "little") + name
    return FilePosixDirectoryInformation(**FIELDS, file_index=11, sids_and_name=tail)


def test_directory_entry() -> None:
    data = bytes.fromhex("00000000 0b000000" + BLOCK + SIDS_WIRE + "04000000 61006200")
    assert bytes(entry(utf16("ab"))) == data
    parsed = FilePosixDirectoryInformation.parse(memoryview(data), 0)
    assert parsed.inode == 7
    assert parsed.file_name == utf16("ab")
    assert FilePosixDirectoryInformation.number == 100


def test_a_listing() -> None:
    data = pack_entries([entry(utf16("a")), entry(utf16("bc")), entry(b"")])
    found = directory_entries(memoryview(data), FilePosixDirectoryInformation)
    assert [text(one.file_name) for one in found] == ["a", "bc", ""]


@pytest.mark.parametrize("cut", [1, 4, 5, 20, 45])
def test_an_incomplete_tail(cut: int) -> None:
    data = bytes(entry(utf16("ab")))[:-cut]
    with pytest.raises(WireError):
        _ = FilePosixDirectoryInformation.parse(memoryview(data), 0).file_name


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_tail(tail: bytes, at: int) -> None:
    whole = bytearray(OWNER + GROUP + b"\4\0\0\0abcd")
    whole[at:] = tail
    parsed = FilePosixDirectoryInformation(**FIELDS, sids_and_name=bytes(whole))
    try:
        assert len(parsed.file_name) <= len(whole)
    except WireError:
        return


def test_filesystem() -> None:
    structure = FileFsPosixInformation(
        optimal_transfer_size=0x100000,
        block_size=4096,
        total_blocks=9,
        blocks_available=8,
        user_blocks_available=7,
        total_file_nodes=6,
        free_file_nodes=5,
        file_system_identifier=4,
    )
    data = bytes.fromhex(
        "00001000 00100000 0900000000000000 0800000000000000 0700000000000000"
        "0600000000000000 0500000000000000 0400000000000000"
    )
    assert bytes(structure) == data
    assert FileFsPosixInformation.parse(memoryview(data), 0) == structure
    assert (FileFsPosixInformation.number, FileFsPosixInformation.FIXED) == (100, 56)
