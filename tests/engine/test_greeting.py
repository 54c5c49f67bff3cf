"""The first words: one more try where it helps, a sentence where it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import trio
import trio.testing

from smbfs.engine.connection import Connection
from smbfs.engine.credits import Credits
from smbfs.engine.dialect import DIALECTS_FOR, SMB1_PROBE, Policy
from smbfs.engine.exchange import Exchange
from smbfs.engine.greeting import OVERHEAD, PROBE_S, greet
from smbfs.engine.states import ConnectionState
from smbfs.errors import ConnectionLost, Refused, ServerSilent, SmbError, StatusError
from smbfs.wire.codec import WireError
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake import FakeServer, Nature
from tests.fake.script import BadDay, Drops, Fails, Silent, Truncates

Answer = Callable[[bytes], bytes | None]


class Port:
    """A port where each connection is served as the next of ``answers`` says, or by ``server``."""

    def __init__(self, nursery: trio.Nursery, server: FakeServer | None, *answers: Answer) -> None:
        self.connections: list[Connection] = []
        self.asked: list[bytes] = []
        self._nursery = nursery
        self._answers = list(answers)
        self._dial = (server or FakeServer()).dialler(nursery)
        self._is_by_hand = server is None

    async def dial(self) -> tuple[trio.abc.Stream, bool]:
        if not self._is_by_hand:
            return await self._dial()
        if not self._answers:
            raise ConnectionLost("nobody listens any more")
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self._serve, ours, self._answers.pop(0))
        return theirs, False

    async def _serve(self, stream: trio.abc.Stream, answer: Answer) -> None:
        async with stream:
            request = await stream.receive_some()
            self.asked.append(bytes(request[4:]))
            said = answer(bytes(request))
            if said is None:
                await trio.sleep_forever()
            elif said:
                await stream.send_all(said)
                await stream.receive_some()  # until the client has seen enough

    def make(self, stream: trio.abc.Stream, netbios: bool) -> Connection:
        connection = Connection(
            stream,
            Exchange(Credits(), 128 * 1024, 15.0),
            server="fake",
            echo_interval_s=10.0,
            on_break=lambda view: None,
        )
        self.connections.append(connection)
        self._nursery.start_soon(connection.run)
        return connection

    async def refusal(self, kind: type[Exception], policy: Policy | None = None) -> str:
        """Greet in vain; every connection that was made is lost then."""
        with pytest.raises(kind) as caught:
            await greet(self.dial, self.make, policy or Policy(), "fake")
        assert type(caught.value) is kind
        assert not any(connection.is_alive for connection in self.connections)
        return str(caught.value)


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


def hangs_up(request: bytes) -> bytes:
    return b""


def says_smb1(request: bytes) -> bytes:
    """The answer to `SMB1_PROBE` of a server that agrees: seventeen words, dialect 0."""
    return framed(b"\xffSMB\x72" + bytes(27) + b"\x11" + bytes(34) + bytes(2))


def never(request: bytes) -> None:
    return None


# It works


@pytest.mark.parametrize("vers", ["2.0", "2.1", "3.0", "3.0.2", "3.1.1"])
async def test_a_dialect_is_agreed_on(nursery: trio.Nursery, vers: str) -> None:
    port = Port(nursery, FakeServer())
    policy = Policy(dialects=DIALECTS_FOR[vers])
    connection, capabilities, request, preauth = await greet(port.dial, port.make, policy, "fake")
    assert capabilities.dialect == DIALECTS_FOR[vers][0]
    assert connection.machine.state is ConnectionState.READY
    exchange = connection.exchange
    assert exchange.large_mtu == exchange.charges == (vers != "2.0")
    assert exchange.limit >= capabilities.max_read + OVERHEAD
    assert preauth.digest != bytes(64)
    assert request.client_guid == (bytes(16) if vers == "2.0" else policy.client_guid)


async def test_who_chokes_on_the_newest_is_asked_for_less(nursery: trio.Nursery) -> None:
    day = Fails(status=Status.NOT_SUPPORTED, on=Command.NEGOTIATE, times=1)
    port = Port(nursery, FakeServer(script=[day]))
    connection, capabilities, _, _ = await greet(port.dial, port.make, Policy(), "fake")
    assert capabilities.dialect == 0x0302
    assert connection.is_alive
    assert [one.is_alive for one in port.connections] == [False, True]


# It does not


async def test_who_chokes_on_everything(nursery: trio.Nursery) -> None:
    port = Port(
        nursery, FakeServer(script=[Fails(status=Status.INVALID_PARAMETER, on=Command.NEGOTIATE)])
    )
    message = await port.refusal(Refused)
    assert message == "fake does not accept our greeting (INVALID_PARAMETER)"


async def test_who_speaks_nothing_we_may_speak(nursery: trio.Nursery) -> None:
    port = Port(nursery, FakeServer(nature=Nature(dialects=DIALECTS_FOR["2.1"])))
    message = await port.refusal(Refused, replace(Policy(), dialects=DIALECTS_FOR["3.0"]))
    assert "speaks none of the SMB versions we ask for" in message


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        (Truncates(on=Command.NEGOTIATE), WireError),
        (Silent(on=Command.NEGOTIATE), ServerSilent),
        (Drops(on=Command.NEGOTIATE), ConnectionLost),
        (Drops(on=Command.NEGOTIATE, mid_frame=True), ConnectionLost),
    ],
)
async def test_a_bad_first_day(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    day: BadDay,
    kind: type[SmbError],
) -> None:
    assert await Port(nursery, FakeServer(script=[day])).refusal(kind)


async def test_nobody_there(nursery: trio.Nursery) -> None:
    port = Port(nursery, None)
    assert await port.refusal(ConnectionLost) == "nobody listens any more"


# SMB1


async def test_an_answer_in_smb1(nursery: trio.Nursery) -> None:
    port = Port(nursery, None, says_smb1)
    assert "speaks only SMB1" in await port.refusal(Refused)


async def test_who_hangs_up_and_agrees_to_smb1(nursery: trio.Nursery) -> None:
    port = Port(nursery, None, hangs_up, says_smb1)
    assert "fake speaks only SMB1" in await port.refusal(Refused)
    assert port.asked[1] == SMB1_PROBE


@pytest.mark.parametrize(
    "then",
    [
        hangs_up,
        lambda request: framed(b"\xfeSMB" + bytes(60)),
        lambda request: b"\1\0\0\0",
        lambda request: framed(bytes(5000)),
        never,
    ],
)
async def test_who_hangs_up_and_does_not(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, then: Answer
) -> None:
    port = Port(nursery, None, hangs_up, then)
    message = await port.refusal(ConnectionLost)
    assert "closed the connection" in message
    assert trio.current_time() <= PROBE_S


async def test_who_hangs_up_and_is_gone(nursery: trio.Nursery) -> None:
    message = await Port(nursery, None, hangs_up).refusal(ConnectionLost)
    assert "closed the connection" in message


async def test_who_is_cancelled_leaves_nothing_open(nursery: trio.Nursery) -> None:
    port = Port(nursery, None, never)
    with trio.CancelScope() as scope:
        nursery.start_soon(cancel_when_blocked, scope)
        await greet(port.dial, port.make, Policy(), "fake")
    assert scope.cancelled_caught
    assert not port.connections[0].is_alive
    assert not isinstance(port.connections[0].error, StatusError)


async def cancel_when_blocked(scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()
