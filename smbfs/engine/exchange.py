"""The SMB2 conversation as a value: asks in, frames out; frames in, outcomes out.

Knows message ids, what is outstanding, chains, signing and sealing, and banks credits from every
header.  Knows no socket, no clock but the ``now`` it is given, and never waits.

The rules easily broken: an id that was allocated is always sent, for the server's window is a
sequence; whether an answer must be signed or sealed is asked of our `Guard`, never of the flags
of the message ([MS-SMB2] 3.2.5.1.3); credits are granted here, where the header arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NewType, TypeVar

from smbfs.crypto import Sealer, Signer
from smbfs.engine.credits import Credits
from smbfs.errors import SmbError, Tampered
from smbfs.wire.codec import HEADER_SIZE, Blob, Structure, WireError
from smbfs.wire.header import (
    BREAK_MESSAGE_ID,
    CREDIT_UNIT,
    Command,
    Header,
    HeaderFlags,
    TransformHeader,
    parse_header,
    split_chain,
)
from smbfs.wire.messages import CancelRequest
from smbfs.wire.status import Status

MessageId = NewType("MessageId", int)
TreeId = NewType("TreeId", int)
SessionId = NewType("SessionId", int)
S = TypeVar("S", bound=Structure)

SEALED = b"\xfdSMB"
PLAIN = b"\xfeSMB"
NO_SIGNATURE = bytes(16)
FINAL_ONLY = frozenset({Status.SUCCESS})

# What a server may say without proof: it lost its keys or never had any.  Such an answer is a
# hint to set up again or a failure, never data ([MS-SMB2] 3.2.5.1.3 and Samba's client).
HINTS = frozenset(
    {
        Status.USER_SESSION_DELETED,
        Status.NETWORK_NAME_DELETED,
        Status.NETWORK_SESSION_EXPIRED,
        Status.FILE_CLOSED,
        Status.INVALID_PARAMETER,
    }
)


@dataclass(slots=True)
class Ask:
    """One request: its body and what is expected of the answer."""

    body: Structure
    receives: int = 0  # most variable bytes the answer may carry: decides the credit charge
    answers: frozenset[Status] = FINAL_ONLY  # statuses that are answers and not errors
    on_late: Callable[[Reply], Sequence[Ask]] | None = None  # what to do if nobody waits any more
    patient: bool = False  # may wait for ever: CHANGE_NOTIFY, a blocking LOCK
    urgent: bool = False  # may use the reserve of credits: ECHO, CLOSE, acknowledgements

    @property
    def command(self) -> Command:
        """The command of the request, named by its structure."""
        return Command(self.body.command)


@dataclass(slots=True)
class Reply:
    """One whole answer; ``view`` starts at its header."""

    header: Header
    status: Status
    view: memoryview
    is_proven: bool = False  # it was sealed or signed by the server, and that was checked
    is_hint: bool = False  # it should have been proven and was not, see `HINTS`: believe no data

    def parse(self, cls: type[S]) -> S:
        """Read the body; raises WireError for anything else."""
        return cls.parse(self.view)


@dataclass(slots=True)
class Guard:
    """What one session demands of its messages, decided by our policy when it was set up."""

    session_id: SessionId
    signer: Signer | None = None  # None: guest or anonymous, or signing is off
    sealer: Sealer | None = None
    must_seal: bool = False


@dataclass(slots=True, eq=False)
class Slot:
    """A request waiting for its answer."""

    ask: Ask
    message_id: MessageId
    charge: int
    guard: Guard | None
    tree_id: TreeId
    sealed: bool
    sent_at: float
    deadline: float
    async_id: int = 0
    abandoned: bool = False
    reply: Reply | None = None
    error: SmbError | None = None
    event: Any = None  # the shell's way of waking the waiter
    sent: bytes = b""  # the message itself, kept for the preauth hash only

    @property
    def is_done(self) -> bool:
        """Whether an answer or an error is there."""
        return self.reply is not None or self.error is not None

    @property
    def must_be_proven(self) -> bool:
        """Whether the answer has to be signed or sealed."""
        return self.guard is not None and (self.guard.signer is not None or self.sealed)


@dataclass(slots=True)
class Finished:
    """A slot got its answer, or its error."""

    slot: Slot


@dataclass(slots=True)
class Late:
    """An answer nobody waits for any more."""

    slot: Slot
    reply: Reply


@dataclass(slots=True)
class Broken:
    """The server breaks an oplock or a lease; the body tells which by its StructureSize."""

    view: memoryview


Outcome = Finished | Late | Broken


@dataclass(slots=True)
class Exchange:
    """One connection's ids, slots and credits."""

    credits: Credits
    limit: int  # longest message we accept, in bytes
    timeout_s: float
    charges: bool = False  # CreditCharge exists: dialect 2.1 or later
    large_mtu: bool = False
    next_id: int = 0
    channel_sequence: int = 0
    outstanding: dict[int, Slot] = field(default_factory=dict)

    def charge_of(self, ask: Ask, sends: int) -> int:
        """How many credits a request costs ([MS-SMB2] 3.2.4.1.5)."""
        if not self.large_mtu:
            return 1
        return max(1, (max(sends, ask.receives) - 1) // CREDIT_UNIT + 1)

    def cost(self, asks: Sequence[Ask]) -> int:
        """How many credits a chain costs."""
        return sum(self.charge_of(ask, _payload(ask.body.parts())) for ask in asks)

    def submit(
        self,
        asks: Sequence[Ask],
        *,
        guard: Guard | None,
        tree_id: TreeId,
        seal: bool,
        now: float,
        related: bool = True,
        record: bool = False,
    ) -> tuple[list[Blob], list[Slot]]:
        """Make one frame of a chain whose credits were taken already, and its slots."""
        sealed = guard is not None and guard.sealer is not None and (seal or guard.must_seal)
        signer = guard.signer if guard is not None and not sealed else None
        parts: list[Blob] = []
        slots: list[Slot] = []
        for number, ask in enumerate(asks):
            body = ask.body.parts()
            slot = self._slot(ask, self.charge_of(ask, _payload(body)), guard, tree_id, sealed, now)
            header = self._header(slot, HeaderFlags.RELATED if related and number else 0)
            message: list[Blob] = [b"", *body]
            if number < len(asks) - 1:
                size = HEADER_SIZE + sum(map(len, body))
                message.append(bytes(-size % 8))
                header.next_command = size + len(message[-1])
            _finish(header, message, signer, is_cancel=False)
            if record:
                slot.sent = b"".join(message)
            parts += message
            slots.append(slot)
        return self._framed(parts, guard, sealed), slots

    def _slot(
        self,
        ask: Ask,
        charge: int,
        guard: Guard | None,
        tree_id: TreeId,
        sealed: bool,
        now: float,
    ) -> Slot:
        """Allocate the ids of one request; from here on it has to be sent."""
        deadline = float("inf") if ask.patient else now + self.timeout_s
        message_id = MessageId(self.next_id)
        slot = Slot(ask, message_id, charge, guard, tree_id, sealed, now, deadline)
        self.outstanding[message_id] = slot
        self.next_id += charge
        return slot

    def _header(self, slot: Slot, flags: int) -> Header:
        return Header(
            credit_charge=slot.charge if self.charges else 0,
            status=self.channel_sequence,
            command=slot.ask.command,
            credits=self.credits.wanted(slot.charge),
            flags=flags,
            message_id=slot.message_id,
            tree_id=slot.tree_id,
            session_id=slot.guard.session_id if slot.guard is not None else 0,
        )

    def cancel(self, slot: Slot) -> list[Blob]:
        """Make the frame that asks the server to give a request up ([MS-SMB2] 3.2.4.24)."""
        flags = HeaderFlags.ASYNC if slot.async_id else 0
        header = Header(
            command=Command.CANCEL,
            flags=flags,
            message_id=slot.message_id,
            reserved=slot.async_id & 0xFFFFFFFF,
            tree_id=slot.async_id >> 32 if slot.async_id else slot.tree_id,
            session_id=slot.guard.session_id if slot.guard is not None else 0,
        )
        message: list[Blob] = [b"", *CancelRequest().parts()]
        signer = slot.guard.signer if slot.guard is not None and not slot.sealed else None
        _finish(header, message, signer, is_cancel=True)
        return self._framed(message, slot.guard, slot.sealed)

    def _framed(self, parts: list[Blob], guard: Guard | None, sealed: bool) -> list[Blob]:
        if sealed and guard is not None and guard.sealer is not None:
            parts = guard.sealer.seal(parts)
        size = sum(map(len, parts))
        return [size.to_bytes(4, "big"), *parts]

    def arrive(
        self, frame: memoryview, guards: dict[SessionId, Guard], now: float
    ) -> Iterator[Outcome]:
        """Take one frame in: open or verify it, bank its credits, tell what became of whom.

        Raises WireError for nonsense and Tampered for a wrong signature or seal, after the outcomes
        of what came before it in the frame; the connection must end with either.
        """
        opened: Guard | None = None
        if frame[:4] == SEALED:
            session_id = SessionId(TransformHeader.parse(frame, 0).session_id)
            opened = guards.get(session_id)
            if opened is None or opened.sealer is None:
                raise WireError("a sealed frame for a session that has no keys")
            frame = opened.sealer.open(frame)
        if frame[:4] != PLAIN:
            raise WireError("a frame that is no SMB2 message")
        for message in split_chain(frame):
            if (outcome := self._arrive_one(message, opened, now)) is not None:
                yield outcome

    def _arrive_one(self, view: memoryview, opened: Guard | None, now: float) -> Outcome | None:
        header = parse_header(view)
        if not header.flags & HeaderFlags.RESPONSE:
            raise WireError("a request from the server")
        if header.message_id == BREAK_MESSAGE_ID:
            if header.command != Command.OPLOCK_BREAK:
                raise WireError(f"an unsolicited message of command {header.command}")
            return Broken(view)
        slot = self.outstanding.get(header.message_id)
        if slot is None:
            raise WireError(f"an answer to a request we never sent (id {header.message_id})")
        if header.command != slot.ask.command:
            raise WireError(f"{slot.ask.command.name} was answered as command {header.command}")
        status = Status(header.status)
        # The charge is answered by the first response, interim or final.
        self.credits.grant(header.credits, 0 if slot.async_id else slot.charge)
        if status == Status.PENDING and header.flags & HeaderFlags.ASYNC:
            slot.async_id = header.async_id
            if not slot.ask.patient:
                slot.deadline = now + self.timeout_s
            return None
        is_proven = _prove(slot, header, status, view, opened)
        del self.outstanding[slot.message_id]
        reply = Reply(header, status, view, is_proven, not is_proven and slot.must_be_proven)
        if slot.abandoned:
            return Late(slot, reply)
        slot.reply = reply
        return Finished(slot)

    def fail_all(self, error: SmbError) -> list[Slot]:
        """End every wait with one error; returns the slots that somebody waits for."""
        slots = [slot for slot in self.outstanding.values() if not slot.abandoned]
        for slot in slots:
            slot.error = error
        self.outstanding.clear()
        return slots

    def expired(self, now: float) -> list[Slot]:
        """The slots whose answer is overdue, whether anybody waits for it still or not."""
        slots = self.outstanding.values()
        return [slot for slot in slots if slot.deadline <= now and slot.error is None]


def _payload(parts: tuple[Blob, ...]) -> int:
    return sum(map(len, parts[1:]))


def _finish(header: Header, message: list[Blob], signer: Signer | None, *, is_cancel: bool) -> None:
    """Put the header, signed if it has to be, in front of its message."""
    if signer is None:
        message[0] = bytes(header)
        return
    header.flags |= HeaderFlags.SIGNED
    message[0] = bytes(header)
    header.signature = signer.sign(
        message, message_id=header.message_id, from_server=False, is_cancel=is_cancel
    )
    message[0] = bytes(header)


def _prove(
    slot: Slot, header: Header, status: Status, view: memoryview, opened: Guard | None
) -> bool:
    """Check that an answer comes from the server as far as the session demands it; tell if so."""
    guard = slot.guard
    if opened is not None:
        if opened is not guard:
            raise Tampered("an answer was sealed with the keys of another session")
        return True
    if guard is None or not slot.must_be_proven:
        return False
    if status in HINTS and not header.flags & HeaderFlags.SIGNED:
        return False
    if slot.sealed:
        raise Tampered(f"a plain answer to an encrypted {slot.ask.command.name}")
    if not is_signed_by(guard, header, view):
        raise Tampered(f"the signature of the answer to {slot.ask.command.name} is wrong")
    return True


def is_signed_by(guard: Guard, header: Header, view: memoryview) -> bool:
    """Tell whether a message carries the server's signature ([MS-SMB2] 3.1.5.1)."""
    if guard.signer is None or not header.flags & HeaderFlags.SIGNED:
        return False
    return guard.signer.verify(
        [view[:48], NO_SIGNATURE, view[HEADER_SIZE:]],
        header.signature,
        message_id=header.message_id,
        is_cancel=False,
    )
