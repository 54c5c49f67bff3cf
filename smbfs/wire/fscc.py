"""Information classes of files and filesystems, [MS-FSCC] 2.4 and 2.5.

Layouts only, fields named as in the specification; ``number`` is the class's number, to go into
QUERY_INFO and SET_INFO.  Directory listings are in `smbfs.wire.directory`, the POSIX extension in
`smbfs.wire.posix`, reparse points in `smbfs.wire.reparse`.  Times are FILETIMEs and all numbers
unsigned, as in the SMB2 messages: a negative one from a server is huge, and no error here.

Rule easily broken: these come in a buffer of their own, so offsets count from zero (``at=0``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, ClassVar

from smbfs.wire.codec import (
    U8,
    U16,
    U32,
    U64,
    Blob,
    Bytes16,
    Pad,
    Structure,
    WireError,
    derived,
    trailing,
)
from smbfs.wire.directory import directory_entries, pack_entries

Bytes48 = Annotated[bytes, "48s"]


class FileBasicInformation(Structure, at=0):
    """[MS-FSCC] 2.4.7; in SET_INFO a time may be `units.UNCHANGED` or `units.FROZEN`."""

    number = 4
    creation_time: U64 = 0
    last_access_time: U64 = 0
    last_write_time: U64 = 0
    change_time: U64 = 0
    file_attributes: U32 = 0
    _reserved: ClassVar = Pad(4)


class FileStandardInformation(Structure, at=0):
    """[MS-FSCC] 2.4.47."""

    number = 5
    allocation_size: U64
    end_of_file: U64
    number_of_links: U32
    delete_pending: U8 = 0
    directory: U8 = 0
    _reserved: ClassVar = Pad(2)


class FileInternalInformation(Structure, at=0):
    """[MS-FSCC] 2.4.27."""

    number = 6
    index_number: U64


class FileEaInformation(Structure, at=0):
    """[MS-FSCC] 2.4.13."""

    number = 7
    ea_size: U32


class FileRenameInformation(Structure, at=0):
    """FileRenameInformation for SMB2, [MS-FSCC] 2.4.43.2; Windows wants at least 24 bytes."""

    number = 10
    replace_if_exists: U8 = 0
    _reserved: ClassVar = Pad(7)
    root_directory: U64 = 0
    file_name_length: U32 = derived()
    file_name: Blob = trailing("file_name_length")


class FileLinkInformation(Structure, at=0):
    """FileLinkInformation for SMB2, [MS-FSCC] 2.4.28.2; at least 24 bytes too."""

    number = 11
    replace_if_exists: U8 = 0
    _reserved: ClassVar = Pad(7)
    root_directory: U64 = 0
    file_name_length: U32 = derived()
    file_name: Blob = trailing("file_name_length")


class FileDispositionInformation(Structure, at=0):
    """[MS-FSCC] 2.4.11."""

    number = 13
    delete_pending: U8


class FileFullEaInformation(Structure, at=0):
    """One extended attribute, [MS-FSCC] 2.4.16; lists go through `pack_eas` and `full_eas`."""

    number = 15
    next_entry_offset: U32 = 0
    flags: U8 = 0
    ea_name_length: U8
    ea_value_length: U16
    ea_name_and_value: Blob = trailing()  # the name, a NUL, the value


class FileAllInformation(Structure, at=0):
    """[MS-FSCC] 2.4.2.  Of the name there may be less than its length: then the reply is a
    BUFFER_OVERFLOW, and all the rest of it is good."""

    number = 18
    creation_time: U64
    last_access_time: U64
    last_write_time: U64
    change_time: U64
    file_attributes: U32
    _reserved: ClassVar = Pad(4)
    allocation_size: U64
    end_of_file: U64
    number_of_links: U32
    delete_pending: U8 = 0
    directory: U8 = 0
    _reserved2: ClassVar = Pad(2)
    index_number: U64
    ea_size: U32 = 0
    access_flags: U32 = 0
    current_byte_offset: U64 = 0
    mode: U32 = 0
    alignment_requirement: U32 = 0
    file_name_length: U32 = 0
    file_name: Blob = trailing(default=b"")


class FileAllocationInformation(Structure, at=0):
    """[MS-FSCC] 2.4.4."""

    number = 19
    allocation_size: U64


class FileEndOfFileInformation(Structure, at=0):
    """[MS-FSCC] 2.4.14."""

    number = 20
    end_of_file: U64


class FileStreamInformation(Structure, at=0):
    """One stream of a file, [MS-FSCC] 2.4.49; lists go through `streams`."""

    number = 22
    next_entry_offset: U32 = 0
    stream_name_length: U32 = derived()
    stream_size: U64
    stream_allocation_size: U64
    stream_name: Blob = trailing("stream_name_length")


class FileNetworkOpenInformation(Structure, at=0):
    """[MS-FSCC] 2.4.34."""

    number = 34
    creation_time: U64
    last_access_time: U64
    last_write_time: U64
    change_time: U64
    allocation_size: U64
    end_of_file: U64
    file_attributes: U32
    _reserved: ClassVar = Pad(4)


class FileAttributeTagInformation(Structure, at=0):
    """[MS-FSCC] 2.4.6."""

    number = 35
    file_attributes: U32
    reparse_tag: U32


class FileNormalizedNameInformation(Structure, at=0):
    """[MS-FSCC] 2.4.36."""

    number = 48
    file_name_length: U32 = derived()
    file_name: Blob = trailing("file_name_length")


class FileIdInformation(Structure, at=0):
    """[MS-FSCC] 2.4.26."""

    number = 59
    volume_serial_number: U64
    file_id: Bytes16


class DispositionFlags:
    """FILE_DISPOSITION_*, [MS-FSCC] 2.4.12."""

    DELETE = 0x01
    POSIX_SEMANTICS = 0x02
    FORCE_IMAGE_SECTION_CHECK = 0x04
    ON_CLOSE = 0x08
    IGNORE_READONLY_ATTRIBUTE = 0x10


class FileDispositionInformationEx(Structure, at=0):
    """[MS-FSCC] 2.4.12; ``flags`` are `DispositionFlags`."""

    number = 64
    flags: U32


class RenameFlags:
    """FILE_RENAME_*, [MS-FSCC] 2.4.44."""

    REPLACE_IF_EXISTS = 0x01
    POSIX_SEMANTICS = 0x02
    IGNORE_READONLY_ATTRIBUTE = 0x40


class FileRenameInformationEx(Structure, at=0):
    """[MS-FSCC] 2.4.44; ``flags`` are `RenameFlags`."""

    number = 65
    flags: U32
    _reserved: ClassVar = Pad(4)
    root_directory: U64 = 0
    file_name_length: U32 = derived()
    file_name: Blob = trailing("file_name_length")


class FileFsVolumeInformation(Structure, at=0):
    """[MS-FSCC] 2.5.9."""

    number = 1
    volume_creation_time: U64
    volume_serial_number: U32
    volume_label_length: U32 = derived()
    supports_objects: U8 = 0
    _reserved: ClassVar = Pad(1)
    volume_label: Blob = trailing("volume_label_length")


class FileFsSizeInformation(Structure, at=0):
    """[MS-FSCC] 2.5.8."""

    number = 3
    total_allocation_units: U64
    available_allocation_units: U64
    sectors_per_allocation_unit: U32
    bytes_per_sector: U32


class FileFsDeviceInformation(Structure, at=0):
    """[MS-FSCC] 2.5.10."""

    number = 4
    device_type: U32
    characteristics: U32


class FsAttributes:
    """``file_system_attributes``: what a filesystem can do, [MS-FSCC] 2.5.1; those we ask for."""

    CASE_SENSITIVE_SEARCH = 0x00000001
    CASE_PRESERVED_NAMES = 0x00000002
    UNICODE_ON_DISK = 0x00000004
    PERSISTENT_ACLS = 0x00000008
    FILE_COMPRESSION = 0x00000010
    VOLUME_QUOTAS = 0x00000020
    SUPPORTS_SPARSE_FILES = 0x00000040
    SUPPORTS_REPARSE_POINTS = 0x00000080
    SUPPORTS_OBJECT_IDS = 0x00010000
    NAMED_STREAMS = 0x00040000
    READ_ONLY_VOLUME = 0x00080000
    SUPPORTS_HARD_LINKS = 0x00400000
    SUPPORTS_EXTENDED_ATTRIBUTES = 0x00800000
    SUPPORTS_OPEN_BY_FILE_ID = 0x01000000
    SUPPORTS_BLOCK_REFCOUNTING = 0x08000000
    SUPPORTS_POSIX_UNLINK_RENAME = 0x00000400


class FileFsAttributeInformation(Structure, at=0):
    """[MS-FSCC] 2.5.1; ``file_system_attributes`` are `FsAttributes`."""

    number = 5
    file_system_attributes: U32
    maximum_component_name_length: U32
    file_system_name_length: U32 = derived()
    file_system_name: Blob = trailing("file_system_name_length")


class FileFsFullSizeInformation(Structure, at=0):
    """[MS-FSCC] 2.5.4."""

    number = 7
    total_allocation_units: U64
    caller_available_allocation_units: U64
    actual_available_allocation_units: U64
    sectors_per_allocation_unit: U32
    bytes_per_sector: U32


class FileFsObjectIdInformation(Structure, at=0):
    """[MS-FSCC] 2.5.6."""

    number = 8
    object_id: Bytes16
    extended_info: Bytes48 = bytes(48)


class FileFsSectorSizeInformation(Structure, at=0):
    """[MS-FSCC] 2.5.7."""

    number = 11
    logical_bytes_per_sector: U32
    physical_bytes_per_sector_for_atomicity: U32
    physical_bytes_per_sector_for_performance: U32
    effective_physical_bytes_per_sector_for_atomicity: U32
    flags: U32 = 0
    byte_offset_for_sector_alignment: U32 = 0
    byte_offset_for_partition_alignment: U32 = 0


def pack_eas(attributes: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The wire form of extended attributes; an empty value deletes the attribute.

    A name has 1 to 255 bytes without NUL, a value at most 65535; ValueError otherwise.
    """
    return pack_entries([_ea(name, value) for name, value in attributes], align=4)


def _ea(name: bytes, value: bytes) -> FileFullEaInformation:
    if not 0 < len(name) < 256 or b"\0" in name or len(value) > 0xFFFF:
        raise ValueError(f"extended attribute {name!r} of {len(value)} bytes cannot be sent")
    return FileFullEaInformation(
        ea_name_length=len(name),
        ea_value_length=len(value),
        ea_name_and_value=name + b"\0" + value,
    )


def full_eas(view: memoryview) -> Iterator[tuple[bytes, bytes]]:
    """The extended attributes, name and value, of one FileFullEaInformation buffer.

    Raises WireError if one is cut off or they overlap; an empty buffer holds none.
    """
    for ea in directory_entries(view, FileFullEaInformation):
        value_at = ea.ea_name_length + 1
        end = value_at + ea.ea_value_length
        body = bytes(ea.ea_name_and_value[:end])
        if len(body) < end or 0 < ea.next_entry_offset < ea.FIXED + end:
            raise WireError("extended attribute runs past its end")
        yield body[: ea.ea_name_length], body[value_at:]


def streams(view: memoryview) -> Iterator[FileStreamInformation]:
    """The entries of one FileStreamInformation buffer; WireError as in `directory_entries`."""
    return directory_entries(view, FileStreamInformation)
