"""Locks of two whole filesystems on one file, on the fake server and on Samba alike."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
import trio

from smbfs.engine.link import Link
from smbfs.engine.share import Share
from smbfs.fuse.server import ROOT
from smbfs.vfs.filesystem import Filesystem
from smbfs.vfs.policy import DataPolicy
from smbfs.vfs.presentation import Presentation
from tests.contract.servers import USUAL, Bench, Served, link_to
from tests.fake import fake_link
from tests.vfs.bench import WHO
from tests.vfs.locking import HERE, READ, THERE, UNLOCK, WRITE, Machine

PATIENCE_S = 5


@asynccontextmanager
async def machine(link: Link, nursery: trio.Nursery) -> AsyncIterator[Machine]:
    """A filesystem on a share, with the file open."""
    share = Share(link)
    await share.connect()
    fs = Filesystem(share, Presentation(1000, 100), DataPolicy(), nursery)
    await fs.start()
    entry = await fs.lookup(WHO, ROOT, b"file")
    assert entry.attributes is not None
    opened = await fs.open(WHO, entry.attributes.node, os.O_RDWR)
    yield Machine(fs, link, entry.attributes.node, opened.fh)
    await fs.stop()


@pytest.fixture
async def machines(
    served: Served, bench: Bench, nursery: trio.Nursery
) -> AsyncIterator[tuple[Machine, Machine]]:
    """Two machines that have the same file open."""
    bench.place.put("file", b"0123456789")
    async with machine(bench.link, nursery) as one:
        if served.samba is None:
            async with fake_link(nursery, server=bench.fake) as (link, _):
                async with machine(link, nursery) as two:
                    yield one, two
                await one.fs.stop()
            return
        # Samba serves all connections of one client in one process, whose two handles it confuses:
        # of two shared locks on a range that are let go, one stays on the disk's file.
        another = replace(USUAL.policy, client_guid=uuid4().bytes)
        link = link_to(served.samba, "share", another, nursery)
        async with machine(link, nursery) as two:
            yield one, two
        await link.close()


async def test_they_exclude_each_other(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    for flock in (False, True):
        await one.lock(WRITE, flock=flock)
        assert await two.is_refused(READ, flock=flock)
        await one.lock(READ, flock=flock)
        await two.lock(READ, flock=flock)
        assert await one.is_refused(WRITE, owner=THERE, flock=flock)
        await one.lock(UNLOCK, flock=flock)
        await two.lock(WRITE, flock=flock)
        assert await one.is_refused(READ, flock=flock)
        await two.lock(UNLOCK, flock=flock)
        await one.lock(WRITE, flock=flock)
        await one.lock(UNLOCK, flock=flock)


async def test_parts(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    await one.lock(READ, 0, 100)
    await one.lock(WRITE, 40, 50)
    assert await two.may(40, 50) == ""
    assert await two.may(0, 40) == "S"
    await one.lock(READ, 40, 50)
    assert await two.may(0, 100) == "S"
    await one.lock(UNLOCK, 0, 90)
    assert await two.may(0, 90) == "X"
    assert await two.may(90, 100) == "S"
    assert await two.getlk(READ, 90, 95) is None
    found = await two.getlk(WRITE, 90, 95)
    assert found is not None
    assert (found.type, found.owner) == (READ, 0)
    await one.close(owner=HERE)
    one.fh = await one.open()
    assert await two.may(0, 100) == "X"


async def test_waiting(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    await one.lock(WRITE, 0, 10)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:

            async def waits() -> None:
                await two.lock(WRITE, 5, 15, wait=True)

            nursery.start_soon(waits)
            await trio.sleep(0.1)
            await one.lock(UNLOCK)
    assert await one.may(10, 15) == ""


async def test_giving_up(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    await one.lock(WRITE, 0, 10)
    with trio.move_on_after(0.1):
        await two.lock(WRITE, 5, 15, wait=True)
    await one.lock(UNLOCK)
    with trio.fail_after(PATIENCE_S):
        await one.lock(WRITE, wait=True)


async def test_data_under_a_lock(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    assert await two.read(1) == b"0"
    await one.lock(WRITE)
    other = await one.open()
    assert await one.read(fh=other) == b"0123456789"
    await one.write(b"more", 10, fh=other)
    assert await one.read() == b"0123456789more"
    await one.lock(UNLOCK)
    await two.lock(READ)
    assert await two.read() == b"0123456789more"
