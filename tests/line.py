"""A line to a server: a relay on loopback that counts what passes, and may be long or slow.

``delay_s`` is how long each byte is on its way, in either direction; ``rate`` how many bytes a
second come through.  Knows sockets, not what they carry.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from types import TracebackType
from typing import Self

CHUNK = 65536
SLOW_CHUNK = 16384
Bits = tuple[float, bytes]  # when it arrives, and what


class Line:
    """A relay to a port of this machine while in a ``with``."""

    def __init__(self, port: int, *, delay_s: float = 0.0, rate: float = 0.0) -> None:
        self.port = 0  # where it begins
        self.sent = 0  # bytes to the server
        self.received = 0
        self._to = port
        self._delay_s = delay_s
        self._rate = rate
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []

    @property
    def passed(self) -> int:
        """Bytes in both directions so far."""
        return self.sent + self.received

    def __enter__(self) -> Self:
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            end.close()

    def cut(self) -> int:
        """End every connection that is there, at both ends; how many bytes had been passed.

        New ones are taken still.
        """
        ends, self._ends = self._ends, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        return self.passed

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    if self._rate:  # or the kernel would take it all at once
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * SLOW_CHUNK)
                self._ends += [client, server]
                self._connect(client, server, is_sent=True)
                self._connect(server, client, is_sent=False)

    def _connect(self, source: socket.socket, target: socket.socket, *, is_sent: bool) -> None:
        on_its_way: queue.Queue[Bits | None] = queue.Queue(maxsize=64 if self._rate else 0)
        for work, arguments in (
            (self._take, (source, on_its_way, is_sent)),
            (self._give, (target, on_its_way)),
        ):
            threading.Thread(target=work, args=arguments, daemon=True).start()

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
