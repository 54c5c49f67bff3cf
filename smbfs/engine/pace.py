"""How much one READ or WRITE should carry: as much as the line brings in a moment, and no more.

Pure.  On a slow line a request of 1 MiB takes seconds, in which nothing else gets through and
Ctrl-C is the only way out; on a fast one small requests are a waste.  So each answer says how long
its bytes took, and the size of the next ones is doubled or halved.

Easily broken: the way to the server and back is no fault of the size.  While answers follow each
other only the time between them counts; for the first one, what is beyond the shortest round trip
that was ever seen.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST = 64 * 1024  # one credit; on every dialect the most that costs one
LARGEST = 8 << 20  # more than any server lets one carry
SLOW_S = 0.25  # a request whose bytes take longer is too large
FAST_S = 0.06  # twice as much would still be fast enough


@dataclass(slots=True)
class Pace:
    """The size of the requests in one direction of one connection, in bytes."""

    size: int = LARGEST  # of the next request, at most
    round_trip_s: float = float("inf")  # the shortest so far, of whatever was asked
    _last_s: float = 0.0  # when the answer before was here

    def within(self, limit: int) -> int:
        """How much the next request should carry, of what the server allows."""
        self.size = min(self.size, limit)
        return self.size

    def answered(self, size: int, sent_s: float, now_s: float) -> None:
        """Note that a request with so many bytes, sent then, has its answer now."""
        self.round_trip_s = min(self.round_trip_s, now_s - sent_s)
        follows = sent_s < self._last_s
        took_s = now_s - self._last_s if follows else now_s - sent_s - self.round_trip_s
        self._last_s = now_s
        if size * 2 <= self.size:
            return  # it tells nothing of larger ones
        if took_s > SLOW_S:
            self.size = max(LEAST, min(self.size, size) // 2)
        elif took_s < FAST_S and follows:
            self.size = min(LARGEST, self.size * 2)
