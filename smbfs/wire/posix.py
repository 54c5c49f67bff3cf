"""Information classes of the SMB 3.1.1 POSIX extension, as Samba and ksmbd have it.

A file, a directory entry and a filesystem, each number 100, only on handles opened with the POSIX
create context.  Layouts only; what is made of mode and owners is decided by who reads them.

Rules easily broken: nothing is aligned, and the type in a mode is no S_IFMT.
"""

from __future__ import annotations

from typing import ClassVar

from smbfs.wire.codec import U32, U64, Blob, Pad, Structure, WireError, trailing
from smbfs.wire.units import sid_size


class PosixType:
    """What kind of file, in bits 12-14 of ``posix_mode``; Samba before 4.22 leaves them 0."""

    SHIFT = 12
    FILE = 0
    DIRECTORY = 1
    SYMLINK = 2
    CHARACTER = 3
    BLOCK = 4
    FIFO = 5
    SOCKET = 6


class FilePosixInformation(Structure, at=0):
    """What QUERY_INFO says of one file; the two SIDs are taken apart by `posix_owners`."""

    number = 100
    creation_time: U64
    last_access_time: U64
    last_write_time: U64
    change_time: U64
    end_of_file: U64
    allocation_size: U64
    file_attributes: U32
    inode: U64
    device: U32 = 0
    _reserved: ClassVar = Pad(4)
    number_of_links: U32
    reparse_tag: U32 = 0
    posix_mode: U32  # permissions, and a `PosixType`
    sids: Blob = trailing()


class FilePosixDirectoryInformation(Structure, at=0):
    """An entry of a listing; after the SIDs comes the name, for `directory_entries` as others."""

    number = 100
    next_entry_offset: U32 = 0
    file_index: U32 = 0
    creation_time: U64
    last_access_time: U64
    last_write_time: U64
    change_time: U64
    end_of_file: U64
    allocation_size: U64
    file_attributes: U32
    inode: U64
    device: U32 = 0
    _reserved: ClassVar = Pad(4)
    number_of_links: U32
    reparse_tag: U32 = 0
    posix_mode: U32
    sids_and_name: Blob = trailing()

    @property
    def file_name(self) -> Blob:
        """The name, UTF-16; WireError if SIDs or name are incomplete."""
        _, _, rest = posix_owners(self.sids_and_name)
        size = int.from_bytes(rest[:4], "little")
        if len(rest) < 4 + size:
            raise WireError("name of a POSIX directory entry runs past the end")
        return rest[4 : 4 + size]


class FileFsPosixInformation(Structure, at=0):
    """What QUERY_INFO says of the filesystem: as statvfs(3)."""

    number = 100
    optimal_transfer_size: U32
    block_size: U32
    total_blocks: U64
    blocks_available: U64
    user_blocks_available: U64
    total_file_nodes: U64
    free_file_nodes: U64
    file_system_identifier: U64


def posix_owners(data: Blob) -> tuple[Blob, Blob, Blob]:
    """The owner's SID, the group's, and what follows; WireError if they are not there."""
    owner = sid_size(data)
    group = owner + sid_size(data, owner)
    return data[:owner], data[owner:group], data[group:]
