"""INIT: what the kernel offers and what we take of it.

Pure.  Every wish is masked by what was offered, so that an older kernel is simply asked for less.

Easily broken: only one of AUTO_INVAL_DATA and EXPLICIT_INVAL_DATA can be had.  The first has the
kernel ask for attributes when those that it has are too old, and drop pages if the file changed;
with the second it reads cached pages for ever, which is right only where nobody else writes.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from smbfs.fuse.native.questions import InitIn
from smbfs.fuse.native.replies import InitOut
from smbfs.fuse.native.uapi import MAJOR, NEWEST_MINOR, OLDEST_MINOR, InitFlag
from smbfs.wire.codec import Blob, WireError

MIB = 1 << 20
PAGE = 4096
TIME_STEP_NS = 100  # SMB's
LOWER = (1 << 32) - 1
ALWAYS = (
    InitFlag.ASYNC_READ
    | InitFlag.ATOMIC_O_TRUNC
    | InitFlag.BIG_WRITES
    | InitFlag.HAS_IOCTL_DIR
    | InitFlag.DO_READDIRPLUS
    | InitFlag.ASYNC_DIO
    | InitFlag.PARALLEL_DIROPS
    | InitFlag.MAX_PAGES
    | InitFlag.CACHE_SYMLINKS
    | InitFlag.HANDLE_KILLPRIV_V2
    | InitFlag.INIT_EXT
    | InitFlag.HAS_EXPIRE_ONLY
    | InitFlag.DIRECT_IO_ALLOW_MMAP
)
LOCKS = InitFlag.POSIX_LOCKS | InitFlag.FLOCK_LOCKS


class TooOld(OSError):
    """The kernel's protocol is older than what we speak; ``strerror`` is one sentence."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What we would like to have of the kernel."""

    max_background: int = 64
    congestion_threshold: int = 48
    max_write: int = MIB
    max_readahead: int = LOWER
    locks: bool = True  # fcntl locks and flock are ours to decide
    is_shared: bool = True  # others may change files as well


@dataclass(frozen=True, slots=True)
class Agreed:
    """What came of it."""

    minor: int
    flags: int  # `InitFlag`
    reply: InitOut


def offered(asked: InitIn) -> int:
    """All flags that the kernel offers."""
    if not asked.flags & InitFlag.INIT_EXT:
        return asked.flags
    if len(asked.more) < 4:
        raise WireError("an INIT that is cut off")
    return asked.flags | int.from_bytes(bytes(asked.more[:4]), "little") << 32


def agree(asked: InitIn, wishes: Wishes) -> Agreed:
    """Choose of what is offered.  Raises `TooOld`, or WireError for nonsense."""
    if (asked.major, asked.minor) < (MAJOR, OLDEST_MINOR):
        spoken = f"{asked.major}.{asked.minor}"
        raise TooOld(
            errno.EPROTO,
            f"the kernel speaks FUSE {spoken}, and {MAJOR}.{OLDEST_MINOR} (Linux 5.4) is needed; "
            "use `transport=pyfuse3`",
        )
    invalidation = InitFlag.AUTO_INVAL_DATA if wishes.is_shared else InitFlag.EXPLICIT_INVAL_DATA
    wanted = ALWAYS | invalidation | (LOCKS if wishes.locks else 0)
    flags = wanted & offered(asked)
    minor = min(asked.minor, NEWEST_MINOR)
    reply = InitOut(
        major=MAJOR,
        minor=minor,
        max_readahead=min(asked.max_readahead, wishes.max_readahead),
        flags=flags & LOWER,
        max_background=wishes.max_background,
        congestion_threshold=wishes.congestion_threshold,
        max_write=wishes.max_write,
        time_gran=TIME_STEP_NS,
        max_pages=max(wishes.max_write // PAGE, 1),
        flags2=flags >> 32,
    )
    return Agreed(minor, flags, reply)


def other_major() -> Blob:
    """Answer a kernel of a later major version, which then asks again in ours."""
    zero = InitOut(
        major=MAJOR,
        minor=NEWEST_MINOR,
        max_readahead=0,
        flags=0,
        max_background=0,
        congestion_threshold=0,
        max_write=0,
        time_gran=0,
        max_pages=0,
    )
    return bytes(zero)
