"""The native server on the real kernel, with a filesystem in memory."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from smbfs.fuse.native.server import Server
from smbfs.fuse.server import ROOT, Node
from tests.fuse.native.memory import Memory, is_mounted, mounted
from tests.mounted import abort_switch
from tests.processes import BARE_PYTHON

T = TypeVar("T")

if not os.path.exists("/dev/fuse"):
    pytest.skip("needs /dev/fuse", allow_module_level=True)


async def apart(work: Callable[[], T]) -> T:
    """Do something that uses the mount: in a thread, or the loop would wait for itself."""
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


async def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so; fails after ten seconds."""
    for _ in range(500):
        if is_so():
            return
        await trio.sleep(0.02)
    pytest.fail("it never came to that")


async def asking(served: Server, code: str) -> subprocess.Popen[bytes]:
    """Start a Python program, and wait until it waits for an answer."""
    process = started(code)
    session = served.session
    assert session is not None
    await until(lambda: session.waiting)
    await trio.sleep(0.05)  # until it sleeps
    return process


def started(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*BARE_PYTHON, code])


def by_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mount as users do."""
    monkeypatch.setattr("smbfs.fuse.native.attach.os.geteuid", lambda: 1000)


@pytest.mark.parametrize("helped", [False, True], ids=["call", "helper"])
async def test_a_mount(tmp_path: Path, helped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if helped:
        by_helper(monkeypatch)
    async with mounted(Memory(hello=b"world"), tmp_path):
        assert await apart(lambda: os.listdir(tmp_path)) == ["hello"]
        assert await apart((tmp_path / "hello").read_bytes) == b"world"
        assert await apart(lambda: os.statvfs(tmp_path).f_blocks) == 100


async def test_several_mounts_in_one_process(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    async with mounted(Memory(a=b"1"), one), mounted(Memory(b=b"2"), two):
        assert await apart((one / "a").read_bytes) == b"1"
        assert await apart((two / "b").read_bytes) == b"2"
        assert await apart(lambda: os.listdir(one)) == ["a"]


async def test_umount_ends_it(tmp_path: Path) -> None:
    filesystem = Memory(a=b"1")
    served = Server(filesystem, 10)  # type: ignore[arg-type]  # it has the methods
    served.attach(str(tmp_path), ["fsname=memory", "subtype=smbfs"])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.serve)
        with trio.fail_after(20):
            await apart(lambda: os.listdir(tmp_path))
            await apart(lambda: subprocess.run(["umount", str(tmp_path)], check=True))
    served.detach(unmount=False)
    assert not is_mounted(tmp_path)


async def test_an_abort_ends_it(tmp_path: Path) -> None:
    filesystem = Memory(a=b"1")
    served = Server(filesystem, 10)  # type: ignore[arg-type]  # it has the methods
    served.attach(str(tmp_path), ["fsname=memory", "subtype=smbfs"])
    abort = abort_switch(tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.serve)
        with trio.fail_after(20):
            await apart(lambda: os.listdir(tmp_path))
            await apart(lambda: abort.write_text("1"))
    served.detach(unmount=True)
    served.detach(unmount=True)  # once is enough
    assert not is_mounted(tmp_path)


async def test_a_server_that_was_never_attached() -> None:
    served = Server(Memory(), 10)  # type: ignore[arg-type]  # it has the methods
    served.stop()
    served.detach(unmount=True)
    await served.serve()


async def test_birth_times(tmp_path: Path) -> None:
    async with mounted(Memory(a=b"1"), tmp_path):
        command = ["stat", "-c", "%W", str(tmp_path / "a")]
        said = await apart(lambda: subprocess.check_output(command))
        assert int(said) == 10**9


async def test_every_lookup_is_forgotten(tmp_path: Path) -> None:
    filesystem = Memory(0.0, **{f"file{number}": b"x" for number in range(500)})
    async with mounted(filesystem, tmp_path):
        await apart(lambda: [one.stat() for one in os.scandir(tmp_path)])
        await apart(lambda: [os.stat(tmp_path / f"file{number}") for number in range(500)])
        assert all(count > 0 for count in filesystem.lookups.values())
        await apart(lambda: Path("/proc/sys/vm/drop_caches").write_text("2"))
        await until(lambda: not any(filesystem.lookups.values()))


# Side by side


async def test_twenty_stats_in_one_directory_at_once(tmp_path: Path) -> None:
    files = {f"file{number}": b"x" for number in range(20)}
    filesystem = Memory(0.0, **files)
    filesystem.is_stuck = True
    async with mounted(filesystem, tmp_path), trio.open_nursery() as nursery:
        code = "import os, sys, threading\nfor name in sys.argv[1:]:\n"
        code += "    threading.Thread(target=os.stat, args=[name]).start()"
        command = [*BARE_PYTHON, code, *[str(tmp_path / name) for name in files]]
        process = await trio.lowlevel.open_process(command)
        await until(lambda: filesystem.at_once == 20)
        process.kill()
        await process.wait()
        nursery.cancel_scope.cancel()
    assert filesystem.most_at_once == 20


# Who waits and is killed


@pytest.mark.parametrize("operation", ["os.stat", "os.unlink", "os.listdir"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_who_is_killed_is_gone_at_once(
    tmp_path: Path, operation: str, number: signal.Signals
) -> None:
    filesystem = Memory(a=b"x")
    filesystem.is_stuck = True
    async with mounted(filesystem, tmp_path) as served:
        code = (
            "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n"
            f"{operation}({str(tmp_path / 'a')!r})"
        )
        process = await asking(served, code)
        begun = time.monotonic()
        process.send_signal(number)
        await apart(process.wait)
        # 0.1 s is what is promised; a busy machine may need longer to end a process at all.
        assert time.monotonic() - begun < 1.0
        assert process.returncode == -number
        assert served.session is not None
        session = served.session
        await until(lambda: not session.waiting)


async def test_a_signal_with_a_handler_does_not_end_a_call(tmp_path: Path) -> None:
    filesystem = Memory(delay_s=0.5, a=b"x")
    async with mounted(filesystem, tmp_path) as served:
        code = (
            "import os, signal, sys\nsignal.signal(signal.SIGURG, lambda *_: None)\n"
            "signal.siginterrupt(signal.SIGURG, False)\n"
            f"os.stat({str(tmp_path / 'a')!r})"
        )
        process = await asking(served, code)
        process.send_signal(signal.SIGURG)
        assert await apart(process.wait) == 0
    assert filesystem.cancelled == 0


async def test_a_signal_that_means_it_is_heard_after_one_that_does_not(tmp_path: Path) -> None:
    filesystem = Memory(a=b"x")
    filesystem.is_stuck = True
    async with mounted(filesystem, tmp_path) as served:
        code = (
            "import os, signal, sys\nsignal.signal(signal.SIGURG, lambda *_: None)\n"
            "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
            f"os.stat({str(tmp_path / 'a')!r})"
        )
        process = await asking(served, code)
        process.send_signal(signal.SIGURG)
        await trio.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(5):
            assert await apart(process.wait) == -signal.SIGTERM


# Notices


async def test_notices_reach_the_kernel(tmp_path: Path) -> None:
    filesystem = Memory(a=b"old")
    filesystem.believe_s = 3600.0
    path = tmp_path / "a"
    async with mounted(filesystem, tmp_path):
        assert await apart(path.read_bytes) == b"old"
        filesystem.data[0][:] = b"newer"
        filesystem.kernel.attributes_changed(Node(2))
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()
        filesystem.kernel.data_changed(Node(2), then=lambda: token.run_sync_soon(done.set))
        await done.wait()
        assert await apart(lambda: os.stat(path).st_size) == 5
        assert await apart(path.read_bytes) == b"newer"
        assert not await apart(lambda: os.path.exists(tmp_path / "b"))
        filesystem.names.append(b"b")
        filesystem.data.append(bytearray(b"made elsewhere"))
        assert not await apart(lambda: os.path.exists(tmp_path / "b"))
        filesystem.kernel.name_changed(ROOT, b"b")
        await trio.sleep(0.1)
        assert await apart((tmp_path / "b").read_bytes) == b"made elsewhere"
        filesystem.kernel.data_known(Node(3), 0, b"MADE")
        filesystem.kernel.name_removed(ROOT, b"a", Node(2))
        await trio.sleep(0.1)
        filesystem.names[0] = b"gone"
        assert not await apart(path.exists)


async def test_an_invalidation_waits_for_a_read_and_nobody_else_does(tmp_path: Path) -> None:
    filesystem = Memory(delay_s=0.3, a=b"x" * 4096)
    async with mounted(filesystem, tmp_path):
        fd = await apart(lambda: os.open(tmp_path / "a", os.O_RDONLY))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(apart, lambda: os.pread(fd, 4096, 0))
            await trio.sleep(0.1)
            filesystem.kernel.data_changed(Node(2))
            filesystem.kernel.name_changed(ROOT, b"a")
            with trio.fail_after(2):
                await apart(lambda: os.stat(tmp_path))
        await apart(lambda: os.close(fd))  # it waits for an answer as well


async def test_an_invalidation_that_waits_for_ever_does_not_keep_the_mount(tmp_path: Path) -> None:
    filesystem = Memory(a=b"x" * 4096)
    code = f"import os\nfd = os.open({str(tmp_path / 'a')!r}, os.O_RDONLY)\nos.pread(fd, 4096, 0)"
    async with mounted(filesystem, tmp_path) as served:
        await apart(lambda: os.stat(tmp_path / "a"))
        filesystem.believe_s = 60.0
        await apart(lambda: os.stat(tmp_path / "a"))
        filesystem.is_stuck = True
        process = await asking(served, code)
        filesystem.kernel.data_changed(Node(2))
        await trio.sleep(0.2)
        notices = served._notices
    assert notices is not None
    assert notices.join(5)
    with trio.fail_after(10):
        assert await apart(process.wait) == 1  # it got an error


async def test_a_folder_that_cannot_be_mounted_on(tmp_path: Path) -> None:
    served = Server(Memory(), 10)  # type: ignore[arg-type]  # it has the methods
    with pytest.raises(FileNotFoundError):
        served.attach(str(tmp_path / "none"), [])
