"""What the tests of files that outlive their connection share."""

from __future__ import annotations

import trio

from smbfs.fuse.server import FileHandle
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from tests.vfs.mounted import WHO, Mounted

LEASED = DataPolicy(leases=True, patience_s=15.0)
OLD, NEW = b"what was there", b"what is written now"


async def settled() -> None:
    """Let the files come back, which takes no time but turns."""
    await trio.sleep(2)


async def text(fake: Mounted, fh: FileHandle) -> bytes:
    """What the beginning of an open file is."""
    return b"".join(await fake.fs.read(WHO, fh, 0, 100))


def count(fake: Mounted, command: Command) -> int:
    """How often the server was asked for something."""
    return sum(frame.count(command) for frame in fake.server.requests)
