"""One server and two mounts for all tests of this directory, and a place of its own for each."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from itertools import count

import pytest

from tests import samba
from tests.mount.ground import TEST_S, Here, Lasting, complaints

NUMBERS = count(1)


@pytest.fixture(scope="session", autouse=True)
def everything_here_mounts(transport: str) -> None:
    """Every test of this directory runs for every transport."""


@pytest.fixture(scope="session")
def server() -> Iterator[samba.Samba]:
    """The server that all of these tests share, and leave as it was."""
    if not samba.is_installed():
        pytest.skip("needs smbd, pdbedit and smbclient: packaging/bootstrap installs them")
    with samba.Samba() as running:
        yield running


@pytest.fixture(scope="session")
def first(server: samba.Samba, transport: str) -> Iterator[Lasting]:
    """The mount under test, as it comes."""
    lasting = Lasting(server, "share")
    yield lasting
    lasting.close()


@pytest.fixture(scope="session")
def second(server: samba.Samba, transport: str) -> Iterator[Lasting]:
    """Another client, to which the server tells everything afresh."""
    lasting = Lasting(server, "share", "actimeo=0", "cache=none")
    yield lasting
    lasting.close()


@pytest.fixture
def here(first: Lasting, second: Lasting) -> Iterator[Here]:
    """A directory of this test's own."""
    one, two = first.get(), second.get()
    name = f"test-{next(NUMBERS)}"
    behind = one.behind / name
    behind.mkdir()
    with contextlib.ExitStack() as stack:
        stack.enter_context(one.limited(TEST_S))
        stack.enter_context(two.limited(TEST_S))
        before = len(one.log()), len(two.log())
        place = Here(one.path / name, two.path / name, behind)
        yield place
        shutil.rmtree(behind)
    said = one.log()[before[0] :] + two.log()[before[1] :]
    assert complaints(said, place.complaints) == []
