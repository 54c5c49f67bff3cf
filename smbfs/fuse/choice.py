"""Which of the two kernel servers a mount gets.

Both have the same four verbs.  Easily broken: pyfuse3 is imported only where it is chosen, so that
a machine without libfuse can mount with the native one.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Protocol

from smbfs.fuse.native.attach import release
from smbfs.fuse.native.greeting import Wishes
from smbfs.fuse.native.server import Server as Native
from smbfs.vfs.filesystem import Filesystem

OLDEST_KERNEL = (5, 4)  # it speaks FUSE 7.31


class KernelServer(Protocol):
    """What a mount wants of the server between it and the kernel."""

    def attach(self, mountpoint: str, options: Sequence[str]) -> None:
        """Mount; raises OSError with a sentence if the kernel or fusermount3 refuses."""

    async def serve(self) -> None:
        """Answer the kernel until the mount is gone or `stop` is called; raises OSError."""

    def stop(self) -> None:
        """Make `serve` return once running requests are answered."""

    def detach(self, *, unmount: bool) -> None:
        """Close the kernel's descriptor, and unmount if that was not done yet."""


def server_for(
    transport: str, filesystem: Filesystem, timeout_s: float, wishes: Wishes
) -> KernelServer:
    """Make the server that ``transport=`` names.  Raises OSError if it cannot be had."""
    is_auto = transport == "auto"
    if transport == "native" or (is_auto and release() >= OLDEST_KERNEL):
        return Native(filesystem, timeout_s, wishes)
    try:
        from smbfs.fuse.pyfuse3_server import Server
    except ImportError as error:
        sentence = f"pyfuse3 is not installed, or libfuse 3 is missing ({error})"
        raise OSError(errno.ENOSYS, sentence) from error
    return Server(filesystem, timeout_s)
