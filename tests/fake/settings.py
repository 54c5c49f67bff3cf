"""What SET_INFO changes on the fake server: one function for each information class."""

from __future__ import annotations

from collections.abc import Callable

from smbfs.wire.constants import Access
from smbfs.wire.fscc import (
    FileAllocationInformation,
    FileBasicInformation,
    FileDispositionInformation,
    FileEndOfFileInformation,
    FileFullEaInformation,
    FileLinkInformation,
    FileRenameInformation,
    full_eas,
)
from smbfs.wire.status import Status
from smbfs.wire.units import text
from tests.fake import opens
from tests.fake.tree import Fail, Open


def _basic(open_: Open, data: memoryview) -> None:
    basic = FileBasicInformation.parse(data, 0)
    times = {
        "creation_time": basic.creation_time,
        "last_access_time": basic.last_access_time,
        "last_write_time": basic.last_write_time,
        "change_time": basic.change_time,
    }
    opens.set_times(open_, times, basic.file_attributes)


def _end_of_file(open_: Open, data: memoryview) -> None:
    open_.need(Access.FILE_WRITE_DATA)
    if open_.node.is_directory:
        raise Fail(Status.INVALID_PARAMETER)
    size = FileEndOfFileInformation.parse(data, 0).end_of_file
    opens.resize(open_.volume, open_.node, size)
    open_.volume.touch(open_.node, frozen=open_.frozen)


def _allocation(open_: Open, data: memoryview) -> None:
    open_.need(Access.FILE_WRITE_DATA)
    opens.allocate(open_, FileAllocationInformation.parse(data, 0).allocation_size)


def _disposition(open_: Open, data: memoryview) -> None:
    opens.dispose(open_, bool(FileDispositionInformation.parse(data, 0).delete_pending))


def _rename(open_: Open, data: memoryview) -> None:
    body = FileRenameInformation.parse(data, 0)
    opens.rename(open_, text(body.file_name), replace=bool(body.replace_if_exists))


def _link(open_: Open, data: memoryview) -> None:
    body = FileLinkInformation.parse(data, 0)
    opens.link(open_, text(body.file_name), replace=bool(body.replace_if_exists))


def _eas(open_: Open, data: memoryview) -> None:
    open_.need(Access.FILE_WRITE_EA)
    if not open_.volume.eas:
        raise Fail(Status.EAS_NOT_SUPPORTED)
    eas = open_.node.eas
    for name, value in full_eas(data):
        known = next((one for one in eas if one.upper() == name.upper()), name)
        if value:
            eas[known] = value
        else:
            eas.pop(known, None)
    open_.node.change_time = open_.volume.now()


SETTERS: dict[int, Callable[[Open, memoryview], None]] = {
    FileBasicInformation.number: _basic,
    FileEndOfFileInformation.number: _end_of_file,
    FileAllocationInformation.number: _allocation,
    FileDispositionInformation.number: _disposition,
    FileRenameInformation.number: _rename,
    FileLinkInformation.number: _link,
    FileFullEaInformation.number: _eas,
}
