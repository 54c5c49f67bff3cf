"""One file as the kernel knows it: its number, its places, what is known of it, who holds it.

The table of all of them is `smbfs.vfs.inodes`, which alone changes places and counts; the other
rooms read, and hang on their own part: `file` is `smbfs.vfs.content`'s, `grave` is
`smbfs.vfs.removal`'s, the extended attributes are `smbfs.vfs.xattrs`'s.

Easily broken: `information` is what the server said; what stat tells is `current`, which knows of
bytes that were written and not yet sent.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from typing import Protocol

from smbfs.engine.handle import Handle, HandleState
from smbfs.engine.information import Information
from smbfs.fuse.server import Node
from smbfs.vfs.special import Special
from smbfs.vfs.stat import Override

LONG_AGO = float("-inf")


class FileState(Protocol):
    """What `smbfs.vfs.content` keeps of an open file, as far as others must know it."""

    def overlay(self, information: Information) -> Information:
        """Tell what the file is, given what the server says and what it was not yet sent."""

    def lend(self) -> Handle | None:
        """Name an open handle that the server still knows, one that may write if there is one."""

    def lost_belief(self) -> None:
        """Drop cached bytes that were sent or read: the file changed, and maybe not by us."""

    async def settle(self) -> None:
        """Send what is not sent and wait for the answers.  Raises the first error."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a question was sent: its answer is at least as new as this."""

    at_s: float
    tick: int  # of our own changes


NEVER = Moment(LONG_AGO, 0)


@dataclass(slots=True, eq=False)
class Name:
    """One name in a directory, and when the server last confirmed it."""

    inode: Inode
    seen: Moment


@dataclass(slots=True)
class Grave:
    """A file deleted while open: the handle that keeps it until its last close, and its name."""

    handle: Handle
    parent: Inode
    name: str  # in wire form; made by us and hidden from listings
    may_return: bool = False  # it was never deleted by anybody: link(2) gives it a name


@dataclass(slots=True, eq=False)
class Inode:
    """One file, directory or special file that the kernel may know by ``node``."""

    node: Node
    information: Information
    kind: int  # S_IFMT bits
    special: Special | None = None
    key: tuple[int, int] | None = None  # the file id and type by which it is found
    seen: Moment = NEVER  # when ``information`` was asked for
    changed: int = 0  # tick of our own last change
    places: dict[tuple[Inode, bytes], str] = field(default_factory=dict)  # the last is the latest
    children: dict[bytes, Name] = field(default_factory=dict)
    gone: dict[bytes, int] = field(default_factory=dict)  # names we removed, while it is listed
    lookups: int = 0
    opens: int = 0
    held: int = 0  # by listings that may still hand it out
    file: FileState | None = None
    grave: Grave | None = None
    is_unlinked: bool = False  # by us; no name will ever lead here again
    override: Override | None = None
    eas: dict[bytes, bytes] = field(default_factory=dict)
    eas_seen: Moment = NEVER

    @property
    def is_directory(self) -> bool:
        """Whether names can be in it."""
        return self.kind == stat.S_IFDIR

    @property
    def links(self) -> int:
        """How many names the file has: the server's count, or else the places we know.

        A place may be a name that others removed meanwhile, so the server's word goes first; and
        spellings that a case-blind server answers to are one name, or mv could not change them.
        """
        if self.is_unlinked:
            return 0
        if self.information.links:
            return self.information.links
        if len(self.places) < 2:
            return 1
        return len({folded(*place) for place in self.places})

    def current(self) -> Information:
        """What is known, bytes that were written but not sent included."""
        return self.file.overlay(self.information) if self.file else self.information

    def lend(self, *, for_links: bool = False) -> Handle | None:
        """Name an open handle of ours that the server still knows, if there is one.

        The handle of a deleted name comes last, but first ``for_links``: it alone is sure to
        count the names that are left.
        """
        grave = self.grave.handle if self.grave else None
        if grave is not None and grave.state is not HandleState.OPEN:
            grave = None
        if grave is not None and for_links:
            return grave
        return (self.file.lend() if self.file is not None else None) or grave

    def is_below(self, other: Inode) -> bool:
        """Whether it is ``other`` or lies beneath it."""
        inode: Inode | None = self
        while inode is not None and inode is not other:
            inode = next((parent for parent, _ in inode.places), None)
        return inode is other


def folded(parent: Inode, name: bytes) -> tuple[Node, str]:
    """A place, whatever the case of its name."""
    return parent.node, name.decode(errors="surrogateescape").casefold()
