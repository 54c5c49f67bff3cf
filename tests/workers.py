"""Running the tests in several processes at once (pytest-xdist): who does what, and who hangs.

What belongs together stays in one worker, in its order: the tests of a module by one transport,
since they share servers and mounts.  Mounted tests come first, as they mostly wait, one transport
after the other; the others fill the gaps, and what takes long begins early.

Knows pytest's items and xdist's schedulers.  Easily broken: xdist's own groups (the mark
``xdist_group``) do nothing, silently, under pytest 9.2; hence a scheduler that goes by the names.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import time
from types import FrameType

from xdist.scheduler import LoadScopeScheduling

from tests.processes import children
from tests.transports import TRANSPORTS

TURN_S = 0.5  # for one process to write down its stacks, before the next does

# Begun last, these would keep one worker busy while the others have nothing to do any more.
LONG = (
    "tests/model/test_filesystem.py",
    "tests/wire/test_vectors.py",
    "tests/vfs/test_content_storm.py",
    "tests/options/test_parse.py",
)
# What there is only once on a machine: these run for one transport at a time.
ALONE = ("tests/cli/test_helper.py",)  # /sbin/mount.smbfs


def transport_of(test: str) -> str:
    """What the test mounts by, as its name has it; empty if it mounts nothing."""
    parameters = test.partition("[")[2].removesuffix("]").split("-")
    return next((one for one in TRANSPORTS if one in parameters), "")


def scope_of(test: str) -> str:
    """What one worker takes as a whole."""
    module = test.partition("::")[0]
    return module if module in ALONE else f"{module} {transport_of(test)}"


def rank(test: str) -> tuple[int, bool]:
    """When it is its turn: the least comes first."""
    transport = transport_of(test)
    turn = TRANSPORTS.index(transport) if transport else len(TRANSPORTS)
    return turn, test.partition("::")[0] not in LONG


class ByModule(LoadScopeScheduling):  # type: ignore[misc]  # xdist tells no types
    """Gives a worker all of a scope at once, and scopes in their order."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


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
