"""One kind of information out of the many structures that carry it."""

from __future__ import annotations

from typing import Any

import pytest

from smbfs.engine.information import (
    Information,
    from_all,
    from_close,
    from_create,
    from_entry,
    known_id,
)
from smbfs.wire.codec import WireError
from smbfs.wire.constants import Attributes, CloseFlags
from smbfs.wire.contexts import (
    MAXIMAL_ACCESS,
    QUERY_ON_DISK_ID,
    MaximalAccessResponse,
    OnDiskIdResponse,
    pack_create,
)
from smbfs.wire.directory import FileBothDirectoryInformation
from smbfs.wire.file_messages import CloseResponse
from smbfs.wire.units import utf16
from tests.engine.scripted import created, entry, everything

TIMES: dict[str, Any] = {
    "creation_time": 1,
    "last_access_time": 2,
    "last_write_time": 3,
    "change_time": 4,
    "allocation_size": 4096,
    "end_of_file": 10,
}


def test_everything_is_read() -> None:
    whole = everything(file_attributes=Attributes.READONLY, delete_pending=1)
    information = from_all(memoryview(bytes(whole)))
    assert information == Information(
        **TIMES, attributes=1, file_id=77, links=2, ea_size=5, delete_pending=True
    )
    assert information.is_read_only
    assert not information.is_directory
    assert not information.is_reparse


def test_half_a_name_does_not_matter() -> None:
    view = memoryview(bytes(everything(file_name_length=1000, file_name=b"abcd")))
    assert from_all(view).end_of_file == 10


def test_an_entry_of_a_listing() -> None:
    information = from_entry(entry("a", ea_size=9))
    assert information == Information(**TIMES, attributes=0x20, file_id=7, ea_size=9)


def test_the_ea_size_of_a_link_is_its_tag() -> None:
    attributes = Attributes.REPARSE_POINT | Attributes.DIRECTORY
    information = from_entry(entry("a", ea_size=0xA000000C, file_attributes=attributes))
    assert information.reparse_tag == 0xA000000C
    assert information.ea_size == -1
    assert information.is_reparse
    assert information.is_directory


def test_an_entry_without_an_id() -> None:
    both = FileBothDirectoryInformation(**TIMES, file_attributes=0, file_name=utf16("a"))
    assert from_entry(both) == Information(**TIMES, ea_size=0)


@pytest.mark.parametrize(("number", "known"), [(0, 0), (2**64 - 1, 0), (5, 5)])
def test_some_ids_are_none(number: int, known: int) -> None:
    assert known_id(number) == known


def test_a_create_without_contexts() -> None:
    assert from_create(created()) == Information(**TIMES, attributes=0x20)


def test_a_create_with_contexts() -> None:
    contexts = pack_create(
        [
            (QUERY_ON_DISK_ID, bytes(OnDiskIdResponse(disk_file_id=99, volume_id=1))),
            (MAXIMAL_ACCESS, bytes(MaximalAccessResponse(query_status=0, maximal_access=0x1FF))),
        ]
    )
    information = from_create(created(contexts=contexts))
    assert (information.file_id, information.maximal_access) == (99, 0x1FF)


def test_a_create_whose_access_is_unknown() -> None:
    answer = MaximalAccessResponse(query_status=0xC0000022, maximal_access=0x1FF)
    contexts = pack_create([(MAXIMAL_ACCESS, bytes(answer))])
    information = from_create(created(contexts=contexts))
    assert (information.file_id, information.maximal_access) == (0, -1)


def test_a_create_with_an_id_alone() -> None:
    contexts = pack_create(
        [(QUERY_ON_DISK_ID, bytes(OnDiskIdResponse(disk_file_id=99, volume_id=1)))]
    )
    assert from_create(created(contexts=contexts)).file_id == 99


def test_a_close_tells_only_if_it_was_asked() -> None:
    assert from_close(CloseResponse(**TIMES)) is None
    told = CloseResponse(**TIMES, flags=CloseFlags.POSTQUERY_ATTRIB, file_attributes=0x20)
    assert from_close(told) == Information(**TIMES, attributes=0x20)


def test_no_file_is_that_long() -> None:
    with pytest.raises(WireError):
        from_create(created(end_of_file=2**63))


def test_a_nonsensical_allocation_is_the_size() -> None:
    assert from_create(created(allocation_size=2**64 - 1)).allocation_size == 10
