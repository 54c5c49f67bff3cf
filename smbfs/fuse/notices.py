"""The threads that tell the kernel what it must not believe any more.

A notice that touches pages waits for a read in flight on that file, one that touches a name waits
for a lookup in that folder; so they are posted, and only these threads wait.  What is about one
node goes in order; what is about another one may overtake it, or one slow read would keep old data
of all files in the kernel.

Easily broken: who waits in the kernel cannot be killed and holds the descriptors that it sees, so
these threads see none but the kernel's (`Writer.alone`).  They cannot even wake the event loop:
one more thread, which never waits in the kernel, does what comes then.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from smbfs.fuse.server import Names, Node

log = logging.getLogger(__name__)

MOST_THREADS = 8
Then = Callable[[], None] | None


class Writer(Protocol):
    """What writes a notice; each may wait for long, and raises OSError."""

    def alone(self) -> None:
        """Prepare the thread that is going to write: it shall hold nothing but what it needs."""

    def drop_attributes(self, node: Node) -> None:
        """Have attributes forgotten; never waits."""

    def drop_data(self, node: Node, offset: int, size: int) -> None:
        """Have cached data forgotten; a negative size means to the end."""

    def expire_name(self, parent: Node, name: bytes) -> None:
        """Have a name looked up again."""

    def release_name(self, parent: Node, name: bytes) -> None:
        """Have a name forgotten, and what it leads to, unless that is in use."""

    def remove_name(self, parent: Node, name: bytes, node: Node) -> None:
        """Have a name forgotten, and its watchers told."""

    def store(self, node: Node, offset: int, data: bytes) -> None:
        """Put bytes into the cache."""


@dataclass(frozen=True, slots=True)
class _Posted:
    node: Node  # what it is about, for the order
    write: Callable[[], None]
    then: Then


@dataclass(slots=True)
class _Teller:
    """One thread, what it has to tell, and about whom."""

    posted: queue.SimpleQueue[_Posted | None] = field(default_factory=queue.SimpleQueue)
    nodes: Counter[Node] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Told:
    """What became of a notice."""

    teller: _Teller
    posted: _Posted
    error: Exception | None


def quietly(drop: Callable[[Node], None], node: Node) -> None:
    """Give a notice that never waits; a node that is not cached is nothing to speak of."""
    try:
        drop(node)
    except OSError as error:
        log.debug("notice: %s", error)


class OnlyAttributes:
    """A `smbfs.fuse.server.Kernel` that can do no more than have attributes forgotten.

    The kernel then looks at the file itself, and drops what it has of one that has changed.
    """

    def __init__(self, drop: Callable[[Node], None]) -> None:
        self._drop = drop
        self.is_open = False  # the kernel can be told something

    def attributes_changed(self, node: Node) -> None:
        """Forget the attributes of a node, now: that never waits."""
        if self.is_open:
            quietly(self._drop, node)

    def data_changed(
        self,
        node: Node,
        offset: int = 0,
        size: int = -1,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Have the kernel look whether it has to drop something."""
        self.attributes_changed(node)
        if then is not None:
            then()

    def name_changed(self, parent: Node, name: bytes) -> None:
        """Leave a name for as long as the kernel was told to believe it."""

    def name_removed(self, parent: Node, name: bytes, node: Node) -> None:
        """Leave a name for as long as the kernel was told to believe it."""

    def names_unneeded(self, names: Names, then: Callable[[], None]) -> None:
        """Leave it to the kernel to let go when it is short of memory."""
        then()

    def data_known(self, node: Node, offset: int, data: bytes) -> None:
        """Leave it to the kernel to ask."""


class Notices:
    """A `smbfs.fuse.server.Kernel`: notices in queues, and the threads that write them."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._tellers: list[_Teller] = []
        self._threads: list[threading.Thread] = []
        self._told: queue.SimpleQueue[_Told | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self._finisher = threading.Thread(target=self._finish, name="notices told", daemon=True)
        self._finisher.start()

    def attributes_changed(self, node: Node) -> None:
        """Forget the attributes of a node, now: that never waits."""
        if not self._is_closed:
            quietly(self._writer.drop_attributes, node)

    def data_changed(
        self,
        node: Node,
        offset: int = 0,
        size: int = -1,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Drop cached data of a node."""
        self._post(node, partial(self._writer.drop_data, node, offset, size), then)

    def name_changed(self, parent: Node, name: bytes) -> None:
        """Look a name up again."""
        self._post(parent, partial(self._writer.expire_name, parent, name))

    def name_removed(self, parent: Node, name: bytes, node: Node) -> None:
        """Drop a name that is gone."""
        self._post(parent, partial(self._writer.remove_name, parent, name, node))

    def names_unneeded(self, names: Names, then: Callable[[], None]) -> None:
        """Let go of names and of what they lead to; what is not held any more is passed over."""

        def release() -> None:
            for parent, name in names:
                with suppress(OSError):
                    self._writer.release_name(parent, name)

        self._post(names[0][0], release, then)

    def data_known(self, node: Node, offset: int, data: bytes) -> None:
        """Put bytes into the kernel's cache before anybody asks for them."""
        self._post(node, partial(self._writer.store, node, offset, data))

    def close(self) -> None:
        """End the threads once they have told what was posted; does not wait for it."""
        with self._lock:
            self._is_closed = True
            for teller in self._tellers:
                teller.posted.put(None)

    def join(self, seconds: float) -> bool:
        """Wait for the end after `close`, so long for each thread; tells whether it came."""
        for thread in self._threads:
            thread.join(seconds)
        if any(thread.is_alive() for thread in self._threads):
            return False
        self._told.put(None)
        self._finisher.join(seconds)
        return not self._finisher.is_alive()

    def _post(self, node: Node, write: Callable[[], None], then: Then = None) -> None:
        with self._lock:
            if not self._is_closed:
                teller = self._teller_for(node)
                teller.nodes[node] += 1
                teller.posted.put(_Posted(node, write, then))
                return
        if then is not None:
            then()  # nobody will hear of it, so there is nothing to wait for

    def _teller_for(self, node: Node) -> _Teller:
        """Who tells of this node already, or has nothing to do, or least."""
        for teller in self._tellers:
            if node in teller.nodes:
                return teller
        least = min(self._tellers, key=lambda one: len(one.nodes), default=None)
        if least is not None and (not least.nodes or len(self._tellers) >= MOST_THREADS):
            return least
        teller = _Teller()
        thread = threading.Thread(target=self._run, args=[teller], name="notices", daemon=True)
        self._tellers.append(teller)
        self._threads.append(thread)
        thread.start()
        return teller

    def _run(self, teller: _Teller) -> None:
        self._writer.alone()
        while (posted := teller.posted.get()) is not None:
            error: Exception | None = None
            try:
                posted.write()
            except Exception as failure:
                error = failure
            self._told.put(_Told(teller, posted, error))

    def _finish(self) -> None:
        """Do what comes after each notice."""
        while (told := self._told.get()) is not None:
            posted, nodes = told.posted, told.teller.nodes
            with self._lock:
                nodes[posted.node] -= 1
                if not nodes[posted.node]:
                    del nodes[posted.node]
            if isinstance(told.error, OSError):  # not cached any more, or unmounted: both are fine
                log.debug("notice: %s", told.error)
            elif told.error is not None:
                log.error("bug: a notice to the kernel failed: %r", told.error)
            if posted.then is not None:
                posted.then()
