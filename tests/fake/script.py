"""The fake server's bad days, each a value: what it does, when, and how often.

Give them to the server, together if you like, before a client connects or later
(``server.script.append(Silent())``).  ``on`` restricts one to a command; without it the messages
that set a session up pass unharmed.  ``after`` lets so many pass first, ``times`` ends it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from smbfs.wire.directory import directory_entries, pack_entries
from smbfs.wire.file_messages import ReadResponse
from smbfs.wire.header import Command
from smbfs.wire.query_messages import QueryDirectoryRequest, QueryDirectoryResponse
from smbfs.wire.status import Status
from smbfs.wire.units import utf16
from tests.fake.messages import Answer, Proof, Request
from tests.fake.queries import ENTRIES

SET_UP = {
    Command.NEGOTIATE,
    Command.SESSION_SETUP,
    Command.TREE_CONNECT,
    Command.LOGOFF,
    Command.TREE_DISCONNECT,
}
FOR_EVER = 1 << 62


@dataclass(kw_only=True)
class BadDay:
    """When something goes wrong; a day like any other until a subclass says what."""

    on: Command | None = None
    after: int = 0
    times: int = FOR_EVER
    seen: int = field(default=0, init=False)
    struck: int = field(default=0, init=False)

    def strikes(self, *commands: Command) -> bool:
        """Tell whether it happens to these, and count."""
        if self.on is None and not SET_UP.isdisjoint(commands):
            return False
        if self.on is not None and self.on not in commands:
            return False
        self.seen += 1
        if self.seen <= self.after or self.struck >= self.times:
            return False
        self.struck += 1
        return True

    def swallows(self, requests: Sequence[Request]) -> bool:
        """Whether a frame is never answered, nor done."""
        return False

    def refuses(self, requests: Sequence[Request]) -> Status | None:
        """The error that a whole frame gets, undone."""
        return None

    def change(self, answer: Answer) -> None:
        """Change one answer."""

    def arrange(self, answers: list[Answer]) -> list[list[Answer]]:
        """Say which answers share a frame."""
        return [answers]

    def send(self, frame: bytes) -> Iterator[bytes | None]:
        """Say in which pieces a frame is written; None hangs up."""
        yield frame


# It says nothing, or hangs up


@dataclass(kw_only=True)
class Silent(BadDay):
    """Requests are read and never answered."""

    def swallows(self, requests: Sequence[Request]) -> bool:
        return self.strikes(*(request.command for request in requests))


@dataclass(kw_only=True)
class Drops(BadDay):
    """The connection ends when a request comes, maybe in the middle of its answer."""

    mid_frame: bool = False
    _now: bool = field(default=False, init=False)

    def swallows(self, requests: Sequence[Request]) -> bool:
        if not self.strikes(*(request.command for request in requests)):
            return False
        if not self.mid_frame:
            requests[0].wire.hang_up()
            return True
        self._now = True
        return False

    def send(self, frame: bytes) -> Iterator[bytes | None]:
        if self._now:
            self._now = False
            yield frame[: len(frame) // 2]
            yield None
        else:
            yield frame


# Time and order


@dataclass(kw_only=True)
class Delay(BadDay):
    """The request is done at once and answered later."""

    seconds: float

    def change(self, answer: Answer) -> None:
        if self.strikes(answer.command):
            answer.delay_s = max(answer.delay_s, self.seconds)


@dataclass(kw_only=True)
class Reorders(BadDay):
    """Every other answer is overtaken by the ones after it."""

    def change(self, answer: Answer) -> None:
        if self.strikes(answer.command) and self.struck % 2:
            answer.delay_s = max(answer.delay_s, 0.01)


@dataclass(kw_only=True)
class Pending(BadDay):
    """An interim answer comes first, the real one some time later."""

    seconds: float = 1.0

    def change(self, answer: Answer) -> None:
        if self.strikes(answer.command):
            answer.is_pending = True
            answer.delay_s = max(answer.delay_s, self.seconds)


@dataclass(kw_only=True)
class Splits(BadDay):
    """Frames arrive in pieces of these sizes, over and over."""

    sizes: Sequence[int] = (1,)

    def send(self, frame: bytes) -> Iterator[bytes | None]:
        sizes = itertools.cycle(self.sizes)
        while frame:
            size = next(sizes)
            yield frame[:size]
            frame = frame[size:]


@dataclass(kw_only=True)
class Merges(BadDay):
    """Frames that are ready at about the same time arrive as one piece."""

    within_s: float = 0.001


# Credits


@dataclass(kw_only=True)
class Starves(BadDay):
    """The client never has more than so many credits."""

    credits: int = 1


@dataclass(kw_only=True)
class NeverGrants(BadDay):
    """No answer brings a credit."""

    def change(self, answer: Answer) -> None:
        if self.strikes(answer.command):
            answer.credits = 0


# Lies about who it is


@dataclass(kw_only=True)
class Forges(BadDay):
    """The signature is not the server's."""

    proof: Proof = Proof.FLIPPED

    def change(self, answer: Answer) -> None:
        if self.strikes(answer.command):
            answer.proof = self.proof


@dataclass(kw_only=True)
class PlainReply(BadDay):
    """A sealed request is answered in the open."""

    def change(self, answer: Answer) -> None:
        if self.strikes(answer.command):
            answer.is_plain = True


@dataclass(kw_only=True)
class UnknownId(BadDay):
    """The answer is to something nobody asked."""

    def change(self, answer: Answer) -> None:
        if self.strikes(answer.command):
            answer.message_id += 1000


# Lies about what there is


@dataclass(kw_only=True)
class Truncates(BadDay):
    """The answer's body ends early."""

    size: int = 4

    def change(self, answer: Answer) -> None:
        if self.strikes(answer.command):
            answer.body = answer.body[: self.size]


@dataclass(kw_only=True)
class Oversize(BadDay):
    """The frame says that it is this long."""

    size: int = 0xFFFFFF
    on: Command | None = Command.READ
    _now: bool = field(default=False, init=False)

    def change(self, answer: Answer) -> None:
        self._now = self._now or self.strikes(answer.command)

    def send(self, frame: bytes) -> Iterator[bytes | None]:
        if self._now:
            self._now = False
            frame = self.size.to_bytes(4, "big") + frame[4:]
        yield frame


@dataclass(kw_only=True)
class LyingNames(BadDay):
    """Listings hold names that no file can have."""

    names: Sequence[str] = ("a/b", "..\\up", "nul\0", "", "../../etc")
    on: Command | None = Command.QUERY_DIRECTORY

    def change(self, answer: Answer) -> None:
        if answer.status != Status.SUCCESS or not self.strikes(answer.command):
            return
        body = answer.request.parse(QueryDirectoryRequest)
        cls = ENTRIES[body.file_information_class]
        page = QueryDirectoryResponse.parse(_whole(answer)).output_buffer
        entries = list(directory_entries(memoryview(page), cls))
        packed = bytes(page)
        for name in self.names:
            [lie] = directory_entries(memoryview(pack_entries(entries[:1])), cls)
            lie.file_name = utf16(name)
            entries.append(lie)
            if len(longer := pack_entries(entries)) <= body.output_buffer_length:
                packed = longer
        answer.body = bytes(QueryDirectoryResponse(output_buffer=packed))


@dataclass(kw_only=True)
class ShortReads(BadDay):
    """A READ brings at most so many bytes."""

    size: int = 1
    on: Command | None = Command.READ

    def change(self, answer: Answer) -> None:
        if answer.status == Status.SUCCESS and self.strikes(answer.command):
            data = ReadResponse.parse(_whole(answer)).data
            answer.body = bytes(ReadResponse(data=data[: self.size]))


@dataclass(kw_only=True)
class LongReads(BadDay):
    """A READ brings more than was asked for."""

    more: int = 1
    on: Command | None = Command.READ

    def change(self, answer: Answer) -> None:
        if answer.status == Status.SUCCESS and self.strikes(answer.command):
            data = bytes(ReadResponse.parse(_whole(answer)).data)
            answer.body = bytes(ReadResponse(data=data + bytes(self.more)))


def _whole(answer: Answer) -> memoryview:
    return memoryview(bytes(64) + answer.body)


@dataclass(kw_only=True)
class Changes(BadDay):
    """Somebody on the way, or a bug: an answer is changed before it is signed."""

    how: Callable[[Answer], None]

    def change(self, answer: Answer) -> None:
        if self.strikes(answer.command):
            self.how(answer)


# Chains and sessions


@dataclass(kw_only=True)
class BreaksChains(BadDay):
    """The answers to a chain come in a frame each."""

    def arrange(self, answers: list[Answer]) -> list[list[Answer]]:
        return [[answer] for answer in answers]


@dataclass(kw_only=True)
class RefusesCompounds(BadDay):
    """More than one request in a frame is an error."""

    status: Status = Status.INVALID_PARAMETER

    def refuses(self, requests: Sequence[Request]) -> Status | None:
        commands = [request.command for request in requests]
        return self.status if len(requests) > 1 and self.strikes(*commands) else None


@dataclass(kw_only=True)
class Fails(BadDay):
    """Requests get an error, whatever they ask."""

    status: Status
    proof: Proof = Proof.RIGHT

    def refuses(self, requests: Sequence[Request]) -> Status | None:
        return self.status if self.strikes(*(request.command for request in requests)) else None

    def change(self, answer: Answer) -> None:
        if answer.status == self.status:
            answer.proof = self.proof


@dataclass(kw_only=True)
class Expires(Fails):
    """The login has expired, says the server."""

    status: Status = Status.NETWORK_SESSION_EXPIRED


@dataclass(kw_only=True)
class DeletesSession(Fails):
    """The server has forgotten the session, with its keys and its open files."""

    status: Status = Status.USER_SESSION_DELETED
    proof: Proof = Proof.STRIPPED

    def refuses(self, requests: Sequence[Request]) -> Status | None:
        status = super().refuses(requests)
        if status is not None:
            wire = requests[0].wire
            wire.server.forget_session(requests[0].header.session_id)
        return status
