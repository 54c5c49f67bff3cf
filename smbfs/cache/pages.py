"""What was read ahead of one file: extents that are here, pieces that are coming, and a plan.

Pure: it is told what was read and says what to fetch; it never fetches.  An extent is believed
for a stated time and given up once it was handed out to its end, for the kernel keeps the pages
itself.  Easily broken: whoever writes must call `drop`, which also turns pieces already under way
stale, or an old answer would come back after a new write.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from smbfs.cache.budget import Budget

START_BYTES = 256 * 1024  # the first window of a stream
SLACK_BYTES = 2 * 1024 * 1024  # kernel reads arrive this much out of order and are one stream
MOST_STREAMS = 2


@dataclass(slots=True, eq=False)
class Piece:
    """Bytes asked of the server and not here yet; ``done`` is the shell's way of waking."""

    offset: int
    size: int
    is_stale: bool = False
    error: Exception | None = None
    done: object = None

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.size


@dataclass(slots=True)
class _Extent:
    offset: int
    data: memoryview
    fetched_at: float
    is_last: bool  # the server had no more when this was read
    taken: int = 0  # bytes handed out, in whatever order they were asked for

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


@dataclass(slots=True)
class _Stream:
    next: int  # where the reader is expected
    ahead: int  # asked for up to here
    window: int = START_BYTES


@dataclass(slots=True)
class Pages:
    """The read-ahead of one file."""

    budget: Budget
    piece_bytes: int
    window_bytes: int  # the largest window of one stream
    believe_s: float
    _starts: list[int] = field(default_factory=list)
    _extents: list[_Extent] = field(default_factory=list)
    _streams: list[_Stream] = field(default_factory=list)
    coming: list[Piece] = field(default_factory=list)

    def lookup(self, offset: int, size: int, now: float) -> list[memoryview] | None:
        """The bytes of a range, short only where the file ends, or None if some are missing."""
        found: list[memoryview] = []
        used: list[tuple[_Extent, int]] = []
        at, end = offset, offset + size
        while at < end:
            extent = self._at(at)
            if extent is None or now - extent.fetched_at > self.believe_s:
                return None
            view = extent.data[at - extent.offset : end - extent.offset]
            if view:  # nothing of it is left right at the end of the file
                found.append(view)
                used.append((extent, len(view)))
            at += len(view)
            if extent.is_last and at == extent.end:
                break
        for extent, size in used:
            extent.taken += size
            if extent.taken >= len(extent.data):
                self._remove(extent)
        return found

    def _at(self, offset: int) -> _Extent | None:
        index = bisect_right(self._starts, offset) - 1
        if index < 0:
            return None
        extent = self._extents[index]
        is_inside = offset < extent.end or (extent.is_last and offset == extent.end)
        return extent if is_inside else None

    def _remove(self, extent: _Extent) -> None:
        index = self._extents.index(extent)
        del self._extents[index], self._starts[index]
        self.budget.give(len(extent.data))

    def plan(self, offset: int, size: int, file_size: int, now: float) -> list[Piece]:
        """Note a read and answer the pieces to fetch now: what is missing, then what is ahead.

        ``file_size`` is what the file is believed to be long: nothing is read ahead beyond it.
        The pieces are `coming` from now on; each must be stored or failed.
        """
        self.expire(now)  # or what is too old to hand out would count as here
        stream, is_known = self._stream_of(offset)
        end = offset + size
        if is_known and stream.next <= offset <= stream.ahead:
            stream.window = min(stream.window * 2, self.window_bytes)  # the reader had to wait
        stream.next = max(stream.next, end)
        pieces = self._missing(offset, end)
        if is_known or offset == 0:
            start = max(stream.ahead, end)
            room = self.budget.room_bytes - sum(piece.size for piece in pieces)
            until = min(end + stream.window, file_size, start + max(0, room))
            pieces += self._missing(start, until)
            stream.ahead = max(stream.ahead, until, end)
        else:
            stream.ahead = end
        for piece in pieces:
            self.budget.take(piece.size)
        self.coming += pieces
        return pieces

    def ahead(self, offset: int, size: int, file_size: int) -> list[Piece]:
        """Note a read that was answered from here, and answer what to fetch to stay ahead."""
        for stream in self._streams:
            if stream.next - SLACK_BYTES <= offset <= stream.next:
                break
        else:
            return []
        stream.next = max(stream.next, offset + size)
        start = stream.ahead
        until = min(stream.next + stream.window, file_size, start + self.budget.room_bytes)
        if until - start < self.piece_bytes and until < file_size:
            return []  # wait until a whole piece is worth asking for
        pieces = self._missing(start, until)
        stream.ahead = max(start, until)
        for piece in pieces:
            self.budget.take(piece.size)
        self.coming += pieces
        return pieces

    def _stream_of(self, offset: int) -> tuple[_Stream, bool]:
        for stream in self._streams:
            if stream.next - SLACK_BYTES <= offset <= max(stream.next, stream.ahead) + SLACK_BYTES:
                self._streams.remove(stream)
                self._streams.insert(0, stream)
                return stream, True
        stream = _Stream(offset, offset)
        self._streams.insert(0, stream)
        del self._streams[MOST_STREAMS:]
        return stream, False

    def _missing(self, start: int, end: int) -> list[Piece]:
        """The parts of a range that are neither here nor coming, cut into pieces."""
        holes = [(start, end)] if start < end else []
        here = [(extent.offset, extent.end) for extent in self._extents]
        under_way = [(piece.offset, piece.end) for piece in self.coming if not piece.is_stale]
        for first, last in here + under_way:
            holes = [
                part
                for low, high in holes
                for part in ((low, min(high, first)), (max(low, last), high))
                if part[0] < part[1]
            ]
        return [
            Piece(at, min(self.piece_bytes, high - at))
            for low, high in sorted(holes)
            for at in range(low, high, self.piece_bytes)
        ]

    def covering(self, offset: int, size: int) -> list[Piece]:
        """The pieces under way that a reader of this range has to wait for."""
        end = offset + size
        return [
            piece
            for piece in self.coming
            if piece.offset < end and offset < piece.end and not piece.is_stale
        ]

    def store(self, piece: Piece, data: memoryview, now: float) -> None:
        """Keep what came for a piece; shorter than asked means that the file ends there."""
        self._forget(piece)
        if piece.is_stale:
            return
        index = bisect_right(self._starts, piece.offset)
        extent = _Extent(piece.offset, data, now, len(data) < piece.size)
        self._starts.insert(index, piece.offset)
        self._extents.insert(index, extent)
        self.budget.take(len(data))

    def fail(self, piece: Piece, error: Exception) -> None:
        """Give a piece up; those who wait for it are told why."""
        piece.error = error
        self._forget(piece)

    def _forget(self, piece: Piece) -> None:
        self.coming.remove(piece)
        self.budget.give(piece.size)

    def drop(self, offset: int = 0, size: int | None = None) -> None:
        """Forget a range, or everything, and distrust what is under way for it."""
        end = float("inf") if size is None else offset + size
        for extent in list(self._extents):
            # The end of the file counts as touched: a write anywhere behind it moves it.
            reach = float("inf") if extent.is_last else extent.end
            if extent.offset < end and offset < reach:
                self._remove(extent)
        for piece in self.coming:
            if piece.offset < end and offset < piece.end:
                piece.is_stale = True
        if size is None:
            self._streams.clear()

    def expire(self, now: float) -> None:
        """Forget what is too old to be believed, to give the memory back."""
        for extent in list(self._extents):
            if now - extent.fetched_at > self.believe_s:
                self._remove(extent)
