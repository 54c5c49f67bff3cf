"""Something that is done by a task of the mount, to its end, for a caller who may leave.

Easily broken: a caller who was cancelled learns of it a moment later, and the errand may end in
between; its result is the caller's then, or it would be nobody's.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import trio

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Errand(Generic[T]):
    """Something done alone, and who waits for it."""

    done: trio.Event = field(default_factory=trio.Event)
    results: list[T] = field(default_factory=list)
    error: Exception | None = None
    is_awaited: bool = True

    async def carry(
        self, work: Callable[[], Awaitable[T]], undo: Callable[[T], None] | None = None
    ) -> None:
        """Do it, and keep what comes of it; what nobody waits for any more is given to ``undo``.

        Its owner then sets ``done``.
        """
        self.error = OSError(errno.EIO, "it was given up: the mount is ending")
        try:
            result = await work()
            self.error = None
            self.results.append(result)
            if not self.is_awaited and undo is not None:
                undo(result)
        except Exception as failure:
            self.error = failure

    async def outcome(self) -> T:
        """Wait for what comes of it; whoever is cancelled first leaves it alone."""
        try:
            await self.done.wait()
        except trio.Cancelled:
            # It may have ended since the cancellation: with a result that is meant for somebody.
            if not self.done.is_set():
                self.is_awaited = False
                raise
        if self.error is not None:
            raise self.error
        return self.results[0]
