"""What can be done to an open file, each as a value: what to ask, and how to read the answer.

Pure.  The same step rides in a compound behind a CREATE (`Share.on`, `Share.open`) or goes out on
a handle (`Handle.do`).  A step knows the statuses that are answers and not errors, and believes
no length: what a server sends beyond what was asked is WireError, and so is everything malformed.

Easily broken: a READ or WRITE that is not the last of a chain is slow on some servers, and a LOCK
or CHANGE_NOTIFY must never be in one; a later step may have run although an earlier one failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

from smbfs.engine.exchange import FINAL_ONLY, Ask, Reply
from smbfs.engine.information import Information, Listed, from_all, from_entry
from smbfs.wire.codec import Blob, WireError
from smbfs.wire.constants import Fsctl, InfoType, QueryDirectoryFlags
from smbfs.wire.directory import DirectoryEntry, directory_entries
from smbfs.wire.file_messages import (
    FlushRequest,
    IoctlRequest,
    IoctlResponse,
    ReadRequest,
    ReadResponse,
    WriteRequest,
    WriteResponse,
)
from smbfs.wire.fscc import (
    FileAllInformation,
    FileAttributeTagInformation,
    FileBasicInformation,
    FileDispositionInformation,
    FileEndOfFileInformation,
    FileFsAttributeInformation,
    FileFsFullSizeInformation,
    FileFsVolumeInformation,
    FileFullEaInformation,
    FileLinkInformation,
    FileRenameInformation,
    full_eas,
    pack_eas,
)
from smbfs.wire.query_messages import (
    QueryDirectoryRequest,
    QueryDirectoryResponse,
    QueryInfoRequest,
    QueryInfoResponse,
    SetInfoRequest,
)
from smbfs.wire.status import Status
from smbfs.wire.units import is_safe_name, text, utf16

T = TypeVar("T")

SMALL = 65536  # what a query may answer without costing a second credit ([MS-SMB2] 3.2.4.1.5)
REPARSE_SIZE = 16384  # MAXIMUM_REPARSE_DATA_BUFFER_SIZE
SHORTEST_NAMING = 24  # Windows takes no shorter rename, which one letter would make

QUERIED = frozenset({Status.SUCCESS, Status.BUFFER_OVERFLOW})  # a warning that comes with data
DENIED = frozenset({Status.ACCESS_DENIED, Status.FILE_LOCK_CONFLICT})
READABLE = frozenset({Status.SUCCESS, Status.END_OF_FILE, Status.BUFFER_OVERFLOW})
LISTED = frozenset({Status.SUCCESS, Status.NO_MORE_FILES, Status.NO_SUCH_FILE})
WITH_EAS = frozenset({Status.SUCCESS, Status.NO_EAS_ON_FILE, Status.NO_MORE_EAS})
SELF_AND_PARENT = (".", "..")


class Listing(NamedTuple):
    """How a server wants to be asked for a directory: the entries, and how many bytes of them."""

    entries: type[DirectoryEntry]
    size: int


@dataclass(frozen=True, slots=True)
class Where:
    """On which file a step is asked, and what of the share it needs to know."""

    file_id: bytes
    prefix: str  # the mounted subdirectory, in wire form; "" for the whole share
    listing: Listing
    on_unsafe: Callable[[str], None]  # told of a name no client may believe

    def full(self, path: str) -> str:
        """The path as the share knows it."""
        return joined(self.prefix, path)


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """One thing to do to an open file; ``result`` raises WireError for an answer that lies."""

    ask: Callable[[Where], Ask]
    result: Callable[[Reply, Where], T]


def joined(prefix: str, path: str) -> str:
    """Two paths in wire form as one."""
    return f"{prefix}\\{path}" if prefix and path else prefix or path


# Queries


def _queried(reply: Reply, most: int) -> memoryview:
    output = memoryview(reply.parse(QueryInfoResponse).output_buffer)
    return at_most(output, most)


def at_most(data: memoryview, most: int) -> memoryview:
    """The bytes of an answer, if they are no more than were asked for; raises WireError."""
    if len(data) > most:
        raise WireError(f"{len(data)} bytes where {most} were asked for")
    return data


def _query(
    info_type: int,
    number: int,
    read: Callable[[memoryview], T],
    *,
    most: int = SMALL,
    answers: frozenset[Status] = QUERIED,
) -> Step[T]:
    def ask(where: Where) -> Ask:
        body = QueryInfoRequest(
            info_type=info_type,
            file_info_class=number,
            output_buffer_length=most,
            file_id=where.file_id,
        )
        return Ask(body, receives=most, answers=answers)

    return Step(ask, lambda reply, _: read(_queried(reply, most)))


def query_all() -> Step[Information]:
    """Ask for everything a stat needs ([MS-FSCC] 2.4.2); the reparse tag is not in it."""
    return _query(InfoType.FILE, FileAllInformation.number, from_all)


def query_tag() -> Step[int]:
    """Ask for the reparse tag, 0 for an ordinary file ([MS-FSCC] 2.4.6)."""
    cls = FileAttributeTagInformation
    return _query(InfoType.FILE, cls.number, lambda view: cls.parse(view, 0).reparse_tag)


def query_space() -> Step[FileFsFullSizeInformation]:
    """Ask how large and how full the filesystem is ([MS-FSCC] 2.5.4)."""
    cls = FileFsFullSizeInformation
    return _query(InfoType.FILESYSTEM, cls.number, lambda view: cls.parse(view, 0))


def query_volume() -> Step[FileFsVolumeInformation]:
    """Ask for serial number and label ([MS-FSCC] 2.5.9)."""
    cls = FileFsVolumeInformation
    return _query(InfoType.FILESYSTEM, cls.number, lambda view: cls.parse(view, 0))


def query_attributes_fs() -> Step[FileFsAttributeInformation]:
    """Ask what the filesystem can do, and its name ([MS-FSCC] 2.5.1)."""
    cls = FileFsAttributeInformation
    return _query(InfoType.FILESYSTEM, cls.number, lambda view: cls.parse(view, 0))


def query_eas(most: int = SMALL) -> Step[list[tuple[bytes, bytes]]]:
    """Ask for all extended attributes as (name, value); StatusError BUFFER_OVERFLOW asks for more.

    Half a list would be a lie, so that warning is no answer here ([MS-FSCC] 2.4.15).
    """

    def result(reply: Reply, where: Where) -> list[tuple[bytes, bytes]]:
        if reply.status != Status.SUCCESS:
            return []
        return [(bytes(name), bytes(value)) for name, value in full_eas(_queried(reply, most))]

    query: Step[Any] = _query(
        InfoType.FILE, FileFullEaInformation.number, bytes, most=most, answers=WITH_EAS
    )
    return Step(query.ask, result)


# Changes


def _set(number: int, data: Callable[[Where], bytes]) -> Step[None]:
    def ask(where: Where) -> Ask:
        body = SetInfoRequest(
            info_type=InfoType.FILE,
            file_info_class=number,
            file_id=where.file_id,
            buffer=data(where),
        )
        return Ask(body)

    return Step(ask, _nothing)


def _nothing(reply: Reply, where: Where) -> None:
    """Read an answer that says no more than its status."""


def set_basic(
    *, creation: int = 0, access: int = 0, write: int = 0, change: int = 0, attributes: int = 0
) -> Step[None]:
    """Set times (FILETIME) and DOS attributes; 0 leaves one alone ([MS-FSCC] 2.4.7)."""
    information = FileBasicInformation(
        creation_time=creation,
        last_access_time=access,
        last_write_time=write,
        change_time=change,
        file_attributes=attributes,
    )
    return _set(FileBasicInformation.number, lambda _: bytes(information))


def set_end_of_file(size: int) -> Step[None]:
    """Cut or grow the file to ``size`` bytes ([MS-FSCC] 2.4.13)."""
    information = FileEndOfFileInformation(end_of_file=size)
    return _set(FileEndOfFileInformation.number, lambda _: bytes(information))


def set_disposition(delete: bool) -> Step[None]:
    """Delete the file when its last handle closes, or not ([MS-FSCC] 2.4.11)."""
    information = FileDispositionInformation(delete_pending=int(delete))
    return _set(FileDispositionInformation.number, lambda _: bytes(information))


def rename_to(path: str, replace: bool) -> Step[None]:
    """Give the file another name, in the same share ([MS-FSCC] 2.4.43.2)."""
    cls = FileRenameInformation
    return _set(cls.number, lambda where: _named(cls, where.full(path), replace))


def link_to(path: str, replace: bool) -> Step[None]:
    """Give the file one more name ([MS-FSCC] 2.4.28.2)."""
    cls = FileLinkInformation
    return _set(cls.number, lambda where: _named(cls, where.full(path), replace))


def _named(
    cls: type[FileRenameInformation] | type[FileLinkInformation], path: str, replace: bool
) -> bytes:
    data = bytes(cls(replace_if_exists=int(replace), file_name=utf16(path)))
    return data.ljust(SHORTEST_NAMING, b"\0")


def set_eas(eas: Sequence[tuple[bytes, bytes]]) -> Step[None]:
    """Set extended attributes; an empty value removes one ([MS-FSCC] 2.4.15)."""
    data = pack_eas(list(eas))
    return _set(FileFullEaInformation.number, lambda _: data)


# Data


def read(offset: int, size: int) -> Step[memoryview]:
    """Read at most ``size`` bytes; none at or behind the end of the file ([MS-SMB2] 2.2.19)."""

    def ask(where: Where) -> Ask:
        body = ReadRequest(length=size, offset=offset, file_id=where.file_id)
        return Ask(body, receives=size, answers=READABLE)

    def result(reply: Reply, where: Where) -> memoryview:
        if reply.status == Status.END_OF_FILE:
            return memoryview(b"")
        return at_most(memoryview(reply.parse(ReadResponse).data), size)

    return Step(ask, result)


def try_read(offset: int, size: int) -> Step[memoryview | None]:
    """Read as `read`, where nothing hangs on it: None if that is not possible now."""
    step = read(offset, size)

    def ask(where: Where) -> Ask:
        return replace(step.ask(where), answers=READABLE | DENIED)

    def result(reply: Reply, where: Where) -> memoryview | None:
        return None if reply.status in DENIED else step.result(reply, where)

    return Step(ask, result)


def write(offset: int, data: Blob | Sequence[Blob]) -> Step[int]:
    """Write bytes; the answer is how many the server took, maybe fewer ([MS-SMB2] 2.2.21)."""
    whole = data if isinstance(data, bytes | memoryview) else _joined(data)
    size = len(whole)

    def ask(where: Where) -> Ask:
        return Ask(WriteRequest(offset=offset, file_id=where.file_id, data=whole))

    def result(reply: Reply, where: Where) -> int:
        count = reply.parse(WriteResponse).count
        if count > size:
            raise WireError(f"{count} bytes written of {size}")
        return count

    return Step(ask, result)


def _joined(parts: Sequence[Blob]) -> Blob:
    return parts[0] if len(parts) == 1 else b"".join(parts)


def flush() -> Step[None]:
    """Have the server bring the file to its disk ([MS-SMB2] 2.2.17)."""
    return Step(lambda where: Ask(FlushRequest(file_id=where.file_id)), _nothing)


# Control codes


def ioctl(code: int, data: Blob, most: int, *, answers: frozenset[Status] = QUERIED) -> Step[Blob]:
    """Send a control code; the answer is its output, ``most`` bytes at most ([MS-SMB2] 2.2.31)."""

    def ask(where: Where) -> Ask:
        body = IoctlRequest(
            ctl_code=code, file_id=where.file_id, max_output_response=most, input=data
        )
        return Ask(body, receives=most, answers=answers)

    def result(reply: Reply, where: Where) -> Blob:
        return at_most(memoryview(reply.parse(IoctlResponse).output), most)

    return Step(ask, result)


def get_reparse() -> Step[Blob]:
    """Fetch the reparse buffer: what a symbolic link or a special file is ([MS-FSCC] 2.3.29)."""
    return ioctl(Fsctl.GET_REPARSE_POINT, b"", REPARSE_SIZE, answers=FINAL_ONLY)


def set_reparse(data: Blob) -> Step[Blob]:
    """Make the file a reparse point ([MS-FSCC] 2.3.81)."""
    return ioctl(Fsctl.SET_REPARSE_POINT, data, 0, answers=FINAL_ONLY)


# Directories


def list_directory(pattern: str, size: int, restart: bool = False) -> Step[list[Listed] | None]:
    """Fetch the next page of a listing, ``size`` bytes at most; None at its end.

    The cursor lives in the handle, so there is one listing at a time on each.  ``.``, ``..`` and
    names that no client may believe are left out, so a page can be empty ([MS-SMB2] 2.2.33).
    """

    def most(where: Where) -> int:
        return min(size, where.listing.size)

    def ask(where: Where) -> Ask:
        body = QueryDirectoryRequest(
            file_information_class=where.listing.entries.number,
            flags=QueryDirectoryFlags.RESTART_SCANS if restart else 0,
            file_id=where.file_id,
            output_buffer_length=most(where),
            file_name=utf16(pattern),
        )
        return Ask(body, receives=most(where), answers=LISTED)

    def result(reply: Reply, where: Where) -> list[Listed] | None:
        if reply.status != Status.SUCCESS:
            return None
        page = memoryview(reply.parse(QueryDirectoryResponse).output_buffer)
        if not page:
            raise WireError("a page of a listing without entries")  # asking on would never end
        entries = directory_entries(at_most(page, most(where)), where.listing.entries)
        return list(_listed(entries, where.on_unsafe))

    return Step(ask, result)


def _listed(
    entries: Iterable[DirectoryEntry], on_unsafe: Callable[[str], None]
) -> Iterator[Listed]:
    for entry in entries:
        name = text(entry.file_name)
        if is_safe_name(name):
            yield Listed(name, from_entry(entry))
        elif name not in SELF_AND_PARENT:
            on_unsafe(name)
