"""Messages that ask or tell something about a file or a directory, [MS-SMB2] 2.2.33 to 2.2.40.

Knows the envelopes; what is inside them belongs to `fscc` and its neighbours.  See `messages` for
the rules of naming.
"""

from __future__ import annotations

from typing import ClassVar

from smbfs.wire.codec import U8, U16, U32, Blob, Bytes16, Pad, Structure, buffer, derived
from smbfs.wire.header import Command


class QueryDirectoryRequest(Structure, size=33):
    """SMB2 QUERY_DIRECTORY Request, [MS-SMB2] 2.2.33; ``file_name`` is the search pattern."""

    command = Command.QUERY_DIRECTORY
    file_information_class: U8
    flags: U8 = 0
    file_index: U32 = 0
    file_id: Bytes16
    file_name_offset: U16 = derived()
    file_name_length: U16 = derived()
    output_buffer_length: U32
    file_name: Blob = buffer("file_name_offset", "file_name_length", optional=True)


class QueryDirectoryResponse(Structure, size=9):
    """SMB2 QUERY_DIRECTORY Response, [MS-SMB2] 2.2.34."""

    output_buffer_offset: U16 = derived()
    output_buffer_length: U32 = derived()
    output_buffer: Blob = buffer("output_buffer_offset", "output_buffer_length")


class ChangeNotifyRequest(Structure, size=32):
    """SMB2 CHANGE_NOTIFY Request, [MS-SMB2] 2.2.35."""

    command = Command.CHANGE_NOTIFY
    flags: U16 = 0
    output_buffer_length: U32
    file_id: Bytes16
    completion_filter: U32
    _reserved: ClassVar = Pad(4)


class ChangeNotifyResponse(Structure, size=9):
    """SMB2 CHANGE_NOTIFY Response, [MS-SMB2] 2.2.36."""

    output_buffer_offset: U16 = derived()
    output_buffer_length: U32 = derived()
    output_buffer: Blob = buffer("output_buffer_offset", "output_buffer_length")


class QueryInfoRequest(Structure, size=41):
    """SMB2 QUERY_INFO Request, [MS-SMB2] 2.2.37."""

    command = Command.QUERY_INFO
    info_type: U8
    file_info_class: U8
    output_buffer_length: U32
    input_buffer_offset: U16 = derived()
    _reserved: ClassVar = Pad(2)
    input_buffer_length: U32 = derived()
    additional_information: U32 = 0
    flags: U32 = 0
    file_id: Bytes16
    input_buffer: Blob = buffer(
        "input_buffer_offset", "input_buffer_length", optional=True, default=b""
    )


class QueryInfoResponse(Structure, size=9):
    """SMB2 QUERY_INFO Response, [MS-SMB2] 2.2.38."""

    output_buffer_offset: U16 = derived()
    output_buffer_length: U32 = derived()
    output_buffer: Blob = buffer("output_buffer_offset", "output_buffer_length")


class SetInfoRequest(Structure, size=33):
    """SMB2 SET_INFO Request, [MS-SMB2] 2.2.39."""

    command = Command.SET_INFO
    info_type: U8
    file_info_class: U8
    buffer_length: U32 = derived()
    buffer_offset: U16 = derived()
    _reserved: ClassVar = Pad(2)
    additional_information: U32 = 0
    file_id: Bytes16
    buffer: Blob = buffer("buffer_offset", "buffer_length")


class SetInfoResponse(Structure, size=2):
    """SMB2 SET_INFO Response, [MS-SMB2] 2.2.40: nothing but its StructureSize."""

    _nothing: ClassVar = Pad(0)
