"""One lease: what may be kept under it now, and what a break takes away.

Pure.  The state is what the server last said, by epochs where it counts them ([MS-SMB2]
3.2.5.19.2): a break may overtake the answer that granted what it breaks, and an old answer must
not bring back what a newer break took.

Easily broken: a break holds from the moment it is read, before any duty is done; a lease that a
lost connection granted is none; and what was kept before the state fell and rose again is stale,
which `since_s` tells.
"""

from __future__ import annotations

from dataclasses import dataclass

READ, HANDLE, WRITE = 1, 2, 4  # SMB2_LEASE_*_CACHING, [MS-SMB2] 2.2.13.2.8
EPOCHS = 1 << 16
NEVER_S = float("inf")


def is_newer(epoch: int, than: int) -> bool:
    """Whether one epoch comes after another, in 16 bits that wrap."""
    return 0 < (epoch - than) % EPOCHS < EPOCHS // 2


@dataclass(slots=True, eq=False)
class Lease:
    """What the server lets us keep of one file, under the key that names it."""

    key: bytes
    state: int = 0
    epoch: int = 0
    since_s: float = NEVER_S  # since when reading may be cached without a gap
    is_oplock: bool = False  # of one handle, whose file id is the key
    is_contended: bool = False  # others have the file open: it was asked for writing and not given
    asked: int = 0  # answers to CREATEs with this key that are still to come
    is_anew: bool = False  # the connection that granted it is lost: any epoch may come next
    coming: int = 0  # those, and handles that were opened and are in nobody's hands yet
    _taken: int = 0  # what breaks took while an answer was still to come
    _asked_s: float = 0.0  # when the last CREATE with this key was sent

    @property
    def may_read(self) -> bool:
        """Whether nobody else changes the bytes without our hearing of it."""
        return bool(self.state & READ)

    @property
    def may_keep_handle(self) -> bool:
        """Whether a handle may stay open that nobody uses."""
        return bool(self.state & HANDLE)

    @property
    def may_write(self) -> bool:
        """Whether nobody else has the file open for its data."""
        return bool(self.state & WRITE)

    def asking(self, now_s: float) -> None:
        """Note that a CREATE with this key goes out; `answered` or `refused` must follow.

        After `answered` comes `arrived`, when the handle is somebody's or is given up.
        """
        if not self.asked:
            self._taken = 0
        self.asked += 1
        self.coming += 1
        self._asked_s = now_s

    def refused(self) -> None:
        """Note that a CREATE came to nothing."""
        self.asked -= 1
        self.coming -= 1

    def unchanged(self) -> None:
        """Take an answer to a CREATE that says nothing of the state: a break is on its way."""
        self.asked -= 1

    def arrived(self) -> None:
        """Note that a handle which was opened with this key is where it belongs, or closed."""
        self.coming -= 1

    def answered(self, state: int, epoch: int | None) -> None:
        """Take what a CREATE was granted; ``epoch`` is None where the server counts none.

        It holds from when the CREATE was sent: what came with it is as good as what comes after.
        """
        self.asked -= 1
        if epoch is None:
            self._set(state & ~self._taken, self._asked_s)
        elif self.is_anew or epoch == self.epoch or is_newer(epoch, self.epoch):
            self.epoch, self.is_anew = epoch, False
            self._set(state, self._asked_s)

    def broken(self, left: int, epoch: int | None, now_s: float) -> int | None:
        """Take a break in at once: what it takes of what was held, None if it is an old one."""
        if epoch is not None:
            if not self.is_anew and not is_newer(epoch, self.epoch):
                return None
            was_missed = self.is_anew or (epoch - self.epoch) % EPOCHS > 1
            self.epoch, self.is_anew = epoch, False
        else:
            was_missed = False
        self._taken |= ~left & (READ | HANDLE | WRITE)
        lost = self.state & ~left
        if was_missed:  # something between was not heard: what was read may be stale
            lost |= self.state & READ
            self.since_s = now_s
        self._set(self.state & left, now_s)
        return lost

    def lost(self) -> None:
        """Note that the connection which granted it is lost; its key is asked with again."""
        self._set(0, 0.0)
        self.is_anew = True

    def _set(self, state: int, now_s: float) -> None:
        if not state & READ:
            self.since_s = NEVER_S
        elif self.since_s == NEVER_S:
            self.since_s = now_s
        self.state = state
