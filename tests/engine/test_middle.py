"""What a man in the middle tries with negotiation, login and what is signed: it is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
import trio
import trio.testing

from smbfs.engine.dialect import DIALECTS_FOR
from smbfs.engine.how import How
from smbfs.errors import ConnectionLost, Refused, Tampered
from smbfs.wire.constants import Cipher, Dialect, SessionFlags, SigningAlgorithm
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.engine.middle import (
    SECRET,
    SIGNED,
    Middle,
    at,
    attacked,
    command,
    only,
    read,
    same,
    without_signature,
)
from tests.fake.server import FakeServer
from tests.fake.tree import Volume

pytestmark = pytest.mark.usefixtures("loud")


async def test_who_only_looks_changes_nothing() -> None:
    async with attacked(Middle()) as (share, _):
        assert await read(share) == SECRET


# Before there are keys


def dialect(number: int) -> Callable[[bytes], bytes]:
    return lambda message: at(message, 64 + 4, struct.pack("<H", number))


def choice(kind: int, value: int) -> Callable[[bytes], bytes]:
    """Change the one value of a negotiate context that the server has chosen."""

    def changed(message: bytes) -> bytes:
        for size in (4, 6):  # an algorithm, or one with a flag before it
            start = message.find(struct.pack("<HHI", kind, size, 0), 64)
            if start > 0:
                return at(message, start + 8 + size - 2, struct.pack("<H", value))
        raise AssertionError("there is no such context")

    return changed


@pytest.mark.parametrize(
    "change",
    [
        dialect(Dialect.SMB_3_0_2),
        dialect(Dialect.SMB_3_0),
        dialect(Dialect.SMB_2_1),
        dialect(Dialect.SMB_2_0_2),
        choice(2, Cipher.AES_128_CCM),
        choice(2, Cipher.AES_256_GCM),
        choice(2, 0),
        choice(8, SigningAlgorithm.AES_CMAC),
        choice(8, SigningAlgorithm.HMAC_SHA256),
        lambda message: at(message, 64 + 2, b"\0\0"),  # signing is not even possible
        lambda message: at(message, 64 + 24, b"\0\0\0\0"),  # the server can do nothing
    ],
    ids=["3.0.2", "3.0", "2.1", "2.0.2", "ccm", "256", "no cipher", "cmac", "hmac", "mode", "caps"],
)
async def test_another_answer_to_negotiate(change: Callable[[bytes], bytes]) -> None:
    middle = Middle(down=only(Command.NEGOTIATE, change))
    async with attacked(middle) as (share, link):
        with pytest.raises((Tampered, Refused, ConnectionLost)):
            await read(share)
        assert link.live is None


def fewer_dialects(message: bytes) -> bytes:
    """Offer 3.0.2 instead of 3.1.1, which is the last in the list."""
    count = int.from_bytes(message[64 + 2 : 64 + 4], "little")
    return at(message, 64 + 36 + 2 * (count - 1), struct.pack("<H", Dialect.SMB_3_0_2))


@pytest.mark.parametrize("vers", ["default", "3"])
async def test_another_question_to_the_server(vers: str) -> None:
    middle = Middle(up=only(Command.NEGOTIATE, fewer_dialects))
    policy = replace(SIGNED, dialects=DIALECTS_FOR[vers])
    async with attacked(middle, policy) as (share, link):
        with pytest.raises((Tampered, Refused, ConnectionLost)):
            await read(share)
        assert link.live is None


# The login


def session_flags(flags: int) -> Callable[[bytes], bytes]:
    return lambda message: at(message, 64 + 2, struct.pack("<H", flags))


@pytest.mark.parametrize(
    "change",
    [
        session_flags(SessionFlags.GUEST),
        session_flags(SessionFlags.NULL),
        session_flags(SessionFlags.ENCRYPT_DATA),
        without_signature,
        lambda message: at(message, 48, b"\0\0"),
        lambda message: without_signature(session_flags(SessionFlags.GUEST)(message)),
    ],
    ids=["guest", "nobody", "sealed", "no signature", "wrong signature", "a guest unsigned"],
)
async def test_another_end_of_the_login(change: Callable[[bytes], bytes]) -> None:
    middle = Middle(down=only(Command.SESSION_SETUP, change, final=True))
    async with attacked(middle) as (share, link):
        with pytest.raises((Tampered, Refused)):
            await read(share)
        assert link.live is None


def let_in(message: bytes) -> bytes:
    """Say to the first token that all is well already."""
    return at(message, 8, struct.pack("<I", Status.SUCCESS))


async def test_a_login_that_ends_too_soon() -> None:
    async with attacked(Middle(down=only(Command.SESSION_SETUP, let_in))) as (share, link):
        with pytest.raises((Tampered, Refused)):
            await read(share)
        assert link.live is None


# The share


def share_flags(message: bytes) -> bytes:
    """The share does not want encryption, says he."""
    return at(message, 64 + 4, bytes(4))


@pytest.mark.parametrize("change", [share_flags, without_signature], ids=["flags", "unsigned"])
async def test_another_answer_to_tree_connect(change: Callable[[bytes], bytes]) -> None:
    volume = Volume(encrypt=True)
    volume.put("file", SECRET)
    middle = Middle(down=only(Command.TREE_CONNECT, change))
    async with attacked(middle, server=FakeServer(volume)) as (share, link):
        with pytest.raises((Tampered, Refused, ConnectionLost)):
            await read(share)
        assert link.live is None


# What is signed


@pytest.mark.parametrize(
    "change",
    [
        lambda message: at(message, len(message) - 1, b"?"),
        without_signature,
        lambda message: at(message, 48, bytes(16)),
        lambda message: at(message, 8, struct.pack("<I", Status.ACCESS_DENIED)),
    ],
    ids=["data", "unsigned", "no signature", "status"],
)
async def test_another_answer(change: Callable[[bytes], bytes]) -> None:
    tamper = Middle(down=only(Command.READ, change))
    async with attacked(tamper) as (share, link):
        handle, _ = await share.open("file", How.reading())
        with pytest.raises((Tampered, ConnectionLost)):
            await handle.read(0, 100)
        assert link.live is None
        tamper.down = same
        assert await read(share) == SECRET, "he is gone, and all is well"


async def test_an_answer_twice_is_believed_once() -> None:
    def twice(message: bytes) -> list[bytes]:
        return [message, message] if command(message) == Command.READ else [message]

    async with attacked(Middle(down=twice)) as (share, _):
        handle, _ = await share.open("file", How.reading())
        assert await handle.read_piece(0, 100) == SECRET
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ConnectionLost):
            await handle.read_piece(0, 100)


@pytest.mark.parametrize(
    "told", [Status.USER_SESSION_DELETED, Status.NETWORK_NAME_DELETED, Status.ACCESS_DENIED]
)
async def test_a_forged_error_gives_no_answer(told: Status) -> None:
    def forged(message: bytes) -> bytes:
        body = struct.pack("<HBBIB", 9, 0, 0, 0, 0)
        return at(without_signature(message), 8, struct.pack("<I", told))[:64] + body

    middle = Middle(down=only(Command.READ, forged))
    async with attacked(middle) as (share, _):
        handle, _ = await share.open("file", How.reading())
        with pytest.raises((Tampered, ConnectionLost)):
            await handle.read(0, 100)
