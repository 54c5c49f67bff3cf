"""What a man in the middle tries with what is sealed: it is refused."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
import trio
import trio.testing

from smbfs.engine.how import How
from smbfs.errors import ConnectionLost, SmbError, Tampered
from smbfs.wire.header import Command, Header, HeaderFlags
from tests.engine.middle import (
    SEALED,
    SECRET,
    SIGNED,
    Middle,
    at,
    attacked,
    read,
    same,
)

pytestmark = pytest.mark.usefixtures("loud")


# What is sealed

SEAL = replace(SIGNED, seal=True)


async def test_nothing_is_in_the_open() -> None:
    middle = Middle()
    async with attacked(middle, SEAL) as (share, _):
        assert await read(share) == SECRET
        assert not any(SECRET in message for message in middle.seen)
        assert sum(message[:4] == SEALED for message in middle.seen) >= 2


async def test_a_sealed_answer_twice_is_believed_once() -> None:
    def twice(message: bytes) -> list[bytes]:
        return [message, message] if message[:4] == SEALED else [message]

    async with attacked(Middle(down=twice), SEAL) as (share, _):

        async def often() -> None:
            for _ in range(5):
                assert await read(share) == SECRET
                await trio.testing.wait_all_tasks_blocked()

        with pytest.raises(SmbError):
            await often()


async def test_an_old_sealed_answer_is_none_to_a_new_question() -> None:
    middle = Middle()
    async with attacked(middle, SEAL) as (share, _):
        handle, _ = await share.open("file", How.reading())
        assert b"".join(await handle.read(0, 4)) == SECRET[:4]
        old = middle.seen[-1]
        middle.down = lambda message: [old]
        with pytest.raises((Tampered, ConnectionLost)):
            await handle.read(4, 4)


async def test_sealed_answers_in_another_order_reach_who_asked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    held: list[bytes] = []

    def swapped(message: bytes) -> list[bytes]:
        held.append(message)
        if len(held) < 2:
            return []
        both = held[::-1]
        held.clear()
        return both

    middle = Middle()
    async with attacked(middle, SEAL) as (share, _):
        handle, _ = await share.open("file", How.reading())
        middle.down = swapped
        found: dict[int, bytes] = {}

        async def piece(offset: int) -> None:
            found[offset] = bytes(await handle.read_piece(offset, 4))

        async with trio.open_nursery() as nursery:
            for offset in (0, 4):
                nursery.start_soon(piece, offset)
        assert found == {0: SECRET[:4], 4: SECRET[4:8]}
        middle.down = same


@pytest.mark.parametrize("bit", [0, 4, 20, 36, 44, 52, 60, -1])
async def test_every_part_of_a_seal_counts(bit: int) -> None:
    def flipped(message: bytes) -> list[bytes]:
        if message[:4] != SEALED:
            return [message]
        where = bit % len(message)
        return [at(message, where, bytes([message[where] ^ 1]))]

    middle = Middle()
    async with attacked(middle, SEAL) as (share, link):
        handle, _ = await share.open("file", How.reading())
        middle.down = flipped
        with pytest.raises((Tampered, ConnectionLost)):
            await handle.read(0, 100)
        assert link.live is None


async def test_a_plain_answer_to_a_sealed_question() -> None:
    """He guesses the message id, which is no secret, and answers before the server does."""

    def guess(message: bytes) -> list[bytes]:
        guesses = []
        for number in range(64):
            header = Header(command=Command.READ, flags=HeaderFlags.RESPONSE, message_id=number)
            body = struct.pack("<HBBIII", 17, 80, 0, 4, 0, 0) + b"lies"
            guesses.append(bytes(header) + body)
        return [*guesses, message]

    middle = Middle()
    async with attacked(middle, SEAL) as (share, _):
        handle, _ = await share.open("file", How.reading())
        middle.down = guess
        with pytest.raises((Tampered, ConnectionLost)):
            await handle.read(0, 4)


async def test_a_seal_of_the_last_session_opens_nothing_in_the_next() -> None:
    middle = Middle()
    async with attacked(middle, SEAL) as (share, link):
        handle, _ = await share.open("file", How.reading())
        await handle.read(0, 4)
        old = middle.seen[-1]
        assert link.live is not None
        link.live.session.connection.lose(ConnectionLost("cut"))
        assert await read(share) == SECRET
        again, _ = await share.open("file", How.reading())
        middle.down = lambda message: [old]
        with pytest.raises((Tampered, ConnectionLost)):
            await again.read(0, 4)
