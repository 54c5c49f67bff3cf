"""An errand and who waits for it."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from smbfs.vfs.errand import Errand
from tests.vfs.bench import on_mock_time


def test_what_comes_of_it() -> None:
    async def main() -> None:
        good: Errand[int] = Errand(results=[7])
        good.done.set()
        assert await good.outcome() == 7
        bad: Errand[int] = Errand(error=OSError(5, "no"))
        bad.done.set()
        with pytest.raises(OSError, match="no"):
            await bad.outcome()

    on_mock_time(main)


@pytest.mark.parametrize("is_in_time", [True, False])
def test_who_is_cancelled_leaves_it_alone_unless_it_ended(is_in_time: bool) -> None:
    async def main() -> None:
        errand: Errand[int] = Errand()
        got: list[int] = []

        async def wait() -> None:
            with scope:
                got.append(await errand.outcome())

        scope = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            if is_in_time:  # the waiter was woken, and has not seen yet why
                errand.results.append(7)
                errand.done.set()
        assert got == ([7] if is_in_time else [])
        assert errand.is_awaited is is_in_time

    on_mock_time(main)
