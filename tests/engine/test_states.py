"""Every state and every event is drawn or refused, and the last state is for ever."""

from __future__ import annotations

from enum import Enum
from itertools import product
from typing import Any

import pytest

from smbfs.engine.handle import HANDLE, HandleEvent, HandleState
from smbfs.engine.states import (
    CONNECTION,
    LINK,
    ConnectionEvent,
    ConnectionState,
    LinkEvent,
    LinkState,
    Machine,
)

MACHINES: list[tuple[str, dict[Any, Any], type[Enum], type[Enum], Enum, Enum]] = [
    (
        "connection",
        CONNECTION,
        ConnectionState,
        ConnectionEvent,
        ConnectionState.NEGOTIATING,
        ConnectionState.LOST,
    ),
    ("link", LINK, LinkState, LinkEvent, LinkState.CLOSED, LinkState.ENDED),
    ("handle", HANDLE, HandleState, HandleEvent, HandleState.OPENING, HandleState.CLOSED),
]
EACH = pytest.mark.parametrize(
    ("table", "states", "events", "first", "last"),
    [machine[1:] for machine in MACHINES],
    ids=[machine[0] for machine in MACHINES],
)


@EACH
def test_a_step_is_drawn_or_refused(
    table: dict[Any, Any], states: type[Enum], events: type[Enum], first: Enum, last: Enum
) -> None:
    for state, event in product(states, events):
        machine: Machine[Any, Any] = Machine(table, state)
        if (state, event) in table:
            assert machine.step(event) is (table[state, event] is not state)
            assert machine.state is table[state, event]
        else:
            with pytest.raises(KeyError):
                machine.step(event)
            assert machine.state is state


@EACH
def test_a_table_holds_nothing_else(
    table: dict[Any, Any], states: type[Enum], events: type[Enum], first: Enum, last: Enum
) -> None:
    assert set(table) <= set(product(states, events))
    assert set(table.values()) <= set(states)


@EACH
def test_every_state_can_be_reached(
    table: dict[Any, Any], states: type[Enum], events: type[Enum], first: Enum, last: Enum
) -> None:
    reached, before = {first}, set[Enum]()
    while reached != before:
        before = set(reached)
        reached |= {after for (state, _), after in table.items() if state in before}
    assert reached == set(states)


@EACH
def test_the_last_state_is_for_ever(
    table: dict[Any, Any], states: type[Enum], events: type[Enum], first: Enum, last: Enum
) -> None:
    assert {after for (state, _), after in table.items() if state is last} <= {last}


@EACH
def test_the_last_state_is_near(
    table: dict[Any, Any], states: type[Enum], events: type[Enum], first: Enum, last: Enum
) -> None:
    """Wherever one is, there is a way to the end."""
    ends, before = {last}, set[Enum]()
    while ends != before:
        before = set(ends)
        ends |= {state for (state, _), after in table.items() if after in before}
    assert ends == set(states)


@pytest.mark.parametrize("event", ConnectionEvent)
def test_a_lost_connection_takes_every_event(event: ConnectionEvent) -> None:
    """What is under way when it breaks must not find a hole in the table."""
    machine = Machine(CONNECTION, ConnectionState.LOST)
    assert not machine.step(event)


@pytest.mark.parametrize("event", [one for one in LinkEvent if one is not LinkEvent.DIAL])
def test_an_ended_link_takes_what_comes_late(event: LinkEvent) -> None:
    assert not Machine(LINK, LinkState.ENDED).step(event)
