"""Asking by path while paths change: a rename of ours must not make another call fail.

The server does what we ask in its order, we hear of it in ours: a stat sent behind a rename finds
nothing at the old path although the file is there, under a name that we are about to learn.  So
"no such file" is an answer only if no rename of ours is under way and the path is still the same.

Knows no operation; only calls that changed nothing when they failed may be repeated by it.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from smbfs.errors import StatusError

T = TypeVar("T")


@dataclass(slots=True)
class Steadiness:
    """How many renames are under way."""

    under_way: int = 0
    ended: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)

    @asynccontextmanager
    async def renaming(self) -> AsyncIterator[None]:
        """Mark that paths change until the end of the block."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1
            if not self.under_way:
                self.ended.unpark_all()

    async def at(self, locate: Callable[[], str], do: Callable[[str], Awaitable[T]]) -> T:
        """Do something at a path, and again if it was not there only because it moved.

        ``locate`` names the path as known now, and raises OSError if there is none any more.
        """
        while True:
            path = locate()
            try:
                return await do(path)
            except StatusError as error:
                if error.errno != errno.ENOENT:
                    raise
                while self.under_way:
                    await self.ended.park()
                if locate() == path:
                    raise
