"""What a server does with holes, room, copies and compression."""

from __future__ import annotations

import os
from typing import Any

import pytest

from smbfs.engine.controls import (
    Limits,
    copy_chunks,
    duplicate_extents,
    query_ranges,
    resume_key,
    set_allocation,
    set_compression,
    set_sparse,
    set_zero_data,
    try_sparse,
)
from smbfs.engine.handle import Handle
from smbfs.engine.how import How
from smbfs.engine.information import Information
from smbfs.engine.steps import Step, query_all, rename_to, set_basic, set_disposition
from smbfs.engine.steps import set_end_of_file as resize
from smbfs.errors import StatusError
from smbfs.wire.constants import Attributes
from smbfs.wire.status import Status
from tests.contract.servers import Bench

MIB = 1 << 20
UNIT = 4096
SAMBA = Limits(256, MIB, 16 * MIB)


async def opened(bench: Bench, name: str = "file", flags: int = os.O_RDWR) -> Handle:
    handle, _ = await bench.share.open(name, How.opening(flags | os.O_CREAT))
    return handle


async def told(handle: Handle) -> Information:
    [information] = await handle.do(query_all())
    assert isinstance(information, Information)
    return information


async def status_of(handle: Handle, step: Step[Any]) -> Status:
    try:
        await handle.do(step)
    except StatusError as error:
        return error.status
    return Status.SUCCESS


async def test_a_copy_moves_no_bytes_over_the_wire(bench: Bench) -> None:
    data = os.urandom(2 * MIB)
    bench.place.put("source", data)
    source = await opened(bench, "source", os.O_RDONLY)
    target = await opened(bench, "target", os.O_WRONLY)
    [key] = await source.do(resume_key())
    chunks = [(5, 0, MIB), (MIB + 5, MIB, 100)]
    assert await target.do(copy_chunks(key, chunks)) == [MIB + 100]
    await source.close()
    await target.close()
    assert bench.place.read("target") == data[5 : MIB + 105]


async def test_the_limits_of_a_copy_are_told(bench: Bench) -> None:
    bench.place.put("source", bytes(3 * MIB))
    source, target = await opened(bench, "source"), await opened(bench, "target")
    [key] = await source.do(resume_key())
    assert await target.do(copy_chunks(key, [(0, 0, 2 * MIB)])) == [SAMBA]
    assert await target.do(copy_chunks(key, [(0, 0, 10)] * 257)) == [SAMBA]
    assert await target.do(copy_chunks(key, [(0, 0, MIB)] * 17)) == [SAMBA]
    assert await target.do(copy_chunks(key, [(0, 0, 0)])) == [SAMBA]
    assert await target.do(copy_chunks(key, [])) == [0]
    await source.close()
    await target.close()


async def test_what_a_copy_needs(bench: Bench) -> None:
    bench.place.put("source", bytes(100))
    source = await opened(bench, "source", os.O_RDONLY)
    target = await opened(bench, "target", os.O_WRONLY)
    [key] = await source.do(resume_key())
    behind, nobody = copy_chunks(key, [(95, 0, 10)]), copy_chunks(bytes(24), [(0, 0, 10)])
    both = copy_chunks(key, [(0, 0, 10)], reads_back=True)
    assert await status_of(target, both) == Status.ACCESS_DENIED  # it has no right to read
    assert await status_of(target, behind) == Status.INVALID_VIEW_SIZE
    assert await status_of(target, nobody) == Status.OBJECT_NAME_NOT_FOUND
    await source.close()
    assert await status_of(target, copy_chunks(key, [(0, 0, 1)])) == Status.OBJECT_NAME_NOT_FOUND
    await target.close()


async def test_blocks_are_not_shared_where_they_cannot_be(bench: Bench) -> None:
    bench.place.put("source", bytes(UNIT))
    source, target = await opened(bench, "source"), await opened(bench, "target")
    await target.do(resize(UNIT))
    step = duplicate_extents(source.file_id, 0, 0, UNIT)
    assert await status_of(target, step) == Status.INVALID_DEVICE_REQUEST
    await source.close()
    await target.close()


async def test_a_sparse_file_has_holes_where_nothing_was_written(bench: Bench) -> None:
    file = await opened(bench)
    assert await file.do(try_sparse(), resize(20 * MIB)) == [True, None]
    assert (await told(file)).attributes & Attributes.SPARSE_FILE
    await file.write(15 * MIB, b"data")
    await file.write(17 * MIB, b"data")
    spans = [(15 * MIB, 15 * MIB + UNIT), (17 * MIB, 17 * MIB + UNIT)]
    [ranges] = await file.do(query_ranges(0, 20 * MIB))
    assert ranges == (spans, False)
    assert (await told(file)).allocation_size <= 4 * UNIT
    [ranges] = await file.do(query_ranges(15 * MIB + 2, 15 * MIB + 7))
    assert ranges == ([(15 * MIB + 2, 15 * MIB + 7)], False)
    too_small = await status_of(file, query_ranges(0, 20 * MIB, 16))
    assert too_small == Status.BUFFER_TOO_SMALL  # Windows tells some, with BUFFER_OVERFLOW
    await file.close()


async def test_zeros_are_holes_in_a_sparse_file(bench: Bench) -> None:
    bench.place.put("file", b"x" * 8 * UNIT)
    file = await opened(bench)
    await file.do(set_sparse(), set_zero_data(UNIT, 5 * UNIT + 9))
    [ranges] = await file.do(query_ranges(0, 8 * UNIT))
    assert ranges.spans == [(0, UNIT), (5 * UNIT, 8 * UNIT)]
    await file.do(set_zero_data(7 * UNIT, 90 * UNIT))
    assert (await told(file)).end_of_file == 8 * UNIT
    await file.close()
    data = bench.place.read("file")
    assert data == b"x" * UNIT + bytes(4 * UNIT + 9) + b"x" * (2 * UNIT - 9) + bytes(UNIT)


async def test_another_file_has_zeros_and_no_holes(bench: Bench) -> None:
    bench.place.put("file", b"x" * 8 * UNIT)
    file = await opened(bench)
    await file.do(set_zero_data(UNIT, 5 * UNIT))
    [ranges] = await file.do(query_ranges(0, 8 * UNIT))
    assert ranges.spans == [(0, 8 * UNIT)]
    await file.close()
    assert bench.place.read("file") == b"x" * UNIT + bytes(4 * UNIT) + b"x" * 3 * UNIT


async def test_holes_are_made_by_who_may_write(bench: Bench) -> None:
    bench.place.put("file", bytes(UNIT))
    reader = await opened(bench, flags=os.O_RDONLY)
    assert await reader.do(try_sparse()) == [False]
    for step in (set_sparse(), set_zero_data(0, 5), set_allocation(MIB)):
        assert await status_of(reader, step) == Status.ACCESS_DENIED
    await reader.close()
    writer = await opened(bench, flags=os.O_WRONLY)
    assert await status_of(writer, query_ranges(0, 5)) == Status.ACCESS_DENIED
    await writer.close()


async def test_a_change_of_attributes_forgets_that_a_file_is_sparse(bench: Bench) -> None:
    """Samba does, whether the change names it or not; in the same chain it can be said again."""
    file = await opened(bench)
    await file.do(set_sparse())
    await file.close()
    change = set_basic(attributes=Attributes.HIDDEN | Attributes.SPARSE_FILE)
    [*_, changed] = await bench.share.on("file", How.changing(), change, query_all())
    assert not changed.attributes & Attributes.SPARSE_FILE
    [*_, again] = await bench.share.on("file", How.changing(), try_sparse(), query_all())
    assert again.attributes & Attributes.SPARSE_FILE


async def test_room_is_reserved_behind_the_end_and_cut_below_it(bench: Bench) -> None:
    bench.place.put("file", b"x" * 100)
    file = await opened(bench)
    await file.do(set_allocation(8 * MIB))
    assert (await told(file)).end_of_file == 100
    await file.do(resize(3 * UNIT), set_allocation(UNIT))
    assert (await told(file)).end_of_file == UNIT
    await file.close()


async def test_no_compression(bench: Bench) -> None:
    file = await opened(bench)
    assert await status_of(file, set_compression(True)) == Status.NOT_SUPPORTED
    await file.do(set_compression(False))
    await file.close()


async def test_a_file_marked_deleted_comes_back_under_another_name(bench: Bench) -> None:
    """What a file without a name, linked to one later, hangs on."""
    file = await opened(bench)
    grave, _ = await bench.share.open("file", How.renaming(), set_disposition(True))
    await file.write(0, b"data")
    assert (await told(grave)).links == 0
    steps = set_disposition(False), rename_to("new", replace=False), query_all()
    assert (await grave.do(*steps))[-1].links == 1
    await grave.close()
    await file.close()
    assert bench.place.names() == ["new"]
    with pytest.raises(StatusError, match="OBJECT_NAME_NOT_FOUND"):
        await bench.share.on("file", How.looking())
