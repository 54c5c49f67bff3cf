"""The trio shell round an `Exchange`: a reader, a writer, a keeper; nobody else has the socket.

Callers post asks and wait for slots; while the writer is idle a frame goes out as it is posted
(`_queue`).  Between taking credits and queueing the frame there is no
``await``: ids go out in the order they were allocated, and a frame that was queued is sent whole
whatever becomes of its caller.  Who stops waiting leaves the slot behind; a late answer still
banks its credits and is undone by the ask's ``on_late``.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

import trio

from smbfs.engine.backlog import Backlog
from smbfs.engine.dialect import SMB1_ONLY, looks_like_smb1
from smbfs.engine.exchange import (
    Ask,
    Exchange,
    Finished,
    Guard,
    Late,
    Reply,
    SessionId,
    Slot,
    TreeId,
)
from smbfs.engine.frames import Frames
from smbfs.engine.pace import Pace
from smbfs.engine.states import CONNECTION, ConnectionEvent, ConnectionState, Machine
from smbfs.engine.transport import send_now, send_parts
from smbfs.engine.turns import Turns
from smbfs.errors import ConnectionLost, Refused, ServerSilent, SmbError, Tampered
from smbfs.wire.codec import Blob, WireError
from smbfs.wire.header import CREDIT_UNIT, Command
from smbfs.wire.messages import EchoRequest

log = logging.getLogger(__name__)

NO_TREE = TreeId(0)
LateFrame = tuple[Sequence[Ask], Guard | None, TreeId, bool]  # and whether to seal it
PATIENCE = 6  # how many times the deadline a request may take while other bytes keep coming


class Connection:
    """One connected stream to a server; `run` is its life."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        exchange: Exchange,
        *,
        server: str,
        echo_interval_s: float,
        on_break: Callable[[memoryview], None],
        netbios: bool = False,
    ) -> None:
        self.exchange = exchange
        self.server = server
        self.guards: dict[SessionId, Guard] = {}
        self.machine = Machine(CONNECTION, ConnectionState.NEGOTIATING)
        self.error: SmbError | None = None  # why it was lost
        self.lost = trio.Event()
        self.paces = {Command.READ: Pace(), Command.WRITE: Pace()}
        self._stream = stream
        self._backlog = Backlog(stream)
        self._frames = Frames(stream, exchange.limit, netbios=netbios)
        self._echo_interval_s = echo_interval_s
        self._on_break = on_break
        self._outbox: deque[list[Blob]] = deque()
        self._outbox_filled = trio.Event()
        self._turns = Turns(exchange.credits)
        self._something_waits = trio.Event()
        self._late: deque[LateFrame] = deque()  # what shall go out as soon as there is a credit
        self._heard_at = trio.current_time()
        self._received = 0  # bytes, when last looked at

    @property
    def is_alive(self) -> bool:
        """Whether asking makes sense."""
        return self.error is None

    @property
    def is_crowded(self) -> bool:
        """Whether somebody waits for credits."""
        return bool(self._turns)

    async def run(self) -> None:
        """Serve the socket until it ends; never raises an `SmbError`, callers are told instead."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read)
                nursery.start_soon(self._write)
                nursery.start_soon(self._keep)
                await self.lost.wait()
                nursery.cancel_scope.cancel()
        finally:
            self.lose(ConnectionLost(f"the connection to {self.server} was closed"))
            with trio.move_on_after(1, shield=True):
                await trio.aclose_forcefully(self._stream)

    def negotiated(self, exchange_limit: int) -> None:
        """Begin ordinary life; frames may be as long as was agreed."""
        self.exchange.limit = exchange_limit
        self._frames.limit = exchange_limit
        self.machine.step(ConnectionEvent.NEGOTIATED)

    def lose(self, error: SmbError) -> None:
        """End the connection for everybody; the first reason stays."""
        if self.error is not None:
            return
        self.error = error
        self.machine.step(ConnectionEvent.BROKE)
        for slot in self.exchange.fail_all(error):
            _wake(slot)
        self._turns.end()
        self.lost.set()

    # Asking

    async def post(
        self,
        asks: Sequence[Ask],
        *,
        guard: Guard | None = None,
        tree_id: TreeId = NO_TREE,
        seal: bool = False,
        related: bool = True,
        record: bool = False,
        cuttable: bool = False,
    ) -> list[Slot]:
        """Queue one frame as soon as there are credits for it.

        Raises ConnectionLost; ServerSilent if the server grants no credits in time; WindowShrank
        if it never will, and the caller can ask for less.
        """
        cost = self.exchange.cost(asks)
        urgent = any(ask.urgent for ask in asks)
        if self.error is not None:
            raise lost_again(self.error)
        if (self._turns and not urgent) or not self._take(cost, urgent):
            await self._wait_for_credits(cost, urgent, cuttable)
        # No await from here to the outbox: see the head of this module.
        return self._submit(asks, guard, tree_id, seal, related, record)

    def post_now(
        self, asks: Sequence[Ask], *, guard: Guard | None, tree_id: TreeId, seal: bool
    ) -> list[Slot] | None:
        """Queue one frame from the reserve of credits, or answer None; never waits."""
        if self.error is not None or not self._take(self.exchange.cost(asks), True):
            return None
        return self._submit(asks, guard, tree_id, seal, True, False)

    def post_soon(
        self, asks: Sequence[Ask], *, guard: Guard | None, tree_id: TreeId, seal: bool
    ) -> None:
        """Queue one frame whose answers nobody waits for, before all who wait for credits."""
        late = (asks, guard, tree_id, seal)
        if self.is_alive and not self._sends_late(late):
            self._late.append(late)

    def _submit(
        self,
        asks: Sequence[Ask],
        guard: Guard | None,
        tree_id: TreeId,
        seal: bool,
        related: bool,
        record: bool,
    ) -> list[Slot]:
        frame, slots = self.exchange.submit(
            asks,
            guard=guard,
            tree_id=tree_id,
            seal=seal,
            now=trio.current_time(),
            related=related,
            record=record,
        )
        self._queue(frame)
        self._something_waits.set()
        return slots

    async def wait(self, slot: Slot) -> Reply:
        """Wait for one answer; raises ConnectionLost or ServerSilent."""
        if not slot.is_done:
            slot.event = trio.Event()
            try:
                await slot.event.wait()
            except trio.Cancelled:
                self.abandon(slot)
                raise
        if slot.reply is not None:
            return slot.reply
        assert slot.error is not None
        raise lost_again(slot.error)

    def abandon(self, slot: Slot) -> None:
        """Stop waiting for a slot: its answer is undone, or the server asked to give up."""
        if slot.abandoned:
            return
        slot.abandoned = True
        if slot.reply is not None:
            self._undo(slot, slot.reply)
        elif slot.error is None and self.error is None and (slot.async_id or slot.ask.patient):
            self._queue(self.exchange.cancel(slot))

    def _queue(self, frame: list[Blob]) -> None:
        """Send a frame now if the writer is idle and the kernel takes it, else by the writer.

        To wake the writer for each small request would cost more than to send it.
        """
        rest = frame if self._outbox else send_now(self._stream, frame)
        if rest is not frame:
            self._backlog.sent(sum(map(len, frame)))
        if rest:
            self._outbox.append(rest)
            self._outbox_filled.set()

    # Credits

    def _take(self, cost: int, urgent: bool) -> bool:
        return self.exchange.credits.take_now(cost, reserved=urgent)

    async def _wait_for_credits(self, cost: int, urgent: bool, cuttable: bool) -> None:
        has_credits = False
        try:
            has_credits = await self._turns.wait(
                cost, self.exchange.timeout_s, urgent=urgent, cuttable=cuttable
            )
            if self.error is not None:
                has_credits = False
                raise lost_again(self.error)
            if not has_credits:
                raise ServerSilent(f"{self.server} grants no credits: it does not let us ask more")
        finally:
            if not has_credits:
                self._serve_credits()  # whoever stood behind us may need less

    def _serve_credits(self) -> None:
        """Let waiting callers go, in their order, as far as the credits reach."""
        if self.exchange.credits.is_starved and not self.exchange.outstanding:
            self.lose(ConnectionLost(f"{self.server} took our last credit: nothing can be asked"))
            return
        while self._late and self._sends_late(self._late[0]):
            self._late.popleft()
        self._turns.serve()

    # The three tasks

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._frames.receive()
                if self.machine.state is ConnectionState.NEGOTIATING and looks_like_smb1(frame):
                    self.lose(Refused(f"{self.server} {SMB1_ONLY}"))
                    return
                self._hear(trio.current_time())
                for outcome in self.exchange.arrive(frame, self.guards, self._heard_at):
                    if isinstance(outcome, Finished):
                        self._note_pace(outcome.slot)
                        _wake(outcome.slot)
                    elif isinstance(outcome, Late):
                        self._undo(outcome.slot, outcome.reply)
                    else:
                        self._on_break(outcome.view)
                self._serve_credits()
        except WireError as error:
            self.lose(ConnectionLost(f"{self.server} {self._what_it_said(error)}"))
        except Tampered as error:
            log.error("%s: %s; the connection is closed", self.server, error)
            self.lose(error)
        except SmbError as error:
            self.lose(error)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.lose(ConnectionLost(f"the connection to {self.server} broke: {_why(error)}"))

    def _note_pace(self, slot: Slot) -> None:
        if (pace := self.paces.get(slot.ask.command)) is not None:
            pace.answered(slot.charge * CREDIT_UNIT, slot.sent_at, self._heard_at)

    def _what_it_said(self, error: WireError) -> str:
        if self.machine.state is ConnectionState.NEGOTIATING:
            return "answers, but not in SMB; check the name and the port"
        return f"sent nonsense: {error}"

    async def _write(self) -> None:
        try:
            while True:
                while self._outbox:
                    if not await self._send(self._outbox[0]):
                        self.lose(ServerSilent(f"{self.server} takes no more data"))
                        return
                    self._outbox.popleft()  # not before, or `_queue` would write into its middle
                self._outbox_filled = trio.Event()
                await self._outbox_filled.wait()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.lose(ConnectionLost(f"the connection to {self.server} broke: {_why(error)}"))

    async def _send(self, frame: list[Blob]) -> bool:
        """Send one frame; False if not one byte was taken for the length of the deadline."""
        with trio.move_on_after(self.exchange.timeout_s) as scope:

            def moved() -> None:
                # A slow line that takes our bytes is a sign of life: the answer is behind them.
                self._heard_at = trio.current_time()
                scope.deadline = self._heard_at + self.exchange.timeout_s

            await send_parts(self._stream, frame, moved)
        return not scope.cancelled_caught

    async def _keep(self) -> None:
        """Watch the clock: an ECHO when it is quiet, the end when it stays quiet."""
        tick = max(0.05, min(self._echo_interval_s, self.exchange.timeout_s) / 8)
        while True:
            if not self._waiting():
                self._something_waits = trio.Event()
                await self._something_waits.wait()
            await trio.sleep(tick)
            self._look_at_the_clock(trio.current_time())

    def _waiting(self) -> list[Slot]:
        # Who waited may have gone, by a deadline of his own: the answer is owed all the same.
        slots = self.exchange.outstanding.values()
        return [slot for slot in slots if slot.error is None and not slot.ask.patient]

    def _look_at_the_clock(self, now: float) -> None:
        if self._frames.received != self._received:  # part of a frame is a sign of life too
            self._hear(now)
        if self._backlog.shrinks():
            self._heard_at = now
        timeout_s = self.exchange.timeout_s
        overdue = self.exchange.expired(now)
        if overdue and now - self._heard_at >= timeout_s:
            self.lose(ServerSilent(f"{self.server} did not answer in {timeout_s:g} s"))
            return
        for slot in overdue:  # it is slow, then, and not silent
            if not slot.abandoned and now - slot.deadline >= (PATIENCE - 1) * timeout_s:
                self._give_up(slot)
        self._break_the_silence(now)

    def _hear(self, now: float) -> None:
        self._heard_at = now
        self._received = self._frames.received
        self.machine.step(ConnectionEvent.HEARD)

    def _give_up(self, slot: Slot) -> None:
        """Fail one request and leave the others in peace; a late answer is undone."""
        command = slot.ask.command.name
        slot.error = ServerSilent(f"{self.server} did not answer {command} in time")
        slot.abandoned = True
        if slot.async_id:
            self._queue(self.exchange.cancel(slot))
        _wake(slot)

    def _break_the_silence(self, now: float) -> None:
        """Send an ECHO if something has waited for long and nothing was heard."""
        waiting = self._waiting()
        quiet_since = max(self._heard_at, min((slot.sent_at for slot in waiting), default=now))
        if waiting and now - quiet_since >= self._echo_interval_s:
            is_new = self.machine.state is ConnectionState.READY
            self.machine.step(ConnectionEvent.QUIET)
            if is_new:
                slots = self.post_now([Ask(EchoRequest())], guard=None, tree_id=NO_TREE, seal=False)
                for slot in slots or ():
                    slot.abandoned = True  # the byte is the answer, nobody waits for the reply

    def _undo(self, slot: Slot, reply: Reply) -> None:
        if slot.ask.on_late is None or not (asks := slot.ask.on_late(reply)):
            return
        self.post_soon(asks, guard=slot.guard, tree_id=slot.tree_id, seal=slot.sealed)

    def _sends_late(self, late: LateFrame) -> bool:
        asks, guard, tree_id, seal = late
        slots = self.post_now(asks, guard=guard, tree_id=tree_id, seal=seal)
        for slot in slots or ():
            slot.abandoned = True
        return slots is not None


def _wake(slot: Slot) -> None:
    if slot.event is not None:
        slot.event.set()


def _why(error: BaseException) -> str:
    return str(error.__cause__ or error) or type(error).__name__


def lost_again(error: SmbError) -> SmbError:
    """One more exception of the same kind: each waiter needs a traceback of its own."""
    again = type(error).__new__(type(error), *error.args)  # its own __init__ may want other things
    again.__dict__.update(error.__dict__)
    again.__cause__ = error
    return again
