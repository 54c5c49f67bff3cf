"""An interrupt ends what it may, leaves what it must, and never answers twice."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest
import trio
import trio.testing

from smbfs.fuse.native import questions, session
from smbfs.fuse.native.session import ASK_AGAIN_S
from smbfs.fuse.native.signals import MEANT, Signals
from smbfs.fuse.native.uapi import Opcode
from smbfs.fuse.server import FileHandle, Opened
from tests.fake.kernel import Said, kernel_of
from tests.fuse.native.slow import Slow
from tests.fuse.scripted import ENTRY, Fake

NOTHING = Signals(pending=0, ignored=0, caught=0)
HANDLED = Signals(pending=2, ignored=0, caught=2)  # SIGINT, with a handler
OPENED = Opened(FileHandle(9))
LK = bytes(questions.LkIn(fh=9, owner=1, start=0, end=9, type=1))
Signalled = Callable[[Signals], None]


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> Signalled:
    """Say which signals every asker has."""

    def say(found: Signals) -> None:
        monkeypatch.setattr(session, "signals_of", lambda pid: found)

    say(MEANT)
    return say


async def test_a_lock_waits_until_it_is_interrupted(
    autojump_clock: trio.testing.MockClock, signalled: Signalled
) -> None:
    signalled(NOTHING)  # any signal will do: the kernel begins again where that is due
    async with kernel_of(Fake(setlk=trio.sleep_forever), 5.0) as (kernel, _):
        asked = kernel.ask(Opcode.SETLKW, LK)
        await trio.sleep(80_000)  # longer than any other wait
        kernel.hear()
        assert kernel.replies == {}
        kernel.interrupt(asked)
        await trio.sleep(1)
        kernel.hear()
        assert kernel.replies[asked].error == -errno.EINTR


async def test_a_wait_is_given_up(signalled: Signalled) -> None:
    async with kernel_of(Fake(lookup=trio.sleep_forever)) as (kernel, served):
        asked = kernel.ask(Opcode.LOOKUP, b"n\0")
        assert await kernel.settled() == {}
        assert served.waiting == 1
        kernel.interrupt(asked)
        assert await kernel.settled() == {asked: Said(-errno.EINTR, b"")}
        assert served.waiting == 0


async def test_an_interrupt_right_behind_its_request(signalled: Signalled) -> None:
    async with kernel_of(Fake(lookup=trio.sleep_forever)) as (kernel, _):
        asked = kernel.ask(Opcode.LOOKUP, b"n\0")
        kernel.interrupt(asked)
        assert await kernel.settled() == {asked: Said(-errno.EINTR, b"")}


async def test_one_that_comes_too_late_is_nothing(signalled: Signalled) -> None:
    async with kernel_of(Fake(lookup_now=ENTRY)) as (kernel, _):
        asked = kernel.ask(Opcode.LOOKUP, b"n\0")
        kernel.interrupt(asked)
        assert list(await kernel.settled()) == [asked]


async def test_a_harmless_signal_ends_nothing_and_is_asked_for_again(
    autojump_clock: trio.testing.MockClock, signalled: Signalled
) -> None:
    signalled(NOTHING)
    async with kernel_of(Fake(lookup=trio.sleep_forever)) as (kernel, _):
        asked = kernel.ask(Opcode.LOOKUP, b"n\0")
        interrupt = kernel.interrupt(asked)
        await trio.sleep(2 * ASK_AGAIN_S)
        kernel.hear()
        assert kernel.replies == {interrupt: Said(-errno.EAGAIN, b"")}
        signalled(MEANT)
        kernel.replies.clear()
        kernel.interrupt(asked)
        await trio.sleep(ASK_AGAIN_S)
        kernel.hear()
        assert kernel.replies == {asked: Said(-errno.EINTR, b"")}


async def test_nothing_is_asked_again_when_the_answer_came_meanwhile(
    autojump_clock: trio.testing.MockClock, signalled: Signalled
) -> None:
    signalled(NOTHING)
    slow = Slow(lookup=ENTRY)
    async with kernel_of(slow) as (kernel, _):
        asked = kernel.ask(Opcode.LOOKUP, b"n\0")
        kernel.interrupt(asked)
        await trio.sleep(ASK_AGAIN_S / 2)
        slow.go.set()
        await trio.sleep(ASK_AGAIN_S)
        kernel.hear()
        assert list(kernel.replies) == [asked]


async def test_a_change_goes_on_when_its_asker_is_killed(signalled: Signalled) -> None:
    slow = Slow(mkdir=ENTRY)
    body = bytes(questions.MkdirIn(mode=0o755, names=b"n\0"))
    async with kernel_of(slow) as (kernel, served):
        asked = kernel.ask(Opcode.MKDIR, body)
        await kernel.settled()
        kernel.interrupt(asked)
        assert await kernel.settled() == {asked: Said(-errno.EINTR, b"")}
        assert slow.asked == []
        slow.go.set()
        await kernel.settled()
        assert [call[0] for call in slow.asked] == ["mkdir"]
        assert slow.forgotten == [(7, 1)]  # the kernel never got to know of it
        assert served.waiting == 0


async def test_a_change_is_not_left_for_a_signal_that_is_handled(
    autojump_clock: trio.testing.MockClock, signalled: Signalled
) -> None:
    signalled(HANDLED)
    slow = Slow(mkdir=ENTRY)
    body = bytes(questions.MkdirIn(mode=0o755, names=b"n\0"))
    async with kernel_of(slow) as (kernel, _):
        asked = kernel.ask(Opcode.MKDIR, body)
        kernel.interrupt(asked)
        await trio.sleep(ASK_AGAIN_S / 2)
        slow.go.set()
        await trio.sleep(ASK_AGAIN_S / 4)
        kernel.hear()
        assert kernel.replies[asked].error == 0


@pytest.mark.parametrize(("flags", "is_left"), [(os.O_RDONLY, True), (os.O_TRUNC, False)])
async def test_opening_is_a_wait_unless_it_empties_the_file(
    flags: int, is_left: bool, autojump_clock: trio.testing.MockClock, signalled: Signalled
) -> None:
    signalled(HANDLED)
    slow = Slow(open=OPENED)
    async with kernel_of(slow) as (kernel, served):
        asked = kernel.ask(Opcode.OPEN, bytes(questions.OpenIn(flags=flags)))
        await trio.sleep(0.01)
        kernel.interrupt(asked)
        await trio.sleep(ASK_AGAIN_S / 2)
        kernel.hear()
        assert (asked in kernel.replies) == is_left
        assert served.waiting == (0 if is_left else 1)
        slow.go.set()


async def test_who_was_killed_does_not_wait_for_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "was_killed", lambda pid: True)
    slow = Slow(flush=None)
    async with kernel_of(slow) as (kernel, _):
        said = await kernel.call(Opcode.FLUSH, bytes(questions.FlushIn(fh=9)))
        assert said.error == 0
        slow.go.set()
    assert [call[0] for call in slow.asked] == ["flush_now", "flush"]


async def test_whoever_closes_and_lives_waits() -> None:
    slow = Slow(flush=OSError(errno.EIO, "lost"))
    async with kernel_of(slow) as (kernel, _):
        asked = kernel.ask(Opcode.FLUSH, bytes(questions.FlushIn(fh=9)))
        assert await kernel.settled() == {}
        slow.go.set()
        await kernel.settled()
        assert kernel.replies[asked].error == -errno.EIO
