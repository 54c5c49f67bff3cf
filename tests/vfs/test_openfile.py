"""What the descriptors of one file share: its size, its errors, its order."""

from __future__ import annotations

import os

import pytest
import trio

from smbfs.engine.information import Information
from smbfs.errors import ServerSilent, Stale
from smbfs.fuse.server import Change
from smbfs.vfs.descriptor import must_live
from smbfs.vfs.openfile import WRITES_UNDER_WAY, File
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from tests.vfs.bench import BOTH, NAME, WHO, bench

MIB = 1 << 20


# How long it is


async def test_the_size_counts_what_is_not_sent() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        await ground.write(fh, 10, b"abc")
        assert await ground.size() == ground.file.size == 13
        information = Information(end_of_file=20)
        assert ground.file.overlay(information) is information
        assert ground.file.overlay(Information(end_of_file=5)).end_of_file == 13
        held.open()
        await ground.close(fh)


async def test_a_stat_asked_before_a_write_does_not_shrink_the_file() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open()
        ground.fs.volume.inodes.changed(ground.inode)  # or nothing would be asked
        held = ground.gate(Command.QUERY_INFO, does=True)
        sizes: list[int] = []

        async def stat() -> None:
            sizes.append(await ground.size())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stat)
            await ground.settled()
            await ground.write(fh, 5, b" for all")
            await ground.content.flush(fh)
            held.open()
        assert sizes == [13]
        assert await ground.size() == 13
        await ground.close(fh)


async def test_nor_does_a_change_that_was_asked_for_before_it() -> None:
    """What chmod brings along is believed although it is older than the write."""
    async with bench(b"music") as ground:
        fh = await ground.open()
        held = ground.gate(Command.SET_INFO, does=True)

        async def chmod() -> None:
            attributes = await ground.fs.setattr(WHO, ground.inode.node, Change(mode=0o444), None)
            assert attributes.size == 13

        async with trio.open_nursery() as nursery:
            nursery.start_soon(chmod)
            await ground.settled()
            await ground.write(fh, 5, b" for all")
            await ground.content.flush(fh)
            await trio.sleep(0.001)
            held.open()
        assert ground.file.size == 13
        assert not ground.file.is_size_known(trio.current_time())
        await ground.close(fh)


async def test_a_truncation_ends_that_memory() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open()
        await ground.write(fh, 0, bytes(100))
        assert await ground.truncate(3, fh) == 3
        assert await ground.size() == ground.file.size == 3
        await ground.close(fh)


async def test_a_file_that_another_cuts_is_shorter(autojump_clock: object) -> None:
    async with bench(b"music") as ground:
        fh = await ground.open()
        await ground.write(fh, 0, bytes(100))
        await ground.content.flush(fh)
        assert await ground.size() == 100
        ground.share.put("file", b"x")
        await trio.sleep(1.1)
        assert await ground.size() == 1
        await ground.close(fh)


# Handles


@pytest.mark.logs("connection lost", "it may have been changed")
async def test_a_handle_that_may_write_is_lent_first_and_a_stale_one_never() -> None:
    async with bench(b"music") as ground:
        reader, writer = await ground.open(os.O_RDONLY), await ground.open()
        assert ground.file.lend() is ground.content.of(writer).handle
        ground.server.hang_up()
        ground.share.put(NAME, b"other")
        await ground.settled()
        assert ground.file.lend() is ground.content.of(reader).handle
        await ground.close(reader)
        assert ground.file.lend() is None
        await ground.close(writer)


# Sending


async def test_only_so_many_pieces_are_under_way() -> None:
    async with bench() as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        for offset in range(0, 12 * MIB, MIB):
            await ground.write(fh, offset, bytes(MIB))
        await ground.settled()
        assert len(held.held) == WRITES_UNDER_WAY
        held.open()
        await ground.close(fh)


async def test_who_waits_for_small_writes_does_not_wait_for_more() -> None:
    async with bench() as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        await ground.write(fh, 0, b"one")
        await ground.write(fh, 100, b"two")
        await ground.settled()
        assert len(held.held) == 1, "the last one may still grow"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.content.flush, fh)
            await ground.settled()
            assert len(held.held) == 2
            held.open()
        await ground.close(fh)


async def test_a_flush_ends_while_others_go_on_writing(autojump_clock: object) -> None:
    async with bench() as ground:
        fh, other = await ground.open(), await ground.open()
        scope = trio.CancelScope()

        async def write_all_the_time() -> None:
            with scope:
                while True:
                    await ground.write(other, 0, b"theirs")
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_all_the_time)
            await trio.lowlevel.checkpoint()
            for _ in range(3):
                await ground.write(fh, 0, b"ours")
                await ground.content.fsync(fh)
            scope.cancel()
        await ground.close(fh)
        await ground.close(other)


@pytest.mark.logs("bug: a write ended with RuntimeError", "could not be written: oh")
async def test_a_bug_costs_a_write_and_not_the_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as ground:
        fh = await ground.open()
        handle = ground.content.of(fh).handle

        async def broken(*_: object) -> None:
            raise RuntimeError("oh")

        monkeypatch.setattr(handle, "write", broken)
        await ground.write(fh, 0, b"abc")
        with pytest.raises(OSError, match="an earlier write was lost: oh"):
            await ground.content.flush(fh)
        await ground.content.release(fh)


@pytest.mark.logs("it was given up: the mount is ending", "a write was lost")
async def test_a_mount_that_ends_tells_what_it_did_not_send() -> None:
    async with bench() as ground:
        fh = await ground.open()
        ground.gate(Command.WRITE)
        kept = ground.file.ground.nursery
        async with trio.open_nursery() as nursery:
            ground.file.ground.nursery = nursery
            await ground.write(fh, 0, b"abc")
            await ground.write(fh, 100, b"def")
            await ground.settled()
            nursery.cancel_scope.cancel()
        ground.file.ground.nursery = kept
        assert not ground.file.dirty
        await ground.content.release(fh)


@pytest.mark.logs("could not be written: no answer")
async def test_a_write_that_is_waited_for_goes_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench() as ground:
        opened = ground.content.of(await ground.open())
        piece = ground.file.through(opened, 0, b"abc")
        assert isinstance(piece.done, trio.Event)
        await piece.done.wait()
        assert (ground.data, piece.error) == (b"abc", None)

        async def unanswered(*_: object) -> None:
            raise ServerSilent("no answer")

        with monkeypatch.context() as patch:
            patch.setattr(opened.handle, "write", unanswered)
            piece = ground.file.through(opened, 0, b"def")
            assert isinstance(piece.done, trio.Event)
            await piece.done.wait()
        assert isinstance(piece.error, ServerSilent)
        ground.file.lost(OSError("another"), "more")
        with pytest.raises(OSError, match="no answer"):
            await ground.file.settle()
        await ground.content.release(opened.fh)


async def test_it_can_be_waited_for_that_something_moves() -> None:
    async with bench() as ground:
        fh = await ground.open()
        await ground.write(fh, 0, b"abc")
        await ground.file.moved()
        assert not ground.file.dirty
        await ground.file.clear(0, 3)
        await ground.close(fh)


@pytest.mark.logs("connection lost", "it may have been changed")
async def test_who_must_live_may_be_stale() -> None:
    async with bench() as ground:
        opened = ground.content.of(await ground.open())
        must_live(opened)
        ground.server.hang_up()
        ground.share.put(NAME, b"other")
        await ground.settled()
        with pytest.raises(Stale):
            must_live(opened)
        await ground.content.release(opened.fh)


async def test_there_is_room_if_nobody_reads_what_has_it(autojump_clock: object) -> None:
    policy = DataPolicy(cache_bytes=4 * MIB, believe_s=3600)
    async with bench(bytes(MIB), policy=policy) as ground:
        fh = await ground.open()
        await ground.read(fh, 0, 1000)
        pages, budget = ground.file.pages, ground.file.ground.read_budget
        reader = File(ground.file.ground, ground.inode, pages, ground.file.dirty)
        make_room = ground.file.ground.make_room
        make_room(reader, MIB)
        await trio.sleep(0.5)
        make_room(reader, budget.limit_bytes)
        assert pages.held_bytes, "it was read a moment ago"
        await trio.sleep(1)
        make_room(ground.file, budget.limit_bytes)
        assert pages.held_bytes, "he wants it himself"
        make_room(reader, budget.limit_bytes)
        assert pages.held_bytes, "not so soon again"
        await trio.sleep(1)
        make_room(reader, budget.limit_bytes)
        assert not pages.held_bytes
        ground.file.lost_belief()
        await ground.close(fh)


# Alone


async def test_what_is_done_alone_is_done_after_all_and_before_all() -> None:
    async with bench() as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        done: list[str] = []

        async def work() -> str:
            await trio.lowlevel.checkpoint()
            done.append(ground.data.decode())
            await trio.lowlevel.checkpoint()
            assert not ground.file.dirty
            return "well"

        async def alone() -> None:
            assert await ground.file.alone(work) == "well"

        await ground.write(fh, 0, b"before")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alone)
            await ground.settled()
            nursery.start_soon(ground.write, fh, 0, b"after!")
            await ground.settled()
            assert not done
            held.open()
        assert done == ["before"]
        await ground.close(fh)
        assert ground.data == b"after!"


async def test_an_error_goes_to_who_asked_for_it() -> None:
    async with bench() as ground:
        fh = await ground.open()

        async def work() -> None:
            raise RuntimeError("oh")

        with pytest.raises(RuntimeError, match="oh"):
            await ground.file.alone(work)
        await ground.write(fh, 0, b"still works")
        await ground.close(fh)


@pytest.mark.parametrize("has_undo", [True, False])
async def test_it_goes_on_without_who_asked_and_is_undone(has_undo: bool) -> None:
    async with bench() as ground:
        fh = await ground.open()
        go_on, undone = trio.Event(), list[str]()

        async def work() -> str:
            await go_on.wait()
            return "well"

        with trio.move_on_after(0.01) as scope:
            await ground.file.alone(work, undone.append if has_undo else None)
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.write, fh, 0, b"later")
            await ground.settled()
            assert not ground.file.dirty
            go_on.set()
        assert undone == (["well"] if has_undo else [])
        await ground.close(fh)


async def test_who_gives_up_before_it_began_has_never_asked() -> None:
    async with bench() as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        await ground.write(fh, 0, b"abc")

        async def work() -> None:
            raise AssertionError("it was called off")

        with trio.move_on_after(0.01) as scope:
            await ground.file.alone(work)
        assert scope.cancelled_caught
        held.open()
        await ground.write(fh, 0, b"def")
        await ground.close(fh)


async def test_it_ends_with_the_mount() -> None:
    async with bench() as ground:
        fh = await ground.open()
        kept = ground.file.ground.nursery
        errors: list[str] = []

        async def alone() -> None:
            with pytest.raises(OSError, match="the mount is ending") as caught:
                await ground.file.alone(trio.sleep_forever)
            errors.append(str(caught.value))

        async with trio.open_nursery() as asking, trio.open_nursery() as mount:
            ground.file.ground.nursery = mount
            asking.start_soon(alone)
            await ground.settled()
            mount.cancel_scope.cancel()
        ground.file.ground.nursery = kept
        assert errors
        await ground.write(fh, 0, b"the door is free")
        await ground.close(fh)


async def test_a_descriptor_knows_what_it_is() -> None:
    async with bench() as ground:
        kinds = {
            os.O_RDONLY: (False, False, False, False),
            os.O_WRONLY: (True, False, False, False),
            BOTH | os.O_APPEND: (True, True, False, False),
            BOTH | os.O_DIRECT: (True, False, True, False),
            BOTH | os.O_DSYNC: (True, False, False, True),
            BOTH | os.O_SYNC: (True, False, False, True),
        }
        for flags, wanted in kinds.items():
            fh = await ground.open(flags)
            one = ground.content.of(fh)
            found = (one.may_write, one.is_append, one.is_direct, one.is_synchronous)
            assert found == wanted
            await ground.close(fh)
