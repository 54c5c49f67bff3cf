"""One mount served by ourselves: attach, serve, stop, detach; any number of them in a process.

Has the same four verbs as `smbfs.fuse.pyfuse3_server.Server`, so that a mount need not know which
of the two it has.  Easily broken: the descriptor is closed last and by `detach` alone, or notices
would be written into whatever has its number then.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smbfs.fuse.native.attach import attach, unmount
from smbfs.fuse.native.greeting import Wishes
from smbfs.fuse.native.notices import NoticeWriter
from smbfs.fuse.native.session import Session
from smbfs.fuse.native.uapi import InitFlag
from smbfs.fuse.notices import Notices
from smbfs.fuse.server import Deaf

if TYPE_CHECKING:
    from smbfs.vfs.filesystem import Filesystem

NOTICES_S, TRIES = 1.0, 20  # for the last notices


class Server:
    """One mount on a descriptor of its own."""

    def __init__(
        self, filesystem: Filesystem, timeout_s: float, wishes: Wishes | None = None
    ) -> None:
        self.session: Session | None = None
        self._filesystem = filesystem
        self._timeout_s = timeout_s
        self._wishes = wishes or Wishes()
        self._notices: Notices | None = None
        self._path = ""

    def attach(self, mountpoint: str, options: Sequence[str]) -> None:
        """Mount; raises OSError with a sentence if the kernel or fusermount3 refuses."""
        fd = attach(mountpoint, options)
        only = os.getuid() if "allow_root" in options else None
        self._path = mountpoint
        self.session = Session(fd, self._filesystem, self._timeout_s, self._wishes, only=only)
        # Whether names can be expired is known after INIT; one that cannot is looked up again
        # just the same, only what is mounted beneath it would go.
        self._notices = Notices(NoticeWriter(fd, InitFlag.HAS_EXPIRE_ONLY))
        self._filesystem.hear(self._notices)

    async def serve(self) -> None:
        """Answer the kernel until the mount is gone or `stop` is called."""
        if self.session is not None:
            await self.session.serve()

    def stop(self) -> None:
        """Make `serve` return once running requests are answered."""
        if self.session is not None:
            self.session.stop()

    def detach(self, *, unmount: bool) -> None:
        """Close the kernel's descriptor, and unmount if that was not done yet."""
        session, self.session = self.session, None
        if session is None:
            return
        if unmount:
            self._unmount()
        self._filesystem.hear(Deaf())
        if self._notices is not None:
            self._notices.close()
            for _ in range(TRIES):
                if self._notices.join(NOTICES_S / TRIES):
                    break
                session.refuse_all()  # what one of them may be waiting for
        os.close(session.fd)

    def _unmount(self) -> None:
        with contextlib.suppress(OSError):  # the caller looks whether it is gone
            unmount(self._path)
