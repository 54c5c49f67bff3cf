"""The mount that the other tests stand on: it comes, it goes, and nothing makes it hang."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mounted import TRACING, UNTRACED, MountedShare, MountError, environment
from tests.processes import PROC, is_alive
from tests.samba import Samba

pytestmark = pytest.mark.usefixtures("transport")


@pytest.fixture
def private() -> Iterator[Samba]:
    """A server of this test's own, to be ill-treated."""
    with Samba() as server:
        yield server


def test_both_sides_see_the_same_and_nothing_is_left(samba: Samba) -> None:
    with MountedShare(samba, "nested", directory="sub") as mounted:
        assert mounted.is_mounted()
        assert mounted.is_running()
        assert (mounted.path / "dir" / "file.txt").read_text() == "found\n"
        assert (mounted.behind / "dir" / "file.txt").read_text() == "found\n"
        assert "is mounted on" in mounted.log()
    assert not mounted.is_mounted()
    assert not mounted.is_running()
    assert not mounted.home.exists()


def test_a_mount_that_fails_says_what_the_command_said(samba: Samba) -> None:
    mounted = MountedShare(samba, "denied")
    with pytest.raises(MountError, match="denied") as error, mounted:
        pass
    assert error.value.status == 32
    assert not mounted.home.exists()


def test_a_busy_mount_is_not_taken_away_in_silence(samba: Samba) -> None:
    mounted = MountedShare(samba, "nested")
    mounted.mount()
    with (mounted.path / "sub" / "dir" / "file.txt").open():
        with pytest.raises(MountError, match="in use"):
            mounted.umount()
        assert mounted.is_mounted()
    mounted.close()


def test_sigterm_unmounts(samba: Samba) -> None:
    with MountedShare(samba, "nested") as mounted:
        mounted.terminate()
        assert not mounted.is_mounted()


def test_the_watchdog_frees_a_call_that_nobody_answers(private: Samba) -> None:
    mounted = MountedShare(private, "nested", "timeout=600", "actimeo=0")
    mounted.mount()
    private.freeze()
    started = time.monotonic()
    with mounted.limited(1), pytest.raises(OSError, match="connect"):
        os.stat(mounted.path / "sub")
    assert time.monotonic() - started < 20
    with pytest.raises(MountError, match="aborted"):
        mounted.close()
    assert not mounted.is_mounted()
    assert not mounted.is_running()
    assert not mounted.home.exists()


def test_a_test_that_fails_is_not_hidden_by_the_clearing_up(private: Samba) -> None:
    mounted = MountedShare(private, "nested", "timeout=600")

    def fails() -> None:
        with mounted:
            private.freeze()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert not mounted.is_mounted()
    assert not mounted.home.exists()


KILLED = """
import os, signal, sys
from tests.mounted import TRACING, UNTRACED, MountedShare, MountError, environment
from tests.samba import Samba
server = Samba()
server.start()
mounted = MountedShare(server, "nested", sys.argv[1])
mounted.mount()
print(mounted.pid, mounted.home, server.directory, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_stays_mounted_when_the_tests_are_killed(transport: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, f"transport={transport}"],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    pid, home, directory = done.stdout.split()
    deadline = time.monotonic() + 10
    while is_alive(PROC / pid) or home in (PROC / "self" / "mountinfo").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    shutil.rmtree(home)
    shutil.rmtree(directory, ignore_errors=True)


def test_coverage_follows_a_daemon_where_it_may_show_something_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in TRACING:
        monkeypatch.setenv(name, "x")
    for test, is_traced in (("tests/cli/test_life.py::x", True), (f"{UNTRACED[0]}x.py", False)):
        monkeypatch.setenv("PYTEST_CURRENT_TEST", test)
        assert all((name in environment(Path("/nowhere"))) is is_traced for name in TRACING)
        assert "PATH" in environment(Path("/nowhere"))
