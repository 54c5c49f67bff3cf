"""Doing things to a file right behind its last bytes, so that both cost one turnaround.

Easily broken: the server may do what comes in two frames in any order, and a write that it does
last changes the times that were set; so they go in one chain, or one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smbfs.cache.dirty import Dirty, DirtyPiece
from smbfs.engine.handle import Handle
from smbfs.engine.steps import Step, write
from smbfs.errors import SmbError
from smbfs.vfs.linger import FEW_BYTES


@dataclass(slots=True, eq=False)
class Rider:
    """What is to be done right behind a piece."""

    steps: tuple[Step[Any], ...]
    results: list[Any] | None = None  # None while it is still to be done, or some of it


def riding(steps: tuple[Step[Any], ...], dirty: Dirty[Any]) -> Rider:
    """Have things done right behind the last bytes that wait, if those are few."""
    rider = Rider(steps)
    if steps and (piece := dirty.only_piece(FEW_BYTES)) is not None:
        piece.rider = rider
    return rider


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
