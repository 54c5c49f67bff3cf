"""One mount's ordered start and stop, with stand-ins for every room below it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from smbfs import mount, mountpoint, settings
from smbfs.errors import ConnectionLost, Refused, SmbError, StatusError
from smbfs.fuse.server import DATA_PATIENCE
from smbfs.mount import Interrupted, MountFailed, reason_of
from smbfs.mountpoint import Mounted
from smbfs.options import CacheOptions, MountOptions, ServerOptions, Service
from smbfs.options.model import PresentationOptions
from smbfs.wire.status import Status
from tests.standins import House, Server

OPTIONS = MountOptions(service=Service("nas", "music", ("a", "b")))


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    made = House(str(tmp_path))
    monkeypatch.setenv("SMBFS_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("SMBFS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(mount, "Link", made.link)
    monkeypatch.setattr(mount, "Share", made.share)
    monkeypatch.setattr(mount, "server_for", made.server)
    monkeypatch.setattr(mount, "Guardian", made.guardian)
    monkeypatch.setattr(mount, "STEP_S", 0.05)
    monkeypatch.setattr(mount, "PROBE_S", 0.5)

    class Filesystem:
        def __init__(self, *arguments: Any) -> None:
            self.start, self.drain = made.start, made.drain
            self.content = SimpleNamespace(ground=SimpleNamespace(ends=lambda: None))
            self.volume = SimpleNamespace(share=SimpleNamespace(be_soft=lambda: None))

        async def stop(self) -> None:
            await made.does("stop files")
            await made.stop_files()

    monkeypatch.setattr(mount, "Filesystem", Filesystem)
    for name in ("unmount", "write_back"):
        monkeypatch.setattr(mountpoint, name, getattr(made, name))
    monkeypatch.setattr(mountpoint, "mounts", lambda: iter(made.table))
    monkeypatch.setattr(mountpoint, "tune", lambda path, options: made.events.append("tune"))
    return made


async def run(house: House, ready: Callable[[], None], options: MountOptions = OPTIONS) -> None:
    def said_ready() -> None:
        house.events.append("ready")
        ready()

    def stopping() -> None:
        house.events.append("stopping")

    await mount.run(options, house.where, lambda: [], said_ready, stopping)


START = ["connect", "start", "attach", "serve", "tune", "ready"]
END = ["stopping", "stop files", "detach False", "close link"]


def term() -> None:
    signal.raise_signal(signal.SIGTERM)


async def test_until_somebody_unmounts(house: House) -> None:
    await run(house, house.umount)
    assert house.events == START + END
    assert house.prefix == "a\\b"


@pytest.mark.parametrize("number", mount.ENDING)
async def test_until_a_signal(house: House, number: signal.Signals) -> None:
    await run(house, lambda: signal.raise_signal(number))
    assert house.events == [*START, "write back", "unmount", *END]


async def test_until_a_signal_while_a_program_holds_it(house: House) -> None:
    """An unmount that is lazy: nobody sees it, yet it is served."""

    async def lazily(path: str) -> None:
        house.table.clear()

    mountpoint.unmount = lazily
    await run(house, term)
    assert house.events == [*START, "write back", "drain", "stop serving", *END]


async def test_out_of_sight_there_is_nothing_to_unmount(house: House) -> None:
    def lazily_then_signal() -> None:
        house.table.clear()
        term()

    await run(house, lazily_then_signal)
    assert house.events == [*START, "drain", "stop serving", *END]


@pytest.mark.logs("ERROR smbfs.mount: gave up to unmount", "gave up to answer the last calls")
async def test_what_does_not_come_off_is_taken_off(house: House) -> None:
    house.waiting = {"unmount", "last calls"}
    house.can_unmount = False
    await run(house, term)
    assert house.events == [
        *START,
        *("write back", "unmount", "drain", "stop serving", "stopping", "stop files"),
        *("detach True", "unmount", "close link"),
    ]


@pytest.mark.logs("ERROR smbfs.mount: could not send what is unsent", "could not leave the share")
async def test_a_step_that_fails_is_not_the_last(house: House) -> None:
    house.failing = {"stop files": OSError(5, "lost"), "close link": SmbError("gone")}
    await run(house, house.umount)
    assert house.events == START + END


@pytest.mark.logs("WARNING smbfs.mount: no time to", "ERROR smbfs.mount: gave up to write back")
async def test_a_second_signal_skips_the_rest(house: House) -> None:
    house.waiting = {"write back"}

    async def twice() -> None:
        term()
        while "write back" not in house.events:
            await trio.lowlevel.checkpoint()
        term()

    def soon() -> None:
        assert house.nursery is not None
        house.nursery.start_soon(twice)

    with pytest.raises(Interrupted, match="not sent yet is lost"):
        await run(house, soon)
    ends = ["write back", "stop serving", "stopping", "detach True"]
    assert house.events == START + ends
    assert house.table == []


@pytest.mark.logs("no time to")
async def test_a_second_signal_between_two_steps(house: House) -> None:
    def twice() -> None:
        stop.heard(signal.SIGTERM)
        stop.heard(signal.SIGTERM)

    stop = mount.Stop()
    twice()
    await stop.step("be polite", trio.sleep_forever, 5)
    assert stop.is_hurried


# What does not come to serving


@pytest.mark.parametrize(
    ("error", "said", "is_unreachable"),
    [
        (ConnectionLost("nobody there"), "//nas/music/a/b: nobody there", True),
        (Refused("no"), "//nas/music/a/b: no", False),
        (
            StatusError(Status.OBJECT_PATH_NOT_FOUND, "CREATE"),
            "//nas/music/a/b: the path to mount does not exist in the share.",
            False,
        ),
        (
            StatusError(Status.DISK_FULL, "CREATE"),
            "//nas/music/a/b: CREATE: DISK_FULL",
            False,
        ),
        (OSError(20, "Not a directory"), "//nas/music/a/b: Not a directory", False),
        (OSError("odd"), "//nas/music/a/b: odd", False),
    ],
)
@pytest.mark.parametrize("step", ["connect", "start"])
async def test_a_share_that_cannot_be_had(
    step: str, error: Exception, said: str, is_unreachable: bool, house: House
) -> None:
    house.failing = {step: error}
    with pytest.raises(MountFailed) as failed:
        await run(house, house.umount)
    assert str(failed.value) == said
    assert failed.value.is_unreachable == is_unreachable
    assert house.events[-1] == "close link"
    assert "attach" not in house.events


async def test_a_folder_that_cannot_be_mounted_on(house: House) -> None:
    house.failing = {"attach": OSError(5, "mount failed: Permission denied")}
    with pytest.raises(MountFailed, match=r"cannot mount on .*: mount failed: Permission denied"):
        await run(house, house.umount)
    assert house.events == ["connect", "start", "attach", *END]


async def test_a_mount_that_is_not_in_the_table(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another mount namespace, perhaps: what cannot be seen is not unmounted."""

    def ready() -> None:
        house.unmounted.set()

    monkeypatch.setattr(Server, "attach", lambda self, where, options: None)
    await run(house, ready)
    assert house.events[-3:] == ["stop files", "detach False", "close link"]


async def test_what_is_mounted_there_afterwards_is_not_ours(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel gives a device number out again at once."""

    async def another() -> None:
        house.table.append(Mounted("0:77", house.where, "fuse.smbfs", "//nas/other"))

    monkeypatch.setattr(house, "stop_files", another)
    await run(house, house.umount)
    assert house.events[-3:] == ["stop files", "detach False", "close link"]
    assert [mounted.source for mounted in house.table] == ["//nas/other"]
    assert house.guarded == 0


async def test_what_was_mounted_above_it_stays(house: House) -> None:
    def ready() -> None:
        house.table.append(Mounted("0:78", house.where, "tmpfs", "tmpfs"))
        house.unmounted.set()

    await run(house, ready)
    assert "detach False" in house.events


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), OSError("odd")])
async def test_a_mount_that_does_not_work(
    error: OSError, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str) -> None:
        raise error

    monkeypatch.setattr(os, "lstat", fail)
    with pytest.raises(MountFailed, match="was mounted but does not work"):
        await run(house, house.umount)
    assert house.table == []
    assert "ready" not in house.events


async def test_a_mount_that_does_not_answer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*arguments: Any, **options: Any) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(mount, "PROBE_S", 0.01)
    monkeypatch.setattr(trio.to_thread, "run_sync", never)
    with pytest.raises(MountFailed, match="was mounted but does not answer"):
        await run(house, house.umount)
    assert house.table == []


@pytest.mark.parametrize("step", ["connect", "start"])
async def test_a_signal_before_there_is_a_mount(step: str, house: House) -> None:
    house.waiting = {step}
    async with trio.open_nursery() as nursery:

        async def interrupt() -> None:
            while step not in house.events:
                await trio.lowlevel.checkpoint()
            term()

        nursery.start_soon(interrupt)
        with pytest.raises(Interrupted, match="nothing is mounted"):
            await run(house, house.umount)
    assert house.events[-1] == "close link"
    assert house.table == []


async def test_a_signal_before_the_mount_answers(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*arguments: Any, **options: Any) -> None:
        term()
        await trio.sleep_forever()

    monkeypatch.setattr(trio.to_thread, "run_sync", interrupted)
    with pytest.raises(Interrupted, match="nothing is mounted"):
        await run(house, house.umount)
    assert house.table == []
    assert "ready" not in house.events


# Crashes


async def test_a_crash_of_the_server_unmounts(house: House) -> None:
    house.failing = {"serve": KeyError("bug")}
    with pytest.raises(KeyError):
        await run(house, house.umount)
    assert house.events[-3:] == ["stop files", "detach True", "close link"]
    assert house.table == []


async def test_a_crash_below_unmounts(house: House) -> None:
    async def crash() -> None:
        raise ZeroDivisionError

    def soon() -> None:
        assert house.nursery is not None
        house.nursery.start_soon(crash)

    with pytest.raises(ZeroDivisionError):
        await run(house, soon)
    assert house.events[-3:] == ["stop files", "detach True", "close link"]


def test_the_reason_of_a_group() -> None:
    failed, bug = MountFailed("no"), KeyError("bug")
    assert reason_of(failed) is failed
    assert reason_of(ExceptionGroup("", [ExceptionGroup("", [bug, failed])])) is failed
    assert reason_of(ExceptionGroup("", [ExceptionGroup("", [bug])])) is bug
    two = ExceptionGroup("", [bug, ZeroDivisionError()])
    assert reason_of(two) is two


# What the options become


@pytest.fixture
def options() -> MountOptions:
    server = ServerOptions(max_credits=60000, read_size=1 << 16, write_size=1 << 30, seal=True)
    caching = CacheOptions(mode="none", write_through=True, memory=1 << 20)
    return MountOptions(service=Service("nas", "music"), server=server, caching=caching)


def test_the_policy(options: MountOptions) -> None:
    policy = settings.policy_of(options)
    assert (policy.rsize, policy.wsize) == (1 << 16, 8 << 20)
    assert policy.max_credits == 8192
    assert policy.seal
    assert settings.policy_of(OPTIONS).rsize == 1 << 20


def test_the_presentation() -> None:
    shown = PresentationOptions(no_sparse=True, no_delete=True)
    options = MountOptions(service=Service("nas", "music"), presentation=shown)
    presentation = settings.presentation_of(options)
    assert presentation.nodelete
    assert not presentation.sparse
    assert settings.presentation_of(OPTIONS).sparse


def test_the_data_policy(options: MountOptions) -> None:
    policy = settings.data_of(options)
    assert not policy.is_cached
    assert policy.is_synchronous
    assert policy.read_ahead_bytes == 1 << 18
    assert settings.data_of(OPTIONS).is_cached


def test_the_last_data_may_take_long_but_not_for_ever() -> None:
    def data_s(timeout_s: float) -> float:
        options = MountOptions(service=OPTIONS.service, server=ServerOptions(timeout_s=timeout_s))
        nothing: Any = None
        return mount.Mount(options, "/mnt", nothing, nothing, nothing).data_s

    assert data_s(1) == DATA_PATIENCE
    assert data_s(float("inf")) == mount.LONGEST_S


@pytest.mark.parametrize("address", ["", "127.0.0.1"])
async def test_dialling(address: str) -> None:
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")

        async def accept() -> None:
            (await listener.accept()).socket.close()

        nursery.start_soon(accept)
        port = listener.socket.getsockname()[1]
        server = ServerOptions(address=address, port=port, timeout_s=5)
        host = "nas.invalid" if address else "127.0.0.1"
        stream, is_netbios = await settings.dial_of(
            MountOptions(service=Service(host), server=server)
        )()
        await stream.aclose()
    await listener.aclose()
    assert not is_netbios
