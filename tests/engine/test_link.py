"""One way to a share: one attempt for everybody, anew after a loss, an end that comes soon."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
import trio
import trio.testing

from smbfs.auth import Login, Secret
from smbfs.engine.dialect import Policy
from smbfs.engine.exchange import Ask
from smbfs.engine.leasing import Break
from smbfs.engine.link import COOL_DOWN_S, REFUSED_COOL_DOWN_S, Link, Target
from smbfs.engine.session import Tree
from smbfs.engine.states import LinkState
from smbfs.errors import ConnectionLost, Refused, ServerSilent
from smbfs.wire.header import Command
from smbfs.wire.messages import EchoRequest
from smbfs.wire.status import Status
from tests.fake import LOGIN, FakeServer, Nature, fake_link
from tests.fake.script import DeletesSession, Drops, Fails, Silent, Truncates

Clock = trio.testing.MockClock
LOST = "connection lost"
AWAY = "connection lost|is away"


async def asked(tree: Tree) -> Status:
    [slot] = await tree.post([Ask(EchoRequest())])
    return (await tree.wait(slot)).status


async def lost(link: Link, server: FakeServer) -> None:
    """The server hangs up, and the client has noticed."""
    server.hang_up()
    await trio.testing.wait_all_tasks_blocked()
    assert link.live is None
    assert link.machine.state is LinkState.LOST


# Connecting


async def test_it_connects_when_somebody_asks(nursery: trio.Nursery) -> None:
    async with fake_link(nursery) as (link, server):
        assert (link.machine.state, link.generation, server.dialled) == (LinkState.CLOSED, 0, 0)
        tree = await link.tree()
        assert link.live is tree
        assert (link.machine.state, link.generation, server.dialled) == (LinkState.READY, 1, 1)
        assert await link.tree() is tree
        assert str(link.target) == "//fake/share"


async def test_many_who_ask_at_once_share_one_attempt(nursery: trio.Nursery) -> None:
    async with fake_link(nursery) as (link, server):
        found: list[Tree] = []

        async def ask() -> None:
            found.append(await link.tree())

        async with trio.open_nursery() as inner:
            for _ in range(20):
                inner.start_soon(ask)
        assert len(set(map(id, found))) == 1
        assert server.dialled == 1


async def test_who_leaves_takes_nothing_from_the_others(nursery: trio.Nursery) -> None:
    async with fake_link(nursery) as (link, server):
        with trio.CancelScope() as scope:
            scope.cancel()
            await link.tree()
        assert scope.cancelled_caught
        await link.tree()
        assert server.dialled == 1


async def test_a_failure_is_everybodys_for_a_moment(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    async with fake_link(nursery) as (link, server):
        server.refuses_to_connect = ConnectionRefusedError("refused")
        errors: list[ConnectionLost] = []

        async def ask() -> None:
            with pytest.raises(ConnectionLost, match="fake: refused") as caught:
                await link.tree()
            errors.append(caught.value)

        async with trio.open_nursery() as inner:
            inner.start_soon(ask)
            inner.start_soon(ask)
        await ask()
        assert len(set(map(id, errors))) == 3
        assert server.dialled == 1
        assert link.machine.state is LinkState.LOST
        server.refuses_to_connect = None
        await trio.sleep(COOL_DOWN_S)
        await link.tree()
        assert server.dialled == 2


async def test_a_refusal_is_not_tried_again_soon(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    """A wrong password tried again and again locks the account."""
    login = replace(LOGIN, password=Secret("wrong"))
    async with fake_link(nursery, login=login) as (link, server):
        for _ in range(5):
            with pytest.raises(Refused):
                await link.tree()
            await trio.sleep(REFUSED_COOL_DOWN_S / 6)
        assert server.dialled == 1
        await trio.sleep(REFUSED_COOL_DOWN_S)
        with pytest.raises(Refused):
            await link.tree()
        assert server.dialled == 2


@pytest.mark.parametrize("on", [Command.NEGOTIATE, Command.SESSION_SETUP, Command.TREE_CONNECT])
async def test_silence_while_connecting(
    nursery: trio.Nursery, autojump_clock: Clock, on: Command
) -> None:
    async with fake_link(nursery, script=[Silent(on=on)]) as (link, _):
        with pytest.raises(ConnectionLost, match="did not answer"):
            await link.tree()
        assert trio.current_time() <= 17
        assert link.machine.state is LinkState.LOST


@pytest.mark.parametrize("on", [Command.NEGOTIATE, Command.SESSION_SETUP, Command.TREE_CONNECT])
@pytest.mark.parametrize("mid_frame", [True, False])
async def test_a_loss_while_connecting(
    nursery: trio.Nursery, autojump_clock: Clock, on: Command, mid_frame: bool
) -> None:
    async with fake_link(nursery, script=[Drops(on=on, mid_frame=mid_frame)]) as (link, _):
        with pytest.raises(ConnectionLost, match=r"closed|broke"):
            await link.tree()


@pytest.mark.parametrize("on", [Command.NEGOTIATE, Command.SESSION_SETUP, Command.TREE_CONNECT])
async def test_nonsense_while_connecting(nursery: trio.Nursery, on: Command) -> None:
    async with fake_link(nursery, script=[Truncates(on=on, size=3)]) as (link, _):
        with pytest.raises(ConnectionLost, match="truncated"):
            await link.tree()


# Logins


async def test_logins_are_tried_in_their_order(nursery: trio.Nursery) -> None:
    logins = [replace(LOGIN, password=Secret("wrong")), LOGIN]
    server = FakeServer()
    link = Link(Target("fake", "share"), Policy(), lambda: logins, server.dialler(nursery), nursery)
    await link.tree()
    assert server.dialled == 1
    await link.close()


async def test_the_first_refusal_is_the_one_that_is_told(nursery: trio.Nursery) -> None:
    stranger = Login("stranger", Secret("any"))
    logins = [stranger, Login("", Secret(""), kind="none")]
    server = FakeServer(nature=Nature(guests=True))
    link = Link(Target("fake", "share"), Policy(), lambda: logins, server.dialler(nursery), nursery)
    with pytest.raises(Refused, match="only as a guest"):
        await link.tree()
    await link.close()


async def test_without_a_login_nobody_asks(nursery: trio.Nursery) -> None:
    server = FakeServer()
    link = Link(Target("fake", "share"), Policy(), lambda: [], server.dialler(nursery), nursery)
    with pytest.raises(Refused, match="there is no login for fake"):
        await link.tree()
    await link.close()


# After a loss


@pytest.mark.logs(LOST)
async def test_after_a_loss_the_next_call_connects_anew(nursery: trio.Nursery) -> None:
    async with fake_link(nursery) as (link, server):
        first = await link.tree()
        await lost(link, server)
        second = await link.tree()
        assert second is not first
        assert link.generation == 2
        assert await asked(second) == Status.SUCCESS
        with pytest.raises(ConnectionLost):
            await asked(first)


@pytest.mark.logs(LOST)
async def test_what_waits_when_it_is_lost_fails_soon(nursery: trio.Nursery) -> None:
    async with fake_link(nursery) as (link, server):
        tree = await link.tree()
        server.script.append(Silent())
        [slot] = await tree.post([Ask(EchoRequest())])
        await lost(link, server)
        with pytest.raises(ConnectionLost, match="closed"):
            await tree.wait(slot)


@pytest.mark.logs("connection lost: the server ended our session")
async def test_a_session_that_is_gone_is_set_up_anew(nursery: trio.Nursery) -> None:
    """And the server is told which one it replaces."""
    async with fake_link(nursery, script=[DeletesSession(times=1)]) as (link, server):
        tree = await link.tree()
        with pytest.raises(ConnectionLost, match="ended our session"):
            await asked(tree)
        assert await asked(await link.tree()) == Status.SUCCESS
        assert link.generation == 2
        assert len(server.wires) == 1
        assert len(server.sessions) == 1


@pytest.mark.logs(AWAY)
async def test_a_server_that_is_gone_and_comes_back(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    async with fake_link(nursery) as (link, server):
        await link.tree()
        await lost(link, server)
        server.refuses_to_connect = ConnectionRefusedError("refused")
        for _ in range(3):
            with pytest.raises(ConnectionLost):
                await link.tree()
            await trio.sleep(COOL_DOWN_S)
        server.refuses_to_connect = None
        await link.tree()
        await lost(link, server)
        await link.tree()
        assert link.generation == 3


@pytest.mark.logs(AWAY)
async def test_a_silent_server_is_left(nursery: trio.Nursery, autojump_clock: Clock) -> None:
    async with fake_link(nursery) as (link, server):
        tree = await link.tree()
        server.script.append(Silent())
        with pytest.raises(ServerSilent):
            await asked(tree)
        server.script.clear()
        assert await asked(await link.tree()) == Status.SUCCESS


# Breaks


async def test_breaks_are_for_who_wants_them(nursery: trio.Nursery) -> None:
    heard: list[Break] = []
    async with fake_link(nursery, on_break=heard.append) as (link, server):
        await link.tree()
        server.break_lease(bytes(16))
        await trio.testing.wait_all_tasks_blocked()
        assert heard == [Break(bytes(16), 0, epoch=2, must_ack=True)]
        assert link.live is not None
    async with fake_link(nursery) as (link, server):  # nobody wants them
        tree = await link.tree()
        server.break_lease(bytes(16))
        assert await asked(tree) == Status.SUCCESS


# The end


async def test_closing_says_goodbye(nursery: trio.Nursery) -> None:
    async with fake_link(nursery) as (link, server):
        await link.tree()
        await link.close()
        assert server.requests[-2:] == [(Command.TREE_DISCONNECT,), (Command.LOGOFF,)]
        assert link.machine.state is LinkState.ENDED
        assert link.live is None
        await trio.testing.wait_all_tasks_blocked()
        assert not server.wires
        with pytest.raises(ConnectionLost, match="//fake/share is being unmounted"):
            await link.tree()
        await link.close()


async def test_closing_what_was_never_open(nursery: trio.Nursery) -> None:
    async with fake_link(nursery) as (link, server):
        await link.close()
        assert server.dialled == 0


async def test_closing_does_not_wait_for_a_silent_server(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    async with fake_link(nursery) as (link, server):
        await link.tree()
        server.script.append(Silent(on=Command.TREE_DISCONNECT))
        await link.close()
        assert trio.current_time() <= 2
        assert link.live is None


@pytest.mark.parametrize("on", [Command.TREE_DISCONNECT, Command.LOGOFF])
async def test_a_goodbye_that_fails_is_one(nursery: trio.Nursery, on: Command) -> None:
    async with fake_link(nursery) as (link, server):
        await link.tree()
        server.script.append(Fails(status=Status.ACCESS_DENIED, on=on))
        await link.close()
        assert link.live is None


async def test_closing_while_the_caller_is_cancelled(nursery: trio.Nursery) -> None:
    async with fake_link(nursery) as (link, server):
        await link.tree()
        with trio.CancelScope() as scope:
            scope.cancel()
            await link.close()
        assert server.requests[-1] == (Command.LOGOFF,)


@pytest.mark.parametrize("ticks", range(12))
async def test_closing_while_connecting(
    nursery: trio.Nursery, autojump_clock: Clock, ticks: int
) -> None:
    """Wherever the attempt is, it ends, and nothing is connected afterwards."""
    async with fake_link(nursery) as (link, server):
        outcome: list[str] = []

        async def ask() -> None:
            try:
                await link.tree()
                outcome.append("connected")
            except ConnectionLost as error:
                outcome.append(str(error))

        nursery.start_soon(ask)
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        await link.close()
        await trio.testing.wait_all_tasks_blocked()
        assert len(outcome) == 1
        assert link.live is None
        assert not server.wires
        assert trio.current_time() < 1


async def test_an_attempt_that_was_ordered_before_the_end(nursery: trio.Nursery) -> None:
    """It may find the link ended when its turn comes; who is first is trio's dice."""
    for _ in range(30):
        async with fake_link(nursery) as (link, server), trio.open_nursery() as inner:
            inner.start_soon(refused_as_unmounted, link)
            while not nursery.child_tasks:
                await trio.lowlevel.checkpoint()
            await link.close()
        assert server.dialled <= 1
        await trio.testing.wait_all_tasks_blocked()
        assert not server.wires


async def refused_as_unmounted(link: Link) -> None:
    with pytest.raises(ConnectionLost, match="being unmounted"):
        await link.tree()


async def test_the_nursery_may_end_first() -> None:
    server = FakeServer(script=[Silent(on=Command.NEGOTIATE)])
    told: list[str] = []
    async with trio.open_nursery() as outer:
        async with trio.open_nursery() as inner:
            link = Link(
                Target("fake", "share"), Policy(), lambda: [LOGIN], server.dialler(outer), inner
            )

            async def ask() -> None:
                with suppress(ConnectionLost):
                    await link.tree()
                told.append("told")

            outer.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            inner.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert told == ["told"]
        server.hang_up()
