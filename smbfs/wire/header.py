"""The header before every SMB2 message, the one before a sealed chain, and where chains part.

Knows the two headers and nothing of bodies.  Every offset in a message counts from its own
header, so each element `split_chain` gives is a view of its own that begins with one.

Easily broken: a structure's default is not a check.  Who reads a header from the network calls
`parse_header` or `parse_transform_header`, which look at the protocol id, not ``Header.parse``.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import ClassVar

from smbfs.wire.codec import (
    HEADER_SIZE,
    U16,
    U32,
    U64,
    Bytes4,
    Bytes16,
    Pad,
    Structure,
    WireError,
)

PROTOCOL_ID = b"\xfeSMB"
TRANSFORM_ID = b"\xfdSMB"
CREDIT_UNIT = 65536  # bytes of payload one credit pays for, [MS-SMB2] 3.1.5.2
RELATED_FILE_ID = b"\xff" * 16  # "the file of the element before me", [MS-SMB2] 3.2.4.1.4
BREAK_MESSAGE_ID = 2**64 - 1  # nobody asked for a break: [MS-SMB2] 3.3.4.6, 3.3.4.7
CHAIN_LIMIT = 128  # elements; we send a handful, and a server answers no more than it was asked

_NEXT_COMMAND = struct.Struct("<20xI")


class Command(IntEnum):
    """The nineteen requests, [MS-SMB2] 2.2.1."""

    NEGOTIATE = 0
    SESSION_SETUP = 1
    LOGOFF = 2
    TREE_CONNECT = 3
    TREE_DISCONNECT = 4
    CREATE = 5
    CLOSE = 6
    FLUSH = 7
    READ = 8
    WRITE = 9
    LOCK = 10
    IOCTL = 11
    CANCEL = 12
    ECHO = 13
    QUERY_DIRECTORY = 14
    CHANGE_NOTIFY = 15
    QUERY_INFO = 16
    SET_INFO = 17
    OPLOCK_BREAK = 18


class HeaderFlags:
    """``Header.flags``, [MS-SMB2] 2.2.1.2."""

    RESPONSE = 0x00000001
    ASYNC = 0x00000002
    RELATED = 0x00000004
    SIGNED = 0x00000008
    PRIORITY_MASK = 0x00000070
    DFS = 0x10000000
    REPLAY = 0x20000000


class Header(Structure, at=0):
    """SMB2 Packet Header, [MS-SMB2] 2.2.1.

    ``status`` is the channel sequence (low 16 bits) in a request; with the ASYNC flag
    ``reserved`` and ``tree_id`` are the two halves of `async_id`.
    """

    protocol_id: Bytes4 = PROTOCOL_ID
    structure_size: U16 = 64
    credit_charge: U16 = 0
    status: U32 = 0
    command: U16
    credits: U16 = 0
    flags: U32 = 0
    next_command: U32 = 0
    message_id: U64
    reserved: U32 = 0
    tree_id: U32 = 0
    session_id: U64 = 0
    signature: Bytes16 = bytes(16)

    @property
    def async_id(self) -> int:
        """The id a server gave a request that takes longer; of use with the ASYNC flag only."""
        return self.reserved | self.tree_id << 32


class TransformHeader(Structure, at=0):
    """SMB2 TRANSFORM_HEADER, [MS-SMB2] 2.2.41; signed over are its bytes from ``nonce`` on."""

    protocol_id: Bytes4 = TRANSFORM_ID
    signature: Bytes16 = bytes(16)
    nonce: Bytes16
    original_message_size: U32
    _reserved: ClassVar = Pad(2)
    flags: U16 = 1
    session_id: U64


def parse_header(view: memoryview) -> Header:
    """The header ``view`` begins with; `WireError` if there is none."""
    header = Header.parse(view)
    if header.protocol_id != PROTOCOL_ID:
        raise WireError(f"not an SMB2 message but {header.protocol_id.hex()}")
    if header.structure_size != HEADER_SIZE:
        raise WireError(f"Header has StructureSize {header.structure_size}")
    return header


def parse_transform_header(view: memoryview) -> TransformHeader:
    """The transform header ``view`` begins with; `WireError` if there is none."""
    header = TransformHeader.parse(view)
    if header.protocol_id != TRANSFORM_ID:
        raise WireError(f"not a sealed message but {header.protocol_id.hex()}")
    return header


def split_chain(view: memoryview) -> list[memoryview]:
    """The messages of one frame, each with its padding, which its signature covers.

    Raises WireError for a chain that does not advance by whole, aligned messages to its end
    ([MS-SMB2] 2.2.1.2 NextCommand, 3.2.5.1.9).
    """
    elements: list[memoryview] = []
    while len(elements) < CHAIN_LIMIT:
        if len(view) <= HEADER_SIZE:
            raise WireError(f"a message of {len(view)} bytes")
        (size,) = _NEXT_COMMAND.unpack_from(view)
        if not size:
            return [*elements, view]
        if size % 8 or size <= HEADER_SIZE:
            raise WireError(f"NextCommand is {size}")
        if size >= len(view):
            raise WireError("NextCommand runs past the end")
        elements.append(view[:size])
        view = view[size:]
    raise WireError(f"a chain of more than {CHAIN_LIMIT} messages")
