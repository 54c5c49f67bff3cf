"""Waiting for room in memory: first come, first served.

Easily broken: room that was granted to a caller who was cancelled meanwhile is given back, or it
would be lost for ever; and who asks for more than there is at all gets it once nobody else holds
any, or he would wait for ever.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import trio

from smbfs.cache.budget import Budget


@dataclass(slots=True, eq=False)
class _Ticket:
    size: int
    granted: trio.Event = field(default_factory=trio.Event)


class Room:
    """A budget that can be waited for."""

    def __init__(self, limit_bytes: int) -> None:
        self.budget = Budget(limit_bytes)
        self._waiting: deque[_Ticket] = deque()

    async def take(self, size: int) -> None:
        """Take so many bytes as soon as they are free and nobody waits longer."""
        if self.take_now(size):
            return
        ticket = _Ticket(size)
        self._waiting.append(ticket)
        try:
            await ticket.granted.wait()
        except BaseException:
            if ticket.granted.is_set():
                self.give(size)
            else:
                self._waiting.remove(ticket)
                self._serve()
            raise

    def take_now(self, size: int) -> bool:
        """Take so many bytes if they are free and nobody waits; whether they were taken."""
        if self._waiting or not self._fits(size):
            return False
        self.budget.take(size)
        return True

    def give(self, size: int) -> None:
        """Give bytes back, and let those go on who waited for them."""
        self.budget.give(size)
        self._serve()

    def _fits(self, size: int) -> bool:
        return size <= self.budget.room_bytes or not self.budget.used_bytes

    def _serve(self) -> None:
        while self._waiting and self._fits(self._waiting[0].size):
            ticket = self._waiting.popleft()
            self.budget.take(ticket.size)
            ticket.granted.set()
