"""The façade: a POSIX filesystem on one share, one short method per operation.

Speaks `smbfs.fuse.server`'s values and has never heard of FUSE.  Every method may be called by any
number of tasks; errors are OSError or SmbError, and a ``_now`` twin answers only what it knows.
What each operation means stands in the room it calls.

Easily broken: an Entry that is returned, and each `listed` item, counts as one lookup that the
kernel holds until it forgets it; what did not reach the kernel must be forgotten by the server.
"""

from __future__ import annotations

import stat
from itertools import count

import trio

from smbfs.engine.share import Share
from smbfs.fuse.server import (
    MISS,
    Attributes,
    Change,
    DirectoryItem,
    Entry,
    FileHandle,
    Kernel,
    Lock,
    Miss,
    Node,
    Opened,
    Request,
    Space,
)
from smbfs.vfs import (
    allocation,
    copying,
    links,
    listing,
    lockdoor,
    making,
    namespace,
    removal,
    seeking,
    tmpfiles,
    xattrs,
)
from smbfs.vfs import flags as file_flags
from smbfs.vfs.ahead import LookAhead
from smbfs.vfs.beside import beside
from smbfs.vfs.content import Content
from smbfs.vfs.holes import Holes
from smbfs.vfs.idle import IdleHandles
from smbfs.vfs.inode import Inode
from smbfs.vfs.inodes import Inodes
from smbfs.vfs.leases import Coherence
from smbfs.vfs.policy import DataPolicy
from smbfs.vfs.presentation import Presentation
from smbfs.vfs.revival import Revival
from smbfs.vfs.volume import Volume
from smbfs.wire.codec import Blob


class Filesystem:
    """One mounted share."""

    def __init__(
        self,
        share: Share,
        presentation: Presentation,
        policy: DataPolicy,
        nursery: trio.Nursery,
    ) -> None:
        idle = IdleHandles(policy.close_s)
        inodes = Inodes(presentation.names)
        self.volume = Volume(share, presentation, inodes, nursery, policy, idle)
        steady = self.volume.steady
        holes = Holes(presentation.sparse, self.volume.refused)
        self.content = Content(share, inodes, policy, nursery, steady, holes, idle)
        revival, leases = Revival(self.volume, self.content), self.content.leases
        self.coherence = Coherence(self.volume, leases, idle, nursery, revival.lost)
        self.volume.watches.lean_on(leases)
        self._ahead = LookAhead(self.volume, self.content) if policy.looks_ahead else None
        self._directories = count(1)

    async def start(self) -> None:
        """Prove that the mounted directory is there.  Raises SmbError or OSError."""
        await namespace.refresh(self.volume, self.volume.inodes.root)

    def hear(self, kernel: Kernel) -> None:
        """Take the one who is to hear of changes that the kernel cannot know."""
        self.volume.kernel = kernel

    def may_read_exactly(self, is_possible: bool) -> None:
        """Take whether the kernel can do without whole pages and map such a file nevertheless."""
        self.content.reads_exactly = is_possible

    async def drain(self) -> None:
        """Send everything that is unsent; errors stay with their files."""
        await self.content.drain()

    async def stop(self) -> None:
        """Send what is unsent and close everything."""
        self.volume.watches.close_all()
        for fh in list(self.volume.listings):
            listing.releasedir(self.volume, fh)
        await self.content.stop()

    def _inode(self, node: Node) -> Inode:
        return self.volume.inodes.get(node)

    # Names

    def lookup_now(self, request: Request, parent: Node, name: bytes) -> Entry | Miss:
        """Find a name that was seen a moment ago."""
        return namespace.lookup_now(self.volume, self._inode(parent), name)

    async def lookup(self, request: Request, parent: Node, name: bytes) -> Entry:
        """Find a name; an Entry without attributes means there is none."""
        return await namespace.lookup(self.volume, self._inode(parent), name)

    def forget(self, forgotten: list[tuple[Node, int]]) -> None:
        """Take back so many lookups of each node."""
        for node, times in forgotten:
            self.volume.inodes.forget(node, times)

    async def mkdir(self, request: Request, parent: Node, name: bytes, mode: int) -> Entry:
        """Make a directory; its mode is what the mount shows for all of them."""
        return await making.mkdir(self.volume, self._inode(parent), name)

    async def mknod(
        self, request: Request, parent: Node, name: bytes, mode: int, rdev: int
    ) -> Entry:
        """Make an empty file, a fifo, a socket or a device."""
        return await making.mknod(self.volume, self._inode(parent), name, mode, rdev)

    async def symlink(self, request: Request, parent: Node, name: bytes, target: bytes) -> Entry:
        """Make a symbolic link."""
        inode = self._inode(parent)
        async with beside(self.volume, inode):
            return await links.symlink(self.volume, inode, name, target)

    async def readlink(self, request: Request, node: Node) -> bytes:
        """Tell where a symbolic link leads."""
        inode = self._inode(node)
        await namespace.getattr(self.volume, inode, for_target=True)
        return links.target_of(inode)

    async def link(self, request: Request, node: Node, new_parent: Node, new_name: bytes) -> Entry:
        """Give a file one more name."""
        inode, parent = self._inode(node), self._inode(new_parent)
        if tmpfiles.is_nameless(inode):
            return await tmpfiles.name(self.volume, inode, parent, new_name)
        async with beside(self.volume, parent):
            return await links.link(self.volume, inode, parent, new_name)

    async def unlink(self, request: Request, parent: Node, name: bytes) -> None:
        """Remove a name; a file that is open lives on without one."""
        inode = self._inode(parent)
        async with beside(self.volume, inode):
            await removal.unlink(self.volume, inode, name)

    async def rmdir(self, request: Request, parent: Node, name: bytes) -> None:
        """Remove an empty directory."""
        inode = self._inode(parent)
        async with beside(self.volume, inode):
            await removal.rmdir(self.volume, inode, name)

    async def rename(
        self,
        request: Request,
        parent: Node,
        name: bytes,
        new_parent: Node,
        new_name: bytes,
        flags: int,
    ) -> None:
        """Rename, with the flags of renameat2(2)."""
        old, new = self._inode(parent), self._inode(new_parent)
        async with beside(self.volume, old, new):
            await removal.rename(self.volume, old, name, new, new_name, flags)

    # Attributes

    def getattr_now(self, request: Request, node: Node, fh: FileHandle | None) -> Attributes | Miss:
        """Tell what stat tells if it was asked a moment ago."""
        return namespace.getattr_now(self.volume, self._inode(node))

    async def getattr(self, request: Request, node: Node, fh: FileHandle | None) -> Attributes:
        """Tell what stat tells."""
        return await namespace.getattr(self.volume, self._inode(node))

    async def setattr(
        self, request: Request, node: Node, change: Change, fh: FileHandle | None
    ) -> Attributes:
        """Change size, mode, owner and times."""
        return await namespace.setattr(self.volume, self.content, self._inode(node), change, fh)

    def drop_privileges(self, node: Node) -> None:
        """Take set-uid and set-gid off a file that is about to be changed, as the kernel asks."""
        override = self._inode(node).override
        if override is not None and override.mode is not None:
            override.mode &= ~(stat.S_ISUID | stat.S_ISGID)

    async def access(self, request: Request, node: Node, mask: int) -> None:
        """Answer access(2); raises OSError(EACCES) for no."""
        namespace.check_access(self.volume, self._inode(node), mask)

    async def statfs(self, request: Request) -> Space:
        """Tell how large and how full the share is."""
        return await namespace.statfs(self.volume)

    def getxattr_now(self, request: Request, node: Node, name: bytes) -> bytes | Miss:
        """Tell the value of an extended attribute that need not be asked for."""
        return xattrs.get_now(self.volume, self._inode(node), name)

    async def getxattr(self, request: Request, node: Node, name: bytes) -> bytes:
        """Tell the value of an extended attribute."""
        return await xattrs.get(self.volume, self._inode(node), name)

    async def setxattr(
        self, request: Request, node: Node, name: bytes, value: bytes, flags: int
    ) -> None:
        """Set an extended attribute, with the flags of setxattr(2)."""
        await xattrs.put(self.volume, self._inode(node), name, value, flags)

    async def listxattr(self, request: Request, node: Node) -> list[bytes]:
        """Tell the names of all extended attributes."""
        return await xattrs.names(self.volume, self._inode(node))

    async def removexattr(self, request: Request, node: Node, name: bytes) -> None:
        """Remove an extended attribute."""
        await xattrs.remove(self.volume, self._inode(node), name)

    async def get_flags(self, request: Request, node: Node) -> int:
        """Tell the flags of lsattr(1), in FS_IOC_GETFLAGS's bits."""
        return await file_flags.get(self.volume, self._inode(node))

    async def set_flags(self, request: Request, node: Node, flags: int) -> None:
        """Set the flags of chattr(1) to just these; raises OSError(EOPNOTSUPP) for unknown ones."""
        await file_flags.put(self.volume, self._inode(node), flags)

    # Directories

    async def opendir(self, request: Request, node: Node) -> Opened:
        """Open a directory; its first entries come along."""
        fh = FileHandle(next(self._directories))
        await listing.opendir(self.volume, self._inode(node), fh)
        if self._ahead is not None:
            self._ahead.listing(self._inode(node), request.pid)
        return Opened(fh)

    def readdir_now(
        self, request: Request, fh: FileHandle, after: int
    ) -> list[DirectoryItem] | Miss:
        """Tell the entries behind a cookie if they are at hand."""
        return listing.of(self.volume, fh).items_now(after)

    async def readdir(self, request: Request, fh: FileHandle, after: int) -> list[DirectoryItem]:
        """Tell some entries behind a cookie, without ``.`` and ``..``; none at the end.

        Cookies begin at 2: a server that adds the two may give them 1 and 2.
        """
        return await listing.of(self.volume, fh).items(after)

    def dots(self, fh: FileHandle) -> list[DirectoryItem]:
        """Tell the entries ``.`` and ``..`` of an open directory; they count as no lookup."""
        return listing.of(self.volume, fh).dots()

    def listed(self, node: Node) -> None:
        """Note that the kernel took an entry of a listing: it holds the node once more."""
        self.volume.inodes.looked_up(self._inode(node))

    async def releasedir(self, request: Request, fh: FileHandle) -> None:
        """Close a directory."""
        listing.releasedir(self.volume, fh)

    def give_up_directory(self, fh: FileHandle) -> None:
        """Close a directory that the kernel did not get to know as open."""
        listing.releasedir(self.volume, fh)

    async def fsyncdir(self, request: Request, fh: FileHandle) -> None:
        """Succeed: what changes names was answered only when the server had done it."""

    # Files

    async def open(self, request: Request, node: Node, flags: int) -> Opened:
        """Open a file, with the flags of open(2)."""
        inode = self._inode(node)
        if self._ahead is not None:
            self._ahead.opened(inode, flags)
        return await making.open_(self.volume, self.content, inode, flags)

    async def create(
        self, request: Request, parent: Node, name: bytes, mode: int, flags: int
    ) -> tuple[Opened, Entry]:
        """Create a file and open it; without O_EXCL one that is there is opened."""
        directory = self._inode(parent)
        return await making.create(self.volume, self.content, directory, name, mode, flags)

    def read_now(
        self, request: Request, fh: FileHandle, offset: int, size: int
    ) -> list[memoryview] | Miss:
        """Tell bytes of a file that are at hand."""
        return self.content.read_now(fh, offset, size)

    async def read(
        self, request: Request, fh: FileHandle, offset: int, size: int
    ) -> list[memoryview]:
        """Tell bytes of a file; fewer than asked only at its end."""
        return await self.content.read(fh, offset, size)

    def write_now(self, request: Request, fh: FileHandle, offset: int, data: Blob) -> int | Miss:
        """Take bytes for a file if there is room and nothing went wrong before."""
        return self.content.write_now(fh, offset, data)

    async def write(self, request: Request, fh: FileHandle, offset: int, data: Blob) -> int:
        """Take bytes for a file; an error may be told by a later write, flush or fsync."""
        return await self.content.write(fh, offset, data)

    def flush_now(self, request: Request, fh: FileHandle) -> Miss | None:
        """Do what close(2) promises if there is nothing to wait for."""
        if not self.content.is_settled(fh):
            return MISS
        return MISS if lockdoor.has_some(self.content.of(fh), request.lock_owner) else None

    async def flush(self, request: Request, fh: FileHandle) -> None:
        """Do what close(2) promises: everything is sent, and what was lost is told.

        With it go the locks that the process had on the file through whatever descriptor.
        """
        try:
            await self.content.flush(fh)
        finally:
            await lockdoor.closed_by(self.content.of(fh), request.lock_owner)

    async def fsync(self, request: Request, fh: FileHandle, datasync: bool) -> None:
        """Bring a file to the server's disk."""
        await self.content.fsync(fh)

    def release_now(self, request: Request, fh: FileHandle) -> Miss | None:
        """Give up an open file if nothing that it began is under way."""
        return None if self.content.release_now(fh) else MISS

    async def release(self, request: Request, fh: FileHandle) -> None:
        """Give up an open file, and every lock that was taken through it."""
        try:
            await lockdoor.released(self.content.of(fh))
        finally:
            await self.content.release(fh)

    def give_up(self, fh: FileHandle) -> None:
        """Close a file that the kernel did not get to know as open."""
        self.content.release_soon(fh)

    # Locks

    async def getlk(self, request: Request, fh: FileHandle, lock: Lock) -> Lock | None:
        """Tell which lock is in the way of one; None if it can be had."""
        return await lockdoor.of(self.volume, self.content.of(fh)).get(self.content.of(fh), lock)

    async def setlk(self, request: Request, fh: FileHandle, lock: Lock, wait: bool) -> None:
        """Lock or unlock a range; raises OSError EAGAIN, EDEADLK or ENOLCK."""
        opened = self.content.of(fh)
        await lockdoor.of(self.volume, opened).set(opened, lock, wait=wait)

    # Files, beyond reading and writing

    async def tmpfile(
        self, request: Request, parent: Node, mode: int, flags: int
    ) -> tuple[Opened, Entry]:
        """Make and open a file without a name; `link` gives it one unless flags have O_EXCL."""
        return await tmpfiles.tmpfile(self.volume, self.content, self._inode(parent), mode, flags)

    async def copy_file_range(
        self,
        request: Request,
        fh_in: FileHandle,
        offset_in: int,
        fh_out: FileHandle,
        offset_out: int,
        size: int,
    ) -> int:
        """Have the server copy; how many bytes, maybe fewer than asked, 0 at the source's end."""
        source, target = self.content.of(fh_in), self.content.of(fh_out)
        return await copying.copy(self.volume, source, offset_in, target, offset_out, size)

    async def fallocate(
        self, request: Request, fh: FileHandle, mode: int, offset: int, length: int
    ) -> None:
        """Reserve room, make zeros or a hole, with the modes of fallocate(2)."""
        await allocation.fallocate(self.volume, self.content.of(fh), mode, offset, length)

    def seek_now(self, request: Request, fh: FileHandle, offset: int, whence: int) -> int | Miss:
        """Tell where data or a hole begins if no server need be asked."""
        return seeking.seek_now(self.volume, self.content.of(fh), offset, whence)

    async def seek(self, request: Request, fh: FileHandle, offset: int, whence: int) -> int:
        """Tell where data (3) or a hole (4) begins; raises OSError(ENXIO) behind the last."""
        return await seeking.seek(self.volume, self.content.of(fh), offset, whence)
