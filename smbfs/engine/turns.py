"""Who waits for credits, and in which order: the queue of one connection.

First come, first served, the urgent before all others.  Whoever asks for more than the server
lets us own at all is passed over, or one such request would hold up everybody: a window may shrink
after a request was cut to it.  If it can be cut again, its caller is told to.

Knows costs and credits, not what is asked.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import trio

from smbfs.engine.credits import Credits
from smbfs.errors import SmbError


class WindowShrank(SmbError):
    """The server lets us ask less at a time than when this was cut; nothing of it was sent."""

    def __init__(self) -> None:
        super().__init__("the server lets us ask less at a time than before")


@dataclass(slots=True, eq=False)
class Turn:
    """One caller who waits."""

    cost: int
    urgent: bool
    cuttable: bool
    event: trio.Event = field(default_factory=trio.Event)
    has_credits: bool = False
    is_dear: bool = False  # it has to be cut


class Turns:
    """The callers who wait for credits."""

    def __init__(self, credits: Credits) -> None:
        self._credits = credits
        self._waiting: deque[Turn] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(
        self, cost: int, timeout_s: float, *, urgent: bool = False, cuttable: bool = False
    ) -> bool:
        """Wait until the credits are taken; False if it was for nothing.

        Raises WindowShrank, at once or later, if something ``cuttable`` costs more than there is.
        """
        turn = Turn(cost, urgent, cuttable)
        if cuttable and self._is_dear(turn):
            raise WindowShrank
        if urgent:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        is_ours = False
        try:
            with trio.move_on_after(timeout_s):
                await turn.event.wait()
            if turn.is_dear:
                raise WindowShrank
            is_ours = turn.has_credits
        finally:
            if not is_ours:
                self._leave(turn)
        return is_ours

    def _leave(self, turn: Turn) -> None:
        if turn.has_credits:
            self._credits.grant(turn.cost, turn.cost)  # taken, never sent
        elif not turn.event.is_set():
            self._waiting.remove(turn)

    def _is_dear(self, turn: Turn) -> bool:
        # One credit is never too much: who has none waits for one.
        return turn.cost > max(1, self._credits.window)

    def serve(self) -> None:
        """Let callers go, in their order, as far as the credits reach."""
        waiting = self._waiting
        passed_over: list[Turn] = []
        while waiting:
            turn = waiting[0]
            if self._is_dear(turn):
                waiting.popleft()
                if turn.cuttable:
                    turn.is_dear = True
                    turn.event.set()
                else:
                    passed_over.append(turn)
            elif self._credits.take_now(turn.cost, reserved=turn.urgent):
                waiting.popleft()
                turn.has_credits = True
                turn.event.set()
            else:
                break
        waiting.extendleft(reversed(passed_over))

    def end(self) -> None:
        """Let everybody go, without credits: there will be none any more."""
        while self._waiting:
            self._waiting.popleft().event.set()
