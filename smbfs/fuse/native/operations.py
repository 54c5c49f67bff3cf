"""The table of operations: what answers an opcode at once, what waits, how long, how it may end.

Knows no descriptor and no task; `smbfs.fuse.native.session` runs it.  An opcode that is not here
gets ENOSYS, which the kernel remembers for the whole mount: right for what no file here will ever
have (POLL, BMAP), wrong for anything else.

Easily broken: `Ending` says what an interrupt may do.  What changes the server is carried to its
end even if nobody waits for it any more, or it might be half done and be done again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from smbfs.fuse.native import directories, files, names
from smbfs.fuse.native.answers import DONE, Answer
from smbfs.fuse.native.uapi import Opcode
from smbfs.fuse.server import DATA_PATIENCE, Miss, Node, Request

if TYPE_CHECKING:
    from smbfs.vfs.filesystem import Filesystem

    Now = Callable[[Filesystem, Request, Node, memoryview], Answer | Miss]
    Wait = Callable[[Filesystem, Request, Node, memoryview], Awaitable[Answer]]


class Ending(Enum):
    """What becomes of an operation whose asker was interrupted."""

    WAITS = auto()  # it is given up for a signal that ends programs
    LOCKS = auto()  # it is given up for any signal: the kernel begins again where that is due
    CHANGES = auto()  # it goes on, but a process that is killed does not wait for it
    CLOSES = auto()  # as CHANGES; and a process that was killed does not wait at all
    NEVER = auto()  # nobody waits for it


class Patience(Enum):
    """How long an operation may take, as a multiple of ``timeout=``."""

    USUAL = 1.0
    DATA = float(DATA_PATIENCE)
    ENDLESS = float("inf")


@dataclass(frozen=True, slots=True)
class Operation:
    """How one opcode is answered."""

    now: Now | None = None
    wait: Wait | None = None
    ending: Ending = Ending.WAITS
    patience: Patience = Patience.USUAL
    has_reply: bool = True
    keeps_buffer: bool = False  # it goes on looking at the request where that was read
    changes_if: Callable[[memoryview], bool] | None = None  # it is CHANGES after all
    is_on_open: bool = False  # it works on what is open, for which leave was given


DATA, ENDLESS = Patience.DATA, Patience.ENDLESS


def _destroy_now(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    return DONE


def _waits(wait: Wait, now: Now | None = None) -> Operation:
    return Operation(now, wait)


def _changes(wait: Wait, patience: Patience = Patience.USUAL) -> Operation:
    return Operation(None, wait, Ending.CHANGES, patience)


def _moves(wait: Wait, now: Now | None = None, ending: Ending = Ending.WAITS) -> Operation:
    """What moves the data of an open file."""
    return Operation(now, wait, ending, DATA, is_on_open=True)


def _on_directory(wait: Wait, now: Now | None = None, ending: Ending = Ending.WAITS) -> Operation:
    """What is about an open directory."""
    return Operation(now, wait, ending, is_on_open=True)


OPERATIONS: dict[int, Operation] = {
    # Names
    Opcode.LOOKUP: _waits(names.lookup, names.lookup_now),
    Opcode.FORGET: Operation(names.forget_now, has_reply=False, is_on_open=True),
    Opcode.BATCH_FORGET: Operation(names.batch_forget_now, has_reply=False, is_on_open=True),
    Opcode.READLINK: _waits(names.readlink),
    Opcode.SYMLINK: _changes(names.symlink),
    Opcode.MKNOD: _changes(names.mknod),
    Opcode.MKDIR: _changes(names.mkdir),
    Opcode.UNLINK: _changes(names.unlink),
    Opcode.RMDIR: _changes(names.rmdir),
    Opcode.RENAME: _changes(names.rename),
    Opcode.RENAME2: _changes(names.rename2),
    Opcode.LINK: _changes(names.link),
    # Attributes
    Opcode.GETATTR: _waits(names.getattr, names.getattr_now),
    Opcode.STATX: _waits(names.statx, names.statx_now),
    Opcode.SETATTR: _changes(names.setattr, DATA),
    Opcode.ACCESS: _waits(names.access),
    Opcode.STATFS: _waits(names.statfs),
    Opcode.GETXATTR: _waits(names.getxattr, names.getxattr_now),
    Opcode.LISTXATTR: _waits(names.listxattr),
    Opcode.SETXATTR: _changes(names.setxattr),
    Opcode.REMOVEXATTR: _changes(names.removexattr),
    # Directories
    Opcode.OPENDIR: _waits(directories.opendir),
    Opcode.READDIR: _on_directory(directories.readdir, directories.readdir_now),
    Opcode.READDIRPLUS: _on_directory(directories.readdirplus, directories.readdirplus_now),
    Opcode.RELEASEDIR: _on_directory(directories.releasedir, None, Ending.NEVER),
    Opcode.FSYNCDIR: _on_directory(directories.fsyncdir),
    # Files
    Opcode.OPEN: Operation(None, files.open_, patience=DATA, changes_if=files.changes_by_opening),
    Opcode.CREATE: _changes(files.create),
    Opcode.TMPFILE: _changes(files.tmpfile),
    Opcode.READ: _moves(files.read, files.read_now),
    Opcode.WRITE: Operation(
        files.write_now, files.write, Ending.CHANGES, DATA, keeps_buffer=True, is_on_open=True
    ),
    Opcode.FLUSH: _moves(files.flush, files.flush_now, Ending.CLOSES),
    Opcode.RELEASE: _moves(files.release, files.release_now, Ending.NEVER),
    Opcode.FSYNC: _moves(files.fsync),
    Opcode.SYNCFS: _moves(files.syncfs),
    Opcode.FALLOCATE: _moves(files.fallocate, None, Ending.CHANGES),
    Opcode.LSEEK: _moves(files.lseek, files.lseek_now),
    Opcode.COPY_FILE_RANGE: _moves(files.copy, None, Ending.CHANGES),
    Opcode.COPY_FILE_RANGE_64: _moves(files.copy_64, None, Ending.CHANGES),
    Opcode.GETLK: _moves(files.getlk),
    Opcode.SETLK: _moves(files.setlk),
    Opcode.SETLKW: Operation(None, files.setlkw, Ending.LOCKS, ENDLESS, is_on_open=True),
    Opcode.IOCTL: _changes(files.ioctl),
    # The mount
    Opcode.DESTROY: Operation(_destroy_now, is_on_open=True),
}
