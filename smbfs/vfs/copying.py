"""copy_file_range(2): the server copies, and no byte goes over the wire.

Blocks are shared where the filesystem can do that, the rest is copied in chunks within the limits
that the server has told.  Where it does neither the answer is EOPNOTSUPP, and the kernel reads and
writes.  One call is short: whoever wants more asks again, and others may write in between.

Easily broken: what was written to the source must be on the server first; the change passes the
door of the target; and 0 means the end of the source, so it must never mean anything else.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from functools import partial
from typing import Any

import trio

from smbfs.engine.controls import Chunk, Limits, copy_chunks, duplicate_extents, resume_key
from smbfs.engine.handle import Handle
from smbfs.engine.steps import Step, query_all, set_end_of_file
from smbfs.errors import StatusError
from smbfs.vfs.openfile import Open
from smbfs.vfs.refusals import unless_refused, unsupported
from smbfs.vfs.volume import Volume
from smbfs.vfs.ways import may_read, way_of
from smbfs.wire.fscc import FsAttributes
from smbfs.wire.status import Status

ONCE = 64 << 20  # bytes that one call copies at most
LONG_S = 2.0  # after which it goes on with the next call
SHARED_ONCE = 1 << 30  # bytes of blocks that one call shares, which costs next to nothing
SMALLEST = 64 * 1024  # a server that copies less at a time is slower than reading and writing
CLONES = "shared blocks"
# With which control codes servers copy, the one that asks for fewer rights first.
COPIES = {"copies into what may not be read": False, "copies": True}


async def copy(volume: Volume, source: Open, start: int, target: Open, at: int, size: int) -> int:
    """Copy bytes from one open file to another, or within one; how many, 0 at the source's end."""
    _check(source, start, target, at, size)
    if not _may_copy(volume, target) and not _may_share(volume, start, at, size):
        raise unsupported("copies")
    target.file.tell()
    # All of it and not only the range: the server must know where the source ends.
    await source.file.sent()
    return await target.file.alone(lambda: _copied(volume, source, start, target, at, size))


def _check(source: Open, start: int, target: Open, at: int, size: int) -> None:
    if not may_read(source) or not target.may_write or target.is_append:
        raise OSError(errno.EBADF, "not open for this copy")
    if min(start, at, size) < 0:
        raise OSError(errno.EINVAL, "there is nothing before the beginning")


async def _copied(
    volume: Volume, source: Open, start: int, target: Open, at: int, size: int
) -> int:
    reader, writer = way_of(source, start, size), way_of(target, at, size)
    size = min(size, await _end_of(source, reader) - start)
    if size <= 0:
        return 0
    if source.file is target.file and abs(start - at) < size:
        raise OSError(errno.EINVAL, "a range cannot be copied over itself")
    file, done = target.file, 0
    try:
        if _may_share(volume, start, at, size):
            done = await _share(volume, reader, start, writer, at, size)
        if done < size:
            rest = start + done, at + done, min(size - done, ONCE)
            done += await _in_chunks(volume, reader.resume_key, target, writer, rest, bool(done))
    finally:
        file.pages.drop(at, size)
        volume.inodes.changed(file.inode)
    file.confirmed(at + done, writer)
    if target.is_synchronous:
        await writer.flush()
    return done


async def _end_of(source: Open, reader: Handle) -> int:
    """Where the source ends; its key is known then, which holds as long as the handle."""
    if not reader.resume_key:
        information, reader.resume_key = await reader.do(query_all(), resume_key())
    elif source.file.is_size_known(trio.current_time()):
        return source.file.size
    else:
        [information] = await reader.do(query_all())
    return int(information.end_of_file)


# Sharing blocks


def _may_share(volume: Volume, start: int, at: int, size: int) -> bool:
    """Whether there are whole blocks that both files can have."""
    facts = volume.share.facts
    is_known = facts.has(FsAttributes.SUPPORTS_BLOCK_REFCOUNTING) and CLONES not in volume.refused
    unit = facts.allocation_unit
    return is_known and not start % unit and not at % unit and size >= unit


async def _share(
    volume: Volume, reader: Handle, start: int, writer: Handle, at: int, size: int
) -> int:
    """Share the whole blocks of a range; how many bytes that were, 0 if the server would not."""
    unit = volume.share.facts.allocation_unit
    size = min(size, SHARED_ONCE) // unit * unit
    [now] = await writer.do(query_all())
    steps: list[Step[Any]] = [duplicate_extents(reader.file_id, start, at, size)]
    if now.end_of_file < at + size:  # only what both files have can be shared
        steps.insert(0, set_end_of_file(at + size))
    try:
        await writer.do(*steps)
    except StatusError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
            volume.refused.add(CLONES)
        return 0
    return size


# Copying in chunks


def _may_copy(volume: Volume, target: Open) -> bool:
    return any(True for _ in _codes(volume, target))


def _codes(volume: Volume, target: Open) -> Iterator[tuple[str, bool]]:
    """The ways to copy into a file that the server has not refused yet."""
    for name, reads_back in COPIES.items():
        if name not in volume.refused and (may_read(target) or not reads_back):
            yield name, reads_back


async def _in_chunks(
    volume: Volume,
    key: bytes,
    target: Open,
    writer: Handle,
    what: Chunk,
    is_begun: bool,
) -> int:
    """Copy a range, or what of it can be copied in a while; at least something."""
    start, at, size = what
    done, began_s = 0, trio.current_time()
    while done < size and (not done or trio.current_time() - began_s < LONG_S):
        try:
            count = await _some(volume, key, target, writer, (start + done, at + done, size - done))
        except (StatusError, OSError) as error:
            if done or is_begun:
                break  # a short copy; the next call meets the error and tells it
            if getattr(error, "status", None) == Status.INVALID_VIEW_SIZE:
                raise unsupported("source of that size any more") from error
            raise
        done += count
    return done


async def _some(volume: Volume, key: bytes, target: Open, writer: Handle, what: Chunk) -> int:
    """Copy as much as the server does at one request."""
    while True:
        chunks = pieces(*what, volume.copies)
        answer = await _asked(volume, key, target, writer, chunks)
        if isinstance(answer, int):
            if not answer:
                raise unsupported("copy of this")
            return answer
        volume.copies = narrowed(volume.copies, answer)


async def _asked(
    volume: Volume, key: bytes, target: Open, writer: Handle, chunks: list[Chunk]
) -> int | Limits:
    for name, reads_back in _codes(volume, target):
        step = copy_chunks(key, chunks, reads_back=reads_back)
        try:
            [answer] = await unless_refused(volume, name, partial(writer.do, step))
        except OSError:
            continue
        assert isinstance(answer, int | Limits)
        return answer
    raise unsupported("copies")


def pieces(start: int, at: int, size: int, limits: Limits) -> list[Chunk]:
    """The chunks of one request, from the first byte on."""
    size = min(size, limits.total_size)
    offsets = range(0, size, limits.chunk_size)[: limits.chunks]
    return [(start + one, at + one, min(limits.chunk_size, size - one)) for one in offsets]


def narrowed(ours: Limits, theirs: Limits) -> Limits:
    """Our limits within the server's.  Raises OSError(EOPNOTSUPP) if little or nothing is left."""
    limits = Limits(*map(min, ours, theirs))
    at_once = min(limits.chunks * limits.chunk_size, limits.total_size)
    if at_once < SMALLEST or limits == ours:
        raise unsupported("copies of a useful size")
    return limits
