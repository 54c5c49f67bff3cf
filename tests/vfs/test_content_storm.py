"""Many programs on one file of a server in disorder: who gives up, what fails, what is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random

import pytest
import trio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from smbfs.errors import SmbError
from smbfs.fuse.server import FileHandle
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.vfs.bench import BOTH, NAME, Bench, Disorder, bench, on_mock_time, together

OWN = 100_000  # bytes that belong to one program
KINDS = (BOTH, BOTH, BOTH | os.O_DIRECT, BOTH | os.O_SYNC)
SEEDS = st.integers(0, 1 << 32)
# A storm does not shrink; its seed is enough to see it again.
storm = partial(settings, phases=(Phase.explicit, Phase.reuse, Phase.generate))


@dataclass
class Owner:
    """A program with a descriptor and a part of the file that nobody else touches."""

    bench: Bench
    fh: FileHandle
    start: int
    chance: Random
    patience_s: Callable[[], float] = lambda: float("inf")
    model: bytearray = field(default_factory=lambda: bytearray(OWN))
    maybe: dict[int, set[int]] = field(default_factory=dict)  # what else a byte may be

    async def live(self) -> None:
        """Write and read for a while, giving up now and then; each byte is one it may be."""
        for number in range(12):
            offset = self.chance.randrange(OWN)
            size = min(OWN - offset, self.chance.choice((1, 100, 5000, 80_000)))
            if self.chance.random() < 0.5:
                await self._read(offset, size)
            else:
                await self._write(offset, size, number + 1)
            if self.chance.random() < 0.2:
                await trio.sleep(self.chance.random())
        await self.bench.content.fsync(self.fh)
        self._compare(0, self.bench.data[self.start : self.start + OWN])

    async def _read(self, offset: int, size: int) -> None:
        with trio.move_on_after(self.patience_s()):
            self._compare(offset, await self.bench.read(self.fh, self.start + offset, size))

    async def _write(self, offset: int, size: int, value: int) -> None:
        """Afterwards the bytes are new, or either if we gave up."""
        with trio.move_on_after(self.patience_s()) as scope:
            await self.bench.write(self.fh, self.start + offset, bytes([value]) * size)
        if scope.cancelled_caught:
            for at in range(offset, offset + size):
                self.maybe.setdefault(at, set()).add(value)
            return
        self.model[offset : offset + size] = bytes([value]) * size
        for at in self.maybe.keys() & range(offset, offset + size):
            del self.maybe[at]

    def _compare(self, offset: int, data: bytes) -> None:
        if data == self.model[offset : offset + len(data)]:
            return
        for at, byte in enumerate(data, offset):
            if byte != self.model[at]:
                assert byte in self.maybe.get(at, ()), f"{byte} at {self.start + at}"


@storm(max_examples=12)
@given(SEEDS, st.booleans(), st.booleans())
def test_many_programs_share_a_file(seed: int, is_small: bool, gives_up: bool) -> None:
    chance = Random(seed)
    cache_bytes, linger_s = (200_000, 0.01) if is_small else (64 << 20, 0.0)
    policy = DataPolicy(cache_bytes=cache_bytes, linger_s=linger_s)

    def patience_s() -> float:
        return chance.random() * 0.5 if gives_up and chance.random() < 0.3 else float("inf")

    async def main() -> None:
        async with bench(bytes(OWN * 4), policy=policy) as ground:
            disorder = Disorder(nursery=ground.nursery, chance=chance)
            ground.server.script.append(disorder)
            handles = [await ground.open(chance.choice(KINDS)) for _ in range(4)]
            await together(
                *[
                    Owner(ground, fh, number * OWN, chance, patience_s).live
                    for number, fh in enumerate(handles)
                ],
                partial(look, ground, 30),
            )
            await together(*[partial(ground.close, fh) for fh in handles])

    on_mock_time(main)


async def look(ground: Bench, times: int) -> None:
    """Stat and open the file all the while; it is as long as it ever was."""
    for _ in range(times):
        assert await ground.size() >= OWN * 4
        await trio.sleep(0.05)
        if times % 10 == 0:
            fh = await ground.open(os.O_RDONLY)
            await ground.close(fh)


@storm(max_examples=12)
@given(SEEDS)
def test_appends_are_whole_and_in_order(seed: int) -> None:
    """Also while others write inside the file."""
    chance = Random(seed)

    async def append(ground: Bench, tag: int) -> None:
        fh = await ground.open(chance.choice((os.O_WRONLY, BOTH)) | os.O_APPEND)
        for number in range(8):
            await ground.write(fh, 0, record(tag, number))
            await trio.sleep(chance.random() * 0.2)
        await ground.close(fh)

    async def put_inside(ground: Bench) -> None:
        fh = await ground.open()
        await ground.write(fh, 10, b"inside")
        await ground.close(fh)

    async def main() -> None:
        async with bench(b"." * 64) as ground:
            ground.server.script.append(Disorder(nursery=ground.nursery, chance=chance))
            async with trio.open_nursery() as nursery:
                for tag in range(3):
                    nursery.start_soon(append, ground, tag)
                nursery.start_soon(put_inside, ground)
            records = [ground.data[at : at + 64] for at in range(64, len(ground.data), 64)]
            assert ground.data[10:16] == b"inside"
            for tag in range(3):
                mine = [one for one in records if one[0] == tag]
                assert mine == [record(tag, number) for number in range(8)]
            assert len(records) == 24

    on_mock_time(main)


def record(tag: int, number: int) -> bytes:
    return bytes([tag, number]) * 32


@storm(max_examples=12)
@given(SEEDS, st.integers(0, 6))
@pytest.mark.logs("could not be written: WRITE file: DISK_FULL")
def test_a_failed_write_is_told(seed: int, after: int) -> None:
    """Whatever came between: who is told that all is well has his bytes on the server."""
    chance = Random(seed)

    async def main() -> None:
        async with bench(bytes(OWN)) as ground:
            disorder = Disorder(nursery=ground.nursery, chance=chance)
            full = Fails(on=Command.WRITE, status=Status.DISK_FULL, after=after, times=1)
            ground.server.script += [disorder, full]
            model = bytearray(OWN)
            first, second = await ground.open(), await ground.open()
            errors = 0
            for number in range(20):
                fh = chance.choice((first, second))
                offset, size = chance.randrange(OWN - 5000), chance.randint(1, 5000)
                model[offset : offset + size] = bytes([number]) * size
                try:
                    await ground.write(fh, offset, bytes([number]) * size)
                    if chance.random() < 0.3:
                        await ground.content.fsync(fh)
                        assert ground.data == model
                        assert not full.struck
                except OSError:
                    assert full.struck
                    errors += 1
                else:
                    assert not errors, "once told, always told"
            for fh in (first, second):
                with pytest.raises(OSError, match="an earlier write was lost"):
                    await ground.close(fh)
            again = await ground.open()
            await ground.write(again, 0, b"well again")
            await ground.close(again)
            assert ground.data.startswith(b"well again")

    on_mock_time(main)


async def write_and_sync(
    ground: Bench, number: int, chance: Random, safe: list[tuple[int, bytes]]
) -> None:
    """Write to a part of one's own, and note what fsync said is safe."""
    fh = await ground.open(chance.choice(KINDS))
    try:
        for value in range(1, 30):
            start, data = number * OWN, bytes([value]) * chance.randint(1, 60_000)
            await ground.write(fh, start, data)
            await ground.read(fh, start + chance.randrange(OWN), 100)
            if chance.random() < 0.4:
                await ground.content.fsync(fh)
                safe.append((start, data))
            await trio.sleep(chance.random() * 0.1)
    finally:
        with suppress(OSError, SmbError):
            await ground.close(fh)


@storm(max_examples=15)
@given(SEEDS)
@pytest.mark.logs("connection lost|could not be written|is not any more|a write was lost")
def test_a_lost_connection_is_told(
    seed: int,
) -> None:
    """Every call ends; what was told to be safe is there; a new open works."""
    chance = Random(seed)

    async def main() -> None:
        async with bench(bytes(OWN * 3)) as ground:
            ground.server.script.append(Disorder(nursery=ground.nursery, chance=chance))
            safe: list[list[tuple[int, bytes]]] = [[], [], []]
            ends: list[BaseException] = []

            async def watched(number: int) -> None:
                try:
                    await write_and_sync(ground, number, chance, safe[number])
                except (OSError, SmbError) as error:
                    ends.append(error)

            async def cut() -> None:
                await trio.sleep(0.2 + chance.random())
                ground.server.hang_up()

            await together(*[partial(watched, number) for number in range(3)], cut)
            ground.server.script.clear()
            for known in safe:
                for start, data in known[-1:]:  # later ones may or may not have arrived
                    found = ground.data[start : start + len(data)]
                    assert min(found) >= data[0], "a byte older than one that was safe"
            fh = await ground.open()
            await ground.write(fh, 0, b"well again")
            await ground.close(fh)
            assert ground.share.read(NAME).startswith(b"well again")

    on_mock_time(main)


@pytest.mark.parametrize("steps", range(12))
def test_who_is_cancelled_while_a_file_is_opened_anew_leaves_no_handle(steps: int) -> None:
    """In whatever moment, the last one included, in which the handle is there already."""

    async def main() -> None:
        async with bench(b"data") as one:
            fh = await one.open()
            scope = trio.CancelScope()
            kept: list[FileHandle] = []

            async def opening() -> None:
                with scope:
                    kept.append((await one.content.open(one.inode, BOTH | os.O_TRUNC)).fh)

            one.nursery.start_soon(opening)
            for _ in range(2 * steps):
                await trio.lowlevel.checkpoint()
            scope.cancel()
            await one.settled()
            assert len(one.server.open_handles) == 1 + len(kept)
            await one.close(fh)

    on_mock_time(main)
