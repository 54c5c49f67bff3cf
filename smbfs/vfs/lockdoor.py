"""What the calls of an open file mean for its locks: made with the first, let go with the last."""

from __future__ import annotations

from smbfs.vfs.descriptor import Open
from smbfs.vfs.locks import Locks
from smbfs.vfs.volume import Volume


def of(volume: Volume, opened: Open) -> Locks:
    """The locks of an open file; there are some to speak of from now on."""
    file = opened.file
    if file.locks is None:
        file.locks = Locks(volume, file)
    return file.locks


async def closed_by(opened: Open, owner: int) -> None:
    """Let go what a process locked with fcntl: it closed a descriptor.  Nobody is 0."""
    if (locks := opened.file.locks) is not None and owner:
        await locks.drop(lambda: locks.table.of_owner(owner))


def has_some(opened: Open, owner: int) -> bool:
    """Whether a process has fcntl locks on the file of a descriptor."""
    locks = opened.file.locks
    return locks is not None and bool(locks.table.of_owner(owner))


async def released(opened: Open) -> None:
    """Let go what was locked through an open file that ends."""
    if (locks := opened.file.locks) is not None:
        await locks.drop(lambda: locks.table.of_handle(opened.fh))
