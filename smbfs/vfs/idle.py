"""Handles that nobody uses and that stay open for a while, as the server's lease allows.

Who opens such a file again asks the server nothing.  Each holds its inode, so that the kernel's
forgetting does not lose it; there are only so many, and none is older than `closetimeo=`.

Easily broken: a handle keeps a name on the server as long as it is open, so before a name goes or
changes by our own doing its idle handles are closed, and those of all beneath it.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import trio

from smbfs.engine.handle import USABLE, Handle
from smbfs.vfs.inode import Inode

if TYPE_CHECKING:
    from smbfs.vfs.openfile import File

MOST = 1024  # handles; servers have room for some ten thousand
NEEDS_ITS_OWN = os.O_TRUNC | os.O_DIRECT | os.O_SYNC | os.O_DSYNC


@dataclass(slots=True, eq=False)
class Idle:
    """One handle for reading that nobody uses."""

    number: int
    file: File
    handle: Handle
    known_id: int
    until_s: float


class IdleHandles:
    """All of one mount, the one that ends first in front."""

    def __init__(self, keep_s: float, most: int = MOST) -> None:
        self._keep_s = keep_s
        self._most = most
        self._all: OrderedDict[int, Idle] = OrderedDict()
        self._numbers = count()
        self._some = trio.Event()

    def __len__(self) -> int:
        return len(self._all)

    def may_keep(self, file: File, handle: Handle) -> bool:
        """Whether a handle for reading may stay open when its user closes it."""
        lease = file.lease
        if self._keep_s <= 0 or lease is None or not (lease.may_read and lease.may_keep_handle):
            return False
        if handle.state not in USABLE or handle.grant is None or handle.grant.is_oplock:
            return False
        return bool(file.inode.places) and file.idle is None and not file.inode.is_unlinked

    def keep(self, file: File, handle: Handle, known_id: int) -> None:
        """Keep a handle that nobody uses now."""
        until_s = trio.current_time() + self._keep_s
        kept = Idle(next(self._numbers), file, handle, known_id, until_s)
        file.idle = kept
        file.ground.inodes.hold(file.inode)
        self._all[kept.number] = kept
        if len(self._all) > self._most:
            self._close(next(iter(self._all.values())))
        self._some.set()

    def take(self, file: File, flags: int) -> Idle | None:
        """A kept handle for who opens a file with these flags; it is in use from now on."""
        kept = file.idle
        if kept is None or flags & os.O_ACCMODE != os.O_RDONLY or flags & NEEDS_ITS_OWN:
            return None
        if kept.handle.state not in USABLE or kept.file.lease is None:
            self._close(kept)
            return None
        self._remove(kept)
        file.ground.inodes.let_go(file.inode)
        return kept

    def close_of(self, inode: Inode) -> None:
        """Close what is kept of one file."""
        for kept in [one for one in self._all.values() if one.file.inode is inode]:
            self._close(kept)

    def close_beneath(self, inode: Inode) -> None:
        """Close what is kept of a file or of anything beneath a directory."""
        for kept in [one for one in self._all.values() if one.file.inode.is_below(inode)]:
            self._close(kept)

    def close_all(self) -> None:
        """Close everything, and keep nothing from now on."""
        self._keep_s = 0
        for kept in list(self._all.values()):
            self._close(kept)

    async def tidy(self) -> None:
        """Close each when its time is over; runs as long as the mount."""
        while True:
            while not self._all:
                self._some = trio.Event()
                await self._some.wait()
            first = next(iter(self._all.values()))
            await trio.sleep_until(first.until_s)
            for kept in list(self._all.values()):
                if kept.until_s <= trio.current_time():
                    self._close(kept)

    def _remove(self, kept: Idle) -> None:
        del self._all[kept.number]
        kept.file.idle = None

    def _close(self, kept: Idle) -> None:
        self._remove(kept)
        kept.handle.close_soon()
        kept.file.ended_if_unused()
        kept.file.ground.inodes.let_go(kept.file.inode)
