"""All that the filesystem and a kernel server know of each other.

`smbfs.vfs` answers in these values and the servers translate them; the vocabulary is POSIX's,
the types are plain, times are nanoseconds since 1970.  Every operation a cache may answer has a
twin ending in ``_now`` that returns the value or `MISS` and never waits.  Nothing of FUSE's own
structures may appear here: two servers and the tests speak this.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NewType, Protocol, TypeVar

import trio

from smbfs.errors import SmbError

log = logging.getLogger(__name__)

Node = NewType("Node", int)
FileHandle = NewType("FileHandle", int)
Names = list[tuple[Node, bytes]]  # each in a directory
T = TypeVar("T")
Data = bytes | bytearray | memoryview

ROOT: Final = Node(1)
# A call that moves data may last this many times `timeout=`: megabytes take minutes on a slow
# line, and that a server is silent is noticed below, request by request.
DATA_PATIENCE: Final = 40


class Miss(Enum):
    """What a ``*_now`` method answers when it would have to wait."""

    MISS = 0


MISS: Final = Miss.MISS


@dataclass(slots=True)
class Request:
    """One question from the kernel: who asks, about what, and how to stop answering."""

    uid: int
    gid: int
    pid: int
    umask: int = 0
    lock_owner: int = 0
    scope: trio.CancelScope | None = None  # made only when the answer has to wait
    interrupted: bool = False

    def interrupt(self) -> None:
        """Give up on the answer; harmless before the wait and after it."""
        self.interrupted = True
        if self.scope is not None:
            self.scope.cancel()


@dataclass(slots=True)
class Attributes:
    """What stat(2) tells of a node; ``believe_s`` is how long the kernel may believe it."""

    node: Node
    mode: int  # with the type bits
    links: int
    uid: int
    gid: int
    size: int
    blocks: int  # of 512 bytes
    block_size: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    birth_ns: int = 0
    rdev: int = 0
    generation: int = 0
    believe_s: float = 0.0
    flags: int = 0  # statx(2)'s STATX_ATTR_*


@dataclass(slots=True)
class Entry:
    """A name that was looked up; ``attributes`` is None for a name known to be absent."""

    attributes: Attributes | None
    believe_s: float = 0.0  # how long the kernel may believe the name


@dataclass(slots=True)
class Change:
    """What setattr is asked to change; None leaves a value alone."""

    size: int | None = None
    mode: int | None = None  # permission bits
    uid: int | None = None
    gid: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None


@dataclass(slots=True)
class Opened:
    """An open file or directory, and how the kernel shall treat it."""

    fh: FileHandle
    keep_cache: bool = False
    direct_io: bool = False


@dataclass(slots=True)
class DirectoryItem:
    """One name of a listing; ``next_id`` is the cookie to resume after it."""

    name: bytes
    attributes: Attributes
    next_id: int
    is_name_only: bool = False  # there are too many: the kernel shall look it up if it is needed


@dataclass(slots=True)
class Space:
    """What statfs(2) tells."""

    block_size: int
    fragment_size: int
    blocks: int
    blocks_free: int
    blocks_available: int
    files: int = 0
    files_free: int = 0
    name_max: int = 255


class LockType(IntEnum):
    """What is asked of a byte range, in fcntl(2)'s numbers."""

    READ = 0
    WRITE = 1
    UNLOCK = 2


LOCK_END: Final = 1 << 63  # the end of a lock that reaches to the end of the file, wherever that is


@dataclass(frozen=True, slots=True)
class Lock:
    """A range that somebody locks, has locked, or lets go; ``end`` is behind the last byte.

    ``owner`` is the kernel's name for whoever holds it: a process for fcntl locks, an open file
    for OFD locks and for flock, which locks the whole file.
    """

    type: LockType
    start: int
    end: int
    owner: int
    pid: int = 0  # 0 for somebody on another machine
    is_flock: bool = False


class RenameFlag:
    """The flags of renameat2(2)."""

    NOREPLACE = 1
    EXCHANGE = 2
    WHITEOUT = 4


class Kernel(Protocol):
    """Notices to the kernel.  Each returns at once; nothing here may wait."""

    def attributes_changed(self, node: Node) -> None:
        """Forget the attributes of a node; done when it returns."""

    def data_changed(
        self,
        node: Node,
        offset: int = 0,
        size: int = -1,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Drop cached data of a node; size -1 means to the end.

        ``then`` is called, from whatever thread, when the kernel has done it or never will.
        """

    def name_changed(self, parent: Node, name: bytes) -> None:
        """Look a name up again."""

    def name_removed(self, parent: Node, name: bytes, node: Node) -> None:
        """A name is gone."""

    def names_unneeded(self, names: Names, then: Callable[[], None]) -> None:
        """Let go of names and of what they lead to; ``then`` is called as in `data_changed`."""

    def data_known(self, node: Node, offset: int, data: bytes) -> None:
        """Put bytes into the kernel's cache before anybody asks for them."""


class Deaf:
    """The `Kernel` of a filesystem that no server has attached to: there is nothing to tell."""

    def attributes_changed(self, node: Node) -> None:
        """Tell nobody."""

    def data_changed(
        self,
        node: Node,
        offset: int = 0,
        size: int = -1,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Tell nobody, which is done at once."""
        if then is not None:
            then()

    def name_changed(self, parent: Node, name: bytes) -> None:
        """Tell nobody."""

    def name_removed(self, parent: Node, name: bytes, node: Node) -> None:
        """Tell nobody."""

    def names_unneeded(self, names: Names, then: Callable[[], None]) -> None:
        """Tell nobody, which is done at once."""
        then()

    def data_known(self, node: Node, offset: int, data: bytes) -> None:
        """Tell nobody."""


async def bounded(request: Request, answer: Awaitable[T], seconds: float) -> T:
    """Wait for an answer until it comes, the deadline passes, or the asker gives up.

    Raises OSError: EINTR for the asker, ETIMEDOUT for the deadline.
    """
    with trio.CancelScope(deadline=trio.current_time() + seconds) as request.scope:
        if request.interrupted:
            request.scope.cancel()
        return await answer
    raise OSError(errno.EINTR if request.interrupted else errno.ETIMEDOUT, "no answer")


def errno_of(error: BaseException) -> int:
    """What the kernel is told of an error.  Every exception ends here, and only here."""
    match error:
        case OSError() if error.errno:
            return error.errno
        case SmbError():
            return error.errno
        case ExceptionGroup(exceptions=[Exception() as alone]):
            return errno_of(alone)
    log.error("bug: %r reached the kernel boundary", error, exc_info=error)
    return errno.EIO
