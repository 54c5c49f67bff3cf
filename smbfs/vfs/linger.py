"""Holding a file's first few bytes back for a moment, for what comes right behind them.

Programs that write small files set their times next, or close them, or write some more; all of
that then goes out with the bytes, in the same turnaround.  Nobody waits for the moment: whoever
wants the bytes on the server sends them at once (`File.until`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from smbfs.vfs.openfile import File

FEW_BYTES = 64 * 1024  # more than this is sent at once: it costs more than its turnaround


class Linger:
    """The files of one mount whose bytes are held back, the one that is due first in front."""

    def __init__(self, moment_s: float) -> None:
        self._moment_s = moment_s
        self._due: dict[File, float] = {}
        self._some = trio.Event()
        self.few = FEW_BYTES if moment_s > 0 else 0  # fewer bytes than this are held back

    def keep(self, file: File) -> None:
        """Have a file's bytes sent a moment from when they were first held back."""
        self._due.setdefault(file, trio.current_time() + self._moment_s)
        self._some.set()

    async def tidy(self) -> None:
        """Send what has been held back long enough; runs as long as the mount."""
        while True:
            while not self._due:
                self._some = trio.Event()
                await self._some.wait()
            file, due_s = next(iter(self._due.items()))
            await trio.sleep_until(due_s)
            del self._due[file]
            file.pump(at_once=True)
