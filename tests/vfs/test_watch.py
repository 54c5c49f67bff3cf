"""Directories that the server watches: when, what is believed, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
import trio
import trio.testing

from smbfs.fuse.server import ROOT, Miss, Node
from smbfs.fuse.server import Change as Wish
from smbfs.vfs import watch
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.directory import FileNotifyInformation, NotifyAction, pack_entries
from smbfs.wire.header import Command
from smbfs.wire.query_messages import ChangeNotifyResponse
from smbfs.wire.status import Status
from smbfs.wire.units import utf16
from tests.fake.script import Fails
from tests.vfs.mounted import WHO, Mounted, mounted

WATCHING = DataPolicy(watches=True)
Change = tuple[int, str]
Clock = trio.testing.MockClock


@pytest.fixture
async def fake() -> AsyncIterator[Mounted]:
    async with mounted(policy=WATCHING, actimeo_s=1) as made:
        made.share.mkdir("dir")
        made.share.put("dir/file", b"x")
        yield made


def notifies(fake: Mounted) -> int:
    """How many CHANGE_NOTIFY the server has outstanding."""
    return sum(
        request.command == Command.CHANGE_NOTIFY
        for wire in fake.server.wires
        for request in wire.parked.values()
    )


async def told(fake: Mounted, changes: Sequence[Change], status: Status = Status.SUCCESS) -> None:
    """Have the server tell of changes."""
    entries = [FileNotifyInformation(action=how, file_name=utf16(name)) for how, name in changes]
    body = bytes(ChangeNotifyResponse(output_buffer=pack_entries(entries))) if changes else b""
    for wire in fake.server.wires:
        for request in list(wire.parked.values()):
            wire.finish(request, status, body)
    await trio.sleep(1.5 * watch.PAUSE_S)


async def watched(fake: Mounted) -> Node:
    """Ask for names until the directory is watched."""
    node = await fake.node("dir")
    for number in range(watch.ASKED):
        await fake.fs.lookup(WHO, node, b"nothing %d" % number)
    await trio.sleep(0.01)
    assert notifies(fake) == 1
    return node


def is_known(fake: Mounted, node: Node, name: bytes = b"file") -> bool:
    return not isinstance(fake.fs.lookup_now(WHO, node, name), Miss)


async def test_a_directory_is_watched_once_names_are_asked_for(
    autojump_clock: Clock, fake: Mounted
) -> None:
    node = await fake.node("dir")
    for number in range(watch.ASKED - 1):
        await fake.fs.lookup(WHO, node, b"nothing %d" % number)
    await trio.sleep(watch.WITHIN_S + 1)
    await fake.fs.lookup(WHO, node, b"nothing")
    await trio.sleep(0.01)
    assert notifies(fake) == 0, "not so often within a while"


async def test_names_are_believed_for_longer_and_attributes_are_not(
    autojump_clock: Clock, fake: Mounted
) -> None:
    node = await watched(fake)
    await fake.node("dir/file")
    await trio.sleep(20)
    entry = fake.fs.lookup_now(WHO, node, b"file")
    assert not isinstance(entry, Miss)
    assert 0 < entry.believe_s <= 1, "the kernel asks us again, who are told of changes"
    assert entry.attributes is not None
    assert entry.attributes.believe_s == 0


async def test_a_name_that_others_removed_is_asked_for(
    autojump_clock: Clock, fake: Mounted
) -> None:
    node = await watched(fake)
    fake.share.remove("dir/file")
    await told(fake, [(NotifyAction.REMOVED, "file")])
    await trio.sleep(2)
    assert not is_known(fake, node)
    assert (await fake.fs.lookup(WHO, node, b"file")).attributes is None
    assert notifies(fake) == 1, "it goes on"


async def test_our_own_changes_are_no_news(autojump_clock: Clock, fake: Mounted) -> None:
    node = await watched(fake)
    await fake.fs.mkdir(WHO, node, b"new", 0o755)
    await told(fake, [(NotifyAction.ADDED, "new")])
    await trio.sleep(2)
    assert is_known(fake, node, b"new")
    await fake.fs.rmdir(WHO, node, b"new")
    fake.server.requests.clear()
    await told(fake, [(NotifyAction.REMOVED, "new")])
    asked = [command.name for frame in fake.server.requests for command in frame]
    assert asked == [], "who does much is not interrupted each time"
    await trio.sleep(watch.LONG_PAUSE_S)
    asked = [command.name for frame in fake.server.requests for command in frame]
    assert asked == ["CHANGE_NOTIFY"]
    await trio.sleep(2)
    asked = [command.name for frame in fake.server.requests[1:] for command in frame]
    assert asked.count("QUERY_INFO") == 1, "the directory itself may be going: asked at the end"
    assert is_known(fake, node)


async def test_what_others_do_is_heard_well_before_a_belief_ends(
    autojump_clock: Clock, fake: Mounted
) -> None:
    node = await watched(fake)
    fake.show(acdirmax_s=4 * watch.PAUSE_S)
    await fake.fs.mkdir(WHO, node, b"new", 0o755)
    fake.server.requests.clear()
    await told(fake, [(NotifyAction.ADDED, "new")])
    await trio.sleep(watch.PAUSE_S)
    assert [one.name for frame in fake.server.requests for one in frame] == ["CHANGE_NOTIFY"]


async def test_a_directory_whose_times_are_set_is_let_go(
    autojump_clock: Clock, fake: Mounted
) -> None:
    node = await watched(fake)
    await fake.fs.setattr(WHO, node, Wish(mode=0o755), None)
    assert notifies(fake) == 1
    await fake.fs.setattr(WHO, node, Wish(mtime_ns=10**18), None)
    await trio.testing.wait_all_tasks_blocked()
    assert not fake.server.open_handles, "Samba would tell this time until it is closed"


async def test_what_others_remove_may_be_the_directory(
    autojump_clock: Clock, fake: Mounted
) -> None:
    await watched(fake)
    fake.server.requests.clear()
    await told(fake, [(NotifyAction.REMOVED, "file")])
    asked = [command.name for frame in fake.server.requests for command in frame]
    assert asked == ["CHANGE_NOTIFY", "QUERY_INFO"]


async def test_a_look_beside_a_change_goes_by_the_handle_that_watches(
    autojump_clock: Clock, fake: Mounted
) -> None:
    fake.volume.policy = replace(WATCHING, looks_beside=True)
    node = await watched(fake)
    await fake.fs.lookup(WHO, node, b"file")
    before = (await fake.fs.getattr(WHO, node, None)).mtime_ns
    fake.server.requests.clear()
    await fake.fs.unlink(WHO, node, b"file")
    await trio.testing.wait_all_tasks_blocked()
    asked = [[command.name for command in frame] for frame in fake.server.requests]
    assert asked == [["CREATE", "SET_INFO", "CLOSE"], ["QUERY_INFO"]]
    seen = fake.fs.getattr_now(WHO, node, None)
    assert not isinstance(seen, Miss)
    assert seen.mtime_ns > before


async def test_what_is_renamed_may_have_taken_anothers_place(
    autojump_clock: Clock, fake: Mounted
) -> None:
    node = await watched(fake)
    await told(fake, [(NotifyAction.RENAMED_NEW_NAME, "file")])
    await trio.sleep(2)
    assert not is_known(fake, node)


async def test_if_the_server_lost_count_all_is_learnt_anew(
    autojump_clock: Clock, fake: Mounted
) -> None:
    node = await watched(fake)
    fake.share.remove("dir/file")
    fake.share.put("dir/other", b"y")
    await told(fake, [], Status.NOTIFY_ENUM_DIR)
    await trio.sleep(2)
    assert not is_known(fake, node)
    assert is_known(fake, node, b"other")


async def test_a_watch_that_nobody_uses_ends(autojump_clock: Clock, fake: Mounted) -> None:
    await watched(fake)
    await trio.sleep(2.5 * watch.IDLE_S)
    assert notifies(fake) == 0
    assert not fake.server.open_handles


async def test_a_directory_that_is_removed_is_let_go(autojump_clock: Clock, fake: Mounted) -> None:
    node = await watched(fake)
    await fake.node("dir/file")
    await fake.fs.unlink(WHO, node, b"file")
    await fake.fs.rmdir(WHO, ROOT, b"dir")
    assert not fake.share.exists("dir")
    await trio.sleep(0.01)
    assert notifies(fake) == 0


async def test_a_directory_that_others_remove_is_let_go(
    autojump_clock: Clock, fake: Mounted
) -> None:
    await watched(fake)
    await told(fake, [], Status.DELETE_PENDING)
    await trio.sleep(0.01)
    assert not fake.server.open_handles


async def test_a_directory_that_is_renamed_is_let_go_first(
    autojump_clock: Clock, fake: Mounted
) -> None:
    await watched(fake)
    await fake.rename("dir", "moved")
    await trio.sleep(0.01)
    assert [one.entry.name for one in fake.server.open_handles if one.entry.name] == []
    assert fake.share.exists("moved/file")


async def test_a_server_that_watches_nothing_is_not_asked_for_ever(
    autojump_clock: Clock, fake: Mounted
) -> None:
    fake.server.script.append(Fails(on=Command.CHANGE_NOTIFY, status=Status.NOT_SUPPORTED))
    for number in range(watch.REFUSALS):
        fake.share.mkdir(f"d{number}")
        node = await fake.node(f"d{number}")
        for name in (b"a", b"b", b"c"):
            await fake.fs.lookup(WHO, node, name)
        await trio.sleep(0.01)
    node = await fake.node("dir")
    await trio.sleep(0.01)
    before = len(fake.server.requests)
    for number in range(6):
        await fake.fs.lookup(WHO, node, b"nothing %d" % number)
    await trio.sleep(0.01)
    asked = [one for frame in fake.server.requests[before:] for one in frame]
    assert Command.CHANGE_NOTIFY not in asked
    assert not fake.server.open_handles


async def test_only_so_many_are_watched(
    autojump_clock: Clock, fake: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST", 2)
    for number in range(4):
        fake.share.mkdir(f"d{number}")
        node = await fake.node(f"d{number}")
        for name in (b"a", b"b", b"c"):
            await fake.fs.lookup(WHO, node, name)
        await trio.sleep(0.01)
    assert notifies(fake) == 2


async def test_names_made_while_a_directory_is_learnt_are_not_lost(
    autojump_clock: Clock, fake: Mounted
) -> None:
    """A rush of ours goes on while the watch begins."""
    node = await fake.node("dir")
    for number in range(10):
        await fake.fs.lookup(WHO, node, b"new %d" % number)
        await fake.fs.mkdir(WHO, node, b"new %d" % number, 0o755)
    await trio.sleep(2)
    assert notifies(fake) == 1
    for number in range(10):
        assert is_known(fake, node, b"new %d" % number)
