"""What we have sent and the other side has not taken yet, as the kernel counts it.

A slow line has a backlog that shrinks: it is alive although nothing comes back.  A server that is
frozen takes small requests all the same, for its kernel does; so only a backlog that was there
before and is less now says anything.
"""

from __future__ import annotations

import fcntl
import sys
import termios

import trio


class Backlog:
    """The backlog of one stream, looked at from time to time."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._left = 0  # bytes, at the last look
        self._sent = 0  # since then

    def sent(self, size: int) -> None:
        """Note that so many bytes were given to the kernel."""
        self._sent += size

    def shrinks(self) -> bool:
        """Whether some of what was left at the last look has been taken since."""
        left = self._now()
        is_shrinking = self._left > 0 and left < self._left + self._sent
        self._left, self._sent = left, 0
        return is_shrinking

    def _now(self) -> int:
        if not isinstance(self._stream, trio.SocketStream):
            return 0
        try:
            answer = fcntl.ioctl(self._stream.socket.fileno(), termios.TIOCOUTQ, bytes(4))
        except (OSError, ValueError):  # it is closed
            return 0
        return int.from_bytes(answer, sys.byteorder)
