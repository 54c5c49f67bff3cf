"""Writing an open file: behind the program's back, straight to the server, or at its end.

Easily broken: every write passes the file's door, so that none slips in between the question
where the file ends and the bytes that are put there; and a write that goes straight waits for
those before it that it overlaps, or an old byte would win.
"""

from __future__ import annotations

import trio

from smbfs.cache.dirty import room_for
from smbfs.engine import steps
from smbfs.errors import SmbError
from smbfs.vfs.descriptor import Open
from smbfs.vfs.passage import again, past_locks
from smbfs.wire.constants import Attributes as Dos

FILE_DIRTY_BYTES = 16 << 20  # unsent bytes of one file before its writer waits

Data = bytes | memoryview


def write_now(opened: Open, offset: int, data: Data) -> bool:
    """Take bytes to be sent if there is nothing to wait for or to tell; whether they were taken."""
    file, needed = opened.file, room_for(len(data))
    if opened.is_append or opened.is_direct or opened.is_synchronous or not opened.is_here:
        return False
    if file.is_contended:
        return False
    # What leaves a gap behind the end of the file is rare, and not for here to judge.
    if not data or file.is_entered or file.dirty.error is not None or offset > file.size:
        return False
    if file.dirty.room and file.dirty.room + needed > FILE_DIRTY_BYTES:
        return False
    if not file.ground.room.take_now(needed):
        return False
    _keep(opened, offset, data)
    return True


async def write(opened: Open, offset: int, data: Data) -> None:
    """Take bytes to be sent, or send them, as the descriptor was opened for.

    The bytes are kept, not copied: the caller must not change them any more.  Raises the file's
    first lost write, and what went wrong with this one if it was to go straight to the server.
    """
    opened.file.tell()
    if not data:
        return
    if opened.is_append:
        await opened.file.alone(lambda: _append(opened, data))
    elif opened.is_direct or opened.is_synchronous or opened.file.is_contended:
        await _write_through(opened, offset, data)
    else:
        await _write_behind(opened, offset, data)


async def _write_behind(opened: Open, offset: int, data: Data) -> None:
    file, room = opened.file, opened.file.ground.room
    needed = room_for(len(data))
    await file.enter()
    try:
        while file.dirty.room and file.dirty.room + needed > FILE_DIRTY_BYTES:
            await file.moved()
            file.tell()
        await _mark_before_gap(opened, offset)
        await room.take(needed)
        try:
            file.tell()
            await opened.handle.be_back()  # or bytes would be taken that can never be sent
            file.tell()
        except BaseException:
            room.give(needed)
            raise
        _keep(opened, offset, data)
    finally:
        file.leave()


def _keep(opened: Open, offset: int, data: Data) -> None:
    """Keep bytes that there is room for, and send what may be sent."""
    file = opened.file
    file.pages.drop(offset, len(data))
    file.dirty.add(opened, offset, data)
    file.ground.inodes.changed(file.inode)
    file.pump()


async def _write_through(opened: Open, offset: int, data: Data) -> None:
    file = opened.file
    await file.enter()
    try:
        await file.clear(offset, len(data))
        file.tell()
        await _mark_before_gap(opened, offset)
        piece = file.through(opened, offset, data)
    finally:
        file.leave()
    assert isinstance(piece.done, trio.Event)
    await piece.done.wait()
    if piece.error is not None:
        raise piece.error


async def _mark_before_gap(opened: Open, offset: int) -> None:
    """Mark a file sparse that will have a hole before this place; the caller is in its door."""
    file = opened.file
    holes, information = file.ground.holes, file.inode.information
    marking = holes.before_growth(information, file.size, offset)
    if not marking:
        return
    try:
        [was_marked] = await opened.handle.do(*marking)
    except SmbError:
        return  # the write meets it too, and tells
    information.attributes |= Dos.SPARSE_FILE if was_marked else 0
    holes.heard(information)
    file.ground.inodes.changed(file.inode)


async def _append(opened: Open, data: Data) -> None:
    file = opened.file
    handle = opened.handle
    [information] = await again(handle, lambda: handle.do(steps.query_all()), changes=False)
    offset = information.end_of_file
    try:
        await past_locks(
            opened, offset, len(data), lambda handle: handle.write(offset, data), writes=True
        )
    finally:
        file.pages.drop(offset, len(data))
        file.ground.inodes.changed(file.inode)
    file.confirmed(offset + len(data), opened.handle)
