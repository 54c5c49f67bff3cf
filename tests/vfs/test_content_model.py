"""Random programs on one file of a server in disorder, compared with a few lines of Python."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

import trio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from smbfs.fuse.server import FileHandle
from smbfs.vfs.policy import DataPolicy
from tests.vfs.bench import BOTH, NAME, Bench, Disorder, bench, on_mock_time

KINDS = (
    BOTH,
    BOTH | os.O_DIRECT,
    BOTH | os.O_SYNC,
    BOTH | os.O_APPEND,
    os.O_RDONLY,
    os.O_RDONLY | os.O_DIRECT,
)
MOST = 600_000  # larger than a piece of read-ahead at its start


@dataclass
class Program:
    """What happens to the file, and what it has to be."""

    bench: Bench
    chance: Random
    model: bytearray
    opens: list[tuple[FileHandle, int]] = field(default_factory=list)
    version: int = 0

    async def step(self) -> None:
        """Do one thing, and look at what came of it."""
        doings: list[Callable[[], Awaitable[None]]] = [self.open]
        if self.opens:
            doings += [self.read] * 6 + [self.stat, self.close, self.wait, self.fsync]
        if any(flags & os.O_ACCMODE == BOTH for _, flags in self.opens):
            doings += [self.write] * 6 + [self.chase] * 2 + [self.truncate, self.elsewhere]
        await self.chance.choice(doings)()

    def _pick(self, *, writing: bool = False) -> tuple[FileHandle, int]:
        may = [one for one in self.opens if not writing or one[1] & os.O_ACCMODE == BOTH]
        return self.chance.choice(may)

    def _data(self) -> bytes:
        self.version = self.version % 255 + 1
        size = self.chance.choice((1, 10, 4096, 70_000, 300_000))
        return bytes([self.version]) * self.chance.randint(1, size)

    def _offset(self) -> int:
        size = len(self.model)
        near = self.chance.choice((0, 0, size // 2, size, self.chance.randrange(MOST)))
        return max(0, min(MOST, near + self.chance.randint(-5, 5)))

    async def open(self) -> None:
        if len(self.opens) > 4:
            return await self.close()
        flags = self.chance.choice(KINDS)
        if flags == BOTH and self.chance.random() < 0.1:
            flags |= os.O_TRUNC
            self.model.clear()
        self.opens.append((await self.bench.open(flags), flags))

    async def close(self) -> None:
        number = self.chance.randrange(len(self.opens))
        fh, flags = self.opens.pop(number)
        await self.bench.close(fh)
        if flags & os.O_ACCMODE == BOTH:
            assert self.bench.data == self.model

    async def read(self) -> None:
        fh, _ = self._pick()
        offset, size = self._offset(), self.chance.choice((1, 4096, 131_072, 500_000))
        for _ in range(self.chance.choice((1, 1, 4))):
            assert await self.bench.read(fh, offset, size) == self.model[offset : offset + size]
            offset += size

    async def write(self) -> None:
        fh, flags = self._pick(writing=True)
        await self._write(fh, flags, self._offset(), self._data())

    async def chase(self) -> None:
        """Write to what is being read ahead, and read it."""
        reader, _ = self._pick()
        fh, flags = self._pick(writing=True)
        offset = self.chance.randrange(1 + len(self.model) // 2)
        for _ in range(5):
            end = offset + 65_536
            assert await self.bench.read(reader, offset, 65_536) == self.model[offset:end]
            await self._write(fh, flags, end + self.chance.randrange(60_000), b"new")
            if self.chance.random() < 0.5:
                await self.bench.content.flush(fh)
            offset = end

    async def _write(self, fh: FileHandle, flags: int, offset: int, data: bytes) -> None:
        await self.bench.write(fh, offset, data)
        if flags & os.O_APPEND:
            offset = len(self.model)
        self.model.extend(bytes(max(0, offset - len(self.model))))
        self.model[offset : offset + len(data)] = data
        if flags & (os.O_APPEND | os.O_DIRECT | os.O_SYNC):
            assert self.bench.data[offset : offset + len(data)] == data

    async def truncate(self) -> None:
        fh, _ = self._pick(writing=True)
        size = self._offset()
        assert await self.bench.truncate(size, self.chance.choice((fh, None))) == size
        del self.model[size:]
        self.model.extend(bytes(size - len(self.model)))

    async def stat(self) -> None:
        assert await self.bench.size() == len(self.model)

    async def wait(self) -> None:
        await trio.sleep(self.chance.choice((0.01, 0.1, 0.5, 2)))

    async def fsync(self) -> None:
        fh, _ = self._pick()
        flushed = self.bench.server.flushed
        await self.bench.content.fsync(fh)
        assert self.bench.data == self.model
        assert self.bench.server.flushed > flushed

    async def elsewhere(self) -> None:
        """Another client changes the file while nothing of ours is unsent; an open shows it."""
        await self.bench.content.drain()
        offset, data = self._offset(), self._data()
        self.model.extend(bytes(max(0, offset - len(self.model))))
        self.model[offset : offset + len(data)] = data
        if self.chance.random() < 0.3:
            del self.model[self.chance.randrange(len(self.model)) :]
        self.bench.share.put(NAME, bytes(self.model))
        self.opens.append((await self.bench.open(os.O_RDONLY), os.O_RDONLY))


# Chance is drawn from a seed and not step by step: Hypothesis prefers what is simple, and races
# are not; a failure does not shrink, its seed is enough to see it again.
@settings(max_examples=12, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.integers(0, 1 << 32), st.sampled_from([0.0, 0.5, 1.0]), st.booleans())
def test_a_program_sees_its_own_file(seed: int, believe_s: float, is_small: bool) -> None:
    chance = Random(seed)
    cache_bytes, linger_s = (300_000, 0.01) if is_small else (64 << 20, 0.0)
    policy = DataPolicy(believe_s=believe_s, cache_bytes=cache_bytes, linger_s=linger_s)

    async def main() -> None:
        async with bench(b"0" * 400_000, policy=policy, actimeo_s=believe_s) as ground:
            ground.server.script.append(Disorder(nursery=ground.nursery, chance=chance))
            program = Program(ground, chance, bytearray(b"0" * 400_000))
            for _ in range(40):
                await program.step()
            while program.opens:
                await program.close()
            assert ground.data == program.model

    on_mock_time(main)
