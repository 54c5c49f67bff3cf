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


class Invalidations(Protocol):
    """What writes a notice, as pyfuse3 spells it; may wait for long, raises OSError."""

    def invalidate_inode(self, inode: int, attr_only: bool) -> None:
        """Have attributes forgotten, and cached data unless told otherwise."""

    def invalidate_entry(self, inode_p: int, name: bytes, deleted: int) -> None:
        """Have a name forgotten; ``deleted`` is the node that went with it, or 0."""


class Notices:
    """A `smbfs.fuse.server.Kernel`: notices in a queue, and the thread that writes them."""

    def __init__(self, kernel: Invalidations) -> None:
        self._kernel = kernel
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)
        self._thread.start()

    def attributes_changed(self, node: Node) -> None:
        """Forget the attributes of a node."""
        self._queue.put(lambda: self._kernel.invalidate_inode(node, True))

    def data_changed(
        self,
        node: Node,
        offset: int = 0,
        size: int = -1,
        then: Callable[[], None] | None = None,
    ) -> None:
        """Drop all cached data of a node: pyfuse3 knows no ranges."""
        self._queue.put(partial(self._drop, node, then))

    def name_changed(self, parent: Node, name: bytes) -> None:
        """Look a name up again."""
        self._queue.put(lambda: self._kernel.invalidate_entry(parent, name, 0))

    def name_removed(self, parent: Node, name: bytes, node: Node) -> None:
        """Drop a name that is gone."""
        self._queue.put(lambda: self._kernel.invalidate_entry(parent, name, node))

    def data_known(self, node: Node, offset: int, data: bytes) -> None:
        """Leave it: what the kernel wants to know it asks for."""

    def _drop(self, node: Node, then: Callable[[], None] | None) -> None:
        try:
            self._kernel.invalidate_inode(node, False)
        finally:
            if then is not None:
                then()

    def close(self) -> None:
        """End the thread once it has told what was posted; does not wait for it."""
        self._queue.put(None)

    def join(self, seconds: float) -> bool:
        """Wait for the end after `close`; tells whether it came."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (notice := self._queue.get()) is not None:
            try:
                notice()
            except OSError as error:  # not cached any more, or unmounted: both are fine
                log.debug("notice: %s", error)
