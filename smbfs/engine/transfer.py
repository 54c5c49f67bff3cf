"""Long reads and writes as a sliding window of pieces, without a task for any of them.

Knows a handle and its pieces.  Post as many as the window holds, await the oldest, post the next:
the caller is the only task there is.

Rules easily broken: a short READ is no end of file, it is asked again until nothing comes; when a
write fails its other pieces are waited for, since one that lands later would overwrite what is
written next, and only a caller who is cancelled leaves them behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from smbfs.errors import SmbError
from smbfs.wire.codec import Blob

if TYPE_CHECKING:
    from smbfs.engine.handle import Handle, Posted

DEPTH = 8  # pieces under way: 8 MiB, more than a link of 10 Gbit/s holds in 5 ms


async def fetch(handle: Handle, offset: int, size: int) -> list[memoryview]:
    """Read ``size`` bytes; fewer only at the end of the file."""
    piece = handle.read_size
    todo = iter(range(offset, offset + size, piece))
    under_way: deque[tuple[Posted[memoryview], int, int]] = deque()
    got: list[memoryview] = []
    try:
        while True:
            while len(under_way) < DEPTH and (at := next(todo, None)) is not None:
                count = min(piece, offset + size - at)
                under_way.append((await handle.post_read(at, count), at, count))
            if not under_way:
                return got
            posted, at, count = under_way.popleft()
            data = await handle.take_read(posted)
            while 0 < len(data) < count:
                got.append(data)
                at, count = at + len(data), count - len(data)
                data = await handle.read_piece(at, count)
            if not data:
                return got
            got.append(data)
    finally:
        for posted, *_ in under_way:
            handle.abandon(posted)


async def store(handle: Handle, offset: int, parts: Sequence[Blob]) -> int:
    """Write all the bytes; answers how many.  Raises the first error, when none is under way."""
    under_way: deque[tuple[Posted[int], int, list[memoryview]]] = deque()
    at = offset
    try:
        for piece in cut(parts, handle.write_size):
            if len(under_way) == DEPTH:
                await _finish(handle, *under_way.popleft())
            under_way.append((await handle.post_write(at, piece), at, piece))
            at += length(piece)
        while under_way:
            await _finish(handle, *under_way.popleft())
    except SmbError:
        while under_way:
            with suppress(SmbError):
                await handle.take(under_way.popleft()[0])
        raise
    finally:
        for posted, *_ in under_way:
            handle.abandon(posted)
    return at - offset


async def _finish(handle: Handle, posted: Posted[int], at: int, piece: list[memoryview]) -> None:
    """Wait for one piece, and send again what the server left of it."""
    size = length(piece)
    count = await handle.take_write(posted, size)
    while count < size:
        at, size = at + count, size - count
        count = await handle.write_piece(at, memoryview(b"".join(piece))[-size:])


def sequence(data: Blob | Sequence[Blob]) -> Sequence[Blob]:
    """The parts of what may be one."""
    return [data] if isinstance(data, bytes | memoryview) else data


def length(parts: Sequence[Blob]) -> int:
    """How many bytes the parts have together."""
    return sum(map(len, parts))


def cut(parts: Sequence[Blob], size: int) -> Iterator[list[memoryview]]:
    """The same bytes in pieces of ``size``, the last one shorter; nothing is copied."""
    piece: list[memoryview] = []
    room = size
    for part in parts:
        view = memoryview(part)
        while len(view) >= room:
            yield [*piece, view[:room]]
            view, piece, room = view[room:], [], size
        if view:
            piece.append(view)
            room -= len(view)
    if piece:
        yield piece
