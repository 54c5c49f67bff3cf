"""What is fetched ahead of a program that walks, and what is known of whole directories."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import trio
import trio.testing

from smbfs.cache.guess import FIRST
from smbfs.fuse.server import ROOT, Miss, Node, Request
from smbfs.vfs import ahead, directory
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.vfs.mounted import READ, WHO, Mounted, mounted

FILES = 40
POLICY = DataPolicy(leases=True, looks_ahead=True)


@pytest.fixture
async def fake() -> AsyncIterator[Mounted]:
    async with mounted(policy=POLICY) as made:
        made.share.mkdir("files")
        made.share.mkdir("tree")
        for number in range(FILES):
            made.share.put(f"files/{number:03}", b"%d" % number)
            made.share.mkdir(f"tree/{number:03}")
            made.share.put(f"tree/{number:03}/leaf", b"x")
        yield made


async def listed(fake: Mounted, node: Node, who: Request = WHO) -> list[bytes]:
    """List as a program does that wants names only: the kernel takes no node."""
    opened = await fake.fs.opendir(who, node)
    names = [item.name for item in await fake.items(opened.fh)]
    await fake.fs.releasedir(who, opened.fh)
    return names


async def read(fake: Mounted, parent: Node, name: bytes) -> bytes:
    entry = fake.fs.lookup_now(WHO, parent, name)
    if isinstance(entry, Miss):
        entry = await fake.fs.lookup(WHO, parent, name)
    assert entry.attributes is not None
    opened = await fake.fs.open(WHO, entry.attributes.node, READ)
    views = fake.fs.read_now(WHO, opened.fh, 0, 4096)
    if isinstance(views, Miss):
        views = await fake.fs.read(WHO, opened.fh, 0, 4096)
    await fake.fs.flush(WHO, opened.fh)
    await fake.fs.release(WHO, opened.fh)
    return b"".join(views)


def asked(fake: Mounted) -> list[list[str]]:
    """What was asked since the last look."""
    frames = [[one.name for one in frame] for frame in fake.server.requests]
    fake.server.requests.clear()
    return frames


async def test_small_files_are_fetched_ahead_of_who_reads_them(fake: Mounted) -> None:
    parent = await fake.node("files")
    names = await listed(fake, parent)
    asked(fake)
    for number, name in enumerate(names):
        assert await read(fake, parent, name) == b"%d" % number
        await trio.testing.wait_all_tasks_blocked()
    frames = [frame for frame in asked(fake) if frame != ["CLOSE"]]
    assert frames == [["CREATE", "QUERY_INFO", "READ"]] * FILES, "each is asked for once"


async def test_nobody_waits_for_what_was_fetched_ahead(fake: Mounted) -> None:
    parent = await fake.node("files")
    names = await listed(fake, parent)
    for name in names[:3]:
        await read(fake, parent, name)
    await trio.testing.wait_all_tasks_blocked()
    fake.server.script.append(Fails(on=Command.READ, status=Status.ACCESS_DENIED))
    for number in range(3, 3 + FIRST):
        assert await read(fake, parent, names[number]) == b"%d" % number
    fake.server.script.clear()


async def test_who_comes_while_it_is_fetched_waits_for_that(fake: Mounted) -> None:
    parent = await fake.node("files")
    names = await listed(fake, parent)
    for number, name in enumerate(names[:12]):  # the next ones are under way
        assert await read(fake, parent, name) == b"%d" % number


async def test_who_reads_one_file_gets_no_other(fake: Mounted) -> None:
    parent = await fake.node("files")
    names = await listed(fake, parent)
    asked(fake)
    for place in (5, 30, 12):
        await read(fake, parent, names[place])
    await trio.testing.wait_all_tasks_blocked()
    assert len([frame for frame in asked(fake) if frame[0] == "CREATE"]) == 3


async def test_large_files_are_not_fetched(fake: Mounted) -> None:
    for number in range(4, FILES):
        fake.share.put(f"files/{number:03}", bytes(200_000))
    parent = await fake.node("files")
    names = await listed(fake, parent)
    asked(fake)
    for name in names[:4]:
        await read(fake, parent, name)
    await trio.testing.wait_all_tasks_blocked()
    assert len([frame for frame in asked(fake) if frame[0] == "CREATE"]) == 4


async def test_without_leases_no_file_is_opened_ahead_for_long() -> None:
    async with mounted(policy=replace(POLICY, leases=False)) as fake:
        fake.share.mkdir("files")
        for number in range(FILES):
            fake.share.put(f"files/{number:03}", b"%d" % number)
        parent = await fake.node("files")
        names = await listed(fake, parent)
        asked(fake)
        for number, name in enumerate(names):
            assert await read(fake, parent, name) == b"%d" % number
            await trio.testing.wait_all_tasks_blocked()
        wasted = len([frame for frame in asked(fake) if frame[0] == "CREATE"]) - FILES
        assert wasted <= ahead.REFUSALS + 4


async def test_what_cannot_be_fetched_is_asked_for_by_who_wants_it(fake: Mounted) -> None:
    parent = await fake.node("files")
    names = await listed(fake, parent)
    for name in names[:2]:
        await read(fake, parent, name)
    fake.server.script.append(Fails(on=Command.CREATE, status=Status.ACCESS_DENIED, after=1))
    assert await read(fake, parent, names[2]) == b"2"
    await trio.testing.wait_all_tasks_blocked()
    fake.server.script.clear()
    for number in range(3, FILES):
        assert await read(fake, parent, names[number]) == b"%d" % number


async def test_directories_are_listed_ahead_of_who_walks_them(fake: Mounted) -> None:
    parent = await fake.node("tree")
    names = await listed(fake, parent)
    asked(fake)
    for name in names:
        entry = fake.fs.lookup_now(WHO, parent, name)
        if isinstance(entry, Miss):
            entry = await fake.fs.lookup(WHO, parent, name)
        assert entry.attributes is not None
        assert await listed(fake, entry.attributes.node) == [b"leaf"]
        await trio.testing.wait_all_tasks_blocked()
    frames = [frame for frame in asked(fake) if frame[0] == "CREATE"]
    assert len(frames) == FILES, "each is asked for once, and no name of what was listed"
    assert len([frame for frame in frames if frame[-1] == "CLOSE"]) == FILES - 2


async def test_each_process_walks_by_itself(fake: Mounted) -> None:
    parent = await fake.node("tree")
    asked(fake)
    for pid in range(2 * ahead.WATCHED):
        who = Request(1000, 1000, pid)
        await listed(fake, parent, who)
        entry = await fake.fs.lookup(who, parent, b"%03d" % pid)
        assert entry.attributes is not None
        await listed(fake, entry.attributes.node, who)
    await trio.testing.wait_all_tasks_blocked()
    assert not [frame for frame in asked(fake) if len(frame) > 3]


async def test_what_was_listed_ahead_is_taken_once(fake: Mounted) -> None:
    parent = await fake.node("tree")
    names = await listed(fake, parent)
    for name in names[:3]:
        await listed(fake, await fake.node(f"tree/{name.decode()}"))
    await trio.testing.wait_all_tasks_blocked()
    node = await fake.node(f"tree/{names[3].decode()}")
    asked(fake)
    assert await listed(fake, node) == [b"leaf"]
    fake.share.put(f"tree/{names[3].decode()}/new", b"")
    assert sorted(await listed(fake, node)) == [b"leaf", b"new"]


async def test_own_changes_are_in_what_was_listed_ahead(fake: Mounted) -> None:
    parent = await fake.node("tree")
    names = await listed(fake, parent)
    for name in names[:3]:
        await listed(fake, await fake.node(f"tree/{name.decode()}"))
    await trio.testing.wait_all_tasks_blocked()
    path = f"tree/{names[3].decode()}"
    await fake.put(f"{path}/ours", b"")
    await fake.unlink(f"{path}/leaf")
    assert await listed(fake, await fake.node(path)) == [b"ours"]


# What is known of whole directories


async def test_a_name_that_was_listed_is_known_without_a_question(fake: Mounted) -> None:
    parent = await fake.node("files")
    await listed(fake, parent)
    entry = fake.fs.lookup_now(WHO, parent, b"007")
    assert not isinstance(entry, Miss)
    assert entry.attributes is not None
    assert entry.attributes.size == 1
    assert isinstance(fake.fs.lookup_now(WHO, parent, b"new"), Miss), "others may just have made it"


async def test_who_makes_one_name_after_the_other_need_not_ask_for_each(fake: Mounted) -> None:
    parent = await fake.mkdir("ours")
    for number in range(3):
        await fake.fs.mkdir(WHO, parent, b"%d" % number, 0o755)
    entry = fake.fs.lookup_now(WHO, parent, b"next")
    assert not isinstance(entry, Miss)
    assert entry.attributes is None
    assert isinstance(fake.fs.lookup_now(WHO, ROOT, b"next"), Miss), "nobody rushes there"


async def test_a_rush_ends_soon(autojump_clock: trio.testing.MockClock) -> None:
    async with mounted(policy=POLICY) as fake:
        parent = await fake.mkdir("ours")
        for number in range(3):
            await fake.fs.mkdir(WHO, parent, b"%d" % number, 0o755)
        await trio.sleep(0.1)
        assert isinstance(fake.fs.lookup_now(WHO, parent, b"next"), Miss)


async def test_the_case_of_a_name_does_not_make_it_absent(fake: Mounted) -> None:
    parent = await fake.mkdir("ours")
    for name in ("Straße", "one", "two", "e\u0301"):
        await fake.fs.mkdir(WHO, parent, name.encode(), 0o755)
    for name in ("ONE", "STRASSE", "\u00e9"):
        assert isinstance(fake.fs.lookup_now(WHO, parent, name.encode()), Miss), name


async def test_only_so_much_is_kept(fake: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "MOST_NAMES", 60)
    for path in ("files", "tree"):
        await listed(fake, await fake.node(path))
    inodes = [fake.inode(await fake.node(path)) for path in ("files", "tree")]
    assert [inode.listed is not None for inode in inodes] == [False, True]
    monkeypatch.setattr(directory, "LONGEST", 10)
    await listed(fake, await fake.node("tree"))
    assert inodes[1].listed is None


async def test_a_directory_that_changes_while_it_is_listed_is_not_kept(fake: Mounted) -> None:
    node = await fake.node("files")
    opened = await fake.fs.opendir(WHO, node)
    inode = fake.inode(node)
    inode.listed = None
    await fake.fs.mkdir(WHO, node, b"new", 0o755)
    await fake.items(opened.fh)
    await fake.fs.releasedir(WHO, opened.fh)
    assert inode.listed is None or b"new" in inode.listed.entries
