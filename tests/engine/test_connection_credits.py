"""Waiting for credits: in turn, not for ever, and nothing is lost by who leaves."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from smbfs.engine.connection import NO_TREE
from smbfs.engine.credits import RESERVE
from smbfs.engine.exchange import Ask
from smbfs.engine.turns import WindowShrank
from smbfs.errors import ConnectionLost, ServerSilent
from smbfs.wire.header import Command, Header
from smbfs.wire.messages import EchoRequest
from tests.engine.by_hand import answer, read
from tests.engine.peer import Talk, talk

ONE = Ask(EchoRequest())
URGENT = Ask(EchoRequest(), urgent=True)
MIB = read(1 << 20)  # sixteen credits


async def test_who_came_first_is_served_first(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    one = talk(nursery, credits=17)
    served: list[str] = []

    async def caller(name: str, ask: Ask) -> None:
        await one.connection.post([ask])
        served.append(name)

    await one.connection.post([MIB])
    await one.connection.post([URGENT])
    for name, ask in (("large", MIB), ("small", ONE), ("urgent", URGENT)):
        nursery.start_soon(caller, name, ask)
        await trio.testing.wait_all_tasks_blocked()
    assert served == []
    await one.peer.say(answer(16, credits=12))  # enough for the small one, who came later
    await trio.testing.wait_all_tasks_blocked()
    assert served == ["urgent"]
    await one.peer.say(answer(0, Command.READ, credits=13))
    await trio.testing.wait_all_tasks_blocked()
    assert served == ["urgent", "large"]
    await one.peer.say(answer(18, Command.READ, credits=5))
    await trio.testing.wait_all_tasks_blocked()
    assert served == ["urgent", "large", "small"]


async def test_who_wants_more_than_there_is_holds_nobody_up(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    one = talk(nursery, credits=2)
    served: list[str] = []

    async def caller(name: str, ask: Ask, cuttable: bool) -> None:
        try:
            await one.connection.post([ask], cuttable=cuttable)
            served.append(name)
        except WindowShrank:
            served.append(f"{name} is cut")

    await one.connection.post([ONE])
    await one.connection.post([ONE])
    for name, ask, cuttable in (
        ("dear", MIB, False),
        ("dear at once", MIB, True),
        ("small", ONE, False),
    ):
        nursery.start_soon(caller, name, ask, cuttable)
        await trio.testing.wait_all_tasks_blocked()
    assert served == ["dear at once is cut"]
    await one.peer.say(answer(0, credits=1))
    await trio.testing.wait_all_tasks_blocked()
    assert served[1:] == ["small"]
    await one.peer.say(answer(1, credits=30))
    await trio.testing.wait_all_tasks_blocked()
    assert served[2:] == ["dear"], "it kept its place until the window was large enough"


async def test_what_nobody_waits_for_goes_out_before_who_waits(nursery: trio.Nursery) -> None:
    one = talk(nursery, credits=1)
    served: list[str] = []

    async def caller() -> None:
        await one.connection.post([ONE])
        served.append("small")

    await one.connection.post([ONE])
    nursery.start_soon(caller)
    await trio.testing.wait_all_tasks_blocked()
    one.connection.post_soon([URGENT], guard=None, tree_id=NO_TREE, seal=False)
    await one.peer.say(answer(0, credits=1))
    await trio.testing.wait_all_tasks_blocked()
    assert served == []
    await one.peer.say(answer(1, credits=1))
    await trio.testing.wait_all_tasks_blocked()
    assert served == ["small"]
    one.connection.lose(ConnectionLost("it is gone"))
    one.connection.post_soon([URGENT], guard=None, tree_id=NO_TREE, seal=False)
    assert not one.connection._late


async def test_a_window_that_shrinks_has_what_waits_cut(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    one = talk(nursery, credits=17)
    outcome: list[str] = []

    async def caller() -> None:
        with pytest.raises(WindowShrank):
            await one.connection.post([MIB], cuttable=True)
        outcome.append("cut")

    await one.connection.post([MIB])
    nursery.start_soon(caller)
    await trio.testing.wait_all_tasks_blocked()
    assert not outcome
    await one.peer.say(answer(0, Command.READ, credits=1))
    await trio.testing.wait_all_tasks_blocked()
    assert outcome == ["cut"]
    await one.connection.post([ONE])


async def test_the_urgent_use_the_reserve(nursery: trio.Nursery) -> None:
    one = talk(nursery, credits=RESERVE + 2)
    await one.connection.post([ONE])
    await one.connection.post([ONE])
    with trio.CancelScope() as scope:
        nursery.start_soon(cancel_when_blocked, scope)
        await one.connection.post([ONE])
    assert scope.cancelled_caught
    for _ in range(RESERVE - 1):
        await one.connection.post([URGENT])
    assert one.connection.post_now([ONE], guard=None, tree_id=NO_TREE, seal=False)
    assert not one.connection.post_now([ONE], guard=None, tree_id=NO_TREE, seal=False)


async def cancel_when_blocked(scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()


async def test_a_server_that_grants_nothing(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    one = talk(nursery, credits=2)
    await one.connection.post([ONE])
    await one.connection.post([ONE])
    began = trio.current_time()
    with pytest.raises(ServerSilent, match=r"did not answer|grants no credits"):
        await one.connection.post([ONE])
    assert trio.current_time() - began <= 17.5


async def test_a_server_that_answers_and_grants_too_little(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    one = talk(nursery, credits=2)
    began = trio.current_time()
    with pytest.raises(ServerSilent, match="grants no credits"):
        await one.connection.post([MIB])
    assert trio.current_time() - began == 15.0
    assert one.connection.is_alive
    await one.connection.post([ONE])


async def test_the_last_credit_taken_ends_the_connection(nursery: trio.Nursery) -> None:
    one = talk(nursery, credits=1)
    [slot] = await one.connection.post([ONE])
    await one.peer.say(answer(0, credits=0))
    await one.connection.wait(slot)
    with pytest.raises(ConnectionLost, match="took our last credit"):
        await one.connection.post([ONE])


async def test_who_waits_for_credits_is_told_of_the_end(nursery: trio.Nursery) -> None:
    one = talk(nursery, credits=1)
    await one.connection.post([ONE])
    told: list[str] = []

    async def caller() -> None:
        with pytest.raises(ConnectionLost) as caught:
            await one.connection.post([ONE])
        told.append(str(caught.value))

    async with trio.open_nursery() as inner:
        inner.start_soon(caller)
        inner.start_soon(caller)
        await trio.testing.wait_all_tasks_blocked()
        one.connection.lose(ConnectionLost("over"))
    assert told == ["over", "over"]


async def test_who_leaves_lets_the_next_one_go(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The first needs more than there is; behind it stands one who does not."""
    one = talk(nursery, credits=4)
    began = trio.current_time()
    async with trio.open_nursery() as inner:
        with trio.CancelScope() as scope:
            inner.start_soon(cancel_when_blocked, scope)
            inner.start_soon(post_after, one, scope)
            await one.connection.post([MIB])
    assert scope.cancelled_caught
    assert trio.current_time() - began < 1


async def post_after(one: Talk, scope: trio.CancelScope) -> None:
    await one.connection.post([ONE])


async def test_credits_given_to_who_left_are_given_back(nursery: trio.Nursery) -> None:
    one = talk(nursery, credits=1)
    [slot] = await one.connection.post([ONE])
    scope = trio.CancelScope()

    async def caller() -> None:
        with scope:
            await one.connection.post([ONE])

    async with trio.open_nursery() as inner:
        inner.start_soon(caller)
        await trio.testing.wait_all_tasks_blocked()
        # Both in one tick: he is cancelled, and a credit is taken for him before he notices.
        scope.cancel()
        one.connection.exchange.credits.grant(1, 1)
        one.connection._serve_credits()
    assert scope.cancelled_caught
    assert one.connection.exchange.credits.available == 1
    assert slot.message_id == 0
    assert one.connection.exchange.next_id == 1


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=12),
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
    st.integers(1, 20),
)
def test_credits_never_exceed_what_was_granted(
    callers: list[int], grants: list[int], first: int
) -> None:
    """Whoever asks for how much, in whatever order: the window is the server's to open."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            one = talk(nursery, credits=first)
            granted, spent, next_id = first, 0, 0
            for charge in callers:
                nursery.start_soon(post_and_leave, one, charge)
            await trio.testing.wait_all_tasks_blocked()
            for grant in [*grants, *[9] * 40]:
                heard: list[Header] = []
                with trio.move_on_after(0.01), suppress(ConnectionLost):  # the last credit is gone
                    heard = await one.peer.hear()
                for header in heard:
                    assert header.message_id == next_id
                    next_id += header.credit_charge
                    spent += header.credit_charge
                    assert spent <= granted
                    granted += grant
                    await one.peer.answer(header, credits=grant)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def post_and_leave(one: Talk, charge: int) -> None:
    try:
        await one.connection.post([read(charge * 65536)])
    except ConnectionLost:
        return
