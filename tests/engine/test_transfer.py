"""Windows of pieces: all the bytes, several pieces under way, and nothing left behind."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from smbfs.engine.transfer import DEPTH, cut, length, sequence
from smbfs.errors import ConnectionLost, StatusError
from smbfs.wire import file_messages as files
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.engine.scripted import HOLD, ScriptedTree, handle_on

PIECE = 4


@pytest.fixture
def tree() -> ScriptedTree:
    """A server that moves four bytes at a time."""
    tree = ScriptedTree(bytearray(range(100)))
    tree.capabilities.max_read = tree.capabilities.max_write = PIECE
    return tree


def whole(parts: list[memoryview]) -> bytes:
    return b"".join(parts)


def offsets(tree: ScriptedTree, command: Command) -> list[int]:
    asks = [ask for frame in tree.frames for ask in frame if ask.command == command]
    return [getattr(ask.body, "offset", -1) for ask in asks]


# Cutting


@given(st.lists(st.binary(max_size=20), max_size=10), st.integers(1, 30))
def test_cutting_loses_nothing(parts: list[bytes], size: int) -> None:
    pieces = list(cut(parts, size))
    assert b"".join(b"".join(piece) for piece in pieces) == b"".join(parts)
    assert all(length(piece) == size for piece in pieces[:-1])
    assert all(0 < length(piece) <= size for piece in pieces)


def test_one_or_many() -> None:
    assert sequence(b"ab") == [b"ab"]
    assert sequence([b"a", b"b"]) == [b"a", b"b"]


# Reading


@pytest.mark.parametrize(
    ("offset", "size"), [(0, 0), (0, 1), (0, 4), (3, 9), (0, 100), (90, 50), (100, 5), (500, 9)]
)
async def test_a_read_is_whole(tree: ScriptedTree, offset: int, size: int) -> None:
    assert whole(await handle_on(tree).read(offset, size)) == tree.content[offset : offset + size]


async def test_a_read_keeps_a_window(tree: ScriptedTree) -> None:
    await handle_on(tree).read(0, 100)
    assert tree.most_waiting == DEPTH
    assert offsets(tree, Command.READ) == list(range(0, 100, 4))


async def test_short_reads_are_asked_again(tree: ScriptedTree) -> None:
    tree.order(Command.READ, *(files.ReadResponse(data=bytes([n])) for n in range(0, 8, 4)))
    assert whole(await handle_on(tree).read(0, 10)) == tree.content[:10]
    assert sorted(offsets(tree, Command.READ)) == [0, 1, 4, 5, 8]


async def test_a_short_read_at_the_end_of_the_file(tree: ScriptedTree) -> None:
    assert whole(await handle_on(tree).read(90, 40)) == tree.content[90:]
    assert len(tree.abandoned) == tree.waiting  # what lies behind the end is not waited for


async def test_the_first_error_ends_a_read(tree: ScriptedTree) -> None:
    tree.order(Command.READ, files.ReadResponse(data=bytes(4)), Status.FILE_LOCK_CONFLICT)
    with pytest.raises(StatusError, match="FILE_LOCK_CONFLICT"):
        await handle_on(tree).read(0, 100)
    assert len(tree.abandoned) == tree.waiting > 0


async def test_a_cancelled_read_leaves_nothing_behind(tree: ScriptedTree) -> None:
    tree.order(Command.READ, *[HOLD] * 4)
    with trio.move_on_after(0) as scope:
        await handle_on(tree).read(0, 16)
    assert scope.cancelled_caught


async def test_all_that_was_posted_is_abandoned_by_who_is_cancelled(
    tree: ScriptedTree, autojump_clock: object
) -> None:
    tree.order(Command.READ, *[HOLD] * 4)
    with trio.move_on_after(1):
        await handle_on(tree).read(0, 16)
    assert len(tree.abandoned) == 4


# Writing


@pytest.mark.parametrize("size", [0, 1, 4, 9, 80])
async def test_a_write_is_whole(tree: ScriptedTree, size: int) -> None:
    data = bytes(range(100, 100 + size))
    assert await handle_on(tree).write(3, [data[:5], data[5:]]) == size
    assert tree.content[3 : 3 + size] == data
    assert tree.content[:3] == b"\0\1\2"
    assert tree.most_waiting <= DEPTH


async def test_a_write_of_one_blob(tree: ScriptedTree) -> None:
    assert await handle_on(tree).write(0, b"abcdefgh") == 8
    assert tree.content[:8] == b"abcdefgh"


async def test_what_the_server_left_is_sent_again(tree: ScriptedTree) -> None:
    tree.order(Command.WRITE, files.WriteResponse(count=1), files.WriteResponse(count=4))
    tree.order(Command.WRITE, files.WriteResponse(count=1))
    assert await handle_on(tree).write(10, b"abcdefgh") == 8
    sent = [ask.body for frame in tree.frames for ask in frame]
    assert [bytes(body.data) for body in sent if isinstance(body, files.WriteRequest)] == [
        b"abcd",
        b"efgh",
        b"bcd",
        b"cd",
    ]
    assert offsets(tree, Command.WRITE) == [10, 14, 11, 12]


async def test_a_failed_write_waits_for_the_rest(tree: ScriptedTree) -> None:
    tree.order(Command.WRITE, Status.DISK_FULL, Status.DISK_FULL)
    with pytest.raises(StatusError, match="DISK_FULL"):
        await handle_on(tree).write(0, bytes(40))
    assert tree.waiting == 0
    assert tree.abandoned == []


async def test_a_write_on_a_lost_connection(tree: ScriptedTree) -> None:
    tree.order(Command.WRITE, *[ConnectionLost("gone")] * 8)
    with pytest.raises(ConnectionLost):
        await handle_on(tree).write(0, bytes(80))
    assert tree.waiting == 0


async def test_a_cancelled_write_leaves_its_pieces_to_the_policy(
    tree: ScriptedTree, autojump_clock: object
) -> None:
    tree.order(Command.WRITE, *[HOLD] * 4)
    with trio.move_on_after(1):
        await handle_on(tree).write(0, bytes(16))
    assert len(tree.abandoned) == 4
