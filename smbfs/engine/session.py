"""Who we are on one connection, and which share we are in.

A `Session` is set up by tokens from `smbfs.auth`; its keys become the `Guard` by which the
exchange judges every later message.  A `Tree` is one connected share and the only thing through
which the rooms above ask.  Easily broken: the preauth hash takes every SESSION_SETUP message but
the final successful answer ([MS-SMB2] 3.2.5.3.1), and that answer is verified with the keys
derived from the very exchange it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from smbfs.auth import Authenticator
from smbfs.crypto import Preauth, Sealer, derive_keys, signer_for
from smbfs.engine.connection import NO_TREE, Connection
from smbfs.engine.dialect import Capabilities, Policy, check_validation, validation
from smbfs.engine.exchange import Ask, Guard, Reply, SessionId, Slot, TreeId, is_signed_by
from smbfs.engine.pace import Pace
from smbfs.errors import ConnectionLost, Refused, StatusError, Tampered
from smbfs.wire.constants import (
    Fsctl,
    SecurityMode,
    SessionFlags,
    ShareCapabilities,
    ShareFlags,
)
from smbfs.wire.file_messages import IoctlRequest, IoctlResponse
from smbfs.wire.fsctl import ValidateNegotiateInfoResponse
from smbfs.wire.header import Command
from smbfs.wire.messages import (
    LogoffRequest,
    NegotiateRequest,
    SessionSetupRequest,
    SessionSetupResponse,
    TreeConnectRequest,
    TreeConnectResponse,
    TreeDisconnectRequest,
)
from smbfs.wire.status import SENTENCES, Status
from smbfs.wire.units import utf16

MORE = frozenset({Status.SUCCESS, Status.MORE_PROCESSING_REQUIRED})
ENDED = {  # what the server says when the ground under our feet is gone
    Status.USER_SESSION_DELETED: "the server ended our session",
    Status.NETWORK_SESSION_EXPIRED: "our login has expired",
    Status.NETWORK_NAME_DELETED: "the server withdrew the share",
}
# Old servers answer so to a validation they do not know; only their signature makes it count.
NOT_KNOWN = frozenset(
    {
        Status.SUCCESS,
        Status.FILE_CLOSED,
        Status.NOT_SUPPORTED,
        Status.INVALID_DEVICE_REQUEST,
        Status.FS_DRIVER_REQUIRED,
    }
)
NO_FILE = b"\xff" * 16
DISK = 0x01


@dataclass(slots=True)
class Session:
    """One login on one connection."""

    connection: Connection
    capabilities: Capabilities
    guard: Guard
    flags: int
    negotiate: NegotiateRequest
    gone: str = ""  # why the server ended it

    @property
    def is_guest(self) -> bool:
        """Whether the server let us in without an identity: nothing can be signed or sealed."""
        return bool(self.flags & (SessionFlags.GUEST | SessionFlags.NULL))

    async def ask(self, ask: Ask, *, tree_id: TreeId = NO_TREE, seal: bool = False) -> Reply:
        """Ask one thing and wait; statuses that are no answers raise StatusError."""
        [slot] = await self.connection.post([ask], guard=self.guard, tree_id=tree_id, seal=seal)
        reply = await self.connection.wait(slot)
        if reply.status not in ask.answers:
            raise StatusError(reply.status, ask.command.name)
        return reply

    async def log_off(self) -> None:
        """Say goodbye; failures do not matter."""
        await self.ask(Ask(LogoffRequest(), urgent=True))


async def set_up(
    connection: Connection,
    capabilities: Capabilities,
    policy: Policy,
    negotiate: NegotiateRequest,
    preauth: Preauth,
    authenticator: Authenticator,
    *,
    may_be_guest: bool,
    previous_session: int = 0,
) -> Session:
    """Log in ([MS-SMB2] 3.2.4.2.3).

    ``preauth`` is a copy of the connection's hash.  Raises Refused for wrong credentials and for
    a login that policy does not accept, Tampered for a final answer without a valid signature.
    """
    token = await _step(authenticator, capabilities.security_blob)
    guard = Guard(SessionId(0))
    while True:
        body = SessionSetupRequest(
            security_mode=SecurityMode.SIGNING_ENABLED
            | (SecurityMode.SIGNING_REQUIRED if policy.sign else 0),
            capabilities=0,
            previous_session_id=previous_session,
            security_buffer=token or b"",
        )
        [slot] = await connection.post(
            [Ask(body, answers=MORE)], guard=guard, record=True, related=False
        )
        preauth.update(slot.sent)
        reply = await connection.wait(slot)
        if reply.status not in MORE:
            raise _login_refused(reply.status, connection.server)
        guard.session_id = SessionId(reply.header.session_id)
        response = reply.parse(SessionSetupResponse)
        if reply.status == Status.SUCCESS:
            break
        preauth.update(reply.view)
        token = await _step(authenticator, bytes(response.security_buffer))
    if not authenticator.complete and response.security_buffer:
        await _step(authenticator, bytes(response.security_buffer))
    session = Session(connection, capabilities, guard, response.session_flags, negotiate)
    _judge(session, policy, authenticator, preauth, reply, may_be_guest)
    connection.guards[guard.session_id] = guard
    return session


async def _step(authenticator: Authenticator, token: bytes) -> bytes | None:
    if authenticator.may_block:
        return await trio.to_thread.run_sync(authenticator.step, token)
    return authenticator.step(token)


def _judge(
    session: Session,
    policy: Policy,
    authenticator: Authenticator,
    preauth: Preauth,
    reply: Reply,
    may_be_guest: bool,
) -> None:
    """Take the session on our terms or not at all."""
    server = session.connection.server
    if session.is_guest or authenticator.is_anonymous:
        if not (may_be_guest or authenticator.is_anonymous):
            raise Refused(
                f"{server} does not know this user and lets us in only as a guest, which cannot "
                "be signed. Check user name and password, or ask for it with `guest`"
            )
        if policy.seal:
            raise Refused(f"{server} lets us in only as a guest, and guests cannot encrypt")
        return
    if not authenticator.session_key:
        raise Refused("the login gave no session key, so nothing could be signed")
    capabilities, guard = session.capabilities, session.guard
    keys = derive_keys(
        capabilities.dialect, authenticator.session_key, preauth.digest, capabilities.cipher
    )
    signer = signer_for(capabilities.dialect, capabilities.signing_algorithm, keys.signing)
    guard.signer = signer
    is_signed = is_signed_by(guard, reply.header, reply.view)
    if not is_signed and (policy.sign or capabilities.dialect >= 0x0311):
        raise Tampered(f"{server} did not sign the end of the login")
    if capabilities.cipher:
        guard.sealer = Sealer(capabilities.cipher, keys.c2s, keys.s2c, guard.session_id)
    guard.must_seal = policy.seal or bool(session.flags & SessionFlags.ENCRYPT_DATA)
    if guard.must_seal and guard.sealer is None:
        raise Refused(f"{server} and we have no cipher in common, and encryption is required")


def _login_refused(status: Status, server: str) -> Refused:
    sentence = SENTENCES.get(status, f"the login failed ({status.name})")
    return Refused(f"{server} refuses the login: {sentence[:1].lower()}{sentence[1:]}")


@dataclass(slots=True)
class Tree:
    """One connected share."""

    session: Session
    tree_id: TreeId
    share_type: int
    share_flags: int
    capabilities: int
    maximal_access: int
    seal: bool

    @property
    def is_alive(self) -> bool:
        """Whether asking makes sense."""
        return not self.session.gone and self.session.connection.is_alive

    @property
    def is_continuous(self) -> bool:
        """Whether the server keeps open files for us even if it has to start anew."""
        return bool(self.capabilities & ShareCapabilities.CONTINUOUS_AVAILABILITY)

    @property
    def largest(self) -> int:
        """The most credits one frame should cost."""
        return self.session.connection.exchange.credits.largest

    def pace(self, command: Command) -> Pace:
        """How much one READ or WRITE should carry now."""
        return self.session.connection.paces[command]

    async def post(self, asks: Sequence[Ask], *, cuttable: bool = False) -> list[Slot]:
        """Queue one frame, a related chain if there are several; waits for credits only.

        Raises ConnectionLost; WindowShrank for something ``cuttable`` if there are too few for it.
        """
        if self.session.gone:
            raise ConnectionLost(self.session.gone)
        return await self.session.connection.post(
            asks,
            guard=self.session.guard,
            tree_id=self.tree_id,
            seal=self.seal,
            cuttable=cuttable,
        )

    def post_now(self, asks: Sequence[Ask]) -> list[Slot] | None:
        """Queue one frame from the reserve of credits, or answer None; never waits."""
        if self.session.gone:
            return None
        return self.session.connection.post_now(
            asks, guard=self.session.guard, tree_id=self.tree_id, seal=self.seal
        )

    def post_soon(self, asks: Sequence[Ask]) -> None:
        """Queue one frame whose answers nobody waits for; never waits and never raises."""
        if not self.session.gone:
            self.session.connection.post_soon(
                asks, guard=self.session.guard, tree_id=self.tree_id, seal=self.seal
            )

    async def wait(self, slot: Slot) -> Reply:
        """Wait for the answer of one slot; raises ConnectionLost, ServerSilent, Tampered."""
        reply = await self.session.connection.wait(slot)
        if reply.status in ENDED:
            self.session.gone = ENDED[reply.status]
            raise ConnectionLost(self.session.gone)
        return reply

    def abandon(self, slot: Slot) -> None:
        """Stop waiting for a slot."""
        self.session.connection.abandon(slot)

    async def disconnect(self) -> None:
        """Leave the share."""
        await self.session.ask(
            Ask(TreeDisconnectRequest(), urgent=True), tree_id=self.tree_id, seal=self.seal
        )


async def connect_tree(session: Session, host: str, share: str, policy: Policy) -> Tree:
    """Connect to ``\\\\host\\share`` ([MS-SMB2] 3.2.4.2.4).  Raises Refused with a sentence."""
    try:
        body = TreeConnectRequest(path=utf16(f"\\\\{host}\\{share}"))
        reply = await session.ask(Ask(body), seal=False)
    except StatusError as error:
        raise _share_refused(error.status, host, share) from error
    response = reply.parse(TreeConnectResponse)
    if response.share_type != DISK:
        raise Refused(f"//{host}/{share} is no folder share (a printer or a pipe)")
    seal = bool(response.share_flags & ShareFlags.ENCRYPT_DATA)
    if seal and session.guard.sealer is None:
        raise Refused(f"//{host}/{share} demands encryption, which this login cannot give")
    tree = Tree(
        session,
        TreeId(reply.header.tree_id),
        response.share_type,
        response.share_flags,
        response.capabilities,
        response.maximal_access,
        seal,
    )
    await _validate(tree, policy)
    if not (policy.sign or session.capabilities.signing_required):
        session.guard.signer = None  # not before here: 3.1.1 demands a signed TREE_CONNECT
    return tree


def _share_refused(status: Status, host: str, share: str) -> Refused:
    if status == Status.BAD_NETWORK_NAME:
        return Refused(f"{host} has no share called {share!r}. Check the name after the host")
    if status == Status.ACCESS_DENIED:
        return Refused(f"{host} does not let this user into the share {share!r}")
    sentence = SENTENCES.get(status, status.name)
    return Refused(f"//{host}/{share} could not be connected: {sentence}")


async def _validate(tree: Tree, policy: Policy) -> None:
    """Make sure nobody changed the negotiation on its way ([MS-SMB2] 3.2.5.5)."""
    session = tree.session
    body = validation(policy, session.negotiate, session.capabilities)
    if body is None or session.guard.signer is None:
        return
    ask = Ask(
        IoctlRequest(
            ctl_code=Fsctl.VALIDATE_NEGOTIATE_INFO,
            file_id=NO_FILE,
            max_output_response=24,
            input=bytes(body),
        ),
        answers=NOT_KNOWN,
    )
    reply = await session.ask(ask, tree_id=tree.tree_id, seal=tree.seal)
    if reply.status == Status.SUCCESS:
        output = memoryview(reply.parse(IoctlResponse).output)
        check_validation(session.capabilities, ValidateNegotiateInfoResponse.parse(output, 0))
    elif not reply.is_proven:
        raise Tampered("the server's word on the negotiation is not signed")
