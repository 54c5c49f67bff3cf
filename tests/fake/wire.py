"""One connection of the fake server: frames, ids, credits, signatures, chains, interim answers.

Requests are done in the order they come, each frame to its end before the next; only what was
parked or what a bad day delays is answered later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from smbfs.crypto import Preauth
from smbfs.errors import Tampered
from smbfs.wire.codec import HEADER_SIZE, WireError
from smbfs.wire.header import Command, HeaderFlags, TransformHeader, parse_header, split_chain
from smbfs.wire.messages import NegotiateRequest, NegotiateResponse, SessionSetupRequest
from smbfs.wire.status import Status
from tests.fake.commands import COMMANDS
from tests.fake.login import Greeting, Session, negotiate, set_up
from tests.fake.messages import Answer, Chain, Parked, Request, failed
from tests.fake.outbox import Outbox
from tests.fake.tree import Fail, Open, Volume

if TYPE_CHECKING:
    from tests.fake.server import FakeServer

SEALED, SMB1 = b"\xfdSMB", b"\xffSMB"
NO_SESSION = {Command.NEGOTIATE, Command.SESSION_SETUP, Command.ECHO, Command.OPLOCK_BREAK}
NO_TREE = NO_SESSION | {Command.LOGOFF, Command.TREE_CONNECT}
ALLOWED_EXPIRED = {Command.LOGOFF, Command.CLOSE, Command.LOCK, Command.SESSION_SETUP}


class Wire:
    """What the server knows of one connection."""

    def __init__(self, server: FakeServer, stream: trio.abc.Stream) -> None:
        self.server = server
        self.stream = stream
        self.sessions: list[int] = []
        self.trees: dict[int, Volume] = {}
        self.greeting: Greeting | None = None
        self.limits = NegotiateResponse(
            security_mode=0,
            dialect_revision=0,
            server_guid=bytes(16),
            capabilities=0,
            max_transact_size=65536,
            max_read_size=65536,
            max_write_size=65536,
        )
        self.preauth = Preauth()
        self.parked: dict[int, Request] = {}  # by message id
        self.next_id = 0
        self.outbox = Outbox(server, stream, self.hang_up)
        self._scope = trio.CancelScope()

    # Its life

    async def run(self) -> None:
        """Serve until somebody hangs up."""
        with self._scope:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.outbox.run)
                    await self._read()
                    self._scope.cancel()
            finally:
                self.server.gone(self)
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(self.stream)

    def hang_up(self) -> None:
        """End the connection."""
        self._scope.cancel()

    def violates(self, what: str) -> None:
        """Note what the client did wrong, and have no more of it."""
        self.server.violations.append(what)
        self.hang_up()

    async def _read(self) -> None:
        buffer = bytearray()
        try:
            while True:
                while len(buffer) < 4 or len(buffer) < 4 + int.from_bytes(buffer[1:4], "big"):
                    chunk = await self.stream.receive_some()
                    if not chunk:
                        return
                    buffer += chunk
                end = 4 + int.from_bytes(buffer[1:4], "big")
                frame = memoryview(bytes(buffer[4:end]))
                del buffer[:end]
                self._take(frame)
                await trio.lowlevel.checkpoint()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        except (WireError, Tampered) as error:
            self.violates(f"{type(error).__name__}: {error}")

    # One frame

    def _take(self, frame: memoryview) -> None:
        if frame[:4] == SMB1:
            self.hang_up()  # as Samba does that has it switched off
            return
        sealer_session: Session | None = None
        if frame[:4] == SEALED:
            session_id = TransformHeader.parse(frame, 0).session_id
            sealer_session = self.server.sessions.get(session_id)
            if sealer_session is None or sealer_session.sealer is None:
                self.hang_up()  # the session is gone: nobody can read this
                return
            frame = sealer_session.sealer.open(frame)
        views = split_chain(frame)
        chain = Chain(len(views))
        requests = [
            Request(self, chain, number, parse_header(view), view, sealer_session is not None)
            for number, view in enumerate(views)
        ]
        if requests[0].header.command == Command.CANCEL:
            self._cancel(requests[0])
            return
        for request in requests:
            self._spend(request)
        self.server.requests.append(tuple(request.command for request in requests))
        swallows = [day.swallows(requests) for day in list(self.server.script)]
        if any(swallows):
            return
        refusals = [day.refuses(requests) for day in list(self.server.script)]
        refusal = next((status for status in refusals if status is not None), None)
        answers = [self._done(request, refusal) for request in requests]
        self.outbox.answer([answer for answer in answers if answer is not None])

    def _spend(self, request: Request) -> None:
        header = request.header
        if header.message_id != self.next_id:
            self.violates(f"message id {header.message_id} where {self.next_id} is next")
        charge = request.charge
        self.next_id += charge
        self.outbox.credits -= charge
        self.outbox.under_way += charge
        if self.outbox.credits < 0:
            self.violates(f"{request.command.name} was sent without a credit for it")
        is_related = bool(header.flags & HeaderFlags.RELATED)
        if is_related != (request.number > 0):
            self.violates("RELATED is not on all but the first of a chain")

    def _done(self, request: Request, refusal: Status | None) -> Answer | None:
        """Do one request; None if its answer has to wait."""
        answer = Answer(
            request,
            Status.SUCCESS,
            b"",
            message_id=request.header.message_id,
            session_id=request.header.session_id,
        )
        try:
            self._admit(request)
            if refusal is not None:
                raise Fail(refusal)
            answer.status, answer.body = self._dispatch(request, answer)
        except Fail as error:
            self._failed(answer, error)
        except WireError:
            self._failed(answer, Fail(Status.INVALID_PARAMETER))
        except Parked:
            self._park(request)
            return None
        answer.tree_id = request.header.tree_id
        answer.flags |= HeaderFlags.RELATED if request.number else 0
        return answer

    def _failed(self, answer: Answer, error: Fail) -> None:
        is_311 = self.greeting is not None and self.greeting.dialect >= 0x0311
        answer.status = error.status
        answer.body = failed(error.status, error.data, with_contexts=is_311)

    def _admit(self, request: Request) -> None:
        """Check who asks ([MS-SMB2] 3.3.5.2.4, 3.3.5.2.9, 3.3.5.2.11)."""
        header, command = request.header, request.command
        if command in NO_SESSION and not header.session_id:
            return
        session = self.server.sessions.get(header.session_id)
        if session is None or header.session_id not in self.sessions:
            raise Fail(Status.USER_SESSION_DELETED)
        request.session = session
        self._check_signature(request, session)
        if session.expired and command not in ALLOWED_EXPIRED:
            raise Fail(Status.NETWORK_SESSION_EXPIRED)
        if command in NO_TREE:
            return
        request.volume = self.trees.get(header.tree_id)
        if request.volume is None:
            raise Fail(Status.NETWORK_NAME_DELETED)
        if request.volume.encrypt and not request.is_sealed:
            raise Fail(Status.ACCESS_DENIED)

    def _check_signature(self, request: Request, session: Session) -> None:
        if request.is_sealed or session.signer is None:
            return
        if request.command == Command.SESSION_SETUP:
            return
        if session.must_seal:
            raise Fail(Status.ACCESS_DENIED)
        header, view = request.header, request.view
        if not header.flags & HeaderFlags.SIGNED:
            is_connect = request.command == Command.TREE_CONNECT
            assert self.greeting is not None
            if is_connect and self.greeting.dialect >= 0x0311:
                self.violates("an unsigned TREE_CONNECT on 3.1.1")
            if self.server.nature.must_sign or is_connect:
                raise Fail(Status.ACCESS_DENIED)
        elif not session.signer.verify(
            [view[:48], bytes(16), view[HEADER_SIZE:]],
            header.signature,
            message_id=header.message_id,
            is_cancel=request.command == Command.CANCEL,
            from_server=False,
        ):
            self.violates(f"the signature of {request.command.name} is wrong")
            raise Fail(Status.ACCESS_DENIED)

    def _dispatch(self, request: Request, answer: Answer) -> tuple[Status, bytes]:
        if request.command == Command.NEGOTIATE:
            return self._negotiate(request, answer)
        if request.command == Command.SESSION_SETUP:
            return self._set_up(request, answer)
        return COMMANDS[request.command](request)

    # Setting up

    def _negotiate(self, request: Request, answer: Answer) -> tuple[Status, bytes]:
        if self.greeting is not None:
            self.violates("a second NEGOTIATE")
        body = request.parse(NegotiateRequest)
        self.greeting, self.limits = negotiate(self.server.nature, body)
        self.preauth.update(request.view)
        answer.on_sent = lambda message: self.preauth.update(message)
        return Status.SUCCESS, bytes(self.limits)

    def _set_up(self, request: Request, answer: Answer) -> tuple[Status, bytes]:
        if self.greeting is None:
            raise Fail(Status.INVALID_PARAMETER)
        body = request.parse(SessionSetupRequest)
        session = request.session
        if session is None:
            session = Session(next(self.server.session_ids), self.preauth.copy())
            self.server.sessions[session.session_id] = session
            self.sessions.append(session.session_id)
            if body.previous_session_id:
                self.server.forget_session(body.previous_session_id)
        request.session = session
        answer.session_id = session.session_id
        session.preauth.update(request.view)
        try:
            status, response = set_up(self.server.nature, self.greeting, session, body)
        except Fail:
            self.server.forget_session(session.session_id)
            raise
        if status != Status.SUCCESS:
            preauth = session.preauth
            answer.on_sent = lambda message: preauth.update(message)
        return status, bytes(response)

    # Waiting

    def _park(self, request: Request) -> None:
        request.async_id = next(self.server.async_ids)
        self.parked[request.header.message_id] = request
        header = request.header
        answer = Answer(request, Status.PENDING, b"", message_id=header.message_id)
        answer.session_id = header.session_id
        self.outbox.interim(answer)

    def finish(self, request: Request, status: Status, body: bytes = b"") -> None:
        """Give the final answer to what was parked."""
        del self.parked[request.header.message_id]
        answer = Answer(
            request,
            status,
            body or failed(status, b"", with_contexts=False),
            credits=0,
            message_id=request.header.message_id,
            session_id=request.header.session_id,
            flags=HeaderFlags.RESPONSE | HeaderFlags.ASYNC,
        )
        answer.tree_id = request.async_id >> 32
        self.outbox.answer([answer])

    def _cancel(self, request: Request) -> None:
        header = request.header
        self.server.cancelled.append(header.message_id)
        session = self.server.sessions.get(header.session_id)
        if session is not None:
            self._check_signature(request, session)
        parked = self.parked.get(header.message_id)
        if parked is not None:
            self.finish(parked, Status.CANCELLED)

    def retry(self, command: Command) -> None:
        """Try again what could not be done at once."""
        for request in [one for one in self.parked.values() if one.command == command]:
            try:
                status, body = COMMANDS[command](request)
            except Parked:
                continue
            except Fail as error:
                self.finish(request, error.status)
            else:
                self.finish(request, status, body)

    def closed(self, open_: Open) -> None:
        """End the watching of a directory that was closed."""
        for request in list(self.parked.values()):
            if request.command == Command.CHANGE_NOTIFY and request.chain.open is open_:
                self.finish(request, Status.NOTIFY_CLEANUP)
