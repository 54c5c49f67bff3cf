"""One share as the filesystem above sees it: do something to a path, or open it.

Knows how things are asked in the fewest turnarounds: a path operation is one chain of CREATE, the
steps and CLOSE.  Paths are in wire form, relative to the mounted directory; errors carry them.
Knows no caches and no POSIX.

Rule easily broken: whatever goes wrong after a CREATE succeeded, and whenever its answer comes,
the handle is closed on the server (`Handle.close_soon`, `_close_if_opened`).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import trio

from smbfs.engine.compound import (
    Manners,
    ask_all,
    close_ask,
    judged,
    outcome,
    results,
)
from smbfs.engine.durable import promised, reclaiming, requesting
from smbfs.engine.exchange import Ask, Reply
from smbfs.engine.facts import FACTS, ShareFacts, facts_of
from smbfs.engine.handle import Handle
from smbfs.engine.how import How
from smbfs.engine.information import Information, from_create
from smbfs.engine.leasing import Break, Grant, Wish, acknowledging, asking, granted, within
from smbfs.engine.link import Link
from smbfs.engine.session import Tree
from smbfs.engine.steps import Listing, Step, Where, joined, query_all
from smbfs.engine.turns import WindowShrank
from smbfs.errors import ConnectionLost, ServerAway, ServerSilent, SmbError, StatusError
from smbfs.wire.codec import WireError
from smbfs.wire.constants import Access, Oplock, Options
from smbfs.wire.contexts import pack_create
from smbfs.wire.file_messages import CreateRequest, CreateResponse
from smbfs.wire.header import RELATED_FILE_ID
from smbfs.wire.status import Status
from smbfs.wire.units import utf16

__all__ = ["How", "Share", "ShareFacts"]

log = logging.getLogger(__name__)
T = TypeVar("T")

ROOT = How(Access.FILE_READ_ATTRIBUTES, options=Options.DIRECTORY_FILE)
LONGEST_PATH = 0xFFFE  # bytes: its length is sent in 16 bits
TRIES = 8  # of a question that brings the connection down, for who has time
GONE = frozenset({Status.SUCCESS, Status.FILE_CLOSED})  # after either nothing is left to close


@dataclass(slots=True)
class _Plan:
    """One chain on one path: a CREATE, the steps, maybe a CLOSE."""

    tree: Tree
    path: str
    steps: Sequence[Step[Any]]
    where: Where
    chain: list[Ask]
    close: bool


async def _facts_by(handle: Handle) -> list[Any]:
    """Ask for the facts one after the other, and close the handle."""
    found: list[Any] = []
    for step in FACTS:
        try:
            found += await handle.do(step)
        except StatusError as error:
            found.append(error)
    await handle.close()
    return found


class Share:
    """A share, or the directory ``prefix`` in it; every method raises SmbError and nothing else."""

    def __init__(self, link: Link, prefix: str = "") -> None:
        self.facts = ShareFacts()
        self._link = link
        self._key_of: Callable[[str], bytes] = lambda path: b""
        self._manners = Manners(prefix)
        self._manners.waits = link.waits

    def be_soft(self) -> None:
        """Let no call wait any more for a server that is away: the mount is ending."""
        self._link.waits = self._manners.waits = False

    def be_as_asked(self) -> None:
        """Wait again for a server that is away, if the options say so."""
        self._link.waits = self._manners.waits = self._link.policy.hard

    def renew(self, why: str) -> None:
        """Make the connection anew, for the old one is of no use."""
        self._link.renew(why)

    async def connect(self) -> None:
        """Prove that the share answers, and learn what it is and how it wants to be asked."""
        learnt: tuple[Tree, list[Any]] | None = None
        try:
            if self._manners.takes_compounds:
                learnt = await self._learn_at_once()
        except WindowShrank:  # which tells nothing of compounds
            tree = await self._link.tree()
            handle, _ = await self._kept(tree, "", ROOT, (), self._manners.listing)
            learnt = tree, await _facts_by(handle)
        tree, found = learnt or await self._learn_one_by_one()
        self.facts = facts_of(tree, found)

    async def _learn_at_once(self) -> tuple[Tree, list[Any]] | None:
        """Learn in one chain; None if the server may be one of those that take none."""
        tree = await self._link.tree()
        plan = self._plan(tree, "", ROOT, FACTS, self._manners.listing, close=True)
        try:
            _, found, is_closed = await self._chained(plan, len(plan.chain))
        except (StatusError, ConnectionLost) as error:
            log.debug("%s: asking one by one after %s", self._link.target, error)
            return None
        return (tree, found) if is_closed else None

    async def _learn_one_by_one(self) -> tuple[Tree, list[Any]]:
        tree, took_compounds = await self._link.tree(), self._manners.takes_compounds
        self._manners.takes_compounds = False
        try:
            handle, _ = await self._kept(tree, "", ROOT, (), self._manners.listing)
        except SmbError:
            self._manners.takes_compounds = took_compounds  # that was not the reason
            raise
        found = await _facts_by(handle)
        if took_compounds:
            log.info("%s takes no compound requests", self._link.target)
        return tree, found

    def hear(self, broken: Callable[[Break], None], lost: Callable[[], None]) -> None:
        """Take who is told at once of every break of a lease, and of every lost connection."""
        self._link.on_break, self._link.on_loss = broken, lost

    def know_directories(self, key_of: Callable[[str], bytes]) -> None:
        """Take who knows the key of the lease on a directory, by its path; b"" for none."""
        self._key_of = key_of

    async def acknowledge(self, broken: Break, state: int) -> None:
        """Tell the server that the duties of a break are done; never raises.

        A refusal is harmless: the server took it back meanwhile, or a CLOSE said the same.
        """
        tree = self._link.live
        if tree is None:
            return  # what was granted went with the connection
        try:
            await ask_all(tree, [acknowledging(broken, state)])
        except SmbError as error:
            log.debug("a break was not acknowledged: %s", error)

    @property
    def is_crowded(self) -> bool:
        """Whether others wait already to be allowed to ask: what can wait had better not ask."""
        tree = self._link.live
        return tree is None or tree.session.connection.is_crowded

    def server_time(self) -> int:
        """What the server's clock shows about now, as a FILETIME; 0 if it is not known."""
        tree = self._link.live
        told = tree.session.capabilities.system_time if tree is not None else 0
        return told and told + int((trio.current_time() - self._link.since) * 10_000_000)

    async def on(self, path: str, how: How, *steps: Step[Any]) -> list[Any]:
        """Open a path, do the steps, close it: one turnaround where the server allows.

        Answers the `Information` of the CREATE, then one result per step.  Raises the error of
        the first element that failed; a later step may have been done nevertheless.
        """
        work = partial(self._on, path, how, steps)
        return await self._steadily(how, lambda: self._manners.list_as_it_can(work))

    async def open(self, path: str, how: How, *steps: Step[Any]) -> tuple[Handle, list[Any]]:
        """Open a path and do the steps in the same turnaround; answers as `on`, with the handle.

        Raises as `on`; then nothing stays open.
        """
        work = partial(self._open, path, how, steps)
        return await self._steadily(how, lambda: self._manners.list_as_it_can(work))

    async def reclaim(self, handle: Handle, path: str) -> tuple[Handle, Information]:
        """Claim an open file back that the server kept when the connection was lost.

        Answers a handle on it and what it is now.  Raises StatusError if it was not kept.
        """
        assert handle.durable is not None
        contexts = reclaiming(handle.durable, handle.file_id)
        how = replace(handle.how.again(), guid=b"", contexts=contexts)
        found, [_, information] = await self.open(path, how, query_all())
        found.how, found.durable = handle.how, handle.durable
        return found, information

    async def _steadily(self, how: How, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask, and once more if the connection was lost over it and nothing can have been changed.

        Not if the server is silent or away: who asks has waited long enough, unless he has time.
        """
        for left in reversed(range(TRIES if self._manners.waits else 2)):
            try:
                return await ask()
            except ConnectionLost as error:
                is_away = isinstance(error, ServerAway | ServerSilent)
                if not left or not how.changes_nothing or (is_away and not self._manners.waits):
                    raise
        raise AssertionError("the last try either answers or raises")

    async def _on(
        self, path: str, how: How, steps: Sequence[Step[Any]], listing: Listing
    ) -> list[Any]:
        tree = await self._link.tree()
        plan = self._plan(tree, path, how, steps, listing, close=True)
        if self._manners.fitting(tree, plan.chain) == len(plan.chain):
            with suppress(WindowShrank):  # then in two chains
                opened, found, _ = await self._chained(plan, len(plan.chain))
                return results([_information(opened, path), *found])
        handle, found = await self._kept(tree, path, how, steps, listing)
        # What was set may come true with the CLOSE only: a name that is to go, for one.
        if await handle.close() is None and not tree.is_alive and not how.changes_nothing:
            raise ConnectionLost(f"{path}: the connection was lost before all of it was done")
        return found

    async def _open(
        self, path: str, how: How, steps: Sequence[Step[Any]], listing: Listing
    ) -> tuple[Handle, list[Any]]:
        tree = await self._link.tree()
        return await self._kept(tree, path, how, steps, listing)

    async def _kept(
        self, tree: Tree, path: str, how: How, steps: Sequence[Step[Any]], listing: Listing
    ) -> tuple[Handle, list[Any]]:
        """Open and do in one chain as far as that goes, and do the rest on the handle."""
        plan = self._plan(tree, path, how, steps, listing, close=False)
        fits = self._manners.fitting(tree, plan.chain)
        try:
            opened, found, _ = await self._chained(plan, fits)
        except WindowShrank:
            return await self._kept(tree, path, how, steps, listing)
        handle = self._handle(tree, opened, path)
        handle.how, handle.durable = how, promised(opened, how.guid)
        handle.grant = _granted(opened, how.lease)
        try:
            found = results([_information(opened, path), *found])
            return handle, found + await handle.do_with(listing, steps[fits - 1 :])
        except BaseException:
            handle.close_soon()
            raise

    def _plan(
        self,
        tree: Tree,
        path: str,
        how: How,
        steps: Sequence[Step[Any]],
        listing: Listing,
        *,
        close: bool,
    ) -> _Plan:
        where = self._manners.where(tree, RELATED_FILE_ID, listing)
        create = self._create(tree, path, how, stays=not close)
        chain = [create, *(step.ask(where) for step in steps)]
        if close:
            chain.append(close_ask(RELATED_FILE_ID, in_chain=True))
        return _Plan(tree, path, steps, where, chain, close)

    async def _chained(self, plan: _Plan, fits: int) -> tuple[CreateResponse, list[Any], bool]:
        """Do the first elements of a plan in one frame: what came of each, and of the CLOSE."""
        create, *asks = plan.chain
        replies = await ask_all(plan.tree, plan.chain[:fits])
        opened = judged(create, replies[0], plan.path, _opened)
        answered = zip(plan.steps, asks, replies[1:], strict=False)  # a CLOSE has no step
        found = [outcome(step, ask, reply, plan.where, plan.path) for step, ask, reply in answered]
        is_closed = plan.close and replies[-1].status in GONE
        if plan.close and not is_closed:
            self._manners.close_soon(plan.tree, opened.file_id)
        return opened, found, is_closed

    def _create(self, tree: Tree, path: str, how: How, *, stays: bool) -> Ask:
        name = utf16(joined(self._manners.prefix, path))
        if len(name) > LONGEST_PATH:
            raise StatusError(Status.NAME_TOO_LONG, "CREATE", path)
        level: int = Oplock.NONE
        leases: tuple[tuple[bytes, bytes], ...] = ()
        # What is done in a directory that we have a lease on is no news to us.
        key = self._key_of(path.rpartition("\\")[0]) if path else b""
        wish = within(how.lease, key) if key else how.lease
        if wish is not None:
            level, leases = asking(wish, tree.session.capabilities)
            leases += self._durability(tree, how)
        body = CreateRequest(
            requested_oplock_level=level,
            desired_access=how.access,
            file_attributes=how.attributes,
            share_access=how.share,
            create_disposition=how.disposition,
            create_options=how.options,
            name=name,
            contexts=pack_create((*how.contexts, *leases)),
        )
        # With a CLOSE in the same chain there is nothing to undo.
        return Ask(body, on_late=_close_if_opened if stays else None)

    def _durability(self, tree: Tree, how: How) -> tuple[tuple[bytes, bytes], ...]:
        if not how.guid:
            return ()
        policy = self._link.policy
        return requesting(
            how.guid,
            tree.session.capabilities,
            timeout_ms=policy.handle_timeout_ms,
            persistent=policy.persistent and tree.is_continuous,
        )

    def _handle(self, tree: Tree, opened: CreateResponse, path: str) -> Handle:
        return Handle(
            self._manners,
            tree,
            opened.file_id,
            path,
            action=opened.create_action,
            generation=self._link.generation,
        )


def _opened(reply: Reply) -> CreateResponse:
    return reply.parse(CreateResponse)


def _information(opened: CreateResponse, path: str) -> Information | SmbError:
    try:
        return from_create(opened)
    except WireError as error:
        return SmbError(f"CREATE {path}: the server's answer makes no sense: {error}")


def _close_if_opened(reply: Reply) -> Sequence[Ask]:
    """Close what a CREATE opened for somebody who waits no longer."""
    if reply.status != Status.SUCCESS:
        return []
    try:
        return [close_ask(_opened(reply).file_id)]
    except WireError:
        return []


def _granted(opened: CreateResponse, wish: Wish | None) -> Grant | None:
    if wish is None:
        return None
    try:
        return granted(opened, wish)
    except WireError as error:
        log.debug("a lease that makes no sense is none: %s", error)
        return None
