"""The fake server with an engine on it: what most tests begin with.

>>> async with fake_link(nursery) as (link, server): ...
>>> async with fake_share(nursery, script=[Splits()]) as (share, server): ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import trio

from smbfs.auth import Login, Secret
from smbfs.engine.dialect import Policy
from smbfs.engine.leasing import Break
from smbfs.engine.link import Link, Target
from smbfs.engine.share import Share
from tests.fake.login import PASSWORD, USER, Nature
from tests.fake.script import BadDay
from tests.fake.server import FakeServer
from tests.fake.tree import Volume

HOST = "fake"
LOGIN = Login(USER, Secret(PASSWORD))


@asynccontextmanager
async def fake_link(
    nursery: trio.Nursery,
    *,
    share: Volume | None = None,
    policy: Policy | None = None,
    script: Iterable[BadDay] = (),
    nature: Nature | None = None,
    server: FakeServer | None = None,
    login: Login = LOGIN,
    on_break: Callable[[Break], None] | None = None,
    violations: int = 0,
) -> AsyncIterator[tuple[Link, FakeServer]]:
    """A link to a fake server; not connected before somebody asks.

    At the end it is closed, the server hangs up, and a client that broke the rules has failed,
    unless that many ``violations`` are part of the test.
    """
    if server is None:
        server = FakeServer(share or Volume(), nature=nature, script=script)
    link = Link(
        Target(HOST, server.volume.name),
        policy or Policy(),
        lambda: [login],
        server.dialler(nursery),
        nursery,
    )
    if on_break is not None:
        link.on_break = on_break
    try:
        yield link, server
    finally:
        server.script.clear()
        await link.close()
        server.hang_up()
    assert len(server.violations) == violations, server.violations


@asynccontextmanager
async def fake_share(
    nursery: trio.Nursery,
    *,
    share: Volume | None = None,
    prefix: str = "",
    policy: Policy | None = None,
    script: Iterable[BadDay] = (),
    nature: Nature | None = None,
    server: FakeServer | None = None,
    login: Login = LOGIN,
    violations: int = 0,
) -> AsyncIterator[tuple[Share, FakeServer]]:
    """A connected `Share` on a fake server; the server's counters begin when it is connected."""
    async with fake_link(
        nursery,
        share=share,
        policy=policy,
        script=script,
        nature=nature,
        server=server,
        login=login,
        violations=violations,
    ) as (link, fake):
        connected = Share(link, prefix)
        await connected.connect()
        fake.requests.clear()
        yield connected, fake
