"""One descriptor of an open file: what it was opened for, and its handle on the server.

Knows its file and asks nothing; what is shared by all descriptors of one file is
`smbfs.vfs.openfile`'s.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from smbfs.engine.handle import USABLE, Handle, HandleState
from smbfs.errors import ConnectionLost, Stale
from smbfs.fuse.server import FileHandle

if TYPE_CHECKING:
    from smbfs.vfs.openfile import File


@dataclass(slots=True, eq=False)
class Open:
    """One descriptor: its flags and its handle on the server."""

    fh: FileHandle
    file: File
    handle: Handle
    flags: int
    known_id: int  # of the file, as this handle told it; 0 if it has none

    @property
    def may_read(self) -> bool:
        """Whether it was opened for reading."""
        return self.flags & os.O_ACCMODE != os.O_WRONLY

    @property
    def may_write(self) -> bool:
        """Whether it was opened for writing."""
        return self.flags & os.O_ACCMODE != os.O_RDONLY

    @property
    def is_append(self) -> bool:
        """Whether every write goes to the end of the file."""
        return bool(self.flags & os.O_APPEND)

    @property
    def is_direct(self) -> bool:
        """Whether reads and writes go straight to the server."""
        return bool(self.flags & os.O_DIRECT)

    @property
    def is_synchronous(self) -> bool:
        """Whether a write returns only when the server has it on disk."""
        return bool(self.flags & (os.O_SYNC | os.O_DSYNC))

    def keeps_kernel_out(self, reads_exactly: bool) -> bool:
        """Whether the kernel shall cache nothing of what is read and written through it."""
        if self.is_direct or self.is_append:  # it takes an append's place from its idea of the size
            return True
        # Who changes records that he locks reads them like this: a page that holds others' as well
        # is refused by the server if somebody else has locked one of those.
        is_both = self.may_read and self.may_write
        return is_both and reads_exactly and self.file.ground.policy.locks

    @property
    def is_alive(self) -> bool:
        """Whether the server knows its handle, or may know it again."""
        return self.handle.state in USABLE or self.handle.may_come_back

    @property
    def is_here(self) -> bool:
        """Whether the server knows its handle now."""
        return self.handle.state in USABLE


def must_live(opened: Open) -> None:
    """Raise Stale or ConnectionLost if the server will never know its handle again."""
    if opened.handle.state is HandleState.STALE:
        raise Stale("the file was open when the connection was lost")
    if not opened.is_alive:
        raise ConnectionLost("the connection was lost while the file was open")
