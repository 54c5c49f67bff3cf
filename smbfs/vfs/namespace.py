"""Names and attributes: lookup, getattr, setattr, mkdir, mknod, statfs.

Each is one turnaround: a name is opened, asked and closed in one chain, an open file is asked
through its handle.  Only a file that may be a link (`smbfs.vfs.special`) costs a second one, and
only when it changed since the last look.

Easily broken: times are set last and through the handle that wrote, after everything unsent was
sent, or the server puts its own time over ours; and a change that the server cannot keep is
accepted (``ids=accept``) but never shown, because stat tells the truth.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import trio

from smbfs.engine.controls import try_sparse
from smbfs.engine.how import How
from smbfs.engine.information import Information
from smbfs.engine.steps import Step, query_all, query_space, set_basic
from smbfs.errors import ConnectionLost, SmbError, StatusError
from smbfs.fuse.server import MISS, Attributes, Change, Entry, FileHandle, Miss, Space
from smbfs.vfs.inode import Inode, Moment
from smbfs.vfs.links import special_of
from smbfs.vfs.passage import again
from smbfs.vfs.special import Special
from smbfs.vfs.stat import Basic, Override, basic_of, check_ownership, kind_of
from smbfs.vfs.volume import Volume
from smbfs.wire.constants import Attributes as Dos
from smbfs.wire.status import Status
from smbfs.wire.units import to_wire

T = TypeVar("T")
SPACE_S = 2.0  # how long the answer to statfs is good: df on a busy share must not cost one each


class Resizer(Protocol):
    """The part of `smbfs.vfs.content` that sets sizes."""

    async def truncate(self, inode: Inode, size: int, fh: FileHandle | None) -> Information:
        """Set the size of a file; what it is then."""


@dataclass(slots=True)
class Seen:
    """What the server showed at a path."""

    information: Information
    special: Special | None
    asked: Moment

    @property
    def kind(self) -> int:
        """The S_IFMT bits."""
        return kind_of(self.information, self.special)


async def see(volume: Volume, path: str, known: Inode | None = None) -> Seen:
    """Look at a path; ``known`` is the file we expect there.  Raises StatusError."""
    asked = volume.moment()
    _, information = await volume.share.on(path, How.looking(), query_all())
    special = await special_of(volume, path, information, known)
    return Seen(information, special, asked)


# Lookup


def lookup_now(volume: Volume, parent: Inode, name: bytes) -> Entry | Miss:
    """The file of a name if it was seen a moment ago."""
    if volume.inodes.relinked:
        return MISS  # a link may lead elsewhere than the kernel knows
    known = parent.children.get(name)
    if known is None:
        inode = volume.directories.found(parent, name)
        if inode is not None:
            return volume.entry(inode, parent.children[name].seen)
        absent_s = volume.absent_s(parent, name)
        return Entry(None, absent_s) if absent_s else MISS
    if not (name_left_s := volume.name_left_s(parent, known.inode, known.seen)):
        return MISS
    # The kernel asks for attributes that are too old if anybody wants to know them.
    attributes = volume.attributes(known.inode)
    volume.inodes.looked_up(known.inode)
    return Entry(attributes, name_left_s)


async def lookup(volume: Volume, parent: Inode, name: bytes) -> Entry:
    """The file of a name, or the knowledge that there is none."""
    if name in (b".", b".."):
        above = parent if name == b"." else next((p for p, _ in parent.places), parent)
        return volume.entry(above, above.seen)
    if volume.inodes.relinked or await came(parent, name):
        await volume.forget_old_targets()
        if (entry := lookup_now(volume, parent, name)) is not MISS:
            return entry
    if (
        await volume.together.asks(parent, name)
        and (entry := lookup_now(volume, parent, name)) is not MISS
    ):
        return entry
    asked = volume.moment()
    volume.watches.asked(parent)
    inode = await found(volume, parent, name)
    if inode is None:
        return Entry(None, volume.left_s(parent, asked))
    return volume.entry(inode, asked)


async def came(parent: Inode, name: bytes) -> bool:
    """Wait for what is fetched ahead of a name or its directory; whether anything was."""
    known = parent.children.get(name)
    coming = known.inode.coming if known is not None else None
    coming = parent.coming if coming is None else coming
    if coming is None:
        return False
    await coming.wait()
    return True


async def found(volume: Volume, parent: Inode, name: bytes) -> Inode | None:
    """Ask the server for a name; None if there is no such file."""
    if volume.is_hidden(to_wire(name, volume.presentation.names)):
        return None
    known = parent.children.get(name)
    expected = known.inode if known else None
    try:
        seen = await volume.steady.at(
            lambda: volume.inodes.path_of(parent, name), lambda path: see(volume, path, expected)
        )
    except StatusError as error:
        if error.errno != errno.ENOENT:
            raise
        volume.inodes.remove(parent, name)
        return None
    inode = volume.inodes.place(parent, name, seen.information, seen.special, seen.asked)
    await volume.forget_old_targets()
    return inode


async def still_there(volume: Volume, inode: Inode, do: Callable[[], Awaitable[T]]) -> T:
    """Do something to a file at its path.  Raises OSError(ESTALE) if others removed it there.

    On ESTALE the kernel looks the name up again and goes by that: it then creates, if it was told
    to, what ENOENT would have made it give up.
    """
    try:
        return await volume.steady.at(lambda: volume.inodes.path(inode), lambda path: do())
    except StatusError as error:
        if error.errno != errno.ENOENT or not inode.places:
            raise
        volume.inodes.remove(*next(reversed(inode.places)))
        raise OSError(errno.ESTALE, "others removed the file") from error


# Attributes


def getattr_now(volume: Volume, inode: Inode) -> Attributes | Miss:
    """What stat tells, if it was asked a moment ago."""
    left_s = volume.left_s(inode, inode.seen)
    if not left_s and not volume.is_past_asking(inode):
        return MISS
    return volume.attributes(inode, left_s)


async def getattr(volume: Volume, inode: Inode, *, for_target: bool = False) -> Attributes:
    """What stat tells of a file; ``for_target`` if the kernel waits for where a link leads."""
    if not volume.is_fresh(inode) and inode.look is not None:
        await inode.look.wait()
    if not volume.is_fresh(inode) and inode.places and not inode.opens:
        await volume.together.asks(*next(reversed(inode.places)))
    if not volume.is_fresh(inode):
        try:
            await refresh(volume, inode, for_target=for_target)
        except ConnectionLost:
            if inode is not volume.inodes.root:
                raise  # the mounted folder is there whether the server is or not
    return volume.attributes(inode)


async def refresh(volume: Volume, inode: Inode, *, for_target: bool = False) -> None:
    """Ask the server what a file is now.  Raises OSError(ESTALE) if it is of another type."""
    # A handle on the deleted name counts the names that are left; others may count it as well.
    if (handle := inode.lend(for_links=True)) is not None:
        asked = volume.moment()
        try:
            [information] = await again(handle, lambda: handle.do(query_all()), changes=False)
        except StatusError as error:
            if error.status != Status.FILE_CLOSED:  # its owner closed it meanwhile: ask by name
                raise
        else:
            volume.inodes.learn(inode, information, inode.special, asked)
            return
    try:
        seen = await volume.steady.at(
            lambda: volume.inodes.path(inode), lambda path: see(volume, path, inode)
        )
        volume.inodes.adopt(inode, seen.information, seen.kind)
    except (SmbError, OSError):
        volume.inodes.doubted(inode)  # the next look-up asks what its name leads to
        raise
    volume.inodes.learn(inode, seen.information, seen.special, seen.asked)
    # The kernel holds the page of the target until it is told it: to have that dropped would wait
    # for our own answer.
    await volume.forget_old_targets(but=inode if for_target else None)


async def setattr(
    volume: Volume, content: Resizer, inode: Inode, change: Change, fh: FileHandle | None
) -> Attributes:
    """Change size, mode, owner and times; what stat tells then.

    Raises OSError(EPERM) for what the server cannot store, under ``ids=strict`` only.
    """
    check_ownership(change, inode.kind, inode.information.attributes, volume.presentation)
    if change.size is not None:
        asked = volume.moment()
        information = await content.truncate(inode, change.size, fh)
        volume.told(inode, information, asked)
    if volume.presentation.dynperm:
        _override(inode, change)
    basic = basic_of(change, inode.kind, inode.information.attributes)
    if basic and not volume.is_past_asking(inode):
        await _set(volume, inode, basic)
    return await getattr(volume, inode)


def _override(inode: Inode, change: Change) -> None:
    override = inode.override = inode.override or Override()
    if change.mode is not None:
        override.mode = change.mode & 0o7777
    override.uid = override.uid if change.uid is None else change.uid
    override.gid = override.gid if change.gid is None else change.gid


async def _set(volume: Volume, inode: Inode, basic: Basic) -> None:
    has_times = bool(basic.access or basic.write)
    steps, results, asked = changing(inode, basic), None, volume.moment()
    if has_times and inode.file is not None:
        # What is unsent would change the times when it is sent.
        results = await inode.file.settle(*steps)
    try:
        if results is None:
            asked = volume.moment()
            results = await on_handle_or_path(volume, inode, *steps)
    except StatusError as error:
        accepts = volume.presentation.ids == "accept" and not has_times
        if error.status == Status.ACCESS_DENIED and accepts:
            return  # chmod is told the truth by stat, not by an error
        raise
    if has_times and inode.is_directory:
        # Samba tells these times for as long as anybody has it open, whatever changes there.
        await volume.let_go(inode)
    volume.told(inode, results[-1], asked)


def changing(inode: Inode, basic: Basic) -> list[Step[Any]]:
    """The steps that change times and attributes and tell what the file is then."""
    steps: list[Step[Any]] = [
        set_basic(access=basic.access, write=basic.write, attributes=basic.attributes),
        query_all(),
    ]
    if basic.attributes and inode.information.attributes & Dos.SPARSE_FILE:
        steps.insert(1, try_sparse())  # Samba has just forgotten it
    return steps


async def on_handle_or_path(volume: Volume, inode: Inode, *steps: Step[Any]) -> list[Any]:
    """Do steps through an open handle, or at the file's path if there is none that may."""
    if (handle := inode.lend()) is not None:
        try:
            return await handle.do(*steps)
        except StatusError as error:  # it may have been opened for reading only
            if error.status != Status.ACCESS_DENIED or not inode.places:
                raise
    return await volume.steady.at(
        lambda: volume.inodes.path(inode),
        lambda path: volume.share.on(path, How.changing(), *steps),
    )


def check_access(volume: Volume, inode: Inode, mask: int) -> None:
    """Answer access(2) where the kernel does not (``noperm``).  Raises OSError(EACCES).

    The server judges each open by itself; what is known here is that READONLY forbids writing.
    """
    if mask & os.W_OK and inode.information.is_read_only and not inode.is_directory:
        raise OSError(errno.EACCES, "the file is read-only")


# The share as a whole


async def statfs(volume: Volume) -> Space:
    """How large and how full the share is, asked at most every two seconds."""
    now_s = trio.current_time()
    if volume.space is None or now_s - volume.space_at_s >= SPACE_S:
        try:
            _, size = await volume.share.on("", How.looking(), query_space())
        except ConnectionLost:
            if volume.space is None:
                raise
            return volume.space  # or df would fail for all other file systems as well
        unit = max(size.sectors_per_allocation_unit * size.bytes_per_sector, 1)
        volume.space = Space(
            block_size=unit,
            fragment_size=unit,
            blocks=size.total_allocation_units,
            blocks_free=size.actual_available_allocation_units,
            blocks_available=size.caller_available_allocation_units,
            name_max=volume.share.facts.name_max,
        )
        volume.space_at_s = now_s
    return volume.space
