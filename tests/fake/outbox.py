"""What leaves one connection of the fake server: credits, signatures, seals, frames, pieces.

Every answer goes through here, and through the server's script, whatever made it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import trio

from smbfs.crypto import Sealer, Signer
from smbfs.wire.header import Command, HeaderFlags
from smbfs.wire.status import Status
from tests.fake.messages import Answer, Proof, failed, framed
from tests.fake.script import Merges

if TYPE_CHECKING:
    from tests.fake.server import FakeServer


class Outbox:
    """The sending half of one connection, and the credits, which are granted by what is sent."""

    def __init__(
        self, server: FakeServer, stream: trio.abc.Stream, hang_up: Callable[[], None]
    ) -> None:
        self.credits = 1  # granted and not spent
        self.under_way = 0  # spent and not answered
        self._server = server
        self._stream = stream
        self._hang_up = hang_up
        self._put, self._got = trio.open_memory_channel[bytes](10_000)
        self._nursery: trio.Nursery | None = None

    def write(self, frame: bytes) -> None:
        """Queue a whole frame."""
        self._put.send_nowait(frame)

    # From answers to frames

    def answer(self, answers: list[Answer]) -> None:
        """Send the answers to one frame, as far as the script lets them go."""
        groups = [answers]
        for day in list(self._server.script):
            for one in answers:
                day.change(one)
            groups = [part for group in groups for part in day.arrange(group)]
        for group in groups:
            self._later([one for one in group if not one.is_pending])
            for one in group:
                if one.is_pending:
                    self.interim(one)
                    one.flags = one.flags & ~HeaderFlags.RELATED | HeaderFlags.ASYNC
                    one.tree_id, one.credits = one.request.async_id >> 32, 0
                    self._later([one])

    def interim(self, answer: Answer) -> None:
        """Say that the real answer takes longer ([MS-SMB2] 3.3.4.2)."""
        request = answer.request
        request.async_id = request.async_id or next(self._server.async_ids)
        first = Answer(
            request,
            Status.PENDING,
            failed(Status.PENDING, b"", with_contexts=False),
            message_id=answer.message_id,
            session_id=answer.session_id,
            flags=HeaderFlags.RESPONSE | HeaderFlags.ASYNC,
            tree_id=request.async_id >> 32,
            is_interim=True,
        )
        self.send([first])

    def _later(self, answers: list[Answer]) -> None:
        delay_s = max((one.delay_s for one in answers), default=0)
        if not delay_s:
            self.send(answers)
        elif self._nursery is not None:
            self._nursery.start_soon(self._wait, answers, delay_s)

    async def _wait(self, answers: list[Answer], delay_s: float) -> None:
        await trio.sleep(delay_s)
        self.send(answers)

    def send(self, answers: list[Answer]) -> None:
        """Make one frame of these answers and queue it."""
        if not answers:
            return
        self._grant(answers)
        sealer, signers = self._keys(answers)
        messages = []
        for number, (answer, signer) in enumerate(zip(answers, signers, strict=True), 1):
            message = answer.pack(signer, is_last=number == len(answers))
            if answer.on_sent is not None:
                answer.on_sent(message)
            messages.append(message)
        frame = framed(messages, sealer)
        if sealer is not None and answers[0].proof is Proof.FLIPPED:
            frame = frame[:-1] + bytes([frame[-1] ^ 1])
        self.write(frame)

    def _grant(self, answers: list[Answer]) -> None:
        """Give credits with the last answer of a frame, as Samba and Windows do."""
        for answer in answers:
            if not answer.flags & HeaderFlags.ASYNC or answer.is_interim:
                self.under_way -= answer.request.charge
        wanted = sum(one.request.header.credits for one in answers if one.credits is None)
        room = max(0, self._server.window - self.credits - self.under_way)
        last = answers[-1]
        for answer in answers:
            answer.credits = answer.credits or 0
        last.credits = (last.credits or 0) + min(wanted, room)
        self.credits += sum(answer.credits or 0 for answer in answers)

    def _keys(self, answers: Sequence[Answer]) -> tuple[Sealer | None, list[Signer | None]]:
        first = answers[0]
        session = first.request.session
        if session is None:
            return None, [None] * len(answers)
        is_plain = any(one.is_plain or one.proof is Proof.STRIPPED for one in answers)
        if first.request.is_sealed and session.sealer is not None and not is_plain:
            return session.sealer, [None] * len(answers)
        return None, [session.signer if self._is_signed(one) else None for one in answers]

    def _is_signed(self, answer: Answer) -> bool:
        """Whether an answer has to be signed ([MS-SMB2] 3.3.4.1.1)."""
        request = answer.request
        if answer.is_interim:
            return False
        if request.command == Command.SESSION_SETUP:
            return answer.status == Status.SUCCESS
        was_signed = request.header.flags & HeaderFlags.SIGNED
        return bool(was_signed) or answer.is_plain or self._server.nature.must_sign

    # From frames to bytes

    async def run(self) -> None:
        """Write frames until the connection ends."""
        async with trio.open_nursery() as self._nursery:
            async for frame in self._got:
                merging = [day for day in self._server.script if isinstance(day, Merges)]
                if merging:
                    await trio.sleep(merging[0].within_s)
                    frame = self._merged(frame)
                if not await self._written(frame):
                    self._hang_up()
                    return

    def _merged(self, frame: bytes) -> bytes:
        frames = [frame]
        try:
            while True:
                frames.append(self._got.receive_nowait())
        except trio.WouldBlock:
            return b"".join(frames)

    async def _written(self, frame: bytes) -> bool:
        pieces: list[bytes | None] = [frame]
        for day in list(self._server.script):
            found: list[bytes | None] = []
            for piece in pieces:
                found += [None] if piece is None else day.send(piece)
            pieces = found
        for piece in pieces:
            if piece is None:
                return False
            try:
                await self._stream.send_all(piece)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
        return True
