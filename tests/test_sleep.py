"""What happens around a sleep of this machine, told by a logind of our own on a bus of our own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from smbfs import sleep
from tests.logind import logind, private_bus, until


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A bus of this test's own."""
    with private_bus(tmp_path) as daemon:
        yield daemon


class Mount:
    """What a mount was asked to do."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.takes_s = 0.0
        self.error: Exception | None = None

    async def prepare(self) -> None:
        self.events.append("prepare")
        await trio.sleep(self.takes_s)
        if self.error is not None:
            raise self.error
        self.events.append("prepared")

    def resume(self) -> None:
        self.events.append("resume")


async def test_before_and_after_a_sleep(bus: subprocess.Popen[bytes]) -> None:
    mount = Mount()
    async with logind() as machine, trio.open_nursery() as nursery:
        nursery.start_soon(sleep.watch, mount.prepare, mount.resume)
        await until(machine.is_held_back)
        assert machine.asked == [("sleep", "smbfs", sleep.WHY, "delay")]
        mount.takes_s = 0.2
        await machine.tell(True)
        await until(lambda: mount.events == ["prepare"])
        assert machine.is_held_back(), "it is not asleep before we are ready"
        await until(lambda: not machine.is_held_back())
        assert mount.events == ["prepare", "prepared"]
        await machine.tell(False)
        await until(machine.is_held_back)
        assert mount.events[-1] == "resume"
        assert len(machine.locks) == 2
        nursery.cancel_scope.cancel()
    assert not machine.asked[2:]


@pytest.mark.logs("before everything is sent")
async def test_the_machine_does_not_wait_for_ever(
    bus: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sleep, "PREPARE_S", 0.2)
    mount = Mount()
    mount.takes_s = 60
    async with logind() as machine, trio.open_nursery() as nursery:
        nursery.start_soon(sleep.watch, mount.prepare, mount.resume)
        await until(machine.is_held_back)
        await machine.tell(True)
        await until(lambda: not machine.is_held_back())
        await machine.tell(False)
        await until(lambda: mount.events == ["prepare", "resume"])
        nursery.cancel_scope.cancel()


@pytest.mark.logs("bug: could not get ready for sleep")
async def test_a_bug_holds_nothing_back(bus: subprocess.Popen[bytes]) -> None:
    mount = Mount()
    mount.error = RuntimeError("oh")
    async with logind() as machine, trio.open_nursery() as nursery:
        nursery.start_soon(sleep.watch, mount.prepare, mount.resume)
        await until(machine.is_held_back)
        await machine.tell(True)
        await until(lambda: not machine.is_held_back())
        nursery.cancel_scope.cancel()


async def test_a_logind_that_waits_for_nobody(bus: subprocess.Popen[bytes]) -> None:
    mount = Mount()
    async with logind(refuses=True) as machine, trio.open_nursery() as nursery:
        nursery.start_soon(sleep.watch, mount.prepare, mount.resume)
        await until(lambda: machine.asked)
        await machine.tell(True)
        await until(lambda: mount.events == ["prepare", "prepared"])
        nursery.cancel_scope.cancel()


async def test_a_bus_without_logind(bus: subprocess.Popen[bytes]) -> None:
    mount = Mount()
    with trio.move_on_after(0.5):
        await sleep.watch(mount.prepare, mount.resume)
    assert mount.events == []


async def test_no_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'absent'}")
    mount = Mount()
    await sleep.watch(mount.prepare, mount.resume)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "nonsense")
    await sleep.watch(mount.prepare, mount.resume)
    assert mount.events == []


async def test_a_bus_that_goes_away(bus: subprocess.Popen[bytes]) -> None:
    mount = Mount()
    async with trio.open_nursery() as nursery:
        async with logind() as machine:
            nursery.start_soon(sleep.watch, mount.prepare, mount.resume)
            await until(machine.is_held_back)
        bus.terminate()
        await until(lambda: not nursery.child_tasks)
    assert mount.events == []
