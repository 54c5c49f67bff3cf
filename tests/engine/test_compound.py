"""What is learnt of a server's manners, and whose fault an answer is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smbfs.engine.compound import ENTRIES, LIST_SIZE, Manners, close_ask, judged
from smbfs.engine.exchange import Ask, Reply
from smbfs.engine.how import How
from smbfs.engine.steps import list_directory
from smbfs.errors import SmbError, StatusError
from smbfs.wire.directory import (
    FileBothDirectoryInformation,
    FileIdBothDirectoryInformation,
    FileIdFullDirectoryInformation,
    pack_entries,
)
from smbfs.wire.error_data import pack_symlink_error
from smbfs.wire.file_messages import CreateRequest
from smbfs.wire.header import Command
from smbfs.wire.messages import ErrorResponse
from smbfs.wire.query_messages import QueryDirectoryRequest, QueryDirectoryResponse
from smbfs.wire.status import Status
from smbfs.wire.units import utf16
from tests.engine.scripted import FILE_ID, ScriptedTree, handle_on, page, reply_of, share_on

CREATE = Ask(CreateRequest(desired_access=0, share_access=7, create_disposition=1, name=b""))


@pytest.fixture
def tree() -> ScriptedTree:
    return ScriptedTree()


def listings(tree: ScriptedTree) -> list[tuple[int, int]]:
    """The class and size of each listing that was asked for."""
    bodies = [ask.body for frame in tree.frames for ask in frame]
    return [
        (body.file_information_class, body.output_buffer_length)
        for body in bodies
        if isinstance(body, QueryDirectoryRequest)
    ]


# Listings


async def test_a_smaller_buffer_is_remembered(tree: ScriptedTree) -> None:
    tree.order(Command.QUERY_DIRECTORY, Status.INVALID_PARAMETER, page("a"))
    handle = handle_on(tree)
    assert await handle.list(1 << 20)
    assert await handle.list(1 << 20) is None
    assert listings(tree) == [(38, LIST_SIZE), (38, 65536), (38, 65536)]


async def test_a_simpler_class_is_remembered(tree: ScriptedTree) -> None:
    both = FileBothDirectoryInformation(
        creation_time=0,
        last_access_time=0,
        last_write_time=0,
        change_time=0,
        end_of_file=5,
        allocation_size=0,
        file_attributes=0,
        file_name=utf16("a"),
    )
    old = QueryDirectoryResponse(output_buffer=pack_entries([both]))
    share = share_on(tree)
    tree.order(Command.QUERY_DIRECTORY, Status.INVALID_INFO_CLASS, Status.NOT_SUPPORTED, old)
    handle, (_, listed) = await share.open("d", How.listing(), list_directory("*", 1 << 20))
    assert [one.information.end_of_file for one in listed] == [5]
    assert handle.file_id == FILE_ID
    await share.open("d", How.listing(), list_directory("*", 4096))
    assert listings(tree) == [(38, LIST_SIZE), (37, LIST_SIZE), (3, LIST_SIZE), (3, 4096)]
    assert [frame[0].command.name for frame in tree.frames] == [
        *("CREATE", "CLOSE", "CREATE", "CLOSE", "CREATE", "CREATE")
    ]


async def test_nothing_is_learnt_from_a_directory_that_cannot_be_listed(
    tree: ScriptedTree,
) -> None:
    handle = handle_on(tree)
    tree.order(Command.QUERY_DIRECTORY, *[Status.INVALID_PARAMETER] * 4)
    with pytest.raises(StatusError, match=r"QUERY_DIRECTORY a\.txt: INVALID_PARAMETER"):
        await handle.list(1 << 20)
    await handle.list(1 << 20)
    assert listings(tree) == [
        *((38, LIST_SIZE), (38, 65536), (37, 65536), (3, 65536)),
        (38, LIST_SIZE),
    ]


@pytest.mark.parametrize("status", [Status.ACCESS_DENIED, Status.OBJECT_NAME_NOT_FOUND])
async def test_an_honest_refusal_is_told_at_once(tree: ScriptedTree, status: Status) -> None:
    tree.order(Command.QUERY_DIRECTORY, status)
    with pytest.raises(StatusError):
        await handle_on(tree).list(1 << 20)
    assert len(tree.frames) == 1


def test_the_best_class_comes_first() -> None:
    best, *rest = ENTRIES
    assert best is FileIdFullDirectoryInformation
    assert rest == [FileIdBothDirectoryInformation, FileBothDirectoryInformation]


@pytest.mark.parametrize(
    ("largest", "transact", "size"),
    [(504, 1 << 20, LIST_SIZE), (504, 65536, 65536), (16, 1 << 20, 4 * 65536), (1, 1 << 20, 65536)],
)
def test_a_page_leaves_room(tree: ScriptedTree, largest: int, transact: int, size: int) -> None:
    tree.largest, tree.capabilities.max_transact = largest, transact
    manners = Manners()
    assert manners.where(tree.as_tree, FILE_ID, manners.listing).listing.size == size


async def test_unsafe_names_are_left_out_with_one_warning(
    tree: ScriptedTree, expect_log: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    expect_log(r"unsafe name '\.\./passwd'")
    tree.order(Command.QUERY_DIRECTORY, page("../passwd", "a\\b"), page("x/y", "good"))
    handle = handle_on(tree)
    assert await handle.list(4096) == []
    listed = await handle.list(4096)
    assert listed is not None
    assert [one.name for one in listed] == ["good"]
    assert len(caplog.records) == 1


# Judging


def test_a_close_by_itself_may_use_the_reserve() -> None:
    assert close_ask(FILE_ID).urgent
    assert not close_ask(FILE_ID, in_chain=True).urgent


def stopped(data: bytes) -> Reply:
    reply = reply_of(Command.CREATE, ErrorResponse(error_data=data))
    reply.status = Status.STOPPED_ON_SYMLINK
    return reply


def test_a_symlink_on_the_path_is_told() -> None:
    link = utf16("there")
    data = pack_symlink_error(link, link, 4, 1)
    with pytest.raises(StatusError, match="CREATE a: STOPPED_ON_SYMLINK") as caught:
        judged(CREATE, stopped(data), "a", repr)
    assert caught.value.symlink is not None
    assert bytes(caught.value.symlink.substitute_name) == link
    assert caught.value.symlink.unparsed_path_length == 4


def test_a_symlink_of_which_nothing_is_told() -> None:
    with pytest.raises(StatusError) as caught:
        judged(CREATE, stopped(b""), "a", repr)
    assert caught.value.symlink is None


def test_a_symlink_that_is_none() -> None:
    with pytest.raises(SmbError, match="CREATE: the server's answer makes no sense"):
        judged(CREATE, stopped(bytes(40)), "", repr)
