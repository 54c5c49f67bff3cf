"""Directory listings: a cursor per open directory, pages from the server, stable cookies.

Opening brings the first pages in the same turnaround.  An entry's cookie is its number in the
listing, counted from 2: the first two are left for ``.`` and ``..``, which a kernel server adds if
it likes.  `items` answers a chunk at a time, and may be asked for the same ones again; a node that
the kernel did not take is let go with its chunk.  Reading from the start again is a new listing.
Entries far behind the reader are dropped; who seeks back to one causes a new listing, and so does
a connection lost on the way.

Easily broken: a page is older than what we did since it was asked for, so names that we removed
are left out of it, and for names that we made or changed our own knowledge holds.
"""

from __future__ import annotations

import errno
import logging
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from operator import attrgetter

import trio

from smbfs.engine.handle import Handle
from smbfs.engine.how import How
from smbfs.engine.information import Listed
from smbfs.engine.steps import Step, list_directory
from smbfs.errors import ConnectionLost, SmbError, StatusError
from smbfs.fuse.server import MISS, DirectoryItem, FileHandle, Miss
from smbfs.vfs.inode import Inode, Moment, Raw
from smbfs.vfs.links import special_of
from smbfs.vfs.special import Special, is_plain
from smbfs.vfs.volume import Volume
from smbfs.wire.units import from_wire

log = logging.getLogger(__name__)

DOTS = 2  # cookies that belong to "." and ".."
CHUNK = 256  # entries turned into nodes at a time: about what the kernel asks for
FEW = 32  # entries handed out at a time: of so many the last ones may find no room any more
PAGES = 2  # asked for in one turnaround: the second mostly says that there is no more
BEHIND = 4096  # entries kept for a reader who goes back a little
LOOKING = 16  # suspicious files of one chunk that are read at the same time
# Bytes of a page: as many entries as a reader takes who asks for each file's attributes (`ls -l`,
# 0.1 ms a file) while they are believed, or each of them would cost a turnaround of its own.
FIRST_PAGE, LEAST_PAGE = 256 * 1024, 32 * 1024


@dataclass(slots=True)
class Made:
    """One entry with its node, ready for the kernel."""

    number: int
    name: bytes
    inode: Inode


@dataclass(slots=True, eq=False)
class Listing:
    """One open directory."""

    volume: Volume
    inode: Inode
    handle: Handle | None = None
    entries: deque[Raw] = field(default_factory=deque)
    first: int = 0  # number of the first entry that is kept
    is_complete: bool = False
    chunk: list[Made] = field(default_factory=list)
    chunk_at: int = 0  # number of the entry where the chunk begins
    chunk_end: int = 0  # and of the one behind it
    was_read: bool = False
    page_bytes: int = FIRST_PAGE
    began: Moment | None = None  # when the first page was asked for
    lock: trio.Lock = field(default_factory=trio.Lock)

    @property
    def end(self) -> int:
        """The number behind the last entry that is known."""
        return self.first + len(self.entries)

    # The server's side

    async def start(self) -> None:
        """Begin a new listing, its first pages included."""
        self.park()
        self._let_go()
        self.entries.clear()
        self.first, self.is_complete = 0, self.inode.is_unlinked
        if self.is_complete:  # removed by us: there is nothing in it
            return
        volume = self.volume
        if not self.was_read and await self._was_ahead():
            return
        asked, pages = volume.moment(), self._pages(PAGES)
        self.handle, results = await volume.steady.at(
            lambda: volume.inodes.path(self.inode),
            lambda path: volume.share.open(path, How.listing(), *pages),
        )
        self.began = asked
        self._keep(results[1:], asked)

    async def _was_ahead(self) -> bool:
        """Take what was listed ahead of the reader, if it was."""
        if self.inode.coming is not None:
            await self.inode.coming.wait()
        snapshot = self.volume.directories.taken(self.inode)
        if snapshot is None:
            return False
        self.entries.extend(snapshot.entries.values())
        self.is_complete = True
        return True

    def park(self) -> None:
        """Close the handle on the server; a listing that is not complete opens another one."""
        if self.handle is not None:
            self.handle.close_soon()
            self.handle = None

    def finish(self) -> None:
        """Give everything up: the directory is closed."""
        self.park()
        self._let_go()
        self.volume.inodes.closed(self.inode)

    async def _more(self) -> None:
        """Get the next pages; without a handle or a connection, get there again from the start."""
        wanted = self.end
        try:
            if self.handle is not None:
                self._keep_pace()
                await self._next(self.handle, PAGES)
                return
        except ConnectionLost as error:
            log.info("a listing goes on from its start: %s", error)
        await self._restart(wanted)

    async def _restart(self, wanted: int) -> None:
        """Begin anew and skip what comes before entry ``wanted``."""
        await self.start()
        self._drop(wanted)
        while self.end <= wanted and self.handle is not None:
            await self._next(self.handle, 1)
            self._drop(wanted)

    async def _next(self, handle: Handle, pages: int) -> None:
        asked = self.volume.moment()
        self._keep(await handle.do(*self._pages(pages)), asked)

    def _keep_pace(self) -> None:
        """Ask for less at once if the reader needs long for what came last, for more if not."""
        belief_s = self.volume.presentation.belief_s(False)
        if not belief_s or not self.entries:
            return
        took_s = trio.current_time() - self.entries[-1].asked.at_s
        if took_s > belief_s / 2:
            self.page_bytes = max(self._page() // 2, LEAST_PAGE)
        elif took_s < belief_s / 8:
            self.page_bytes = self._page() * 2

    def _pages(self, number: int) -> list[Step[list[Listed] | None]]:
        return [list_directory("*", self._page())] * number

    def _page(self) -> int:
        """How many bytes a page has: all of one turnaround are no larger than one answer may be."""
        return min(self.volume.share.facts.list_size // PAGES, self.page_bytes)

    def _keep(self, pages: list[list[Listed] | None], asked: Moment) -> None:
        names = self.volume.presentation.names
        for page in pages:
            if page is None:
                self.is_complete = True
                self.park()
                if not self.first and self.began is not None:
                    self.volume.directories.keep_raw(self.inode, list(self.entries), self.began)
                return
            self.entries.extend(Raw(from_wire(one.name, names), one, asked) for one in page)

    def _drop(self, before: int) -> None:
        while self.entries and self.first < before:
            self.entries.popleft()
            self.first += 1

    # The kernel's side

    def items_now(self, after: int) -> list[DirectoryItem] | Miss:
        """The entries behind a cookie, if they were made already."""
        number = after - DOTS
        if number <= 0 or not self.chunk_at <= number < self.chunk_end:
            return MISS
        return self._left(number) or MISS

    def dots(self) -> list[DirectoryItem]:
        """The directory itself and the one above, with the cookies kept for them."""
        above = next((parent for parent, _ in self.inode.places), self.inode)
        named = ((b".", self.inode), (b"..", above))
        return [
            DirectoryItem(name, self.volume.attributes(inode), cookie)
            for cookie, (name, inode) in enumerate(named, 1)
        ]

    async def items(self, after: int) -> list[DirectoryItem]:
        """The entries behind a cookie; none at the end."""
        async with self.lock:
            number = max(after - DOTS, 0)
            if not number and self.was_read:
                await self.start()
            self.was_read = True
            while True:
                if not self.chunk_at <= number < self.chunk_end:
                    await self._make_chunk(number)
                if items := self._left(number):
                    return items
                if self.chunk_end <= number:
                    return []
                number = self.chunk_end  # all of this chunk was hidden or gone

    def _left(self, number: int) -> list[DirectoryItem]:
        """A few entries from ``number`` on: what the kernel has no room for is made in vain."""
        attributes, is_full = self.volume.attributes, self.volume.crowd.is_full
        at = bisect_left(self.chunk, number, key=_number)
        return [
            DirectoryItem(made.name, attributes(made.inode), made.number + 1 + DOTS, is_full)
            for made in self.chunk[at : at + FEW]
        ]

    async def _make_chunk(self, number: int) -> None:
        """Turn the entries from ``number`` on into nodes; none at the end of the listing."""
        if number < self.first:
            await self._restart(number)
        while number >= self.end and not self.is_complete:
            await self._more()
        at = min(number, self.end) - self.first
        raw = [self.entries[i] for i in range(at, min(at + CHUNK, len(self.entries)))]
        specials = await self._specials(raw)
        self._let_go()
        self.chunk_at, self.chunk_end = number, number + len(raw)
        for place, entry in enumerate(raw, number):
            if (inode := self._inode(entry, specials.get(entry.name))) is not None:
                self.volume.inodes.hold(inode)
                self.chunk.append(Made(place, entry.name, inode))
        self._drop(number - BEHIND)
        await self.volume.forget_old_targets()
        self.volume.crowd.grew()

    def _let_go(self) -> None:
        """Give up the nodes of the last chunk; those that the kernel took live on."""
        chunk, self.chunk = self.chunk, []
        self.chunk_at = self.chunk_end = 0
        for made in chunk:
            self.volume.inodes.let_go(made.inode)

    def _inode(self, entry: Raw, special: Special | None) -> Inode | None:
        """The node of one entry; None if the name is not to be shown."""
        known = self.inode.children.get(entry.name)
        if known is not None and (
            known.seen.at_s > entry.asked.at_s or known.inode.changed > entry.asked.tick
        ):
            return known.inode
        if self.volume.is_hidden(entry.listed.name):
            return None
        if self.inode.gone.get(entry.name, 0) > entry.asked.tick:
            return None
        information = entry.listed.information
        try:
            return self.volume.inodes.place(
                self.inode, entry.name, information, special, entry.asked, is_listed=True
            )
        except OSError as error:  # it would be looked up under another name
            log.warning("%r is not shown: %s", entry.listed.name, error.strerror)
            return None

    async def _specials(self, raw: list[Raw]) -> dict[bytes, Special | None]:
        """What the suspicious ones among the entries are, asked at the same time."""
        suspects = [one for one in raw if not is_plain(one.listed.information)]
        found: dict[bytes, Special | None] = {}
        if not suspects:
            return found
        above = self.volume.inodes.path(self.inode)
        limit, errors = trio.CapacityLimiter(LOOKING), list[SmbError]()

        async def look(entry: Raw) -> None:
            known = self.inode.children.get(entry.name)
            path = f"{above}\\{entry.listed.name}" if above else entry.listed.name
            information, inode = entry.listed.information, known.inode if known else None
            async with limit:
                try:
                    found[entry.name] = await special_of(self.volume, path, information, inode)
                except StatusError:
                    found[entry.name] = None  # gone meanwhile, or not ours to read
                except SmbError as error:
                    errors.append(error)

        async with trio.open_nursery() as nursery:
            for entry in suspects:
                nursery.start_soon(look, entry)
        if errors:
            raise errors[0]
        return found


_number = attrgetter("number")


# What the façade calls


async def opendir(volume: Volume, inode: Inode, fh: FileHandle) -> None:
    """Open a directory for reading under this number."""
    listing = Listing(volume, inode)
    volume.inodes.opened(inode)
    try:
        await listing.start()
    except BaseException:
        volume.inodes.closed(inode)
        raise
    volume.listings[fh] = listing


def releasedir(volume: Volume, fh: FileHandle) -> None:
    """Close an open directory; never raises."""
    if (listing := volume.listings.pop(fh, None)) is not None:
        listing.finish()


def of(volume: Volume, fh: FileHandle) -> Listing:
    """The open directory of a number.  Raises OSError(EBADF)."""
    if (listing := volume.listings.get(fh)) is None:
        raise OSError(errno.EBADF, "no such open directory")
    return listing
