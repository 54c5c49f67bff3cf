"""The leases of one mount: which key belongs to which file, and what follows when one is broken.

A key is made before the CREATE that asks with it and is known here from then on, for the break may
be here before the answer.  All opens of a file ask with the same key, or they would break each
other.  A break takes effect where it is heard, in `broken`, which never waits; then its duties are
done in a task of their own and in this order: send what is unsent, close idle handles, have the
kernel drop its pages, acknowledge.

Easily broken: no duty may wait for a file's door, which whoever caused the break may hold; and the
acknowledgement never waits for ever, or the other machine would.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from smbfs.cache.lease import HANDLE, READ, WRITE, Lease
from smbfs.engine.handle import Handle
from smbfs.engine.leasing import Break, Wish

if TYPE_CHECKING:
    from smbfs.vfs.idle import IdleHandles
    from smbfs.vfs.openfile import File
    from smbfs.vfs.volume import Volume

FLUSH_S = 25.0  # servers wait some 35 s for an acknowledgement and then take what they wanted
EARLY = 64  # breaks of oplocks that came before we knew their handle


@dataclass(slots=True)
class Leases:
    """What the server has granted us, by key."""

    is_wanted: bool = True
    gives_writes: bool = False  # the server has let us cache writes of some file
    _leases: dict[bytes, Lease] = field(default_factory=dict)
    _files: dict[Lease, File] = field(default_factory=dict)
    _early: OrderedDict[bytes, Break] = field(default_factory=OrderedDict)
    _directories: dict[bytes, Callable[[], None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._leases)

    def wanted(self, file: File | None) -> Lease | None:
        """The lease to ask for when a file is opened; None if none shall be."""
        if not self.is_wanted:
            return None
        if file is not None and file.lease is not None:
            # Two handles of ours would break each other's oplocks.
            return None if file.lease.is_oplock else file.lease
        lease = Lease(os.urandom(16))
        self._leases[lease.key] = lease
        return lease

    def of_directory(self, on_break: Callable[[], None]) -> Lease:
        """A lease to ask for when a directory is opened; it is told when it does not hold."""
        lease = Lease(os.urandom(16))
        self._leases[lease.key] = lease
        self._directories[lease.key] = on_break
        return lease

    def answered(self, lease: Lease, handle: Handle, writes: bool) -> None:
        """Take what a CREATE that asked for a lease was granted."""
        grant = handle.grant
        if grant is None:
            lease.answered(0, None)
            lease.is_contended |= writes and self.gives_writes
            return
        if grant.is_breaking:
            lease.unchanged()
            return
        if grant.is_oplock and lease.key != grant.key:
            self._rekey(lease, grant.key)
        lease.answered(grant.state, grant.epoch if grant.has_epoch else None)
        if grant.is_oplock and (early := self._early.pop(grant.key, None)) is not None:
            lease.broken(early.left, None, trio.current_time())
        if writes or lease.may_write:
            self.gives_writes |= lease.may_write
            # Who is given less than the whole has company.
            lease.is_contended = not lease.may_write and (lease.may_read or self.gives_writes)

    def _rekey(self, lease: Lease, key: bytes) -> None:
        self._leases.pop(lease.key, None)
        lease.key, lease.is_oplock = key, True
        self._leases[key] = lease

    def given_up(self, lease: Lease) -> None:
        """Note that a handle that was opened under a lease comes to nothing."""
        file = self._files.get(lease)
        if file is None:
            self.forget(lease)
        else:
            file.ended_if_unused()

    def own(self, lease: Lease, file: File) -> None:
        """Note which file a lease is of."""
        self._leases[lease.key] = lease
        self._files[lease] = file

    def forget(self, lease: Lease) -> None:
        """Note that no handle with this key is left: the server has forgotten it as well."""
        self._leases.pop(lease.key, None)
        self._files.pop(lease, None)
        self._directories.pop(lease.key, None)
        lease.state = 0

    def knows(self, key: bytes) -> bool:
        """Whether a key stands for a lease of ours."""
        return key in self._leases

    def taken(self, broken: Break) -> tuple[Lease, File | None, int] | None:
        """Take a break in: of which lease, of which file, what is lost; None if it is not ours."""
        lease = self._leases.get(broken.key)
        if lease is None:
            if broken.is_oplock:
                self._early[broken.key] = broken
                while len(self._early) > EARLY:
                    self._early.popitem(last=False)
            return None
        lost = lease.broken(broken.left, broken.epoch or None, trio.current_time())
        if lost is None:
            return None
        lease.is_contended |= bool(lost & WRITE)
        if (on_break := self._directories.get(lease.key)) is not None:
            on_break()
        return lease, self._files.get(lease), lost

    def lost_all(self) -> list[tuple[File, int]]:
        """Give up everything: the connection that granted it is gone.

        The keys of open files stay: the server may have kept the files, and by another key an open
        would be a stranger's to it.
        """
        fallen = [(file, lease.state) for lease, file in self._files.items()]
        kept = {one: file for one, file in self._files.items() if file.opens and not one.is_oplock}
        for lease in list(self._leases.values()):
            lease.lost()
        for on_break in list(self._directories.values()):
            on_break()
        self._leases = {lease.key: lease for lease in kept}
        self._files = kept
        self._directories.clear()
        self._early.clear()
        return fallen


def wish_of(lease: Lease, writes: bool) -> Wish:
    """What to ask for: who only reads does not keep others from caching as well."""
    state = READ | HANDLE | (WRITE if writes else 0) | lease.state
    return Wish(lease.key, state, lease.epoch)


class Coherence:
    """Who hears the server's breaks and does what they demand."""

    def __init__(
        self,
        volume: Volume,
        leases: Leases,
        idle: IdleHandles,
        nursery: trio.Nursery,
        on_loss: Callable[[], None],
    ) -> None:
        self._volume = volume
        self._on_loss = on_loss
        self._leases = leases
        self._idle = idle
        self._nursery = nursery
        volume.share.hear(self.broken, self.lost)

    def broken(self, broken: Break) -> None:
        """Let a break take effect, and have its duties done; called by who reads the socket."""
        taken = self._leases.taken(broken)
        if taken is None:
            if broken.must_ack and not broken.is_oplock and not self._leases.knows(broken.key):
                # A handle that is being closed may have had it: whoever waits shall not wait on.
                self._nursery.start_soon(self._volume.share.acknowledge, broken, 0)
            return
        lease, file, lost = taken
        # An oplock that only let us read is broken without an answer ([MS-SMB2] 3.2.5.19.1).
        must_ack = broken.must_ack and not (broken.is_oplock and lost | lease.state == READ)
        if file is not None:
            self._fall(file, lost)
        self._nursery.start_soon(self._do, broken, lease, file, lost, must_ack)

    def lost(self) -> None:
        """Let go of everything that the lost connection had granted."""
        for file, state in self._leases.lost_all():
            if file.lease is None or not self._leases.knows(file.lease.key):
                file.lease = None
            self._fall(file, state)
            self._idle.close_of(file.inode)
        self._on_loss()

    def _fall(self, file: File, lost: int) -> None:
        """Believe no more, from this moment on, what a lease stood for."""
        volume, inode = self._volume, file.inode
        file.fell(lost)
        if lost & READ:
            volume.inodes.changed(inode)
            volume.kernel.attributes_changed(inode.node)
        if lost & HANDLE:
            for parent, name in inode.places:
                volume.kernel.name_changed(parent.node, name)

    async def _do(
        self, broken: Break, lease: Lease, file: File | None, lost: int, must_ack: bool
    ) -> None:
        if file is not None:
            if lost & WRITE:
                with trio.move_on_after(FLUSH_S):
                    await file.sent()
                    if file.locks is not None:
                        await file.locks.push()
            if lost & HANDLE:
                self._idle.close_of(file.inode)
            if lost & READ:
                await self._volume.dropped(file.inode)
        if must_ack and not file_is_closed(file):
            await self._volume.share.acknowledge(broken, lease.state & broken.left)


def file_is_closed(file: File | None) -> bool:
    """Whether a CLOSE has told the server all that an acknowledgement could."""
    return file is not None and file.lease is None and not file.opens
