"""Messages about the connection, the session, the tree and leases; and the table of all.

One class per message in the order of [MS-SMB2] 2.2; those about files are in `file_messages`,
queries in `query_messages`, what an `ErrorResponse` carries in `error_data`.  A variable part is
named like the field that says where it is: SecurityBufferOffset locates ``security_buffer``.
Reserved fields are not attributes.

Easily broken: what a field means may hang on the dialect; the classes know the layout only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from smbfs.wire import file_messages as files
from smbfs.wire import query_messages as queries
from smbfs.wire.codec import (
    HEADER_SIZE,
    U8,
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
from smbfs.wire.header import Command


class ErrorResponse(Structure, size=9):
    """SMB2 ERROR Response, [MS-SMB2] 2.2.2: the body of any response that is an error."""

    error_context_count: U8 = 0
    _reserved: ClassVar = Pad(1)
    byte_count: U32 = derived()
    error_data: Blob = trailing("byte_count", default=b"")


class NegotiateRequest(Structure, size=36):
    """SMB2 NEGOTIATE Request, [MS-SMB2] 2.2.3; see `pack_dialects`, `contexts.pack_negotiate`.

    Without contexts (no 3.1.1 offered) their offset and count are zero, as ClientStartTime, which
    shares their place, has to be.
    """

    command = Command.NEGOTIATE
    dialect_count: U16 = derived()
    security_mode: U16
    _reserved: ClassVar = Pad(2)
    capabilities: U32
    client_guid: Bytes16
    negotiate_context_offset: U32 = derived()
    negotiate_context_count: U16 = 0
    _reserved2: ClassVar = Pad(2)
    dialects: Blob = trailing("dialect_count", unit=2)
    contexts: Blob = buffer("negotiate_context_offset", "", align=8, optional=True, default=b"")


class NegotiateResponse(Structure, size=65):
    """SMB2 NEGOTIATE Response, [MS-SMB2] 2.2.4.

    Below 3.1.1 the context offset and count are reserved and servers leave rubbish in them: look
    at ``contexts`` only if ``dialect_revision`` is 3.1.1.
    """

    security_mode: U16
    dialect_revision: U16
    negotiate_context_count: U16 = 0
    server_guid: Bytes16
    capabilities: U32
    max_transact_size: U32
    max_read_size: U32
    max_write_size: U32
    system_time: U64 = 0
    server_start_time: U64 = 0
    security_buffer_offset: U16 = derived()
    security_buffer_length: U16 = derived()
    negotiate_context_offset: U32 = derived()
    security_buffer: Blob = buffer("security_buffer_offset", "security_buffer_length", default=b"")
    contexts: Blob = buffer("negotiate_context_offset", "", align=8, optional=True, default=b"")


class SessionSetupRequest(Structure, size=25):
    """SMB2 SESSION_SETUP Request, [MS-SMB2] 2.2.5."""

    command = Command.SESSION_SETUP
    flags: U8 = 0
    security_mode: U8
    capabilities: U32
    channel: U32 = 0
    security_buffer_offset: U16 = derived()
    security_buffer_length: U16 = derived()
    previous_session_id: U64 = 0
    security_buffer: Blob = buffer("security_buffer_offset", "security_buffer_length")


class SessionSetupResponse(Structure, size=9):
    """SMB2 SESSION_SETUP Response, [MS-SMB2] 2.2.6."""

    session_flags: U16 = 0
    security_buffer_offset: U16 = derived()
    security_buffer_length: U16 = derived()
    security_buffer: Blob = buffer("security_buffer_offset", "security_buffer_length", default=b"")


class LogoffRequest(Structure, size=4):
    """SMB2 LOGOFF Request, [MS-SMB2] 2.2.7."""

    command = Command.LOGOFF
    _reserved: ClassVar = Pad(2)


class LogoffResponse(Structure, size=4):
    """SMB2 LOGOFF Response, [MS-SMB2] 2.2.8."""

    _reserved: ClassVar = Pad(2)


class TreeConnectRequest(Structure, size=9):
    r"""SMB2 TREE_CONNECT Request, [MS-SMB2] 2.2.9; ``path`` is ``\\server\share`` in UTF-16."""

    command = Command.TREE_CONNECT
    flags: U16 = 0
    path_offset: U16 = derived()
    path_length: U16 = derived()
    path: Blob = buffer("path_offset", "path_length")


class TreeConnectResponse(Structure, size=16):
    """SMB2 TREE_CONNECT Response, [MS-SMB2] 2.2.10."""

    share_type: U8
    _reserved: ClassVar = Pad(1)
    share_flags: U32 = 0
    capabilities: U32 = 0
    maximal_access: U32


class TreeDisconnectRequest(Structure, size=4):
    """SMB2 TREE_DISCONNECT Request, [MS-SMB2] 2.2.11."""

    command = Command.TREE_DISCONNECT
    _reserved: ClassVar = Pad(2)


class TreeDisconnectResponse(Structure, size=4):
    """SMB2 TREE_DISCONNECT Response, [MS-SMB2] 2.2.12."""

    _reserved: ClassVar = Pad(2)


class OplockBreakNotification(Structure, size=24):
    """SMB2 Oplock Break Notification, [MS-SMB2] 2.2.23.1."""

    oplock_level: U8
    _reserved: ClassVar = Pad(5)
    file_id: Bytes16


class LeaseBreakNotification(Structure, size=44):
    """SMB2 Lease Break Notification, [MS-SMB2] 2.2.23.2."""

    new_epoch: U16 = 0
    flags: U32 = 0
    lease_key: Bytes16
    current_lease_state: U32
    new_lease_state: U32
    _reserved: ClassVar = Pad(12)  # BreakReason, AccessMaskHint and ShareMaskHint: unused


class OplockBreakAcknowledgment(Structure, size=24):
    """SMB2 Oplock Break Acknowledgment, [MS-SMB2] 2.2.24.1."""

    command = Command.OPLOCK_BREAK
    oplock_level: U8
    _reserved: ClassVar = Pad(5)
    file_id: Bytes16


class LeaseBreakAcknowledgment(Structure, size=36):
    """SMB2 Lease Break Acknowledgment, [MS-SMB2] 2.2.24.2."""

    command = Command.OPLOCK_BREAK
    _reserved: ClassVar = Pad(2)
    flags: U32 = 0
    lease_key: Bytes16
    lease_state: U32
    lease_duration: U64 = 0


class OplockBreakResponse(Structure, size=24):
    """SMB2 Oplock Break Response, [MS-SMB2] 2.2.25.1."""

    oplock_level: U8
    _reserved: ClassVar = Pad(5)
    file_id: Bytes16


class LeaseBreakResponse(Structure, size=36):
    """SMB2 Lease Break Response, [MS-SMB2] 2.2.25.2."""

    _reserved: ClassVar = Pad(2)
    flags: U32 = 0
    lease_key: Bytes16
    lease_state: U32
    lease_duration: U64 = 0


class EchoRequest(Structure, size=4):
    """SMB2 ECHO Request, [MS-SMB2] 2.2.28."""

    command = Command.ECHO
    _reserved: ClassVar = Pad(2)


class EchoResponse(Structure, size=4):
    """SMB2 ECHO Response, [MS-SMB2] 2.2.29."""

    _reserved: ClassVar = Pad(2)


class CancelRequest(Structure, size=4):
    """SMB2 CANCEL Request, [MS-SMB2] 2.2.30; there is no response."""

    command = Command.CANCEL
    _reserved: ClassVar = Pad(2)


def pack_dialects(dialects: Iterable[int]) -> bytes:
    """The dialect array of a NEGOTIATE request; other arrays of 16-bit numbers look the same."""
    return b"".join(dialect.to_bytes(2, "little") for dialect in dialects)


def dialects(request: NegotiateRequest) -> list[int]:
    """The dialects a NEGOTIATE request offers, in its order."""
    array = request.dialects
    return [int.from_bytes(array[at : at + 2], "little") for at in range(0, len(array), 2)]


def break_notification(view: memoryview) -> OplockBreakNotification | LeaseBreakNotification:
    """What an unasked OPLOCK_BREAK message says; its StructureSize tells the two forms apart."""
    if _structure_size(view) == 24:
        return OplockBreakNotification.parse(view)
    return LeaseBreakNotification.parse(view)


def break_acknowledgment(view: memoryview) -> OplockBreakAcknowledgment | LeaseBreakAcknowledgment:
    """What a client answers to a break, in either form."""
    if _structure_size(view) == 24:
        return OplockBreakAcknowledgment.parse(view)
    return LeaseBreakAcknowledgment.parse(view)


def break_response(view: memoryview) -> OplockBreakResponse | LeaseBreakResponse:
    """What a server answers to that, in either form."""
    if _structure_size(view) == 24:
        return OplockBreakResponse.parse(view)
    return LeaseBreakResponse.parse(view)


def _structure_size(view: memoryview) -> int:
    if len(view) < HEADER_SIZE + 2:
        raise WireError("OPLOCK_BREAK is truncated")
    return int.from_bytes(view[HEADER_SIZE : HEADER_SIZE + 2], "little")


REQUESTS: dict[Command, type[Structure]] = {  # OPLOCK_BREAK has two forms: `break_acknowledgment`
    Command.NEGOTIATE: NegotiateRequest,
    Command.SESSION_SETUP: SessionSetupRequest,
    Command.LOGOFF: LogoffRequest,
    Command.TREE_CONNECT: TreeConnectRequest,
    Command.TREE_DISCONNECT: TreeDisconnectRequest,
    Command.CREATE: files.CreateRequest,
    Command.CLOSE: files.CloseRequest,
    Command.FLUSH: files.FlushRequest,
    Command.READ: files.ReadRequest,
    Command.WRITE: files.WriteRequest,
    Command.LOCK: files.LockRequest,
    Command.IOCTL: files.IoctlRequest,
    Command.CANCEL: CancelRequest,
    Command.ECHO: EchoRequest,
    Command.QUERY_DIRECTORY: queries.QueryDirectoryRequest,
    Command.CHANGE_NOTIFY: queries.ChangeNotifyRequest,
    Command.QUERY_INFO: queries.QueryInfoRequest,
    Command.SET_INFO: queries.SetInfoRequest,
    Command.OPLOCK_BREAK: OplockBreakAcknowledgment,
}
RESPONSES: dict[Command, type[Structure]] = {  # nothing answers a CANCEL; `break_response` as above
    Command.NEGOTIATE: NegotiateResponse,
    Command.SESSION_SETUP: SessionSetupResponse,
    Command.LOGOFF: LogoffResponse,
    Command.TREE_CONNECT: TreeConnectResponse,
    Command.TREE_DISCONNECT: TreeDisconnectResponse,
    Command.CREATE: files.CreateResponse,
    Command.CLOSE: files.CloseResponse,
    Command.FLUSH: files.FlushResponse,
    Command.READ: files.ReadResponse,
    Command.WRITE: files.WriteResponse,
    Command.LOCK: files.LockResponse,
    Command.IOCTL: files.IoctlResponse,
    Command.ECHO: EchoResponse,
    Command.QUERY_DIRECTORY: queries.QueryDirectoryResponse,
    Command.CHANGE_NOTIFY: queries.ChangeNotifyResponse,
    Command.QUERY_INFO: queries.QueryInfoResponse,
    Command.SET_INFO: queries.SetInfoResponse,
    Command.OPLOCK_BREAK: OplockBreakResponse,
}
