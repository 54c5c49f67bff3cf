"""Files that are asked for one after the other are asked for together."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from smbfs.fuse.server import Miss, Node
from smbfs.vfs import together
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.vfs.mounted import WHO, Mounted, mounted

Clock = trio.testing.MockClock
COUNT = 40
AHEAD = DataPolicy(looks_ahead=True)


@pytest.fixture
async def fake() -> AsyncIterator[Mounted]:
    async with mounted(policy=AHEAD, actimeo_s=1) as made:
        made.share.mkdir("dir")
        for number in range(COUNT):
            made.share.put(f"dir/file{number}", b"x")
        yield made


async def known(fake: Mounted, count: int = COUNT) -> tuple[Node, list[Node]]:
    """All files of the directory are known, from a while ago."""
    node, nodes = await fake.node("dir"), []
    for number in range(count):
        entry = await fake.fs.lookup(WHO, node, b"file%d" % number)
        assert entry.attributes is not None
        nodes.append(entry.attributes.node)
    await trio.sleep(60)
    fake.server.requests.clear()
    return node, nodes


async def test_after_some_files_all_are_asked(autojump_clock: Clock, fake: Mounted) -> None:
    _, nodes = await known(fake)
    for number in range(COUNT):
        fake.share.put(f"dir/file{number}", b"longer")
    for node in nodes:
        if isinstance(found := fake.fs.getattr_now(WHO, node, None), Miss):
            found = await fake.fs.getattr(WHO, node, None)
        assert found.size == 6
    assert fake.server.turnarounds <= together.MANY + 2


async def test_names_as_well(autojump_clock: Clock, fake: Mounted) -> None:
    node, _ = await known(fake)
    fake.share.remove("dir/file30")
    for number in range(COUNT):
        name = b"file%d" % number
        if isinstance(entry := fake.fs.lookup_now(WHO, node, name), Miss):
            entry = await fake.fs.lookup(WHO, node, name)
        assert (entry.attributes is None) == (number == 30)
    assert fake.server.turnarounds <= together.MANY + 4, "and the directory is watched from now on"


async def test_one_file_again_and_again_is_one_file(autojump_clock: Clock, fake: Mounted) -> None:
    _, nodes = await known(fake)
    for _ in range(3 * together.MANY):
        await fake.fs.getattr(WHO, nodes[0], None)
        await trio.sleep(1.5)
    assert Command.QUERY_DIRECTORY not in {one for frame in fake.server.requests for one in frame}


async def test_a_few_names_are_asked_for_one_by_one(autojump_clock: Clock, fake: Mounted) -> None:
    _, nodes = await known(fake, together.LEAST - 1)
    for node in nodes:
        await fake.fs.getattr(WHO, node, None)
    assert fake.server.turnarounds == len(nodes)


@pytest.mark.parametrize("policy", [DataPolicy(), AHEAD])
async def test_who_believes_nothing_or_wants_nothing_ahead(
    autojump_clock: Clock, policy: DataPolicy
) -> None:
    async with mounted(policy=policy, actimeo_s=0 if policy is AHEAD else 1) as fake:
        fake.share.mkdir("dir")
        for number in range(COUNT):
            fake.share.put(f"dir/file{number}", b"x")
        _, nodes = await known(fake)
        for node in nodes:
            await fake.fs.getattr(WHO, node, None)
        assert fake.server.turnarounds == COUNT


async def test_what_is_open_here_is_asked_by_itself(autojump_clock: Clock, fake: Mounted) -> None:
    _, nodes = await known(fake)
    opened = await fake.fs.open(WHO, nodes[-1], 0)
    await trio.sleep(2)
    fake.share.put(f"dir/file{COUNT - 1}", b"longer")
    for node in nodes[:-1]:
        await fake.fs.getattr(WHO, node, None)
    assert (await fake.fs.getattr(WHO, nodes[-1], None)).size == 6
    await fake.fs.release(WHO, opened.fh)


async def test_a_directory_that_cannot_be_listed(autojump_clock: Clock, fake: Mounted) -> None:
    _, nodes = await known(fake)
    fake.server.script.append(Fails(on=Command.QUERY_DIRECTORY, status=Status.ACCESS_DENIED))
    for node in nodes:
        assert (await fake.fs.getattr(WHO, node, None)).size == 1


async def test_all_who_ask_meanwhile_wait_for_the_one(autojump_clock: Clock, fake: Mounted) -> None:
    _, nodes = await known(fake)
    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(fake.fs.getattr, WHO, node, None)
    opened = [one for one in fake.server.requests if one[1:2] == (Command.QUERY_DIRECTORY,)]
    assert len(opened) == 1


async def test_only_so_many_directories_are_looked_at(
    autojump_clock: Clock, fake: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "DIRECTORIES", 1)
    _, nodes = await known(fake)
    fake.share.mkdir("other")
    for number in range(COUNT):
        fake.share.put(f"other/file{number}", b"x")
    other = await fake.node("other")
    others = []
    for number in range(COUNT):
        entry = await fake.fs.lookup(WHO, other, b"file%d" % number)
        assert entry.attributes is not None
        others.append(entry.attributes.node)
    await trio.sleep(60)
    fake.server.requests.clear()
    for pair in zip(nodes, others, strict=True):
        for node in pair:
            await fake.fs.getattr(WHO, node, None)
    assert fake.server.turnarounds == 2 * COUNT, "each time the other one is forgotten"
