"""lseek(2) to data and to holes.

A file that is not marked sparse has no holes, which is known without asking; of another one the
server is asked, after it got what was not sent.  One that cannot tell has one piece of data.

Easily broken: the end of a file is a hole, and at or behind it there is nothing to find (ENXIO).
"""

from __future__ import annotations

import errno

import trio

from smbfs.engine.controls import Range, Ranges, query_ranges
from smbfs.engine.handle import Handle
from smbfs.errors import StatusError
from smbfs.fuse.server import MISS, Miss
from smbfs.vfs import namespace
from smbfs.vfs.descriptor import Open
from smbfs.vfs.refusals import unless_refused
from smbfs.vfs.volume import Volume
from smbfs.vfs.ways import way_to_read
from smbfs.wire.constants import Attributes as Dos
from smbfs.wire.status import Status

DATA, HOLE = 3, 4  # SEEK_DATA, SEEK_HOLE
RANGES = "list of allocated ranges"
SMALLEST = 1 << 20  # bytes of which the ranges always fit into an answer


def seek_now(volume: Volume, opened: Open, offset: int, whence: int) -> int | Miss:
    """Where data or a hole begins if no server need be asked.  Raises OSError as `seek`."""
    _check(offset, whence)
    file = opened.file
    is_known = file.is_size_known(trio.current_time()) and volume.is_fresh(file.inode)
    if not is_known or file.inode.information.attributes & Dos.SPARSE_FILE:
        return MISS
    return found([(0, file.size)], offset, whence, file.size)


async def seek(volume: Volume, opened: Open, offset: int, whence: int) -> int:
    """Where data or a hole begins, at ``offset`` or behind it.

    Raises OSError: ENXIO at or behind the end, and where only a hole is left to seek data in.
    """
    _check(offset, whence)
    file, inode = opened.file, opened.file.inode
    if not volume.is_fresh(inode):
        await namespace.refresh(volume, inode)
    if not inode.information.attributes & Dos.SPARSE_FILE:
        return found([(0, file.size)], offset, whence, file.size)
    await file.sent()
    size = file.size
    _within(offset, size)
    try:
        spans = await unless_refused(
            volume, RANGES, lambda: _spans_until(volume, opened, offset, size, whence)
        )
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        spans = [(offset, size)]
    return found(spans, offset, whence, size)


def found(spans: list[Range], offset: int, whence: int, size: int) -> int:
    """Where data or a hole begins in a file of ``size`` bytes with data in these ``spans``."""
    _within(offset, size)
    at = offset
    for start, end in spans:
        if end <= at:
            continue
        if whence == DATA:
            return max(start, at)
        if start > at:
            return at
        at = end
    if whence == DATA:
        raise OSError(errno.ENXIO, "no data behind this place")
    return min(at, size)


def _check(offset: int, whence: int) -> None:
    if whence not in (DATA, HOLE):
        raise OSError(errno.EINVAL, "only data and holes are sought here")
    if offset < 0:
        raise OSError(errno.ENXIO, "before the beginning")


def _within(offset: int, size: int) -> None:
    if offset >= size:
        raise OSError(errno.ENXIO, "at the end of the file or behind it")


async def _spans_until(
    volume: Volume, opened: Open, offset: int, size: int, whence: int
) -> list[Range]:
    """The data from a place on, as far as the answer needs it."""
    spans: list[Range] = []
    at = offset
    async with way_to_read(volume, opened, offset, size - offset) as handle:
        while at < size:
            at, some = await known_ranges(handle, at, size)
            spans += some
            if spans if whence == DATA else found(spans, offset, HOLE, size) < at:
                break
    return spans


async def known_ranges(handle: Handle, start: int, end: int) -> tuple[int, list[Range]]:
    """Ask for the data of a range; up to where it is known now, past ``start``, and where it is.

    What the answer cannot hold is not known: Samba tells all or none, Windows as much as fits.
    """
    while True:
        try:
            [ranges] = await handle.do(query_ranges(start, end))
        except StatusError as error:
            if error.status != Status.BUFFER_TOO_SMALL or end - start <= SMALLEST:
                raise
            end = start + (end - start) // 2
        else:
            assert isinstance(ranges, Ranges)
            return (ranges.spans[-1][1] if ranges.has_more else end), ranges.spans
