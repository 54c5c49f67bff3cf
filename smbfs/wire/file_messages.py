"""Messages about one open file: CREATE to IOCTL, [MS-SMB2] 2.2.13 to 2.2.32.

Knows layouts only; see `messages` for the rules of naming.  A file id is sixteen opaque bytes.

Easily broken: offsets count from the header, so a body is parsed within its whole message.
"""

from __future__ import annotations

from typing import ClassVar

from smbfs.wire.codec import (
    U8,
    U16,
    U32,
    U64,
    Blob,
    Bytes16,
    Pad,
    Structure,
    buffer,
    derived,
    trailing,
)
from smbfs.wire.constants import ImpersonationLevel, IoctlFlags, Oplock
from smbfs.wire.header import Command


class CreateRequest(Structure, size=57):
    """SMB2 CREATE Request, [MS-SMB2] 2.2.13; ``contexts`` as of `contexts.pack_create`."""

    command = Command.CREATE
    security_flags: U8 = 0
    requested_oplock_level: U8 = Oplock.NONE
    impersonation_level: U32 = ImpersonationLevel.IMPERSONATION
    smb_create_flags: U64 = 0
    _reserved: ClassVar = Pad(8)
    desired_access: U32
    file_attributes: U32 = 0
    share_access: U32
    create_disposition: U32
    create_options: U32 = 0
    name_offset: U16 = derived()
    name_length: U16 = derived()
    create_contexts_offset: U32 = derived()
    create_contexts_length: U32 = derived()
    name: Blob = buffer("name_offset", "name_length")
    contexts: Blob = buffer(
        "create_contexts_offset", "create_contexts_length", align=8, optional=True, default=b""
    )


class CreateResponse(Structure, size=89):
    """SMB2 CREATE Response, [MS-SMB2] 2.2.14; times are FILETIMEs."""

    oplock_level: U8 = Oplock.NONE
    flags: U8 = 0
    create_action: U32
    creation_time: U64
    last_access_time: U64
    last_write_time: U64
    change_time: U64
    allocation_size: U64
    end_of_file: U64
    file_attributes: U32
    _reserved: ClassVar = Pad(4)
    file_id: Bytes16
    create_contexts_offset: U32 = derived()
    create_contexts_length: U32 = derived()
    contexts: Blob = buffer(
        "create_contexts_offset", "create_contexts_length", align=8, optional=True, default=b""
    )


class CloseRequest(Structure, size=24):
    """SMB2 CLOSE Request, [MS-SMB2] 2.2.15."""

    command = Command.CLOSE
    flags: U16 = 0
    _reserved: ClassVar = Pad(4)
    file_id: Bytes16


class CloseResponse(Structure, size=60):
    """SMB2 CLOSE Response, [MS-SMB2] 2.2.16; all zero unless POSTQUERY_ATTRIB is in ``flags``."""

    flags: U16 = 0
    _reserved: ClassVar = Pad(4)
    creation_time: U64 = 0
    last_access_time: U64 = 0
    last_write_time: U64 = 0
    change_time: U64 = 0
    allocation_size: U64 = 0
    end_of_file: U64 = 0
    file_attributes: U32 = 0


class FlushRequest(Structure, size=24):
    """SMB2 FLUSH Request, [MS-SMB2] 2.2.17."""

    command = Command.FLUSH
    _reserved: ClassVar = Pad(6)
    file_id: Bytes16


class FlushResponse(Structure, size=4):
    """SMB2 FLUSH Response, [MS-SMB2] 2.2.18."""

    _reserved: ClassVar = Pad(2)


class ReadRequest(Structure, size=49):
    """SMB2 READ Request, [MS-SMB2] 2.2.19."""

    command = Command.READ
    padding: U8 = 0x50  # where we would like the data in the response: right after its fixed part
    flags: U8 = 0
    length: U32
    offset: U64
    file_id: Bytes16
    minimum_count: U32 = 0
    channel: U32 = 0
    remaining_bytes: U32 = 0
    read_channel_info_offset: U16 = 0
    read_channel_info_length: U16 = 0


class ReadResponse(Structure, size=17):
    """SMB2 READ Response, [MS-SMB2] 2.2.20."""

    data_offset: U8 = derived()
    _reserved: ClassVar = Pad(1)
    data_length: U32 = derived()
    data_remaining: U32 = 0
    flags: U32 = 0
    data: Blob = buffer("data_offset", "data_length")


class WriteRequest(Structure, size=49):
    """SMB2 WRITE Request, [MS-SMB2] 2.2.21."""

    command = Command.WRITE
    data_offset: U16 = derived()
    length: U32 = derived()
    offset: U64
    file_id: Bytes16
    channel: U32 = 0
    remaining_bytes: U32 = 0
    write_channel_info_offset: U16 = 0
    write_channel_info_length: U16 = 0
    flags: U32 = 0
    data: Blob = buffer("data_offset", "length")


class WriteResponse(Structure, size=17):
    """SMB2 WRITE Response, [MS-SMB2] 2.2.22."""

    _reserved: ClassVar = Pad(2)
    count: U32
    remaining: U32 = 0
    write_channel_info_offset: U16 = 0
    write_channel_info_length: U16 = 0


class LockElement(Structure, at=0):
    """SMB2_LOCK_ELEMENT, [MS-SMB2] 2.2.26.1."""

    offset: U64
    length: U64
    flags: U32
    _reserved: ClassVar = Pad(4)


class LockRequest(Structure, size=48):
    """SMB2 LOCK Request, [MS-SMB2] 2.2.26; ``locks`` are one or more `LockElement`, packed."""

    command = Command.LOCK
    lock_count: U16 = derived()
    lock_sequence: U32 = 0
    file_id: Bytes16
    locks: Blob = trailing("lock_count", unit=LockElement.FIXED)


class LockResponse(Structure, size=4):
    """SMB2 LOCK Response, [MS-SMB2] 2.2.27."""

    _reserved: ClassVar = Pad(2)


class IoctlRequest(Structure, size=57):
    """SMB2 IOCTL Request, [MS-SMB2] 2.2.31."""

    command = Command.IOCTL
    _reserved: ClassVar = Pad(2)
    ctl_code: U32
    file_id: Bytes16
    input_offset: U32 = derived()
    input_count: U32 = derived()
    max_input_response: U32 = 0
    output_offset: U32 = 0
    output_count: U32 = 0
    max_output_response: U32
    flags: U32 = IoctlFlags.IS_FSCTL
    _reserved2: ClassVar = Pad(4)
    input: Blob = buffer("input_offset", "input_count", optional=True, default=b"")


class IoctlResponse(Structure, size=49):
    """SMB2 IOCTL Response, [MS-SMB2] 2.2.32."""

    _reserved: ClassVar = Pad(2)
    ctl_code: U32
    file_id: Bytes16
    input_offset: U32 = derived()
    input_count: U32 = derived()
    output_offset: U32 = derived()
    output_count: U32 = derived()
    flags: U32 = 0
    _reserved2: ClassVar = Pad(4)
    input: Blob = buffer("input_offset", "input_count", default=b"")
    output: Blob = buffer("output_offset", "output_count", align=8, default=b"")


def lock_elements(request: LockRequest) -> list[LockElement]:
    """The ranges a LOCK request names, in its order."""
    view, step = memoryview(request.locks), LockElement.FIXED
    return [LockElement.parse(view, at) for at in range(0, len(view), step)]
