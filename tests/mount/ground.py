"""What the tests of a real mount stand on: a place seen from three sides, and short ways to ask.

Every test gets a directory of its own, seen through the mount under test, through another mount
(another client, which believes nothing it was told before), and on the server's own disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.mounted import MountedShare, MountError
from tests.samba import Samba

BELIEF_S = 1.0  # actimeo of the mount under test: what others did is seen after so long
TEST_S = 100.0  # for one test, on a busy machine; then its mounts are taken away
SLACK_S = 10.0  # what a busy machine may add to any time
LOUD = re.compile(r" (WARNING|ERROR|CRITICAL) |^Traceback")


@dataclass(frozen=True)
class Here:
    """One directory, from three sides."""

    path: Path  # through the mount under test
    other: Path  # through another mount, which always asks the server
    behind: Path  # on the server's disk
    complaints: list[str] = field(default_factory=list)  # what the mounts may log, as patterns


def complaints(log: str, expected: list[str]) -> list[str]:
    """The warnings and errors in a log that were not expected."""
    return [
        line
        for line in log.splitlines()
        if LOUD.search(line) and not any(re.search(pattern, line) for pattern in expected)
    ]


class Lasting:
    """A mount that many tests share; one that a test broke is made anew for the next."""

    def __init__(self, server: Samba, share: str, *options: str) -> None:
        self._how = server, share, options
        self._mounted: MountedShare | None = None

    def get(self) -> MountedShare:
        """The mount, alive."""
        if self._mounted is not None and not self._mounted.is_running():
            sys.stderr.write(
                f"the mount of the tests before is gone; it said:\n{self._mounted.log()}"
            )
            self.close()
        if self._mounted is None:
            server, share, options = self._how
            mounted = MountedShare(server, share, *options)
            mounted.mount()
            self._mounted = mounted
        return self._mounted

    def close(self) -> None:
        """Unmount; what went wrong there was told by the test that broke it."""
        mounted, self._mounted = self._mounted, None
        if mounted is not None:
            with contextlib.suppress(MountError):
                mounted.close()


@contextlib.contextmanager
def opened(
    path: Path | str | bytes,
    flags: int = os.O_RDONLY,
    mode: int = 0o644,
    dir_fd: int | None = None,
) -> Iterator[int]:
    """A file descriptor, closed at the end."""
    fd = os.open(path, flags, mode, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def fails(*numbers: int) -> Iterator[None]:
    """What is inside must fail, with one of these error numbers."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked below
        yield
    names = [errno.errorcode[number] for number in numbers]
    assert caught.value.errno in numbers, f"{caught.value!r}, not {' or '.join(names)}"


def eventually(is_so: Callable[[], bool], seconds: float = BELIEF_S + SLACK_S) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that look random, and are the same for the same seed."""
    return random.Random(seed).randbytes(size)
