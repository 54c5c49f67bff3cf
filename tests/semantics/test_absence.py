"""LOSS and MOUNT promises: what becomes of calls when nobody answers, and of mounts."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.mount.ground import eventually, fails, noise, opened
from tests.mounted import MountedShare, MountError
from tests.processes import BARE_PYTHON
from tests.samba import Samba
from tests.semantics.conftest import Here, meanwhile
from tests.semantics.document import proves

MIB = 1 << 20


@proves(
    "LOSS-1 A call that the server leaves without an answer fails after `timeout=` seconds (15) "
    "with ETIMEDOUT or EHOSTDOWN."
)
def test_deadlines(private: Samba) -> None:
    with MountedShare(private, "share", "timeout=1", "actimeo=0") as mounted:
        private.freeze()
        for call in (os.stat, os.listdir, os.mkdir, os.unlink):
            started = time.monotonic()
            with fails(errno.ETIMEDOUT, errno.EHOSTDOWN):
                call(mounted.path / "name")
            assert time.monotonic() - started < 12
        private.thaw()


@proves(
    "LOSS-1 A call that the server leaves without an answer fails after `timeout=` seconds (15) "
    "with ETIMEDOUT or EHOSTDOWN."
)
@pytest.mark.parametrize("call", ["read", "write", "fsync", "close"])
def test_deadlines_of_data(private: Samba, call: str) -> None:
    calls = {
        "read": lambda fd: os.pread(fd, 4096, 0),
        "write": lambda fd: os.pwrite(fd, b"now", 0),
        "fsync": os.fsync,
        "close": os.close,
    }
    with MountedShare(private, "share", "timeout=1") as mounted:
        (mounted.behind / "file").write_bytes(noise(MIB))  # too long to come with its open
        flags = os.O_RDWR | (os.O_SYNC if call == "write" else 0)
        fd = os.open(mounted.path / "file", flags)
        if call in ("fsync", "close"):
            private.freeze()
            os.write(fd, noise(1000))
        private.freeze()
        started = time.monotonic()
        with fails(errno.ETIMEDOUT, errno.EHOSTDOWN):
            calls[call](fd)
        assert time.monotonic() - started < 12
        private.thaw()
        if call != "close":
            with contextlib.suppress(OSError):
                os.close(fd)


@proves(
    "LOSS-9 A server that did not answer is taken to be away: from then on a call that needs it "
    "fails within two seconds, the mounted folder itself and `df` tell what was last known, and "
    "five seconds after it is back the mount works, whether anybody called meanwhile or not."
)
def test_a_server_that_is_away(private: Samba) -> None:
    with MountedShare(private, "share", "timeout=4", "actimeo=0") as mounted:
        (mounted.path / "file").write_text("before")
        space = os.statvfs(mounted.path)
        private.freeze()
        with fails(errno.ETIMEDOUT, errno.EHOSTDOWN):
            os.stat(mounted.path / "file")
        time.sleep(2.5)
        for _ in range(3):
            started = time.monotonic()
            with fails(errno.ETIMEDOUT, errno.EHOSTDOWN):
                os.stat(mounted.path / "file")
            assert time.monotonic() - started < 2
            assert stat.S_ISDIR(os.stat(mounted.path).st_mode)
            assert os.statvfs(mounted.path).f_blocks == space.f_blocks
        private.kill()
        private.start()
        time.sleep(5)
        started = time.monotonic()
        assert (mounted.path / "file").read_text() == "before"
        assert time.monotonic() - started < 2


@proves(
    "LOSS-2 When the server is back, the next call makes a new connection, and the mount goes on."
)
def test_the_server_comes_back(private: Samba) -> None:
    with MountedShare(private, "share", "timeout=5", "actimeo=0") as mounted:
        (mounted.path / "file").write_text("before")
        private.kill()
        with pytest.raises(OSError, match="Errno"):
            (mounted.path / "file").read_text()
        private.start()

        def is_back() -> bool:
            try:
                return (mounted.path / "file").read_text() == "before"
            except OSError:
                return False

        assert eventually(is_back, 10)
        (mounted.path / "file").write_text("after")
        assert (mounted.behind / "file").read_text() == "after"


@proves("LOSS-5 A change that was asked for is never asked for twice.")
def test_nothing_is_repeated(private: Samba) -> None:
    with MountedShare(private, "share", "timeout=5") as mounted:
        (mounted.path / "one").mkdir()
        private.freeze()
        with meanwhile(0.5, private.kill), pytest.raises(OSError, match="Errno"):
            (mounted.path / "two").mkdir()
        private.start()
        assert eventually(lambda: os.path.isdir(mounted.path / "one"), 10)
        assert os.listdir(mounted.behind) == ["one"]


DOINGS = {  # what a program does to a mount, as its argument
    "look": "os.stat(path / 'name')",
    "list": "os.listdir(path)",
    "read": "os.pread(open_before, 4096, 0)",
    "remove": "os.unlink(path / 'gone')",
    "close what was written": "os.pwrite(open_before, b'y' * 100_000, 0)",
    "lock": "fcntl.lockf(open_before, fcntl.LOCK_EX)",
}
DOER = """
import fcntl, os, pathlib, sys
path = pathlib.Path(sys.argv[1])
open_before = os.open(path / sys.argv[2], os.O_RDWR | os.O_CREAT)
os.path.exists(path / "gone")
print("ready", flush=True)
sys.stdin.readline()
{doing}
print("done", flush=True)
sys.stdin.readline()
"""


def doer(path: Path, doing: str, name: str = "file") -> subprocess.Popen[bytes]:
    """A program that does something once it is told to, and is about to.

    Each has a file of its own: while one waits for a page, the kernel lets no other at it.
    """
    code = DOER.format(doing=doing)
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*BARE_PYTHON, code, str(path), name], stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def begin(process: subprocess.Popen[bytes]) -> None:
    """Tell it to, and give it time to wait for an answer."""
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    time.sleep(0.5)


@proves(
    "LOSS-6 With `transport=native`, a process that is killed does not wait for a server that "
    "does not answer, whatever it was doing."
)
def test_who_is_killed_is_gone(private: Samba) -> None:
    (private["share"].path / "gone").touch()
    for name in DOINGS:
        (private["share"].path / name).write_bytes(b"x" * 200_000)
    with MountedShare(private, "share", "actimeo=60") as mounted:
        doers = [doer(mounted.path, doing, name) for name, doing in DOINGS.items()]
        private.freeze()
        for process in doers:
            begin(process)
        for process in doers:
            started = time.monotonic()
            process.kill()
            process.communicate(timeout=30)
            # 0.1 s on an idle machine; `timeout=` is 15.
            assert time.monotonic() - started < 3
        private.thaw()
        # The removal was on its way and comes through.
        assert eventually(lambda: set(os.listdir(mounted.behind)) == set(DOINGS))


@proves(
    "LOSS-7 With `transport=native`, Ctrl-C ends a call that waits for the server, unless it "
    "changes something and the program handles the signal."
)
def test_interrupting(private: Samba) -> None:
    (private["share"].path / "file").touch()
    (private["share"].path / "gone").touch()
    with MountedShare(private, "share", "actimeo=60", "timeout=12") as mounted:
        looking = doer(mounted.path, DOINGS["look"])
        removing = doer(mounted.path, DOINGS["remove"])  # Python handles SIGINT
        private.freeze()
        begin(looking)
        begin(removing)
        started = time.monotonic()
        listing = subprocess.Popen(["ls", mounted.path])
        time.sleep(0.3)
        for process in (listing, looking, removing):
            process.send_signal(signal.SIGINT)
        assert listing.wait(30) == -signal.SIGINT
        looking.communicate(timeout=30)
        assert time.monotonic() - started < 4
        assert looking.returncode == -signal.SIGINT
        assert removing.poll() is None
        private.thaw()
        removing.communicate(timeout=30)
        assert os.listdir(mounted.behind) == ["file"]


@proves("LOSS-8 If smbfs is killed, its mount is taken off within a second.")
def test_a_killed_daemon(samba: Samba) -> None:
    mounted = MountedShare(samba)
    mounted.mount()
    os.kill(mounted.pid, signal.SIGKILL)
    mounted.wait_for_end()
    assert eventually(lambda: not mounted.is_mounted(), 10)
    mounted.close()


@proves(
    "MOUNT-1 The command ends with status 0 when the mount answers, and leaves nothing mounted if"
    " it ends otherwise."
)
def test_mounting(samba: Samba) -> None:
    with MountedShare(samba, "nested") as mounted:
        assert (mounted.path / "sub" / "dir" / "file.txt").read_text() == "found\n"
    failing = MountedShare(samba, "denied")
    with pytest.raises(MountError) as error:
        failing.mount()
    assert error.value.status == 32
    assert not failing.is_mounted()
    failing.close()


@proves(
    "MOUNT-2 `umount`, `smbfs umount` and SIGTERM send every byte that was written before the "
    "daemon ends."
)
@pytest.mark.parametrize("how", ["umount", "smbfs umount", "SIGTERM"])
def test_unmounting(here: Here, samba: Samba, how: str) -> None:
    data = noise(8 * MIB)
    with MountedShare(samba, directory=here.behind.name) as mounted:
        fd = os.open(mounted.path / "file", os.O_CREAT | os.O_WRONLY)
        os.write(fd, data)
        if how == "SIGTERM":
            mounted.terminate()  # with the file still open
            with pytest.raises(OSError, match="Errno"):
                os.close(fd)
        else:
            os.close(fd)
            command = ["umount", "-i", str(mounted.path)]
            if os.geteuid() != 0:
                command = ["fusermount3", "-u", str(mounted.path)]
            if how == "smbfs umount":
                mounted.umount()
            else:
                subprocess.run(command, check=True, timeout=30)
            mounted.wait_for_end()
        assert (here.behind / "file").read_bytes() == data


@proves("MOUNT-3 A mount with `ro` changes nothing on the server (EROFS).")
def test_read_only(here: Here) -> None:
    (here.behind / "file").write_text("as it was")
    path = here.through("ro")
    assert (path / "file").read_text() == "as it was"
    with fails(errno.EROFS), opened(path / "file", os.O_RDWR):
        pass
    for call in (os.mkdir, os.unlink, os.rmdir):
        with fails(errno.EROFS):
            call(path / "file" if call is os.unlink else path / "new")
    with fails(errno.EROFS):
        os.chmod(path / "file", 0o400)
    assert os.listdir(here.behind) == ["file"]
