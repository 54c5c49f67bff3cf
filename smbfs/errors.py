"""The few exceptions of smbfs, and what a program is told of each.

`WireError` lives with the codec, since the ground floor knows nothing of this one.  There is no
subclass per status: the table in `smbfs.wire.status` says what errno each becomes.  An
``OSError`` that reaches the kernel boundary is always an answer of ours, so socket errors become
`ConnectionLost` inside the engine, or a program would read ECONNRESET from a file.
"""

from __future__ import annotations

import errno

from smbfs.wire.error_data import SymlinkErrorResponse
from smbfs.wire.status import Status


class SmbError(Exception):
    """Something went wrong between us and the server; ``errno`` is what the caller is told."""

    errno: int = errno.EIO


class StatusError(SmbError):
    """The server answered, and the answer was no; ``symlink`` is where a path met one."""

    def __init__(
        self,
        status: Status,
        command: str,
        path: str = "",
        symlink: SymlinkErrorResponse | None = None,
    ) -> None:
        super().__init__(f"{command}{' ' if path else ''}{path}: {status.name}")
        self.status = status
        self.command = command
        self.path = path
        self.symlink = symlink
        self.errno = status.errno


class ConnectionLost(SmbError):
    """There is nobody to ask; what was asked may or may not have happened.

    Not EIO, which SQLite takes from a read for a broken disk: it calls the database malformed.
    """

    errno = errno.EHOSTDOWN


class Stale(SmbError):
    """A file was open when the connection was lost, and cannot be gone on with."""

    errno = errno.ESTALE


class ServerAway(ConnectionLost):
    """The server did not answer a moment ago, and nobody is kept waiting for it."""


class ServerSilent(ConnectionLost):
    """The socket lives, but the answer did not come in time."""

    errno = errno.ETIMEDOUT


class Refused(SmbError):
    """Authentication or policy: signing, encryption or a dialect we insist on; never retried."""

    errno = errno.EACCES


class Tampered(SmbError):
    """A signature or seal is wrong: the connection ends, loudly."""
