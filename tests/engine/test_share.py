"""Path operations in one turnaround, and no handle left open whatever happens."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from smbfs.engine.how import How
from smbfs.engine.share import LONGEST_PATH, ShareFacts
from smbfs.engine.steps import list_directory, query_all, rename_to, set_disposition
from smbfs.errors import ConnectionLost, ServerSilent, SmbError, StatusError
from smbfs.wire import file_messages as files
from smbfs.wire import fscc
from smbfs.wire import query_messages as queries
from smbfs.wire.constants import CreateAction, Options
from smbfs.wire.contexts import MAXIMAL_ACCESS, pack_create
from smbfs.wire.header import RELATED_FILE_ID, Command
from smbfs.wire.status import Status
from smbfs.wire.units import utf16
from tests.engine.scripted import FILE_ID, HOLD, ScriptedTree, created, page, share_on


@pytest.fixture
def tree() -> ScriptedTree:
    return ScriptedTree()


def closed(tree: ScriptedTree) -> list[bytes]:
    """The file ids in CLOSE requests, in their order."""
    asks = [ask.body for frame in tree.frames for ask in frame]
    return [body.file_id for body in asks if isinstance(body, files.CloseRequest)]


# One turnaround


async def test_a_path_operation_is_one_chain(tree: ScriptedTree) -> None:
    opened, information, nothing = await share_on(tree).on(
        "dir\\a", How.looking(), query_all(), set_disposition(True)
    )
    assert opened.end_of_file == 10
    assert information.file_id == 77
    assert nothing is None
    assert tree.commands() == [["CREATE", "QUERY_INFO", "SET_INFO", "CLOSE"]]
    create, *later = (ask.body for ask in tree.frames[0])
    assert isinstance(create, files.CreateRequest)
    assert bytes(create.name) == utf16("dir\\a")
    assert create.create_options == Options.OPEN_REPARSE_POINT
    assert {getattr(body, "file_id", None) for body in later} == {RELATED_FILE_ID}
    assert not any(ask.urgent for ask in tree.frames[0])


async def test_everything_in_a_create_is_sent(tree: ScriptedTree) -> None:
    how = How(1, disposition=2, options=3, attributes=4, share=5).with_context(MAXIMAL_ACCESS)
    await share_on(tree).on("a", how)
    create = tree.frames[0][0].body
    assert create == files.CreateRequest(
        desired_access=1,
        create_disposition=2,
        create_options=3,
        file_attributes=4,
        share_access=5,
        name=utf16("a"),
        contexts=pack_create([(MAXIMAL_ACCESS, b"")]),
    )


async def test_paths_and_targets_are_below_the_mounted_directory(tree: ScriptedTree) -> None:
    share = share_on(tree, prefix="sub\\dir")
    await share.on("a", How.renaming(), rename_to("b", False))
    await share.on("", How.looking())
    names = [frame[0].body for frame in tree.frames]
    assert [bytes(one.name) for one in names if isinstance(one, files.CreateRequest)] == [
        utf16("sub\\dir\\a"),
        utf16("sub\\dir"),
    ]
    change = tree.frames[0][1].body
    assert isinstance(change, queries.SetInfoRequest)
    assert bytes(change.buffer).endswith(utf16("sub\\dir\\b"))


async def test_no_path_is_longer_than_its_length_can_say(tree: ScriptedTree) -> None:
    with pytest.raises(StatusError, match="NAME_TOO_LONG"):
        await share_on(tree).on("a" * (LONGEST_PATH // 2 + 1), How.looking())
    assert tree.frames == []


# Opening


async def test_open_keeps_the_handle(tree: ScriptedTree) -> None:
    tree.order(Command.CREATE, created(create_action=CreateAction.CREATED))
    handle, (opened, information) = await share_on(tree).open("a", How.reading(), query_all())
    assert (handle.file_id, handle.path, handle.generation) == (FILE_ID, "a", 1)
    assert handle.action == CreateAction.CREATED
    assert (opened.end_of_file, information.file_id) == (10, 77)
    assert tree.commands() == [["CREATE", "QUERY_INFO"]]
    assert bytes(await handle.read_piece(0, 2)) == b"01"


async def test_open_and_a_step_that_fails_closes(tree: ScriptedTree) -> None:
    tree.order(Command.QUERY_INFO, Status.ACCESS_DENIED)
    with pytest.raises(StatusError, match="QUERY_INFO a: ACCESS_DENIED"):
        await share_on(tree).open("a", How.reading(), query_all())
    assert closed(tree) == [FILE_ID]


async def test_a_create_that_is_answered_late_is_closed(
    tree: ScriptedTree, autojump_clock: object
) -> None:
    tree.order(Command.CREATE, HOLD)
    with trio.move_on_after(1):
        await share_on(tree).open("a", How.reading(), query_all())
    create = tree.abandoned[0]
    assert closed(tree) == []
    tree.release(create, created())
    assert closed(tree) == [FILE_ID]
    assert tree.undone[0].urgent


async def test_a_late_refusal_needs_no_close(tree: ScriptedTree, autojump_clock: object) -> None:
    tree.order(Command.CREATE, HOLD, HOLD)
    for late in (Status.ACCESS_DENIED, files.FlushResponse()):
        with trio.move_on_after(1):
            await share_on(tree).open("a", How.reading())
        tree.release(tree.abandoned[-1], late)
    assert closed(tree) == []


async def test_a_chain_answered_in_pieces_and_cancelled_between(
    tree: ScriptedTree, autojump_clock: object
) -> None:
    tree.order(Command.QUERY_INFO, HOLD)
    with trio.move_on_after(1):
        await share_on(tree).open("a", How.reading(), query_all())
    assert closed(tree) == [FILE_ID]


async def test_a_step_that_is_never_answered_closes(tree: ScriptedTree) -> None:
    tree.order(Command.QUERY_INFO, ServerSilent("no answer"))
    with pytest.raises(ServerSilent):
        await share_on(tree).open("a", How.reading(), query_all())
    assert closed(tree) == [FILE_ID]


async def test_nothing_is_closed_on_a_connection_that_is_gone(tree: ScriptedTree) -> None:
    class Gone(ScriptedTree):
        async def wait(self, slot: Any) -> Any:
            self.is_alive = False
            raise ConnectionLost("gone")

    gone = Gone()
    with pytest.raises(ConnectionLost):
        await share_on(gone).open("a", How.reading(), query_all())
    assert gone.abandoned == []


async def test_a_path_operation_that_is_cancelled_needs_no_close(
    tree: ScriptedTree, autojump_clock: object
) -> None:
    tree.order(Command.CREATE, HOLD)
    with trio.move_on_after(1):
        await share_on(tree).on("a", How.looking(), query_all())
    tree.release(tree.abandoned[0], created())
    assert closed(tree) == [RELATED_FILE_ID]  # the one in the chain


# Whose fault it was


async def test_a_create_that_fails_is_the_error(tree: ScriptedTree) -> None:
    tree.order(Command.CREATE, Status.OBJECT_NAME_NOT_FOUND)
    tree.order(Command.QUERY_INFO, Status.OBJECT_NAME_NOT_FOUND)
    tree.order(Command.CLOSE, Status.INVALID_HANDLE)
    with pytest.raises(StatusError, match="CREATE a: OBJECT_NAME_NOT_FOUND") as caught:
        await share_on(tree).on("a", How.looking(), query_all())
    assert (caught.value.command, caught.value.path) == ("CREATE", "a")
    assert tree.undone == []


async def test_the_first_step_that_fails_is_the_error(tree: ScriptedTree) -> None:
    tree.order(Command.SET_INFO, Status.DIRECTORY_NOT_EMPTY)
    with pytest.raises(StatusError, match="SET_INFO d: DIRECTORY_NOT_EMPTY"):
        await share_on(tree).on("d", How.deleting(True), query_all(), set_disposition(True))
    assert tree.undone == []  # the CLOSE of the chain ran


async def test_a_close_that_fell_with_its_chain_is_sent_again(tree: ScriptedTree) -> None:
    tree.order(Command.SET_INFO, Status.ACCESS_DENIED)
    tree.order(Command.CLOSE, Status.INVALID_HANDLE)
    with pytest.raises(StatusError, match="SET_INFO a: ACCESS_DENIED"):
        await share_on(tree).on("a", How.deleting(), set_disposition(True))
    assert closed(tree) == [RELATED_FILE_ID, FILE_ID]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (Command.CREATE, files.FlushResponse()),
        (Command.CREATE, created(end_of_file=2**64 - 1)),
        (Command.CREATE, created(contexts=b"\xff" * 24)),
        (Command.QUERY_INFO, queries.QueryInfoResponse(output_buffer=b"short")),
    ],
)
async def test_nonsense_ends_the_call(tree: ScriptedTree, command: Command, answer: Any) -> None:
    tree.order(command, answer, answer)
    share = share_on(tree)
    with pytest.raises(SmbError, match="makes no sense") as caught:
        await share.on("a", How.looking(), query_all())
    assert type(caught.value) is SmbError
    with pytest.raises(SmbError, match="makes no sense"):
        await share.open("a", How.looking(), query_all())


# Connecting


async def test_connecting_learns_the_facts_in_one_turnaround(tree: ScriptedTree) -> None:
    share = share_on(tree)
    assert share.facts == ShareFacts()
    await share.connect()
    assert tree.commands() == [["CREATE", "QUERY_INFO", "QUERY_INFO", "QUERY_INFO", "CLOSE"]]
    facts = share.facts
    assert (facts.fs_name, facts.label, facts.volume_serial) == ("NTFS", "music", 0xABCD)
    assert (facts.name_max, facts.allocation_unit) == (255, 4096)
    assert (facts.read_size, facts.write_size) == (1 << 20, 1 << 20)
    assert facts.list_size == (1 << 20) - 65536
    assert facts.is_case_sensitive
    assert facts.has_reparse_points
    assert facts.has_eas
    assert not facts.is_read_only
    assert not facts.has_sparse_files
    assert not facts.is_encrypted
    assert not facts.posix


async def test_what_a_server_does_not_know_is_assumed(tree: ScriptedTree) -> None:
    tree.order(Command.QUERY_INFO, *[Status.INVALID_INFO_CLASS] * 3)
    tree.seal = True
    share = share_on(tree)
    await share.connect()
    assert (share.facts.name_max, share.facts.allocation_unit) == (255, 4096)
    assert share.facts.is_encrypted
    assert len(tree.frames) == 1


async def test_names_that_cannot_be_read_are_none(tree: ScriptedTree) -> None:
    volume = fscc.FileFsVolumeInformation(
        volume_creation_time=0, volume_serial_number=1, volume_label=b"odd"
    )
    able = fscc.FileFsAttributeInformation(
        file_system_attributes=0, maximum_component_name_length=0, file_system_name=b""
    )
    for one in (able, volume):
        tree.order(Command.QUERY_INFO, queries.QueryInfoResponse(output_buffer=bytes(one)))
    share = share_on(tree)
    await share.connect()
    assert (share.facts.label, share.facts.fs_name, share.facts.name_max) == ("", "", 255)


async def test_a_share_that_refuses_its_root(tree: ScriptedTree) -> None:
    tree.order(Command.CREATE, Status.ACCESS_DENIED, Status.ACCESS_DENIED)
    share = share_on(tree)
    with pytest.raises(StatusError, match="CREATE: ACCESS_DENIED"):
        await share.connect()
    await share.on("a", How.looking())
    assert tree.commands()[-1] == ["CREATE", "CLOSE"]  # it may take compounds nevertheless


# Servers that take no compounds


async def one_by_one(tree: ScriptedTree) -> Any:
    """A share on a server that refuses every chain; what it was asked so far is forgotten."""
    tree.order(Command.CREATE, Status.INVALID_PARAMETER)
    share = share_on(tree)
    await share.connect()
    tree.frames.clear()
    return share


@pytest.mark.parametrize(
    ("command", "orders"),
    [
        (Command.CREATE, [Status.INVALID_PARAMETER]),
        (Command.CREATE, [ServerSilent("no answer")]),
        (Command.CLOSE, [Status.INVALID_PARAMETER]),
    ],
)
async def test_a_server_that_refuses_a_chain_is_asked_one_by_one(
    tree: ScriptedTree, command: Command, orders: list[Any]
) -> None:
    tree.order(command, *orders)
    share = share_on(tree)
    await share.connect()
    assert share.facts.fs_name == "NTFS"
    tree.frames.clear()
    await share.connect()
    await share.on("a", How.looking(), query_all())
    assert all(len(frame) == 1 for frame in tree.frames)
    assert [name for [name] in tree.commands()][-3:] == ["CREATE", "QUERY_INFO", "CLOSE"]


async def test_a_server_that_hangs_up_on_a_chain_is_asked_one_by_one() -> None:
    class Proud(ScriptedTree):
        async def post(self, asks: Any, *, cuttable: bool = False) -> Any:
            slots = await super().post(asks, cuttable=cuttable)
            self.is_alive = False
            for slot in slots:
                slot.error = ConnectionLost("hung up")
            return slots

    second = ScriptedTree()
    share = share_on(Proud(), second)
    await share.connect()
    assert {len(frame) for frame in second.frames} == {1}


async def test_learning_one_by_one_survives_what_is_not_known(tree: ScriptedTree) -> None:
    tree.order(Command.CREATE, Status.INVALID_PARAMETER)
    tree.order(Command.QUERY_INFO, *[Status.INVALID_PARAMETER] * 4)
    share = share_on(tree)
    await share.connect()
    assert share.facts.name_max == 255


async def test_one_by_one_stops_at_the_first_error(tree: ScriptedTree) -> None:
    share = await one_by_one(tree)
    tree.order(Command.QUERY_INFO, Status.ACCESS_DENIED)
    with pytest.raises(StatusError, match="QUERY_INFO a: ACCESS_DENIED"):
        await share.on("a", How.looking(), query_all(), set_disposition(True))
    assert tree.commands() == [["CREATE"], ["QUERY_INFO"], ["CLOSE"]]
    assert closed(tree) == [FILE_ID]


async def test_one_by_one_open_and_cancel_closes(
    tree: ScriptedTree, autojump_clock: object
) -> None:
    share = await one_by_one(tree)
    tree.order(Command.QUERY_INFO, HOLD)
    with trio.move_on_after(1):
        await share.open("a", How.reading(), query_all())
    assert closed(tree) == [FILE_ID]
    handle, found = await share.open("a", How.reading(), query_all())
    assert (handle.file_id, len(found)) == (FILE_ID, 2)


async def test_a_small_directory_is_listed_in_one_turnaround(tree: ScriptedTree) -> None:
    tree.order(Command.QUERY_DIRECTORY, page("a", "b"))
    share = share_on(tree)
    await share.connect()
    tree.frames.clear()
    pages = [list_directory("*", share.facts.list_size), list_directory("*", 65536)]
    _, (_, listed, end) = await share.open("d", How.listing(), *pages)
    assert tree.commands() == [["CREATE", "QUERY_DIRECTORY", "QUERY_DIRECTORY"]]
    assert [one.name for one in listed] == ["a", "b"]
    assert end is None


async def test_a_chain_whose_answers_are_too_long_for_a_frame_is_cut(tree: ScriptedTree) -> None:
    pages = [list_directory("*", 1 << 20)] * 2
    await share_on(tree).open("d", How.listing(), *pages)
    assert tree.commands() == [["CREATE", "QUERY_DIRECTORY"], ["QUERY_DIRECTORY"]]
