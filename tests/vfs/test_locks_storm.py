"""Many processes on two machines lock one file at random, give up at random, and agree."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from random import Random

import trio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from smbfs.fuse.server import LockType
from tests.fake.script import Delay
from tests.vfs.bench import on_mock_time, together
from tests.vfs.locking import READ, UNLOCK, WRITE, Machine, Pair, pair

SIZE = 12
STEPS = 12
FREE = -1


@dataclass
class Process:
    """Somebody on one machine, and what he is sure to have locked."""

    machine: Machine
    owner: int
    chance: Random
    others: list[Process]
    row: list[int] = field(default_factory=lambda: [FREE] * SIZE)
    granted: int = 0

    async def live(self) -> None:
        """Lock and unlock for a while, and let go of everything in the end."""
        for _ in range(STEPS):
            await trio.sleep(self.chance.random() * 0.1)
            start = self.chance.randrange(SIZE)
            end = self.chance.randint(start + 1, SIZE)
            kind = self.chance.choice([READ, WRITE, WRITE, UNLOCK])
            if kind is WRITE and READ in self.row[start:end]:
                await self.unlock(0, SIZE)  # an upgrade can be lost to the other machine
            if kind is UNLOCK:
                await self.unlock(start, end)
            else:
                await self.lock(kind, start, end)
        await self.unlock(0, SIZE)

    async def unlock(self, start: int, end: int) -> None:
        """Be sure of it no more, then let go; sometimes without waiting for the end."""
        self.row[start:end] = [FREE] * (end - start)
        with trio.move_on_after(self.chance.choice([0.01, 10])):
            await self.machine.lock(UNLOCK, start, end, owner=self.owner)

    async def lock(self, kind: LockType, start: int, end: int) -> None:
        """Try or wait; whoever gets a lock must be alone with it."""
        before = self.row[start:end]
        self.row[start:end] = [min(has, kind) for has in before]
        wait = self.chance.random() < 0.7
        with trio.move_on_after(self.chance.choice([0.02, 0.3, 3])):
            try:
                await self.machine.lock(kind, start, end, owner=self.owner, wait=wait)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EDEADLK):
                    raise
                return
            self.row[start:end] = [kind] * (end - start)
            self.granted += 1
            for other in self.others:
                theirs = other.row[start:end] if other is not self else []
                assert WRITE not in theirs
                assert kind is READ or set(theirs) <= {FREE}


async def storm(both: Pair, seed: int) -> None:
    """Let it blow, and see that nothing is left."""
    chance, everybody = Random(seed), list[Process]()
    for machine in (both.one, both.two):
        for owner in (1, 2):
            everybody.append(Process(machine, owner, Random(chance.random()), everybody))
    both.server.script.append(Delay(seconds=chance.choice([0, 0.005, 0.05])))
    await together(*[one.live for one in everybody])
    await trio.sleep(10)
    assert sum(one.granted for one in everybody) > 0
    assert not both.held
    for machine in (both.one, both.two):
        assert not machine.locks.table.held
        assert not machine.locks.table.pending
        await machine.lock(WRITE)
        await machine.lock(UNLOCK)


@settings(phases=(Phase.explicit, Phase.reuse, Phase.generate), max_examples=10)
@given(st.integers(0, 1 << 32))
def test_nobody_ever_shares_what_he_has_alone(seed: int) -> None:
    async def main() -> None:
        async with pair() as both:
            await storm(both, seed)

    on_mock_time(main)
