"""What goes into an IOCTL and comes out, [MS-SMB2] 2.2.31, 2.2.32 and [MS-FSCC] 2.3.

Layouts only; control codes are in `smbfs.wire.constants.Fsctl`, reparse buffers in
`smbfs.wire.reparse`.  Rule easily broken: the answers are another's bytes, so counts in them are
checked against what is there and never used to reserve memory.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Annotated, ClassVar

from smbfs.wire.codec import (
    U8,
    U16,
    U32,
    U64,
    Blob,
    Bytes16,
    Bytes24,
    Pad,
    Structure,
    WireError,
    derived,
    trailing,
)
from smbfs.wire.directory import directory_entries
from smbfs.wire.units import text

Bytes128 = Annotated[bytes, "128s"]


class ValidateNegotiateInfoRequest(Structure, at=0):
    """VALIDATE_NEGOTIATE_INFO Request, [MS-SMB2] 2.2.31.4; ``dialects`` are 16-bit numbers."""

    capabilities: U32
    guid: Bytes16
    security_mode: U16
    dialect_count: U16 = derived()
    dialects: Blob = trailing("dialect_count", unit=2)


class ValidateNegotiateInfoResponse(Structure, at=0):
    """VALIDATE_NEGOTIATE_INFO Response, [MS-SMB2] 2.2.32.6."""

    capabilities: U32
    guid: Bytes16
    security_mode: U16
    dialect: U16


class SrvRequestResumeKeyResponse(Structure, at=0):
    """SRV_REQUEST_RESUME_KEY Response, [MS-SMB2] 2.2.32.3; the context is not used."""

    resume_key: Bytes24
    context_length: U32 = 0
    context: Blob = trailing(default=b"")


class SrvCopychunk(Structure, at=0):
    """One piece to copy, [MS-SMB2] 2.2.31.1.1."""

    source_offset: U64
    target_offset: U64
    length: U32
    _reserved: ClassVar = Pad(4)


class SrvCopychunkCopy(Structure, at=0):
    """SRV_COPYCHUNK_COPY, [MS-SMB2] 2.2.31.1; ``chunks`` as of `pack_chunks`."""

    source_key: Bytes24
    chunk_count: U32 = derived()
    _reserved: ClassVar = Pad(4)
    chunks: Blob = trailing("chunk_count", unit=24)


class SrvCopychunkResponse(Structure, at=0):
    """SRV_COPYCHUNK_RESPONSE, [MS-SMB2] 2.2.32.1; with INVALID_PARAMETER: the server's limits."""

    chunks_written: U32
    chunk_bytes_written: U32
    total_bytes_written: U32


class FileZeroDataInformation(Structure, at=0):
    """FSCTL_SET_ZERO_DATA Request, [MS-FSCC] 2.3.85."""

    file_offset: U64
    beyond_final_zero: U64


class FileAllocatedRangeBuffer(Structure, at=0):
    """FSCTL_QUERY_ALLOCATED_RANGES, one in the request and many in the reply, [MS-FSCC] 2.3.56."""

    file_offset: U64
    length: U64


class FileSetSparseBuffer(Structure, at=0):
    """FSCTL_SET_SPARSE Request, [MS-FSCC] 2.3.83."""

    set_sparse: U8 = 1


class DuplicateExtentsData(Structure, at=0):
    """FSCTL_DUPLICATE_EXTENTS_TO_FILE Request over SMB2, [MS-FSCC] 2.3.7.2."""

    source_file_id: Bytes16
    source_file_offset: U64
    target_file_offset: U64
    byte_count: U64


class InterfaceCapability:
    """What a network interface can, [MS-SMB2] 2.2.32.5."""

    RSS_CAPABLE = 1
    RDMA_CAPABLE = 2


class NetworkInterfaceInfo(Structure, at=0):
    """NETWORK_INTERFACE_INFO Response, [MS-SMB2] 2.2.32.5; ``link_speed`` in bits per second."""

    next_entry_offset: U32 = 0
    if_index: U32
    capability: U32 = 0
    _reserved: ClassVar = Pad(4)
    link_speed: U64 = 0
    sock_addr_storage: Bytes128

    @property
    def address(self) -> str | None:
        """The address in text, or None if it is neither IPv4 nor IPv6."""
        family = int.from_bytes(self.sock_addr_storage[:2], "little")
        if family == AF_INET:
            return str(ipaddress.IPv4Address(self.sock_addr_storage[4:8]))
        if family == AF_INET6:
            return str(ipaddress.IPv6Address(self.sock_addr_storage[8:24]))
        return None


AF_INET, AF_INET6 = 0x0002, 0x0017  # Windows's numbers, not this machine's


class SrvSnapshotArray(Structure, at=0):
    """SRV_SNAPSHOT_ARRAY, [MS-SMB2] 2.2.32.2.  A reply that is too small carries the counts only,
    so ``snap_shots`` can be shorter than ``snap_shot_array_size``."""

    number_of_snap_shots: U32
    number_of_snap_shots_returned: U32
    snap_shot_array_size: U32
    snap_shots: Blob = trailing(default=b"")


def pack_chunks(chunks: Iterable[tuple[int, int, int]]) -> bytes:
    """The chunks of a `SrvCopychunkCopy`: source offset, target offset, length of each."""
    return b"".join(
        bytes(SrvCopychunk(source_offset=source, target_offset=target, length=length))
        for source, target, length in chunks
    )


def allocated_ranges(view: memoryview) -> list[tuple[int, int]]:
    """Offset and length of each range that holds data; WireError if one is cut off."""
    if len(view) % FileAllocatedRangeBuffer.FIXED:
        raise WireError("allocated ranges are cut off")
    found = []
    for at in range(0, len(view), FileAllocatedRangeBuffer.FIXED):
        piece = FileAllocatedRangeBuffer.parse(view, at)
        found.append((piece.file_offset, piece.length))
    return found


def network_interfaces(view: memoryview) -> list[NetworkInterfaceInfo]:
    """The server's addresses, in its order; WireError as in `directory_entries`."""
    return list(directory_entries(view, NetworkInterfaceInfo))


def snapshots(array: SrvSnapshotArray) -> list[str]:
    """The names, "@GMT-..." each, that are in the array; WireError if it is no UTF-16."""
    size = min(array.snap_shot_array_size, len(array.snap_shots))
    return [name for name in text(array.snap_shots[:size]).split("\0") if name]
