"""Notices to the kernel, as messages on its descriptor.

Used by the thread of `smbfs.fuse.notices` only: a write here may wait until a request in flight
is answered, which the event loop has to do.  ENOENT means that the kernel holds no such thing.
"""

from __future__ import annotations

import ctypes
import os
import struct

from smbfs.fuse.native.replies import (
    DeleteOut,
    InvalEntryOut,
    InvalInodeOut,
    OutHeader,
    StoreOut,
)
from smbfs.fuse.native.uapi import EXPIRE_ONLY, OUT_HEADER, InitFlag, Notify
from smbfs.fuse.server import Node
from smbfs.wire.codec import Blob

HEADER = struct.Struct("=" + OutHeader.LAYOUT)
CLONE_FILES = 0x400  # of unshare(2); needs no privilege
TO_THE_END = 0  # as a length
NO_DATA = -1  # as an offset: the attributes only


class NoticeWriter:
    """A `smbfs.fuse.notices.Writer` on one descriptor; ``flags`` are what INIT agreed on."""

    def __init__(self, fd: int, flags: int) -> None:
        self._fd = fd
        self._expires = EXPIRE_ONLY if flags & InitFlag.HAS_EXPIRE_ONLY else 0

    def alone(self) -> None:
        """Give the calling thread a table of descriptors of its own, with this one alone.

        A thread that is stuck in the kernel would keep all others open, and with them sockets and
        the pipe by whose end the guardian knows of our death.  Nor can the number be another
        file's in it, whatever the rest of the program closes and opens.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_FILES) == 0:
            os.closerange(0, self._fd)
            os.closerange(self._fd + 1, os.sysconf("SC_OPEN_MAX"))

    def drop_attributes(self, node: Node) -> None:
        """Have attributes forgotten; never waits."""
        self._write(Notify.INVAL_INODE, bytes(InvalInodeOut(ino=node, off=NO_DATA, len=0)))

    def drop_data(self, node: Node, offset: int, size: int) -> None:
        """Have cached data forgotten; a negative size means to the end."""
        length = TO_THE_END if size < 0 else size
        self._write(Notify.INVAL_INODE, bytes(InvalInodeOut(ino=node, off=offset, len=length)))

    def expire_name(self, parent: Node, name: bytes) -> None:
        """Have a name looked up again; what is mounted beneath it stays where the kernel can."""
        head = InvalEntryOut(parent=parent, namelen=len(name), flags=self._expires)
        self._write(Notify.INVAL_ENTRY, bytes(head), name, b"\0")

    def release_name(self, parent: Node, name: bytes) -> None:
        """Have a name forgotten, and what it leads to, unless that is in use."""
        head = InvalEntryOut(parent=parent, namelen=len(name), flags=0)
        self._write(Notify.INVAL_ENTRY, bytes(head), name, b"\0")

    def remove_name(self, parent: Node, name: bytes, node: Node) -> None:
        """Have a name forgotten, and its watchers told."""
        head = DeleteOut(parent=parent, child=node, namelen=len(name))
        self._write(Notify.DELETE, bytes(head), name, b"\0")

    def store(self, node: Node, offset: int, data: bytes) -> None:
        """Put bytes into the cache."""
        head = StoreOut(nodeid=node, offset=offset, size=len(data))
        self._write(Notify.STORE, bytes(head), data)

    def _write(self, code: Notify, *parts: Blob) -> None:
        size = OUT_HEADER + sum(map(len, parts))
        os.writev(self._fd, (HEADER.pack(size, code, 0), *parts))
