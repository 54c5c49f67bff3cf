"""Reading an open file: from what was read ahead, or from the server.

Easily broken: a read waits for the writes that were made before it began and no others; whatever
it was given to wait for may be stale, taken by another or lost with another's handle when it
comes, so it looks again, a few times, and then asks the server by its own handle, whose error is
the one to tell.
"""

from __future__ import annotations

import errno
import logging
from collections import deque
from functools import partial

import trio

from smbfs.cache.pages import Piece
from smbfs.cache.streams import START_BYTES
from smbfs.engine.handle import Handle, Posted
from smbfs.errors import StatusError
from smbfs.vfs.descriptor import Open
from smbfs.vfs.openfile import KNOWN, File
from smbfs.vfs.passage import past_locks, way
from smbfs.wire.status import Status

log = logging.getLogger(__name__)

ATTEMPTS = 2  # to read through the read-ahead before asking the server straight
DEPTH = 16  # pieces of one plan under way
ALONE_S = 1.0  # how long nothing is read ahead where a lock was met
LOCKED = frozenset({Status.FILE_LOCK_CONFLICT})


def read_now(opened: Open, offset: int, size: int) -> list[memoryview] | None:
    """The bytes of a range if they are here."""
    dirty = opened.file.dirty
    if not _reads_ahead(opened) or dirty.touches(offset, size) or dirty.has_lost(offset, size):
        return None
    return _here(opened, offset, _clipped(opened.file, offset, size, trio.current_time()))


async def read(opened: Open, offset: int, size: int) -> list[memoryview]:
    """The bytes of a range, short only at the end of the file."""
    file, began_s, serial = opened.file, trio.current_time(), opened.file.dirty.serial
    await file.clear(offset, size)
    if file.dirty.has_lost(offset, size):  # the server has what was there before
        file.tell()
    if _reads_ahead(opened):
        wanted = _clipped(file, offset, size, began_s)
        views = _here(opened, offset, wanted)
        for _ in range(ATTEMPTS):
            if views is not None:
                return views
            if not await _fetched(opened, offset, wanted):
                break
            views = file.pages.lookup(offset, wanted, began_s)
        if views is not None:
            return views
    return await _straight(opened, offset, size, serial, began_s)


def _clipped(file: File, offset: int, size: int, began_s: float) -> int:
    """How much of a range lies within the file, if that is known."""
    return max(0, min(size, file.size - offset)) if file.is_size_known(began_s) else size


def _reads_ahead(opened: Open) -> bool:
    file = opened.file
    if opened.is_direct or file.pages.believe_s <= 0 or not opened.is_alive:
        return False
    return trio.current_time() - file.met_lock_at_s >= ALONE_S


def _here(opened: Open, offset: int, size: int) -> list[memoryview] | None:
    file = opened.file
    file.read_at_s = trio.current_time()
    views = file.pages.lookup(offset, size, file.read_at_s)
    if views is not None:
        file.pages.piece_bytes = opened.handle.read_size
        _fetch(opened, file.pages.ahead(offset, size, file.size))
    return views


async def _straight(
    opened: Open, offset: int, size: int, serial: int, began_s: float
) -> list[memoryview]:
    """Ask the server, who has all writes to this range up to a number."""
    file = opened.file
    has_all = file.dirty.is_confirmed(serial)

    async def ask() -> list[memoryview]:
        do = partial(Handle.read, offset=offset, size=size)
        return await past_locks(opened, offset, size, do, began_s=began_s)

    views = await ask()
    if not has_all and sum(map(len, views)) < size:
        await file.sent(serial)  # the file may be longer by what was unsent elsewhere
        views = await ask()
    return views


async def _fetched(opened: Open, offset: int, size: int) -> bool:
    """Fetch what is missing of a range, and some more; whether all that was waited for came."""
    file = opened.file
    file.ground.make_room(file, size + START_BYTES)
    file.pages.piece_bytes = opened.handle.read_size
    _fetch(opened, file.pages.plan(offset, size, file.size, trio.current_time()))
    awaited = file.pages.covering(offset, size)
    for piece in awaited:
        assert isinstance(piece.done, trio.Event)
        await piece.done.wait()
    errors = [piece.error for piece in awaited if piece.error is not None]
    if any(isinstance(one, StatusError) and one.status in LOCKED for one in errors):
        # Others have locked records nearby: for a while just the bytes that are wanted are asked.
        file.met_lock_at_s = trio.current_time()
    return not errors


def _fetch(opened: Open, pieces: list[Piece]) -> None:
    """Start to fetch what a plan named."""
    for piece in pieces:
        piece.done = trio.Event()
    if pieces:
        opened.file.ground.nursery.start_soon(_bring, opened, pieces)


async def _bring(opened: Open, pieces: list[Piece]) -> None:
    """Fetch pieces in their order, several at once; each is stored or failed in the end."""
    file = opened.file
    error: Exception = OSError(errno.EIO, "the read was given up")
    todo = deque(pieces)
    posted: deque[tuple[Piece, Handle, Posted[memoryview]]] = deque()
    try:
        while todo or posted:
            while todo and len(posted) < DEPTH:
                piece = todo[0]
                handle = way(opened, piece.offset, piece.size)
                slot = await handle.post_read(piece.offset, piece.size)
                posted.append((piece, handle, slot))
                todo.popleft()
            piece, handle, slot = posted[0]
            data = await handle.take_read(slot)
            _store(file, piece, await _whole(file, handle, piece, data))
            posted.popleft()
    except KNOWN as failure:
        error = failure  # the reader asks again by its own handle and hears it then
    except Exception as bug:
        log.exception("bug: a read ended with %r", bug)
        error = bug
    finally:
        for _, handle, slot in posted:
            handle.abandon(slot)
        for piece in (*[piece for piece, *_ in posted], *todo):
            file.pages.fail(piece, error)
            _wake(piece)


async def _whole(file: File, handle: Handle, piece: Piece, data: memoryview) -> memoryview:
    """All bytes of a piece, although the first answer may be short: that is no end of the file.

    Unless the file is known to end right there.
    """
    parts, at = [data], piece.offset + len(data)
    while data and at < piece.end and at != file.size:
        data = await handle.read_piece(at, piece.end - at)
        parts.append(data)
        at += len(data)
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


def _store(file: File, piece: Piece, data: memoryview) -> None:
    end = piece.offset + len(data)
    may_be_last = file.dirty.end <= end  # or the server has not got all of the file yet
    file.pages.store(piece, data, trio.current_time(), may_be_last=may_be_last)
    _wake(piece)


def _wake(piece: Piece) -> None:
    assert isinstance(piece.done, trio.Event)
    piece.done.set()
