"""A line to a server: a relay on loopback that counts what passes, and may be long or slow.

``delay_s`` is how long each byte is on its way, in either direction; ``rate`` how many bytes a
second come through.  Knows sockets, not what they carry.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import time

from tests.relay import Relay

CHUNK = 65536
SLOW_CHUNK = 16384
Bits = tuple[float, bytes]  # when it arrives, and what


class Line(Relay):
    """A relay that may be long or slow, and counts."""

    def __init__(self, port: int, *, delay_s: float = 0.0, rate: float = 0.0) -> None:
        super().__init__(port)
        self.sent = 0  # bytes to the server
        self.received = 0
        self._delay_s = delay_s
        self._rate = rate

    @property
    def passed(self) -> int:
        """Bytes in both directions so far."""
        return self.sent + self.received

    def cut(self) -> int:
        """End every connection that is there; how many bytes had been passed."""
        self._cut()
        return self.passed

    def _joined(self, client: socket.socket, server: socket.socket) -> None:
        for one in (client, server):
            if self._rate:  # or the kernel would take it all at once
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * SLOW_CHUNK)
        self._connect(client, server, is_sent=True)
        self._connect(server, client, is_sent=False)

    def _connect(self, source: socket.socket, target: socket.socket, *, is_sent: bool) -> None:
        on_its_way: queue.Queue[Bits | None] = queue.Queue(maxsize=64 if self._rate else 0)
        self.spawn(self._take, source, on_its_way, is_sent)
        self.spawn(self._give, target, on_its_way)

    def _take(
        self, source: socket.socket, on_its_way: queue.Queue[Bits | None], is_sent: bool
    ) -> None:
        size = SLOW_CHUNK if self._rate else CHUNK
        with contextlib.suppress(OSError):
            while data := source.recv(size):
                if is_sent:
                    self.sent += len(data)
                else:
                    self.received += len(data)
                on_its_way.put((time.monotonic() + self._delay_s, data))
                if self._rate:
                    time.sleep(len(data) / self._rate)
        on_its_way.put(None)

    def _give(self, target: socket.socket, on_its_way: queue.Queue[Bits | None]) -> None:
        with contextlib.suppress(OSError):
            while (bits := on_its_way.get()) is not None:
                arrives, data = bits
                time.sleep(max(0.0, arrives - time.monotonic()))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
