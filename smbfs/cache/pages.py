"""What was read ahead of one file: extents that are here, pieces that are coming, and a plan.

Pure: it is told what was read and says what to fetch; it never fetches.  An extent is believed
for a stated time and given up once it was handed out to its end, for the kernel keeps the pages
itself.

Easily broken: whoever writes calls `drop`, when he takes the bytes *and* when the server has them,
for an answer under way at either moment may be older than the write; and a short answer is the
end of the file only if nothing was written behind it meanwhile (`Piece.may_be_last`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from smbfs.cache.budget import Budget
from smbfs.cache.streams import START_BYTES, Stream, Streams

Span = tuple[int, int]  # from, to
MOST_HOLES = 16


@dataclass(slots=True, eq=False)
class Piece:
    """Bytes asked of the server and not here yet; ``done`` is the shell's way of waking."""

    offset: int
    size: int
    may_be_last: bool = True  # a short answer would be believed
    is_stale: bool = False  # whatever comes is too old
    holes: list[Span] = field(default_factory=list)  # written since it was asked for
    error: Exception | None = None
    done: object = None

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.size

    def pierce(self, start: int, end: int) -> None:
        """Distrust a range of it."""
        if end > self.offset:
            self.may_be_last = False
        start, end = max(start, self.offset), min(end, self.end)
        if start >= end:
            return
        near = [hole for hole in self.holes if hole[0] <= end and start <= hole[1]]
        whole = min([start, *(low for low, _ in near)]), max([end, *(high for _, high in near)])
        self.holes = [hole for hole in self.holes if hole not in near] + [whole]
        self.is_stale = self.is_stale or len(self.holes) > MOST_HOLES


@dataclass(slots=True)
class _Buffer:
    """Memory that some extents share; it is free when the last of them is gone."""

    size: int
    users: int = 0


@dataclass(slots=True, eq=False)
class _Extent:
    offset: int
    data: memoryview
    stored_at: float
    is_last: bool  # the server had no more when this was read
    buffer: _Buffer
    taken: int = 0  # bytes handed out, in whatever order they were asked for

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


def without(spans: list[Span], start: int, end: int) -> list[Span]:
    """Spans less what lies in a range."""
    return [
        part
        for low, high in spans
        for part in ((low, min(high, start)), (max(low, end), high))
        if part[0] < part[1]
    ]


class Pages:
    """The read-ahead of one file."""

    def __init__(
        self, budget: Budget, piece_bytes: int, window_bytes: int, believe_s: float
    ) -> None:
        self.budget = budget
        self.piece_bytes = piece_bytes
        self.believe_s = believe_s
        self.streams = Streams(window_bytes)
        self.coming: list[Piece] = []
        self.held_bytes = 0
        self._extents: list[_Extent] = []  # by offset, none overlaps another

    # Handing out

    def lookup(self, offset: int, size: int, since: float) -> list[memoryview] | None:
        """The bytes of a range, short only where the file ends, or None if some are missing.

        ``since`` is when the read began: what came later is never too old for it.
        """
        found: list[memoryview] = []
        used: list[tuple[_Extent, int]] = []
        at, end = offset, offset + size
        while at < end:
            extent = self._at(at)
            if extent is None or since - extent.stored_at > self.believe_s:
                return None
            if extent.end <= at:
                break
            view = extent.data[at - extent.offset : end - extent.offset]
            found.append(view)
            used.append((extent, len(view)))
            at += len(view)
        for extent, count in used:
            extent.taken += count
            if extent.taken >= len(extent.data):
                self._remove(extent)
        return found

    def _at(self, offset: int) -> _Extent | None:
        """The extent that holds a place, or after which the file ends before it."""
        index = self._index(offset)
        if not index:
            return None
        extent = self._extents[index - 1]
        return extent if offset < extent.end or extent.is_last else None

    @property
    def _last(self) -> _Extent | None:
        """What the file ends with, if that is here; nothing lies behind it."""
        last = self._extents[-1] if self._extents else None
        return last if last is not None and last.is_last else None

    def _index(self, offset: int) -> int:
        """How many extents begin before a place or right there."""
        return bisect_right(self._extents, offset, key=_offset_of)

    # Planning

    def plan(self, offset: int, size: int, file_size: int, now: float) -> list[Piece]:
        """Note a read and answer the pieces to fetch now: what is missing, then what is ahead.

        ``file_size`` is what the file is believed to be long: nothing is read ahead beyond it.
        The pieces are `coming` from now on; each must be stored or failed.
        """
        is_late = self.expire(now) > 0  # or what is too old to hand out would count as here
        end = offset + size
        pieces = self._missing(offset, end)
        stream = self.streams.missed(offset, end, is_late=is_late)
        self._take(sum(piece.size for piece in pieces))
        self.coming += pieces
        return pieces + (self._ahead(stream, stream.front, file_size) if stream else [])

    def ahead(self, offset: int, size: int, file_size: int) -> list[Piece]:
        """Note a read that was answered from here, and answer what to fetch to stay ahead."""
        stream = self.streams.hit(offset, offset + size)
        if stream is None:
            return []
        until = min(stream.front + stream.window, file_size)
        if until - stream.ahead < min(self.piece_bytes, stream.window // 2) and until < file_size:
            return []  # wait until it is worth asking
        return self._ahead(stream, max(stream.ahead, stream.front), file_size)

    def _ahead(self, stream: Stream, start: int, file_size: int) -> list[Piece]:
        """Fetch what a stream wants from a place on, as far as there is room."""
        window = min(stream.window, max(START_BYTES, self.budget.share_bytes))
        until = min(stream.front + window, file_size, start + self.budget.room_bytes)
        if self._last is not None:
            until = min(until, self._last.end)
        pieces = self._missing(start, until)
        stream.ahead = max(start, until)
        self._take(sum(piece.size for piece in pieces))
        self.coming += pieces
        return pieces

    def _missing(self, start: int, end: int) -> list[Piece]:
        """The parts of a range that are neither here nor coming, cut into pieces."""
        holes = [(start, end)] if start < end else []
        for first, last in self._covered(start, end):
            holes = without(holes, first, last)
        return [
            Piece(at, min(self.piece_bytes, high - at))
            for low, high in sorted(holes)
            for at in range(low, high, self.piece_bytes)
        ]

    def _covered(self, start: int, end: int) -> Iterator[Span]:
        for extent in self._between(start, end):
            yield extent.offset, extent.end
        for piece in self.covering(start, end - start):
            yield from _solid(piece, piece.end)

    def _between(self, start: int, end: float) -> list[_Extent]:
        """The extents that share a byte with a range, or lie in it without any."""
        low = self._index(start)
        if low and self._extents[low - 1].end >= start:
            low -= 1
        high = low
        while high < len(self._extents) and self._extents[high].offset < end:
            high += 1
        return self._extents[low:high]

    def covering(self, offset: int, size: int) -> list[Piece]:
        """The pieces under way that a reader of this range has to wait for."""
        end = offset + size
        return [
            piece
            for piece in self.coming
            if piece.offset < end and offset < piece.end and not piece.is_stale
        ]

    # What came

    def store(self, piece: Piece, data: memoryview, now: float, *, may_be_last: bool) -> None:
        """Keep what came for a piece; shorter than asked, it may be the end of the file."""
        self._forget(piece)
        if piece.is_stale:
            return
        end = piece.offset + len(data)
        is_last = len(data) < piece.size and piece.may_be_last and may_be_last
        for extent in self._between(piece.offset, float("inf") if is_last else end):
            if extent.offset >= piece.offset or extent.end > piece.offset:
                self._remove(extent)
        before = self._last
        if before is not None and before.end <= piece.offset:
            if not data:
                return  # that the file ends before is known
            self._no_end(before)
        buffer = _Buffer(len(data))
        spans = [(end, end)] if is_last and not data else _solid(piece, end)
        for start, stop in spans:
            view = data[start - piece.offset : stop - piece.offset]
            self._insert(_Extent(start, view, now, is_last, buffer))

    def receive(self, data: memoryview, now: float) -> None:
        """Keep the whole of a file that came unasked."""
        piece = Piece(0, len(data) + 1)
        self._take(piece.size)
        self.coming.append(piece)
        self.store(piece, data, now, may_be_last=True)

    def fail(self, piece: Piece, error: Exception) -> None:
        """Give a piece up; those who wait for it are told why."""
        piece.error = error
        self._forget(piece)

    def _forget(self, piece: Piece) -> None:
        self.coming.remove(piece)
        self._give(piece.size)

    def _insert(self, extent: _Extent) -> None:
        if not extent.buffer.users:
            self._take(extent.buffer.size)
        extent.buffer.users += 1
        self._extents.insert(self._index(extent.offset), extent)

    def _remove(self, extent: _Extent) -> None:
        del self._extents[self._index(extent.offset) - 1]
        extent.buffer.users -= 1
        if not extent.buffer.users:
            self._give(extent.buffer.size)

    # Giving up

    def drop(self, offset: int = 0, size: int | None = None) -> None:
        """Forget a range, or everything, and distrust what is under way for it."""
        if size is None:
            self.shed()
            for piece in self.coming:
                piece.is_stale = True
            return
        end = offset + size
        if self._last is not None and end > self._last.end:
            self._no_end(self._last)
        for extent in self._between(offset, end):
            if extent.offset < end and offset < extent.end:
                self._cut(extent, offset, end)
        for piece in self.coming:
            piece.pierce(offset, end)

    def _no_end(self, extent: _Extent) -> None:
        """Note that the file does not end with an extent any more."""
        extent.is_last = False
        if not extent.data:
            self._remove(extent)

    def _cut(self, extent: _Extent, start: int, end: int) -> None:
        """Take a range out of an extent."""
        extent.buffer.users += 1  # while its parts change places
        self._remove(extent)
        for low, high in without([(extent.offset, extent.end)], start, end):
            view = extent.data[low - extent.offset : high - extent.offset]
            is_last = extent.is_last and high == extent.end
            self._insert(_Extent(low, view, extent.stored_at, is_last, extent.buffer))
        extent.buffer.users -= 1
        if not extent.buffer.users:
            self._give(extent.buffer.size)

    def shed(self) -> None:
        """Forget everything that is here, to give the memory back."""
        for extent in list(self._extents):
            self._remove(extent)

    def expire(self, now: float) -> int:
        """Forget what is too old to be believed; tell how many bytes nobody had asked for."""
        unread = 0
        for extent in list(self._extents):
            if now - extent.stored_at > self.believe_s:
                unread += max(0, len(extent.data) - extent.taken)
                self._remove(extent)
        return unread

    # Room

    def _take(self, size: int) -> None:
        if size and not self.held_bytes:
            self.budget.holders += 1
        self.held_bytes += size
        self.budget.take(size)

    def _give(self, size: int) -> None:
        self.held_bytes -= size
        self.budget.give(size)
        if size and not self.held_bytes:
            self.budget.holders -= 1


def _offset_of(extent: _Extent) -> int:
    return extent.offset


def _solid(piece: Piece, end: int) -> list[Span]:
    """What of a piece, up to a place, was not written since it was asked for."""
    spans = [(piece.offset, end)] if piece.offset < end else []
    for start, stop in piece.holes:
        spans = without(spans, start, stop)
    return spans
