"""fallocate(2): room for a range, zeros in it, or a hole.

Everything is done alone, after what was written before and before what is written later, and told
as it is afterwards.  Room in a hole is made by writing zeros, for no server has another way.

Easily broken: both sizes that are set cut a file that is longer, so each is set straight after a
question, and not at all if the file was seen to grow; what another machine appends within that
turnaround is cut off all the same, and what it writes into a hole while that is filled is lost:
no server has a set that depends on an answer.  And a file must not change when the room for it,
or the filling of its holes, was refused.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from smbfs.engine.controls import Range, set_allocation, set_sparse, set_zero_data
from smbfs.engine.handle import Handle
from smbfs.engine.information import LARGEST, Information
from smbfs.engine.steps import Step, query_all, set_end_of_file
from smbfs.vfs.descriptor import Open, must_live
from smbfs.vfs.holes import SPARSE
from smbfs.vfs.passage import past_locks
from smbfs.vfs.refusals import unless_refused, unsupported
from smbfs.vfs.seeking import RANGES, known_ranges
from smbfs.vfs.spans import minus
from smbfs.vfs.volume import Volume
from smbfs.vfs.ways import way_to_read
from smbfs.wire.constants import Attributes as Dos

T = TypeVar("T")

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 0x01, 0x02, 0x10
FILL = 8 << 20  # bytes of holes that are filled at a time: others may write in between
ZEROED = "zeroed ranges"
ZEROS = memoryview(bytes(1 << 20))


@dataclass(frozen=True, slots=True)
class _Room:
    """A range of an open file, whose room is to change."""

    volume: Volume
    opened: Open
    mode: int
    start: int
    end: int

    @property
    def is_sparse(self) -> bool:
        """Whether the file may have holes."""
        return bool(self.opened.file.inode.information.attributes & Dos.SPARSE_FILE)


async def fallocate(volume: Volume, opened: Open, mode: int, offset: int, length: int) -> None:
    """Do what fallocate(2) does.  Raises OSError: EOPNOTSUPP for what the server cannot do.

    EAGAIN says that another machine is just writing to the end of the file.
    """
    if not opened.may_write:
        raise OSError(errno.EBADF, "not open for writing")
    if offset < 0 or length <= 0:
        raise OSError(errno.EINVAL, "an empty range")
    room = _Room(volume, opened, mode, offset, offset + length)
    if room.end > LARGEST:
        raise OSError(errno.EFBIG, "no file is as long")
    opened.file.tell()
    if mode == PUNCH_HOLE | KEEP_SIZE:
        await _alone(room, _punch)
    elif mode & ~KEEP_SIZE in (0, ZERO_RANGE):
        await _alone(room, _reserve)
        await _fill(room)
    else:
        raise unsupported("such way to change the room of a file")


async def _alone(room: _Room, work: Callable[[_Room, Handle], Awaitable[T]]) -> T:
    """Change a file's room with nobody else in its door, and learn what it is then."""
    volume, file = room.volume, room.opened.file

    async def done() -> T:
        must_live(room.opened)
        handle, size = room.opened.handle, room.end - room.start
        asked = volume.moment()
        try:
            result = await past_locks(
                room.opened, room.start, size, partial(work, room), writes=True
            )
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


async def _then(room: _Room, handle: Handle, what: str, step: Step[Any]) -> Information:
    """Do something that not every server can, and learn in the same turnaround what it led to."""
    done = await unless_refused(room.volume, what, lambda: handle.do(step, query_all()))
    information = done[-1]
    assert isinstance(information, Information)
    return information


async def _punch(room: _Room, handle: Handle) -> None:
    if not room.volume.presentation.sparse:
        raise unsupported("holes on this mount (nosparse)")
    if not room.is_sparse:
        await unless_refused(room.volume, SPARSE, lambda: handle.do(set_sparse()))
    await _then(room, handle, ZEROED, set_zero_data(room.start, room.end))


# Room


async def _reserve(room: _Room, handle: Handle) -> None:
    """Have room up to the end of a range, zeros in it, and a file that reaches there, as wanted."""
    now = await _now(handle)
    keeps_size = bool(room.mode & KEEP_SIZE)
    if now.attributes & Dos.SPARSE_FILE and (room.start < now.end_of_file or not keeps_size):
        await _known(room, room.start, room.start + 1)  # what is refused changes nothing
        now = await _now(handle)
    if room.mode & ZERO_RANGE:
        now = await _then(room, handle, ZEROED, set_zero_data(room.start, room.end))
    was = now.end_of_file
    if room.end > max(was, now.allocation_size):
        now = await _then(room, handle, "reserved room", set_allocation(room.end))
    if keeps_size or now.end_of_file >= room.end:
        return
    if now.end_of_file != was:
        raise BlockingIOError(errno.EAGAIN, "another machine is writing to the end of the file")
    await handle.do(set_end_of_file(room.end))


# Zeros in holes


async def _fill(room: _Room) -> None:
    """Write zeros into the holes of a range, piece by piece; others may change it in between."""
    inode, at = room.opened.file.inode, room.start
    while room.is_sparse:
        upto = min(at + FILL, room.end, inode.information.end_of_file)
        if upto <= at:
            return
        at = await _alone(replace(room, start=at, end=upto), _fill_some)


async def _fill_some(room: _Room, handle: Handle) -> int:
    """Write zeros into the holes at the beginning of a range; up to where there are none now."""
    known, spans = await _known(room, room.start, room.end)
    # Asked last: whoever made the file shorter meanwhile does not want it as long as it was.
    end = min(known, (await _now(handle)).end_of_file)
    for low, high in minus([(room.start, end)], spans):
        await handle.write(low, zeros(high - low))
    return known


async def _known(room: _Room, start: int, end: int) -> tuple[int, list[Range]]:
    """Ask where data is; see `known_ranges`."""
    async with way_to_read(room.volume, room.opened, start, end - start) as reader:
        return await unless_refused(room.volume, RANGES, lambda: known_ranges(reader, start, end))


def zeros(size: int) -> list[memoryview]:
    """So many zeros, in the same memory as all others."""
    return [ZEROS] * (size // len(ZEROS)) + [ZEROS[: size % len(ZEROS)]] * bool(size % len(ZEROS))
