"""Megabytes over a slow line take longer than `timeout=`, and that is no reason to cut them."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.mounted import MountedShare
from tests.samba import Place, Samba

pytestmark = pytest.mark.usefixtures("transport")
CHUNK, PAUSE_S = 16384, 0.02  # some 800 KB/s
SIZE = 1_500_000


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes, slowly."""
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
            time.sleep(PAUSE_S * len(data) / CHUNK)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def line(samba: Samba) -> Iterator[int]:
    """The port of a slow line to the server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ends: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    server = socket.create_connection((samba.host, samba.port))
                    for one in (client, server):  # or the kernel would take it all at once
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * CHUNK)
                    ends.extend([client, server])
                    for pair in ((client, server), (server, client)):
                        threading.Thread(target=pump, args=pair, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    for end in ends:
        end.close()


def test_reads_and_writes_outlast_the_deadline(samba: Samba, share: Place, line: int) -> None:
    data = os.urandom(SIZE)
    with MountedShare(samba, "share", f"port={line}", "timeout=1") as mounted:
        started = time.monotonic()
        with (mounted.path / "file").open("wb") as file:
            file.write(data)
            os.fsync(file.fileno())
        assert time.monotonic() - started > 1
        started = time.monotonic()
        assert (mounted.path / "file").read_bytes() == data
        assert time.monotonic() - started > 1
    assert (share.path / "file").read_bytes() == data
