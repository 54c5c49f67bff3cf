"""Silence, slowness and time: what is overdue, what only takes long, when an ECHO is sent."""

from __future__ import annotations

import errno

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from smbfs.engine.connection import PATIENCE, Connection
from smbfs.engine.exchange import Ask
from smbfs.engine.states import ConnectionState
from smbfs.errors import ServerSilent
from smbfs.wire.file_messages import WriteRequest
from smbfs.wire.header import Command, HeaderFlags
from smbfs.wire.messages import EchoRequest
from smbfs.wire.status import Status
from tests.engine.by_hand import FILE_ID, answer
from tests.engine.peer import Talk, talk

TIMEOUT_S, ECHO_S = 15.0, 10.0
TICK_S = ECHO_S / 8
ASK = Ask(EchoRequest())


async def wait(connection: Connection, ask: Ask = ASK) -> Status:
    [slot] = await connection.post([ask])
    return (await connection.wait(slot)).status


async def echoes(one: Talk, answers: bool, skip: int = 0) -> int:
    """Read what comes, for ever; answer what comes after ``skip`` frames, maybe."""
    count = 0
    while True:
        headers = await one.peer.hear()
        count += 1
        if answers and count > skip:
            await one.peer.answer(*headers)


async def test_silence_ends_the_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    one = talk(nursery)
    began = trio.current_time()
    with pytest.raises(ServerSilent, match="peer did not answer in 15 s") as caught:
        await wait(one.connection)
    assert TIMEOUT_S <= trio.current_time() - began <= TIMEOUT_S + 2 * TICK_S
    assert caught.value.errno == errno.ETIMEDOUT
    assert not one.connection.is_alive


async def test_silence_after_a_long_peace_is_counted_from_the_question(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    one = talk(nursery)
    await trio.sleep(1000)
    began = trio.current_time()
    with pytest.raises(ServerSilent):
        await wait(one.connection)
    assert trio.current_time() - began >= TIMEOUT_S


async def test_an_echo_breaks_the_silence_before_it_is_too_long(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    one = talk(nursery)
    await one.connection.post([ASK])
    await one.peer.hear()
    began = trio.current_time()
    [echo] = await one.peer.hear()
    assert echo.command == Command.ECHO
    assert ECHO_S <= trio.current_time() - began <= ECHO_S + 2 * TICK_S
    assert one.connection.machine.state is ConnectionState.SILENT
    await one.peer.answer(echo)
    await trio.testing.wait_all_tasks_blocked()
    assert one.connection.machine.state is ConnectionState.READY
    assert one.connection.is_alive


async def test_no_echo_when_nothing_waits(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    one = talk(nursery)
    [slot] = await one.connection.post([ASK])
    await one.peer.answer(*await one.peer.hear())
    await one.connection.wait(slot)
    await one.connection.post([Ask(EchoRequest(), patient=True)])
    await one.peer.hear()
    with trio.move_on_after(500) as scope:
        await one.peer.hear()
    assert scope.cancelled_caught
    assert one.connection.is_alive


async def test_one_echo_for_one_silence_and_none_without_credits(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    one = talk(nursery, credits=1)
    with pytest.raises(ServerSilent):
        await wait(one.connection)
    assert len(await one.peer.hear()) == 1
    assert not await one.peer.stream.receive_some()


async def test_a_slow_answer_from_a_server_that_lives_is_waited_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The rule: an overdue request has patience as long as other bytes keep coming."""
    one = talk(nursery)
    nursery.start_soon(echoes, one, True, 1)
    [slot] = await one.connection.post([ASK])
    nursery.start_soon(later, one, (PATIENCE - 1) * TIMEOUT_S)
    assert (await one.connection.wait(slot)).status == Status.SUCCESS
    assert trio.current_time() >= (PATIENCE - 1) * TIMEOUT_S
    assert one.connection.is_alive


async def later(one: Talk, seconds: float) -> None:
    await trio.sleep(seconds)
    await one.peer.say(answer(0, credits=1))


async def test_patience_ends_and_the_connection_does_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    one = talk(nursery)
    nursery.start_soon(echoes, one, True, 1)
    began = trio.current_time()
    with pytest.raises(ServerSilent, match="did not answer ECHO in time"):
        await wait(one.connection)
    waited_s = trio.current_time() - began
    assert PATIENCE * TIMEOUT_S <= waited_s <= PATIENCE * TIMEOUT_S + 2 * TICK_S
    assert one.connection.is_alive
    await one.peer.say(answer(0, credits=1))  # a late answer does no harm
    assert await wait(one.connection) == Status.SUCCESS


async def test_a_server_that_lived_and_fell_silent(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    one = talk(nursery)
    began = trio.current_time()
    [first] = await one.connection.post([ASK])
    [second] = await one.connection.post([ASK])
    await trio.sleep(5)
    await one.peer.say(answer(0, credits=1))
    await one.connection.wait(first)
    with pytest.raises(ServerSilent, match="peer did not answer in 15 s"):
        await one.connection.wait(second)
    assert 5 + TIMEOUT_S <= trio.current_time() - began <= 5 + TIMEOUT_S + 2 * TICK_S


async def test_a_frame_that_trickles_in_is_a_sign_of_life(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    one = talk(nursery)
    [slot] = await one.connection.post([ASK])
    message = answer(0, credits=1)
    frame = len(message).to_bytes(4, "big") + message
    for at in range(0, len(frame), 4):  # 18 pieces, 36 s
        await trio.sleep(2)
        await one.peer.stream.send_all(frame[at : at + 4])
    assert (await one.connection.wait(slot)).status == Status.SUCCESS
    assert trio.current_time() > 2 * TIMEOUT_S


async def test_an_interim_answer_gives_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    one = talk(nursery)
    nursery.start_soon(echoes, one, True, 1)
    [slot] = await one.connection.post([ASK])
    flags = HeaderFlags.RESPONSE | HeaderFlags.ASYNC
    for _ in range(5):
        await trio.sleep(PATIENCE * TIMEOUT_S - 5)
        await one.peer.say(answer(0, status=Status.PENDING, flags=flags, reserved=9))
    await one.peer.say(answer(0, flags=flags, reserved=9))
    assert (await one.connection.wait(slot)).status == Status.SUCCESS


async def test_what_was_pending_too_long_is_cancelled(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    one = talk(nursery)
    seen: list[int] = []

    async def serve() -> None:
        while True:
            for header in await one.peer.hear():
                seen.append(header.command)
                if header.message_id and header.command == Command.ECHO:
                    await one.peer.answer(header)

    nursery.start_soon(serve)
    [slot] = await one.connection.post([ASK])
    flags = HeaderFlags.RESPONSE | HeaderFlags.ASYNC
    await one.peer.say(answer(0, status=Status.PENDING, flags=flags, reserved=9, credits=1))
    with pytest.raises(ServerSilent):
        await one.connection.wait(slot)
    await trio.testing.wait_all_tasks_blocked()
    assert seen[-1] == Command.CANCEL


async def test_the_patient_wait_for_ever(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    one = talk(nursery)
    [slot] = await one.connection.post([Ask(EchoRequest(), patient=True)])
    await trio.sleep(10_000)
    await one.peer.answer(*await one.peer.hear())
    assert (await one.connection.wait(slot)).status == Status.SUCCESS


async def test_a_server_that_takes_nothing(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    one = talk(nursery, lockstep=True, timeout_s=5.0)
    with pytest.raises(ServerSilent, match=r"takes no more data|did not answer"):
        await wait(one.connection)
    assert not one.connection.is_alive


async def test_a_writer_that_is_stuck_is_silence_too(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Nothing is waited for, and still a frame must not be stuck for ever."""
    one = talk(nursery, lockstep=True)
    [slot] = await one.connection.post([Ask(EchoRequest(), patient=True)])
    with pytest.raises(ServerSilent, match="takes no more data"):
        await one.connection.wait(slot)


async def test_a_slow_line_that_takes_our_bytes_is_alive(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    ours, theirs = (trio.SocketStream(one) for one in trio.socket.socketpair())
    one = talk(nursery, stream=ours)
    data = bytes(1 << 20)
    write = Ask(WriteRequest(offset=0, file_id=FILE_ID, data=data))
    [slot] = await one.connection.post([write])
    taken = 0
    async with theirs:
        while taken < len(data):
            taken += len(await theirs.receive_some(20_000))
            mock_clock.jump(TICK_S)
            await trio.lowlevel.checkpoint()
        assert trio.current_time() > 2 * TIMEOUT_S
        assert one.connection.is_alive
        assert not slot.is_done
