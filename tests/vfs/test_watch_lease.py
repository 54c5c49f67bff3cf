"""Directories under a lease: believed while it holds, let go when others want them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from smbfs.fuse.server import Miss, Node
from smbfs.vfs import watch
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.login import Nature
from tests.fake.script import Fails
from tests.vfs.mounted import WHO, Mounted, mounted

LEASING = DataPolicy(leases=True, watches=True)
NATURE = Nature(directory_leasing=True)
Clock = trio.testing.MockClock


@pytest.fixture
async def fake() -> AsyncIterator[Mounted]:
    async with mounted(policy=LEASING, nature=NATURE, actimeo_s=1) as made:
        made.share.mkdir("dir")
        made.share.put("dir/file", b"x")
        yield made


async def leased(fake: Mounted) -> Node:
    """Ask for names until there is a lease on the directory."""
    node = await fake.node("dir")
    for number in range(watch.ASKED):
        await fake.fs.lookup(WHO, node, b"nothing %d" % number)
    await trio.sleep(0.01)
    assert key_of(fake)
    return node


def key_of(fake: Mounted, path: str = "dir") -> bytes:
    return fake.volume.watches._key_of(path)


def is_known(fake: Mounted, node: Node, name: bytes = b"file") -> bool:
    return not isinstance(fake.fs.lookup_now(WHO, node, name), Miss)


async def broken(fake: Mounted, left: int = 0) -> None:
    fake.server.break_lease(key_of(fake), left, current=3, epoch=2)
    await trio.testing.wait_all_tasks_blocked()


async def test_names_are_believed_while_the_lease_holds(
    autojump_clock: Clock, fake: Mounted
) -> None:
    node = await leased(fake)
    notifies = [one for wire in fake.server.wires for one in wire.parked.values()]
    assert not notifies, "a lease needs no CHANGE_NOTIFY"
    await trio.sleep(20)
    assert is_known(fake, node)


@pytest.mark.parametrize("left", [0, 1])
async def test_a_break_ends_it_at_once(autojump_clock: Clock, fake: Mounted, left: int) -> None:
    node = await leased(fake)
    fake.share.remove("dir/file")
    await trio.sleep(2)
    await broken(fake, left)
    assert not is_known(fake, node)
    assert (await fake.fs.lookup(WHO, node, b"file")).attributes is None
    assert not fake.server.open_handles, "whoever wants to remove the directory can"
    assert not key_of(fake)


async def test_it_begins_anew(autojump_clock: Clock, fake: Mounted) -> None:
    await leased(fake)
    await trio.sleep(2)
    await broken(fake)
    await leased(fake)


async def test_what_we_do_in_it_is_marked_as_ours(autojump_clock: Clock, fake: Mounted) -> None:
    """The server breaks no lease for who has it."""
    node = await leased(fake)
    key = key_of(fake)
    fake.share.within.clear()
    opened, _ = await fake.fs.create(WHO, node, b"new", 0o644, os.O_CREAT | os.O_RDWR)
    await fake.fs.release(WHO, opened.fh)
    await fake.fs.mkdir(WHO, node, b"folder", 0o755)
    await fake.fs.rename(WHO, node, b"new", node, b"newer", 0)
    await fake.fs.unlink(WHO, node, b"newer")
    await fake.fs.rmdir(WHO, node, b"folder")
    changes = [within for name, within in fake.share.within if name != "dir"]
    assert len(changes) >= 5
    assert set(changes) == {key}
    assert key_of(fake) == key
    assert is_known(fake, node)
    assert (await fake.fs.lookup(WHO, node, b"newer")).attributes is None


async def test_elsewhere_nothing_is_marked(autojump_clock: Clock, fake: Mounted) -> None:
    await leased(fake)
    fake.share.within.clear()
    await fake.mkdir("other")
    assert not any(any(key) for _, key in fake.share.within)


async def test_leases_that_do_not_last_are_not_asked_for_again(
    autojump_clock: Clock, fake: Mounted
) -> None:
    for _ in range(watch.BRIEF):
        await leased(fake)
        await broken(fake)
    node = await fake.node("dir")
    for number in range(watch.ASKED):
        await fake.fs.lookup(WHO, node, b"nothing %d" % number)
    await trio.sleep(0.01)
    assert not key_of(fake)
    parked = [one.command for wire in fake.server.wires for one in wire.parked.values()]
    assert parked == [Command.CHANGE_NOTIFY]


async def test_who_has_no_use_of_it_lets_it_go(autojump_clock: Clock, fake: Mounted) -> None:
    await leased(fake)
    await trio.sleep(2.5 * watch.IDLE_S)
    assert not fake.server.open_handles
    assert not len(fake.fs.content.leases)


async def test_a_directory_that_cannot_be_opened(autojump_clock: Clock, fake: Mounted) -> None:
    node = await fake.node("dir")
    for number in range(watch.ASKED - 1):
        await fake.fs.lookup(WHO, node, b"nothing %d" % number)
    denied = Fails(on=Command.CREATE, status=Status.ACCESS_DENIED, after=1, times=1)
    fake.server.script.append(denied)
    await fake.fs.lookup(WHO, node, b"nothing")
    await trio.sleep(0.01)
    assert not key_of(fake)
    assert not len(fake.fs.content.leases)


@pytest.mark.logs("connection lost")
async def test_a_lost_connection_takes_it_along(autojump_clock: Clock, fake: Mounted) -> None:
    node = await leased(fake)
    fake.server.hang_up()
    await trio.sleep(0.01)
    assert not key_of(fake)
    await trio.sleep(2)
    assert not is_known(fake, node)
