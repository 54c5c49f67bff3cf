"""Parent and child: what the parent says, what the child keeps, and that nobody waits for ever.

Each in a process of its own, since to fork is to fork all of pytest.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smbfs.cli.daemon import Background, Foreground, notify
from smbfs.mount import Interrupted
from tests.processes import PROC, is_alive

LIMIT_S = 30.0
PARENT = """
import os, sys, time, json
from smbfs.cli import daemon
child = daemon.background()
if isinstance(child, daemon.Report):
    print(child.status, child.sentence, flush=True)
    sys.exit(child.status)
"""


def start(code: str, *, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
    )


def run(code: str, *, pass_fds: tuple[int, ...] = ()) -> tuple[int, str, str]:
    """The parent's exit status and what both said, at the end of whoever kept an output open."""
    with start(code, pass_fds=pass_fds) as parent:
        out, error = parent.communicate(timeout=LIMIT_S)
    return parent.returncode, out.strip(), error.strip()


def test_a_child_that_fails_is_heard() -> None:
    status, said, _ = run("child.failed(32, 'no such share'); daemon.leave(32)")
    assert (status, said) == (32, "32 no such share")


@pytest.mark.parametrize(
    ("end", "how"), [("os._exit(3)", "exit status 3"), ("os.kill(os.getpid(), 9)", "SIGKILL")]
)
def test_a_child_that_dies_is_noticed(end: str, how: str) -> None:
    status, said, _ = run(end)
    assert status == 4
    assert said == f"4 smbfs ended unexpectedly ({how}); run it with -f to see more"


def test_a_child_that_is_ready_keeps_nothing_of_ours(tmp_path: Path) -> None:
    told = tmp_path / "told"
    code = f"""
child.ready()
found = dict(folder=os.getcwd(), session=os.getsid(0) == os.getpid(), mask=os.umask(0))
found["files"] = {{n: os.readlink(f"/proc/self/fd/{{n}}") for n in range(3)}}
found["more"] = [n for n in map(int, os.listdir("/proc/self/fd")) if n > 2]
child.failed(1, "nobody hears this any more")
with open({str(told) + ".new"!r}, "w") as file:
    json.dump(found, file)
os.rename({str(told) + ".new"!r}, {str(told)!r})
daemon.leave(0)
"""
    reading, writing = os.pipe()
    try:
        status, said, error = run(code, pass_fds=(writing,))  # the child's copies are closed
        assert (status, said, error) == (0, "0", "")
        os.close(writing)
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)
    deadline = time.monotonic() + LIMIT_S
    while not told.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    found = json.loads(told.read_text())
    assert found["folder"] == "/"
    assert found["session"]
    assert found["mask"] == 0o077
    assert set(found["files"].values()) == {"/dev/null"}
    assert len(found["more"]) <= 1  # that of the listing


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_interrupts_the_parent_as_early_as_can_be(number: signal.Signals) -> None:
    early = f"""
import os
fork = os.fork
def fork_and_be_interrupted():
    pid = fork()
    if pid:
        os.kill(os.getpid(), {int(number)})
    return pid
os.fork = fork_and_be_interrupted
"""
    code = early + PARENT + "time.sleep(60)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout) == (8, "8 interrupted; nothing is mounted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_interrupts_the_parent_ends_the_child(number: signal.Signals) -> None:
    code = "print(os.getpid(), flush=True); time.sleep(60)"
    with start(code) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(number)
        out, _ = parent.communicate(timeout=LIMIT_S)
    assert parent.returncode == 8
    assert out.strip() == "8 interrupted; nothing is mounted"
    assert not is_alive(PROC / str(child))


def test_a_child_whose_parent_is_gone_notices() -> None:
    code = """
print(os.getpid(), os.getppid(), flush=True)
while os.getppid() == daemon_parent: time.sleep(0.01)
try: child.ready()
except daemon.Interrupted as error: print(error, flush=True)
daemon.leave(8)
"""
    code = "daemon_parent = os.getppid()" + code
    with start(code) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        parent.kill()
        assert "was killed" in parent.stdout.readline()


def test_a_report_is_made_once() -> None:
    reading, writing = os.pipe()
    child = Background(writing)
    child.failed(32, "first")
    child.failed(4, "second")
    with os.fdopen(reading, "rb") as pipe:
        assert json.loads(pipe.read()) == [32, "first"]


def test_nobody_to_report_to() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(Interrupted):
        Background(writing).ready()


def test_in_the_foreground_there_is_nothing_to_let_go() -> None:
    Foreground().ready()
    Foreground().failed(32, "said by the caller")


# systemd


@pytest.mark.parametrize("prefix", ["", "@"])
def test_systemd_is_told(prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address if prefix else address)
        monkeypatch.setenv("NOTIFY_SOCKET", prefix + address)
        notify("READY=1")
        assert systemd.recv(100).decode() == f"READY=1\nMAINPID={os.getpid()}"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_without_systemd(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")
