"""A real kernel mount of a share, made by the real command, that can never hang the tests.

`MountedShare` runs ``smbfs //127.0.0.1/share DIRECTORY`` as a person would, finds the daemon, and
takes all of it down again: politely, else by force.  While it is mounted a watchdog counts; when
the limit passes it kills the daemon and aborts the kernel's side, so that a test which is stuck in
a system call gets ENOTCONN and fails.  If the tests themselves are killed, a guardian does that.

Each test mounts by every transport in turn: tests/transports.py.

Knows the command, /proc and /sys only; nothing of the package's inside.  Easily broken: nothing
here may touch the mounted directory itself (stat it, list it, resolve it) but through `lists`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.processes import PROC, is_alive, named
from tests.samba import Samba
from tests.transports import MATRIX

SMBFS = Path(sys.executable).parent / "smbfs"
MOUNT_S = 30.0  # it takes 0.6 s; a machine may be busy
UMOUNT_S = 30.0
HASTE_S = 5.0  # the same after a failure
END_S = 20.0  # for the daemon to end once it is unmounted
LIMIT_S = 150.0  # below the 180 s after which pytest-timeout would try, and could not
TRACING = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
UNTRACED = (
    "tests/semantics/",
    "tests/mount/test_walk.py",
    "tests/mount/test_crowd.py",
    "tests/mount/test_listing.py",
    "tests/mount/test_programs.py",
)
CONNECTIONS = Path("/sys/fs/fuse/connections")
# Reads a line that only a living process of tests sends; its end without one is their death.
GUARDIAN = 'read -r line || { kill -KILL "$1"; shift; "$@"; }'


def environment(home: Path) -> dict[str, str]:
    """What a mount's daemon inherits: coverage follows it only where it may show something new.

    It makes a daemon half as fast, and most promises are kept by what other tests have shown.
    What the daemon keeps of itself is nothing of this machine's.
    """
    places = {"SMBFS_RUN_DIR": str(home / "run"), "SMBFS_STATE_DIR": str(home / "state")}
    test = os.environ.get("PYTEST_CURRENT_TEST", "")
    hidden = TRACING if test.startswith(UNTRACED) else ()
    return {name: value for name, value in os.environ.items() if name not in hidden} | places


def abort_switch(path: Path) -> Path:
    """Where the kernel's side of a mount can be aborted; for root."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    [device] = [line.split()[2] for line in lines if line.split()[4] == str(path)]
    switch = CONNECTIONS / device.partition(":")[2] / "abort"
    if not switch.parent.exists():
        subprocess.run(["mount", "-t", "fusectl", "none", CONNECTIONS], check=True)
    return switch


class MountError(RuntimeError):
    """The share could not be mounted or unmounted; the text is what the command said."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(f"exit status {status}: {said}")
        self.said = said
        self.status = status


class MountedShare:
    """One share of a private Samba, mounted on a directory of its own while in a ``with``.

    ``options`` are added to those that it needs (``"actimeo=0"``, ``"ro"``), one of which is the
    transport of the running test, unless ``options`` have one; ``directory`` is a
    directory below the share to mount instead of all of it.  ``limit_s`` is how long it may be
    mounted, or, once `limited` was used, each use of that.
    """

    def __init__(
        self,
        server: Samba,
        share: str = "share",
        *options: str,
        directory: str = "",
        limit_s: float = LIMIT_S,
    ) -> None:
        if not any(option.startswith("transport=") for option in options):
            options = (MATRIX.option(), *options)
        self.server = server
        self.limit_s = limit_s
        self.home = Path(tempfile.mkdtemp(prefix="smbfs-mount-"))
        self.path = self.home / "mnt"  # what programs see
        self.behind = server[share].path / directory  # the same on the server's own disk
        self.service = "/".join([server[share].unc, *filter(None, [directory])])
        self.options = [
            f"port={server.port}",
            f"credentials={server.credentials}",
            f"log=info:{self.home / 'log'}",
            *options,
        ]
        self.pid = 0  # the daemon's, once it is mounted
        self._watchdog: threading.Timer | None = None
        self._guardian: subprocess.Popen[bytes] | None = None
        self._was_aborted = False
        self.path.mkdir()

    # Its life

    def mount(self, *switches: str) -> None:
        """Mount it, again if it is gone.  Raises MountError with what the command said."""
        self._dismiss()
        done = self.smbfs(*switches, self.service, str(self.path), "-o", ",".join(self.options))
        if done.returncode != 0 or not self.is_mounted():
            raise MountError(done.stdout.strip(), done.returncode)
        [self.pid] = named(str(self.path))
        self._watch(self.limit_s)
        command = ["/bin/sh", "-c", GUARDIAN, "guardian", str(self.pid), *self._by_force()]
        self._guardian = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def umount(self, *switches: str, limit_s: float = UMOUNT_S) -> None:
        """Unmount it as a person would, and wait for the daemon to end.  Raises MountError."""
        done = self.smbfs("umount", *switches, str(self.path), limit_s=limit_s)
        if done.returncode != 0:
            raise MountError(done.stdout.strip(), done.returncode)
        self.wait_for_end()

    def _umount_plainly(self, limit_s: float) -> None:
        """Unmount without our own command, which would take half a second for its start."""
        # -c: do not look at the directory, or who asks a silent server cannot even be killed.
        who = ["umount", "-i", "-c"] if os.geteuid() == 0 else ["fusermount3", "-u"]
        with (self.home / "said").open("w+") as said:
            done = subprocess.Popen([*who, str(self.path)], stdout=said, stderr=said)
            try:
                status = done.wait(limit_s)
            except subprocess.TimeoutExpired:
                self.abort()
                status = done.wait(END_S)
            said.seek(0)
            if status != 0 or self._was_aborted:
                raise MountError(said.read().strip(), status)

    def smbfs(self, *words: str, limit_s: float = MOUNT_S) -> subprocess.CompletedProcess[str]:
        """Run the command smbfs; its two outputs come back as one."""
        # Not through a pipe: a daemon that keeps it open would keep us waiting.
        with (self.home / "said").open("w+") as said:
            done = subprocess.run(
                [str(SMBFS), *words],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                timeout=limit_s,
                check=False,
                env=environment(self.home),
            )
            said.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, said.read())

    def terminate(self) -> None:
        """Ask the daemon to unmount and end (SIGTERM), and wait until it did."""
        os.kill(self.pid, signal.SIGTERM)
        self.wait_for_end()

    def wait_for_end(self, seconds: float = END_S) -> None:
        """Wait for the end of the daemon.  Raises MountError if it does not come."""
        deadline = time.monotonic() + seconds
        while self.is_running():
            if time.monotonic() > deadline:
                raise MountError(f"the daemon {self.pid} does not end\n{self.log()}", -1)
            time.sleep(0.02)

    def is_running(self) -> bool:
        """Whether the daemon lives."""
        return bool(self.pid) and is_alive(PROC / str(self.pid))

    def is_mounted(self) -> bool:
        """Whether the kernel's mount table has it; asks the mount nothing."""
        return self._device() is not None

    def _device(self) -> str | None:
        for line in (PROC / "self" / "mountinfo").read_text().splitlines():
            fields = line.split()
            if fields[4] == str(self.path):
                return fields[2]
        return None

    def log(self) -> str:
        """What the daemon logged so far."""
        with contextlib.suppress(FileNotFoundError):
            return (self.home / "log").read_text()
        return ""

    # What keeps the tests from hanging

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Give what is inside this long, by a fresh watch; for mounts that many tests share."""
        self._watch(seconds)
        try:
            yield
        finally:
            self._unwatch()

    def _watch(self, seconds: float) -> None:
        self._unwatch()
        self._watchdog = threading.Timer(seconds, self._bite, (seconds,))
        self._watchdog.daemon = True
        self._watchdog.start()

    def _bite(self, seconds: float) -> None:
        sys.stderr.write(f"{self.path}: mounted for {seconds:g} s, which is too long\n")
        self.abort()

    def _unwatch(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def abort(self) -> None:
        """End it by force: kill the daemon, fail what waits in the kernel, unmount lazily."""
        self._was_aborted = True
        device = self._device()
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if device is not None:
            with contextlib.suppress(OSError):  # not everywhere is that file system mounted
                (CONNECTIONS / device.partition(":")[2] / "abort").write_text("1")
            subprocess.run(self._by_force(), check=False, timeout=10, capture_output=True)

    def _by_force(self) -> list[str]:
        if os.geteuid() != 0:
            return ["fusermount3", "-u", "-z", str(self.path)]
        return ["umount", "-i", "-c", "-f", "-l", str(self.path)]  # -f aborts the connection too

    def close(self, limit_s: float = UMOUNT_S) -> None:
        """Unmount, by force if it has to be, and remove what it kept.

        Raises MountError if force was needed.
        """
        self._unwatch()
        try:
            if self._was_aborted:
                raise MountError(f"it had to be aborted\n{self.log()}", -1)
            if self.is_mounted():
                self._umount_plainly(limit_s)
            self.wait_for_end()
        finally:
            if self.is_mounted() or self.is_running():
                self.abort()
            with contextlib.suppress(MountError):
                self.wait_for_end(5)
            self._dismiss()
            with contextlib.suppress(OSError):  # what is still mounted is not to be emptied
                self.path.rmdir()
                shutil.rmtree(self.home)

    def _dismiss(self) -> None:
        """Send the guardian home."""
        guardian, self._guardian = self._guardian, None
        if guardian is not None:
            guardian.communicate(b"\n", timeout=5)

    def __enter__(self) -> Self:
        try:
            self.mount()
        except BaseException:
            self._tidy()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._tidy()

    def _tidy(self) -> None:
        """Take everything down, showing the log instead of an error: one is on its way."""
        sys.stderr.write(self.log())
        if not self.pid:  # the command failed, but what did it leave behind?
            self.pid = next(iter(named(str(self.path))), 0)
        with contextlib.suppress(MountError, subprocess.TimeoutExpired):
            self.close(HASTE_S)
