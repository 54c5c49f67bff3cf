"""Reading what others change, what fails, and what there is no room for."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random

import pytest
import trio

from smbfs.engine.handle import Handle
from smbfs.errors import SmbError, Stale
from smbfs.fuse.server import MISS, ROOT
from smbfs.vfs import reading
from smbfs.vfs.descriptor import Open
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Drops, Fails
from tests.vfs.bench import BOTH, NAME, WHO, Bench, Gate, bench

KIB = 1024
MIB = 1 << 20
READ = os.O_RDONLY


def noise(size: int) -> bytes:
    return Random(size).randbytes(size)


def reads(ground: Bench) -> int:
    """How many READs came since the last look."""
    count = sum(frame.count(Command.READ) for frame in ground.server.requests)
    ground.server.requests.clear()
    return count


def forget_the_size(ground: Bench) -> None:
    """Let the size be a belief and no knowledge."""
    ground.fs.volume.inodes.changed(ground.inode)


# Belief


@pytest.mark.parametrize("change", ["open", "stat"])
async def test_what_was_read_ahead_is_dropped(change: str, autojump_clock: object) -> None:
    async with bench(b"a" * MIB, policy=DataPolicy(believe_s=60), actimeo_s=1) as ground:
        fh = await ground.open(READ)
        await ground.read(fh, 0, 1000)
        await ground.settled()
        ground.share.put(NAME, b"b" * MIB)
        assert await ground.read(fh, 1000, 1000) == b"a" * 1000
        await trio.sleep(2)
        if change == "open":
            await ground.close(await ground.open(READ))
        else:
            await ground.size()
        assert await ground.read(fh, 2000, 1000) == b"b" * 1000
        await ground.close(fh)


async def test_an_open_drops_what_nobody_can_tell_to_be_old() -> None:
    """We wrote ourselves, so that the file is another one anyway."""
    async with bench(b"a" * 1000) as ground:
        fh = await ground.open()
        await ground.write(fh, 0, b"b")
        await ground.content.flush(fh)
        assert await ground.read(fh, 0, 10) == b"b" + b"a" * 9
        ground.share.put(NAME, b"c" * 1000)
        again = await ground.open(READ)
        assert await ground.read(again, 10, 10) == b"c" * 10
        await ground.close(fh)
        await ground.close(again)


async def test_an_open_makes_stale_what_is_under_way() -> None:
    async with bench(b"a" * MIB) as ground:
        fh = await ground.open(READ)
        gate = Gate(on=Command.READ, does=True)
        ground.server.script.append(gate)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.read, fh, 0, 1000)
            await ground.settled()
            ground.share.put(NAME, b"b" * MIB)
            again = await ground.open(READ)
            gate.open()
        assert await ground.read(again, 1000, 1000) == b"b" * 1000
        await ground.close(fh)
        await ground.close(again)


@pytest.mark.parametrize(
    "policy", [DataPolicy(believe_s=0), DataPolicy(is_cached=False)], ids=["actimeo=0", "none"]
)
async def test_without_belief_each_read_asks(policy: DataPolicy) -> None:
    async with bench(b"one", policy=policy, actimeo_s=0) as ground:
        fh = await ground.open(READ)
        for text in (b"one", b"two", b"six"):
            ground.share.put(NAME, text)
            assert await ground.read(fh, 0, 3) == text
        assert reads(ground) == 3
        await ground.close(fh)


# What goes wrong


async def test_the_error_of_a_read_is_told_to_who_asks() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open(READ)
        ground.file.pages.drop()  # what came with the open
        ground.server.script.append(Fails(on=Command.READ, status=Status.FILE_LOCK_CONFLICT))
        with pytest.raises(SmbError, match="READ file: FILE_LOCK_CONFLICT"):
            await ground.read(fh, 0, 5)
        ground.server.script.clear()
        assert await ground.read(fh, 0, 5) == b"music"
        await ground.close(fh)


async def test_a_region_that_is_locked_does_not_harm_what_is_before_it() -> None:
    async with bench(noise(MIB)) as ground:
        fh = await ground.open(READ)
        failing = Fails(on=Command.READ, status=Status.FILE_LOCK_CONFLICT, after=1)
        ground.server.script.append(failing)
        assert await ground.read(fh, 0, 1000) == noise(MIB)[:1000]
        await ground.settled()
        assert not ground.file.pages.coming
        await ground.close(fh)


async def test_who_closes_does_not_spoil_what_another_waits_for() -> None:
    async with bench(b"music") as ground:
        first, second = await ground.open(READ), await ground.open(READ)
        gate = Gate(on=Command.READ, times=1)
        ground.server.script.append(gate)
        scope = trio.CancelScope()

        async def give_up() -> None:
            with scope:
                await ground.read(first, 0, 5)

        async def check() -> None:
            assert await ground.read(second, 0, 5) == b"music"

        async with trio.open_nursery() as nursery:
            nursery.start_soon(give_up)
            await ground.settled()
            nursery.start_soon(check)
            await ground.settled()
            scope.cancel()
            await ground.close(first)
            gate.open()  # and is answered with FILE_CLOSED
        await ground.close(second)


@pytest.mark.logs("connection lost", "another file has its name")
async def test_a_stale_handle_gives_an_error_and_a_new_one_works() -> None:
    async with bench(b"a" * MIB) as ground:
        fh = await ground.open(READ)
        await ground.read(fh, 0, 1000)
        await ground.settled()
        ground.server.hang_up()
        ground.share.remove(NAME)
        ground.share.put(NAME, b"a" * MIB)
        await ground.settled()
        assert ground.content.read_now(fh, 1000, 1000) is MISS
        for _ in range(2):
            with pytest.raises(Stale):
                await ground.read(fh, 1000, 1000)
        again = await ground.open(READ)
        assert await ground.read(again, 1000, 1000) == b"a" * 1000
        await ground.close(fh)
        await ground.close(again)


@pytest.mark.logs("connection lost")
async def test_the_connection_ends_while_somebody_waits() -> None:
    async with bench(b"a" * MIB) as ground:
        fh = await ground.open(READ)
        ground.server.script.append(Drops(on=Command.READ, times=1))
        assert await ground.read(fh, 0, 1000) == b"a" * 1000
        await ground.close(fh)


@pytest.mark.logs("bug: a read ended with RuntimeError")
async def test_a_bug_ends_a_read_and_not_the_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(b"music") as ground:
        fh = await ground.open(READ)
        ground.file.pages.drop()  # what came with the open

        def broken(*_: object) -> None:
            raise RuntimeError("oh")

        with monkeypatch.context() as patch:
            patch.setattr(reading, "_store", broken)
            assert await ground.read(fh, 0, 5) == b"music", "asked straight"
        assert not ground.file.pages.coming
        await ground.close(fh)


async def test_a_mount_that_ends_leaves_nobody_waiting() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open(READ)
        ground.file.pages.drop()  # what came with the open
        ground.server.script.append(Gate(on=Command.READ))
        opened = ground.content.of(fh)
        async with trio.open_nursery() as nursery:
            ground.file.ground.nursery, kept = nursery, ground.file.ground.nursery
            pieces = ground.file.pages.plan(0, 5, 5, trio.current_time())
            reading._fetch(opened, pieces)
            await ground.settled()
            nursery.cancel_scope.cancel()
        ground.file.ground.nursery = kept
        assert [str(piece.error) for piece in pieces] == ["[Errno 5] the read was given up"]
        assert not ground.file.pages.coming
        ground.server.script.clear()
        await ground.close(fh)


# Room


async def test_idle_files_make_room(autojump_clock: object) -> None:
    """Or what was read ahead of them would hold it for as long as it is believed."""
    policy = DataPolicy(cache_bytes=2 * MIB, believe_s=3600)
    async with bench(noise(MIB), policy=policy) as ground:
        ground.share.put("other", noise(MIB))
        idle = await ground.open(READ)
        await ground.read(idle, 0, 1000)
        budget = ground.file.ground.read_budget
        assert budget.used_bytes > 200_000
        held = ground.file
        other = Other(ground)
        await trio.sleep(2)
        await other.read(900_000, 50_000)
        assert held.pages.held_bytes, "there is room for both"
        budget.take(budget.room_bytes)
        await trio.sleep(2)
        await other.read(0, 1000)
        assert not held.pages.held_bytes
        await trio.sleep(0.01)
        await other.read(500_000, 1000)  # so soon again nothing is looked for
        budget.give(budget.used_bytes - sum(file.pages.held_bytes for file in held.ground.files))
        await ground.close(idle)
        await other.close()


class Other:
    """Another file, open while somebody reads it."""

    def __init__(self, ground: Bench) -> None:
        self.ground = ground
        self.opened: Open | None = None

    async def read(self, offset: int, size: int) -> None:
        if self.opened is None:
            entry = await self.ground.fs.lookup(WHO, ROOT, b"other")
            assert entry.attributes is not None
            opened = await self.ground.fs.open(WHO, entry.attributes.node, READ)
            self.opened = self.ground.content.of(opened.fh)
        await self.ground.read(self.opened.fh, offset, size)

    async def close(self) -> None:
        assert self.opened is not None
        await self.ground.close(self.opened.fh)


async def test_a_server_with_few_credits_gets_small_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = noise(MIB)
    async with bench(data) as ground:
        fh = await ground.open(READ)
        opened = ground.content.of(fh)
        sizes: list[int] = []
        post: Callable[..., object] = opened.handle.post_read

        async def note(offset: int, size: int) -> object:
            sizes.append(size)
            return await post(offset, size)  # type: ignore[misc]  # it is a coroutine function

        monkeypatch.setattr(Handle, "read_size", 65536)  # as starved of credits
        opened.handle.post_read = note  # type: ignore[method-assign,assignment]  # to see what is asked
        for offset in range(0, MIB, 128 * KIB):
            assert await ground.read(fh, offset, 128 * KIB) == data[offset : offset + 128 * KIB]
        assert max(sizes) == 65536
        await ground.close(fh)


async def test_a_descriptor_for_writing_only_is_not_ours_to_judge() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open(os.O_WRONLY)
        with pytest.raises(SmbError, match="ACCESS_DENIED"):
            await ground.read(fh, 0, 5)
        both = await ground.open(BOTH)
        assert await ground.read(both, 0, 5) == b"music"
        await ground.close(fh)
        await ground.close(both)
