"""What rides in NEGOTIATE and CREATE beside the message: lists of contexts, and what is in each.

`pack_negotiate` and `pack_create` make the lists, `negotiate_contexts` and `create_contexts` walk
them; a structure's ``parse(data, 0)`` reads one context's data.  Knows layouts only.

Easily broken: in a list each context begins 8-aligned, counted from the list's start, but the last
one has no padding after it; and in a create context offsets count from that context's start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from smbfs.wire.codec import (
    U16,
    U32,
    U64,
    Blob,
    Bytes16,
    Pad,
    Structure,
    WireError,
    buffer,
    derived,
    trailing,
)

# The names of create contexts, [MS-SMB2] 2.2.13.2; QUERY_ON_DISK_ID asks with no data at all.
EA_BUFFER = b"ExtA"
SD_BUFFER = b"SecD"
DURABLE_REQUEST = b"DHnQ"
DURABLE_RECONNECT = b"DHnC"
ALLOCATION_SIZE = b"AlSi"
MAXIMAL_ACCESS = b"MxAc"
TIMEWARP = b"TWrp"
QUERY_ON_DISK_ID = b"QFid"
REQUEST_LEASE = b"RqLs"  # both versions; the length of the data tells them apart
DURABLE_REQUEST_V2 = b"DH2Q"
DURABLE_RECONNECT_V2 = b"DH2C"
POSIX_GUID = bytes.fromhex("93ad25509cb411e7b42383de968bcd7c")  # create context and negotiation

DURABLE_FLAG_PERSISTENT = 0x02  # [MS-SMB2] 2.2.13.2.11


class NegotiateContext(Structure, at=0):
    """SMB2 NEGOTIATE_CONTEXT, [MS-SMB2] 2.2.3.1."""

    context_type: U16
    data_length: U16 = derived()
    _reserved: ClassVar = Pad(4)
    data: Blob = trailing("data_length")


class PreauthCapabilities(Structure, at=0):
    """SMB2_PREAUTH_INTEGRITY_CAPABILITIES, [MS-SMB2] 2.2.3.1.1."""

    hash_algorithm_count: U16 = derived()
    salt_length: U16 = derived()
    hash_algorithms: Blob = trailing("hash_algorithm_count", unit=2)
    salt: Blob = trailing("salt_length")


class EncryptionCapabilities(Structure, at=0):
    """SMB2_ENCRYPTION_CAPABILITIES, [MS-SMB2] 2.2.3.1.2."""

    cipher_count: U16 = derived()
    ciphers: Blob = trailing("cipher_count", unit=2)


class CompressionCapabilities(Structure, at=0):
    """SMB2_COMPRESSION_CAPABILITIES, [MS-SMB2] 2.2.3.1.3."""

    compression_algorithm_count: U16 = derived()
    _reserved: ClassVar = Pad(2)
    flags: U32 = 0
    compression_algorithms: Blob = trailing("compression_algorithm_count", unit=2)


class NetName(Structure, at=0):
    """SMB2_NETNAME_NEGOTIATE_CONTEXT_ID, [MS-SMB2] 2.2.3.1.4: the server as typed, UTF-16."""

    net_name: Blob = trailing()


class SigningCapabilities(Structure, at=0):
    """SMB2_SIGNING_CAPABILITIES, [MS-SMB2] 2.2.3.1.7."""

    signing_algorithm_count: U16 = derived()
    signing_algorithms: Blob = trailing("signing_algorithm_count", unit=2)


class PosixNegotiate(Structure, at=0):
    """The SMB3 POSIX extensions on offer: one or more GUIDs, of which we know one."""

    guids: Blob = trailing(default=POSIX_GUID)


class CreateContext(Structure, at=0):
    """SMB2_CREATE_CONTEXT, [MS-SMB2] 2.2.13.2."""

    next: U32 = 0
    name_offset: U16 = derived()
    name_length: U16 = derived()
    _reserved: ClassVar = Pad(2)
    data_offset: U16 = derived()
    data_length: U32 = derived()
    name: Blob = buffer("name_offset", "name_length")
    data: Blob = buffer("data_offset", "data_length", align=8, optional=True)


class DurableRequest(Structure, at=0):
    """SMB2_CREATE_DURABLE_HANDLE_REQUEST, [MS-SMB2] 2.2.13.2.3."""

    _reserved: ClassVar = Pad(16)


class DurableResponse(Structure, at=0):
    """SMB2_CREATE_DURABLE_HANDLE_RESPONSE, [MS-SMB2] 2.2.14.2.3."""

    _reserved: ClassVar = Pad(8)


class DurableReconnect(Structure, at=0):
    """SMB2_CREATE_DURABLE_HANDLE_RECONNECT, [MS-SMB2] 2.2.13.2.4."""

    file_id: Bytes16


class MaximalAccessRequest(Structure, at=0):
    """SMB2_CREATE_QUERY_MAXIMAL_ACCESS_REQUEST, [MS-SMB2] 2.2.13.2.5; may be left empty."""

    timestamp: U64


class MaximalAccessResponse(Structure, at=0):
    """SMB2_CREATE_QUERY_MAXIMAL_ACCESS_RESPONSE, [MS-SMB2] 2.2.14.2.5."""

    query_status: U32
    maximal_access: U32


class AllocationSize(Structure, at=0):
    """SMB2_CREATE_ALLOCATION_SIZE, [MS-SMB2] 2.2.13.2.6."""

    allocation_size: U64


class Timewarp(Structure, at=0):
    """SMB2_CREATE_TIMEWARP_TOKEN, [MS-SMB2] 2.2.13.2.7: the FILETIME of a snapshot."""

    timestamp: U64


class LeaseV1(Structure, at=0):
    """SMB2_CREATE_REQUEST_LEASE and its answer, [MS-SMB2] 2.2.13.2.8, 2.2.14.2.10."""

    lease_key: Bytes16
    lease_state: U32
    lease_flags: U32 = 0
    lease_duration: U64 = 0


class LeaseV2(Structure, at=0):
    """SMB2_CREATE_REQUEST_LEASE_V2 and its answer, [MS-SMB2] 2.2.13.2.10, 2.2.14.2.11."""

    lease_key: Bytes16
    lease_state: U32
    lease_flags: U32 = 0
    lease_duration: U64 = 0
    parent_lease_key: Bytes16 = bytes(16)
    epoch: U16 = 0
    _reserved: ClassVar = Pad(2)


class OnDiskIdResponse(Structure, at=0):
    """SMB2_CREATE_QUERY_ON_DISK_ID response, [MS-SMB2] 2.2.14.2.9."""

    disk_file_id: U64
    volume_id: U64
    _reserved: ClassVar = Pad(16)


class DurableRequestV2(Structure, at=0):
    """SMB2_CREATE_DURABLE_HANDLE_REQUEST_V2, [MS-SMB2] 2.2.13.2.11; timeout in milliseconds."""

    timeout: U32 = 0
    flags: U32 = 0
    _reserved: ClassVar = Pad(8)
    create_guid: Bytes16


class DurableResponseV2(Structure, at=0):
    """SMB2_CREATE_DURABLE_HANDLE_RESPONSE_V2, [MS-SMB2] 2.2.14.2.12."""

    timeout: U32
    flags: U32 = 0


class DurableReconnectV2(Structure, at=0):
    """SMB2_CREATE_DURABLE_HANDLE_RECONNECT_V2, [MS-SMB2] 2.2.13.2.12: 36 bytes, not padded."""

    file_id: Bytes16
    create_guid: Bytes16
    flags: U32 = 0


class PosixCreateRequest(Structure, at=0):
    """The SMB3 POSIX create context: permission bits, 0 when nothing is to be created."""

    mode: U32 = 0


class PosixCreateResponse(Structure, at=0):
    """The answer to it; owner and group follow each other without alignment."""

    number_of_links: U32
    reparse_tag: U32
    mode: U32
    sids: Blob = trailing()

    @property
    def owner(self) -> Blob:
        """The owner's SID; `WireError` if there is none."""
        return self.sids[: _sid_size(self.sids, 0)]

    @property
    def group(self) -> Blob:
        """The group's SID; `WireError` if there is none."""
        start = _sid_size(self.sids, 0)
        return self.sids[start : start + _sid_size(self.sids, start)]


def _sid_size(sids: Blob, at: int) -> int:
    """How long the SID at ``at`` is: eight bytes and four more per authority ([MS-DTYP] 2.4.2)."""
    size = 8 + 4 * sids[at + 1] if at + 1 < len(sids) else 0
    if not size or at + size > len(sids):
        raise WireError("a SID runs past the end")
    return size


def pack_negotiate(contexts: Sequence[tuple[int, bytes]]) -> bytes:
    """A NegotiateContextList from (type, data) pairs; give their number to the message too."""
    packed = b""
    for context_type, data in contexts:
        packed += bytes(-len(packed) % 8)
        packed += bytes(NegotiateContext(context_type=context_type, data=data))
    return packed


def negotiate_contexts(view: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The (type, data) pairs of a NegotiateContextList; raises WireError on a broken one."""
    at = 0
    while at < len(view):
        context = NegotiateContext.parse(view, at)
        yield context.context_type, memoryview(context.data)
        at += NegotiateContext.FIXED + context.data_length
        at += -at % 8


def pack_create(contexts: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The create contexts of a CREATE from (name, data) pairs."""
    packed = b""
    for number, (name, data) in enumerate(contexts, 1):
        context = CreateContext(name=name, data=data)
        if number < len(contexts):
            size = len(bytes(context))
            context.next = size + -size % 8
        packed += bytes(context).ljust(context.next, b"\0")
    return packed


def create_contexts(view: memoryview) -> dict[bytes, memoryview]:
    """The data of each create context by its name; the first counts if one comes twice.

    Raises WireError if one reaches past the end or the list does not advance.
    """
    found: dict[bytes, memoryview] = {}
    while view:
        context = CreateContext.parse(view)
        found.setdefault(bytes(context.name), memoryview(context.data))
        if context.next and context.next < CreateContext.FIXED:
            raise WireError("create contexts overlap")
        if context.next >= len(view):
            raise WireError("create contexts run past the end")
        view = view[context.next :] if context.next else view[:0]
    return found


def lease(data: memoryview) -> LeaseV1 | LeaseV2:
    """The lease of an ``RqLs`` context, asked for or granted; its length tells the version."""
    if len(data) == LeaseV1.FIXED:
        return LeaseV1.parse(data)
    return LeaseV2.parse(data)
