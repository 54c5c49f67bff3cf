"""A session answers once, gives up when it should, undoes what nobody got, and ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from smbfs.fuse.native import questions
from smbfs.fuse.native.greeting import TooOld
from smbfs.fuse.native.session import Session
from smbfs.fuse.native.signals import Signals
from smbfs.fuse.native.uapi import Opcode
from smbfs.fuse.server import DATA_PATIENCE, Entry, FileHandle, Opened
from tests.fake.kernel import FakeKernel, Said, init, kernel_of
from tests.fuse.native.slow import Slow
from tests.fuse.scripted import ENTRY, Fake, attributes

NOTHING = Signals(pending=0, ignored=0, caught=0)
HANDLED = Signals(pending=2, ignored=0, caught=2)  # SIGINT, with a handler
LK = bytes(questions.LkIn(fh=9, owner=1, start=0, end=9, type=1))
Signalled = Callable[[Signals], None]


# The conversation


async def test_init() -> None:
    async with kernel_of(Fake()) as (kernel, served):
        said = await kernel.call(Opcode.INIT, init(), 0)
        assert (said.error, len(said.body)) == (0, 64)
        assert served.agreed is not None
        assert served.agreed.minor == 45


async def test_a_later_major_version_is_told_ours() -> None:
    async with kernel_of(Fake()) as (kernel, served):
        said = await kernel.call(Opcode.INIT, init(major=8), 0)
        assert said.body[:4] == b"\7\0\0\0"
        assert served.agreed is None


@pytest.mark.parametrize(
    ("body", "sentence"), [(init(minor=30), "use `transport=pyfuse3`"), (b"", "truncated")]
)
async def test_an_init_that_cannot_be_ends_the_session(body: bytes, sentence: str) -> None:
    kernel = FakeKernel()
    kernel.ask(Opcode.INIT, body, 0)
    with pytest.raises((TooOld, ValueError), match=sentence):
        await Session(kernel.fd, fake(), 5).serve()
    kernel.hear()
    [said] = kernel.replies.values()
    assert said.error == -errno.EPROTO
    kernel.close()
    os.close(kernel.fd)


def fake(**answers: Any) -> Any:
    return Fake(**answers)


async def test_forgets_get_no_reply() -> None:
    filesystem = Fake()
    async with kernel_of(filesystem) as (kernel, _):
        kernel.ask(Opcode.FORGET, bytes(questions.ForgetIn(nlookup=3)), 7)
        ones = b"".join(
            bytes(questions.ForgetOne(nodeid=node, nlookup=count))
            for node, count in ((8, 1), (9, 2))
        )
        kernel.ask(Opcode.BATCH_FORGET, bytes(questions.BatchForgetIn(count=2, rest=ones)), 0)
        kernel.ask(Opcode.BATCH_FORGET, bytes(questions.BatchForgetIn(count=99, rest=ones)), 0)
        kernel.ask(Opcode.NOTIFY_REPLY, bytes(24), 7)
        assert await kernel.settled() == {}
    assert filesystem.forgotten == [(7, 3), *[(8, 1), (9, 2)] * 2]


async def test_an_unknown_opcode_is_enosys() -> None:
    async with kernel_of(Fake()) as (kernel, _):
        assert (await kernel.call(4097)).error == -errno.ENOSYS


async def test_errors_become_numbers() -> None:
    refused = Fake(lookup_now=OSError(errno.EACCES, "no"), getattr=OSError(errno.ESTALE, "gone"))
    async with kernel_of(refused) as (kernel, _):
        assert (await kernel.call(Opcode.LOOKUP, b"n\0")).error == -errno.EACCES
        asked = bytes(questions.GetattrIn())
        assert (await kernel.call(Opcode.GETATTR, asked)).error == -errno.ESTALE


@pytest.mark.logs("bug: KeyError")
async def test_a_bug_is_an_error_and_not_the_end() -> None:
    broken = Fake(lookup_now=KeyError("x"))
    async with kernel_of(broken) as (kernel, _):
        assert (await kernel.call(Opcode.LOOKUP, b"n\0")).error == -errno.EIO
        assert (await kernel.call(Opcode.UNLINK, b"n\0")).error == 0


async def test_many_requests_leave_others_their_turn() -> None:
    ticks = 0
    filesystem = Fake(getattr_now=attributes())
    asked = bytes(questions.GetattrIn())

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery, kernel_of(filesystem) as (kernel, _):
        nursery.start_soon(tick)
        for _ in range(100):
            kernel.ask(Opcode.GETATTR, asked)
        while len(kernel.replies) < 100:
            await trio.lowlevel.checkpoint()
            kernel.hear()
        nursery.cancel_scope.cancel()
    assert ticks >= 2  # the hundred do not come in one breath


# Deadlines


@pytest.mark.parametrize(
    ("opcode", "name", "body", "factor"),
    [
        (Opcode.LOOKUP, "lookup", b"n\0", 1),
        (Opcode.UNLINK, "unlink", b"n\0", 1),
        (Opcode.READ, "read", bytes(questions.ReadIn(fh=9, offset=0, size=1)), DATA_PATIENCE),
        (Opcode.FLUSH, "flush", bytes(questions.FlushIn(fh=9)), DATA_PATIENCE),
    ],
)
async def test_every_wait_ends(
    opcode: Opcode, name: str, body: bytes, factor: float, autojump_clock: trio.testing.MockClock
) -> None:
    async with kernel_of(Fake(**{name: trio.sleep_forever}), 5.0) as (kernel, _):
        asked = kernel.ask(opcode, body)
        await trio.sleep(5.0 * factor - 1)
        kernel.hear()
        assert kernel.replies == {}
        await trio.sleep(2)
        kernel.hear()
        assert kernel.replies[asked].error == -errno.ETIMEDOUT


# Replies that do not arrive

OPENED = Opened(FileHandle(9))
UNDONE: list[tuple[Opcode, bytes, dict[str, Any], list[tuple[int, int]], list[tuple[Any, ...]]]] = [
    (Opcode.LOOKUP, b"n\0", {"lookup_now": ENTRY}, [(7, 1)], []),
    (Opcode.LOOKUP, b"n\0", {"lookup_now": Entry(None)}, [], []),
    (Opcode.OPEN, bytes(questions.OpenIn(flags=0)), {"open": OPENED}, [], [("give_up", 9)]),
    (
        Opcode.OPENDIR,
        bytes(questions.OpenIn(flags=0)),
        {"opendir": OPENED},
        [],
        [("give_up_directory", 9)],
    ),
    (
        Opcode.CREATE,
        bytes(questions.CreateIn(flags=0, mode=0, names=b"n\0")),
        {"create": (OPENED, ENTRY)},
        [(7, 1)],
        [("give_up", 9)],
    ),
]


@pytest.mark.parametrize(
    ("opcode", "body", "answers", "forgotten", "given_up"), UNDONE, ids=lambda value: str(value)[:9]
)
async def test_what_the_kernel_did_not_get_is_undone(
    opcode: Opcode,
    body: bytes,
    answers: dict[str, Any],
    forgotten: list[tuple[int, int]],
    given_up: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(fd: int, parts: Any) -> int:
        raise OSError(errno.ENOENT, "nobody waits")

    filesystem = Fake(**answers)
    async with kernel_of(filesystem) as (kernel, _):
        monkeypatch.setattr(os, "writev", refuse)
        kernel.ask(opcode, body)
        await kernel.settled()
    assert filesystem.forgotten == forgotten
    assert [call for call in filesystem.asked if call[0].startswith("give_up")] == given_up


@pytest.mark.logs("bug: error")
async def test_numbers_that_do_not_fit_are_an_error_and_undone() -> None:
    too_large = Entry(attributes(size=1 << 64))
    filesystem = Fake(lookup_now=too_large, create=(OPENED, too_large))
    async with kernel_of(filesystem) as (kernel, _):
        assert (await kernel.call(Opcode.LOOKUP, b"n\0")).error < 0
        body = bytes(questions.CreateIn(flags=0, mode=0, names=b"n\0"))
        assert (await kernel.call(Opcode.CREATE, body)).error < 0
    assert filesystem.forgotten == [(7, 1), (7, 1)]
    assert ("give_up", 9) in filesystem.asked


async def test_more_parts_than_the_system_takes_are_joined() -> None:
    many = [memoryview(b"x")] * 3000
    body = bytes(questions.ReadIn(fh=9, offset=0, size=4000))
    async with kernel_of(Fake(read_now=many)) as (kernel, _):
        assert (await kernel.call(Opcode.READ, body)).body == b"x" * 3000


@pytest.mark.parametrize("number", [-5, 512, 100_000])
async def test_numbers_that_the_kernel_takes_for_no_error(number: int) -> None:
    async with kernel_of(Fake(lookup_now=OSError(number, "odd"))) as (kernel, _):
        assert (await kernel.call(Opcode.LOOKUP, b"n\0")).error == -errno.EIO


@pytest.mark.logs("bug: a reply of")
async def test_a_reply_that_the_kernel_refuses_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, parts: Any) -> int:
        raise OSError(errno.EINVAL, "too long")

    async with kernel_of(Fake()) as (kernel, _):
        monkeypatch.setattr(os, "writev", refuse)
        asked = kernel.ask(Opcode.UNLINK, b"n\0")
        # It may or may not have failed the request by itself.
        assert await kernel.settled() == {asked: Said(-errno.EIO, b"")}


async def test_what_nobody_will_answer_is_refused() -> None:
    kernel = FakeKernel()
    served = Session(kernel.fd, fake(), 5.0)
    asked = [kernel.ask(opcode, b"n\0") for opcode in (Opcode.LOOKUP, Opcode.FORGET, 999)]
    served.refuse_all()
    kernel.hear()
    assert kernel.replies == {number: Said(-errno.EIO, b"") for number in (asked[0], asked[2])}
    kernel.close()
    served.refuse_all()
    os.close(kernel.fd)


# Ends


async def test_stop_answers_what_runs_and_gives_up_locks() -> None:
    slow = Slow(lookup=ENTRY, setlk=None)
    kernel = FakeKernel()
    served = Session(kernel.fd, slow, 5.0)  # type: ignore[arg-type]  # it has the methods
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.serve)
        looked, locked = kernel.ask(Opcode.LOOKUP, b"n\0"), kernel.ask(Opcode.SETLKW, LK)
        await kernel.settled()
        served.stop()
        assert await kernel.settled() == {locked: Said(-errno.EINTR, b"")}
        slow.go.set()
    kernel.hear()
    assert kernel.replies[looked].error == 0
    kernel.close()
    os.close(kernel.fd)


async def test_when_the_mount_is_gone_nobody_is_waited_for() -> None:
    async with kernel_of(Fake(lookup=trio.sleep_forever, setlk=trio.sleep_forever)) as (kernel, _):
        kernel.ask(Opcode.LOOKUP, b"n\0")
        kernel.ask(Opcode.SETLKW, LK)
        await kernel.settled()


async def test_a_session_that_is_cancelled_answers_everybody() -> None:
    kernel = FakeKernel()
    served = Session(kernel.fd, fake(lookup=trio.sleep_forever), 5.0)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served.serve)
            asked = kernel.ask(Opcode.LOOKUP, b"n\0")
            await kernel.settled()
            scope.cancel()
    kernel.hear()
    assert kernel.replies == {asked: Said(-errno.EIO, b"")}
    kernel.close()
    os.close(kernel.fd)


@pytest.mark.parametrize(
    ("number", "ends"), [(errno.ENOENT, False), (errno.EINTR, False), (errno.ENODEV, True)]
)
async def test_errors_of_reading(number: int, ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, times = FakeKernel(), 0
    real = os.readv

    def readv(fd: int, buffers: Any) -> int:
        nonlocal times
        times += 1
        if times == 1:
            raise OSError(number, "so")
        return real(fd, buffers)

    monkeypatch.setattr(os, "readv", readv)
    kernel.close()
    await Session(kernel.fd, fake(), 5.0).serve()
    assert times == (1 if ends else 2)
    os.close(kernel.fd)


@pytest.mark.logs("bug: reading requests ended")
async def test_any_other_error_of_reading_is_told() -> None:
    await Session(os.open("/dev/null", os.O_WRONLY), fake(), 5.0).serve()


# allow_root


async def test_others_are_turned_away_where_only_root_may_join() -> None:
    filesystem = Fake(lookup_now=Entry(None), read_now=[memoryview(b"x")])
    reading = bytes(questions.ReadIn(fh=9, offset=0, size=1))
    async with kernel_of(filesystem, only=1000) as (kernel, _):
        for uid, error in ((1000, 0), (0, 0), (1001, -errno.EACCES)):
            assert (await kernel.call(Opcode.LOOKUP, b"n\0", uid=uid)).error == error
        assert (await kernel.call(Opcode.READ, reading, uid=1001)).error == 0  # it was given leave
