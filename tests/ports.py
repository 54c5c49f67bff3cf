"""TCP ports for servers that are killed and come back: nobody else gets one meanwhile.

The number that bind(0) gives is free at this moment only: the kernel gives it to the next outgoing
connection, or to the tests' next process, while our server is down.  So these lie below the
kernel's own range, and who holds one says so by the name of a socket, which ends with its process.

Linux only, the standard library only; the private Samba and the demo stand on it.
"""

from __future__ import annotations

import contextlib
import random
import socket

HOST = "127.0.0.1"
PORTS = range(20_000, 30_000)  # the kernel's own begin at 32768, ip_local_port_range
CHANCE = random.SystemRandom()  # Hypothesis seeds the usual one


class Port:
    """A free TCP port of the loopback address, ours until `release`."""

    def __init__(self) -> None:
        for number in CHANCE.sample(PORTS, 200):
            self._claim = socket.socket(socket.AF_UNIX)
            with contextlib.suppress(OSError):
                self._claim.bind(f"\0smbfs-tests-port-{number}")
                if is_free(number):
                    self.number = number
                    return
            self._claim.close()
        raise OSError("no free port was found")

    def release(self) -> None:
        """Let others have it."""
        self._claim.close()


def is_free(number: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind((HOST, number))
        except OSError:
            return False
        return True
