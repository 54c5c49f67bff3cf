"""What some servers lack: asked for once on each share, and never again where it was refused.

Easily broken: EOPNOTSUPP is about this one call, so that programs and the kernel find another way;
ENOSYS would be about the whole mount.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from typing import TypeVar

from smbfs.errors import StatusError
from smbfs.vfs.volume import Volume

T = TypeVar("T")


def unsupported(what: str) -> OSError:
    """The error for what cannot be done here."""
    return OSError(errno.EOPNOTSUPP, f"the server has no {what}")


async def unless_refused(volume: Volume, what: str, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask for something that not every server has.  Raises OSError(EOPNOTSUPP) if this one has not.

    Other errors are about the file, and are the caller's.
    """
    if what in volume.refused:
        raise unsupported(what)
    try:
        return await ask()
    except StatusError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        volume.refused.add(what)
        raise unsupported(what) from error
