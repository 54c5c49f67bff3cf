"""What a server does with data, times, attributes and listings."""

from __future__ import annotations

import pytest

from smbfs.engine.how import How
from smbfs.engine.steps import (
    flush,
    get_reparse,
    ioctl,
    list_directory,
    query_all,
    query_attributes_fs,
    query_eas,
    query_space,
    query_tag,
    query_volume,
    read,
    set_basic,
    set_eas,
    set_end_of_file,
    set_reparse,
    write,
)
from smbfs.errors import StatusError
from smbfs.wire.constants import Access, Attributes, Disposition, Options
from smbfs.wire.contexts import MAXIMAL_ACCESS, QUERY_ON_DISK_ID
from smbfs.wire.reparse import SymbolicLink, pack_reparse
from smbfs.wire.status import Status
from tests.contract.servers import Bench

BOTH = How(
    Access.FILE_READ_DATA
    | Access.FILE_WRITE_DATA
    | Access.FILE_READ_ATTRIBUTES
    | Access.FILE_WRITE_ATTRIBUTES
    | Access.FILE_READ_EA
    | Access.FILE_WRITE_EA,
    Disposition.OPEN_IF,
    Options.NON_DIRECTORY_FILE,
)
TIME = 133_000_000_000_000_000


async def test_reading_at_and_behind_the_end(bench: Bench) -> None:
    bench.place.put("file", b"music")
    [_, some, at_end, behind] = await bench.share.on(
        "file", How.reading(), read(3, 10), read(5, 10), read(100, 10)
    )
    assert (bytes(some), bytes(at_end), bytes(behind)) == (b"ic", b"", b"")


async def test_writing_behind_the_end_leaves_zeros(bench: Bench) -> None:
    await bench.share.on("file", BOTH, write(4, b"end"))
    assert bench.place.read("file") == bytes(4) + b"end"


async def test_writing_without_the_right_to(bench: Bench) -> None:
    bench.place.put("file", b"music")
    with pytest.raises(StatusError) as caught:
        await bench.share.on("file", How.reading(), write(0, b"x"))
    assert caught.value.status == Status.ACCESS_DENIED
    with pytest.raises(StatusError) as caught:
        await bench.share.on("file", How.writing(), read(0, 1))
    assert caught.value.status == Status.ACCESS_DENIED


async def test_a_file_is_cut_and_grown(bench: Bench) -> None:
    bench.place.put("file", b"music")
    await bench.share.on("file", How.resizing(), set_end_of_file(2))
    assert bench.place.read("file") == b"mu"
    await bench.share.on("file", How.resizing(), set_end_of_file(4))
    assert bench.place.read("file") == b"mu\0\0"


async def test_flush(bench: Bench) -> None:
    await bench.share.on("file", BOTH, write(0, b"music"), flush())
    assert bench.place.read("file") == b"music"


async def test_times_are_kept_to_100_ns(bench: Bench) -> None:
    bench.place.put("file", b"music")
    times = set_basic(creation=TIME + 1, access=TIME + 2, write=TIME + 3)
    await bench.share.on("file", How.changing(), times)
    [_, information] = await bench.share.on("file", How.looking(), query_all())
    assert information.last_write_time == TIME + 3
    assert information.last_access_time == TIME + 2
    assert information.creation_time == TIME + 1


async def test_a_time_of_zero_is_left_alone(bench: Bench) -> None:
    bench.place.put("file")
    await bench.share.on("file", How.changing(), set_basic(write=TIME))
    await bench.share.on("file", How.changing(), set_basic(attributes=Attributes.HIDDEN))
    [_, information] = await bench.share.on("file", How.looking(), query_all())
    assert information.last_write_time == TIME
    assert information.attributes & Attributes.HIDDEN


async def test_writing_moves_the_time_of_writing(bench: Bench) -> None:
    bench.place.put("file")
    await bench.share.on("file", How.changing(), set_basic(write=TIME))
    await bench.share.on("file", BOTH, write(0, b"music"))
    [_, information] = await bench.share.on("file", How.looking(), query_all())
    assert information.last_write_time > TIME


async def test_closing_tells_the_last_attributes(bench: Bench) -> None:
    handle, _ = await bench.share.open("file", BOTH)
    await handle.write(0, b"music")
    information = await handle.close()
    assert information is not None
    assert information.end_of_file == 5


async def test_create_contexts(bench: Bench) -> None:
    bench.place.put("file")
    how = How.looking().with_context(QUERY_ON_DISK_ID).with_context(MAXIMAL_ACCESS)
    [opened, information] = await bench.share.on("file", how, query_all())
    assert opened.file_id == information.file_id != 0
    assert opened.maximal_access & Access.FILE_WRITE_DATA


async def test_a_listing_says_what_a_stat_says(bench: Bench) -> None:
    bench.place.put("d/file", b"music")
    [_, page] = await bench.share.on("d", How.listing(), list_directory("*", 65536))
    assert page is not None
    [listed] = page
    [_, information] = await bench.share.on("d\\file", How.looking(), query_all())
    assert listed.information.file_id == information.file_id
    assert listed.information.end_of_file == information.end_of_file
    assert listed.information.last_write_time == information.last_write_time
    assert listed.information.attributes == information.attributes


async def test_a_listing_by_pattern_and_again(bench: Bench) -> None:
    for name in ("apple", "pear", "plum"):
        bench.place.put(name)
    handle, _ = await bench.share.open("", How.listing())
    [page] = await handle.do(list_directory("p*", 65536))
    assert sorted(one.name for one in page) == ["pear", "plum"]
    assert await handle.do(list_directory("p*", 65536)) == [None]
    [page] = await handle.do(list_directory("*", 65536, restart=True))
    assert sorted(one.name for one in page) == ["apple", "pear", "plum"]
    await handle.close()


async def test_nothing_of_that_name(bench: Bench) -> None:
    [_, page] = await bench.share.on("", How.listing(), list_directory("none", 65536))
    assert page is None


async def test_extended_attributes(bench: Bench) -> None:
    await bench.share.on("file", BOTH, set_eas([(b"COLOUR", b"blue"), (b"SIZE", b"big")]))
    [_, eas] = await bench.share.on("file", How.reading_eas(), query_eas())
    found = {name.upper(): value for name, value in eas}
    assert found == {b"COLOUR": b"blue", b"SIZE": b"big"}
    await bench.share.on("file", How.writing_eas(), set_eas([(b"COLOUR", b"")]))
    [_, eas] = await bench.share.on("file", How.reading_eas(), query_eas())
    assert [name.upper() for name, _ in eas] == [b"SIZE"]


async def test_no_extended_attributes(bench: Bench) -> None:
    bench.place.put("file")
    [_, eas] = await bench.share.on("file", How.reading_eas(), query_eas())
    assert eas == []


async def test_questions_about_the_filesystem(bench: Bench) -> None:
    [_, space, volume, attributes] = await bench.share.on(
        "", How.looking(), query_space(), query_volume(), query_attributes_fs()
    )
    assert space.total_allocation_units >= space.caller_available_allocation_units > 0
    assert volume.volume_serial_number
    assert attributes.maximum_component_name_length == 255


async def test_no_reparse_points(bench: Bench) -> None:
    bench.place.put("file")
    [_, tag] = await bench.share.on("file", How.looking(), query_tag())
    assert tag == 0
    with pytest.raises(StatusError) as caught:
        await bench.share.on("file", How.looking(), get_reparse())
    assert caught.value.status == Status.NOT_A_REPARSE_POINT
    buffer = pack_reparse(SymbolicLink("target", "target", is_relative=True))
    with pytest.raises(StatusError) as caught:
        await bench.share.on("file", BOTH, set_reparse(buffer))
    assert caught.value.status == Status.NOT_A_REPARSE_POINT  # says Samba up to 4.20


async def test_an_unknown_control_code(bench: Bench) -> None:
    bench.place.put("file")
    with pytest.raises(StatusError) as caught:
        await bench.share.on("file", How.looking(), ioctl(0x00090FFC, b"", 100))
    assert caught.value.status in (Status.NOT_SUPPORTED, Status.INVALID_DEVICE_REQUEST)


async def test_a_closed_handle(bench: Bench) -> None:
    bench.place.put("file", b"music")
    handle, _ = await bench.share.open("file", How.reading())
    await handle.close()
    with pytest.raises(StatusError, match="FILE_CLOSED"):
        await handle.read(0, 1)


async def test_share_modes(bench: Bench) -> None:
    bench.place.put("file", b"music")
    alone = How(Access.FILE_READ_DATA, share=0)
    handle, _ = await bench.share.open("file", alone)
    with pytest.raises(StatusError) as caught:
        await bench.share.on("file", How.reading())
    assert caught.value.status == Status.SHARING_VIOLATION
    await bench.share.on("file", How.looking(), query_all())
    await handle.close()
