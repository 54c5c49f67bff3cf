"""A file's first few bytes, held back for a moment."""

from __future__ import annotations

import pytest
import trio

from smbfs.vfs.linger import FEW_BYTES
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from tests.vfs.bench import Bench, bench, on_mock_time

MOMENT_S = 5
POLICY = DataPolicy(linger_s=MOMENT_S)


def writes(ground: Bench) -> int:
    return sum(frame.count(Command.WRITE) for frame in ground.server.requests)


def test_a_few_bytes_wait_a_moment_for_more() -> None:
    async def main() -> None:
        async with bench(policy=POLICY) as ground:
            fh = await ground.open()
            for number in range(3):
                await ground.write(fh, 4 * number, b"data")
                await trio.sleep(MOMENT_S / 4)
            assert (writes(ground), ground.data, await ground.size()) == (0, b"", 12)
            await trio.sleep(MOMENT_S / 2)  # from the first on, or they might wait for ever
            assert (writes(ground), ground.data) == (1, b"data" * 3)
            await ground.write(fh, 12, b"more")
            await trio.sleep(MOMENT_S + 1)
            assert (writes(ground), ground.data[12:]) == (2, b"more")
            await ground.close(fh)

    on_mock_time(main)


@pytest.mark.parametrize("how", ["flush", "fsync", "read", "truncate", "release"])
def test_who_wants_them_there_does_not_wait(how: str) -> None:
    async def main() -> None:
        async with bench(policy=POLICY) as ground:
            fh = await ground.open()
            began_s = trio.current_time()
            await ground.write(fh, 0, b"data")
            match how:
                case "flush":
                    await ground.content.flush(fh)
                case "fsync":
                    await ground.content.fsync(fh)
                case "read":
                    assert await ground.read(fh) == b"data"
                case "truncate":
                    assert await ground.truncate(4, fh) == 4
                case "release":
                    await ground.content.release(fh)
            assert (ground.data, trio.current_time()) == (b"data", began_s)
            if how != "release":
                await ground.close(fh)

    on_mock_time(main)


def test_many_bytes_do_not_wait() -> None:
    async def main() -> None:
        async with bench(policy=POLICY) as ground:
            fh = await ground.open()
            await ground.write(fh, 0, bytes(FEW_BYTES))
            await ground.settled()
            assert len(ground.data) == FEW_BYTES
            await ground.write(fh, FEW_BYTES, b"few")
            await ground.settled()
            assert len(ground.data) == FEW_BYTES
            await ground.write(fh, 2, b"elsewhere")  # what is not written to last may go
            await ground.settled()
            assert ground.data[FEW_BYTES:] == b"few"
            await ground.close(fh)
            assert ground.data[2:11] == b"elsewhere"

    on_mock_time(main)


def test_what_waited_for_another_has_waited_enough() -> None:
    async def main() -> None:
        async with bench(policy=POLICY) as ground:
            fh = await ground.open()
            gate = ground.gate(Command.WRITE, does=True)
            await ground.write(fh, 0, bytes(FEW_BYTES))
            await ground.settled()
            await ground.write(fh, FEW_BYTES, b"few")
            await ground.settled()
            assert len(ground.data) == FEW_BYTES
            gate.open()
            await ground.settled()
            assert ground.data[FEW_BYTES:] == b"few"
            await ground.close(fh)

    on_mock_time(main)
