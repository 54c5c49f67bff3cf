"""What is kept under a lease, and what is done when it is broken."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable

import pytest
import trio
import trio.testing

from smbfs.cache.lease import HANDLE, READ, WRITE
from smbfs.engine.dialect import Policy
from smbfs.fuse.server import MISS, ROOT, Names, Node
from smbfs.vfs.idle import IdleHandles
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.vfs.bench import Bench, bench
from tests.vfs.mounted import WHO

READING, WRITING = os.O_RDONLY, os.O_WRONLY
LEASED = DataPolicy(leases=True)
ALL = READ | HANDLE | WRITE


class Heard:
    """What the kernel was told."""

    def __init__(self) -> None:
        self.attributes: list[Node] = []
        self.data: list[Node] = []
        self.names: list[bytes] = []

    def attributes_changed(self, node: Node) -> None:
        self.attributes.append(node)

    def data_changed(
        self, node: Node, offset: int = 0, size: int = -1, then: object = None
    ) -> None:
        self.data.append(node)
        if callable(then):
            then()

    def name_changed(self, parent: Node, name: bytes) -> None:
        self.names.append(name)

    def name_removed(self, parent: Node, name: bytes, node: Node) -> None:
        raise AssertionError

    def names_unneeded(self, names: Names, then: Callable[[], None]) -> None:
        then()

    def data_known(self, node: Node, offset: int, data: bytes) -> None:
        raise AssertionError


@pytest.fixture
async def ground() -> AsyncIterator[Bench]:
    async with bench(b"music", policy=LEASED, actimeo_s=1) as made:
        yield made


def key_of(ground: Bench) -> bytes:
    lease = ground.file.lease
    assert lease is not None
    return lease.key


async def broken(ground: Bench, left: int, *, epoch: int = 2, ack: bool = True) -> None:
    ground.server.break_lease(key_of(ground), left, epoch=epoch, ack=ack)
    await ground.settled()


async def read_and_closed(ground: Bench) -> None:
    fh = await ground.open(READING)
    assert await ground.read(fh) == b"music"
    await ground.close(fh)


# Handles that nobody uses


async def test_who_opens_a_file_again_asks_nothing(ground: Bench) -> None:
    await read_and_closed(ground)
    await ground.settled()
    ground.turns()
    opened = await ground.fs.open(WHO, ground.inode.node, READING)
    await ground.close(opened.fh)
    await ground.settled()
    assert ground.turns() == 0
    assert len(ground.server.open_handles) == 1


async def test_the_kernel_keeps_its_pages_while_the_lease_holds(ground: Bench) -> None:
    node = (await ground.fs.lookup(WHO, ROOT, b"file")).attributes
    assert node is not None
    for expected in (False, True, True):
        opened = await ground.fs.open(WHO, node.node, READING)
        assert opened.keep_cache is expected
        await ground.close(opened.fh)


async def test_a_kept_handle_is_closed_when_its_time_is_over(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with bench(b"music", policy=DataPolicy(leases=True, close_s=3)) as ground:
        await read_and_closed(ground)
        await trio.sleep(2.9)
        assert len(ground.server.open_handles) == 1
        await trio.sleep(0.2)
        await ground.settled()
        assert not ground.server.open_handles
        assert not len(ground.content.leases)


async def test_what_is_kept_is_looked_at_from_time_to_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What happens on the server, behind its file service, it tells nobody."""
    async with bench(b"music", policy=DataPolicy(leases=True, close_s=3)) as ground:
        await read_and_closed(ground)
        for _ in range(3):
            await trio.sleep(2)
            await read_and_closed(ground)
        ground.share.put("file", b"louder")
        for _ in range(2):
            await trio.sleep(2)
            fh = await ground.open(READING)
            await ground.close(fh)
        fh = await ground.open(READING)
        assert await ground.read(fh) == b"louder"
        await ground.close(fh)


@pytest.mark.parametrize("flags", [WRITING, os.O_RDWR, os.O_DIRECT, os.O_TRUNC | WRITING])
async def test_who_wants_more_than_reading_asks(ground: Bench, flags: int) -> None:
    await read_and_closed(ground)
    ground.turns()
    fh = await ground.open(flags)
    assert ground.turns()
    await ground.close(fh)
    await ground.settled()
    assert len(ground.server.open_handles) == 1


async def test_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IdleHandles.__init__, "__defaults__", (2,))
    async with bench(b"music", policy=LEASED) as ground:
        for name in ("a", "b", "c"):
            ground.share.put(name, b"x")
            entry = await ground.fs.lookup(WHO, ROOT, name.encode())
            assert entry.attributes is not None
            opened = await ground.fs.open(WHO, entry.attributes.node, READING)
            await ground.close(opened.fh)
        await ground.settled()
        assert sorted(one.entry.name for one in ground.server.open_handles) == ["b", "c"]


async def test_a_name_that_goes_takes_its_handle_along(ground: Bench) -> None:
    await read_and_closed(ground)
    await ground.fs.unlink(WHO, ROOT, b"file")
    assert not ground.share.exists("file")
    await ground.settled()
    assert not ground.server.open_handles


async def test_a_file_that_is_written_is_closed_at_once(ground: Bench) -> None:
    fh = await ground.open(WRITING)
    await ground.write(fh, 0, b"louder")
    await ground.close(fh)
    await ground.settled()
    assert not ground.server.open_handles


async def test_without_leases_nothing_is_kept() -> None:
    async with bench(b"music") as ground:
        await read_and_closed(ground)
        await ground.settled()
        assert not ground.server.open_handles


# Breaks


async def test_who_loses_the_right_to_keep_handles_closes_them(ground: Bench) -> None:
    await read_and_closed(ground)
    ground.server.break_lease(key_of(ground), READ)
    await ground.settled()
    assert not ground.server.open_handles
    assert not ground.server.acknowledged, "the CLOSE has said it"


async def test_who_has_the_file_open_acknowledges(ground: Bench) -> None:
    heard = Heard()
    ground.fs.hear(heard)
    fh = await ground.open(READING)
    await broken(ground, READ)
    assert ground.server.acknowledged == [key_of(ground)]
    assert heard.names == [b"file"]
    assert not heard.data
    await ground.close(fh)
    await ground.settled()
    assert not ground.server.open_handles, "it may not be kept any more"


async def test_who_loses_the_right_to_read_drops_what_he_has(ground: Bench) -> None:
    heard = Heard()
    ground.fs.hear(heard)
    fh = await ground.open(READING)
    ground.share.put("file", b"louder")
    await broken(ground, 0, ack=False)
    assert await ground.read(fh) == b"louder"
    assert heard.data == [ground.inode.node]
    assert heard.attributes
    assert not ground.server.acknowledged, "that was not asked"
    await ground.close(fh)
    opened = await ground.fs.open(WHO, ground.inode.node, READING)
    assert not opened.keep_cache
    await ground.close(opened.fh)


async def test_who_loses_the_right_to_write_sends_first(ground: Bench) -> None:
    fh = await ground.open(os.O_RDWR)
    gate = ground.gate(Command.WRITE)
    await ground.write(fh, 0, b"louder")
    await broken(ground, READ | HANDLE)
    assert not ground.server.acknowledged, "the server has not got it yet"
    gate.open()
    await ground.settled()
    assert ground.data == b"louder"
    assert ground.server.acknowledged == [key_of(ground)]
    await ground.close(fh)


async def test_while_others_have_the_file_open_writes_go_straight(ground: Bench) -> None:
    fh = await ground.open(os.O_RDWR)
    await broken(ground, READ | HANDLE)
    assert ground.content.write_now(fh, 0, b"now") is MISS
    gate = ground.gate(Command.WRITE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ground.write, fh, 0, b"now")
        await ground.settled()
        assert ground.data == b"music"
        gate.open()
    assert ground.data == b"nowic"
    await ground.close(fh)


async def test_a_break_while_an_open_is_on_its_way(ground: Bench) -> None:
    """The new handle is the last one, and in nobody's hands yet."""
    await read_and_closed(ground)
    key, inode = key_of(ground), ground.inode
    found = await ground.content.opening.at_inode(inode, WRITING)
    await broken(ground, READ, epoch=3)
    assert len(ground.server.open_handles) == 1
    assert ground.server.acknowledged == [key], "or who caused it would wait for half a minute"
    ground.content.opening.undone(found)
    await ground.settled()
    assert not ground.server.open_handles
    assert inode.file is None
    assert not len(ground.content.leases)


async def test_an_old_break_is_none(ground: Bench) -> None:
    fh = await ground.open(READING)
    await broken(ground, 0, epoch=1)
    assert ground.file.lease is not None
    assert ground.file.lease.may_read
    assert not ground.server.acknowledged
    await ground.close(fh)


async def test_a_break_for_a_key_nobody_knows_is_acknowledged(ground: Bench) -> None:
    """It costs nothing, and somebody waits for it."""
    ground.server.break_lease(b"?" * 16, ack=False)
    await ground.settled()
    assert not ground.server.acknowledged, "that was not asked"
    ground.server.break_lease(b"?" * 16)
    await ground.settled()
    assert ground.server.acknowledged == [b"?" * 16]


@pytest.mark.logs("connection lost")
async def test_a_lost_connection_takes_its_leases_along(ground: Bench) -> None:
    heard = Heard()
    ground.fs.hear(heard)
    await read_and_closed(ground)
    inode = ground.inode
    ground.server.hang_up()
    await ground.settled()
    assert inode.file is None
    assert heard.attributes == [inode.node]
    assert not len(ground.content.leases)
    await read_and_closed(ground)


async def test_a_key_that_the_server_does_not_like(ground: Bench) -> None:
    """It is bound to one name of the file, and this is another one."""
    entry = await ground.fs.lookup(WHO, ROOT, b"file")
    assert entry.attributes is not None
    ground.server.script.append(Fails(on=Command.CREATE, status=Status.INVALID_PARAMETER, times=1))
    opened = await ground.fs.open(WHO, entry.attributes.node, READING)
    assert ground.file.lease is None
    assert not len(ground.content.leases)
    assert await ground.read(opened.fh) == b"music"
    await ground.close(opened.fh)


# Oplocks


async def test_an_oplock_is_a_lease_of_one_handle() -> None:
    policy = Policy(dialects=(0x0202,))
    async with bench(b"music", policy=LEASED, engine=policy) as ground:
        fh = await ground.open(READING)
        assert ground.file.lease is not None
        assert ground.file.lease.is_oplock
        other = await ground.open(READING)
        ground.server.break_oplock("file")
        await ground.settled()
        assert not ground.file.lease.may_read
        await ground.close(fh)
        await ground.close(other)
        await ground.settled()
        assert not ground.server.open_handles
