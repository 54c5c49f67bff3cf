"""What programs wrote to one file and the server has not confirmed yet.

Pure: it joins neighbours, lets a new byte take the place of an old one that was not sent, and says
which piece may go out next; sending is the caller's.  Pieces that wait never overlap each other.

Easily broken: a piece never overtakes one under way that it overlaps, or an old byte would win;
who waits for a write waits for whatever took its place (`DirtyPiece.first`); and the first error
stays until the file is closed by all, so that write, fsync and close can each tell it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

Data = bytes | bytearray | memoryview
W = TypeVar("W")

SMALL_BYTES = 64 * 1024  # writes below this are copied together: a part costs more than a copy
OVERHEAD_BYTES = 512  # what a piece takes in memory besides its bytes
SPARE_AGES = 64  # outdated ones that are kept at most, besides as many as there are pieces


@dataclass(slots=True, eq=False)
class DirtyPiece(Generic[W]):
    """Contiguous bytes to be sent by one writer."""

    writer: W
    offset: int
    size: int
    parts: list[Data]
    first: int  # number of the oldest write that is not confirmed before this piece is
    room: int = 0  # bytes of room it holds
    is_waiting: bool = True  # neither sent nor replaced by newer bytes
    is_through: bool = False  # its caller waits for it, and hears its error himself
    error: Exception | None = None
    done: object = None  # the shell's way of waking who waits for it
    rider: object = None  # what the shell is to do right behind it

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.size

    def overlaps(self, offset: int, end: int) -> bool:
        """Whether it shares a byte with a range."""
        return self.offset < end and offset < self.end

    def append(self, data: Data) -> None:
        """Grow by bytes that follow the last one."""
        last = self.parts[-1]
        if len(data) >= SMALL_BYTES:
            self.parts.append(data)
        elif isinstance(last, bytearray):
            last += data
        else:
            self.parts.append(bytearray(data))
        self.size += len(data)

    def patch(self, offset: int, data: Data) -> None:
        """Put new bytes over some that are in it."""
        if len(self.parts) > 1 or not isinstance(self.parts[0], bytearray):
            self.parts = [bytearray().join(self.parts)]
        at = offset - self.offset
        whole = self.parts[0]
        assert isinstance(whole, bytearray)
        whole[at : at + len(data)] = data

    def cut(self, start: int, end: int) -> list[Data]:
        """The bytes of a range of it, which must not be empty."""
        found: list[Data] = []
        at = self.offset
        for part in self.parts:
            low, high = max(start - at, 0), min(end - at, len(part))
            if low < high:
                found.append(_kept(part, low, high))
            at += len(part)
        return found


def _kept(part: Data, low: int, high: int) -> Data:
    """Some bytes of a part; a small rest is copied, or it would keep the whole in memory."""
    if isinstance(part, bytearray) or (high - low) * 2 < len(part):
        return bytes(memoryview(part)[low:high])
    return memoryview(part)[low:high]


def room_for(size: int) -> int:
    """How much room a write takes before it is known what it can be joined to."""
    return size + OVERHEAD_BYTES


@dataclass(slots=True)
class Dirty(Generic[W]):
    """The unconfirmed writes of one file.

    ``give`` is called with the bytes of room that are not needed any more.
    """

    piece_bytes: int
    give: Callable[[int], None]
    error: Exception | None = None
    serial: int = 0  # number of the latest write
    room: int = 0  # that all pieces hold together
    under_way: list[DirtyPiece[W]] = field(default_factory=list)
    _waiting: list[DirtyPiece[W]] = field(default_factory=list)  # by offset
    _ages: list[tuple[int, int, DirtyPiece[W]]] = field(default_factory=list)  # heap, some outdated
    _ties: count[int] = field(default_factory=count)
    _latest: DirtyPiece[W] | None = None
    _lost: list[tuple[int, int]] = field(default_factory=list)  # ranges; no more is written then

    def __bool__(self) -> bool:
        return bool(self.under_way or self._waiting)

    @property
    def end(self) -> int:
        """How long the file is at least once everything is sent; 0 if nothing waits."""
        last = self._waiting[-1].end if self._waiting else 0
        return max([last, *(piece.end for piece in self.under_way)])

    @property
    def pieces(self) -> list[DirtyPiece[W]]:
        """Everything that is not confirmed, in the file's order."""
        return sorted([*self.under_way, *self._waiting], key=_offset_of)

    # Writing

    def add(self, writer: W, offset: int, data: Data) -> None:
        """Keep one write, of at least a byte; the caller has taken `room_for` it."""
        self.serial += 1
        room, end = room_for(len(data)), offset + len(data)
        self.room += room
        low, high = self._range(offset, end)
        if high - low == 1:
            piece = self._waiting[low]
            if piece.writer is writer and piece.offset <= offset and end <= piece.end:
                piece.patch(offset, data)
                self._latest = piece
                self._give(room)
                return
        first = min([self.serial, *(piece.first for piece in self._waiting[low:high])])
        self._clear(low, high, offset, end)
        before = self._waiting[low - 1] if (low := self._index(offset)) else None
        if (
            before is not None
            and before.writer is writer
            and before.end == offset
            and before.size + len(data) <= self.piece_bytes
        ):
            before.append(data)
            before.room += len(data)
            self._give(OVERHEAD_BYTES)
            if first < before.first:
                before.first = first
                self._age(before)
            self._latest = before
            return
        parts: list[Data] = [data if len(data) >= SMALL_BYTES else bytearray(data)]
        self._latest = DirtyPiece(writer, offset, len(data), parts, first, room)
        self._insert(self._latest)

    def through(self, writer: W, offset: int, data: Data) -> DirtyPiece[W]:
        """Note a write that goes out at once; nothing unconfirmed may overlap it."""
        self.serial += 1
        piece = DirtyPiece(writer, offset, len(data), [data], self.serial, is_through=True)
        piece.is_waiting = False
        self.under_way.append(piece)
        return piece

    def _index(self, offset: int) -> int:
        """How many waiting pieces begin before a place or right there."""
        return bisect_right(self._waiting, offset, key=_offset_of)

    def _range(self, offset: int, end: int) -> tuple[int, int]:
        """Which waiting pieces share a byte with a range: from, to."""
        low = self._index(offset)
        if low and self._waiting[low - 1].end > offset:
            low -= 1
        return low, max(low, self._index(end - 1))

    def _clear(self, low: int, high: int, offset: int, end: int) -> None:
        """Take a range out of the waiting pieces that overlap it: newer bytes are coming."""
        replaced = self._waiting[low:high]
        del self._waiting[low:high]
        for piece in replaced:
            piece.is_waiting = False
            rests = [(piece.offset, min(piece.end, offset)), (max(piece.offset, end), piece.end)]
            overhead = piece.room - piece.size
            for start, stop in rests:
                if start < stop:
                    size, parts = stop - start, piece.cut(start, stop)
                    # The second rest of one piece goes without overhead: none was taken for it.
                    room, overhead = size + overhead, 0
                    self._insert(DirtyPiece(piece.writer, start, size, parts, piece.first, room))
                    piece.room -= room
            piece.parts.clear()  # it may lie among the ages for a while
            self._give(piece.room)

    def _insert(self, piece: DirtyPiece[W]) -> None:
        self._waiting.insert(self._index(piece.offset), piece)
        self._age(piece)

    def _age(self, piece: DirtyPiece[W]) -> None:
        if len(self._ages) > 2 * len(self._waiting) + SPARE_AGES:
            self._ages = [(one.first, next(self._ties), one) for one in self._waiting]
            heapify(self._ages)
        heappush(self._ages, (piece.first, next(self._ties), piece))

    def _give(self, room: int) -> None:
        self.room -= room
        self.give(room)

    # Sending

    def next_piece(self, least: int = 0) -> DirtyPiece[W] | None:
        """The oldest piece if it may be sent now, marked as under way; None if it may not.

        The piece that was written to last is held back while it has fewer than ``least`` bytes.
        """
        piece = self._oldest()
        if piece is None:
            return None
        if piece is self._latest and piece.size < least:
            return None
        if any(earlier.overlaps(piece.offset, piece.end) for earlier in self.under_way):
            return None
        del self._waiting[self._index(piece.offset) - 1]
        piece.is_waiting = False
        self.under_way.append(piece)
        return piece

    def _oldest(self) -> DirtyPiece[W] | None:
        while self._ages:
            first, _, piece = self._ages[0]
            if piece.is_waiting and piece.first == first:
                return piece
            heappop(self._ages)
        return None

    def only_piece(self, most: int) -> DirtyPiece[W] | None:
        """The one piece that there is, if it waits and has no more bytes than that."""
        if self.under_way or len(self._waiting) != 1 or self._waiting[0].size > most:
            return None
        return self._waiting[0]

    def done(self, piece: DirtyPiece[W]) -> None:
        """Forget a piece that the server has confirmed."""
        self.under_way.remove(piece)
        self._give(piece.room)

    def failed(self, piece: DirtyPiece[W], error: Exception) -> None:
        """Forget a piece that is lost; the first error that no caller hears himself stays."""
        piece.error = error
        if not piece.is_through:
            self.lost(error)
            self._lost.append((piece.offset, piece.end))
        self.done(piece)

    def lost(self, error: Exception) -> None:
        """Keep the first error."""
        if self.error is None:
            self.error = error

    def has_lost(self, offset: int, size: int) -> bool:
        """Whether a range holds bytes that were taken and are lost."""
        return any(low < offset + size and offset < high for low, high in self._lost)

    # Waiting

    def is_confirmed(self, serial: int) -> bool:
        """Whether every write up to a number was confirmed or has failed."""
        oldest = self._oldest()
        return (oldest is None or oldest.first > serial) and all(
            piece.first > serial for piece in self.under_way
        )

    def is_clear(self, offset: int, end: int, serial: int) -> bool:
        """Whether no write up to a number is unconfirmed within a range."""
        low, high = self._range(offset, end)
        return all(piece.first > serial for piece in self._waiting[low:high]) and not any(
            piece.first <= serial and piece.overlaps(offset, end) for piece in self.under_way
        )

    def touches(self, offset: int, size: int) -> bool:
        """Whether a range holds bytes that are not confirmed."""
        return not self.is_clear(offset, offset + size, self.serial)


def _offset_of(piece: DirtyPiece[W]) -> int:
    return piece.offset
