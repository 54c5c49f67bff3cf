"""copy_file_range(2): the server copies, and no byte goes over the wire.

Blocks are shared where the filesystem can do that, the rest is copied in chunks within the limits
that the server has told.  Where it does neither the answer is EOPNOTSUPP, and the kernel reads and
writes.  One call is short: whoever wants more asks again, and others may write in between.

Easily broken: what was written to the source must be on the server first; the change passes the
door of the target; 0 means the end of the source, so it must never mean anything else; and a
target that was made longer for blocks that it did not get must not stay so.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import trio

from smbfs.engine.controls import Chunk, Limits, copy_chunks, duplicate_extents, resume_key
from smbfs.engine.handle import Handle
from smbfs.engine.steps import Step, query_all, set_end_of_file
from smbfs.errors import SmbError, StatusError
from smbfs.vfs.descriptor import Open, must_live
from smbfs.vfs.passage import past_locks
from smbfs.vfs.refusals import unless_refused, unsupported
from smbfs.vfs.volume import Volume
from smbfs.wire.fscc import FsAttributes
from smbfs.wire.status import Status

log = logging.getLogger(__name__)

ONCE = 64 << 20  # bytes that one call copies at most
LONG_S = 2.0  # after which it goes on with the next call
SHARED_ONCE = 1 << 30  # bytes of blocks that one call shares, which costs next to nothing
SMALLEST = 64 * 1024  # a server that copies less at a time is slower than reading and writing
ROUNDS = 3  # in which a server tells what it takes; one that goes on is not to be served
CLONES = "shared blocks"
# With which control codes servers copy, the one that asks for fewer rights first.
COPIES = {"copies into what may not be read": False, "copies": True}


@dataclass(frozen=True, slots=True)
class _Job:
    """A range to be copied, from one open file to a place in another."""

    volume: Volume
    source: Open
    start: int
    target: Open
    at: int
    size: int

    def rest(self, done: int) -> _Job:
        """What is left after so many bytes."""
        return replace(
            self, start=self.start + done, at=self.at + done, size=max(0, self.size - done)
        )


async def copy(volume: Volume, source: Open, start: int, target: Open, at: int, size: int) -> int:
    """Copy bytes from one open file to another, or within one; how many, 0 at the source's end."""
    if not source.may_read or not target.may_write or target.is_append:
        raise OSError(errno.EBADF, "not open for this copy")
    if min(start, at, size) < 0:
        raise OSError(errno.EINVAL, "there is nothing before the beginning")
    job = _Job(volume, source, start, target, at, size)
    if not any(_codes(job)) and not _may_share(job):
        raise unsupported("copies")
    target.file.tell()
    # All of it and not only the range: the server must know where the source ends.
    await source.file.sent()
    return await target.file.alone(lambda: _copied(job))


async def _copied(job: _Job) -> int:
    """Copy by the handles that the server lets at both ends, locked by us or not."""
    must_live(job.source)
    must_live(job.target)

    async def read_by(reader: Handle) -> int:
        work = partial(_copied_by, job, reader)
        return await past_locks(job.target, job.at, job.size, work, writes=True)

    return await past_locks(job.source, job.start, job.size, read_by)


async def _copied_by(job: _Job, reader: Handle, writer: Handle) -> int:
    file, inodes = job.target.file, job.volume.inodes
    job = replace(job, size=min(job.size, await _end_of(job.source, reader) - job.start))
    if job.size <= 0:
        return 0
    if job.source.file is file and abs(job.start - job.at) < job.size:
        raise OSError(errno.EINVAL, "a range cannot be copied over itself")
    try:
        done = await _share(job, reader, writer) if _may_share(job) else 0
        if done < job.size:
            done += await _in_chunks(job.rest(done), reader.resume_key, writer, is_begun=done > 0)
    finally:
        file.pages.drop(job.at, job.size)
        inodes.changed(file.inode)
    file.confirmed(job.at + done, writer)
    if job.target.is_synchronous:
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


def _may_share(job: _Job) -> bool:
    """Whether there are whole blocks that both files can have."""
    facts = job.volume.share.facts
    is_known = facts.has(FsAttributes.SUPPORTS_BLOCK_REFCOUNTING)
    unit = facts.allocation_unit
    lies_well = not job.start % unit and not job.at % unit and job.size >= unit
    return is_known and lies_well and CLONES not in job.volume.refused


async def _share(job: _Job, reader: Handle, writer: Handle) -> int:
    """Share the whole blocks of a range; how many bytes that were, 0 if the server would not."""
    unit = job.volume.share.facts.allocation_unit
    size = min(job.size, SHARED_ONCE) // unit * unit
    [now] = await writer.do(query_all())
    steps: list[Step[Any]] = [duplicate_extents(reader.file_id, job.start, job.at, size)]
    was, end = now.end_of_file, job.at + size
    if was < end:  # only what both files have can be shared
        steps.insert(0, set_end_of_file(end))
    try:
        await writer.do(*steps)
    except StatusError as error:
        if was < end:
            await _shorter_again(job.target, writer, was, end)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
            job.volume.refused.add(CLONES)
        return 0
    return size


async def _shorter_again(target: Open, writer: Handle, was: int, end: int) -> None:
    """Take back what a file was made longer by, unless somebody else changed its size since."""
    try:
        [now] = await writer.do(query_all())
        if now.end_of_file == end:
            await writer.do(set_end_of_file(was))
    except SmbError as error:
        node = target.file.inode.node
        log.warning("node %d is longer than it was, after a copy that failed: %s", node, error)


# Copying in chunks


def _codes(job: _Job) -> Iterator[tuple[str, bool]]:
    """The ways to copy into the target that the server has not refused yet."""
    for name, reads_back in COPIES.items():
        if name not in job.volume.refused and (job.target.may_read or not reads_back):
            yield name, reads_back


async def _in_chunks(job: _Job, key: bytes, writer: Handle, *, is_begun: bool) -> int:
    """Copy a range, or what of it can be copied in a while; at least something."""
    done, began_s, most = 0, trio.current_time(), min(job.size, ONCE)
    while done < most and (not done or trio.current_time() - began_s < LONG_S):
        try:
            done += await _some(replace(job.rest(done), size=most - done), key, writer)
        except (StatusError, OSError) as error:
            if done or is_begun:
                break  # a short copy; the next call meets the error and tells it
            if getattr(error, "status", None) == Status.INVALID_VIEW_SIZE:
                raise unsupported("source of that size any more") from error
            raise
    return done


async def _some(job: _Job, key: bytes, writer: Handle) -> int:
    """Copy as much as the server does at one request."""
    volume = job.volume
    for _ in range(ROUNDS):
        answer = await _asked(job, key, writer)
        if isinstance(answer, Limits):
            volume.copies = narrowed(volume.copies, answer)
        elif answer:
            return answer
        else:
            break
    raise unsupported("copy of this")


async def _asked(job: _Job, key: bytes, writer: Handle) -> int | Limits:
    chunks = pieces(job.start, job.at, job.size, job.volume.copies)
    for name, reads_back in _codes(job):
        step = copy_chunks(key, chunks, reads_back=reads_back)
        try:
            [answer] = await unless_refused(job.volume, name, partial(writer.do, step))
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
