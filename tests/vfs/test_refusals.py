"""What a server lacks is asked for once."""

from __future__ import annotations

import errno

import pytest

from smbfs.errors import StatusError
from smbfs.vfs.refusals import unless_refused
from smbfs.wire.status import Status
from tests.vfs.mounted import mounted
from tests.vfs.tables import fails


async def test_what_is_there_is_asked_for_each_time() -> None:
    asked = []

    async def ask() -> int:
        asked.append(1)
        return len(asked)

    async with mounted() as made:
        assert await unless_refused(made.volume, "thing", ask) == 1
        assert await unless_refused(made.volume, "thing", ask) == 2


@pytest.mark.parametrize(
    ("status", "number", "times"),
    [
        (Status.NOT_SUPPORTED, errno.EOPNOTSUPP, 1),
        (Status.INVALID_DEVICE_REQUEST, errno.EOPNOTSUPP, 1),
        (Status.ACCESS_DENIED, errno.EACCES, 2),
        (Status.DISK_FULL, errno.ENOSPC, 2),
    ],
)
async def test_what_is_refused_for_good_is_asked_for_once(
    status: Status, number: int, times: int
) -> None:
    asked = []

    async def ask() -> None:
        asked.append(1)
        raise StatusError(status, "IOCTL")

    async with mounted() as made:
        for _ in range(2):
            with fails(number):
                await unless_refused(made.volume, "thing", ask)
        assert len(asked) == times
        assert await unless_refused(made.volume, "another", _yes)


async def _yes() -> bool:
    return True
