"""Copies that go wrong: clones that fail half way, servers that lie, ranges that are locked."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pytest
import trio

from smbfs.engine.controls import USUAL
from smbfs.wire.constants import Fsctl
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.messages import Answer, Proof, Request
from tests.fake.script import BadDay, Fails
from tests.fake.tree import Volume
from tests.vfs.bench import WHO, Gate, on_mock_time
from tests.vfs.copies import COPIES, DATA, MIB, cloning, copy, held, two
from tests.vfs.locking import THERE, WRITE, beside, pair
from tests.vfs.tables import fails

BLOCK = 4096

# Clones that fail


@pytest.mark.parametrize(
    ("status", "number"),
    [
        (Status.DISK_FULL, errno.ENOSPC),
        (Status.NOT_SUPPORTED, errno.EOPNOTSUPP),
        (Status.ACCESS_DENIED, errno.EOPNOTSUPP),
    ],
)
async def test_a_clone_that_fails_leaves_the_target_as_it_was(status: Status, number: int) -> None:
    share = cloning()
    share.abilities.refused = dict.fromkeys(COPIES, Status.NOT_SUPPORTED)
    share.abilities.refused[Fsctl.DUPLICATE_EXTENTS_TO_FILE] = status
    async with two(share=share) as (made, source, target):
        await made.write(target, 0, b"old")
        with fails(number):
            await copy(made, source, target, MIB, at=BLOCK)
        assert held(made) == b"old", "no zeros that nobody wrote"


async def test_a_clone_that_fails_is_a_copy() -> None:
    share = cloning()
    share.abilities.refused = {Fsctl.DUPLICATE_EXTENTS_TO_FILE: Status.ACCESS_DENIED}
    async with two(share=share) as (made, source, target):
        await made.write(target, 0, b"x" * 10 * MIB)
        assert await copy(made, source, target, MIB) == len(DATA)
        assert held(made) == DATA + b"x" * (10 * MIB - len(DATA))


async def test_what_others_appended_meanwhile_is_not_cut_off() -> None:
    share = cloning()
    share.abilities.refused = {Fsctl.DUPLICATE_EXTENTS_TO_FILE: Status.DISK_FULL}
    async with two(share=share) as (made, source, target):
        await copy(made, source, target, 1)  # the key is known now
        gate = made.gate(Command.IOCTL, does=True, times=1)
        async with trio.open_nursery() as nursery:
            doing = beside(nursery, partial(copy, made, source, target, 2 * BLOCK, 0, 0))
            await made.settled()
            share.node("target").data += b"more"
            gate.open()
        assert doing.error is not None
        assert held(made)[1:] == bytes(2 * BLOCK - 1) + b"more"


@pytest.mark.logs("is longer than it was")
async def test_a_target_that_cannot_be_made_shorter_again() -> None:
    share = cloning()
    share.abilities.refused = {Fsctl.DUPLICATE_EXTENTS_TO_FILE: Status.DISK_FULL}
    async with two(share=share) as (made, source, target):
        made.server.script.append(Fails(on=Command.SET_INFO, status=Status.DATA_ERROR, after=1))
        with fails(errno.ENOSPC):
            await copy(made, source, target, MIB)


# Servers that lie


@dataclass(kw_only=True)
class Narrows(BadDay):
    """The server takes a byte less each time it is asked."""

    share: Volume

    def refuses(self, requests: Sequence[Request]) -> Status | None:
        if self.strikes(*(request.command for request in requests)):
            self.share.abilities.chunk_size -= 1
        return None


async def test_limits_that_become_narrower_all_the_time_are_given_up() -> None:
    share = Volume()
    share.abilities.chunk_size = len(DATA) - 1
    async with two(share=share) as (made, source, target):
        made.server.script.append(Narrows(share=share, on=Command.IOCTL))
        with fails(errno.EOPNOTSUPP):
            await copy(made, source, target, MIB)
        assert made.turns() <= 1 + 3


@dataclass(kw_only=True)
class Strips(BadDay):
    """Answers with limits come without a signature, as from anybody."""

    def change(self, answer: Answer) -> None:
        if answer.status == Status.INVALID_PARAMETER:
            answer.proof = Proof.STRIPPED


async def test_limits_without_proof_are_not_believed() -> None:
    share = Volume()
    share.abilities.copy_size = 128 << 10
    async with two(share=share) as (made, source, target):
        made.server.script.append(Strips())
        with fails(errno.EINVAL):
            await copy(made, source, target, MIB)
        assert made.fs.volume.copies == USUAL
        made.server.script.clear()
        assert await copy(made, source, target, MIB) == len(DATA)


# Ranges that this machine has locked


@pytest.mark.parametrize("is_known", [True, False])
def test_a_copy_of_what_is_locked_by_another_descriptor(is_known: bool) -> None:
    """The server refuses both ends, and the handle that has the locks does it."""

    async def main() -> None:
        async with pair(b"0123456789") as both:
            other = await both.one.open(os.O_RDWR)
            ask = partial(both.one.fs.copy_file_range, WHO, other)
            assert await ask(0, other, 9, 1) == 1  # the key is known now
            if is_known:
                await both.one.lock(WRITE, owner=THERE)
            gate = Gate(on=Command.IOCTL, times=1)
            both.server.script.append(gate)
            copying = beside(both.nursery, partial(ask, 0, other, 10, 5))
            await both.settled()
            if not is_known:
                await both.one.lock(WRITE, owner=THERE)
            gate.open()
            await copying.done.wait()
            assert copying.is_done, copying.error
            assert both.server.volume.read("file") == b"012345678001234"

    on_mock_time(main)
