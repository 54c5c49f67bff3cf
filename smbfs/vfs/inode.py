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
from typing import Any, Protocol
from unicodedata import normalize

import trio

from smbfs.engine.handle import Handle, HandleState
from smbfs.engine.information import Information, Listed
from smbfs.engine.steps import Step
from smbfs.fuse.server import Node
from smbfs.vfs.special import Special
from smbfs.vfs.stat import Override

LONG_AGO = float("-inf")
RESTED = 20_000_000  # two seconds as a FILETIME: the coarsest clock that is in use
RUSH_TIMES = 2
RUSH_TURNS = 3  # turnarounds between one name that is made and the next, at most
RUSH_S = 0.005


class FileState(Protocol):
    """What `smbfs.vfs.content` keeps of an open file, as far as others must know it."""

    @property
    def leased_since_s(self) -> float:
        """Since when nobody else could change bytes or name without our hearing; inf if not so."""

    def overlay(self, information: Information) -> Information:
        """Tell what the file is, given what the server says and what it was not yet sent."""

    def lend(self) -> Handle | None:
        """Name an open handle that the server still knows, one that may write if there is one."""

    def lost_belief(self) -> None:
        """Drop cached bytes that were sent or read: the file changed, and maybe not by us."""

    def be_kept_no_longer(self) -> bool:
        """Do without the server's keeping it if the connection is lost; whether it would have."""

    async def settle(self, *steps: Step[Any]) -> list[Any] | None:
        """Send what is not sent and wait for the answers.  Raises the first error.

        The steps are done right behind it where that costs nothing: what they answered, or None.
        """


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
class Raw:
    """One entry as the server listed it."""

    name: bytes
    listed: Listed
    asked: Moment


@dataclass(slots=True)
class Snapshot:
    """All entries of a directory, so that what is not among them is not there."""

    entries: dict[bytes, Raw]
    seen: Moment  # when the listing began
    is_ahead: bool = False  # nobody has asked for it yet
    is_whole: bool = True  # False once others changed names: then it only tells what may be there
    has_shrunk: bool = False  # we removed names
    _folded: dict[str, int] = field(default_factory=dict)  # how many names are that one

    @classmethod
    def of(cls, raw: list[Raw], seen: Moment, *, is_ahead: bool = False) -> Snapshot:
        """Make one of a whole listing."""
        made = cls({}, seen, is_ahead)
        for one in raw:
            made.add(one)
        return made

    def may_have(self, name: bytes) -> bool:
        """Whether the directory may have such a name, in whatever spelling."""
        return folded_name(name) in self._folded

    def add(self, raw: Raw) -> None:
        """Note a name, new or known."""
        if raw.name not in self.entries:
            key = folded_name(raw.name)
            self._folded[key] = self._folded.get(key, 0) + 1
        self.entries[raw.name] = raw

    def doubt(self, name: bytes) -> None:
        """Note that others changed a name: it may be there or not."""
        if self.entries.pop(name, None) is None:
            key = folded_name(name)
            self._folded[key] = self._folded.get(key, 0) + 1
        self.is_whole = False

    def remove(self, name: bytes) -> None:
        """Note that a name is gone."""
        if self.entries.pop(name, None) is None:
            return
        self.has_shrunk = True
        key = folded_name(name)
        self._folded[key] -= 1
        if not self._folded[key]:
            del self._folded[key]


@dataclass(slots=True)
class Rush:
    """Names made here in one directory, one right after the other."""

    times: int = 0
    until_s: float = LONG_AGO  # the next one is likely to come before this

    def note(self, began_s: float, now_s: float) -> None:
        """Note that a name was made, which took from ``began_s`` until now."""
        self.times = self.times + 1 if began_s < self.until_s else 1
        self.until_s = now_s + RUSH_TURNS * (now_s - began_s) + RUSH_S

    def is_on(self, now_s: float) -> bool:
        """Whether somebody is making names here at this moment."""
        return self.times >= RUSH_TIMES and now_s < self.until_s


@dataclass(frozen=True, slots=True)
class Version:
    """What changes with every change of a file's content."""

    file_id: int
    size: int
    write_time: int
    change_time: int

    @classmethod
    def of(cls, information: Information, server_time: int) -> Version | None:
        """The version of a file that has rested for a while; None for another.

        A change may leave all of this as it is if it comes within the same tick of the clock.
        """
        latest = max(information.last_write_time, information.change_time)
        if not information.file_id or not information.change_time:
            return None
        if not server_time or server_time - latest < RESTED:
            return None
        return cls(
            information.file_id,
            information.end_of_file,
            information.last_write_time,
            information.change_time,
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """What the kernel was told of a file, and until when it believes that."""

    size: int
    write_time: int
    until_s: float


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
    look: trio.Event | None = None  # set when a look at it that is under way has ended
    coming: trio.Event | None = None  # set when it was opened or listed ahead
    listed: Snapshot | None = None  # all that the directory held
    rush: Rush | None = None  # of ours, who make one name after the other in it
    places: dict[tuple[Inode, bytes], str] = field(default_factory=dict)  # the last is the latest
    children: dict[bytes, Name] = field(default_factory=dict)
    gone: dict[bytes, int] = field(default_factory=dict)  # names we removed, while it is listed
    lookups: int = 0
    opens: int = 0
    held: int = 0  # by listings that may still hand it out
    file: FileState | None = None
    version: Version | None = None  # that the kernel's pages are of
    grave: Grave | None = None
    is_unlinked: bool = False  # by us; no name will ever lead here again
    override: Override | None = None
    shown: Shown | None = None  # what the kernel was told last
    eas: dict[bytes, bytes] = field(default_factory=dict)
    eas_seen: Moment = NEVER

    @property
    def is_directory(self) -> bool:
        """Whether names can be in it."""
        return self.kind == stat.S_IFDIR

    @property
    def is_idle(self) -> bool:
        """Whether it is a file that nobody uses, and that only the kernel's memory keeps."""
        is_used = self.opens or self.held or self.file is not None or self.grave is not None
        return not is_used and not self.is_directory and self.lookups > 0

    @property
    def seems_empty(self) -> bool:
        """Whether all that was in a directory when it was listed has been removed."""
        listed = self.listed
        is_empty = listed is not None and listed.has_shrunk and not listed.entries
        return is_empty and not self.children

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
    return parent.node, folded_name(name)


def folded_name(name: bytes) -> str:
    """A name as all those are that some server takes for the same."""
    if name.isascii():
        return name.lower().decode()
    return normalize("NFC", name.decode(errors="surrogateescape").casefold())
