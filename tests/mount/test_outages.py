"""A server that restarts, dies, freezes; a mount that is taken away while it is used.

Whatever happens, each call answers within the deadline of the mount, and the mount is usable
again, without remounting, once the server is back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount.ground import Lasting, eventually, fails, noise, opened
from tests.mounted import MountedShare, MountError
from tests.samba import Samba

TIMEOUT_S = 2  # of the mount
GRACE_S = 6  # beyond it; the machine may be busy
GONE = (  # and never EIO: SQLite takes that for a broken database
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENOTCONN,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.ESTALE,
)
RW = os.O_RDWR | os.O_CREAT


@pytest.fixture(scope="module")
def server() -> Iterator[Samba]:
    """A server to be ill-treated."""
    with Samba() as running:
        yield running


OPTIONS = (f"timeout={TIMEOUT_S}", "actimeo=0")


@pytest.fixture(scope="module")
def lasting(server: Samba, transport: str) -> Iterator[Lasting]:
    """A mount with a short deadline, which outlives the tests that do not unmount."""
    kept = Lasting(server, "share", *OPTIONS)
    yield kept
    kept.close()


@pytest.fixture
def mounted(server: Samba, lasting: Lasting) -> Iterator[MountedShare]:
    """That mount, of an empty share."""
    server["share"].empty()
    share = lasting.get()
    with share.limited(60):
        yield share


@pytest.fixture
def own(server: Samba) -> Iterator[MountedShare]:
    """A mount to be unmounted by its test."""
    server["share"].empty()
    with MountedShare(server, "share", *OPTIONS, limit_s=60) as share:
        yield share


@contextlib.contextmanager
def in_time(seconds: float = TIMEOUT_S + GRACE_S) -> Iterator[None]:
    """What is inside must end in time, however it ends."""
    started = time.monotonic()
    try:
        yield
    finally:
        assert time.monotonic() - started < seconds


def answers(path: Path) -> bool:
    """Whether a mount does something again."""
    try:
        os.listdir(path)
    except OSError as error:
        if error.errno not in GONE:
            raise
        return False
    return True


def works(path: Path) -> None:
    """Use a mount for what it is for."""
    (path / "proof").write_bytes(b"alive")
    assert (path / "proof").read_bytes() == b"alive"
    os.unlink(path / "proof")


def test_a_restart_between_calls_goes_unnoticed(server: Samba, mounted: MountedShare) -> None:
    (mounted.path / "file").write_bytes(b"content")
    for _ in range(2):
        server.restart()
        with in_time():
            assert eventually(lambda: answers(mounted.path))
        assert (mounted.path / "file").read_bytes() == b"content"
        works(mounted.path)


def test_a_restart_while_a_file_is_open(server: Samba, mounted: MountedShare) -> None:
    fd = os.open(mounted.path / "file", RW)
    os.write(fd, b"on the server")
    os.fsync(fd)
    server.restart()
    for call in (lambda: os.pread(fd, 9, 0), lambda: os.pwrite(fd, b"x", 5), lambda: os.fsync(fd)):
        with in_time(), contextlib.suppress(OSError):
            call()
    with in_time(), contextlib.suppress(OSError):
        os.close(fd)
    assert eventually(lambda: answers(mounted.path))
    assert (mounted.path / "file").read_bytes()[:5] == b"on th"
    works(mounted.path)


def test_unsent_bytes_that_are_lost_are_told(server: Samba, mounted: MountedShare) -> None:
    fd = os.open(mounted.path / "file", RW)
    server.kill()
    told: list[int | None] = []
    for call in (lambda: os.write(fd, noise(200_000)), lambda: os.fsync(fd), lambda: os.close(fd)):
        with in_time():
            try:
                call()
            except OSError as error:
                told.append(error.errno)
    assert len(told) >= 2
    assert set(told) <= set(GONE)
    server.start()
    assert eventually(lambda: answers(mounted.path))
    works(mounted.path)


CALLS: list[tuple[str, Callable[[Path], object]]] = [
    ("stat", os.stat),
    ("ls", lambda path: os.listdir(path.parent)),
    ("open", lambda path: os.open(path, os.O_RDONLY)),
    ("create", lambda path: os.open(path.with_name("new"), RW)),
    ("mkdir", lambda path: os.mkdir(path.with_name("dir"))),
    ("unlink", os.unlink),
    ("rename", lambda path: os.rename(path, path.with_name("moved"))),
    ("symlink", lambda path: os.symlink("a", path.with_name("b"))),
    ("statfs", lambda path: os.statvfs(path.parent)),
    ("truncate", lambda path: os.truncate(path, 1)),
    ("utime", os.utime),
    ("getxattr", lambda path: os.getxattr(path, "user.a")),
]


def all_fail_in_time(file: Path) -> None:
    """Make every call at once, each in a thread of its own, and see what comes of them."""
    wrong: list[str] = []

    def make(name: str, call: Callable[[Path], object]) -> None:
        started = time.monotonic()
        try:
            call(file)
        except OSError as error:
            if error.errno not in GONE:
                wrong.append(f"{name}: {error!r}")
        else:
            if name != "statfs":  # which may be answered from memory
                wrong.append(f"{name} succeeded")
        if time.monotonic() - started > TIMEOUT_S + GRACE_S:
            wrong.append(f"{name} took {time.monotonic() - started:.1f} s")

    threads = [threading.Thread(target=make, args=one, daemon=True) for one in CALLS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert wrong == []


def test_a_server_that_is_dead(server: Samba, mounted: MountedShare) -> None:
    (mounted.path / "file").write_bytes(b"content")
    server.kill()
    all_fail_in_time(mounted.path / "file")
    with in_time():
        done = subprocess.run(
            ["ls", "-l", mounted.path], capture_output=True, timeout=15, check=False
        )
    assert done.returncode != 0
    server.start()
    assert eventually(lambda: answers(mounted.path))
    assert (mounted.path / "file").read_bytes() == b"content"
    works(mounted.path)


def test_a_server_that_is_frozen_and_thaws(server: Samba, mounted: MountedShare) -> None:
    (mounted.path / "file").write_bytes(b"content")
    server.freeze()
    try:
        all_fail_in_time(mounted.path / "file")
    finally:
        server.thaw()
    assert eventually(lambda: answers(mounted.path))
    # What was asked of the frozen server may have been done after all, so no word on the file.
    works(mounted.path)


def test_a_short_freeze_is_only_a_delay(server: Samba, mounted: MountedShare) -> None:
    (mounted.path / "file").write_bytes(b"content")
    server.freeze()
    thaw = threading.Timer(0.7, server.thaw)
    thaw.start()
    assert (mounted.path / "file").read_bytes() == b"content"
    thaw.join()
    works(mounted.path)


def test_connections_that_break_under_load(server: Samba, mounted: MountedShare) -> None:
    stop = threading.Event()
    strange: list[str] = []

    def work(number: int) -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            path = mounted.path / f"{number}-{turn}"
            try:
                path.write_bytes(noise(30_000, number))
                if path.read_bytes() != noise(30_000, number):
                    strange.append(f"wrong bytes in {path.name}")
                os.unlink(path)
            except OSError as error:
                if error.errno not in (*GONE, errno.ENOENT):
                    strange.append(repr(error))

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        time.sleep(0.3)
        server.drop_connections()
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join(15)
    assert not any(thread.is_alive() for thread in threads)
    assert strange == []
    works(mounted.path)


def test_umount_is_refused_while_a_file_is_open(mounted: MountedShare) -> None:
    with opened(mounted.path / "file", RW) as fd:
        os.write(fd, b"kept")
        with pytest.raises(MountError, match=r"busy|in use"):
            mounted.umount()
        os.write(fd, b" on")
    assert (mounted.path / "file").read_bytes() == b"kept on"


def test_a_lazy_umount_under_load_loses_nothing(server: Samba, own: MountedShare) -> None:
    written: list[tuple[str, int]] = []
    failed: list[OSError] = []
    stop = threading.Event()

    def write(thread: int, directory: int) -> None:
        for number in range(10_000):
            name = f"{thread}-{number}"
            try:
                with opened(name, RW, dir_fd=directory) as fd:
                    os.write(fd, noise(20_000, number))
            except OSError as error:
                failed.append(error)
            written.append((name, number))
            if stop.is_set():
                return

    with opened(own.path, os.O_DIRECTORY) as directory:
        threads = [threading.Thread(target=write, args=(n, directory)) for n in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        subprocess.run(["umount", "-l", own.path], check=True, timeout=20)
        time.sleep(0.2)
        stop.set()
        for thread in threads:
            thread.join(20)
    own.wait_for_end()
    assert not failed
    for name, number in written:
        assert (server["share"].path / name).read_bytes() == noise(20_000, number)


def test_sigterm_sends_what_is_unsent(server: Samba, own: MountedShare) -> None:
    fd = os.open(own.path / "file", RW)
    os.write(fd, noise(2_000_000))
    os.kill(own.pid, signal.SIGTERM)
    own.wait_for_end()
    with contextlib.suppress(OSError):
        os.close(fd)
    assert (server["share"].path / "file").read_bytes() == noise(2_000_000)


def test_umount_of_a_mount_whose_server_is_dead(server: Samba, own: MountedShare) -> None:
    (own.path / "file").write_bytes(b"content")
    server.kill()
    try:
        with in_time(15):
            own.umount(limit_s=20)
        assert not own.is_mounted()
    finally:
        server.start()


def test_what_waits_is_told_when_the_server_dies(server: Samba, mounted: MountedShare) -> None:
    (mounted.path / "file").write_bytes(b"content")
    server.freeze()
    kill = threading.Timer(0.5, server.kill)
    kill.start()
    with in_time(), fails(*GONE):
        os.stat(mounted.path / "file")
    kill.join()
    server.start()
    assert eventually(lambda: answers(mounted.path))
    works(mounted.path)
