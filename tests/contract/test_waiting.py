"""What a server does not answer at once, and how it is told to give up."""

from __future__ import annotations

import trio

from smbfs.engine.exchange import Ask, Slot
from smbfs.engine.handle import Handle
from smbfs.engine.how import How
from smbfs.engine.steps import query_all
from smbfs.wire.constants import CompletionFilter, LockFlags
from smbfs.wire.file_messages import LockElement, LockRequest
from smbfs.wire.messages import EchoRequest
from smbfs.wire.query_messages import ChangeNotifyRequest
from smbfs.wire.status import Status
from tests.contract.servers import Bench

WAITS = LockFlags.EXCLUSIVE_LOCK
AT_ONCE = LockFlags.EXCLUSIVE_LOCK | LockFlags.FAIL_IMMEDIATELY


def lock(handle: Handle, flags: int, offset: int = 0, length: int = 10) -> Ask:
    element = LockElement(offset=offset, length=length, flags=flags)
    body = LockRequest(file_id=handle.file_id, locks=bytes(element))
    return Ask(body, patient=not flags & LockFlags.FAIL_IMMEDIATELY)


async def posted(bench: Bench, ask: Ask) -> Slot:
    [slot] = await (await bench.link.tree()).post([ask])
    return slot


async def status(bench: Bench, slot: Slot) -> Status:
    return (await (await bench.link.tree()).wait(slot)).status


async def pending(bench: Bench, slot: Slot) -> None:
    """Ask something else until the server has said that this takes longer."""
    with trio.fail_after(5):
        while not slot.async_id:
            assert await status(bench, await posted(bench, Ask(EchoRequest()))) == Status.SUCCESS


async def test_a_lock_is_waited_for(any_bench: Bench) -> None:
    any_bench.place.put("file", bytes(100))
    first, _ = await any_bench.share.open("file", How.reading())
    second, _ = await any_bench.share.open("file", How.reading())
    assert await status(any_bench, await posted(any_bench, lock(first, AT_ONCE))) == Status.SUCCESS
    refused = await posted(any_bench, lock(second, AT_ONCE))
    assert await status(any_bench, refused) == Status.LOCK_NOT_GRANTED
    beside = await posted(any_bench, lock(second, AT_ONCE, offset=10))
    assert await status(any_bench, beside) == Status.SUCCESS
    waiting = await posted(any_bench, lock(second, WAITS))
    await pending(any_bench, waiting)
    unlock = await posted(any_bench, lock(first, LockFlags.UNLOCK))
    assert await status(any_bench, unlock) == Status.SUCCESS
    assert await status(any_bench, waiting) == Status.SUCCESS
    again = await posted(any_bench, lock(first, LockFlags.UNLOCK))
    assert await status(any_bench, again) == Status.RANGE_NOT_LOCKED
    await first.close()
    await second.close()


async def test_who_stops_waiting_for_a_lock_never_gets_it(any_bench: Bench) -> None:
    any_bench.place.put("file", bytes(100))
    first, _ = await any_bench.share.open("file", How.reading())
    second, _ = await any_bench.share.open("file", How.reading())
    await status(any_bench, await posted(any_bench, lock(first, AT_ONCE)))
    waiting = await posted(any_bench, lock(second, WAITS))
    await pending(any_bench, waiting)
    tree = await any_bench.link.tree()
    tree.abandon(waiting)
    await status(any_bench, await posted(any_bench, lock(first, LockFlags.UNLOCK)))
    mine = await posted(any_bench, lock(first, AT_ONCE))
    assert await status(any_bench, mine) == Status.SUCCESS
    assert waiting.message_id not in tree.session.connection.exchange.outstanding
    await first.close()
    await second.close()


async def test_watching_ends_when_it_is_given_up(any_bench: Bench) -> None:
    any_bench.place.mkdir("dir")
    handle, _ = await any_bench.share.open("dir", How.listing())
    body = ChangeNotifyRequest(
        output_buffer_length=4096,
        file_id=handle.file_id,
        completion_filter=CompletionFilter.FILE_NAME,
    )
    watching = await posted(any_bench, Ask(body, receives=4096, patient=True))
    await pending(any_bench, watching)
    tree = await any_bench.link.tree()
    tree.abandon(watching)
    with trio.fail_after(5):
        while watching.message_id in tree.session.connection.exchange.outstanding:
            assert await status(any_bench, await posted(any_bench, Ask(EchoRequest()))) == 0
    await handle.close()
    await any_bench.share.on("dir", How.looking(), query_all())


async def test_watching_ends_with_the_handle(bench: Bench) -> None:
    bench.place.mkdir("dir")
    handle, _ = await bench.share.open("dir", How.listing())
    body = ChangeNotifyRequest(
        output_buffer_length=4096,
        file_id=handle.file_id,
        completion_filter=CompletionFilter.FILE_NAME,
    )
    watching = await posted(bench, Ask(body, receives=4096, patient=True))
    await pending(bench, watching)
    await handle.close()
    assert await status(bench, watching) == Status.NOTIFY_CLEANUP
