"""Directory entries: bytes by hand, chains that lie, and that a long listing costs little."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.wire.codec import Structure, WireError
from smbfs.wire.directory import (
    DirectoryEntry,
    FileBothDirectoryInformation,
    FileIdBothDirectoryInformation,
    FileIdFullDirectoryInformation,
    directory_entries,
    pack_entries,
)
from smbfs.wire.units import text, utf16

FIELDS: dict[str, Any] = {
    "file_index": 5,
    "creation_time": 1,
    "last_access_time": 2,
    "last_write_time": 3,
    "change_time": 4,
    "end_of_file": 6,
    "allocation_size": 0x1000,
    "file_attributes": 0x420,
    "ea_size": 0xA000000C,
}
START = (
    "00000000 05000000 0100000000000000 0200000000000000 0300000000000000 0400000000000000"
    "0600000000000000 0010000000000000 20040000 04000000 0c0000a0"
)
SHORT: dict[str, Any] = {"short_name_length": 2, "short_name": utf16("S").ljust(24, b"\0")}
SHORT_WIRE = "02 00 5300" + "00" * 22
NAME = utf16("\u00e9.")
NAME_WIRE = "e900 2e00"

VECTORS: list[tuple[int, int, Structure, str]] = [
    (
        3,
        94,
        FileBothDirectoryInformation(**FIELDS, **SHORT, file_name=NAME),
        START + SHORT_WIRE + NAME_WIRE,
    ),
    (
        37,
        104,
        FileIdBothDirectoryInformation(**FIELDS, **SHORT, file_id=7, file_name=NAME),
        START + SHORT_WIRE + "0000 0700000000000000" + NAME_WIRE,
    ),
    (
        38,
        80,
        FileIdFullDirectoryInformation(**FIELDS, file_id=7, file_name=NAME),
        START + "00000000 0700000000000000" + NAME_WIRE,
    ),
]
CLASSES = [type(structure) for _, _, structure, _ in VECTORS]
each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


@pytest.mark.parametrize(
    ("number", "fixed", "structure", "wire"), VECTORS, ids=lambda value: str(value)[:30]
)
def test_both_ways(number: int, fixed: int, structure: Structure, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert bytes(structure) == data
    assert type(structure).parse(memoryview(data), 0) == structure
    assert fixed == type(structure).FIXED
    assert type(structure).__dict__["number"] == number


def entry(
    name: str, cls: type[DirectoryEntry] = FileIdFullDirectoryInformation, **more: int
) -> DirectoryEntry:
    fields: dict[str, Any] = {**dict.fromkeys(FIELDS, 0), **more}
    if cls is not FileBothDirectoryInformation:
        fields["file_id"] = 1
    return cls(**fields, file_name=utf16(name))


def names(data: bytes, cls: type[DirectoryEntry] = FileIdFullDirectoryInformation) -> list[str]:
    return [text(found.file_name) for found in directory_entries(memoryview(data), cls)]


@each_class
def test_a_listing(cls: type[DirectoryEntry]) -> None:
    shown = [".", "..", "a", "\u4e2d" * 85, "", "a/b", "..\\x", "nul\0"]  # whatever it may be
    data = pack_entries([entry(name, cls) for name in shown])
    assert names(data, cls) == shown
    at = 0
    while offset := int.from_bytes(data[at : at + 4], "little"):
        assert offset % 8 == 0
        at += offset


def test_nothing_listed() -> None:
    assert names(b"") == []
    assert pack_entries([]) == b""


def test_alignment_is_not_trusted() -> None:
    assert names(pack_entries([entry("a"), entry("b"), entry("c")], align=1)) == ["a", "b", "c"]


@pytest.mark.parametrize("offset", [1, 8, 79, 170, 1 << 31, (1 << 32) - 1])
def test_an_offset_that_lies(offset: int) -> None:
    data = pack_entries([entry("a"), entry("b")])
    assert len(data) == 88 + 82 < 171
    listing = directory_entries(
        memoryview(offset.to_bytes(4, "little") + data[4:]), FileIdFullDirectoryInformation
    )
    if offset == len(data):
        assert len(list(listing)) == 1  # nothing behind the last one
        return
    assert text(next(listing).file_name) == "a"
    with pytest.raises(WireError, match="overlaps the next or leads out"):
        next(listing)


def test_a_chain_cut_short() -> None:
    data = pack_entries([entry("a"), entry("bcd")])
    for size in range(89, len(data)):
        with pytest.raises(WireError, match=r"truncated|past the end"):
            names(data[:size])


def test_a_chain_that_turns_back_would_never_end() -> None:
    data = b"\0\0\0\0" + bytes(entry("a"))[4:]
    assert names(data) == ["a"]
    with pytest.raises(WireError):
        names(b"\x50\0\0\0" + bytes(entry("a"))[4:] + bytes(10))  # 2 bytes of name, then too little


@each_class
@given(data=st.binary(max_size=400))
def test_any_bytes(cls: type[DirectoryEntry], data: bytes) -> None:
    try:
        assert len(names(data, cls)) <= len(data) // cls.FIXED
    except WireError:
        return


@given(st.lists(st.text(max_size=20), max_size=6), st.integers(0, 600), st.binary(max_size=6))
def test_mutated_listings(shown: list[str], at: int, new: bytes) -> None:
    data = bytearray(pack_entries([entry(name) for name in shown]))
    data[at : at + len(new)] = new
    try:
        names(bytes(data))
    except WireError:
        return


def test_a_long_listing_is_quick() -> None:
    data = memoryview(pack_entries([entry(f"file number {n}.txt") for n in range(5000)]))
    best = 9.9
    for _ in range(5):
        start = time.process_time()
        assert sum(1 for _ in directory_entries(data, FileIdFullDirectoryInformation)) == 5000
        best = min(best, time.process_time() - start)
    assert best < 0.05  # of our own: some 7 ms; ten times that is not the compiled codec
