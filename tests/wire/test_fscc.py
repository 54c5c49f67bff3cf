"""Each information class against bytes worked out by hand from [MS-FSCC] 2.4 and 2.5."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smbfs.wire import fscc
from smbfs.wire.codec import Structure, WireError
from smbfs.wire.directory import pack_entries
from smbfs.wire.units import utf16

TIMES: dict[str, Any] = {
    "creation_time": 1,
    "last_access_time": 2,
    "last_write_time": 3,
    "change_time": 2**64 - 1,
}
TIMES_WIRE = "0100000000000000 0200000000000000 0300000000000000 ffffffffffffffff"
TARGET = utf16("d\\é")
NAMED: dict[str, Any] = {"file_name": TARGET}
NAMED_WIRE = "0000000000000000 06000000 6400 5c00 e900"  # root directory, length, name

# class number, structure, its wire form
VECTORS: list[tuple[int, Structure, str]] = [
    (
        4,
        fscc.FileBasicInformation(**TIMES, file_attributes=0x20),
        TIMES_WIRE + "20000000 00000000",
    ),
    (
        5,
        fscc.FileStandardInformation(
            allocation_size=0x1000, end_of_file=0xABC, number_of_links=2, delete_pending=1
        ),
        "0010000000000000 bc0a000000000000 02000000 01 00 0000",
    ),
    (6, fscc.FileInternalInformation(index_number=0x1122334455667788), "8877665544332211"),
    (7, fscc.FileEaInformation(ea_size=260), "04010000"),
    (
        10,
        fscc.FileRenameInformation(replace_if_exists=1, **NAMED),
        "01 00000000000000" + NAMED_WIRE,
    ),
    (11, fscc.FileLinkInformation(**NAMED), "00 00000000000000" + NAMED_WIRE),
    (13, fscc.FileDispositionInformation(delete_pending=1), "01"),
    (
        15,
        fscc.FileFullEaInformation(
            flags=0x80, ea_name_length=1, ea_value_length=2, ea_name_and_value=b"a\0xy"
        ),
        "00000000 80 01 0200 6100 7879",
    ),
    (
        18,
        fscc.FileAllInformation(
            **TIMES,
            file_attributes=0x10,
            allocation_size=4096,
            end_of_file=5,
            number_of_links=1,
            directory=1,
            index_number=77,
            ea_size=3,
            access_flags=0x1F01FF,
            current_byte_offset=9,
            mode=0x40,
            alignment_requirement=1,
            file_name_length=6,
            file_name=TARGET,
        ),
        TIMES_WIRE + "10000000 00000000"
        "0010000000000000 0500000000000000 01000000 00 01 0000"
        "4d00000000000000 03000000 ff011f00 0900000000000000 40000000 01000000"
        "06000000 6400 5c00 e900",
    ),
    (19, fscc.FileAllocationInformation(allocation_size=1 << 40), "0000000000010000"),
    (20, fscc.FileEndOfFileInformation(end_of_file=258), "0201000000000000"),
    (
        22,
        fscc.FileStreamInformation(
            stream_size=1, stream_allocation_size=8, stream_name=utf16("::$DATA")
        ),
        "00000000 0e000000 0100000000000000 0800000000000000 3a003a00240044004100540041 00",
    ),
    (
        34,
        fscc.FileNetworkOpenInformation(
            **TIMES, allocation_size=8, end_of_file=7, file_attributes=0x80
        ),
        TIMES_WIRE + "0800000000000000 0700000000000000 80000000 00000000",
    ),
    (
        35,
        fscc.FileAttributeTagInformation(file_attributes=0x400, reparse_tag=0xA000000C),
        "00040000 0c0000a0",
    ),
    (48, fscc.FileNormalizedNameInformation(**NAMED), "06000000 6400 5c00 e900"),
    (
        59,
        fscc.FileIdInformation(volume_serial_number=258, file_id=bytes(range(16))),
        "0201000000000000 000102030405060708090a0b0c0d0e0f",
    ),
    (64, fscc.FileDispositionInformationEx(flags=0x13), "13000000"),
    (65, fscc.FileRenameInformationEx(flags=3, **NAMED), "03000000 00000000" + NAMED_WIRE),
    (
        1,
        fscc.FileFsVolumeInformation(
            volume_creation_time=1, volume_serial_number=0xCAFE, volume_label=utf16("Hi")
        ),
        "0100000000000000 feca0000 04000000 00 00 4800 6900",
    ),
    (
        3,
        fscc.FileFsSizeInformation(
            total_allocation_units=9,
            available_allocation_units=8,
            sectors_per_allocation_unit=2,
            bytes_per_sector=512,
        ),
        "0900000000000000 0800000000000000 02000000 00020000",
    ),
    (4, fscc.FileFsDeviceInformation(device_type=7, characteristics=0x20), "07000000 20000000"),
    (
        5,
        fscc.FileFsAttributeInformation(
            file_system_attributes=0xC3,
            maximum_component_name_length=255,
            file_system_name=utf16("NTFS"),
        ),
        "c3000000 ff000000 08000000 4e00 5400 4600 5300",
    ),
    (
        7,
        fscc.FileFsFullSizeInformation(
            total_allocation_units=9,
            caller_available_allocation_units=7,
            actual_available_allocation_units=8,
            sectors_per_allocation_unit=2,
            bytes_per_sector=512,
        ),
        "0900000000000000 0700000000000000 0800000000000000 02000000 00020000",
    ),
    (
        8,
        fscc.FileFsObjectIdInformation(object_id=bytes(range(16))),
        bytes(range(16)).hex() + "00" * 48,
    ),
    (
        11,
        fscc.FileFsSectorSizeInformation(
            logical_bytes_per_sector=512,
            physical_bytes_per_sector_for_atomicity=4096,
            physical_bytes_per_sector_for_performance=4096,
            effective_physical_bytes_per_sector_for_atomicity=4096,
            flags=3,
        ),
        "00020000 00100000 00100000 00100000 03000000 00000000 00000000",
    ),
]
CLASSES = [type(structure) for _, structure, _ in VECTORS]
each_vector = pytest.mark.parametrize(
    ("number", "structure", "wire"), VECTORS, ids=[cls.__name__ for cls in CLASSES]
)
each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


@each_vector
def test_both_ways(number: int, structure: Structure, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert bytes(structure) == data
    parsed = type(structure).parse(memoryview(data), 0)
    assert parsed == structure
    for field in structure.__slots__:
        assert getattr(parsed, field) == getattr(structure, field), field
    assert type(structure).__dict__["number"] == number


@each_vector
def test_reserved_bytes_are_ignored(number: int, structure: Structure, wire: str) -> None:
    data = bytes.fromhex(wire)
    moved = b"\xaa" * 7 + data + b"\xaa" * 9
    assert type(structure).parse(memoryview(moved)[: 7 + len(data)], 7) == structure


@each_vector
def test_cut_short(number: int, structure: Structure, wire: str) -> None:
    data = memoryview(bytes.fromhex(wire))
    for size in range(type(structure).FIXED):
        with pytest.raises(WireError):
            type(structure).parse(data[:size], 0)


@each_class
@given(data=st.binary(max_size=160))
def test_any_bytes(cls: type[Structure], data: bytes) -> None:
    try:
        parsed = cls.parse(memoryview(data), 0)
    except WireError:
        return
    assert cls.parse(memoryview(bytes(parsed)), 0) == parsed


def test_all_information_with_half_a_name() -> None:
    wire = next(wire for number, _, wire in VECTORS if number == 18)
    parsed = fscc.FileAllInformation.parse(memoryview(bytes.fromhex(wire)[:-3]), 0)
    assert parsed.index_number == 77
    assert parsed.file_name_length == 6
    assert parsed.file_name == TARGET[:3]


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(WireError, match="runs past the end"):
        fscc.FileNormalizedNameInformation.parse(memoryview(bytes.fromhex("04000000 6400")), 0)


# Extended attributes

ONE_EA = "00000000 00 01 0200 6100 7879"
TWO_EAS = "14000000 00 03 0500 66 6f 6f 00 68 65 6c 6c 6f 000000 00000000 00 01 0000 6200"


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ("", []),
        (ONE_EA, [(b"a", b"xy")]),
        (TWO_EAS, [(b"foo", b"hello"), (b"b", b"")]),
    ],
)
def test_eas(wire: str, expected: list[tuple[bytes, bytes]]) -> None:
    data = bytes.fromhex(wire)
    assert list(fscc.full_eas(memoryview(data))) == expected
    assert fscc.pack_eas(expected) == data


@pytest.mark.parametrize(
    "wire",
    [
        "00000000 00 01 0300 6100 7879",  # the value runs out
        "00000000 00 05 0000 6100 7879",  # the name runs out
        "0b000000 00 01 0200 6100 7879 0000 00000000 00 01 0000 6200",  # the next one overlaps
        "04000000 00 01 0200 6100 7879 00000000 00 01 0000 6200",
        "40000000 00 01 0200 6100 7879",
        "0c000000 00 01 0200 6100 7879 00",
        "00000000 00 01 02",
    ],
)
def test_eas_that_lie(wire: str) -> None:
    with pytest.raises(WireError):
        list(fscc.full_eas(memoryview(bytes.fromhex(wire))))


@pytest.mark.parametrize(
    ("name", "value"), [(b"", b"x"), (b"n" * 256, b""), (b"a\0b", b""), (b"a", bytes(65536))]
)
def test_eas_that_cannot_be_sent(name: bytes, value: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        fscc.pack_eas([(name, value)])


EAS = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=9).filter(lambda name: 0 not in name), st.binary(max_size=9)
    ),
    max_size=5,
)


@given(EAS)
@example([(b"n" * 255, bytes(65535)), (b"m", b"")])
def test_eas_come_back(eas: list[tuple[bytes, bytes]]) -> None:
    assert list(fscc.full_eas(memoryview(fscc.pack_eas(eas)))) == eas


@given(st.binary(max_size=120))
def test_any_bytes_as_eas(data: bytes) -> None:
    try:
        assert len(list(fscc.full_eas(memoryview(data)))) <= len(data) // 8
    except WireError:
        return


# Streams


def test_streams() -> None:
    listed = [
        fscc.FileStreamInformation(
            stream_size=n, stream_allocation_size=0, stream_name=utf16(f":{n}:$DATA")
        )
        for n in range(3)
    ]
    data = pack_entries(listed)
    assert data[:4] == bytes.fromhex("28000000")  # 24 + 16, already a multiple of 8
    assert list(fscc.streams(memoryview(data))) == listed
    assert list(fscc.streams(memoryview(b""))) == []
