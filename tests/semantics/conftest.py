"""One server and a few mounts for all promises, and a directory of its own for each test."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from tests.mount.ground import TEST_S, Lasting
from tests.mounted import MountedShare
from tests.samba import Samba

NUMBERS = count(1)
Mounts = Callable[..., MountedShare]


@dataclass(frozen=True)
class Here:
    """One directory of the share: through a mount as it comes, and on the server's disk."""

    path: Path
    behind: Path
    mounts: Mounts

    def through(self, *options: str) -> Path:
        """The same directory through a mount with these options."""
        return self.mounts(*options).path / self.path.name


@contextlib.contextmanager
def meanwhile(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Do something after that time, while what is inside waits for it."""
    timer = threading.Timer(seconds, action)
    timer.start()
    try:
        yield
    finally:
        timer.join()


@pytest.fixture(scope="session", autouse=True)
def everything_here_mounts(transport: str) -> None:
    """Every test of this directory runs for every transport."""


@pytest.fixture(scope="session")
def lasting(samba: Samba, transport: str) -> Iterator[dict[tuple[str, ...], Lasting]]:
    """The mounts that were made so far, by their options; unmounted at the end."""
    made: dict[tuple[str, ...], Lasting] = {}
    yield made
    for one in made.values():
        one.close()


@pytest.fixture
def mounts(samba: Samba, lasting: dict[tuple[str, ...], Lasting]) -> Iterator[Mounts]:
    """A mount of the share with these options: one for each set of them, kept."""
    with contextlib.ExitStack() as stack:

        def with_options(*options: str) -> MountedShare:
            lasting.setdefault(options, Lasting(samba, "share", *options))
            mounted = lasting[options].get()
            stack.enter_context(mounted.limited(TEST_S))
            return mounted

        yield with_options


@pytest.fixture
def here(mounts: Mounts) -> Iterator[Here]:
    """A directory of this test's own."""
    mounted = mounts()
    name = f"promise-{next(NUMBERS)}"
    behind = mounted.behind / name
    behind.mkdir()
    yield Here(mounted.path / name, behind, mounts)
    shutil.rmtree(behind)


@pytest.fixture
def private() -> Iterator[Samba]:
    """A server of this test's own, to be ill-treated."""
    with Samba() as server:
        yield server
