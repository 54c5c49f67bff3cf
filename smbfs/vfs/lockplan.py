"""Which locks one handle must have on the server, and how to get there from those it has.

Pure.  `plan` compares what the server holds for us with what is needed and answers with actions.
SMB's rules behind it: an unlock names a whole lock; an exclusive lock tolerates nothing under it,
of its own handle neither; a shared one of the same handle may lie on it; of several locks on one
range the exclusive one goes first.

Easily broken: nothing that is needed before and after is ever let go in between, but for a shared
lock that is to become exclusive (`Swap`).  So a part of an exclusive lock is not given back: it
would have to be let go as a whole first, and another client could get in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from smbfs.vfs.spans import Span, common, meeting, minus, union


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One lock on the server, or one range that must be locked."""

    start: int
    end: int
    is_exclusive: bool

    @property
    def span(self) -> Span:
        """Where it lies."""
        return self.start, self.end


@dataclass(frozen=True, slots=True)
class Take:
    """Lock a range; if that is refused nothing is lost."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class Swap:
    """Let shared locks go and take exclusive ones in their place, all in one go."""

    drops: tuple[Segment, ...]
    takes: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """Let a lock go."""

    segment: Segment


Action = Take | Swap | Drop


def plan(held: Iterable[Segment], need: Sequence[Segment]) -> list[Action]:
    """What to do, in this order, so that all that is needed is locked and no more than must be."""
    held, right = list(held), set(need)
    exclusive = union(one.span for one in need if one.is_exclusive)
    wanted = union(one.span for one in need)
    shared = [one for one in held if not one.is_exclusive]
    unmet = right.difference(held)  # mostly one, and what is held as it is needed is not weighed
    lacking = [one.span for one in unmet if one.is_exclusive]
    missing = minus(lacking, [one.span for one in held if one.is_exclusive])
    gains = common(missing, [one.span for one in shared])
    swapped = [one for one in shared if meeting(one.span, gains)]
    kept = [one for one in held if one.is_exclusive or not meeting(one.span, gains)]
    takes = [Segment(*span, True) for span in minus(missing, gains)]
    # What stays shared of those that are swapped is locked anew before they go.
    there = [*(one.span for one in kept), *missing]
    takes += [Segment(*span, False) for span in minus([one.span for one in unmet], there)]
    actions: list[Action] = [Take(one) for one in takes]
    kept += takes
    if gains:
        swap = Swap(tuple(swapped), tuple(Segment(*span, True) for span in gains))
        actions.append(swap)
        kept += swap.takes
    for cluster in _clusters(kept):
        if len(cluster) > 1 or cluster[0] not in right:
            actions += _releases(cluster, right, exclusive, wanted)
    return actions


def _clusters(held: list[Segment]) -> Iterator[list[Segment]]:
    """Those that lie on each other together: to let one go is a question for these alone."""
    cluster: list[Segment] = []
    end = 0
    for segment in sorted(held, key=lambda one: one.span):
        if cluster and segment.start >= end:
            yield cluster
            cluster, end = [], 0
        cluster.append(segment)
        end = max(end, segment.end)
    if cluster:
        yield cluster


def _releases(
    held: list[Segment], right: set[Segment], exclusive: list[Span], wanted: list[Span]
) -> list[Action]:
    """Let go what is not needed, but stack shared locks first on what stays.

    What is ``right``, held as it is needed, stays, once.
    """
    actions: list[Action] = []
    stay = right.intersection(held)
    doubtful = list((Counter(held) - Counter(stay)).elements())
    # The exclusive ones first, or an unlock of a shared one on the same range would take them.
    for segment in sorted(doubtful, key=lambda one: (not one.is_exclusive, one.end - one.start)):
        rest = list(held)
        rest.remove(segment)
        needed = meeting(segment.span, wanted)
        stays = minus(needed, [one.span for one in rest])
        if segment.is_exclusive:
            is_kept = bool(meeting(segment.span, exclusive))
        else:
            is_under = any(one.is_exclusive and one.span == segment.span for one in rest)
            is_kept = is_under or bool(stays and needed == [segment.span])
        if is_kept:
            continue
        stacked = [Segment(*span, False) for span in stays]
        actions += [Take(one) for one in stacked]
        actions.append(Drop(segment))
        held = rest + stacked
    return actions
