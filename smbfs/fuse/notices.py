"""The thread that tells the kernel what it must not believe any more.

A notice that touches pages waits for a read in flight on that file, one that touches a name waits
for a lookup in that folder; so they are posted, in order, and only this thread waits.  It knows
that notices may fail, which is fine: what is not cached cannot be stale.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

from smbfs.fuse.server import Node

log = logging.getLogger(__name__)

Posted = tuple[Callable[[], None], Callable[[], None] | None]  # the notice, and what comes then


class Writer(Protocol):
    """What writes a notice; each may wait for long, and raises OSError."""

    def drop_attributes(self, node: Node) -> None:
        """Have attributes forgotten; never waits."""

    def drop_data(self, node: Node, offset: int, size: int) -> None:
        """Have cached data forgotten; a negative size means to the end."""

    def expire_name(self, parent: Node, name: bytes) -> None:
        """Have a name looked up again."""

    def remove_name(self, parent: Node, name: bytes, node: Node) -> None:
        """Have a name forgotten, and its watchers told."""

    def store(self, node: Node, offset: int, data: bytes) -> None:
        """Put bytes into the cache."""


class Notices:
    """A `smbfs.fuse.server.Kernel`: notices in a queue, and the thread that writes them."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._queue: queue.SimpleQueue[Posted | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    def attributes_changed(self, node: Node) -> None:
        """Forget the attributes of a node."""
        self._post(partial(self._writer.drop_attributes, node))

    def data_changed(
        self,
        node: Node,
        offset: int = 0,
        size: int = -1,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Drop cached data of a node."""
        self._post(partial(self._writer.drop_data, node, offset, size), then)

    def name_changed(self, parent: Node, name: bytes) -> None:
        """Look a name up again."""
        self._post(partial(self._writer.expire_name, parent, name))

    def name_removed(self, parent: Node, name: bytes, node: Node) -> None:
        """Drop a name that is gone."""
        self._post(partial(self._writer.remove_name, parent, name, node))

    def data_known(self, node: Node, offset: int, data: bytes) -> None:
        """Put bytes into the kernel's cache before anybody asks for them."""
        self._post(partial(self._writer.store, node, offset, data))

    def close(self) -> None:
        """End the thread once it has told what was posted; does not wait for it.

        Nothing may be posted afterwards.
        """
        self._queue.put(None)

    def join(self, seconds: float) -> bool:
        """Wait for the end after `close`; tells whether it came."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _post(self, notice: Callable[[], None], then: Callable[[], None] | None = None) -> None:
        self._queue.put((notice, then))

    def _run(self) -> None:
        while (posted := self._queue.get()) is not None:
            notice, then = posted
            try:
                notice()
            except OSError as error:  # not cached any more, or unmounted: both are fine
                log.debug("notice: %s", error)
            if then is not None:
                then()
