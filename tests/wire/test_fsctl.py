"""The bodies of IOCTLs against bytes worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.wire import fsctl
from smbfs.wire.codec import Structure, WireError
from smbfs.wire.directory import pack_entries
from smbfs.wire.units import utf16

GUID = bytes(range(16))
GUID_WIRE = GUID.hex()
KEY = bytes(range(24))
IPV4 = bytes.fromhex("0200 01bd c0a80001").ljust(128, b"\0")
IPV6 = bytes.fromhex("1700 01bd 00000000 20010db8000000000000000000000001").ljust(128, b"\0")
SNAPSHOTS = utf16("@GMT-2020.01.02-03.04.05\0@GMT-2021.01.02-03.04.05\0\0")

VECTORS: list[tuple[Structure, str]] = [
    (
        fsctl.ValidateNegotiateInfoRequest(
            capabilities=0x7F, guid=GUID, security_mode=1, dialects=bytes.fromhex("1002 0003")
        ),
        "7f000000" + GUID_WIRE + "0100 0200 1002 0003",
    ),
    (
        fsctl.ValidateNegotiateInfoResponse(
            capabilities=0x44, guid=GUID, security_mode=3, dialect=0x302
        ),
        "44000000" + GUID_WIRE + "0300 0203",
    ),
    (
        fsctl.SrvRequestResumeKeyResponse(resume_key=KEY, context=b"\0\0\0\0"),
        KEY.hex() + "00000000 00000000",
    ),
    (
        fsctl.SrvCopychunkCopy(source_key=KEY, chunks=fsctl.pack_chunks([(1, 2, 3), (4, 5, 6)])),
        KEY.hex() + "02000000 00000000"
        "0100000000000000 0200000000000000 03000000 00000000"
        "0400000000000000 0500000000000000 06000000 00000000",
    ),
    (
        fsctl.SrvCopychunk(source_offset=1, target_offset=2, length=3),
        "0100000000000000 0200000000000000 03000000 00000000",
    ),
    (
        fsctl.SrvCopychunkResponse(
            chunks_written=256, chunk_bytes_written=1 << 20, total_bytes_written=1 << 24
        ),
        "00010000 00001000 00000001",
    ),
    (
        fsctl.FileZeroDataInformation(file_offset=1, beyond_final_zero=4097),
        "0100000000000000 0110000000000000",
    ),
    (
        fsctl.FileAllocatedRangeBuffer(file_offset=0, length=1 << 63),
        "0000000000000000 0000000000000080",
    ),
    (fsctl.FileSetSparseBuffer(), "01"),
    (fsctl.FileSetSparseBuffer(set_sparse=0), "00"),
    (
        fsctl.DuplicateExtentsData(
            source_file_id=GUID, source_file_offset=1, target_file_offset=2, byte_count=3
        ),
        GUID_WIRE + "0100000000000000 0200000000000000 0300000000000000",
    ),
    (
        fsctl.NetworkInterfaceInfo(
            if_index=7, capability=1, link_speed=10**9, sock_addr_storage=IPV4
        ),
        "00000000 07000000 01000000 00000000 00ca9a3b00000000" + IPV4.hex(),
    ),
    (
        fsctl.SrvSnapshotArray(
            number_of_snap_shots=2,
            number_of_snap_shots_returned=2,
            snap_shot_array_size=len(SNAPSHOTS),
            snap_shots=SNAPSHOTS,
        ),
        "02000000 02000000 66000000" + SNAPSHOTS.hex(),
    ),
]
each_vector = pytest.mark.parametrize(
    ("structure", "wire"), VECTORS, ids=[type(structure).__name__ for structure, _ in VECTORS]
)


@each_vector
def test_both_ways(structure: Structure, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert bytes(structure) == data
    parsed = type(structure).parse(memoryview(data), 0)
    for field in structure.__slots__:
        assert getattr(parsed, field) == getattr(structure, field), field
    with pytest.raises(WireError):
        type(structure).parse(memoryview(data)[: type(structure).FIXED - 1], 0)


@each_vector
@given(data=st.binary(max_size=200))
def test_any_bytes(structure: Structure, wire: str, data: bytes) -> None:
    try:
        parsed = type(structure).parse(memoryview(data), 0)
    except WireError:
        return
    assert type(structure).parse(memoryview(bytes(parsed)), 0) == parsed


@pytest.mark.parametrize("cls", [fsctl.ValidateNegotiateInfoRequest, fsctl.SrvCopychunkCopy])
def test_a_count_that_lies(cls: type[Structure]) -> None:
    with pytest.raises(WireError, match="runs past the end"):
        cls.parse(memoryview(b"\xff" * cls.FIXED), 0)


def test_no_chunks_ask_for_the_limits() -> None:
    assert bytes(fsctl.SrvCopychunkCopy(source_key=KEY, chunks=b"")) == KEY + bytes(8)


def test_allocated_ranges() -> None:
    data = bytes.fromhex("0000000000000000 0100000000000000 0010000000000000 0002000000000000")
    assert fsctl.allocated_ranges(memoryview(data)) == [(0, 1), (4096, 512)]
    assert fsctl.allocated_ranges(memoryview(b"")) == []
    with pytest.raises(WireError):
        fsctl.allocated_ranges(memoryview(data)[:-1])


def test_network_interfaces() -> None:
    listed = [
        fsctl.NetworkInterfaceInfo(if_index=n, sock_addr_storage=address)
        for n, address in enumerate([IPV4, IPV6, bytes(128)])
    ]
    data = pack_entries(listed)
    assert len(data) == 3 * 152
    found = fsctl.network_interfaces(memoryview(data))
    assert [one.address for one in found] == ["192.168.0.1", "2001:db8::1", None]
    with pytest.raises(WireError):
        fsctl.network_interfaces(memoryview(data)[:-1])
    with pytest.raises(WireError):
        fsctl.network_interfaces(memoryview(b"\x08" + data[1:]))


def snapshot_array(size: int, data: bytes) -> fsctl.SrvSnapshotArray:
    return fsctl.SrvSnapshotArray(
        number_of_snap_shots=2,
        number_of_snap_shots_returned=0,
        snap_shot_array_size=size,
        snap_shots=data,
    )


def test_snapshots() -> None:
    expected = ["@GMT-2020.01.02-03.04.05", "@GMT-2021.01.02-03.04.05"]
    assert fsctl.snapshots(snapshot_array(len(SNAPSHOTS), SNAPSHOTS + b"more")) == expected
    assert fsctl.snapshots(snapshot_array(52, SNAPSHOTS)) == [*expected[:1], "@"]
    assert fsctl.snapshots(snapshot_array(len(SNAPSHOTS), b"\0\0\0\0")) == []  # the counts only
    with pytest.raises(WireError):
        fsctl.snapshots(snapshot_array(3, b"abc"))
