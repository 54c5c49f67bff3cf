"""fallocate(2): room for a range, zeros in it, or a hole.

Everything is done alone, after what was written before and before what is written later, and told
as it is afterwards.  Room in a hole is made by writing zeros, for no server has another way.

Easily broken: an allocation below the size of a file cuts it, so it is asked for only beyond what
the server said in the same turn; and a file must not grow when the room for it was refused.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from smbfs.engine.controls import Range, set_allocation, set_sparse, set_zero_data
from smbfs.engine.handle import Handle
from smbfs.engine.information import LARGEST, Information
from smbfs.engine.steps import query_all, set_end_of_file
from smbfs.vfs.holes import SPARSE
from smbfs.vfs.openfile import Open
from smbfs.vfs.refusals import unless_refused, unsupported
from smbfs.vfs.seeking import RANGES, known_ranges
from smbfs.vfs.volume import Volume
from smbfs.vfs.ways import way_of, way_to_read
from smbfs.wire.constants import Attributes as Dos

T = TypeVar("T")

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 0x01, 0x02, 0x10
FILL = 8 << 20  # bytes of holes that are filled at a time: others may write in between
ZEROS = memoryview(bytes(1 << 20))


@dataclass(frozen=True, slots=True)
class _Room:
    """A range of an open file, whose room is to change."""

    volume: Volume
    opened: Open
    start: int
    end: int

    @property
    def is_sparse(self) -> bool:
        """Whether the file may have holes."""
        return bool(self.opened.file.inode.information.attributes & Dos.SPARSE_FILE)


async def fallocate(volume: Volume, opened: Open, mode: int, offset: int, length: int) -> None:
    """Do what fallocate(2) does.  Raises OSError: EOPNOTSUPP for what the server cannot do."""
    if not opened.may_write:
        raise OSError(errno.EBADF, "not open for writing")
    if offset < 0 or length <= 0:
        raise OSError(errno.EINVAL, "an empty range")
    room = _Room(volume, opened, offset, offset + length)
    if room.end > LARGEST:
        raise OSError(errno.EFBIG, "no file is as long")
    opened.file.tell()
    if mode == PUNCH_HOLE | KEEP_SIZE:
        await _alone(room, _punch)
    elif mode & ~KEEP_SIZE in (0, ZERO_RANGE):
        if mode & ZERO_RANGE:
            await _alone(room, _zero)
        await _alone(room, _reserve_more if mode & KEEP_SIZE else _grow)
        await _fill(room)
    else:
        raise unsupported("such way to change the room of a file")


async def _alone(room: _Room, work: Callable[[_Room, Handle], Awaitable[T]]) -> T:
    """Change a file's room with nobody else in its door, and learn what it is then."""
    volume, file = room.volume, room.opened.file

    async def done() -> T:
        handle = way_of(room.opened, room.start, room.end - room.start, writes=True)
        asked = volume.moment()
        try:
            result = await work(room, handle)
        finally:
            file.pages.drop()
            file.unflushed.add(handle.generation)
            volume.inodes.changed(file.inode)
        information = await _now(handle)
        file.resized(information.end_of_file)
        volume.told(file.inode, information, asked)
        return result

    return await file.alone(done)


async def _now(handle: Handle) -> Information:
    [information] = await handle.do(query_all())
    assert isinstance(information, Information)
    return information


async def _punch(room: _Room, handle: Handle) -> None:
    if not room.volume.presentation.sparse:
        raise unsupported("holes on this mount (nosparse)")
    if not room.is_sparse:
        await unless_refused(room.volume, SPARSE, lambda: handle.do(set_sparse()))
    await _zero(room, handle)


async def _zero(room: _Room, handle: Handle) -> None:
    step = set_zero_data(room.start, room.end)
    await unless_refused(room.volume, "zeroed ranges", lambda: handle.do(step))


async def _reserve_more(room: _Room, handle: Handle) -> Information:
    """Have room up to the end of the range; what the file was before."""
    now = await _now(handle)
    if room.end > max(now.allocation_size, now.end_of_file):
        step = set_allocation(room.end)
        await unless_refused(room.volume, "reserved room", lambda: handle.do(step))
    return now


async def _grow(room: _Room, handle: Handle) -> None:
    """Have room up to the end of the range, and a file that reaches there."""
    was = await _reserve_more(room, handle)
    if room.end > was.end_of_file:
        await handle.do(set_end_of_file(room.end))


async def _fill(room: _Room) -> None:
    """Write zeros into the holes of a range, piece by piece; the caller may leave in between."""
    inode, at = room.opened.file.inode, room.start
    while room.is_sparse:
        upto = min(at + FILL, room.end, inode.information.end_of_file)
        if upto <= at:
            return
        at = await _alone(replace(room, start=at, end=upto), _fill_some)


async def _fill_some(room: _Room, handle: Handle) -> int:
    """Write zeros into the holes at the beginning of a range; up to where there are none now."""
    # What others write between question and answer is lost: no server has a better way.
    volume, start, end = room.volume, room.start, room.end
    async with way_to_read(volume, room.opened, start, end - start) as reader:
        known, spans = await unless_refused(
            volume, RANGES, lambda: known_ranges(reader, start, end)
        )
    for low, high in between(spans, start, known):
        await handle.write(low, zeros(high - low))
    return known


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
