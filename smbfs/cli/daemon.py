"""From a command to a background process: who is waiting hears when the mount answers, or why not.

The parent stays in the foreground until the child reports; the report is one line of JSON through
a pipe, and its end without a report is a crash.  Who interrupts the parent before that ends the
child as well.  Easily broken: fork before any thread or event loop exists, and keep nothing of
the parent's open in the child, or whoever reads the command's output waits for the unmount.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from smbfs.mount import Interrupted

CRASHED, INTERRUPTED = 4, 8  # an internal error and an interruption, as mount(8) numbers them
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PRIVATE = 0o077  # what the child writes, a log, tells which files there are


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the child: an exit status, and a sentence if there is something to say."""

    status: int
    sentence: str = ""


@dataclass(slots=True)
class Background:
    """The child's end: it reports once."""

    pipe: int

    def ready(self) -> None:
        """Say that the mount answers, and let go of the terminal.

        Raises Interrupted if nobody waits any more.
        """
        if not self._report(Report(0)):
            raise Interrupted("the command that asked for the mount was killed")
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(null, stream)
        os.close(null)

    def failed(self, status: int, sentence: str) -> None:
        """Say why there is no mount; ``status`` becomes the command's exit status."""
        self._report(Report(status, sentence))

    def _report(self, report: Report) -> bool:
        if self.pipe < 0:
            return True
        pipe, self.pipe = self.pipe, -1
        try:
            os.write(pipe, json.dumps([report.status, report.sentence]).encode())
        except BrokenPipeError:
            return False
        finally:
            os.close(pipe)
        return True


@dataclass(slots=True)
class Foreground:
    """No child: reports go where they are read anyway."""

    def ready(self) -> None:
        """Stay as it is."""

    def failed(self, status: int, sentence: str) -> None:
        """Leave it to the caller, who returns the status, to tell the user."""


def background() -> Background | Report:
    """Fork.  The child gets its end of the pipe, the parent the report."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    # Nobody may die between the fork and the handlers: the child would go on, and mount.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    pid = os.fork()
    if pid == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        _settle(writing)
        return Background(writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe, _interrupting(pid):
            said = pipe.read()
    except KeyboardInterrupt:
        return _ended(pid, interrupted=True)
    if not said:
        return _ended(pid, interrupted=False)
    status, sentence = json.loads(said)
    return Report(int(status), str(sentence))


def _settle(keep: int) -> None:
    """Become a daemon: no terminal, no folder, no descriptor but the pipe and the two outputs."""
    os.setsid()
    os.chdir("/")
    os.umask(PRIVATE)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != keep:
            with contextlib.suppress(OSError):  # the one that listed them is closed already
                os.close(int(name))


@contextlib.contextmanager
def _interrupting(child: int) -> Iterator[None]:
    """Pass what would end the parent on to the child, once, and stop waiting for its report.

    The signals are blocked when it begins, and not any more when it ends.
    """

    def passed_on(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        raise KeyboardInterrupt

    before = [(number, signal.signal(number, passed_on)) for number in ENDING]
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _ended(pid: int, *, interrupted: bool) -> Report:
    """Wait for the child's end and tell of it."""
    _, ended = os.waitpid(pid, 0)
    if interrupted:
        return Report(INTERRUPTED, "interrupted; nothing is mounted")
    code = os.waitstatus_to_exitcode(ended)
    how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
    return Report(CRASHED, f"smbfs ended unexpectedly ({how}); run it with -f to see more")


def leave(status: int) -> NoReturn:
    """End a child without running what the parent registered to run at its own end."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def notify(state: str) -> None:
    """Tell systemd, if it started us, that we are ``READY=1`` or ``STOPPING=1``; sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        # The one that systemd started may be the parent, which ends now.
        sock.send(f"{state}\nMAINPID={os.getpid()}".encode())
