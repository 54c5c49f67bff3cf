"""Doing things to a file right behind its last bytes, so that both cost one turnaround.

Easily broken: the server may do what comes in two frames in any order, and a write that it does
last changes the times that were set; so they go in one chain, or one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from smbfs.cache.dirty import DirtyPiece
from smbfs.engine.handle import Handle
from smbfs.engine.steps import Step, write
from smbfs.errors import SmbError
from smbfs.vfs.linger import FEW_BYTES

if TYPE_CHECKING:
    from smbfs.vfs.openfile import File


@dataclass(slots=True, eq=False)
class Rider:
    """What is to be done right behind a piece."""

    steps: tuple[Step[Any], ...]
    results: list[Any] | None = None  # None if it was not done, or not all of it


async def behind(file: File, *steps: Step[Any]) -> list[Any] | None:
    """Wait until all that was written is confirmed; do things right behind it, or not yet.

    What they answered; None if there was no chain to do them in, or one of them failed: they are
    still to be done then.  Raises the first error of a write.
    """
    rider = Rider(steps)
    if steps and (piece := file.dirty.only_piece(FEW_BYTES)) is not None:
        piece.rider = rider
    await file.sent()
    file.tell()
    return rider.results


async def written(handle: Handle, piece: DirtyPiece[Any]) -> None:
    """Send a piece, and what is to be done right behind it."""
    parts = [memoryview(part) for part in piece.parts]
    rider = piece.rider
    if isinstance(rider, Rider):
        outcomes = await handle.together(write(piece.offset, parts), *rider.steps)
        if outcomes is not None and outcomes[0] == piece.size:
            results = outcomes[1:]
            is_done = not any(isinstance(one, SmbError) for one in results)
            rider.results = results if is_done else None
            return
        # What went wrong with the bytes is told by a write alone: it may have been the chain.
    await handle.write(piece.offset, parts)
