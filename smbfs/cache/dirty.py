"""What programs wrote to one file and the server has not confirmed yet.

Pure: it keeps the order, joins neighbours and says which piece may go out next; sending is the
caller's.  Easily broken: a piece never overtakes an earlier one that it overlaps, whatever is
under way, or an old byte would win; and the first error stays until the file is closed by all,
so that write, fsync and close can each tell it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from smbfs.cache.budget import Budget

Data = bytes | memoryview
W = TypeVar("W")


@dataclass(slots=True, eq=False)
class DirtyPiece(Generic[W]):
    """Contiguous bytes to be sent by one WRITE through ``writer``."""

    writer: W
    offset: int
    size: int
    parts: list[Data]
    is_sent: bool = False

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.size

    def overlaps(self, offset: int, end: int) -> bool:
        """Whether it shares a byte with a range."""
        return self.offset < end and offset < self.end


@dataclass(slots=True)
class Dirty(Generic[W]):
    """The unconfirmed writes of one file, in the order they were made."""

    budget: Budget
    piece_bytes: int
    error: Exception | None = None
    pieces: list[DirtyPiece[W]] = field(default_factory=list)

    @property
    def end(self) -> int:
        """How long the file is at least once everything is sent; 0 if nothing waits."""
        return max((piece.end for piece in self.pieces), default=0)

    def add(self, writer: W, offset: int, data: Data) -> None:
        """Keep one write; it joins the last piece if it goes on where that ends."""
        size = len(data)
        self.budget.take(size)
        last = self.pieces[-1] if self.pieces else None
        if (
            last is not None
            and not last.is_sent
            and last.writer is writer
            and last.end == offset
            and last.size + size <= self.piece_bytes
        ):
            last.parts.append(data)
            last.size += size
            return
        self.pieces.append(DirtyPiece(writer, offset, size, [data]))

    def next_piece(self, *, only_full: bool) -> DirtyPiece[W] | None:
        """The next piece that may be sent now, marked as sent; None if there is none.

        With ``only_full`` the last piece is held back while it may still grow.
        """
        for index, piece in enumerate(self.pieces):
            if piece.is_sent:
                continue
            may_grow = index == len(self.pieces) - 1 and piece.size < self.piece_bytes
            if only_full and may_grow:
                return None
            if any(earlier.overlaps(piece.offset, piece.end) for earlier in self.pieces[:index]):
                return None
            piece.is_sent = True
            return piece
        return None

    def done(self, piece: DirtyPiece[W]) -> None:
        """Forget a piece that the server has confirmed."""
        self.pieces.remove(piece)
        self.budget.give(piece.size)

    def failed(self, piece: DirtyPiece[W], error: Exception) -> None:
        """Forget a piece that is lost; the first error stays."""
        if self.error is None:
            self.error = error
        self.done(piece)

    def touches(self, offset: int, size: int) -> bool:
        """Whether a range holds bytes that are not confirmed."""
        return any(piece.overlaps(offset, offset + size) for piece in self.pieces)

    @property
    def under_way(self) -> int:
        """How many pieces were sent and not confirmed."""
        return sum(piece.is_sent for piece in self.pieces)
