"""Whether an interrupt is meant: what signals a process has, and what it does with them.

The kernel's INTERRUPT says only that *some* signal is pending.  A harmless one, such as the SIGURG
that Go programs send themselves all the time, must not end a call; Ctrl-C must, and whoever is
killed must be gone at once.  Knows /proc only.

Easily broken: what cannot be read is taken for meant, or a process in another namespace could
not be killed.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL)
# What does not end a process that did not say what to do about it.
STAYING = (
    signal.SIGCHLD,
    signal.SIGCONT,
    signal.SIGURG,
    signal.SIGWINCH,
    signal.SIGSTOP,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
)
NEEDED = (b"SigPnd", b"ShdPnd", b"SigBlk", b"SigIgn", b"SigCgt")
GONE = 0x4 | 0x400  # PF_EXITING and PF_SIGNALED in the flags of /proc/PID/stat


def _mask(signals: Iterable[signal.Signals]) -> int:
    return sum(1 << number - 1 for number in signals)


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of one thread, as bit masks in the kernel's order."""

    pending: int
    ignored: int
    caught: int

    @property
    def is_ending(self) -> bool:
        """Whether somebody wants the process to end, or to be asked about it."""
        return bool(self.pending & ~self.ignored & _mask(ENDING)) or self.is_fatal

    @property
    def is_fatal(self) -> bool:
        """Whether the process ends for certain, so that nobody will see the answer."""
        deadly = self.pending & ~self.ignored & ~self.caught & ~_mask(STAYING)
        return bool(self.pending & _mask([signal.SIGKILL]) or deadly)


MEANT = Signals(pending=_mask([signal.SIGKILL]), ignored=0, caught=0)


def signals_of(pid: int) -> Signals:
    """The signals of a thread by its number; `MEANT` if it cannot be known."""
    try:
        with open(f"/proc/{pid}/status", "rb") as status:
            lines = dict(line.split(b":", 1) for line in status if b":" in line)
        masks = {name: int(lines[name], 16) for name in NEEDED}
    except (OSError, KeyError, ValueError):
        return MEANT
    pending = (masks[b"SigPnd"] | masks[b"ShdPnd"]) & ~masks[b"SigBlk"]
    return Signals(pending, masks[b"SigIgn"], masks[b"SigCgt"])


def was_killed(pid: int) -> bool:
    """Whether a thread was killed and closes what it had open: nobody hears what close says.

    One that ends by itself waits: who goes on when it has ended counts on what it wrote.

    One that cannot be looked at is not taken for that: its close has to tell the truth.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        return int(fields[6]) & GONE == GONE
    except (OSError, ValueError, IndexError):
        return False
