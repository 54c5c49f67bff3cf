"""A MOUNT promise: what a mount does around a sleep of this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from tests.logind import logind, private_bus, until
from tests.mount.ground import noise
from tests.mounted import MountedShare
from tests.samba import Samba
from tests.semantics.document import proves

T = TypeVar("T")


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A bus of this test's own."""
    with private_bus(tmp_path) as daemon:
        yield daemon


@proves(
    "MOUNT-6 Before this machine goes to sleep what is unsent is sent, and logind waits for that; "
    "when it wakes up, the connection is made anew at once."
)
async def test_a_mount_sleeps_and_wakes(
    bus: subprocess.Popen[bytes], samba: Samba, transport: str
) -> None:
    data = noise(3 << 20)

    async def off_the_loop(do: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(partial(do, *arguments))

    async with logind() as machine:
        mounted = MountedShare(samba)
        await off_the_loop(mounted.mount)
        try:
            await until(machine.is_held_back)
            fd = await off_the_loop(os.open, mounted.path / "asleep", os.O_CREAT | os.O_RDWR)
            await off_the_loop(os.write, fd, data)
            await machine.tell(True)
            await until(lambda: not machine.is_held_back())
            assert (mounted.behind / "asleep").read_bytes() == data
            await machine.tell(False)
            await until(machine.is_held_back)
            await until(lambda: mounted.log().count("connected") == 2)
            assert await off_the_loop(os.pread, fd, 10, 0) == data[:10]
            await off_the_loop(os.close, fd)
        finally:
            await off_the_loop(mounted.close)
            (mounted.behind / "asleep").unlink()
