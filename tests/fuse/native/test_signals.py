"""Which signals end a call, read from real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from smbfs.fuse.native.signals import MEANT, Signals, signals_of, was_killed
from tests.processes import BARE_PYTHON

# Blocks or handles signals, then stops itself so that what is sent stays pending.
SUBJECT = """
import os, signal
for name in {caught!r}: signal.signal(getattr(signal, name), lambda *_: None)
for name in {ignored!r}: signal.signal(getattr(signal, name), signal.SIG_IGN)
print("ready", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


def bit(*names: signal.Signals) -> int:
    return sum(1 << number - 1 for number in names)


@contextmanager
def stopped(caught: tuple[str, ...] = (), ignored: tuple[str, ...] = ()) -> Iterator[int]:
    """A process that is stopped, so that signals stay pending."""
    code = SUBJECT.format(caught=caught, ignored=ignored)
    process = subprocess.Popen([*BARE_PYTHON, code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        while state_of(process.pid) != "T":
            time.sleep(0.01)
        yield process.pid
    finally:
        process.kill()
        process.communicate(timeout=10)


def state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def test_nothing_pending_ends_nothing() -> None:
    found = signals_of(os.getpid())
    assert not found.is_fatal
    assert not found.is_ending


def test_ctrl_c_that_nobody_handles_is_fatal() -> None:
    with stopped() as pid:
        os.kill(pid, signal.SIGURG)
        assert not signals_of(pid).is_ending
        os.kill(pid, signal.SIGHUP)
        found = signals_of(pid)
    assert found.is_ending
    assert found.is_fatal


def test_ctrl_c_that_is_handled_ends_a_wait_and_is_not_fatal() -> None:
    with stopped(caught=("SIGINT", "SIGUSR1")) as pid:
        os.kill(pid, signal.SIGUSR1)
        assert not signals_of(pid).is_ending
        os.kill(pid, signal.SIGINT)
        found = signals_of(pid)
    assert found.is_ending
    assert not found.is_fatal


def test_what_is_ignored_ends_nothing() -> None:
    with stopped(ignored=("SIGTERM",)) as pid:
        os.kill(pid, signal.SIGTERM)
        assert not signals_of(pid).is_ending


@pytest.mark.parametrize(
    ("pending", "ignored", "caught", "ending", "fatal"),
    [
        (bit(signal.SIGKILL), 0, 0, True, True),
        (bit(signal.SIGKILL), -1, -1, True, True),
        (bit(signal.SIGALRM), 0, 0, True, True),
        (bit(signal.SIGALRM), 0, bit(signal.SIGALRM), False, False),
        (bit(signal.SIGQUIT), 0, bit(signal.SIGQUIT), True, False),
        (bit(signal.SIGWINCH, signal.SIGCHLD, signal.SIGTSTP), 0, 0, False, False),
    ],
)
def test_every_kind(pending: int, ignored: int, caught: int, ending: bool, fatal: bool) -> None:
    found = Signals(pending, ignored, caught)
    assert (found.is_ending, found.is_fatal) == (ending, fatal)


def test_what_cannot_be_read_is_taken_for_meant() -> None:
    assert signals_of(0) is MEANT
    assert MEANT.is_fatal


def test_a_process_that_lives_was_not_killed() -> None:
    assert not was_killed(os.getpid())
    assert not was_killed(0)


@pytest.mark.parametrize(
    ("code", "killed"), [("import os; os.kill(os.getpid(), 9)", True), ("", False)]
)
def test_how_a_process_has_ended(code: str, killed: bool) -> None:
    process = subprocess.Popen([*BARE_PYTHON, code])
    while state_of(process.pid) != "Z":
        time.sleep(0.01)
    try:
        assert was_killed(process.pid) == killed
    finally:
        process.wait()
