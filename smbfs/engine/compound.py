"""Related chains: several things done to one file in one turnaround, and what came of each.

Knows how this server wants to be asked (`Manners`: what it refused once it is not asked again)
and whose fault an answer is.  Knows no paths beyond what an error shall name.

Rules easily broken: the first element that fails is the error, what follows fails in its wake
([MS-SMB2] 3.3.5.2.7.2); a caller who leaves abandons every slot of his chain, those that were
answered too, for only so a CREATE nobody will use is closed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from smbfs.engine.exchange import Ask, Reply
from smbfs.engine.session import Tree
from smbfs.engine.steps import SMALL, Listing, Step, Where
from smbfs.errors import SmbError, StatusError
from smbfs.wire.codec import WireError
from smbfs.wire.constants import CloseFlags
from smbfs.wire.directory import (
    DirectoryEntry,
    FileBothDirectoryInformation,
    FileIdBothDirectoryInformation,
    FileIdFullDirectoryInformation,
)
from smbfs.wire.error_data import SymlinkErrorResponse, symlink_error
from smbfs.wire.file_messages import CloseRequest
from smbfs.wire.header import CREDIT_UNIT, Command
from smbfs.wire.messages import ErrorResponse
from smbfs.wire.status import Status

log = logging.getLogger(__name__)
T = TypeVar("T")

LIST_SIZE = (1 << 20) - SMALL  # some 9 000 names, and room in the frame for a look behind them
ENTRIES: tuple[type[DirectoryEntry], ...] = (  # the best first: ids and no 8.3 names
    FileIdFullDirectoryInformation,
    FileIdBothDirectoryInformation,
    FileBothDirectoryInformation,
)
CLASS_UNKNOWN = frozenset(
    {
        Status.INVALID_INFO_CLASS,
        Status.INVALID_LEVEL,
        Status.INVALID_PARAMETER,
        Status.NOT_IMPLEMENTED,
        Status.NOT_SUPPORTED,
    }
)


class Manners:
    """How one server wants to be asked, as far as we have learnt it."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.takes_compounds = True
        self.waits = False  # calls wait for a server that is away until it is back
        self.listing = Listing(ENTRIES[0], LIST_SIZE)
        self._has_warned = False

    def where(self, tree: Tree, file_id: bytes, listing: Listing) -> Where:
        """Say on which file of which share a step is asked."""
        # A chain may hold several pages, and shall leave room for what others ask meanwhile.
        most = min(tree.session.capabilities.max_transact, tree.largest // 4 * CREDIT_UNIT)
        size = max(SMALL, min(listing.size, most))
        return Where(file_id, self.prefix, listing._replace(size=size), self._unsafe)

    def fitting(self, tree: Tree, asks: Sequence[Ask]) -> int:
        """How many of these, from the first, can go in one frame and come back in one."""
        if not self.takes_compounds:
            return min(1, len(asks))
        capabilities = tree.session.capabilities
        longest = max(capabilities.max_read, capabilities.max_transact)
        cost = received = 0
        for number, ask in enumerate(asks):
            cost += _cost(ask)
            received += ask.receives
            if number and (cost > tree.largest or received > longest):
                return number
        return len(asks)

    def close_soon(self, tree: Tree, file_id: bytes) -> None:
        """Have a handle closed without waiting for it; never raises."""
        if tree.is_alive:
            tree.post_soon([close_ask(file_id)])

    async def list_as_it_can(self, attempt: Callable[[Listing], Awaitable[T]]) -> T:
        """Do something that may list a directory, again and more simply where that is refused."""
        listing = first = self.listing
        while True:
            try:
                done = await attempt(listing)
            except StatusError as error:
                if (simpler := _simpler(listing, error)) is None:
                    raise
                listing = simpler
            else:
                if listing is not first:
                    self.listing = listing
                return done

    def _unsafe(self, name: str) -> None:
        if not self._has_warned:
            log.warning("the server lists the unsafe name %r: left out, like all such", name)
        self._has_warned = True


def _simpler(listing: Listing, error: StatusError) -> Listing | None:
    if error.command != Command.QUERY_DIRECTORY.name or error.status not in CLASS_UNKNOWN:
        return None
    if error.status == Status.INVALID_PARAMETER and listing.size > SMALL:
        return listing._replace(size=SMALL)
    rest = ENTRIES[ENTRIES.index(listing.entries) + 1 :]
    return listing._replace(entries=rest[0]) if rest else None


def _cost(ask: Ask) -> int:
    """Estimate the credits of an ask, at least what it costs ([MS-SMB2] 3.2.4.1.5)."""
    return -(-max(ask.receives, sum(map(len, ask.body.parts())), 1) // CREDIT_UNIT)


def close_ask(file_id: bytes, *, in_chain: bool = False, tell: bool = False) -> Ask:
    """The end of a handle; ``tell`` asks for the attributes it leaves."""
    flags = CloseFlags.POSTQUERY_ATTRIB if tell else 0
    # By itself it never queues behind data; a chain as a whole has no such right.
    return Ask(CloseRequest(flags=flags, file_id=file_id), urgent=not in_chain)


async def ask_all(tree: Tree, asks: Sequence[Ask]) -> list[Reply]:
    """Send one chain and wait for all its answers, statuses unjudged.

    Raises ConnectionLost; WindowShrank if several have to be asked in shorter chains.
    """
    slots = await tree.post(asks, cuttable=len(asks) > 1)
    try:
        return [await tree.wait(slot) for slot in slots]
    except BaseException:
        for slot in slots:
            if tree.is_alive or not slot.is_done:  # a lost connection has closed what was opened
                tree.abandon(slot)
        raise


def judged(ask: Ask, reply: Reply, path: str, read: Callable[[Reply], T]) -> T:
    """Read one answer.  Raises StatusError, or SmbError for an answer that makes no sense."""
    try:
        if reply.status in ask.answers:
            return read(reply)
        raise StatusError(reply.status, ask.command.name, path, symlink=_symlink(reply))
    except WireError as error:
        what = f"{ask.command.name} {path}".rstrip()
        raise SmbError(f"{what}: the server's answer makes no sense: {error}") from error


def _symlink(reply: Reply) -> SymlinkErrorResponse | None:
    if reply.status != Status.STOPPED_ON_SYMLINK:
        return None
    return symlink_error(reply.parse(ErrorResponse))


def outcome(step: Step[Any], ask: Ask, reply: Reply, where: Where, path: str) -> Any:
    """What came of one step: its result, or the `SmbError` in its place."""
    try:
        return judged(ask, reply, path, lambda answer: step.result(answer, where))
    except SmbError as error:
        return error


def results(found: Sequence[Any]) -> list[Any]:
    """The outcomes if all is well; raises the first error among them."""
    for outcome in found:
        if isinstance(outcome, SmbError):
            raise outcome
    return list(found)
