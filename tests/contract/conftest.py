"""The matrix of the contract: every server, and every manner of talking to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from tests.contract.servers import MANNERS, USUAL, Bench, Manner, Served


@pytest.fixture(params=["fake", "samba"])
def served(request: pytest.FixtureRequest) -> Served:
    """One server after the other."""
    samba = request.getfixturevalue("samba") if request.param == "samba" else None
    return Served(request.param, samba)


@pytest.fixture(params=MANNERS, ids=str)
def manner(request: pytest.FixtureRequest) -> Manner:
    """One manner after the other."""
    found = request.param
    assert isinstance(found, Manner)
    return found


@pytest.fixture
async def bench(served: Served, nursery: trio.Nursery) -> AsyncIterator[Bench]:
    """A share in the usual manner."""
    async with served.bench(nursery, USUAL) as made:
        yield made


@pytest.fixture
async def any_bench(served: Served, manner: Manner, nursery: trio.Nursery) -> AsyncIterator[Bench]:
    """A share in every manner."""
    async with served.bench(nursery, manner) as made:
        yield made
