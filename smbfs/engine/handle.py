"""An open file on the server, and its data in pieces, several under way at once.

Knows its tree, its file id and its life (the table below); knows nothing of caches.  Transfers
start no task: pieces are posted, then awaited one after the other.

Rules easily broken: a handle belongs to the connection it was opened on and is LOST with it; it
goes on with another one only by its `reviver`, which has proven that to be the same file, and
``opens`` tells who had something under way whether it was claimed back or opened anew.  A CLOSE is
queued whatever becomes of the caller; nothing of a write is under way any more when its error is
told.
"""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic, TypeVar

import trio

from smbfs.engine.compound import Manners, ask_all, close_ask, judged, outcome, results
from smbfs.engine.durable import Durable
from smbfs.engine.exchange import Ask, Slot
from smbfs.engine.how import How
from smbfs.engine.information import Information, Listed, from_close
from smbfs.engine.leasing import Grant
from smbfs.engine.session import Tree
from smbfs.engine.states import Machine
from smbfs.engine.steps import Listing, Step, flush, list_directory, read, write
from smbfs.engine.transfer import cut, fetch, sequence, store
from smbfs.engine.turns import WindowShrank
from smbfs.errors import ConnectionLost, SmbError, Stale, StatusError
from smbfs.wire.codec import Blob
from smbfs.wire.file_messages import CloseResponse
from smbfs.wire.header import CREDIT_UNIT, RELATED_FILE_ID, Command
from smbfs.wire.status import Status

T = TypeVar("T")

CLOSE_S = 2.0  # how long a caller who was cancelled may be kept to queue a CLOSE


class HandleState(Enum):
    """Where an open file is in its life."""

    OPENING = auto()
    OPEN = auto()
    IDLE = auto()  # closed by its user, kept open under a lease
    LOST = auto()  # its connection is gone; the server may keep it for us
    RECLAIMING = auto()
    STALE = auto()  # gone for good, its user does not know yet
    CLOSED = auto()  # for ever


class HandleEvent(Enum):
    """What can happen to an open file."""

    OPENED = auto()
    REFUSED = auto()  # by the server: the open, or the reclaim
    PARKED = auto()
    RESUMED = auto()
    BROKE = auto()
    RECLAIM = auto()
    RECLAIMED = auto()
    CLOSE = auto()


HANDLE: dict[tuple[HandleState, HandleEvent], HandleState] = {
    (HandleState.OPENING, HandleEvent.OPENED): HandleState.OPEN,
    (HandleState.OPENING, HandleEvent.REFUSED): HandleState.CLOSED,
    (HandleState.OPENING, HandleEvent.BROKE): HandleState.CLOSED,
    (HandleState.OPEN, HandleEvent.PARKED): HandleState.IDLE,
    (HandleState.OPEN, HandleEvent.BROKE): HandleState.LOST,
    (HandleState.OPEN, HandleEvent.CLOSE): HandleState.CLOSED,
    (HandleState.IDLE, HandleEvent.RESUMED): HandleState.OPEN,
    (HandleState.IDLE, HandleEvent.BROKE): HandleState.LOST,
    (HandleState.IDLE, HandleEvent.CLOSE): HandleState.CLOSED,
    (HandleState.LOST, HandleEvent.RECLAIM): HandleState.RECLAIMING,
    (HandleState.LOST, HandleEvent.CLOSE): HandleState.CLOSED,
    (HandleState.RECLAIMING, HandleEvent.RECLAIMED): HandleState.OPEN,
    (HandleState.RECLAIMING, HandleEvent.REFUSED): HandleState.STALE,
    (HandleState.RECLAIMING, HandleEvent.BROKE): HandleState.LOST,
    (HandleState.RECLAIMING, HandleEvent.CLOSE): HandleState.CLOSED,
    (HandleState.STALE, HandleEvent.CLOSE): HandleState.CLOSED,
}
USABLE = frozenset({HandleState.OPEN, HandleState.IDLE})
AWAY = frozenset({HandleState.LOST, HandleState.RECLAIMING})


@dataclass(slots=True, eq=False)
class Posted(Generic[T]):
    """A step that was asked on its own and whose answer is to be taken."""

    slot: Slot
    ask: Ask
    step: Step[T]
    tree: Tree  # where it was asked: the handle may have gone on to another


class Handle:
    """One open file.  ``action`` is what the CREATE did; see `wire.constants.CreateAction`."""

    def __init__(
        self,
        manners: Manners,
        tree: Tree,
        file_id: bytes,
        path: str,
        *,
        action: int,
        generation: int,
    ) -> None:
        self.file_id = file_id
        self.path = path
        self.action = action
        self.generation = generation
        self.how = How(0)  # it was opened
        self.grant: Grant | None = None  # the lease or oplock that came with it
        self.durable: Durable | None = None  # what the server promised for the loss of the line
        self.opens = 1  # how often it was opened: once more where it could not be claimed back
        self.reviver: Callable[[], Awaitable[None]] | None = None  # brings it back, or raises
        self.resume_key = b""  # that names it as the source of a copy; holds as long as it does
        self._machine = Machine(HANDLE, HandleState.OPENING)
        self._machine.step(HandleEvent.OPENED)
        self._manners = manners
        self._tree = tree
        self._where = manners.where(tree, file_id, manners.listing)

    def __repr__(self) -> str:
        return f"<Handle {self.path!r} {self.state.name}>"

    @property
    def state(self) -> HandleState:
        """Where the handle is in its life."""
        state = self._machine.state
        return HandleState.LOST if state in USABLE and not self._tree.is_alive else state

    @property
    def waits(self) -> bool:
        """Whether a server that is away is waited for until it is back."""
        return self._manners.waits

    @property
    def timeout_s(self) -> float:
        """How long an answer is waited for."""
        return self._tree.session.connection.exchange.timeout_s

    @property
    def read_size(self) -> int:
        """The most bytes one READ should ask for."""
        return self._piece(Command.READ, self._tree.session.capabilities.max_read)

    @property
    def write_size(self) -> int:
        """The most bytes one WRITE should carry."""
        return self._piece(Command.WRITE, self._tree.session.capabilities.max_write)

    @property
    def window(self) -> int:
        """How many credits there are for ordinary requests, free or not."""
        return self._tree.largest

    def _piece(self, command: Command, limit: int) -> int:
        limit = min(limit, self._tree.largest * CREDIT_UNIT)
        return self._tree.pace(command).within(limit)

    # Steps

    async def do(self, *steps: Step[Any]) -> list[Any]:
        """Do things to the file, in one turnaround where the server allows; the results in order.

        Raises the error of the first step that failed; later ones may have been done.
        """
        return await self._manners.list_as_it_can(lambda listing: self.do_with(listing, steps))

    async def do_with(self, listing: Listing, steps: Sequence[Step[Any]]) -> list[Any]:
        """Do things as `do`, with one way of listing directories and no other."""
        await self.be_back()
        if not steps:
            return []
        if (found := await self._outcomes(listing, steps)) is None:
            return await self.do_with(listing, steps)
        return results(found) + await self.do_with(listing, steps[len(found) :])

    async def together(self, *steps: Step[Any]) -> builtins.list[Any] | None:
        """Do things in one frame: the result of each, or the `SmbError` in its place.

        None if they do not fit in one; then nothing was asked.  Raises ConnectionLost.
        """
        await self.be_back()
        return await self._outcomes(self._manners.listing, steps, whole=True)

    async def _outcomes(
        self, listing: Listing, steps: Sequence[Step[Any]], *, whole: bool = False
    ) -> builtins.list[Any] | None:
        """What came of as many of the steps as fit in one frame; None if nothing was asked."""
        tree, path = self._tree, self.path
        first = self._manners.where(tree, self.file_id, listing)
        related = self._manners.where(tree, RELATED_FILE_ID, listing)
        asks = [step.ask(related if number else first) for number, step in enumerate(steps)]
        fits = self._manners.fitting(tree, asks)
        if whole and fits < len(asks):
            return None
        try:
            replies = await ask_all(tree, asks[:fits])
        except WindowShrank:
            return None
        answered = zip(steps, asks, replies, strict=False)
        found = [outcome(step, ask, reply, first, path) for step, ask, reply in answered]
        return [self._noticed(one) for one in found]

    async def list(self, size: int) -> builtins.list[Listed] | None:
        """Fetch the next page of the directory, None at its end; one listing at a time."""
        [page] = await self.do(list_directory("*", size))
        return page  # type: ignore[no-any-return]  # results of several types share one list

    async def flush(self) -> None:
        """Have the server bring the file to its disk."""
        await self.do(flush())

    # Pieces: exactly one request each

    async def post(self, step: Step[T], *, cuttable: bool = False) -> Posted[T]:
        """Ask one thing and do not wait for the answer; waits for credits only.

        What is posted must be taken or abandoned.  Raises ConnectionLost; WindowShrank for
        something ``cuttable`` if there are too few for it.
        """
        await self.be_back()
        ask, tree = step.ask(self._where), self._tree
        [slot] = await tree.post([ask], cuttable=cuttable)
        return Posted(slot, ask, step, tree)

    async def take(self, posted: Posted[T]) -> T:
        """Wait for what was posted; a caller who is cancelled has abandoned it."""
        reply = await posted.tree.wait(posted.slot)
        found = outcome(posted.step, posted.ask, reply, self._where, self.path)
        [result] = results([self._noticed(found)])
        return result  # type: ignore[no-any-return]  # what `outcome` gives is T or was raised

    def abandon(self, posted: Posted[Any]) -> None:
        """Do without the answer to what was posted."""
        posted.tree.abandon(posted.slot)

    async def post_read(self, offset: int, size: int) -> Posted[memoryview]:
        """Ask for at most ``size`` bytes, no more than `read_size`."""
        while True:
            try:
                return await self.post(read(offset, size), cuttable=True)
            except WindowShrank:
                size = min(size, self.read_size)

    async def take_read(self, posted: Posted[memoryview]) -> memoryview:
        """The bytes that were asked for: maybe fewer, none at the end of the file."""
        return await self.take(posted)

    async def post_write(self, offset: int, parts: Blob | Sequence[Blob]) -> Posted[int]:
        """Send bytes, no more than `write_size`; fewer if the server grants fewer credits now."""
        while True:
            try:
                return await self.post(write(offset, parts), cuttable=True)
            except WindowShrank:
                parts = next(cut(sequence(parts), self.write_size))

    async def take_write(self, posted: Posted[int], size: int) -> int:
        """How many of the ``size`` bytes sent were written: all, or at least one."""
        count = await self.take(posted)
        if size and not count:
            raise SmbError(f"WRITE {self.path}: the server takes no bytes and gives no reason")
        return count

    async def read_piece(self, offset: int, size: int) -> memoryview:
        """Read at most ``size`` bytes with one request; fewer is not the end, none is."""
        return await self.take_read(await self.post_read(offset, size))

    async def write_piece(self, offset: int, parts: Blob | Sequence[Blob]) -> int:
        """Write with one request; answers how many bytes were taken, at least one."""
        size = sum(map(len, sequence(parts)))
        return await self.take_write(await self.post_write(offset, parts), size)

    # Whole transfers

    async def read(self, offset: int, size: int) -> builtins.list[memoryview]:
        """Read ``size`` bytes in pieces; fewer only at the end of the file."""
        return await fetch(self, offset, size)

    async def write(self, offset: int, data: Blob | Sequence[Blob]) -> int:
        """Write all bytes in pieces, or raise when nothing of them is under way any more."""
        return await store(self, offset, sequence(data))

    # The end

    async def close(self) -> Information | None:
        """Close the file; answers its last attributes if the server tells.

        The CLOSE is queued even if the caller is cancelled.  A handle that is lost is closed
        already.  Raises StatusError if the server could not bring it to a good end.
        """
        if not self._ended():
            return None
        ask = close_ask(self.file_id, tell=True)
        try:
            slots = self._tree.post_now([ask])
            if slots is None:
                slots = await self._post_shielded(ask)
            reply = await self._tree.wait(slots[0])
        except ConnectionLost:
            return None
        if reply.status == Status.FILE_CLOSED:
            return None
        return judged(ask, reply, self.path, lambda answer: from_close(answer.parse(CloseResponse)))

    async def _post_shielded(self, ask: Ask) -> builtins.list[Slot]:
        with trio.move_on_after(CLOSE_S, shield=True):
            return await self._tree.post([ask])
        self._manners.close_soon(self._tree, self.file_id)
        raise ConnectionLost(f"{self.path}: no credits to close it with")

    def close_soon(self) -> None:
        """Close the file without waiting for an answer; never raises."""
        if self._ended():
            self._manners.close_soon(self._tree, self.file_id)

    def _ended(self) -> bool:
        """Take the last step; tell whether the server has to hear of it."""
        was = self.state
        if was is not HandleState.CLOSED:
            self._machine.step(HandleEvent.CLOSE)
        return was in USABLE

    # Its life

    @property
    def may_come_back(self) -> bool:
        """Whether its connection is lost, and somebody looks after it."""
        return self.reviver is not None and self.state in AWAY

    async def be_back(self) -> None:
        """Wait until it is open: at once if it is, else until its reviver has brought it back.

        Raises ConnectionLost for now, Stale for ever, StatusError if it was closed.
        """
        self._notice()
        if self._machine.state in AWAY and self.reviver is not None:
            await self.reviver()
            self._notice()
        if self._machine.state is HandleState.CLOSED:
            raise StatusError(Status.FILE_CLOSED, "use of", self.path)
        if self._machine.state is HandleState.STALE:
            raise Stale(f"{self.path}: it was open when the connection was lost")
        if self._machine.state is not HandleState.OPEN:
            raise ConnectionLost(f"{self.path}: the connection was lost while it was open")

    def _notice(self) -> None:
        if self._machine.state in USABLE and not self._tree.is_alive:
            self._machine.step(HandleEvent.BROKE)

    def reclaiming(self) -> bool:
        """Begin to bring it back; False if it is not away."""
        self._notice()
        return self._machine.state is HandleState.LOST and self._machine.step(HandleEvent.RECLAIM)

    def not_yet(self) -> None:
        """Note that there is nobody to bring it back from, for now."""
        if self._machine.state is HandleState.RECLAIMING:
            self._machine.step(HandleEvent.BROKE)

    def be_stale(self) -> None:
        """Note that it can never be brought back."""
        if self._machine.state is HandleState.RECLAIMING:
            self._machine.step(HandleEvent.REFUSED)

    def found(self, other: Handle, *, anew: bool) -> bool:
        """Go on as another handle of the same file, opened just now; False if nobody wants it.

        That one must not be used any more.
        """
        if self._machine.state is not HandleState.RECLAIMING:
            other.close_soon()
            return False
        self.file_id, self.path, self.generation = other.file_id, other.path, other.generation
        self.grant, self.durable, self.how = other.grant, other.durable, other.how
        self.resume_key = b""
        self.opens += anew
        self._tree, self._where = other._tree, other._where
        self._machine.step(HandleEvent.RECLAIMED)
        return True

    def _noticed(self, found: Any) -> Any:
        """Learn from an answer that the server has the file open no longer."""
        is_closed = isinstance(found, StatusError) and found.status == Status.FILE_CLOSED
        if is_closed and self._machine.state in USABLE:
            self._machine.step(HandleEvent.BROKE)
        return found
