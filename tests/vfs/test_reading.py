"""Reading: what is handed out is what is there, in as few requests as that takes."""

from __future__ import annotations

import os
from functools import partial
from random import Random

import pytest
import trio

from smbfs.fuse.server import MISS
from smbfs.vfs import reading
from smbfs.wire.header import Command
from tests.fake.script import ShortReads
from tests.vfs.bench import NAME, Bench, Gate, bench, together

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


async def test_a_small_file_comes_with_its_open() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open(READ)
        ground.turns()
        assert await ground.read(fh, 0, 4096) == b"music"
        assert await ground.read(fh, 5, 4096) == b""
        assert await ground.read(fh, 500, 4096) == b""
        assert ground.turns() == 0
        await ground.close(fh)


async def test_a_small_file_is_read_by_one_request() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open(READ)
        ground.file.pages.drop()
        reads(ground)
        assert await ground.read(fh, 0, 4096) == b"music"
        assert await ground.read(fh, 5, 4096) == b""
        assert await ground.read(fh, 500, 4096) == b""
        assert reads(ground) == 1
        await ground.close(fh)


async def test_a_file_is_read_ahead_in_large_pieces() -> None:
    data = noise(12 * MIB)
    async with bench(data) as ground:
        fh = await ground.open(READ)
        for offset in range(0, len(data), 128 * KIB):
            wanted = data[offset : offset + 128 * KIB]
            assert await ground.read(fh, offset, 128 * KIB) == wanted
        assert await ground.read(fh, len(data), 128 * KIB) == b""
        assert reads(ground) < 30
        await ground.close(fh)


async def test_the_kernel_reads_in_parallel_and_out_of_order() -> None:
    data = noise(6 * MIB)
    size = 128 * KIB
    async with bench(data) as ground:
        fh = await ground.open(READ)
        places = list(range(0, len(data), size))
        for start in range(0, len(places), 8):
            some = places[start : start + 8]
            Random(start).shuffle(some)

            async def check(offset: int) -> None:
                assert await ground.read(fh, offset, size) == data[offset : offset + size]

            await together(*[partial(check, offset) for offset in some])
        assert reads(ground) < 40
        await ground.close(fh)


async def test_a_random_reader_gets_no_more_than_he_asks() -> None:
    async with bench(noise(8 * MIB)) as ground:
        fh, chance = await ground.open(READ), Random(3)
        for _ in range(40):
            offset = 4096 * chance.randrange(1, 2048)
            await ground.read(fh, offset, 4096)
            await ground.settled()
            assert not ground.file.pages.held_bytes
        await ground.close(fh)


async def test_nothing_is_asked_for_behind_the_end() -> None:
    async with bench(noise(300 * KIB)) as ground:
        fh = await ground.open(READ)
        gate = Gate(on=Command.READ)
        ground.server.script.append(gate)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.read, fh, 0, 128 * KIB)
            await ground.settled()
            pieces = ground.file.pages.coming
            assert max(piece.end for piece in pieces) == 300 * KIB
            gate.open()
        await ground.close(fh)


# The end of the file


async def test_the_end_is_asked_for_if_the_size_is_not_known() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open(READ)
        ground.share.put(NAME, b"music and more")
        ground.file.pages.drop()
        reads(ground)
        forget_the_size(ground)
        assert await ground.read(fh, 0, 4096) == b"music and more"
        assert await ground.read(fh, 14, 4096) == b""
        assert reads(ground) == 3, "what was asked, and twice that nothing follows"
        await ground.close(fh)


async def test_a_short_answer_is_not_the_end() -> None:
    data = noise(10_000)
    async with bench(data, script=[ShortReads(size=3_000)]) as ground:
        fh = await ground.open(READ)
        assert await ground.read(fh, 0, 20_000) == data
        forget_the_size(ground)
        assert await ground.read(fh, 0, 20_000) == data
        await ground.close(fh)


async def test_a_file_that_others_write_to_is_seen_to_grow(autojump_clock: object) -> None:
    """As by ``tail -f``."""
    async with bench(b"one\n") as ground:
        fh = await ground.open(READ)
        assert await ground.read(fh, 0, 4096) == b"one\n"
        assert await ground.read(fh, 4, 4096) == b""
        ground.share.put(NAME, b"one\ntwo\n")
        await trio.sleep(1.1)
        assert await ground.size() == 8
        assert await ground.read(fh, 4, 4096) == b"two\n"
        ground.share.put(NAME, b"one\ntwo\nthree\n")
        await trio.sleep(1.1)
        assert await ground.read(fh, 8, 4096) == b"three\n", "without a stat as well"
        await ground.close(fh)


async def test_a_file_that_another_cuts_meanwhile() -> None:
    data = noise(2 * MIB)
    async with bench(data) as ground:
        fh = await ground.open(READ)
        gate = Gate(on=Command.READ, after=1)
        ground.server.script.append(gate)
        assert await ground.read(fh, 0, 128 * KIB) == data[: 128 * KIB]
        ground.share.put(NAME, data[: 200 * KIB])
        gate.open()
        rest = data[128 * KIB : 200 * KIB]
        assert await ground.read(fh, 128 * KIB, MIB) == rest
        assert await ground.read(fh, 150 * KIB, MIB) == data[150 * KIB : 200 * KIB]
        assert await ground.read(fh, 200 * KIB, MIB) == b""
        await ground.close(fh)


# Writes


async def test_an_answer_from_before_a_write_is_not_believed() -> None:
    """The write is confirmed before the answer comes."""
    async with bench(b"o" * 500_000) as ground:
        fh = await ground.open()
        gate = Gate(on=Command.READ, does=True)
        ground.server.script.append(gate)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.read, fh, 0, 100_000)
            await ground.settled()
            await ground.write(fh, 200_000, b"new")
            await ground.content.flush(fh)
            gate.open()
        assert await ground.read(fh, 199_999, 5) == b"onewo"
        await ground.close(fh)


async def test_an_answer_from_while_a_write_was_under_way_is_not_believed() -> None:
    """The read ahead is asked and answered between the write and its confirmation."""
    async with bench(b"o" * 500_000) as ground:
        fh = await ground.open()
        gate = Gate(on=Command.WRITE)
        ground.server.script.append(gate)
        await ground.write(fh, 200_000, b"new")
        assert await ground.read(fh, 0, 100_000) == b"o" * 100_000
        await ground.settled()
        assert ground.content.read_now(fh, 200_000, 3) is MISS
        gate.open()
        await ground.content.flush(fh)
        assert await ground.read(fh, 199_999, 5) == b"onewo"
        await ground.close(fh)


async def test_a_read_waits_for_the_write_before_it_and_no_other() -> None:
    async with bench(b"o" * 100) as ground:
        fh = await ground.open()
        gate = Gate(on=Command.WRITE)
        ground.server.script.append(gate)
        await ground.write(fh, 10, b"first")
        got: list[bytes] = []

        async def read() -> None:
            got.append(await ground.read(fh, 10, 5))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await ground.settled()
            assert not got
            await ground.write(fh, 10, b"later")
            gate.let_go()
            await ground.settled()
            assert got == [b"first"]
            gate.open()
        assert await ground.read(fh, 10, 5) == b"later"
        await ground.close(fh)


async def test_the_file_is_longer_by_what_is_not_sent() -> None:
    """Before the server has it, what lies between reads as zeros, and not as the end."""
    async with bench(b"music") as ground:
        fh = await ground.open()
        assert await ground.read(fh, 0, 4096) == b"music"
        assert await ground.read(fh, 5, 4096) == b""
        gate = Gate(on=Command.WRITE)
        ground.server.script.append(gate)
        await ground.write(fh, 100, b"end")
        assert await ground.size() == 103
        for wanted in (b"music" + bytes(95), b"sic" + bytes(95)):
            async with trio.open_nursery() as nursery:

                async def check(offset: int, data: bytes) -> None:
                    assert await ground.read(fh, offset, len(data)) == data

                nursery.start_soon(check, 100 - len(wanted), wanted)
                await ground.settled()
                gate.open()
        await ground.close(fh)


async def test_where_the_file_ended_it_ends_no_more() -> None:
    """What was read ahead knows where another had cut the file off."""
    data = noise(500 * KIB)
    async with bench(data) as ground:
        fh = await ground.open()
        ground.share.put(NAME, data[: 200 * KIB])
        assert await ground.read(fh, 0, 100 * KIB) == data[: 100 * KIB]
        await ground.settled()
        held = ground.gate(Command.WRITE)
        await ground.write(fh, 400 * KIB, b"end")
        wanted = data[150 * KIB : 200 * KIB] + bytes(50 * KIB)
        async with trio.open_nursery() as nursery:

            async def check() -> None:
                assert await ground.read(fh, 150 * KIB, 100 * KIB) == wanted

            nursery.start_soon(check)
            await ground.settled()
            held.open()
        await ground.close(fh)


async def test_the_same_for_a_direct_reader() -> None:
    async with bench(b"music") as ground:
        fh, direct = await ground.open(), await ground.open(READ | os.O_DIRECT)
        gate = Gate(on=Command.WRITE)
        ground.server.script.append(gate)
        await ground.write(fh, 100, b"end")
        async with trio.open_nursery() as nursery:

            async def check() -> None:
                assert await ground.read(direct, 3, 50) == b"ic" + bytes(48)

            nursery.start_soon(check)
            await ground.settled()
            gate.open()
        assert ground.content.read_now(direct, 0, 5) is MISS
        assert await ground.read(direct, 0, 5) == b"music"
        await ground.close(fh)
        await ground.close(direct)


async def test_who_is_always_overtaken_asks_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(b"music") as ground:
        fh = await ground.open(READ)
        ground.file.pages.drop()
        reads(ground)
        forget_the_size(ground)
        store = ground.file.pages.store

        def stolen(*args: object, **more: object) -> None:
            store(*args, **more)  # type: ignore[arg-type]  # passed on as they came
            ground.file.pages.shed()

        monkeypatch.setattr(ground.file.pages, "store", stolen)
        assert await ground.read(fh, 0, 100) == b"music"
        assert reads(ground) == reading.ATTEMPTS + 2, "once straight, and to see that it ends there"
        await ground.close(fh)
