"""Files that grow by a gap are marked sparse first, in the same turnaround where that can be."""

from __future__ import annotations

import os

import pytest

from smbfs.engine.information import Information
from smbfs.vfs.holes import GAP, SPARSE, Holes
from smbfs.wire.constants import Attributes, Fsctl
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Drops
from tests.fake.tree import UNIT, Volume
from tests.vfs.bench import BOTH, NAME, WHO, Bench, bench, on_mock_time

MIB = 1 << 20
LARGE = 64 * MIB


def is_sparse(made: Bench) -> bool:
    return bool(made.share.node(NAME).attributes & Attributes.SPARSE_FILE)


async def blocks(made: Bench) -> int:
    return (await made.fs.getattr(WHO, made.inode.node, None)).blocks


# Decided


def test_what_is_marked() -> None:
    plain, marked = Information(), Information(attributes=Attributes.SPARSE_FILE)
    holes = Holes()
    assert holes.before_growth(plain, 10, 10 + GAP + 1)
    assert not holes.before_growth(plain, 10, 10 + GAP)
    assert not holes.before_growth(plain, 10, 5)
    assert not holes.before_growth(marked, 0, LARGE)
    assert not Holes(is_wanted=False).before_growth(plain, 0, LARGE)


def test_a_refusal_is_learnt() -> None:
    refused: set[str] = set()
    holes = Holes(True, refused)
    holes.heard(Information(attributes=Attributes.SPARSE_FILE))
    assert holes.before_growth(Information(), 0, LARGE)
    holes.heard(Information())
    assert refused == {SPARSE}
    assert not holes.before_growth(Information(), 0, LARGE)


# Truncate


@pytest.mark.parametrize("is_open", [False, True])
async def test_a_truncate_that_grows_much_makes_a_hole(is_open: bool) -> None:
    async with bench(b"data") as made:
        fh = await made.open()
        if not is_open:
            await made.close(fh)
        made.turns()
        assert await made.truncate(LARGE, fh if is_open else None) == LARGE
        assert made.turns() == 1 + (not is_open)  # and the close of `close`
        assert is_sparse(made)
        assert await blocks(made) == UNIT // 512


async def test_a_truncate_that_cuts_or_grows_little_does_not() -> None:
    async with bench(b"data") as made:
        await made.open()
        await made.truncate(GAP)
        await made.truncate(2)
        assert not is_sparse(made)


async def test_a_truncate_with_nosparse() -> None:
    async with bench(b"data", sparse=False) as made:
        await made.open()
        await made.truncate(MIB)
        assert not is_sparse(made)


@pytest.mark.parametrize("status", [Status.NOT_SUPPORTED, Status.INVALID_DEVICE_REQUEST])
async def test_a_server_without_sparse_files(status: Status) -> None:
    share = Volume()
    share.abilities.refused = {Fsctl.SET_SPARSE: status}
    async with bench(b"data", share=share) as made:
        fh = await made.open()
        assert await made.truncate(MIB) == MIB
        share.abilities.refused.clear()
        await made.truncate(2 * MIB)
        await made.write(fh, 3 * MIB, b"x")
        await made.content.flush(fh)
        assert not is_sparse(made)
        assert len(made.data) == 3 * MIB + 1


# Write


@pytest.mark.parametrize("more", [0, os.O_DIRECT, os.O_SYNC])
async def test_a_write_behind_a_gap_makes_a_hole(more: int) -> None:
    async with bench(b"data") as made:
        fh = await made.open(BOTH | more)
        await made.write(fh, LARGE, b"end")
        await made.write(fh, LARGE // 2, b"middle")
        await made.content.flush(fh)
        assert await blocks(made) == 3 * UNIT // 512
        assert made.share.node(NAME).size == LARGE + 3
        assert await made.read(fh, LARGE - 1, 9) == b"\0end"
        assert await made.read(fh, LARGE // 2, 6) == b"middle"


async def test_a_write_is_asked_for_a_mark_once() -> None:
    async with bench(b"data") as made:
        fh = await made.open()
        made.turns()
        for place in range(1, 4):
            await made.write(fh, place * MIB, b"x")
        await made.content.flush(fh)
        asked = [frame for frame in made.server.requests if Command.IOCTL in frame]
        assert len(asked) == 1


async def test_writes_one_after_the_other_make_no_hole() -> None:
    async with bench(b"") as made:
        fh = await made.open()
        for place in range(8):
            await made.write(fh, place * UNIT, b"x" * UNIT)
        await made.write(fh, 8 * UNIT + GAP, b"x")
        await made.content.flush(fh)
        assert not is_sparse(made)


@pytest.mark.logs("connection lost")
def test_the_connection_is_lost_before_a_write() -> None:
    async def main() -> None:
        async with bench(b"data") as made:
            fh = await made.open()
            made.server.script.append(Drops(on=Command.IOCTL, times=1))
            await made.write(fh, MIB, b"x")
            await made.content.flush(fh)
            assert len(made.data) == MIB + 1
            await made.close(fh)

    on_mock_time(main)
