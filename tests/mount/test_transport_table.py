"""The table of the man page tells what each transport gives: every row is tried on both."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.line import Line
from tests.mount.ground import noise, opened
from tests.mounted import MountedShare
from tests.processes import BARE_PYTHON
from tests.samba import Place, Samba

PAGE = Path(__file__).parent.parent.parent / "man" / "mount.smbfs.8"
ROW = re.compile(r"\.It (.+) Ta (yes|no) Ta (yes|no)")
RW = os.O_CREAT | os.O_RDWR
MIB = 1 << 20
DELAY_S = 0.25


def rows() -> dict[str, dict[str, bool]]:
    """What the page says each transport has."""
    found = ROW.findall(PAGE.read_text())
    return {what: {"native": one == "yes", "pyfuse3": two == "yes"} for what, one, two in found}


@contextlib.contextmanager
def mounted(samba: Samba, *options: str, delay_s: float = 0.0) -> Iterator[tuple[Path, Line]]:
    """The share through a line that counts."""
    with (
        Line(samba.port, delay_s=delay_s) as line,
        MountedShare(samba, "share", f"port={line.port}", *options) as share,
    ):
        yield share.path, line


def works(call: Callable[[], object]) -> bool:
    """Whether a call is there; raises OSError for any other failure."""
    try:
        call()
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS):
            return False
        raise
    return True


def locks_elsewhere(samba: Samba) -> bool:
    with mounted(samba) as (one, _), mounted(samba) as (two, _), opened(one / "file", RW) as fd:
        fcntl.lockf(fd, fcntl.LOCK_EX)
        with opened(two / "file", RW) as other:
            try:
                fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False


def copies_by_the_server(samba: Samba) -> bool:
    with mounted(samba) as (path, line):
        (path / "from").write_bytes(noise(2 * MIB))
        before = line.passed
        with opened(path / "from") as source, opened(path / "to", RW) as target:
            while os.copy_file_range(source, target, MIB):
                pass
        assert (path / "to").read_bytes() == noise(2 * MIB)
        return line.sent - before < MIB


def reserves(samba: Samba) -> bool:
    with mounted(samba) as (path, _):
        command = ["fallocate", "-l", "1M", str(path / "file")]
        (path / "file").touch()
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0


def tells_holes(samba: Samba) -> bool:
    with mounted(samba) as (path, _), opened(path / "file", RW) as fd:
        os.ftruncate(fd, MIB)
        os.pwrite(fd, b"x", MIB - 1)
        return os.lseek(fd, 0, os.SEEK_HOLE) == 0


def has_nameless_files(samba: Samba) -> bool:
    with mounted(samba) as (path, _):
        return works(lambda: os.close(os.open(path, os.O_TMPFILE | os.O_RDWR)))


def tells_birth(samba: Samba) -> bool:
    with mounted(samba) as (path, _):
        (path / "file").touch()
        said = subprocess.check_output(["stat", "-c", "%W", path / "file"], timeout=30)
        return int(said) > 0


def has_flags(samba: Samba) -> bool:
    with mounted(samba) as (path, _):
        (path / "file").touch()
        done = subprocess.run(
            ["lsattr", path / "file"], capture_output=True, timeout=30, check=False
        )
        return done.returncode == 0 and not done.stderr


def can_be_interrupted(samba: Samba) -> bool:
    with MountedShare(samba, "share", "timeout=5") as share:
        samba.freeze()
        try:
            with subprocess.Popen(["ls", share.path / "nowhere"], stderr=subprocess.PIPE) as asker:
                time.sleep(0.5)
                asker.send_signal(signal.SIGINT)
                try:
                    return asker.wait(2) == -signal.SIGINT
                except subprocess.TimeoutExpired:
                    return False
        finally:
            samba.thaw()


def looks_side_by_side(samba: Samba) -> bool:
    """Eight look-ups, one after the other, take eight times as long as one."""
    count = 8
    with mounted(samba, delay_s=DELAY_S / 2) as (path, _):
        os.stat(path)
        code = "import os, sys\nfor name in sys.argv[1:]: os.path.exists(name)"
        names = [path / f"none-{number}" for number in range(count)]
        started = time.monotonic()
        lookers = [
            threading.Thread(target=subprocess.run, args=[[*BARE_PYTHON, code, name]])
            for name in names
        ]
        for looker in lookers:
            looker.start()
        for looker in lookers:
            looker.join()
        return time.monotonic() - started < count * DELAY_S * 0.8


TRIED: dict[str, Callable[[Samba], bool]] = {
    "locks that other machines respect": locks_elsewhere,
    "copies made by the server": copies_by_the_server,
    "fallocate": reserves,
    "holes of sparse files": tells_holes,
    "files without a name, O_TMPFILE": has_nameless_files,
    "birth times": tells_birth,
    "lsattr and chattr": has_flags,
    "Ctrl-C ends a call that waits": can_be_interrupted,
    "look-ups in one folder, side by side": looks_side_by_side,
}


def test_every_row_is_tried() -> None:
    assert list(rows()) == list(TRIED)


@pytest.mark.parametrize("what", TRIED)
def test_a_row_is_true(what: str, transport: str, samba: Samba, share: Place) -> None:
    assert TRIED[what](samba) == rows()[what][transport]
