"""Asking and waiting: who is woken, what becomes of who leaves, how a connection ends."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio
import trio.testing

from smbfs.crypto import HmacSigner
from smbfs.engine.connection import NO_TREE, Connection, lost_again
from smbfs.engine.exchange import Ask, Guard, Reply, Slot
from smbfs.engine.states import ConnectionState
from smbfs.errors import ConnectionLost, Refused, ServerSilent, SmbError, StatusError, Tampered
from smbfs.wire.constants import Oplock
from smbfs.wire.header import BREAK_MESSAGE_ID, Command, HeaderFlags
from smbfs.wire.messages import EchoRequest, EchoResponse, OplockBreakNotification
from smbfs.wire.status import Status
from tests.engine.by_hand import FILE_ID, KEY, SESSION, answer, chained
from tests.engine.peer import Talk, talk

ECHO = Ask(EchoRequest())


async def post(connection: Connection, wanted: Ask = ECHO) -> Slot:
    [slot] = await connection.post([wanted])
    return slot


async def ask(connection: Connection, wanted: Ask = ECHO) -> Reply:
    return await connection.wait(await post(connection, wanted))


# Asking


async def test_an_answer_reaches_who_asked(nursery: trio.Nursery) -> None:
    one = talk(nursery)
    slots = [await post(one.connection) for _ in range(3)]
    headers = [(await one.peer.hear())[0] for _ in slots]
    await one.peer.answer(*reversed(headers))
    for slot in reversed(slots):
        reply = await one.connection.wait(slot)
        assert reply.header.message_id == slot.message_id
        assert isinstance(reply.parse(EchoResponse), EchoResponse)
    assert (await one.connection.wait(slots[0])).status == Status.SUCCESS  # it is kept


async def test_a_chain_is_one_frame(nursery: trio.Nursery) -> None:
    one = talk(nursery)
    slots = await one.connection.post([ECHO, ECHO, ECHO])
    assert [header.message_id for header in await one.peer.hear()] == [0, 1, 2]
    await one.peer.say(chained(answer(0), answer(1), answer(2)))
    for slot in slots:
        await one.connection.wait(slot)


async def test_answers_before_nonsense_count(nursery: trio.Nursery) -> None:
    one = talk(nursery)
    first, second = await one.connection.post([ECHO, ECHO])
    await one.peer.say(chained(answer(0), answer(77)))
    assert (await one.connection.wait(first)).status == Status.SUCCESS
    with pytest.raises(ConnectionLost, match="sent nonsense: an answer to a request we never sent"):
        await one.connection.wait(second)


# Leaving


async def test_who_is_cancelled_leaves_the_frame_alone(nursery: trio.Nursery) -> None:
    one = talk(nursery)
    slot = await post(one.connection)
    with trio.CancelScope() as scope:
        scope.cancel()
        await one.connection.wait(slot)
    [header] = await one.peer.hear()
    await one.peer.answer(header)
    second = await post(one.connection)
    [header] = await one.peer.hear()
    assert header.message_id == 1
    await one.peer.answer(header)
    await one.connection.wait(second)
    assert one.connection.exchange.outstanding == {}


def undoing(undone: list[Status], *asks: Ask) -> Ask:
    """An ask whose late answer is noted, and answered with more asks."""

    def on_late(reply: Reply) -> Sequence[Ask]:
        undone.append(reply.status)
        return asks

    return Ask(EchoRequest(), on_late=on_late)


async def test_a_late_answer_is_undone(nursery: trio.Nursery) -> None:
    one, undone = talk(nursery), list[Status]()
    slot = await post(one.connection, undoing(undone, ECHO))
    one.connection.abandon(slot)
    one.connection.abandon(slot)  # once is enough
    [header] = await one.peer.hear()
    await one.peer.answer(header)
    [undo] = await one.peer.hear()
    assert (undo.command, undo.message_id) == (Command.ECHO, 1)
    assert undone == [Status.SUCCESS]
    await one.peer.answer(undo)  # nobody waits for it, and nobody minds
    await trio.testing.wait_all_tasks_blocked()
    assert one.connection.is_alive
    assert one.connection.exchange.outstanding == {}


async def test_an_answer_nobody_fetched_is_undone(nursery: trio.Nursery) -> None:
    one, undone = talk(nursery), list[Status]()
    slot = await post(one.connection, undoing(undone))
    await one.peer.answer(*await one.peer.hear())
    await trio.testing.wait_all_tasks_blocked()
    assert undone == []
    one.connection.abandon(slot)
    assert undone == [Status.SUCCESS]


async def test_what_there_is_no_credit_to_undo_with_is_undone_when_there_is(
    nursery: trio.Nursery,
) -> None:
    one, undone = talk(nursery, credits=2), list[Status]()
    slot = await post(one.connection, undoing(undone, ECHO))
    await post(one.connection)
    one.connection.abandon(slot)
    await one.peer.hear()
    [second] = await one.peer.hear()
    await one.peer.say(answer(0, credits=0))
    await trio.testing.wait_all_tasks_blocked()
    assert undone == [Status.SUCCESS]
    await one.peer.answer(second)
    [undo] = await one.peer.hear()
    assert (undo.command, undo.message_id) == (Command.ECHO, 2)
    await one.peer.answer(undo)
    await post(one.connection)
    [other] = await one.peer.hear()
    assert other.message_id == 3, "it was undone once"


async def test_nothing_is_undone_on_a_connection_that_is_lost(nursery: trio.Nursery) -> None:
    one, undone = talk(nursery), list[Status]()
    slot = await post(one.connection, undoing(undone, ECHO))
    await one.peer.answer(*await one.peer.hear())
    await trio.testing.wait_all_tasks_blocked()
    one.connection.lose(ConnectionLost("over"))
    one.connection.abandon(slot)
    assert not one.connection._late


@pytest.mark.parametrize("is_pending", [True, False])
async def test_what_may_take_for_ever_is_cancelled_on_the_server(
    nursery: trio.Nursery, is_pending: bool
) -> None:
    one = talk(nursery)
    slot = await post(one.connection, Ask(EchoRequest(), patient=not is_pending))
    await one.peer.hear()
    if is_pending:
        flags = HeaderFlags.RESPONSE | HeaderFlags.ASYNC
        await one.peer.say(answer(0, status=Status.PENDING, flags=flags, reserved=9, credits=1))
        await trio.testing.wait_all_tasks_blocked()
    one.connection.abandon(slot)
    [cancel] = await one.peer.hear()
    assert (cancel.command, cancel.message_id) == (Command.CANCEL, 0)
    assert bool(cancel.flags & HeaderFlags.ASYNC) == is_pending
    await one.peer.say(answer(0, status=Status.CANCELLED))
    await trio.testing.wait_all_tasks_blocked()
    assert one.connection.is_alive


async def test_what_is_answered_soon_is_not_cancelled(nursery: trio.Nursery) -> None:
    one = talk(nursery)
    one.connection.abandon(await post(one.connection))
    await post(one.connection)
    assert [(await one.peer.hear())[0].command for _ in range(2)] == [Command.ECHO] * 2


# Breaks


@pytest.mark.logs(
    "ERROR smbfs.engine.connection: peer: the signature of the answer to ECHO is wrong"
)
async def test_a_forged_answer_ends_the_connection(nursery: trio.Nursery) -> None:
    one = talk(nursery)
    [slot] = await one.connection.post([ECHO], guard=Guard(SESSION, HmacSigner(KEY)))
    await one.peer.answer(*await one.peer.hear())
    with pytest.raises(Tampered, match="signature"):
        await one.connection.wait(slot)
    await ended(one, Tampered, "signature")


async def test_a_break_goes_to_who_wants_it(nursery: trio.Nursery) -> None:
    one = talk(nursery)
    body = bytes(OplockBreakNotification(oplock_level=Oplock.NONE, file_id=FILE_ID))
    message = answer(BREAK_MESSAGE_ID, Command.OPLOCK_BREAK, body=body)
    await one.peer.say(message)
    await trio.testing.wait_all_tasks_blocked()
    assert one.breaks == [message]
    assert one.connection.is_alive


# The end


async def ended(one: Talk, expected: type[SmbError], match: str) -> None:
    """Everybody is told why, and the stream is closed."""
    with pytest.raises(expected, match=match):
        await ask(one.connection)
    assert not one.connection.is_alive
    assert one.connection.machine.state is ConnectionState.LOST
    assert one.connection.post_now([ECHO], guard=None, tree_id=NO_TREE, seal=False) is None
    with pytest.raises(expected):
        await one.connection.post([ECHO])


@pytest.mark.parametrize(
    ("breaks", "match"),
    [
        (lambda stream: stream.aclose(), "the server closed the connection|broke"),
        (lambda stream: stream.send_eof(), "the server closed the connection"),
        (lambda stream: stream.send_all(b"\1\0\0\4"), "sent nonsense: a frame of type 0x1"),
        (lambda stream: stream.send_all(b"\0\xff\xff\xff"), "sent nonsense: a frame of type 0x0"),
        (lambda stream: stream.send_all(b"\0\0\0\4abcd"), "sent nonsense: a frame that is no SMB2"),
    ],
)
async def test_a_stream_that_ends(
    nursery: trio.Nursery, breaks: Callable[[trio.abc.Stream], Awaitable[None]], match: str
) -> None:
    one = talk(nursery)
    slot = await post(one.connection)
    await breaks(one.peer.stream)
    with pytest.raises(ConnectionLost, match=match) as caught:
        await one.connection.wait(slot)
    assert caught.value.errno == errno.EHOSTDOWN
    await ended(one, ConnectionLost, match)


async def test_a_stream_that_breaks(nursery: trio.Nursery) -> None:
    one = talk(nursery)

    async def broken(max_bytes: int | None = None) -> bytes:
        raise trio.BrokenResourceError from ConnectionResetError("reset by peer")

    one.connection._stream.receive_some = broken  # type: ignore[method-assign]  # as a socket would
    await ended(one, ConnectionLost, "the connection to peer broke: reset by peer")


async def test_a_stream_that_takes_no_more(nursery: trio.Nursery) -> None:
    one = talk(nursery)

    async def broken(data: bytes | bytearray | memoryview) -> None:
        raise trio.BrokenResourceError

    one.connection._stream.send_all = broken  # type: ignore[method-assign]  # as a socket would
    await ended(one, ConnectionLost, "the connection to peer broke: BrokenResourceError")


async def test_the_first_reason_stays(nursery: trio.Nursery) -> None:
    one = talk(nursery)
    slot = await post(one.connection)
    one.connection.lose(Refused("first"))
    one.connection.lose(ConnectionLost("second"))
    with pytest.raises(Refused, match="first"):
        await one.connection.wait(slot)
    await ended(one, Refused, "first")


async def test_who_left_is_not_told(nursery: trio.Nursery) -> None:
    one = talk(nursery)
    slot = await post(one.connection)
    one.connection.abandon(slot)
    one.connection.lose(ConnectionLost("over"))
    assert slot.error is None


async def test_leaving_a_lost_connection_asks_nobody(nursery: trio.Nursery) -> None:
    one = talk(nursery)
    slot = await post(one.connection, Ask(EchoRequest(), patient=True))
    one.connection.lose(ConnectionLost("over"))
    one.connection.abandon(slot)
    assert slot.abandoned


async def test_cancelling_its_life_tells_everybody(nursery: trio.Nursery) -> None:
    async with trio.open_nursery() as inner:
        one = talk(inner)
        slot = await post(one.connection)
        await trio.testing.wait_all_tasks_blocked()
        inner.cancel_scope.cancel()
    with pytest.raises(ConnectionLost, match="the connection to peer was closed"):
        await one.connection.wait(slot)
    assert await one.peer.stream.receive_some()
    assert not await one.peer.stream.receive_some()  # it hung up


async def test_smb1_in_answer_to_the_first_word(nursery: trio.Nursery) -> None:
    one = talk(nursery, negotiated=False)
    slot = await post(one.connection)
    await one.peer.say(b"\xffSMB" + bytes(40))
    with pytest.raises(Refused, match="speaks only SMB1"):
        await one.connection.wait(slot)


async def test_another_protocol_altogether(nursery: trio.Nursery) -> None:
    one = talk(nursery, negotiated=False)
    await one.peer.stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n")
    await ended(one, ConnectionLost, "peer answers, but not in SMB")


async def test_hanging_up_with_the_answer(nursery: trio.Nursery) -> None:
    """Who reads the answer finds the connection lost already."""
    one = talk(nursery, negotiated=False)
    slot = await post(one.connection)
    await one.peer.answer(*await one.peer.hear())
    await one.peer.stream.send_eof()
    await trio.testing.wait_all_tasks_blocked()
    assert (await one.connection.wait(slot)).status == Status.SUCCESS
    one.connection.negotiated(1 << 20)
    await ended(one, ConnectionLost, "closed")


@pytest.mark.parametrize(
    "first",
    [
        ConnectionLost("why"),
        ServerSilent("why"),
        Refused("why"),
        Tampered("why"),
        StatusError(Status.ACCESS_DENIED, "IOCTL", "path"),
    ],
)
def test_an_error_told_again_is_another_one_of_its_kind(first: SmbError) -> None:
    again = lost_again(first)
    assert again is not first
    assert type(again) is type(first)
    assert str(again) == str(first)
    assert vars(again) == vars(first)
    assert again.errno == first.errno
    assert again.__cause__ is first
