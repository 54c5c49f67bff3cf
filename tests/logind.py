"""A message bus of our own in place of the system's, and a logind on it that tells of sleep."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import jeepney
import pytest
import trio
from jeepney.io.trio import DBusConnection, open_dbus_connection

from smbfs import sleep

CONFIG = """<busconfig>
  <type>system</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


@contextmanager
def private_bus(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A bus that nobody else is on; its address is in the environment meanwhile."""
    config, path = directory / "bus.conf", directory / "bus"
    config.write_text(CONFIG.format(path=path))
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as daemon,
        pytest.MonkeyPatch.context() as patch,
    ):
        assert daemon.stdout is not None
        address = daemon.stdout.readline().decode().strip()
        patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        yield daemon
        daemon.terminate()


class Logind:
    """Says that the machine goes to sleep and wakes up, and knows who holds it back."""

    def __init__(self, connection: DBusConnection, *, refuses: bool = False) -> None:
        self.connection = connection
        self.refuses = refuses
        self.asked: list[tuple[str, ...]] = []
        self.locks: list[int] = []  # our ends of pipes: at its end when the other one was closed

    async def serve(self) -> None:
        while True:
            message = await self.connection.receive()
            if message.header.message_type != jeepney.MessageType.method_call:
                continue
            self.asked.append(message.body)
            if self.refuses:
                reply = jeepney.new_error(message, "org.freedesktop.DBus.Error.AccessDenied")
                await self.connection.send(reply)
                continue
            ours, theirs = os.pipe()
            self.locks.append(ours)
            os.set_blocking(ours, False)
            await self.connection.send(jeepney.new_method_return(message, "h", (theirs,)))
            os.close(theirs)

    async def tell(self, begins: bool) -> None:
        await self.connection.send(jeepney.new_signal(sleep.LOGIND, sleep.SIGNAL, "b", (begins,)))

    def is_held_back(self) -> bool:
        """Whether somebody still holds the last lock."""
        if not self.locks:
            return False
        try:
            return os.read(self.locks[-1], 1) != b""
        except BlockingIOError:
            return True


@asynccontextmanager
async def logind(*, refuses: bool = False) -> AsyncIterator[Logind]:
    connection = await open_dbus_connection("SYSTEM", enable_fds=True)
    async with connection:
        made = Logind(connection, refuses=refuses)
        hello = jeepney.new_method_call(
            jeepney.message_bus, "RequestName", "su", (sleep.LOGIND.bus_name, 0)
        )
        await connection.send(hello)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.serve)
            yield made
            nursery.cancel_scope.cancel()
        for lock in made.locks:
            os.close(lock)


async def until(is_so: Callable[[], object]) -> None:
    for _ in range(1000):
        if is_so():
            return
        await trio.sleep(0.01)
    pytest.fail("it never became so")
