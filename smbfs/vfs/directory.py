"""What is known of whole directories: all their names, so that a name need not be asked for.

A `Snapshot` hangs on its inode from one complete listing on; `smbfs.vfs.inodes` keeps it true to
what we do ourselves, and it is believed as long as anything seen when that listing began.  There
are only so many, and so many names in all: the one that was not used for longest goes first.

Easily broken: the kernel need not know the nodes of what was listed, and a node made here that
nobody holds is reaped at once by whoever lets it go.
"""

from __future__ import annotations

import stat
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from smbfs.engine.information import Listed
from smbfs.vfs.inode import Inode, Moment, Raw, Snapshot
from smbfs.vfs.special import is_plain
from smbfs.wire.units import from_wire

if TYPE_CHECKING:
    from smbfs.vfs.volume import Volume

LONGEST = 10_000  # names of a directory that is kept whole
MOST_NAMES = 50_000  # in all: some 40 megabytes


class Directories:
    """The snapshots of one mount."""

    def __init__(self, volume: Volume, most: int) -> None:
        self._volume = volume
        self._most = most
        self._kept: OrderedDict[Inode, int] = OrderedDict()  # and how many names each has
        self._names = 0

    def keep(
        self, inode: Inode, listed: Iterable[Listed], asked: Moment, *, is_ahead: bool = False
    ) -> None:
        """Keep all that a directory held, unless we changed it since it was asked."""
        if inode.changed > asked.tick or inode.is_unlinked:
            return
        names = self._volume.presentation.names
        raw = [Raw(from_wire(one.name, names), one, asked) for one in listed]
        self.keep_raw(inode, raw, asked, is_ahead=is_ahead)

    def keep_despite_changes(self, inode: Inode, listed: Iterable[Listed], asked: Moment) -> None:
        """Keep all that an open directory held, with what we changed there since it was asked."""
        names = self._volume.presentation.names
        raw = {one.name: one for one in (Raw(from_wire(e.name, names), e, asked) for e in listed)}
        for name, tick in inode.gone.items():
            if tick > asked.tick:
                raw.pop(name, None)
        for name, known in inode.children.items():
            if known.seen.tick > asked.tick:
                wire = known.inode.places[inode, name]
                raw[name] = Raw(name, Listed(wire, known.inode.information), known.seen)
        self._set(inode, list(raw.values()), asked, is_ahead=False)

    def keep_raw(
        self, inode: Inode, raw: list[Raw], asked: Moment, *, is_ahead: bool = False
    ) -> None:
        """Keep all entries of a directory, made already."""
        self.drop(inode)
        if inode.changed <= asked.tick:
            self._set(inode, raw, asked, is_ahead=is_ahead)

    def _set(self, inode: Inode, raw: list[Raw], asked: Moment, *, is_ahead: bool) -> None:
        self.drop(inode)
        if len(raw) > LONGEST or not self._most:
            return
        inode.listed = Snapshot.of(raw, asked, is_ahead=is_ahead)
        if is_ahead:  # whoever comes for it may be the first to ask for the node
            self._volume.inodes.hold(inode)
        self._kept[inode] = len(raw)
        self._names += len(raw)
        while len(self._kept) > self._most or self._names > MOST_NAMES:
            self.drop(next(iter(self._kept)))

    def drop(self, inode: Inode) -> None:
        """Forget what a directory held."""
        snapshot, inode.listed = inode.listed, None
        self._names -= self._kept.pop(inode, 0)
        if snapshot is not None and snapshot.is_ahead:
            self._volume.inodes.let_go(inode)

    def fresh(self, inode: Inode) -> Snapshot | None:
        """What a directory held a moment ago."""
        snapshot = inode.listed
        if snapshot is None:
            return None
        if not self._volume.name_left_s(inode, inode, snapshot.seen):
            if snapshot.is_ahead:
                self.drop(inode)
            return None
        if inode in self._kept:
            self._kept.move_to_end(inode)
        return snapshot

    def taken(self, inode: Inode) -> Snapshot | None:
        """What was listed ahead for who opens a directory now; the next one asks."""
        snapshot = self.fresh(inode)
        if snapshot is None or not snapshot.is_ahead or not snapshot.is_whole:
            return None
        snapshot.is_ahead = False
        self._volume.inodes.let_go(inode)
        return snapshot

    def found(self, parent: Inode, name: bytes) -> Inode | None:
        """The node of a name that was listed a moment ago, if the listing says all of it."""
        snapshot = self.fresh(parent)
        raw = snapshot.entries.get(name) if snapshot is not None else None
        if raw is None or not is_plain(raw.listed.information):
            return None
        if self._volume.is_hidden(raw.listed.name):
            return None
        information = raw.listed.information
        return self._volume.inodes.place(parent, name, information, None, raw.asked, is_listed=True)

    def files(self, inode: Inode) -> list[tuple[bytes, int]]:
        """The plain files of a directory as (name, id), as they were listed."""
        return [
            (name, one.listed.information.file_id)
            for name, one in self._entries(inode)
            if not one.listed.information.is_directory and is_plain(one.listed.information)
        ]

    def subdirectories(self, inode: Inode) -> list[bytes]:
        """The names of the directories in a directory, as they were listed."""
        return [name for name, one in self._entries(inode) if one.listed.information.is_directory]

    def _entries(self, inode: Inode) -> Iterable[tuple[bytes, Raw]]:
        return inode.listed.entries.items() if inode.listed is not None else ()


def is_file(inode: Inode) -> bool:
    """Whether a node is a plain file."""
    return inode.kind == stat.S_IFREG
