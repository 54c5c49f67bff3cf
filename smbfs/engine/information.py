"""What a server tells about a file, whichever of its many structures it told it in.

Pure.  Times are FILETIME values and sizes bytes, as they came; POSIX is made of them in
`smbfs.vfs.stat`.  A value the structure does not carry says so: see the fields.

Easily broken: the EaSize of a directory entry is the reparse tag as soon as the reparse attribute
is set ([MS-FSCC] 2.4.19), and a 64-bit size beyond what a file can have is a lie, not a size.
"""

from __future__ import annotations

from dataclasses import dataclass

from smbfs.wire.codec import WireError
from smbfs.wire.constants import Attributes, CloseFlags
from smbfs.wire.contexts import (
    MAXIMAL_ACCESS,
    QUERY_ON_DISK_ID,
    MaximalAccessResponse,
    OnDiskIdResponse,
    create_contexts,
)
from smbfs.wire.directory import DirectoryEntry, FileBothDirectoryInformation
from smbfs.wire.file_messages import CloseResponse, CreateResponse
from smbfs.wire.fscc import FileAllInformation

LARGEST = 2**63 - 1  # sizes are signed on the wire ([MS-FSCC] 2.4)
NO_IDS = (0, 2**64 - 1)  # what filesystems without file ids send instead ([MS-FSCC] 2.1.9)


@dataclass(slots=True)
class Information:
    """What is known of one file or directory."""

    creation_time: int = 0
    last_access_time: int = 0
    last_write_time: int = 0
    change_time: int = 0
    allocation_size: int = 0
    end_of_file: int = 0
    attributes: int = 0
    file_id: int = 0  # 0: unknown
    links: int = 0  # 0: unknown
    ea_size: int = -1  # -1: unknown
    reparse_tag: int = 0  # 0: none or unknown
    delete_pending: bool = False
    maximal_access: int = -1  # -1: not asked or not answered

    def __post_init__(self) -> None:
        if self.end_of_file > LARGEST:
            raise WireError(f"a file of {self.end_of_file} bytes")
        if self.allocation_size > LARGEST:  # nothing hangs on it but the blocks that du counts
            self.allocation_size = self.end_of_file

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory; some symbolic links are, too."""
        return bool(self.attributes & Attributes.DIRECTORY)

    @property
    def is_reparse(self) -> bool:
        """Whether it stands for something else: a symbolic link, a mount point, a device."""
        return bool(self.attributes & Attributes.REPARSE_POINT)

    @property
    def is_read_only(self) -> bool:
        """Whether the DOS attribute forbids writing."""
        return bool(self.attributes & Attributes.READONLY)


@dataclass(slots=True)
class Listed:
    """One name of a directory listing, in wire form, and what the listing says of it."""

    name: str
    information: Information


def from_all(view: memoryview) -> Information:
    """Read a FileAllInformation ([MS-FSCC] 2.4.2).  Raises WireError."""
    whole = FileAllInformation.parse(view, 0)
    return Information(
        creation_time=whole.creation_time,
        last_access_time=whole.last_access_time,
        last_write_time=whole.last_write_time,
        change_time=whole.change_time,
        allocation_size=whole.allocation_size,
        end_of_file=whole.end_of_file,
        attributes=whole.file_attributes,
        file_id=known_id(whole.index_number),
        links=whole.number_of_links,
        ea_size=whole.ea_size,
        delete_pending=bool(whole.delete_pending),
    )


def from_entry(entry: DirectoryEntry) -> Information:
    """Read what a directory entry says.  Raises WireError."""
    is_reparse = bool(entry.file_attributes & Attributes.REPARSE_POINT)
    return Information(
        creation_time=entry.creation_time,
        last_access_time=entry.last_access_time,
        last_write_time=entry.last_write_time,
        change_time=entry.change_time,
        allocation_size=entry.allocation_size,
        end_of_file=entry.end_of_file,
        attributes=entry.file_attributes,
        file_id=0 if isinstance(entry, FileBothDirectoryInformation) else known_id(entry.file_id),
        ea_size=-1 if is_reparse else entry.ea_size,
        reparse_tag=entry.ea_size if is_reparse else 0,
    )


def from_create(response: CreateResponse) -> Information:
    """Read what a CREATE response says, create contexts included.  Raises WireError."""
    information = Information(
        creation_time=response.creation_time,
        last_access_time=response.last_access_time,
        last_write_time=response.last_write_time,
        change_time=response.change_time,
        allocation_size=response.allocation_size,
        end_of_file=response.end_of_file,
        attributes=response.file_attributes,
    )
    if not response.contexts:
        return information
    contexts = create_contexts(memoryview(response.contexts))
    if (data := contexts.get(QUERY_ON_DISK_ID)) is not None:
        information.file_id = known_id(OnDiskIdResponse.parse(data, 0).disk_file_id)
    if (data := contexts.get(MAXIMAL_ACCESS)) is not None:
        answer = MaximalAccessResponse.parse(data, 0)
        if not answer.query_status:
            information.maximal_access = answer.maximal_access
    return information


def from_close(response: CloseResponse) -> Information | None:
    """Read what a CLOSE response says; None if it carries no attributes.  Raises WireError."""
    if not response.flags & CloseFlags.POSTQUERY_ATTRIB:
        return None
    return Information(
        creation_time=response.creation_time,
        last_access_time=response.last_access_time,
        last_write_time=response.last_write_time,
        change_time=response.change_time,
        allocation_size=response.allocation_size,
        end_of_file=response.end_of_file,
        attributes=response.file_attributes,
    )


def known_id(number: int) -> int:
    """The file id, or 0 where the filesystem has none to give."""
    return 0 if number in NO_IDS else number
