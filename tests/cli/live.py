"""A share mounted in the foreground, where signals and exit statuses can be seen."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

from tests.mounted import SMBFS, MountedShare

LIMIT_S = 30.0


class ForegroundShare(MountedShare):
    """``smbfs -f``: the process is our child."""

    process: subprocess.Popen[str]

    def mount(self, *switches: str) -> None:
        """Start it and wait until it is mounted and answers."""
        self.start(*switches)
        wait_until(lambda: "is mounted on" in self.log() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()
        self._watch(self.limit_s)

    def start(self, *switches: str) -> None:
        """Start it."""
        words = [*switches, self.service, str(self.path), "-o", ",".join(self.options)]
        with (self.home / "said").open("w") as said:
            self.process = subprocess.Popen(
                [str(SMBFS), "-f", *words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                text=True,
            )
        self.pid = self.process.pid

    def said(self) -> str:
        """What it printed."""
        return (self.home / "said").read_text()

    def ends_with(self, limit_s: float = LIMIT_S) -> int:
        """Its exit status."""
        return self.process.wait(limit_s)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait_for_end(self, seconds: float = LIMIT_S) -> None:
        """Wait for its end, and take it from the table of processes."""
        super().wait_for_end(seconds)
        self.process.wait(seconds)


def wait_until(is_so: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)
