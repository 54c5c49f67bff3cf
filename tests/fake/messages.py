"""One request as the fake server sees it, and one answer before it leaves.

An `Answer` is a plain value until it is sealed or signed at the last moment, so that a bad day can
change anything about it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

from smbfs.crypto import Sealer, Signer
from smbfs.wire.codec import HEADER_SIZE, Blob, Structure
from smbfs.wire.error_data import ErrorId, pack_error_contexts
from smbfs.wire.header import CREDIT_UNIT, RELATED_FILE_ID, Command, Header, HeaderFlags
from smbfs.wire.messages import ErrorResponse
from smbfs.wire.status import Status
from tests.fake.login import Session
from tests.fake.tree import Fail, Open, Volume

if TYPE_CHECKING:
    from tests.fake.wire import Wire

S = TypeVar("S", bound=Structure)
Result = tuple[Status, bytes]


@dataclass(eq=False)
class Chain:
    """What the elements of one frame share."""

    length: int
    open: Open | None = None  # what RELATED_FILE_ID means
    error: Status | None = None  # of the CREATE that failed


@dataclass(eq=False)
class Request:
    """One request message."""

    wire: Wire
    chain: Chain
    number: int  # in its chain
    header: Header
    view: memoryview
    is_sealed: bool
    session: Session | None = None
    volume: Volume | None = None
    async_id: int = 0

    @property
    def command(self) -> Command:
        """Which of the nineteen."""
        return Command(self.header.command)

    @property
    def charge(self) -> int:
        """Credits it costs, at least one."""
        return max(1, self.header.credit_charge)

    def parse(self, cls: type[S]) -> S:
        """Read its body."""
        return cls.parse(self.view)

    def opened(self, file_id: Blob) -> Open:
        """The open it is about, of its own session only."""
        if bytes(file_id) == RELATED_FILE_ID:
            if self.chain.error is not None:
                raise Fail(self.chain.error)
            found = self.chain.open
        else:
            found = self.wire.server.opens.get(bytes(file_id))
        if found is None or found.session_id != self.header.session_id:
            raise Fail(Status.FILE_CLOSED)
        self.chain.open = found
        return found

    @property
    def share(self) -> Volume:
        """The share it is about."""
        if self.volume is None:
            raise Fail(Status.NETWORK_NAME_DELETED)
        return self.volume

    def pays(self, size: int) -> None:
        """Fail if its credits do not cover the payload ([MS-SMB2] 3.3.5.2.5)."""
        if (max(size, 1) - 1) // CREDIT_UNIT + 1 > self.charge:
            raise Fail(Status.INVALID_PARAMETER)


class Parked(Exception):
    """The answer has to wait: an interim one goes out now."""


def done(body: Structure) -> Result:
    """Success, with this body."""
    return Status.SUCCESS, bytes(body)


class Proof(Enum):
    """How an answer shows that it comes from the server."""

    RIGHT = auto()
    FLIPPED = auto()  # one bit of the signature is wrong
    STRIPPED = auto()  # no signature and no flag
    ZERO = auto()  # the flag and no signature


@dataclass(eq=False)
class Answer:
    """One answer message, not yet signed."""

    request: Request
    status: Status
    body: bytes
    credits: int | None = None  # None: as the wire's policy says
    message_id: int = 0
    proof: Proof = Proof.RIGHT
    is_plain: bool = False  # although the request was sealed
    is_pending: bool = False  # an interim answer goes first
    delay_s: float = 0.0
    flags: int = HeaderFlags.RESPONSE
    tree_id: int = 0
    session_id: int = 0
    is_interim: bool = False
    on_sent: Callable[[bytes], None] | None = None  # told the bytes that were sent

    @property
    def command(self) -> Command:
        """Of the request."""
        return self.request.command

    def pack(self, signer: Signer | None, *, is_last: bool) -> bytes:
        """The whole message, padded and signed as its `proof` says."""
        padding = b"" if is_last else bytes(-(HEADER_SIZE + len(self.body)) % 8)
        header = Header(
            credit_charge=self.request.header.credit_charge,
            status=self.status,
            command=self.request.header.command,
            credits=self.credits or 0,
            flags=self.flags,
            next_command=0 if is_last else HEADER_SIZE + len(self.body) + len(padding),
            message_id=self.message_id,
            reserved=self.request.async_id & 0xFFFFFFFF if self.flags & HeaderFlags.ASYNC else 0,
            tree_id=self.tree_id,
            session_id=self.session_id,
        )
        if signer is not None and self.proof is not Proof.STRIPPED:
            header.flags |= HeaderFlags.SIGNED
            header.signature = self._signature(signer, header, padding)
        return b"".join([bytes(header), self.body, padding])

    def _signature(self, signer: Signer, header: Header, padding: bytes) -> bytes:
        if self.proof is Proof.ZERO:
            return bytes(16)
        right = signer.sign(
            [bytes(header), self.body, padding],
            message_id=header.message_id,
            from_server=True,
            is_cancel=False,
        )
        return bytes([right[0] ^ 1]) + right[1:] if self.proof is Proof.FLIPPED else right


def failed(status: Status, data: bytes, *, with_contexts: bool) -> bytes:
    """The body of an error; 3.1.1 wraps its data into a context ([MS-SMB2] 2.2.2.1)."""
    if not data:
        return bytes(ErrorResponse())
    if with_contexts:
        packed = pack_error_contexts([(ErrorId.DEFAULT, data)])
        return bytes(ErrorResponse(error_context_count=1, error_data=packed))
    return bytes(ErrorResponse(error_data=data))


def framed(messages: list[bytes], sealer: Sealer | None) -> bytes:
    """One frame of these messages, sealed if there is a sealer."""
    parts: list[Blob] = list(messages)
    if sealer is not None:
        parts = sealer.seal(parts)
    whole = b"".join(parts)
    return len(whole).to_bytes(4, "big") + whole
