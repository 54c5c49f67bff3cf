"""fallocate(2): room for a range, zeros in it, or a hole.

Everything is done alone, after what was written before and before what is written later, and told
as it is afterwards.  Room in a hole is made by writing zeros, for no server has another way.

Easily broken: an allocation below the size of a file cuts it, so it is asked for only beyond what
the server said in the same turn; and a file must not grow when the room for it was refused.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from functools import partial

from smbfs.engine.controls import Range, query_ranges, set_allocation, set_sparse, set_zero_data
from smbfs.engine.handle import Handle
from smbfs.engine.information import LARGEST, Information
from smbfs.engine.steps import query_all, set_end_of_file
from smbfs.vfs.holes import SPARSE
from smbfs.vfs.openfile import Open
from smbfs.vfs.refusals import unless_refused, unsupported
from smbfs.vfs.seeking import RANGES
from smbfs.vfs.volume import Volume
from smbfs.vfs.ways import way_of, way_to_read
from smbfs.wire.constants import Attributes as Dos

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 0x01, 0x02, 0x10
FILL = 8 << 20  # bytes of holes that are filled at a time: others may write in between
ZEROS = memoryview(bytes(1 << 20))


async def fallocate(volume: Volume, opened: Open, mode: int, offset: int, length: int) -> None:
    """Do what fallocate(2) does.  Raises OSError: EOPNOTSUPP for what the server cannot do."""
    if not opened.may_write:
        raise OSError(errno.EBADF, "not open for writing")
    if offset < 0 or length <= 0:
        raise OSError(errno.EINVAL, "an empty range")
    end = offset + length
    if end > LARGEST:
        raise OSError(errno.EFBIG, "no file is as long")
    keeps_size = bool(mode & KEEP_SIZE)
    opened.file.tell()
    if mode == PUNCH_HOLE | KEEP_SIZE:
        await _alone(volume, opened, partial(_punch, volume, opened, offset, end))
    elif mode & ~KEEP_SIZE in (0, ZERO_RANGE):
        if mode & ZERO_RANGE:
            await _alone(volume, opened, partial(_zero, volume, opened, offset, end))
        await _alone(volume, opened, partial(_reserve, volume, opened, end, keeps_size))
        await _fill(volume, opened, offset, end)
    else:
        raise unsupported("such way to change the room of a file")


async def _alone(volume: Volume, opened: Open, work: Callable[[Handle], Awaitable[object]]) -> None:
    """Change a file's room with nobody else in its door, and learn what it is then."""
    file = opened.file

    async def done() -> None:
        handle = way_of(opened, 0, LARGEST)
        asked = volume.moment()
        try:
            await work(handle)
        finally:
            file.pages.drop()
            file.unflushed.add(handle.generation)
            volume.inodes.changed(file.inode)
        information = await _now(handle)
        file.resized(information.end_of_file)
        volume.told(file.inode, information, asked)

    await file.alone(done)


async def _now(handle: Handle) -> Information:
    [information] = await handle.do(query_all())
    assert isinstance(information, Information)
    return information


async def _punch(volume: Volume, opened: Open, start: int, end: int, handle: Handle) -> None:
    if not volume.presentation.sparse:
        raise unsupported("holes on this mount (nosparse)")
    if not opened.file.inode.information.attributes & Dos.SPARSE_FILE:
        await unless_refused(volume, SPARSE, lambda: handle.do(set_sparse()))
    await _zero(volume, opened, start, end, handle)


async def _zero(volume: Volume, opened: Open, start: int, end: int, handle: Handle) -> None:
    await unless_refused(volume, "zeroed ranges", lambda: handle.do(set_zero_data(start, end)))


async def _reserve(
    volume: Volume, opened: Open, end: int, keeps_size: bool, handle: Handle
) -> None:
    """Have room up to a place; the file reaches there afterwards, or as far as it did."""
    now = await _now(handle)
    if end > max(now.allocation_size, now.end_of_file):
        await unless_refused(volume, "reserved room", lambda: handle.do(set_allocation(end)))
    if end > now.end_of_file and not keeps_size:
        await handle.do(set_end_of_file(end))


async def _fill(volume: Volume, opened: Open, start: int, end: int) -> None:
    """Write zeros into the holes of a range, piece by piece; the caller may leave in between."""
    inode = opened.file.inode
    while start < end and inode.information.attributes & Dos.SPARSE_FILE:
        upto = min(start + FILL, end, inode.information.end_of_file)
        if upto <= start:
            return
        await _alone(volume, opened, partial(_fill_some, volume, opened, start, upto))
        start = upto


async def _fill_some(volume: Volume, opened: Open, start: int, end: int, handle: Handle) -> None:
    # What others write between question and answer is lost: no server has a better way.
    async with way_to_read(volume, opened, start, end - start) as reader:
        step = query_ranges(start, end)
        [ranges] = await unless_refused(volume, RANGES, lambda: reader.do(step))
    for low, high in between(ranges.spans, start, end):
        await handle.write(low, zeros(high - low))


def between(spans: list[Range], start: int, end: int) -> list[Range]:
    """The parts of a range that are in none of these spans."""
    holes = []
    for low, high in [*spans, (end, end)]:
        if start < low:
            holes.append((start, low))
        start = max(start, high)
    return holes


def zeros(size: int) -> list[memoryview]:
    """So many zeros, in the same memory as all others."""
    return [ZEROS] * (size // len(ZEROS)) + [ZEROS[: size % len(ZEROS)]] * bool(size % len(ZEROS))
