"""Two machines with caches on one share: whoever opens a file sees what was closed before."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from uuid import uuid4

import pytest
import trio

from smbfs.engine.link import Link
from smbfs.engine.share import Share
from smbfs.fuse.server import LOCK_END, ROOT, FileHandle, Lock, LockType, Miss, Node
from smbfs.vfs.filesystem import Filesystem
from smbfs.vfs.locks import Locks
from smbfs.vfs.policy import DataPolicy
from smbfs.vfs.presentation import Presentation
from tests.contract.servers import USUAL, link_to
from tests.samba import Samba
from tests.vfs.bench import WHO

CACHING = DataPolicy(
    linger_s=0.005,
    leases=True,
    watches=True,
    looks_ahead=True,
    looks_beside=True,
    locks_stay=True,
)
NAMES = (b"one", b"two", b"three", b"four")
STEPS = 250
COUNTS = 100


@dataclass
class Machine:
    """One mount, used as the kernel uses it."""

    fs: Filesystem
    open: dict[bytes, int] = field(default_factory=dict)

    async def node(self, name: bytes) -> Node | None:
        entry = self.fs.lookup_now(WHO, ROOT, name)
        if isinstance(entry, Miss):
            entry = await self.fs.lookup(WHO, ROOT, name)
        return entry.attributes.node if entry.attributes is not None else None

    async def write(self, name: bytes, data: bytes, offset: int | None = None) -> None:
        """Write and close; from the beginning if no place is named."""
        flags = os.O_WRONLY | (os.O_TRUNC if offset is None else 0)
        node = await self.node(name)
        if node is None:
            opened, _ = await self.fs.create(WHO, ROOT, name, 0o644, flags | os.O_CREAT)
        else:
            opened = await self.fs.open(WHO, node, flags)
        if isinstance(self.fs.write_now(WHO, opened.fh, offset or 0, data), Miss):
            await self.fs.write(WHO, opened.fh, offset or 0, data)
        await self.fs.flush(WHO, opened.fh)
        await self.fs.release(WHO, opened.fh)

    async def read(self, name: bytes) -> bytes:
        """Open, read and close."""
        node = await self.node(name)
        assert node is not None
        opened = await self.fs.open(WHO, node, os.O_RDONLY)
        views = self.fs.read_now(WHO, opened.fh, 0, 1 << 20)
        if isinstance(views, Miss):
            views = await self.fs.read(WHO, opened.fh, 0, 1 << 20)
        data = b"".join(views)
        await self.fs.flush(WHO, opened.fh)
        await self.fs.release(WHO, opened.fh)
        return data

    async def hold(self, name: bytes) -> FileHandle:
        """Open for reading and writing, and stay."""
        node = await self.node(name)
        assert node is not None
        return (await self.fs.open(WHO, node, os.O_RDWR)).fh

    async def lock(self, fh: FileHandle, kind: LockType, *, flock: bool = False) -> bool:
        """Lock or unlock the whole file; whether nobody was in the way."""
        lock = Lock(kind, 0, LOCK_END, owner=7, is_flock=flock)
        try:
            await self.fs.setlk(WHO, fh, lock, False)
        except BlockingIOError:
            return False
        return True

    async def let_go(self, fh: FileHandle) -> None:
        await self.fs.flush(WHO, fh)
        await self.fs.release(WHO, fh)

    async def remove(self, name: bytes) -> None:
        await self.fs.unlink(WHO, ROOT, name)

    async def replace(self, name: bytes, data: bytes) -> None:
        """Write a file aside and rename it over, as editors do."""
        await self.write(b"aside", data)
        await self.node(name)  # as the kernel does, which then knows what is in the way
        await self.fs.rename(WHO, ROOT, b"aside", ROOT, name, 0)


@asynccontextmanager
async def machine(
    link: Link, nursery: trio.Nursery, belief_s: float = 1.0
) -> AsyncIterator[Machine]:
    share = Share(link)
    await share.connect()
    shown = Presentation(1000, 100, actimeo_s=belief_s)
    fs = Filesystem(share, shown, replace(CACHING, believe_s=belief_s), nursery)
    await fs.start()
    try:
        yield Machine(fs)
    finally:
        await fs.stop()


@asynccontextmanager
async def two_machines(
    samba: Samba, nursery: trio.Nursery, belief_s: float
) -> AsyncIterator[list[Machine]]:
    """Two machines that share a directory, and believe for so long what they were told."""
    place = samba["share"]
    place.empty()
    links = [
        link_to(samba, "share", replace(USUAL.policy, client_guid=uuid4().bytes), nursery)
        for _ in range(2)
    ]
    async with (
        machine(links[0], nursery, belief_s) as one,
        machine(links[1], nursery, belief_s) as two,
    ):
        yield [one, two]
    for link in links:
        await link.close()
    place.empty()


@pytest.fixture
async def machines(samba: Samba, nursery: trio.Nursery) -> AsyncIterator[list[Machine]]:
    """Two machines with everything as it usually is."""
    async with two_machines(samba, nursery, 1.0) as both:
        yield both


@pytest.fixture
async def strict(samba: Samba, nursery: trio.Nursery) -> AsyncIterator[list[Machine]]:
    """Two machines that believe nothing but what a lease says."""
    async with two_machines(samba, nursery, 0.0) as both:
        yield both


@pytest.mark.parametrize("seed", range(4))
async def test_two_strict_machines_are_one(strict: list[Machine], seed: int) -> None:
    """Whatever one has done is true for the other as soon as the call has returned."""
    chance, kept = Random(seed), dict[bytes, bytes]()
    with trio.fail_after(60):
        for step in range(STEPS):
            who, name = chance.choice(strict), chance.choice(NAMES)
            match chance.choice(["write", "patch", "replace", "remove", "read", "read", "read"]):
                case "write":
                    kept[name] = chance.randbytes(chance.randrange(200))
                    await who.write(name, kept[name])
                case "patch" if kept.get(name):
                    offset, data = chance.randrange(len(kept[name])), chance.randbytes(20)
                    old = kept[name]
                    kept[name] = old[:offset] + data + old[offset + len(data) :]
                    await who.write(name, data, offset)
                case "replace":
                    kept[name] = chance.randbytes(chance.randrange(200))
                    await who.replace(name, kept[name])
                case "remove" if name in kept:
                    del kept[name]
                    await who.remove(name)
                case "read" if name in kept:
                    assert await who.read(name) == kept[name], f"step {step}"
                case "read":
                    assert await who.node(name) is None, f"step {step}"


@pytest.mark.parametrize("seed", range(4))
async def test_who_opens_a_file_sees_what_was_closed(machines: list[Machine], seed: int) -> None:
    chance, kept = Random(seed), dict[bytes, bytes]()
    for step in range(STEPS):
        who, name = chance.choice(machines), chance.choice(NAMES)
        match chance.choice(["write", "patch", "read", "read", "read"]):
            case "write":
                kept[name] = chance.randbytes(chance.randrange(200))
                await who.write(name, kept[name])
            case "patch" if kept.get(name):
                offset, data = chance.randrange(len(kept[name])), chance.randbytes(20)
                old = kept[name]
                kept[name] = old[:offset] + data + old[offset + len(data) :]
                await who.write(name, data, offset)
            case "read" if name in kept:
                assert await who.read(name) == kept[name], f"step {step}"


@dataclass
class Truth:
    """What a file held and may hold: what was closed last, and what is being written now."""

    settled: int = 0
    begun: int = 0


def numbered(number: int) -> bytes:
    return b"%08d" % number * 64


async def _write_on(who: Machine, truths: dict[bytes, Truth], chance: Random) -> None:
    for _ in range(STEPS // 2):
        name = chance.choice(NAMES)
        truths[name].begun += 1
        number = truths[name].begun
        await who.write(name, numbered(number), 0)
        truths[name].settled = number


async def _read_on(who: Machine, truths: dict[bytes, Truth], chance: Random) -> None:
    for _ in range(STEPS):
        name = chance.choice(NAMES)
        least = truths[name].settled
        data = await who.read(name)
        number = int(data[:8])
        assert least <= number <= truths[name].begun, "older than what was closed before"
        assert data == numbered(number), "half of this and half of that"


@pytest.mark.parametrize("seed", range(2))
async def test_who_reads_while_others_write_sees_nothing_older(
    machines: list[Machine], seed: int
) -> None:
    writer, reader = machines
    truths = {name: Truth() for name in NAMES}
    for name in NAMES:
        await writer.write(name, numbered(0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_write_on, writer, truths, Random(seed))
        nursery.start_soon(_read_on, reader, truths, Random(seed + 100))


async def test_a_name_that_was_removed_is_gone_when_belief_has_passed(
    machines: list[Machine],
) -> None:
    one, two = machines
    await one.write(b"one", b"data")
    assert await two.read(b"one") == b"data"
    await one.remove(b"one")
    await trio.sleep(1.1)
    assert await two.node(b"one") is None


@pytest.mark.parametrize("flock", [False, True])
async def test_locks_that_stayed_here_hold_for_who_comes_later(
    machines: list[Machine], flock: bool
) -> None:
    one, two = machines
    await one.write(b"one", b"data")
    mine = await one.hold(b"one")
    assert await one.lock(mine, LockType.WRITE, flock=flock)
    locks = one.fs.content.of(mine).file.locks
    assert isinstance(locks, Locks)
    assert not locks.keeps(one.fs.content.of(mine).handle), "the server was not asked yet"
    with trio.fail_after(10):
        yours = await two.hold(b"one")
        assert not await two.lock(yours, LockType.WRITE, flock=flock)
        assert not await two.lock(yours, LockType.READ, flock=flock)
        assert await one.lock(mine, LockType.UNLOCK, flock=flock)
        assert await two.lock(yours, LockType.WRITE, flock=flock)
        assert not await one.lock(mine, LockType.READ, flock=flock)
        await two.let_go(yours)
    await one.let_go(mine)


async def _count_up(who: Machine, times: int) -> None:
    """Add one to a number in a file, under a lock, again and again."""
    fh = await who.hold(b"number")
    for _ in range(times):
        await who.fs.setlk(WHO, fh, Lock(LockType.WRITE, 0, LOCK_END, owner=7), True)
        number = int(b"".join(await who.fs.content.read(fh, 0, 100)))
        await who.fs.content.write(fh, 0, b"%08d" % (number + 1))
        await who.lock(fh, LockType.UNLOCK)
    await who.let_go(fh)


async def test_no_count_is_lost_under_locks(machines: list[Machine]) -> None:
    await machines[0].write(b"number", b"%08d" % 0)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for who in machines:
                nursery.start_soon(_count_up, who, COUNTS)
    assert await machines[0].read(b"number") == b"%08d" % (2 * COUNTS)
