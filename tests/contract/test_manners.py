"""In whatever dialect, signed or sealed: the same files."""

from __future__ import annotations

import pytest

from smbfs.engine.how import How
from smbfs.engine.steps import query_all, read, set_end_of_file, write
from smbfs.errors import StatusError
from smbfs.wire.constants import Access, Disposition, Options
from smbfs.wire.status import Status
from tests.contract.servers import Bench

MAKING = How(
    Access.FILE_WRITE_DATA | Access.FILE_READ_DATA | Access.FILE_READ_ATTRIBUTES,
    Disposition.CREATE,
    Options.NON_DIRECTORY_FILE,
)


async def test_a_file_is_read_as_it_is(any_bench: Bench) -> None:
    any_bench.place.put("file", b"music")
    opened, information, data = await any_bench.share.on(
        "file", How.reading(), query_all(), read(0, 100)
    )
    assert opened.end_of_file == information.end_of_file == 5
    assert bytes(data) == b"music"


async def test_a_file_is_written_as_it_was_given(any_bench: Bench) -> None:
    _, count = await any_bench.share.on("new", MAKING, write(0, b"tune"))
    assert count == 4
    assert any_bench.place.read("new") == b"tune"


async def test_much_data_goes_both_ways(any_bench: Bench) -> None:
    data = bytes(range(256)) * 1200 + b"end"  # more than four requests of 64 KiB
    handle, _ = await any_bench.share.open("much", MAKING)
    assert await handle.write(0, [data[:100_001], data[100_001:]]) == len(data)
    pieces = await handle.read(0, len(data) + 10)
    assert b"".join(pieces) == data
    assert await handle.read(len(data), 10) == []
    await handle.close()
    assert any_bench.place.read("much") == data


async def test_a_directory_lists_what_it_holds(any_bench: Bench) -> None:
    for number in range(300):
        any_bench.place.put(f"d/file {number:03}", bytes(number))
    handle, _ = await any_bench.share.open("d", How.listing())
    found: dict[str, int] = {}
    while (page := await handle.list(8192)) is not None:
        found |= {one.name: one.information.end_of_file for one in page}
    await handle.close()
    assert found == {f"file {number:03}": number for number in range(300)}


async def test_what_is_missing_is_said_to_be(any_bench: Bench) -> None:
    with pytest.raises(StatusError) as caught:
        await any_bench.share.on("none", How.looking(), query_all())
    assert caught.value.status == Status.OBJECT_NAME_NOT_FOUND
    assert (caught.value.command, caught.value.path) == ("CREATE", "none")


async def test_the_error_of_the_step_that_failed_is_told(any_bench: Bench) -> None:
    any_bench.place.put("file", b"music")
    with pytest.raises(StatusError) as caught:
        await any_bench.share.on("file", How.reading(), set_end_of_file(0))
    assert (caught.value.status, caught.value.command) == (Status.ACCESS_DENIED, "SET_INFO")
    assert any_bench.place.read("file") == b"music"


async def test_facts_are_learnt(any_bench: Bench) -> None:
    facts = any_bench.share.facts
    assert facts.fs_name == "NTFS"
    assert facts.name_max == 255
    assert not facts.is_read_only
    assert facts.read_size > 0
    assert facts.write_size > 0
