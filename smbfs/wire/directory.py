"""The entries of a directory listing, [MS-FSCC] 2.4: one class for each way to ask.

Layouts, and the chain by NextEntryOffset that listings share with extended attributes and streams.
``file_name`` is UTF-16; whether a name may be believed is decided by who reads it.

Rules easily broken: ``ea_size`` is the reparse tag as soon as the reparse attribute is set, and a
loop over offsets from the wire must advance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Protocol, Self, TypeVar

from smbfs.wire.codec import (
    U8,
    U32,
    U64,
    Blob,
    Bytes24,
    Pad,
    Structure,
    WireError,
    derived,
    trailing,
)


class FileBothDirectoryInformation(Structure, at=0):
    """[MS-FSCC] 2.4.8: every server knows it, but it has no file id."""

    number = 3
    next_entry_offset: U32 = 0
    file_index: U32 = 0
    creation_time: U64
    last_access_time: U64
    last_write_time: U64
    change_time: U64
    end_of_file: U64
    allocation_size: U64
    file_attributes: U32
    file_name_length: U32 = derived()
    ea_size: U32 = 0
    short_name_length: U8 = 0
    _reserved: ClassVar = Pad(1)
    short_name: Bytes24 = bytes(24)
    file_name: Blob = trailing("file_name_length")


class FileIdBothDirectoryInformation(Structure, at=0):
    """[MS-FSCC] 2.4.22."""

    number = 37
    next_entry_offset: U32 = 0
    file_index: U32 = 0
    creation_time: U64
    last_access_time: U64
    last_write_time: U64
    change_time: U64
    end_of_file: U64
    allocation_size: U64
    file_attributes: U32
    file_name_length: U32 = derived()
    ea_size: U32 = 0
    short_name_length: U8 = 0
    _reserved: ClassVar = Pad(1)
    short_name: Bytes24 = bytes(24)
    _reserved2: ClassVar = Pad(2)
    file_id: U64
    file_name: Blob = trailing("file_name_length")


class FileIdFullDirectoryInformation(Structure, at=0):
    """[MS-FSCC] 2.4.23: the one to prefer, with a file id and without the 8.3 name."""

    number = 38
    next_entry_offset: U32 = 0
    file_index: U32 = 0
    creation_time: U64
    last_access_time: U64
    last_write_time: U64
    change_time: U64
    end_of_file: U64
    allocation_size: U64
    file_attributes: U32
    file_name_length: U32 = derived()
    ea_size: U32 = 0
    _reserved: ClassVar = Pad(4)
    file_id: U64
    file_name: Blob = trailing("file_name_length")


class NotifyAction:
    """FILE_ACTION_* in a change of a directory, [MS-FSCC] 2.7.1."""

    ADDED = 1
    REMOVED = 2
    MODIFIED = 3
    RENAMED_OLD_NAME = 4
    RENAMED_NEW_NAME = 5


class FileNotifyInformation(Structure, at=0):
    """One change in a directory, [MS-FSCC] 2.7.1; ``action`` is a `NotifyAction`."""

    next_entry_offset: U32 = 0
    action: U32
    file_name_length: U32 = derived()
    file_name: Blob = trailing("file_name_length")


DirectoryEntry = (
    FileBothDirectoryInformation | FileIdBothDirectoryInformation | FileIdFullDirectoryInformation
)


class Entry(Protocol):
    """What all that chains by NextEntryOffset has in common."""

    next_entry_offset: int
    FIXED: ClassVar[int]

    @classmethod
    def parse(cls, view: memoryview, at: int = ...) -> Self:
        """Read the entry at ``view[at:]``."""

    def __bytes__(self) -> bytes: ...


E = TypeVar("E", bound=Entry)


def directory_entries(view: memoryview, cls: type[E]) -> Iterator[E]:
    """The entries of one buffer, each a ``cls``; names are as they came and may be anything.

    Raises WireError, after the entries before it, if one is cut off, or if an offset does not lead
    past its own entry or leads out of the buffer.  That it is aligned is not trusted, nor needed.
    An empty buffer holds none.
    """
    at, parse, fixed, end = 0, cls.parse, cls.FIXED, len(view)
    while at < end:
        entry = parse(view, at)
        yield entry
        offset = entry.next_entry_offset
        if not offset:
            return
        if not fixed <= offset <= end - at:
            raise WireError(f"{cls.__name__} overlaps the next or leads out of the buffer")
        at += offset


def pack_entries(entries: Sequence[Entry], *, align: int = 8) -> bytes:
    """The buffer that holds these entries, chained; their ``next_entry_offset`` is filled in."""
    parts: list[bytes] = []
    for entry in entries[:-1]:
        size = len(bytes(entry))
        entry.next_entry_offset = size + -size % align
        parts += [bytes(entry), bytes(-size % align)]
    for entry in entries[-1:]:
        entry.next_entry_offset = 0
        parts.append(bytes(entry))
    return b"".join(parts)
