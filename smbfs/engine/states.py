"""The lives of a connection and of a link, drawn as tables.

A missing key is a bug and raises; the last state is for ever.  Recovery of open handles adds
events here, not booleans elsewhere.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Generic, TypeVar

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


class ConnectionState(Enum):
    """Where one TCP connection is in its life."""

    NEGOTIATING = auto()
    READY = auto()
    SILENT = auto()  # nothing was heard although something waits; an ECHO is out
    LOST = auto()  # for ever: the next connection is another object


class ConnectionEvent(Enum):
    """What can happen to a connection."""

    NEGOTIATED = auto()
    QUIET = auto()
    HEARD = auto()
    BROKE = auto()


CONNECTION: dict[tuple[ConnectionState, ConnectionEvent], ConnectionState] = {
    (ConnectionState.NEGOTIATING, ConnectionEvent.NEGOTIATED): ConnectionState.READY,
    (ConnectionState.NEGOTIATING, ConnectionEvent.QUIET): ConnectionState.NEGOTIATING,
    (ConnectionState.NEGOTIATING, ConnectionEvent.HEARD): ConnectionState.NEGOTIATING,
    (ConnectionState.NEGOTIATING, ConnectionEvent.BROKE): ConnectionState.LOST,
    (ConnectionState.READY, ConnectionEvent.QUIET): ConnectionState.SILENT,
    (ConnectionState.READY, ConnectionEvent.HEARD): ConnectionState.READY,
    (ConnectionState.READY, ConnectionEvent.BROKE): ConnectionState.LOST,
    (ConnectionState.SILENT, ConnectionEvent.QUIET): ConnectionState.SILENT,
    (ConnectionState.SILENT, ConnectionEvent.HEARD): ConnectionState.READY,
    (ConnectionState.SILENT, ConnectionEvent.BROKE): ConnectionState.LOST,
    # It answered and hung up before we had read the answer.
    (ConnectionState.LOST, ConnectionEvent.NEGOTIATED): ConnectionState.LOST,
    (ConnectionState.LOST, ConnectionEvent.HEARD): ConnectionState.LOST,
    (ConnectionState.LOST, ConnectionEvent.QUIET): ConnectionState.LOST,
    (ConnectionState.LOST, ConnectionEvent.BROKE): ConnectionState.LOST,
}


class LinkState(Enum):
    """Where a link, the way to one share through any number of connections, is in its life."""

    CLOSED = auto()
    CONNECTING = auto()
    READY = auto()
    LOST = auto()  # there was a connection; the next call makes a new one
    ENDED = auto()  # for ever: unmounted


class LinkEvent(Enum):
    """What can happen to a link."""

    DIAL = auto()
    CONNECTED = auto()
    FAILED = auto()
    BROKE = auto()
    END = auto()


LINK: dict[tuple[LinkState, LinkEvent], LinkState] = {
    (LinkState.CLOSED, LinkEvent.DIAL): LinkState.CONNECTING,
    (LinkState.CLOSED, LinkEvent.END): LinkState.ENDED,
    (LinkState.CONNECTING, LinkEvent.CONNECTED): LinkState.READY,
    (LinkState.CONNECTING, LinkEvent.FAILED): LinkState.LOST,
    (LinkState.CONNECTING, LinkEvent.END): LinkState.ENDED,
    (LinkState.READY, LinkEvent.BROKE): LinkState.LOST,
    (LinkState.READY, LinkEvent.END): LinkState.ENDED,
    (LinkState.LOST, LinkEvent.DIAL): LinkState.CONNECTING,
    (LinkState.LOST, LinkEvent.BROKE): LinkState.LOST,
    (LinkState.LOST, LinkEvent.END): LinkState.ENDED,
    (LinkState.ENDED, LinkEvent.CONNECTED): LinkState.ENDED,
    (LinkState.ENDED, LinkEvent.FAILED): LinkState.ENDED,
    (LinkState.ENDED, LinkEvent.BROKE): LinkState.ENDED,
    (LinkState.ENDED, LinkEvent.END): LinkState.ENDED,
}


class Machine(Generic[S, E]):
    """A state that changes only as its table says."""

    def __init__(self, table: dict[tuple[S, E], S], state: S) -> None:
        self._table = table
        self.state = state

    def step(self, event: E) -> bool:
        """Take one step; True if the state changed.  Raises KeyError where no step is drawn."""
        before, self.state = self.state, self._table[self.state, event]
        return self.state is not before
