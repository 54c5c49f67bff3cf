"""Who has locked what in one open file, as fcntl(2) and flock(2) mean it.

Pure.  Locks of fcntl (OFD locks among them) and of flock live in two worlds that do not see each
other, as on any Linux filesystem.  `LockTable.need` says what the server must hold so that all of
it is true for others too.

Easily broken: what is waited for on the server counts as locked here, for whoever it may be, or
a lock of ours could lie on it unseen once it was granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from smbfs.fuse.server import LOCK_END, FileHandle, Lock, LockType
from smbfs.vfs.lockplan import Segment
from smbfs.vfs.spans import Span, common, meeting, minus, union

# flock locks one byte where no data can be: SMB's locks keep others from reading and writing, and
# flock must not.  It is the last one there can be, so that fcntl's ranges end before it and the
# two worlds stay apart; cifs.ko locks whole files up to and including it.
FLOCK_BYTE = LOCK_END - 1
MOST_LOCKS = 10_000  # on one file; every lock call looks at all of them

Owner = int


@dataclass(frozen=True, slots=True)
class Held:
    """A range that somebody has locked, and through which open file."""

    lock: Lock
    fh: FileHandle


@dataclass(slots=True, eq=False)
class Pending:
    """A lock that the server was asked for, to be granted when it can."""

    lock: Lock
    fh: FileHandle
    is_granted: bool = False

    def grant(self) -> None:
        """Note that the server has locked it."""
        self.is_granted = True


def segment_of(lock: Lock) -> Segment:
    """The lock on the server that stands for one here; it may be empty, for none."""
    return Segment(*span_of(lock), lock.type is LockType.WRITE)


def span_of(lock: Lock) -> Span:
    """The bytes on the server that stand for those of a lock here; it may be empty, for none."""
    if lock.is_flock:
        return FLOCK_BYTE, FLOCK_BYTE + 1
    end = min(lock.end, FLOCK_BYTE)
    return min(lock.start, end), end


@dataclass(slots=True)
class LockTable:
    """The locks on one file."""

    held: list[Held] = field(default_factory=list)
    pending: list[Pending] = field(default_factory=list)

    # Questions

    def conflicts(self, lock: Lock, own: Pending | None = None) -> list[Lock]:
        """What is in the way of a lock; ``own`` is not, the request that asked for it."""
        held = [one.lock for one in self.held if not is_same_owner(one.lock, lock)]
        pending = [one.lock for one in self.pending if one is not own]
        return [one for one in held + pending if _conflict(one, lock)]

    def of(self, lock: Lock) -> list[Held]:
        """What the owner of a lock has locked in the range of that lock."""
        mine = [one for one in self.held if is_same_owner(one.lock, lock)]
        return [one for one in mine if _overlap(one.lock, lock)]

    def of_owner(self, owner: Owner) -> list[Held]:
        """What a process has locked with fcntl."""
        mine = [one for one in self.held if not one.lock.is_flock]
        return [one for one in mine if one.lock.owner == owner]

    def of_handle(self, fh: FileHandle) -> list[Held]:
        """What was locked through an open file."""
        return [one for one in self.held if one.fh == fh]

    def need(self, also: Lock | None = None) -> list[Segment]:
        """What the server must hold: the strongest that anybody needs, ``also`` if it is given."""
        held = self.held if also is None else self._with(also, FileHandle(0))
        locks = [one.lock for one in held]
        locks += [one.lock for one in self.pending if one.is_granted]
        exclusive = union(span_of(one) for one in locks if one.type is LockType.WRITE)
        others = [span_of(one) for one in locks if one.type is not LockType.WRITE]
        found = [Segment(*span, True) for span in exclusive]
        return sorted(found + [Segment(*span, False) for span in minus(others, exclusive)])

    def is_full(self, lock: Lock, fh: FileHandle) -> bool:
        """Whether there are too many locks for one more; an unlock may make one of one two."""
        count = len(self.held)
        return count >= MOST_LOCKS and len(self._with(lock, fh)) > count

    # Changes

    def set(self, lock: Lock, fh: FileHandle) -> None:
        """Lock or unlock a range, whatever its owner had there before."""
        self.held = self._with(lock, fh)

    def weaken(self, lock: Lock) -> None:
        """Let what its owner has in the range of a lock be no stronger than that lock."""
        held: list[Held] = []
        for one in self.held:
            mine, span = one.lock, (lock.start, lock.end)
            if not (is_same_owner(mine, lock) and mine.type > lock.type):
                held.append(one)
                continue
            for kind, spans in ((mine.type, minus), (lock.type, common)):
                for start, end in spans([(mine.start, mine.end)], [span]):
                    held.append(replace(one, lock=replace(mine, type=kind, start=start, end=end)))
        self.held = held

    def drop(self, gone: Iterable[Held]) -> None:
        """Let some of what is held go."""
        dropped = set(gone)
        self.held = [one for one in self.held if one not in dropped]

    def lose(self, spans: list[Span]) -> list[Lock]:
        """Forget every lock that has a byte in these spans of the server; answers which."""
        if not spans:
            return []
        gone = union(spans)
        lost = [one for one in self.held if meeting(span_of(one.lock), gone)]
        self.drop(lost)
        return [one.lock for one in lost]

    def _with(self, lock: Lock, fh: FileHandle) -> list[Held]:
        """What is held once a lock is set."""
        held: list[Held] = []
        for one in self.held:
            if not (is_same_owner(one.lock, lock) and _overlap(one.lock, lock)):
                held.append(one)
                continue
            for start, end in minus([(one.lock.start, one.lock.end)], [(lock.start, lock.end)]):
                held.append(replace(one, lock=replace(one.lock, start=start, end=end)))
        if lock.type is not LockType.UNLOCK:
            held.append(_joined(held, Held(lock, fh)))
        return held


def _joined(held: list[Held], new: Held) -> Held:
    """Make one of a new range and its neighbours of the same kind, which leave the list."""
    near = [
        one
        for one in held
        if one.fh == new.fh and one.lock.start <= new.lock.end and new.lock.start <= one.lock.end
    ]
    for one in near:
        if replace(one.lock, start=new.lock.start, end=new.lock.end) == new.lock:
            held.remove(one)
            start, end = min(one.lock.start, new.lock.start), max(one.lock.end, new.lock.end)
            new = replace(new, lock=replace(new.lock, start=start, end=end))
    return new


def is_same_owner(one: Lock, other: Lock) -> bool:
    """Whether two locks never are in each other's way."""
    return one.owner == other.owner and one.is_flock == other.is_flock


def _overlap(one: Lock, other: Lock) -> bool:
    return one.start < other.end and other.start < one.end


def _conflict(one: Lock, other: Lock) -> bool:
    is_any_exclusive = LockType.WRITE in (one.type, other.type)
    return one.is_flock == other.is_flock and is_any_exclusive and _overlap(one, other)


@dataclass(slots=True)
class WaitGraph:
    """Which owners of fcntl locks wait for which others, in all files of a mount.

    flock knows no deadlocks, and neither do locks that other machines hold.
    """

    _waits: list[tuple[Owner, frozenset[Owner]]] = field(default_factory=list)

    def would_close(self, owner: Owner, others: Iterable[Owner]) -> bool:
        """Whether somebody would wait for himself if he waited for these."""
        seen: set[Owner] = set()
        todo = set(others)
        while todo:
            if owner in todo:
                return True
            seen |= todo
            todo = set(self._waited_for_by(todo)) - seen
        return False

    def begin(self, owner: Owner, others: Iterable[Owner]) -> tuple[Owner, frozenset[Owner]]:
        """Note that somebody waits; what is returned ends it."""
        wait = owner, frozenset(others)
        self._waits.append(wait)
        return wait

    def end(self, wait: tuple[Owner, frozenset[Owner]]) -> None:
        """Note that a wait is over."""
        self._waits.remove(wait)

    def _waited_for_by(self, owners: set[Owner]) -> Iterator[Owner]:
        for owner, others in self._waits:
            if owner in owners:
                yield from others
