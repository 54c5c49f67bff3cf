"""The whole client against a server that holds the keys and mutates what it answers.

A round is one fresh mount on the fake server, some dozens of calls of every kind, and answers that
are mutated before they are signed.  Calls may fail with clean errors and must end; afterwards, from
an honest server, the truth is to be had again.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from random import Random

import trio
import trio.testing

from smbfs.auth import Login, Secret
from smbfs.engine.dialect import Policy
from smbfs.engine.link import Link, Target
from smbfs.engine.share import Share
from smbfs.errors import SmbError
from smbfs.fuse.server import ROOT, Change, Lock, LockType, Node, Request
from smbfs.vfs.filesystem import Filesystem
from smbfs.vfs.policy import DataPolicy
from smbfs.vfs.presentation import Presentation
from smbfs.wire.codec import WireError
from tests.fake.login import PASSWORD, USER, Nature
from tests.fake.messages import Answer
from tests.fake.script import BadDay
from tests.fake.server import FakeServer
from tests.fake.tree import Volume
from tests.fuzz.mutation import mutated

WHO = Request(1000, 1000, 1)
CALLS = 60  # in one round
LONGEST_S = 600.0  # for one call, by a clock that jumps


@dataclass(kw_only=True)
class Mutates(BadDay):
    """Some answers are not what the server meant."""

    chance: Random
    share: float = 0.3
    answers: int = 0
    changed: int = field(default=0, init=False)

    def change(self, answer: Answer) -> None:
        self.answers += 1
        if self.chance.random() < self.share:
            self.changed += 1
            answer.body = mutated(answer.body, self.chance)


class Round:
    """One mount, and who calls."""

    def __init__(self, fs: Filesystem, chance: Random) -> None:
        self.fs = fs
        self.chance = chance
        self.names = ["file", "dir", "link", "new"]

    async def calls(self) -> None:
        """Call this and that; each ends, well or with a clean error."""
        for _ in range(CALLS):
            with trio.fail_after(LONGEST_S):
                try:
                    await self._call()
                except (OSError, SmbError, WireError):
                    continue

    async def _node(self, name: str) -> Node:
        entry = await self.fs.lookup(WHO, ROOT, name.encode())
        if entry.attributes is None:
            raise FileNotFoundError(name)
        return entry.attributes.node

    async def _call(self) -> None:
        fs, name = self.fs, self.chance.choice(self.names)
        match self.chance.randrange(14):
            case 0 | 1 | 2:
                await self._file(name)
            case 3:
                await fs.getattr(WHO, await self._node(name), None)
            case 4:
                opened = await fs.opendir(WHO, ROOT)
                try:
                    after = 0
                    while items := await fs.readdir(WHO, opened.fh, after):
                        after = items[-1].next_id
                finally:
                    await fs.releasedir(WHO, opened.fh)
            case 5:
                await fs.mkdir(WHO, ROOT, b"new", 0o755)
            case 6:
                await fs.rmdir(WHO, ROOT, b"new")
            case 7:
                await fs.unlink(WHO, ROOT, name.encode())
            case 8:
                await fs.rename(WHO, ROOT, name.encode(), ROOT, b"new", 0)
            case 9:
                await fs.readlink(WHO, await self._node("link"))
            case 10:
                await fs.symlink(WHO, ROOT, b"link", b"target")
            case 11:
                await fs.statfs(WHO)
            case 12:
                await fs.setattr(WHO, await self._node(name), Change(mode=0o444), None)
            case 13:
                await fs.listxattr(WHO, await self._node(name))

    async def _file(self, name: str) -> None:
        fs, chance = self.fs, self.chance
        opened, _ = await fs.create(WHO, ROOT, name.encode(), 0o644, os.O_RDWR | os.O_CREAT)
        try:
            for _ in range(chance.randrange(1, 6)):
                match chance.randrange(6):
                    case 0:
                        await fs.write(WHO, opened.fh, chance.randrange(100_000), b"x" * 1000)
                    case 1:
                        await fs.read(WHO, opened.fh, chance.randrange(100_000), 4096)
                    case 2:
                        await fs.fsync(WHO, opened.fh, False)
                    case 3:
                        lock = Lock(LockType.WRITE, 0, 10, 1, 7)
                        await fs.setlk(WHO, opened.fh, lock, False)
                    case 4:
                        await fs.fallocate(WHO, opened.fh, 0, 0, 1000)
                    case 5:
                        await fs.seek(WHO, opened.fh, 0, os.SEEK_HOLE)
        finally:
            await fs.flush(WHO, opened.fh)
            await fs.release(WHO, opened.fh)


async def _round(seed: int) -> int:
    chance = Random(seed)
    volume = Volume()
    volume.put("file", b"data" * 30_000)
    volume.mkdir("dir")
    nature = Nature(dialects=[chance.choice((0x0202, 0x0210, 0x0302, 0x0311))])
    server = FakeServer(volume, nature=nature)
    day = Mutates(chance=chance)
    async with trio.open_nursery() as nursery:
        link = Link(
            Target("fake", volume.name),
            Policy(
                dialects=(0x0202, 0x0210, 0x0302, 0x0311),
                seal=chance.random() < 0.1 and nature.dialects[0] >= 0x0300,
            ),
            lambda: [Login(USER, Secret(PASSWORD))],
            server.dialler(nursery),
            nursery,
        )
        share = Share(link)
        await share.connect()
        policy = DataPolicy(leases=True, watches=chance.random() < 0.5, patience_s=5.0)
        fs = Filesystem(share, Presentation(1000, 100, actimeo_s=0), policy, nursery)
        server.script.append(day)
        await Round(fs, chance).calls()
        server.script.clear()
        await trio.sleep(60)  # whatever was begun comes to its end
        assert (await fs.lookup(WHO, ROOT, b"nothing of the kind")).attributes is None
        with trio.move_on_after(LONGEST_S):
            await fs.stop()
        await link.close()
        nursery.cancel_scope.cancel()
    return day.answers


def fuzz(count: int, seed: int) -> int:
    """Let so many answers come, some of them mutated; how many did.

    Whatever is no clean error comes through, with the seed of its round in its notes.
    """
    logging.getLogger("smbfs").setLevel(logging.CRITICAL + 1)
    answers, number = 0, seed
    try:
        while answers < count:
            clock = trio.testing.MockClock(autojump_threshold=0)
            try:
                answers += trio.run(_round, number, clock=clock)
            except BaseException as error:
                error.add_note(f"in the round of the seed {number}")
                raise
            number += 1
    finally:
        logging.getLogger("smbfs").setLevel(logging.NOTSET)
    return answers
