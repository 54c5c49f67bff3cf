"""How large requests are: what the line carries in a moment, however far the server is."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio

from smbfs.engine.pace import FAST_S, LARGEST, LEAST, SLOW_S, Pace
from smbfs.wire.header import Command
from tests.fake import Volume, fake_link

MIB = 1 << 20


def pipelined(pace: Pace, rate: float, round_trip_s: float, count: int, limit: int = MIB) -> int:
    """Have requests answered that are all under way at once; the size of the last."""
    begun_s, now_s, size = 100.0, 100.0 + round_trip_s, 0
    pace.answered(0, begun_s - 1, begun_s - 1 + round_trip_s)
    for _ in range(count):
        size = pace.within(limit)
        now_s += size / rate
        pace.answered(size, begun_s, now_s)
        begun_s = max(begun_s, now_s - round_trip_s)
    return size


@pytest.mark.parametrize("round_trip_s", [0.0001, 0.01, 0.3])
@pytest.mark.parametrize("rate", [2e5, 1e6, 1e7, 1e8, 1e9])
def test_a_request_takes_a_moment_of_the_line(rate: float, round_trip_s: float) -> None:
    size = pipelined(Pace(), rate, round_trip_s, 40)
    assert LEAST <= size <= MIB
    if size > LEAST:
        assert size / rate <= SLOW_S
    if size < MIB:
        assert 2 * size / rate > FAST_S, "twice as much would have been fast enough"


def test_one_after_the_other_on_a_long_way() -> None:
    """What is asked alone takes the whole way each time, and that is no fault of its size."""
    pace = Pace()
    for number in range(20):
        pace.answered(pace.within(MIB), number, number + 0.4)
    assert pace.within(MIB) == MIB


def test_one_after_the_other_on_a_slow_line() -> None:
    pace = Pace()
    pace.answered(0, 0.0, 0.01)
    sizes = []
    now_s = 1.0
    for _ in range(6):
        sizes.append(pace.within(MIB))
        pace.answered(sizes[-1], now_s, now_s + 0.01 + sizes[-1] / 1e6)
        now_s += 10
    assert sizes[0] == MIB
    assert all(later <= earlier for earlier, later in pairwise(sizes))
    assert sizes[-1] / 1e6 <= SLOW_S


def test_small_requests_tell_nothing_of_large_ones() -> None:
    pace = Pace()
    pace.within(MIB)
    for number in range(10):
        pace.answered(LEAST, number, number + 5.0)
    assert pace.within(MIB) == MIB


def test_it_grows_again_when_the_line_is_better() -> None:
    pace = Pace()
    assert pipelined(pace, 2e5, 0.01, 40) == LEAST
    assert pipelined(pace, 1e9, 0.01, 40) == MIB


def test_never_more_than_the_server_lets_one_carry() -> None:
    pace = Pace()
    assert pace.within(LARGEST * 2) == LARGEST
    assert pace.within(LEAST) == LEAST


async def test_a_handle_asks_for_what_its_line_carries(nursery: trio.Nursery) -> None:
    """The same of a connection: its handles ask for less as soon as answers come slowly."""
    from smbfs.engine.how import How
    from smbfs.engine.share import Share

    volume = Volume()
    volume.put("file", bytes(4 * MIB))
    async with fake_link(nursery, share=volume) as (link, _):
        share = Share(link)
        await share.connect()
        handle, _ = await share.open("file", How.reading())
        assert handle.read_size == handle.write_size == MIB
        connection = (await link.tree()).session.connection
        connection.paces[Command.READ].answered(0, 0.0, 0.01)
        connection.paces[Command.READ].answered(MIB, 1.0, 100.0)
        assert handle.read_size == MIB // 2
        assert handle.write_size == MIB, "the other direction is another line"
        assert sum(map(len, await handle.read(0, 4 * MIB))) == 4 * MIB
        await handle.close()
