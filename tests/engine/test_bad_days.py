"""The server's bad days: the same work gets done, or fails soon, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from smbfs.engine.dialect import DIALECTS_FOR, Policy
from smbfs.engine.handle import Handle
from smbfs.engine.how import How
from smbfs.engine.share import Share
from smbfs.engine.steps import query_all, rename_to, set_disposition, write
from smbfs.errors import ConnectionLost, ServerSilent, SmbError, StatusError, Tampered
from smbfs.wire.constants import Access, Disposition, Options
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake import FakeServer, Volume, fake_link, fake_share
from tests.fake.messages import Proof
from tests.fake.script import (
    BadDay,
    BreaksChains,
    Delay,
    Drops,
    Fails,
    Forges,
    LongReads,
    LyingNames,
    Merges,
    NeverGrants,
    Oversize,
    Pending,
    PlainReply,
    RefusesCompounds,
    Reorders,
    ShortReads,
    Silent,
    Splits,
    Starves,
    Truncates,
    UnknownId,
)

MAKING = How(
    Access.FILE_READ_DATA | Access.FILE_WRITE_DATA | Access.FILE_READ_ATTRIBUTES,
    Disposition.CREATE,
    Options.NON_DIRECTORY_FILE,
)
DATA = bytes(range(256)) * 1000
NAMES = [f"file {number}" for number in range(20)]
SEALED = Policy(seal=True)
OLD = Policy(dialects=DIALECTS_FOR["2.0"])


def volume() -> Volume:
    made = Volume()
    for name in NAMES:
        made.put(f"dir/{name}", name.encode())
    return made


@asynccontextmanager
async def opened(share: Share, path: str, how: How) -> AsyncIterator[Handle]:
    """Open, and close whatever happens: as everybody should."""
    handle, _ = await share.open(path, how)
    try:
        yield handle
    except BaseException:
        handle.close_soon()
        raise
    await handle.close()


async def work(share: Share) -> None:
    """A bit of everything, checked at each step."""
    async with opened(share, "new", MAKING) as handle:
        assert await handle.write(0, DATA) == len(DATA)
        assert b"".join(await handle.read(0, len(DATA))) == DATA
    _, information = await share.on("new", How.looking(), query_all())
    assert information.end_of_file == len(DATA)
    found: list[str] = []
    async with opened(share, "dir", How.listing()) as listing:
        while (page := await listing.list(1024)) is not None:
            found += [one.name for one in page]
    assert sorted(found) == sorted(NAMES)
    await share.on("new", How.renaming(), rename_to("dir\\newer", False))
    await share.on("dir\\newer", How.deleting(), set_disposition(True))
    with pytest.raises(StatusError, match="OBJECT_NAME_NOT_FOUND"):
        await share.on("dir\\newer", How.looking())


# The work gets done


@pytest.mark.parametrize("policy", [Policy(), SEALED, OLD], ids=["signed", "sealed", "2.0.2"])
@pytest.mark.parametrize(
    "script",
    [
        [],
        [Splits(sizes=(1, 7, 100, 5000))],
        [Merges()],
        [Reorders()],
        [Pending(seconds=0.5)],
        [Pending(seconds=20.0, on=Command.READ)],
        [Delay(seconds=14.0, on=Command.WRITE)],
        [Starves(credits=1)],
        [Starves(credits=17)],
        [ShortReads(size=40_000)],
        [BreaksChains()],
        [BreaksChains(), Reorders(), Splits(sizes=(3000,))],
        [Merges(), Reorders(), Pending(seconds=0.1, times=5)],
    ],
    ids=lambda script: "+".join(type(day).__name__ for day in script) or "none",
)
async def test_the_work_is_done(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    script: list[BadDay],
    policy: Policy,
) -> None:
    for day in script:
        day.seen = day.struck = 0
    async with fake_share(nursery, share=volume(), policy=policy, script=script) as (share, server):
        await work(share)
        await trio.testing.wait_all_tasks_blocked()
        assert not server.open_handles
        assert server.dialled == 1


@pytest.mark.parametrize("policy", [Policy(), SEALED], ids=["signed", "sealed"])
@pytest.mark.parametrize("status", [Status.INVALID_PARAMETER, Status.NOT_SUPPORTED])
async def test_a_server_that_takes_no_chains(
    nursery: trio.Nursery, policy: Policy, status: Status
) -> None:
    script = [RefusesCompounds(status=status)]
    async with fake_share(nursery, share=volume(), policy=policy, script=script) as (share, server):
        await work(share)
        assert max(map(len, server.requests)) == 1
        assert not server.open_handles


@settings(max_examples=25)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=6), st.booleans())
def test_any_split_of_the_stream_is_the_same(sizes: list[int], merges: bool) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            script: list[BadDay] = [Merges()] if merges else []
            script.append(Splits(sizes=sizes))
            async with fake_share(nursery, share=volume(), script=script) as (share, _):
                await share.on("new", MAKING, write(0, b"music"))
                _, information = await share.on("new", How.looking(), query_all())
                assert information.end_of_file == 5

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# The work fails, soon, and with a reason


@pytest.mark.parametrize(
    ("day", "policy", "kind", "match"),
    [
        (Silent(), Policy(), ServerSilent, "did not answer"),
        (Drops(), Policy(), ConnectionLost, "closed|broke"),
        (Drops(mid_frame=True), Policy(), ConnectionLost, "closed|broke"),
        (Forges(), Policy(), Tampered, "signature"),
        (Forges(proof=Proof.STRIPPED), Policy(), Tampered, "signature"),
        (Forges(proof=Proof.ZERO), Policy(), Tampered, "signature"),
        (Forges(), SEALED, Tampered, "broken"),
        (Forges(proof=Proof.STRIPPED), SEALED, Tampered, "a plain answer"),
        (PlainReply(), SEALED, Tampered, "a plain answer"),
        (UnknownId(), Policy(), ConnectionLost, "never sent"),
        (Truncates(on=Command.READ), Policy(), SmbError, "makes no sense"),
        (Truncates(on=Command.CREATE, size=0), Policy(), ConnectionLost, "a message of"),
        (Oversize(on=Command.CREATE), Policy(), ConnectionLost, "sent nonsense"),
        (Fails(status=Status.DISK_FULL), Policy(), StatusError, "DISK_FULL"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BadDay) else None,
)
async def test_the_work_fails(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    expect_log: Callable[[str], None],
    day: BadDay,
    policy: Policy,
    kind: type[SmbError],
    match: str,
) -> None:
    async with fake_share(nursery, share=volume(), policy=policy) as (share, server):
        server.script.append(replace(day))
        if issubclass(kind, Tampered):
            expect_log("ERROR .* the connection is closed")
        if issubclass(kind, ConnectionLost | Tampered):
            expect_log("connection lost")
        if kind is ServerSilent:
            expect_log("is away")
        with pytest.raises(kind, match=match):
            await work(share)
        assert trio.current_time() < 20
        await trio.testing.wait_all_tasks_blocked()
        assert not server.open_handles
        server.script.clear()
        await trio.sleep(40)
        for path in ("new", "dir/newer"):
            if server.volume.exists(path):
                server.volume.remove(path)
        await work(share)  # and the next call is as if nothing had been


@pytest.mark.logs("connection lost")
async def test_credits_that_never_come(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    async with fake_share(nursery, share=volume(), script=[Starves(credits=3)]) as (share, server):
        server.script.append(NeverGrants())
        failed = 0
        for _ in range(4):
            try:
                await share.on("dir", How.changing())
            except ConnectionLost:
                failed += 1
        assert failed
        assert trio.current_time() < 20


async def test_names_no_file_can_have_are_left_out(
    nursery: trio.Nursery, expect_log: Callable[[str], None]
) -> None:
    expect_log("unsafe name")
    async with fake_share(nursery, share=volume(), script=[LyingNames()]) as (share, _):
        await work(share)


async def test_more_bytes_than_were_asked_for(nursery: trio.Nursery) -> None:
    async with fake_share(nursery, share=volume(), script=[LongReads()]) as (share, server):
        handle, _ = await share.open("dir\\file 1", How.reading())
        with pytest.raises(SmbError, match="makes no sense"):
            await handle.read(0, 3)
        await handle.close()
        assert not server.open_handles


# Who leaves


class Steps(trio.abc.Instrument):
    """Cancels a scope when one task has been run so many times."""

    def __init__(self, scope: trio.CancelScope, limit: int) -> None:
        self._scope = scope
        self._task = trio.lowlevel.current_task()
        self.left = limit

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self.left -= 1
            if self.left == 0:
                self._scope.cancel()


@pytest.mark.parametrize("policy", [Policy(), OLD], ids=["chained", "one by one"])
async def test_cancelled_at_any_step_the_connection_stays_usable(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, policy: Policy
) -> None:
    async with fake_link(nursery, share=volume(), policy=policy) as (link, server):
        share = Share(link)
        await share.connect()
        limit, is_done = 0, False
        while not is_done:
            limit += 1
            is_done = await cancelled_after(share, limit)
            await left_as_it_was(share, server)
        assert limit > 10
        assert server.dialled == 1
        tree = await link.tree()
        credits = tree.session.connection.exchange.credits
        assert credits.available == credits.window  # nothing is under way, nothing is lost


async def cancelled_after(share: Share, limit: int) -> bool:
    """Do the work until so many steps were taken; whether that was enough."""
    with trio.CancelScope() as scope:
        counter = Steps(scope, limit)
        trio.lowlevel.add_instrument(counter)
        try:
            await work(share)
        finally:
            trio.lowlevel.remove_instrument(counter)
    return not scope.cancelled_caught


async def left_as_it_was(share: Share, server: FakeServer) -> None:
    await trio.testing.wait_all_tasks_blocked()
    assert not server.open_handles
    for path in ("new", "dir/newer"):
        if server.volume.exists(path):
            server.volume.remove(path)
    _, information = await share.on("dir", How.looking(), query_all())
    assert information.is_directory


async def test_cancelled_at_any_time_the_connection_stays_usable(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The same with answers that come later than the cancellation."""
    async with fake_share(nursery, share=volume()) as (share, server):
        seconds, is_done = -0.5, False
        while not is_done:
            seconds += 1
            server.script.append(Delay(seconds=1))
            with trio.move_on_after(seconds) as scope:
                await work(share)
            is_done = not scope.cancelled_caught
            server.script.clear()
            await trio.sleep(3)
            await left_as_it_was(share, server)
        assert seconds > 8
        assert server.dialled == 1


async def test_a_late_open_is_closed(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    async with fake_share(nursery, share=volume()) as (share, server):
        server.script.append(Delay(seconds=5.0, on=Command.CREATE))
        with trio.move_on_after(1):
            await share.open("dir\\file 1", How.reading())
        assert len(server.open_handles) == 1
        await trio.sleep(6)
        assert not server.open_handles
        assert server.requests[-1] == (Command.CLOSE,)


async def test_an_open_that_was_waited_for_too_long_is_closed(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The server lives, so the connection does; it only takes this one too long."""
    async with fake_share(nursery, share=volume()) as (share, server):
        server.script.append(Delay(seconds=200.0, on=Command.CREATE))
        with pytest.raises(ServerSilent, match="CREATE in time"):
            await share.open("dir\\file 1", How.reading())
        assert 90 <= trio.current_time() <= 95
        assert len(server.open_handles) == 1
        await trio.sleep(120)
        assert not server.open_handles
        assert server.dialled == 1
