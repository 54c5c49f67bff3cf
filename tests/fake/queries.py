"""What the fake server tells: information classes, listings, attributes of the filesystem.

Each class is a function in a table by its number; what is in no table is INVALID_INFO_CLASS.
Sizes of buffers are honoured as [MS-SMB2] 3.3.5.20 says: a fixed part that does not fit is an
error, a variable part that does not is cut and told with BUFFER_OVERFLOW.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from smbfs.wire.codec import Structure
from smbfs.wire.constants import Access, InfoType, QueryDirectoryFlags
from smbfs.wire.directory import (
    DirectoryEntry,
    FileBothDirectoryInformation,
    FileIdBothDirectoryInformation,
    FileIdFullDirectoryInformation,
)
from smbfs.wire.fscc import (
    FileAllInformation,
    FileAttributeTagInformation,
    FileBasicInformation,
    FileEaInformation,
    FileFsAttributeInformation,
    FileFsDeviceInformation,
    FileFsFullSizeInformation,
    FileFsObjectIdInformation,
    FileFsSectorSizeInformation,
    FileFsSizeInformation,
    FileFsVolumeInformation,
    FileFullEaInformation,
    FileInternalInformation,
    FileNetworkOpenInformation,
    FileNormalizedNameInformation,
    FileStandardInformation,
    FileStreamInformation,
    FsAttributes,
    pack_eas,
)
from smbfs.wire.query_messages import QueryDirectoryRequest, QueryInfoRequest
from smbfs.wire.status import Status
from smbfs.wire.units import text, utf16
from tests.fake.tree import UNIT, Fail, Node, Open

SECTOR = 512
TOTAL = 1 << 20  # allocation units
ENTRIES: dict[int, type[DirectoryEntry]] = {
    cls.number: cls
    for cls in (
        FileBothDirectoryInformation,
        FileIdBothDirectoryInformation,
        FileIdFullDirectoryInformation,
    )
}


def _times(node: Node) -> dict[str, int]:
    return {
        "creation_time": node.creation_time,
        "last_access_time": node.last_access_time,
        "last_write_time": node.last_write_time,
        "change_time": node.change_time,
    }


def ea_size(node: Node) -> int:
    """What the extended attributes take, as a server counts them."""
    return (
        4 + sum(5 + len(name) + len(value) for name, value in node.eas.items()) if node.eas else 0
    )


def _all(open_: Open) -> Structure:
    node = open_.node
    open_.need(Access.FILE_READ_ATTRIBUTES)
    name = utf16("\\" + open_.volume.path_of(open_.entry))
    return FileAllInformation(
        **_times(node),
        file_attributes=node.shown_attributes,
        allocation_size=node.allocation,
        end_of_file=node.size,
        number_of_links=max(len(node.entries) - open_.entry.delete_pending, 0),
        delete_pending=int(open_.entry.delete_pending),
        directory=int(node.is_directory),
        index_number=node.file_id,
        ea_size=ea_size(node),
        access_flags=open_.access,
        file_name_length=len(name),
        file_name=name,
    )


def _basic(open_: Open) -> Structure:
    open_.need(Access.FILE_READ_ATTRIBUTES)
    node = open_.node
    return FileBasicInformation(**_times(node), file_attributes=node.shown_attributes)


def _standard(open_: Open) -> Structure:
    node = open_.node
    return FileStandardInformation(
        allocation_size=node.allocation,
        end_of_file=node.size,
        number_of_links=max(len(node.entries) - open_.entry.delete_pending, 0),
        delete_pending=int(open_.entry.delete_pending),
        directory=int(node.is_directory),
    )


def _network(open_: Open) -> Structure:
    open_.need(Access.FILE_READ_ATTRIBUTES)
    node = open_.node
    return FileNetworkOpenInformation(
        **_times(node),
        allocation_size=node.allocation,
        end_of_file=node.size,
        file_attributes=node.shown_attributes,
    )


def _tag(open_: Open) -> Structure:
    open_.need(Access.FILE_READ_ATTRIBUTES)
    node = open_.node
    return FileAttributeTagInformation(
        file_attributes=node.shown_attributes, reparse_tag=node.reparse_tag
    )


def _streams(open_: Open) -> Structure:
    if open_.node.is_directory:
        raise Fail(Status.END_OF_FILE)
    return FileStreamInformation(
        stream_size=open_.node.size,
        stream_allocation_size=open_.node.allocation,
        stream_name=utf16("::$DATA"),
    )


def _name(open_: Open) -> Structure:
    return FileNormalizedNameInformation(file_name=utf16(open_.volume.path_of(open_.entry)))


def _internal(open_: Open) -> Structure:
    return FileInternalInformation(index_number=open_.node.file_id)


def _ea_size(open_: Open) -> Structure:
    return FileEaInformation(ea_size=ea_size(open_.node))


FILE: dict[int, Callable[[Open], Structure]] = {
    FileBasicInformation.number: _basic,
    FileStandardInformation.number: _standard,
    FileInternalInformation.number: _internal,
    FileEaInformation.number: _ea_size,
    FileAllInformation.number: _all,
    FileStreamInformation.number: _streams,
    FileNetworkOpenInformation.number: _network,
    FileAttributeTagInformation.number: _tag,
    FileNormalizedNameInformation.number: _name,
}


def _fs_volume(open_: Open) -> Structure:
    volume = open_.volume
    return FileFsVolumeInformation(
        volume_creation_time=volume.root.node.creation_time,
        volume_serial_number=volume.serial,
        volume_label=utf16(volume.name),
    )


def _fs_size(open_: Open) -> Structure:
    return FileFsSizeInformation(
        total_allocation_units=TOTAL,
        available_allocation_units=open_.volume.room // UNIT,
        sectors_per_allocation_unit=UNIT // SECTOR,
        bytes_per_sector=SECTOR,
    )


def _fs_full_size(open_: Open) -> Structure:
    free = open_.volume.room // UNIT
    return FileFsFullSizeInformation(
        total_allocation_units=TOTAL,
        caller_available_allocation_units=free,
        actual_available_allocation_units=free,
        sectors_per_allocation_unit=UNIT // SECTOR,
        bytes_per_sector=SECTOR,
    )


def _fs_attributes(open_: Open) -> Structure:
    volume = open_.volume
    attributes = FsAttributes.CASE_PRESERVED_NAMES | FsAttributes.UNICODE_ON_DISK
    attributes |= FsAttributes.SUPPORTS_SPARSE_FILES | FsAttributes.SUPPORTS_HARD_LINKS
    attributes |= FsAttributes.CASE_SENSITIVE_SEARCH if volume.case_sensitive else 0
    attributes |= FsAttributes.SUPPORTS_REPARSE_POINTS if volume.reparse else 0
    attributes |= FsAttributes.SUPPORTS_EXTENDED_ATTRIBUTES if volume.eas else 0
    attributes |= FsAttributes.READ_ONLY_VOLUME if volume.read_only else 0
    attributes |= FsAttributes.SUPPORTS_BLOCK_REFCOUNTING if volume.abilities.clones else 0
    return FileFsAttributeInformation(
        file_system_attributes=attributes,
        maximum_component_name_length=255,
        file_system_name=utf16("NTFS"),
    )


def _fs_device(open_: Open) -> Structure:
    return FileFsDeviceInformation(device_type=7, characteristics=0x20)


def _fs_object_id(open_: Open) -> Structure:
    return FileFsObjectIdInformation(
        object_id=bytes(12) + open_.volume.serial.to_bytes(4, "little")
    )


def _fs_sectors(open_: Open) -> Structure:
    return FileFsSectorSizeInformation(
        logical_bytes_per_sector=SECTOR,
        physical_bytes_per_sector_for_atomicity=SECTOR,
        physical_bytes_per_sector_for_performance=UNIT,
        effective_physical_bytes_per_sector_for_atomicity=SECTOR,
    )


FILESYSTEM: dict[int, Callable[[Open], Structure]] = {
    FileFsVolumeInformation.number: _fs_volume,
    FileFsSizeInformation.number: _fs_size,
    FileFsDeviceInformation.number: _fs_device,
    FileFsAttributeInformation.number: _fs_attributes,
    FileFsFullSizeInformation.number: _fs_full_size,
    FileFsObjectIdInformation.number: _fs_object_id,
    FileFsSectorSizeInformation.number: _fs_sectors,
}
TABLES = {InfoType.FILE: FILE, InfoType.FILESYSTEM: FILESYSTEM}


def query(open_: Open, body: QueryInfoRequest) -> tuple[Status, bytes]:
    """Answer one QUERY_INFO: status and buffer."""
    if body.info_type == InfoType.FILE and body.file_info_class == FileFullEaInformation.number:
        return _eas(open_, body.output_buffer_length)
    table = TABLES.get(body.info_type)
    if table is None:
        raise Fail(Status.NOT_SUPPORTED)
    make = table.get(body.file_info_class)
    if make is None:
        raise Fail(Status.INVALID_INFO_CLASS)
    answer = make(open_)
    data = bytes(answer)
    if body.output_buffer_length < answer.FIXED:
        raise Fail(Status.INFO_LENGTH_MISMATCH)
    if body.output_buffer_length < len(data):
        return Status.BUFFER_OVERFLOW, data[: body.output_buffer_length]
    return Status.SUCCESS, data


def _eas(open_: Open, most: int) -> tuple[Status, bytes]:
    open_.need(Access.FILE_READ_EA)
    if not open_.volume.eas:
        raise Fail(Status.EAS_NOT_SUPPORTED)
    if not open_.node.eas:
        raise Fail(Status.NO_EAS_ON_FILE)
    data = pack_eas(list(open_.node.eas.items()))
    if len(data) > most:
        raise Fail(Status.BUFFER_OVERFLOW if most else Status.BUFFER_TOO_SMALL)
    return Status.SUCCESS, data


# Listings


def list_page(open_: Open, body: QueryDirectoryRequest) -> bytes:
    """One page of a directory; fails with NO_MORE_FILES at its end."""
    if not open_.node.is_directory:
        raise Fail(Status.NOT_SUPPORTED)  # INVALID_PARAMETER on Windows
    open_.need(Access.FILE_LIST_DIRECTORY)
    cls = ENTRIES.get(body.file_information_class)
    if cls is None:
        raise Fail(Status.INVALID_INFO_CLASS)
    if body.flags & (QueryDirectoryFlags.RESTART_SCANS | QueryDirectoryFlags.REOPEN):
        open_.scan = None
    is_first = open_.scan is None
    if is_first:
        open_.scan, open_.pushed_back = iter(_snapshot(open_, text(body.file_name))), []
    return _page(open_, cls, body, is_first)


def _page(
    open_: Open, cls: type[DirectoryEntry], body: QueryDirectoryRequest, is_first: bool
) -> bytes:
    page, last = bytearray(), 0
    for name, node in _rest(open_):
        gap = -len(page) % 8
        entry = bytes(_entry(cls, name, node))
        if len(page) + gap + len(entry) > body.output_buffer_length:
            open_.pushed_back.append((name, node))
            if not page:
                raise Fail(Status.INFO_LENGTH_MISMATCH)
            break
        if page:
            page[last : last + 4] = (len(page) + gap - last).to_bytes(4, "little")
        page += bytes(gap)
        last = len(page)
        page += entry
        if body.flags & QueryDirectoryFlags.RETURN_SINGLE_ENTRY:
            break
    if not page:
        raise Fail(Status.NO_SUCH_FILE if is_first else Status.NO_MORE_FILES)
    return bytes(page)


def _rest(open_: Open) -> Iterator[tuple[str, Node]]:
    while open_.pushed_back:
        yield open_.pushed_back.pop()
    if open_.scan is not None:
        yield from open_.scan


def _snapshot(open_: Open, pattern: str) -> list[tuple[str, Node]]:
    here = open_.node
    above = open_.entry.parent or here
    found = [(".", here), ("..", above)]
    found += [(entry.name, entry.node) for entry in here.children.values()]
    wanted = _pattern(pattern, open_.volume.case_sensitive)
    return [(name, node) for name, node in found if wanted.fullmatch(name)]


def _pattern(pattern: str, case_sensitive: bool) -> re.Pattern[str]:
    kinds = {"*": ".*", "?": "."}
    source = "".join(kinds.get(char) or re.escape(char) for char in pattern or "*")
    return re.compile(source, re.S if case_sensitive else re.S | re.I)


def _entry(cls: type[DirectoryEntry], name: str, node: Node) -> DirectoryEntry:
    entry = cls.parse(memoryview(bytes(cls.FIXED)), 0)
    for time, value in _times(node).items():
        setattr(entry, time, value)
    entry.end_of_file = node.size
    entry.allocation_size = node.allocation
    entry.file_attributes = node.shown_attributes
    entry.ea_size = node.reparse_tag if node.reparse else ea_size(node)
    entry.file_name = utf16(name)
    if not isinstance(entry, FileBothDirectoryInformation):
        entry.file_id = node.file_id
    return entry
