"""A relay on loopback: it takes connections to a port, and makes one to a server for each.

What passes between the two is its subclasses' business, in threads that `spawn` starts.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

HOST = "127.0.0.1"
END_S = 5.0  # for a thread whose sockets are gone


class Relay:
    """A relay to a port of this machine while in a ``with``; connect to its `port`."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.spawn(self._accept)
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the relay and every connection through it."""
        _end(self._listener)
        self._cut()
        for thread in self._threads:
            thread.join(END_S)

    def _cut(self) -> None:
        """End every connection that is there, at both ends; new ones are taken still."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _end(end)

    def spawn(self, work: Callable[..., None], *arguments: object) -> None:
        """Do something in a thread that ends with the sockets it uses."""
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive() or not one.ident]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                if not self._takes(client):
                    continue
                try:
                    server = socket.create_connection((HOST, self._to))
                except OSError:
                    client.close()
                    continue
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._pairs = [pair for pair in self._pairs if pair[0].fileno() >= 0]
                    self._pairs.append((client, server))
                self._joined(client, server)

    def _takes(self, client: socket.socket) -> bool:
        """Whether a client is to be connected; who says no looks after it."""
        return True

    def _joined(self, client: socket.socket, server: socket.socket) -> None:
        """Have what comes from each end go to the other."""
        raise NotImplementedError


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for it
    one.close()
