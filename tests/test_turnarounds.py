"""How often each operation asks the server: counted, never timed.

Below, on the fake server, every frame counts, the CLOSE that nobody waits for included: this is
what one operation of the filesystem costs.  Then through a real mount of a real Samba, where the
kernel adds what it wants to know itself: it looks a name up before it creates it, and asks for a
directory's attributes again after it changed something in there.
"""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio.testing

from smbfs.fuse.server import ROOT, Change, Miss
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command, parse_header, split_chain
from smbfs.wire.status import Status
from tests import capture, samba
from tests.mounted import MountedShare
from tests.vfs.mounted import READ, WHO, WRITE, Mounted, mounted

MANY = 5000
LISTING = 4  # frames for so many files
LOOK = 1  # the kernel looks up what it is about to make, however fresh its own knowledge is
BESIDE = 1  # a look at a directory that is being changed, sent behind the change: nobody waits
CLOSE = 1  # behind what may have to wait for others, which only the last of a chain may
QUIET_S, END_S = 0.02, 20
SMALL = bytes(4096)


@pytest.fixture
async def fake() -> AsyncIterator[Mounted]:
    """A filesystem on the fake server with a file, a folder and a link."""
    async with mounted() as made:
        made.share.put("file", SMALL)
        made.share.mkdir("folder")
        yield made


@asynccontextmanager
async def at_most(fake: Mounted, frames: int) -> AsyncIterator[None]:
    """Expect no more than so many frames inside, those nobody waits for included."""
    await trio.testing.wait_all_tasks_blocked()
    before = fake.server.turnarounds
    yield
    await trio.testing.wait_all_tasks_blocked()
    asked = [[one.name for one in frame] for frame in fake.server.requests[before:]]
    assert len(asked) <= frames, asked


# One operation of the filesystem


async def test_a_cold_stat_asks_once_and_a_warm_one_not_at_all(fake: Mounted) -> None:
    async with at_most(fake, 1):
        entry = await fake.fs.lookup(WHO, ROOT, b"file")
    assert entry.attributes is not None
    async with at_most(fake, 0):
        assert not isinstance(fake.fs.getattr_now(WHO, entry.attributes.node, None), Miss)
        assert not isinstance(fake.fs.lookup_now(WHO, ROOT, b"file"), Miss)


async def test_a_name_that_is_not_there_asks_once(fake: Mounted) -> None:
    async with at_most(fake, 1):
        assert (await fake.fs.lookup(WHO, ROOT, b"nothing")).attributes is None


async def test_mkdir_and_rmdir_ask_once_each(fake: Mounted) -> None:
    async with at_most(fake, 1):
        await fake.fs.mkdir(WHO, ROOT, b"new", 0o755)
    async with at_most(fake, 1):
        await fake.fs.rmdir(WHO, ROOT, b"new")
    assert not fake.share.exists("new")


async def test_unlink_asks_once(fake: Mounted) -> None:
    await fake.node("file")  # as the kernel, which always looks first
    async with at_most(fake, 1):
        await fake.fs.unlink(WHO, ROOT, b"file")
    assert not fake.share.exists("file")


async def test_rename_asks_once(fake: Mounted) -> None:
    folder = await fake.node("folder")
    await fake.node("file")
    async with at_most(fake, 1):
        await fake.fs.rename(WHO, ROOT, b"file", folder, b"moved", 0)
    assert fake.share.read("folder/moved") == SMALL


async def test_rename_over_a_closed_file_asks_once(fake: Mounted) -> None:
    fake.share.put("other")
    await fake.node("file")
    await fake.node("other")
    async with at_most(fake, 1):
        await fake.fs.rename(WHO, ROOT, b"file", ROOT, b"other", 0)
    assert fake.share.read("other") == SMALL


@pytest.mark.parametrize(
    "change",
    [Change(mode=0o444), Change(mtime_ns=10**18), Change(atime_ns=1, mtime_ns=2), Change(size=7)],
    ids=["chmod", "utimens", "both times", "truncate"],
)
async def test_a_change_of_attributes_asks_once(fake: Mounted, change: Change) -> None:
    node = await fake.node("file")
    async with at_most(fake, 1):
        await fake.fs.setattr(WHO, node, change, None)


async def test_statfs_asks_once_and_then_knows(fake: Mounted) -> None:
    async with at_most(fake, 1):
        for _ in range(3):
            await fake.fs.statfs(WHO)


async def test_readlink_asks_at_most_once_more(fake: Mounted) -> None:
    entry = await fake.fs.symlink(WHO, ROOT, b"link", b"folder/file")
    assert entry.attributes is not None
    async with at_most(fake, 1):
        assert await fake.fs.readlink(WHO, entry.attributes.node) == b"folder/file"


@pytest.mark.parametrize(
    "name",
    [
        b"security.capability",
        b"security.selinux",
        b"system.posix_acl_access",
        b"system.posix_acl_default",
    ],
)
async def test_attributes_that_no_share_keeps_ask_nothing(fake: Mounted, name: bytes) -> None:
    node = await fake.node("file")
    async with at_most(fake, 0):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is checked below
            fake.fs.getxattr_now(WHO, node, name)
    assert caught.value.errno in (errno.ENODATA, errno.EOPNOTSUPP)


async def test_a_small_file_is_written_in_three_frames(fake: Mounted) -> None:
    async with at_most(fake, 3):
        opened, _ = await fake.fs.create(WHO, ROOT, b"new", 0o644, WRITE | os.O_CREAT | os.O_EXCL)
        await fake.fs.write(WHO, opened.fh, 0, SMALL)
        await fake.fs.flush(WHO, opened.fh)
        await fake.fs.release(WHO, opened.fh)
    assert fake.share.read("new") == SMALL


async def test_times_of_a_new_file_are_set_with_its_bytes() -> None:
    async with mounted(policy=DataPolicy(linger_s=60)) as fake:
        async with at_most(fake, 3):
            opened, entry = await fake.fs.create(WHO, ROOT, b"new", 0o644, WRITE | os.O_CREAT)
            await fake.fs.write(WHO, opened.fh, 0, SMALL)
            assert entry.attributes is not None
            await fake.fs.setattr(WHO, entry.attributes.node, Change(mtime_ns=10**18), opened.fh)
            await fake.fs.flush(WHO, opened.fh)
            await fake.fs.release(WHO, opened.fh)
        assert fake.share.read("new") == SMALL
        assert (await fake.stat("new")).mtime_ns == 10**18


async def test_a_small_file_is_read_in_three_frames(fake: Mounted) -> None:
    node = await fake.node("file")
    async with at_most(fake, 3):
        opened = await fake.fs.open(WHO, node, READ)
        data = await fake.fs.read(WHO, opened.fh, 0, 128 * 1024)  # what the kernel asks for
        assert b"".join(data) == SMALL
        await fake.fs.flush(WHO, opened.fh)
        await fake.fs.release(WHO, opened.fh)


async def test_many_files_are_listed_in_a_few_frames(fake: Mounted) -> None:
    for number in range(MANY):
        fake.share.put(f"folder/file-{number:05}")
    folder = await fake.node("folder")
    async with at_most(fake, LISTING):
        opened = await fake.fs.opendir(WHO, folder)
        items = await fake.items(opened.fh)
        await fake.fs.releasedir(WHO, opened.fh)
    assert len(items) == MANY


async def test_what_was_listed_is_known(fake: Mounted) -> None:
    for number in range(100):
        fake.share.put(f"folder/file-{number:05}")
    folder = await fake.node("folder")
    opened = await fake.fs.opendir(WHO, folder)
    items = await fake.fs.readdir(WHO, opened.fh, 0)
    for item in items:
        fake.fs.listed(item.attributes.node)
    async with at_most(fake, 0):
        for item in items:
            assert not isinstance(fake.fs.lookup_now(WHO, folder, item.name), Miss)
            assert not isinstance(fake.fs.getattr_now(WHO, item.attributes.node, None), Miss)
    await fake.fs.releasedir(WHO, opened.fh)


# The same through the kernel, on Samba


def commands(frame: bytes) -> list[str]:
    """What one frame asks."""
    messages = split_chain(memoryview(frame))
    return [Command(parse_header(message).command).name for message in messages]


class Relayed:
    """A mounted share, and a count of what it asks."""

    def __init__(self, mount: MountedShare, relay: capture.Capture) -> None:
        self.path, self.behind = mount.path, mount.behind
        self._relay = relay

    @contextmanager
    def at_most(self, frames: int) -> Iterator[None]:
        """Expect no more than so many frames inside, those nobody waits for included."""
        self._settle()
        before = self._relay.requests()
        yield
        self._settle()
        sent = [frame.data for frame in self._relay.frames() if frame.from_client]
        asked = [commands(frame) for frame in sent[before:]]
        assert len(asked) <= frames, asked

    def _settle(self) -> None:
        """Wait until everything is answered and nothing follows: what is late counts for us."""
        seen, end_s = -1, time.monotonic() + END_S
        while not (seen == self._relay.requests() and self._is_answered()):
            assert time.monotonic() < end_s, "something is never answered"
            seen = self._relay.requests()
            time.sleep(QUIET_S)

    def _is_answered(self) -> bool:
        ids: dict[bool, set[int]] = {True: set(), False: set()}
        for frame in self._relay.frames():
            headers = [parse_header(one) for one in split_chain(memoryview(frame.data))]
            ids[frame.from_client] |= {
                one.message_id for one in headers if one.status != Status.PENDING
            }
        return ids[True] <= ids[False]


@pytest.fixture(scope="module")
def through(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relayed]:
    """A mount which believes what it knows for long, so that no test depends on the clock."""
    if not samba.is_installed():
        pytest.skip("needs smbd, pdbedit and smbclient: packaging/bootstrap installs them")
    pcap = tmp_path_factory.mktemp("turnarounds") / "pcap"
    with samba.Samba() as server, capture.Capture(server.port, pcap) as relay:
        listed = server["share"].path / "listed"
        listed.mkdir()
        for number in range(MANY):
            (listed / f"file-{number:05}").touch()
        port = f"port={relay.port}"
        with MountedShare(server, "share", port, "actimeo=60", "nonotify") as mount:
            yield Relayed(mount, relay)


@pytest.fixture
def here(through: Relayed, request: pytest.FixtureRequest) -> Path:
    """A directory of this test's own which the kernel knows."""
    path = through.path / str(request.node.name)
    behind(through, path).mkdir()  # of one that we make ourselves all names are known
    os.utime(behind(through, path), (1, 1))  # a change shows, however soon: clocks have ticks
    path.stat()
    return path


def behind(through: Relayed, path: Path) -> Path:
    return through.behind / path.relative_to(through.path)


def test_through_the_kernel_stat_asks_once(through: Relayed, here: Path) -> None:
    behind(through, here / "file").write_bytes(SMALL)
    with through.at_most(1):
        os.stat(here / "file")
    with through.at_most(0):
        for _ in range(10):
            os.stat(here / "file")


def test_through_the_kernel_unlink_asks_once(through: Relayed, here: Path) -> None:
    behind(through, here / "file").write_bytes(SMALL)
    os.stat(here / "file")
    with through.at_most(1 + BESIDE):
        os.unlink(here / "file")


def test_through_the_kernel_rename_asks_once(through: Relayed, here: Path) -> None:
    behind(through, here / "file").write_bytes(SMALL)
    os.stat(here / "file")
    with through.at_most(LOOK + 1 + BESIDE + CLOSE):
        os.rename(here / "file", here / "other")


def test_through_the_kernel_directories_ask_once(through: Relayed, here: Path) -> None:
    with through.at_most(LOOK + 1 + BESIDE):
        os.mkdir(here / "new")
    with through.at_most(0):
        here.stat()  # its times are others now
    with through.at_most(1 + BESIDE):
        os.rmdir(here / "new")


def test_through_the_kernel_attributes_ask_once(through: Relayed, here: Path) -> None:
    path = here / "file"
    behind(through, path).write_bytes(SMALL)
    os.stat(path)
    with through.at_most(2):
        path.chmod(0o444)
        path.chmod(0o644)
    with through.at_most(1):
        os.utime(path, ns=(10**18, 10**18))
    with through.at_most(1):
        os.truncate(path, 100)


def test_through_the_kernel_statfs_asks_once(through: Relayed) -> None:
    with through.at_most(1):
        for _ in range(10):
            os.statvfs(through.path)


def test_through_the_kernel_a_small_file_asks_three_times(through: Relayed, here: Path) -> None:
    path = here / "file"
    with through.at_most(LOOK + 3 + BESIDE):
        path.write_bytes(SMALL)
        behind(through, path).read_bytes()
    path.stat()
    with through.at_most(3):
        assert path.read_bytes() == SMALL


def test_through_the_kernel_a_long_listing_asks_little(through: Relayed) -> None:
    with through.at_most(LISTING + 1):  # and for the name of the directory
        done = subprocess.run(
            ["ls", "-l", str(through.path / "listed")], capture_output=True, check=True
        )
    assert len(done.stdout.splitlines()) == MANY + 1
    with through.at_most(0):
        for entry in range(0, MANY, 50):
            os.stat(through.path / "listed" / f"file-{entry:05}")
    with through.at_most(LISTING):
        subprocess.run(["ls", "-l", str(through.path / "listed")], capture_output=True, check=True)
