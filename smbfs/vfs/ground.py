"""What all open files of one mount stand on: the policy, the memory they share, who is idle.

Easily broken: what is read ahead and never read must be given up for those who do read, or one
file that nobody wants any more would keep all others slow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from smbfs.cache.budget import Budget
from smbfs.cache.dirty import Data
from smbfs.vfs.holes import Holes
from smbfs.vfs.idle import IdleHandles
from smbfs.vfs.inode import LONG_AGO
from smbfs.vfs.inodes import Inodes
from smbfs.vfs.leases import Leases
from smbfs.vfs.linger import Linger
from smbfs.vfs.policy import DataPolicy
from smbfs.vfs.room import Room

if TYPE_CHECKING:
    from smbfs.vfs.openfile import File

IDLE_S = 1.0  # what is read ahead is given up if nobody reads it for so long and others want room


class Ground:
    """What all files of one mount stand on."""

    def __init__(
        self,
        policy: DataPolicy,
        inodes: Inodes,
        nursery: trio.Nursery,
        holes: Holes,
        leases: Leases,
        idle: IdleHandles,
    ) -> None:
        half = policy.cache_bytes // 2
        self.policy = policy
        self.inodes = inodes
        self.nursery = nursery
        self.holes = holes
        self.leases = leases
        self.idle = idle
        self.read_budget = Budget(half)
        self.room = Room(half)  # for unsent writes
        self.linger = Linger(policy.linger_s)
        nursery.start_soon(self.linger.tidy)
        self.files: set[File] = set()
        self.on_lost: Callable[[str, int, int, Exception], None] = _untold
        self.on_unsent: Callable[[str, int, list[Data], Exception], None] | None = (
            None  # at the end
        )
        self._tidied_at_s = LONG_AGO
        self._ends_at_s = math.inf

    def ends(self) -> None:
        """Note that the mount is ending: nothing waits for longer than that may take."""
        self._ends_at_s = trio.current_time() + self.policy.patience_s

    @property
    def patience_s(self) -> float:
        """How long unsent bytes wait from now on for a server that is away."""
        left_s = self._ends_at_s - trio.current_time()
        return max(0.0, min(self.policy.patience_s, left_s))

    def make_room(self, reader: File, size: int) -> None:
        """Give up what was read ahead and is too old, or of a file that nobody reads any more."""
        now = trio.current_time()
        if self.read_budget.room_bytes >= size or now - self._tidied_at_s < IDLE_S / 10:
            return
        self._tidied_at_s = now
        for file in self.files:
            file.pages.expire(now)
            if file is not reader and now - file.read_at_s > IDLE_S:
                file.pages.shed()


def _untold(path: str, offset: int, size: int, error: Exception) -> None:
    """Tell nobody but the program that bytes were lost."""
