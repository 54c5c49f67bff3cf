"""Leases and oplocks as a server speaks of them: asked for, granted, broken, acknowledged.

Pure.  Above this room there are only leases: an oplock is a lease whose key is the file id of its
one handle ([MS-SMB2] 3.2.5.19.1), so that one rule serves every dialect.  Nothing is kept here;
what a state allows is `smbfs.cache.lease`'s business.

Easily broken: a break comes unsigned, so anybody may have sent it; it may make us give up and
never keep.  And what is acknowledged must be part of what the break left us.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from smbfs.engine.dialect import Capabilities
from smbfs.engine.exchange import Ask
from smbfs.wire.codec import WireError
from smbfs.wire.constants import BreakFlags, LeaseFlags, LeaseState, Oplock
from smbfs.wire.contexts import REQUEST_LEASE, LeaseV1, LeaseV2, create_contexts, lease
from smbfs.wire.file_messages import CreateResponse
from smbfs.wire.messages import (
    LeaseBreakAcknowledgment,
    OplockBreakAcknowledgment,
    OplockBreakNotification,
    break_notification,
)

_30 = 0x0300
R, H, W = LeaseState.READ, LeaseState.HANDLE, LeaseState.WRITE
STATES = frozenset({0, R, R | H, R | W, R | H | W})  # no others exist ([MS-SMB2] 2.2.13.2.8)
OF_LEVEL = {Oplock.LEVEL_II: R, Oplock.EXCLUSIVE: R | W, Oplock.BATCH: R | H | W}


@dataclass(frozen=True, slots=True)
class Wish:
    """A lease to ask for; ``epoch`` is the last one known, ``parent`` the directory's own key."""

    key: bytes
    state: int
    epoch: int = 0
    parent: bytes = b""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a CREATE was given; ``is_oplock`` if it belongs to its one handle."""

    key: bytes
    state: int
    epoch: int = 0
    is_oplock: bool = False
    has_epoch: bool = False
    is_breaking: bool = False  # nothing new: what was held before holds until the break is heard


@dataclass(frozen=True, slots=True)
class Break:
    """What a server wants back: all that is not ``left``."""

    key: bytes
    left: int
    epoch: int = 0
    must_ack: bool = False
    is_oplock: bool = False


def within(wish: Wish | None, parent: bytes) -> Wish:
    """The same wish, or one for nothing, by who has a lease on the directory with this key.

    The server then does not break that lease for what is done by this open ([MS-SMB2] 3.3.5.9.11).
    """
    return replace(wish or Wish(os.urandom(16), 0), parent=parent)


def asking(wish: Wish, capabilities: Capabilities) -> tuple[int, tuple[tuple[bytes, bytes], ...]]:
    """The oplock level and the create contexts that ask for a lease of this server."""
    if not capabilities.leasing:
        return (Oplock.BATCH if wish.state & W else Oplock.LEVEL_II), ()
    if capabilities.dialect < _30:
        data = bytes(LeaseV1(lease_key=wish.key, lease_state=wish.state))
    else:
        flags = LeaseFlags.PARENT_LEASE_KEY_SET if wish.parent else 0
        data = bytes(
            LeaseV2(
                lease_key=wish.key,
                lease_state=wish.state,
                lease_flags=flags,
                parent_lease_key=wish.parent or bytes(16),
                epoch=wish.epoch,
            )
        )
    return Oplock.LEASE, ((REQUEST_LEASE, data),)


def granted(opened: CreateResponse, wish: Wish) -> Grant | None:
    """What the answer to a CREATE grants of a wish, or None; raises WireError for nonsense."""
    if opened.oplock_level != Oplock.LEASE:
        state = OF_LEVEL.get(opened.oplock_level, 0) & wish.state
        return Grant(bytes(opened.file_id), state, is_oplock=True) if state else None
    data = create_contexts(memoryview(opened.contexts)).get(REQUEST_LEASE)
    if data is None:
        return None
    told = lease(data)
    if bytes(told.lease_key) != wish.key:
        raise WireError("a lease was granted that nobody asked for")
    # More than was asked for obliges us to nothing and is not kept.
    state = told.lease_state & wish.state if told.lease_state in STATES else 0
    if told.lease_flags & LeaseFlags.BREAK_IN_PROGRESS:
        # The break that tells what is left is under way, and there are duties before that.
        return Grant(wish.key, 0, is_breaking=True)
    if isinstance(told, LeaseV2):
        return Grant(wish.key, state, told.epoch, has_epoch=True)
    return Grant(wish.key, state)


def read_break(view: memoryview) -> Break:
    """Read the break notification of a whole message; raises WireError ([MS-SMB2] 2.2.23)."""
    told = break_notification(view)
    if isinstance(told, OplockBreakNotification):
        left = OF_LEVEL.get(told.oplock_level, 0) & R
        # A break to nothing of a level II oplock is acknowledged by nobody: the holder knows.
        return Break(bytes(told.file_id), left, must_ack=True, is_oplock=True)
    left = told.new_lease_state if told.new_lease_state in STATES else 0
    must_ack = bool(told.flags & BreakFlags.ACK_REQUIRED)
    return Break(bytes(told.lease_key), left, told.new_epoch, must_ack)


def acknowledging(broken: Break, state: int) -> Ask:
    """Tell the server that the duties of a break are done, and what is kept ([MS-SMB2] 2.2.24)."""
    if broken.is_oplock:
        level = Oplock.LEVEL_II if state & R else Oplock.NONE
        return Ask(OplockBreakAcknowledgment(oplock_level=level, file_id=broken.key), urgent=True)
    return Ask(LeaseBreakAcknowledgment(lease_key=broken.key, lease_state=state), urgent=True)
