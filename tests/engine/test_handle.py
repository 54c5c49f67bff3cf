"""An open file: its life, its steps, its pieces, and that it never stays open on the server."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import trio

from smbfs.engine.exchange import Ask, Slot
from smbfs.engine.handle import HANDLE, HandleEvent, HandleState
from smbfs.engine.states import Machine
from smbfs.engine.steps import query_all, set_disposition, set_end_of_file, write
from smbfs.errors import ConnectionLost, SmbError, StatusError
from smbfs.wire import file_messages as files
from smbfs.wire import query_messages as queries
from smbfs.wire.constants import CloseFlags
from smbfs.wire.header import RELATED_FILE_ID, Command
from smbfs.wire.status import Status
from tests.engine.scripted import FILE_ID, HOLD, ScriptedTree, handle_on, page


@pytest.fixture
def tree() -> ScriptedTree:
    return ScriptedTree()


# Its life


@pytest.mark.parametrize(
    ("state", "event"), list(itertools.product(HandleState, HandleEvent)), ids=lambda one: one.name
)
def test_every_step_is_drawn_or_raises(state: HandleState, event: HandleEvent) -> None:
    machine = Machine(HANDLE, state)
    if (state, event) in HANDLE:
        machine.step(event)
        assert machine.state is HANDLE[state, event]
    else:
        with pytest.raises(KeyError):
            machine.step(event)


def test_closed_is_for_ever_and_every_state_leads_there() -> None:
    reached = {HandleState.CLOSED}
    for _ in HandleState:
        reached |= {before for (before, _), after in HANDLE.items() if after in reached}
    assert reached == set(HandleState)
    assert not any(before is HandleState.CLOSED for before, _ in HANDLE)


def test_a_handle_shows_itself(tree: ScriptedTree) -> None:
    assert repr(handle_on(tree)) == "<Handle 'a.txt' OPEN>"


async def test_a_handle_is_lost_with_its_connection(tree: ScriptedTree) -> None:
    handle = handle_on(tree)
    tree.is_alive = False
    assert handle.state.name == "LOST"
    for _ in range(2):
        with pytest.raises(ConnectionLost, match=r"a\.txt: the connection was lost"):
            await handle.read_piece(0, 1)
    assert await handle.close() is None
    assert handle.state is HandleState.CLOSED
    assert tree.frames == []


async def test_a_file_the_server_closed_is_lost(tree: ScriptedTree) -> None:
    handle = handle_on(tree)
    tree.order(Command.READ, Status.FILE_CLOSED, Status.FILE_CLOSED)
    for posted in [await handle.post_read(0, 1) for _ in range(2)]:
        with pytest.raises(StatusError, match=r"READ a\.txt: FILE_CLOSED"):
            await handle.take_read(posted)
    assert handle.state is HandleState.LOST
    with pytest.raises(ConnectionLost):
        await handle.flush()


async def test_a_closed_handle_is_used_no_more(tree: ScriptedTree) -> None:
    handle = handle_on(tree)
    handle.close_soon()
    with pytest.raises(StatusError, match="FILE_CLOSED"):
        await handle.flush()


# Steps


async def test_steps_are_one_chain(tree: ScriptedTree) -> None:
    handle = handle_on(tree)
    nothing, information = await handle.do(set_end_of_file(0), query_all())
    assert nothing is None
    assert information.file_id == 77
    assert tree.commands() == [["SET_INFO", "QUERY_INFO"]]
    change, query = (ask.body for ask in tree.frames[0])
    assert isinstance(change, queries.SetInfoRequest)
    assert isinstance(query, queries.QueryInfoRequest)
    assert (change.file_id, query.file_id) == (FILE_ID, RELATED_FILE_ID)


async def test_no_steps_are_no_question(tree: ScriptedTree) -> None:
    assert await handle_on(tree).do() == []
    assert tree.frames == []


async def test_the_first_error_counts(tree: ScriptedTree) -> None:
    tree.order(Command.SET_INFO, Status.DISK_FULL, Status.INVALID_PARAMETER)
    with pytest.raises(StatusError, match=r"SET_INFO a\.txt: DISK_FULL"):
        await handle_on(tree).do(query_all(), set_end_of_file(9), set_disposition(True))


async def test_a_chain_too_dear_goes_one_by_one(tree: ScriptedTree) -> None:
    tree.largest = 1
    await handle_on(tree).do(set_end_of_file(0), query_all())
    assert tree.commands() == [["SET_INFO"], ["QUERY_INFO"]]
    assert all(getattr(frame[0].body, "file_id", None) == FILE_ID for frame in tree.frames)


async def test_a_chain_is_cut_again_when_the_window_shrinks(tree: ScriptedTree) -> None:
    tree.shrinks_to = 1
    await handle_on(tree).do(set_end_of_file(0), query_all())
    assert tree.commands() == [["SET_INFO"], ["QUERY_INFO"]]


async def test_a_piece_is_cut_again_when_the_window_shrinks(tree: ScriptedTree) -> None:
    data = bytes(range(256)) * 1000
    handle = handle_on(tree)
    tree.shrinks_to = 2
    assert await handle.write_piece(0, [data[:1000], data[1000:]]) == 2 * 65536
    assert await handle.write(2 * 65536, data[2 * 65536 :]) == len(data) - 2 * 65536
    assert tree.content[: len(data)] == data
    tree.shrinks_to = 1
    assert bytes(await handle.read_piece(7, len(data))) == data[7 : 7 + 65536]


async def test_a_large_write_costs_what_it_sends(tree: ScriptedTree) -> None:
    tree.largest = 16
    await handle_on(tree).do(write(0, bytes(1 << 20)), query_all())
    assert tree.commands() == [["WRITE"], ["QUERY_INFO"]]


async def test_nonsense_ends_the_call(tree: ScriptedTree) -> None:
    tree.order(Command.READ, files.ReadResponse(data=b"too much"))
    with pytest.raises(SmbError, match=r"READ a\.txt: the server's answer makes no sense"):
        await handle_on(tree).read_piece(0, 1)


async def test_flush(tree: ScriptedTree) -> None:
    await handle_on(tree).flush()
    assert tree.commands() == [["FLUSH"]]


# Listings


async def test_a_listing_comes_in_pages(tree: ScriptedTree) -> None:
    handle = handle_on(tree)
    tree.order(Command.QUERY_DIRECTORY, page("a", "b"))
    listed = await handle.list(1 << 20)
    assert listed is not None
    assert [one.name for one in listed] == ["a", "b"]
    assert await handle.list(1 << 20) is None


# Pieces


async def test_pieces_are_no_larger_than_allowed(tree: ScriptedTree) -> None:
    handle = handle_on(tree)
    tree.capabilities.max_read, tree.capabilities.max_write = 8 << 20, 65536
    assert (handle.read_size, handle.write_size) == (1 << 23, 65536)
    tree.largest = 2
    assert handle.read_size == 131072


async def test_a_piece_is_one_request(tree: ScriptedTree) -> None:
    handle = handle_on(tree)
    assert bytes(await handle.read_piece(2, 3)) == b"234"
    assert bytes(await handle.read_piece(50, 3)) == b""
    assert await handle.write_piece(1, [b"ab", b"c"]) == 3
    assert await handle.write_piece(0, b"") == 0
    assert tree.content == b"0abc456789"
    assert len(tree.frames) == 4


async def test_a_server_that_takes_nothing(tree: ScriptedTree) -> None:
    tree.order(Command.WRITE, files.WriteResponse(count=0))
    with pytest.raises(SmbError, match="takes no bytes"):
        await handle_on(tree).write_piece(0, b"abc")


async def test_what_is_posted_may_be_abandoned(tree: ScriptedTree) -> None:
    handle = handle_on(tree)
    posted = await handle.post_read(0, 1)
    handle.abandon(posted)
    assert tree.abandoned == [posted.slot]


# The end


async def test_close_tells_the_last_attributes(tree: ScriptedTree) -> None:
    handle = handle_on(tree)
    information = await handle.close()
    assert information is not None
    assert information.end_of_file == 10
    assert handle.state is HandleState.CLOSED
    assert await handle.close() is None
    assert tree.commands() == [["CLOSE"]]
    [ask] = tree.undone
    assert isinstance(ask.body, files.CloseRequest)
    assert (ask.body.file_id, ask.body.flags) == (FILE_ID, CloseFlags.POSTQUERY_ATTRIB)
    assert ask.urgent


async def test_close_of_what_is_closed(tree: ScriptedTree) -> None:
    tree.order(Command.CLOSE, Status.FILE_CLOSED)
    assert await handle_on(tree).close() is None


async def test_close_when_the_connection_goes(tree: ScriptedTree) -> None:
    tree.order(Command.CLOSE, ConnectionLost("gone"))
    assert await handle_on(tree).close() is None


async def test_close_tells_what_went_wrong(tree: ScriptedTree) -> None:
    tree.order(Command.CLOSE, Status.DISK_FULL)
    with pytest.raises(StatusError, match=r"CLOSE a\.txt: DISK_FULL"):
        await handle_on(tree).close()


async def test_a_cancelled_close_is_sent_all_the_same(tree: ScriptedTree) -> None:
    handle = handle_on(tree)
    tree.order(Command.CLOSE, HOLD)
    with trio.CancelScope() as scope:
        scope.cancel()
        await handle.close()
    assert tree.commands() == [["CLOSE"]]
    assert len(tree.abandoned) == 1


async def test_a_close_waits_for_a_credit(tree: ScriptedTree, autojump_clock: object) -> None:
    async def slow(asks: Sequence[Ask]) -> list[Slot]:
        await trio.sleep(1)
        tree.has_credits = True
        return await post(asks)

    handle = handle_on(tree)
    tree.has_credits = False
    post, tree.post = tree.post, slow  # type: ignore[method-assign, assignment]  # a slow twin
    with trio.CancelScope() as scope:
        scope.cancel()
        await handle.close()
    assert tree.commands() == [["CLOSE"]]


async def test_a_close_without_credits_is_done_later(
    tree: ScriptedTree, autojump_clock: object
) -> None:
    handle = handle_on(tree)
    tree.has_credits = False
    began = trio.current_time()
    assert await handle.close() is None
    assert trio.current_time() - began <= 2
    assert tree.frames == []
    [[ask]] = tree.late
    assert ask.command == Command.CLOSE


async def test_close_soon_never_waits_and_never_raises(tree: ScriptedTree) -> None:
    handle = handle_on(tree)
    handle.close_soon()
    handle.close_soon()
    assert tree.commands() == [["CLOSE"]]
    lost = handle_on(tree)
    tree.is_alive = False
    lost.close_soon()
    assert len(tree.frames) == 1
