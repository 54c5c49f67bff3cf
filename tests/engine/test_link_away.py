"""A server that is away: nobody waits for it for long, and it is found when it is back."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from smbfs.engine.link import AWAY_S, COOL_DOWN_S, PROBE_S
from smbfs.errors import ConnectionLost, ServerSilent
from smbfs.wire.header import Command
from tests.engine.test_link import AWAY, asked, lost
from tests.fake import fake_link
from tests.fake.script import Silent

Clock = trio.testing.MockClock


@pytest.mark.logs(AWAY)
async def test_who_calls_an_absent_server_again_waits_for_a_moment_only(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    async with fake_link(nursery) as (link, server):
        tree = await link.tree()
        server.script += [Silent(), Silent(on=Command.NEGOTIATE)]
        with pytest.raises(ServerSilent):
            await asked(tree)
        for _ in range(5):
            began_s = trio.current_time()
            with pytest.raises(ConnectionLost):
                await link.tree()
            assert trio.current_time() - began_s <= AWAY_S


@pytest.mark.logs(AWAY)
async def test_an_absent_server_is_found_again_though_nobody_calls(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    async with fake_link(nursery) as (link, server):
        await link.tree()
        await lost(link, server)
        server.refuses_to_connect = ConnectionRefusedError("refused")
        with pytest.raises(ConnectionLost):
            await link.tree()
        await trio.sleep(60)
        assert server.dialled < 30, "not all the time"
        server.refuses_to_connect = None
        await trio.sleep(PROBE_S + COOL_DOWN_S)
        assert link.live is not None
        dialled = server.dialled
        await trio.sleep(60)
        assert server.dialled == dialled


@pytest.mark.logs(AWAY)
async def test_a_server_that_refuses_us_is_not_looked_out_for(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    async with fake_link(nursery) as (link, server):
        await link.tree()
        await lost(link, server)
        server.refuses_to_connect = ConnectionRefusedError("refused")
        with pytest.raises(ConnectionLost):
            await link.tree()
        server.refuses_to_connect = None
        server.nature.users.clear()
        await trio.sleep(10)
        dialled = server.dialled
        await trio.sleep(100)
        assert server.dialled == dialled, "a wrong password tried again and again locks accounts"


@pytest.mark.logs(AWAY)
async def test_nobody_looks_out_after_the_end(nursery: trio.Nursery, autojump_clock: Clock) -> None:
    async with fake_link(nursery) as (link, server):
        await link.tree()
        await lost(link, server)
        server.refuses_to_connect = ConnectionRefusedError("refused")
        with pytest.raises(ConnectionLost):
            await link.tree()
        await link.close()
        dialled = server.dialled
        await trio.sleep(100)
        assert server.dialled == dialled
