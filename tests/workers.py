"""Running the tests in several processes at once (pytest-xdist): who does what, and who hangs.

What belongs together stays in one worker: the tests of a module by one transport, since they share
servers and mounts; whatever has a mark ``xdist_group`` by that.  Mounted tests come first, as they
mostly wait, one transport after the other; the others fill the gaps.

Knows pytest's items and xdist's mark.  Easily broken: xdist reads the marks when it is its turn in
`pytest_collection_modifyitems`, so they have to be there before.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import time
from types import FrameType

import pytest

from tests.processes import children
from tests.transports import TRANSPORTS

TURN_S = 0.5  # for one process to write down its stacks, before the next does


def transport_of(item: pytest.Item) -> str:
    """What the test mounts by; empty if it mounts nothing."""
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return ""
    return str(item.callspec.params.get("transport", ""))


def group(items: list[pytest.Item]) -> None:
    """Mark each test with the group that one worker takes as a whole."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            module = item.nodeid.partition("::")[0].removesuffix(".py").replace("/", ".")
            item.add_marker(pytest.mark.xdist_group(f"{module}-{transport_of(item)}"))


def order(items: list[pytest.Item]) -> None:
    """Put the tests in the order in which the workers take them."""

    def rank(item: pytest.Item) -> int:
        transport = transport_of(item)
        return TRANSPORTS.index(transport) if transport in TRANSPORTS else len(TRANSPORTS)

    items.sort(key=rank)


class Stacks:
    """What SIGUSR1 does: every process of this run says where its threads are, one at a time.

    Past pytest's capturing, to where the errors of the run go.
    """

    def __init__(self, *, has_workers: bool) -> None:
        self._file = os.dup(2)
        self._before = None
        if has_workers:
            self._before = signal.signal(signal.SIGUSR1, self._ask_workers)
        faulthandler.register(signal.SIGUSR1, self._file, all_threads=True, chain=has_workers)

    def _ask_workers(self, number: int, frame: FrameType | None) -> None:
        # Here no test runs, so the workers are the only children.
        for pid in children(os.getpid()):
            os.write(self._file, f"\nThe worker {pid}:\n".encode())
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)
            time.sleep(TURN_S)

    def close(self) -> None:
        """Give the signal and the descriptor back."""
        faulthandler.unregister(signal.SIGUSR1)
        if self._before is not None:
            signal.signal(signal.SIGUSR1, self._before)
        os.close(self._file)
