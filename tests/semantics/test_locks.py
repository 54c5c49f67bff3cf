"""LOCK promises: who is stopped by a lock, here and elsewhere, and until when."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.mount.ground import eventually, fails, noise, opened
from tests.processes import BARE_PYTHON
from tests.semantics.conftest import Here
from tests.semantics.document import proves

LOCK = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
getattr(fcntl, sys.argv[2])(fd, fcntl.LOCK_EX | (0 if "wait" in sys.argv else fcntl.LOCK_NB))
print("locked", flush=True)
if "hold" in sys.argv:
    time.sleep(60)
"""
RW = os.O_CREAT | os.O_RDWR
HELD = "LOCK-7 When a process closes a file, or is killed, its `fcntl` locks on that file go; with "
HELD += "the last descriptor of an open file go its `flock` and OFD locks."
CALLS = pytest.mark.parametrize("call", ["flock", "lockf"])


def program(path: Path, call: str, *how: str) -> subprocess.Popen[bytes]:
    """Another program that locks a file by this call of fcntl."""
    command = [*BARE_PYTHON, LOCK, str(path), call, *how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def can_lock(path: Path, call: str) -> bool:
    """Whether another program gets an exclusive lock at once."""
    with program(path, call) as process:
        return process.wait(20) == 0


@proves("LOCK-1 `flock` and `fcntl` locks hold between the programs of this mount.")
@CALLS
def test_locks(here: Here, call: str) -> None:
    with opened(here.path / "file", RW) as fd:
        getattr(fcntl, call)(fd, fcntl.LOCK_EX)
        assert not can_lock(here.path / "file", call)
        getattr(fcntl, call)(fd, fcntl.LOCK_UN)
        assert can_lock(here.path / "file", call)


@proves(
    "LOCK-2 With `transport=native` they hold elsewhere as well: other mounts by smbfs respect "
    "both kinds, and other clients of the server respect those of `fcntl`."
)
@CALLS
def test_locks_hold_elsewhere(here: Here, call: str) -> None:
    elsewhere = here.through("actimeo=0") / "file"
    with opened(here.path / "file", RW) as fd:
        getattr(fcntl, call)(fd, fcntl.LOCK_EX)
        assert not can_lock(elsewhere, call)
        if call == "lockf":
            # A program on the server's own disk is such a client: Samba tells its kernel.
            assert not can_lock(here.behind / "file", call)
        getattr(fcntl, call)(fd, fcntl.LOCK_UN)
        assert can_lock(elsewhere, call)


LOCAL = (
    "LOCK-3 With `transport=pyfuse3` or `locks=local` the server is not told of them: a lock here "
)
LOCAL += "stops nobody elsewhere."


@proves(LOCAL)
@CALLS
def test_locks_stay_here(here: Here, call: str) -> None:
    with opened(here.path / "file", RW) as fd:
        getattr(fcntl, call)(fd, fcntl.LOCK_EX)
        assert can_lock(here.through("actimeo=0") / "file", call)


@proves(LOCAL)
@CALLS
def test_locks_that_are_to_stay_here(here: Here, call: str) -> None:
    path = here.through("locks=local") / "file"
    with opened(path, RW) as fd:
        getattr(fcntl, call)(fd, fcntl.LOCK_EX)
        assert not can_lock(path, call)
        assert can_lock(here.path / "file", call)


@proves(
    "LOCK-4 Who waits for a lock gets it when the server grants it, and a signal ends the wait "
    "(EINTR)."
)
@CALLS
def test_waiting(here: Here, call: str) -> None:
    elsewhere = here.through("actimeo=0") / "file"
    with opened(here.path / "file", RW) as fd:
        getattr(fcntl, call)(fd, fcntl.LOCK_EX)
        with program(elsewhere, call, "wait") as waiting, program(elsewhere, call, "wait") as other:
            time.sleep(0.5)
            assert waiting.poll() is None
            other.send_signal(signal.SIGTERM)
            assert other.wait(10) == -signal.SIGTERM
            getattr(fcntl, call)(fd, fcntl.LOCK_UN)
            assert waiting.wait(10) == 0
        with opened(elsewhere, os.O_RDWR) as second:
            getattr(fcntl, call)(fd, fcntl.LOCK_EX)
            signal.signal(signal.SIGALRM, lambda *_: error())
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(InterruptedError):
                getattr(fcntl, call)(second, fcntl.LOCK_EX)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)


def error() -> None:
    """Leave the call: Python itself would begin it again."""
    raise InterruptedError(errno.EINTR, "time is up")


@proves(
    "LOCK-5 Who gets a lock sees everything that was written elsewhere under a lock that was let "
    "go before."
)
def test_what_was_written_under_a_lock(here: Here) -> None:
    paths = here.path / "file", here.through("actimeo=60") / "file"
    with opened(paths[0], RW) as one, opened(paths[1], RW) as two:
        for turn in range(10):
            fd = (one, two)[turn % 2]
            fcntl.lockf(fd, fcntl.LOCK_EX)
            if turn:
                assert os.pread(fd, 4096, 0) == noise(4096, turn - 1)
                assert os.fstat(fd).st_size == 4096 + turn - 1
            os.pwrite(fd, noise(4096, turn) + bytes(turn), 0)
            fcntl.lockf(fd, fcntl.LOCK_UN)


@proves(
    "LOCK-6 What is locked for writing with `fcntl` can elsewhere neither be read nor written "
    "(EACCES), by whoever asks for locks or does not; `flock` stops nobody who does not ask."
)
def test_locks_are_enforced(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        os.pwrite(fd, b"x" * 8192, 0)
        os.fsync(fd)
        with opened(here.through("cache=none") / "file", os.O_RDWR) as other:
            fcntl.lockf(fd, fcntl.LOCK_EX, 4096, 0)
            with fails(errno.EACCES):
                os.pread(other, 100, 0)
            with fails(errno.EACCES):
                os.pwrite(other, b"y", 100)
            assert os.pread(other, 100, 4096) == b"x" * 100
            fcntl.lockf(fd, fcntl.LOCK_UN, 4096, 0)
            fcntl.flock(fd, fcntl.LOCK_EX)
            assert os.pread(other, 100, 0) == b"x" * 100
            assert os.pwrite(other, b"y", 100) == 1


@proves(HELD)
def test_a_close_lets_go_of_a_process_s_locks(here: Here) -> None:
    elsewhere = here.through("actimeo=0") / "file"
    with opened(here.path / "file", RW) as fd:
        fcntl.lockf(fd, fcntl.LOCK_EX)
        assert not can_lock(elsewhere, "lockf")
        with opened(here.path / "file"):
            pass
        assert can_lock(elsewhere, "lockf")


@proves(HELD)
@CALLS
def test_the_last_descriptor_lets_go(here: Here, call: str) -> None:
    elsewhere = here.through("actimeo=0") / "file"
    with opened(here.path / "file", RW) as fd:
        again = os.dup(fd)
        if call == "flock":
            fcntl.flock(fd, fcntl.LOCK_EX)
        else:
            ofd_lock(fd)
        os.close(again)
        assert not can_lock(elsewhere, call)
    assert eventually(lambda: can_lock(elsewhere, call))


@proves(
    "LOCK-11 With `locks=auto` the server learns of a lock when another client opens the file, and "
    "before that client has it open; with `locks=server` it learns of each at once."
)
def test_when_the_server_learns_of_a_lock(here: Here) -> None:
    with opened(here.path / "file", RW) as fd:
        fcntl.lockf(fd, fcntl.LOCK_EX)
        assert can_lock(here.behind / "file", "lockf"), "nobody was told"
        with opened(here.through("actimeo=0") / "file"):
            assert not can_lock(here.behind / "file", "lockf")
    with opened(here.through("locks=server") / "told", RW) as fd:
        fcntl.lockf(fd, fcntl.LOCK_EX)
        assert not can_lock(here.behind / "told", "lockf")


def ofd_lock(fd: int) -> None:
    """Lock a whole file for writing, by the open file and not by the process."""
    set_lock = 37  # F_OFD_SETLK
    whole = (fcntl.F_WRLCK).to_bytes(2, "little") + bytes(30)  # struct flock
    fcntl.fcntl(fd, set_lock, whole)


@proves(HELD)
@CALLS
def test_who_is_killed_holds_nothing(here: Here, call: str) -> None:
    elsewhere = here.through("actimeo=0") / "file"
    (here.path / "file").touch()
    with program(here.path / "file", call, "hold") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        assert not can_lock(elsewhere, call)
        holder.kill()
    assert eventually(lambda: can_lock(elsewhere, call))


@proves(
    "LOCK-8 A range that was locked for writing as one stays locked elsewhere until all of it is "
    "let go."
)
def test_a_part_that_is_let_go(here: Here) -> None:
    elsewhere = here.through("actimeo=0") / "file"
    with opened(here.path / "file", RW) as fd, opened(elsewhere, RW) as other:
        fcntl.lockf(fd, fcntl.LOCK_EX, 100, 0)
        fcntl.lockf(fd, fcntl.LOCK_UN, 50, 0)
        with fails(errno.EAGAIN, errno.EACCES):
            fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 50, 0)
        fcntl.lockf(fd, fcntl.LOCK_UN, 50, 50)
        fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 100, 0)


@proves("LOCK-9 What is locked for writing can be read and written here through any descriptor.")
def test_any_descriptor(here: Here) -> None:
    with opened(here.path / "file", RW) as fd, opened(here.path / "file", os.O_RDWR) as other:
        fcntl.lockf(fd, fcntl.LOCK_EX, 8192, 0)
        assert os.pwrite(other, b"by another", 100) == 10
        os.fsync(other)
        with opened(here.path / "file", os.O_RDONLY | os.O_DIRECT) as reader:
            assert os.pread(reader, 4096, 0)[100:110] == b"by another"
        assert os.pread(fd, 10, 100) == b"by another"
    assert (here.behind / "file").read_bytes()[100:] == b"by another"


@proves(
    "LOCK-10 A descriptor for reading and writing reads just the bytes that are asked for, "
    "whatever is locked beside them; one for reading only reads whole pages of 4 KiB, and meets "
    "any lock in them."
)
def test_records_side_by_side(here: Here) -> None:
    (here.path / "file").write_bytes(b"x" * 8192)
    elsewhere = here.through("actimeo=0") / "file"
    with opened(here.path / "file", os.O_RDWR) as fd, opened(elsewhere, os.O_RDWR) as other:
        fcntl.lockf(other, fcntl.LOCK_EX, 8, 8)
        fcntl.lockf(fd, fcntl.LOCK_EX, 8, 0)
        assert os.pread(fd, 8, 0) == b"x" * 8
        os.pwrite(fd, b"record 1", 0)
        assert os.pread(fd, 8, 0) == b"record 1"
        with fails(errno.EACCES):
            os.pread(fd, 8, 8)
        with opened(here.path / "file") as reader:
            with fails(errno.EACCES):
                os.pread(reader, 8, 16)
            assert os.pread(reader, 8, 4096) == b"x" * 8
        # It may be mapped nevertheless.
        with mmap.mmap(fd, 4096, offset=4096) as mapped:
            mapped[:6] = b"mapped"
            mapped.flush()
        assert os.pread(fd, 6, 4096) == b"mapped"
    assert (here.behind / "file").read_bytes()[4096:4102] == b"mapped"
