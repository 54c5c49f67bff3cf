"""Keeping the number of nodes bounded, however many files a program walks over.

What the kernel got to know it keeps until it is short of memory, and we must keep a node for each.
So once there are many, the kernel is asked to let go of those that came first and that nobody has
open; what it forgets is forgotten here.  While a listing keeps it too busy for that, it gets names
alone.

Easily broken: a name that is asked back while somebody has the file open is shown as deleted in
``/proc``, and one that something is mounted on loses that mount: so only closed files go, no
folder, and no file that the mount table of our own namespace names.  The kernel may have to wait
before it lets go: one batch is under way at a time.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from smbfs.fuse.server import Node

if TYPE_CHECKING:
    from smbfs.vfs.volume import Volume

MOST = 32_768  # nodes that are kept without asking any back: some 50 megabytes
BATCH = 1024  # asked back at a time


class Crowd:
    """Who asks the kernel of one mount to let go of files."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._is_asking = False

    @property
    def is_full(self) -> bool:
        """Whether the kernel should get to know names only, until it has let go of some files."""
        return len(self._volume.inodes) > MOST + 2 * BATCH

    def grew(self) -> None:
        """Have the kernel let go of some files if there are many; never waits."""
        inodes = self._volume.inodes
        if self._is_asking or len(inodes) <= MOST:
            return
        hidden = self._hidden()
        names = [
            (parent, name)
            for parent, name in inodes.idle_names(BATCH)
            if (parent, name) not in hidden
        ]
        if not names:
            return
        self._is_asking = True
        token = trio.lowlevel.current_trio_token()

        def asked() -> None:  # called by some thread
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._was_asked)

        self._volume.kernel.names_unneeded(names, asked)

    def _hidden(self) -> set[tuple[Node, bytes]]:
        """The names of files that something else is mounted on."""
        found = set()
        for names in self._volume.mounted_over():
            inode = self._volume.inodes.root
            for name in names:
                known = inode.children.get(name)
                if known is None:
                    break
                found.add((inode.node, name))
                inode = known.inode
        return found

    def _was_asked(self) -> None:
        self._is_asking = False
