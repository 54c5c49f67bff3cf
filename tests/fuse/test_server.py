"""What filesystem and kernel servers share: every wait ends, every error becomes an errno."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from smbfs.errors import ConnectionLost, Refused, ServerSilent, StatusError
from smbfs.fuse.server import Request, bounded, errno_of
from smbfs.wire.status import Status


async def never() -> None:
    await trio.sleep_forever()


async def after(seconds: float) -> str:
    await trio.sleep(seconds)
    return "answer"


async def test_an_answer_in_time(autojump_clock: MockClock) -> None:
    assert await bounded(Request(0, 0, 0), after(4), 5) == "answer"


async def test_a_deadline_that_passes(autojump_clock: MockClock) -> None:
    with pytest.raises(OSError, match="no answer") as error:
        await bounded(Request(0, 0, 0), never(), 5)
    assert error.value.errno == errno.ETIMEDOUT
    assert trio.current_time() == 5


async def test_no_limit(autojump_clock: MockClock) -> None:
    assert await bounded(Request(0, 0, 0), after(86400), float("inf")) == "answer"


async def test_an_asker_who_gives_up(autojump_clock: MockClock) -> None:
    request = Request(0, 0, 0)
    async with trio.open_nursery() as nursery:

        async def give_up() -> None:
            await trio.sleep(1)
            request.interrupt()

        nursery.start_soon(give_up)
        with pytest.raises(OSError, match="no answer") as error:
            await bounded(request, never(), 5)
    assert error.value.errno == errno.EINTR
    assert trio.current_time() == 1


async def test_an_asker_who_gave_up_before(autojump_clock: MockClock) -> None:
    request = Request(0, 0, 0)
    request.interrupt()
    with pytest.raises(OSError, match="no answer") as error:
        await bounded(request, never(), 5)
    assert error.value.errno == errno.EINTR


async def test_giving_up_after_the_answer_is_harmless() -> None:
    request = Request(0, 0, 0)
    assert await bounded(request, after(0), 5) == "answer"
    request.interrupt()


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.ENOTEMPTY, "not empty"), errno.ENOTEMPTY),
        (StatusError(Status.OBJECT_NAME_NOT_FOUND, "CREATE", "x"), errno.ENOENT),
        (ConnectionLost("gone"), errno.EHOSTDOWN),
        (ServerSilent("silent"), errno.ETIMEDOUT),
        (Refused("no"), errno.EACCES),
        (ExceptionGroup("one", [OSError(errno.EPERM, "no")]), errno.EPERM),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_what_a_program_is_told(error: Exception, number: int) -> None:
    assert errno_of(error) == number


@pytest.mark.parametrize(
    "error",
    [
        KeyError("bug"),
        OSError("without a number"),
        ExceptionGroup("two", [OSError(errno.EPERM, "no"), KeyError("bug")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_bug_is_an_io_error_and_is_logged(
    error: Exception, expect_log: Callable[[str], None]
) -> None:
    expect_log("ERROR smbfs.fuse.server: bug: .* reached the kernel boundary")
    assert errno_of(error) == errno.EIO
