"""The relay counts what passes, and takes the time it was told to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.line import Line


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says everything twice."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(1 << 16):
                    connection.sendall(data * 2)

        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])


def exchange(port: int, data: bytes) -> bytes:
    """Say something and hear the answer to its end."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        heard = b""
        while more := sock.recv(1 << 16):
            heard += more
        return heard


def test_what_passes_is_counted(echo: int) -> None:
    with Line(echo) as line:
        assert exchange(line.port, b"abc" * 1000) == b"abc" * 2000
        assert (line.sent, line.received, line.passed) == (3000, 6000, 9000)


def test_a_long_line_takes_its_time(echo: int) -> None:
    with Line(echo, delay_s=0.1) as line:
        started = time.monotonic()
        assert exchange(line.port, b"x") == b"xx"
        assert time.monotonic() - started >= 0.2


def test_a_slow_line_takes_its_time_too(echo: int) -> None:
    with Line(echo, rate=200_000) as line:
        started = time.monotonic()
        assert len(exchange(line.port, b"x" * 50_000)) == 100_000
        assert time.monotonic() - started >= 0.4
