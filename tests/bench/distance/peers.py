"""smbfs and its peers: how each mounts a share, and is taken off again.

Each mounts as its manual says, with nothing but what it needs to find the server and to log in.
Easily broken: a mount that does not answer must not hang us, so nothing here touches what is
mounted, and every step has an end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.mounted import SMBFS

MOUNT_S = 20.0
SMB_PORT = 445


class PeerError(RuntimeError):
    """A peer could not mount; the text says why."""


@dataclass(frozen=True, slots=True)
class Where:
    """A share, and who may use it."""

    host: str
    port: int
    share: str
    user: str
    password: str


@dataclass
class Peer:
    """One program that mounts a share."""

    name: str
    package: str = ""  # of Debian
    command: str = ""  # that must be there
    needs_445: bool = False
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def mount(self, where: Where, folder: Path, home: Path) -> Path:
        """Mount a share; where its files are.  ``home`` is a folder for what it writes."""
        raise NotImplementedError

    @contextlib.contextmanager
    def mounted(self, where: Where) -> Iterator[Path]:
        """Mount a share on a new folder, and take it off at the end."""
        if self.needs_445 and where.port != SMB_PORT:
            raise PeerError(f"it knows no port but {SMB_PORT}, and that takes root")
        if self.command and shutil.which(self.command) is None:
            raise PeerError(f"{self.package} is not installed")
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as place:
            folder, home = Path(place, "mnt"), Path(place, "home")
            folder.mkdir()
            home.mkdir()
            try:
                yield self.mount(where, folder, home)
            finally:
                self._take_off(folder)

    def start(self, *words: str, home: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Start something that runs until the mount is taken off."""
        with (home / "said").open("wb") as said:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                env=os.environ | {"HOME": str(home)} | environment,
            )
        self._processes.append(process)
        return process

    def run(self, *words: str, said: str = "", **environment: str) -> str:
        """Run something to its end; raises PeerError with what it said."""
        done = subprocess.run(
            words,
            input=said,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=MOUNT_S,
            check=False,
            env=os.environ | environment,
        )
        if done.returncode:
            raise PeerError(done.stdout.strip() or f"{words[0]} failed")
        return done.stdout

    def wait_for(self, folder: Path, home: Path) -> None:
        """Wait until something is mounted on a folder."""
        deadline = time.monotonic() + MOUNT_S
        while not is_mounted(folder):
            if time.monotonic() > deadline:
                raise PeerError((home / "said").read_text() or "it does not mount")
            time.sleep(0.02)

    def _take_off(self, folder: Path) -> None:
        for lazy in ([], ["-l"]):
            if is_mounted(folder):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    command = ["umount", *lazy, str(folder)]
                    subprocess.run(command, timeout=MOUNT_S, check=False, capture_output=True)
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()


def is_mounted(folder: Path) -> bool:
    """Whether something is mounted there; asks the mount table only."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == str(folder) for line in lines)


class Smbfs(Peer):
    """What is measured."""

    def mount(self, where: Where, folder: Path, home: Path) -> Path:
        options = f"port={where.port},username={where.user}"
        share = f"//{where.host}/{where.share}"
        # Not through a pipe, which the daemon would keep open.
        with (home / "said").open("w+") as said:
            done = subprocess.run(
                [str(SMBFS), share, str(folder), "-o", options],
                stdout=said,
                stderr=said,
                timeout=MOUNT_S,
                check=False,
                env=os.environ | {"PASSWD": where.password},
            )
            said.seek(0)
            if done.returncode:
                raise PeerError(said.read())
        return folder


class Rclone(Peer):
    """A Go program that knows many kinds of storage."""

    def mount(self, where: Where, folder: Path, home: Path) -> Path:
        hidden = self.run("rclone", "obscure", where.password).strip()
        settings = {"HOST": where.host, "PORT": str(where.port), "USER": where.user, "PASS": hidden}
        environment = {f"RCLONE_SMB_{name}": value for name, value in settings.items()}
        words = ["rclone", "mount", f":smb:{where.share}", str(folder)]
        words += ["--vfs-cache-mode", "writes", "--cache-dir", str(home / "cache")]
        self.start(*words, home=home, **environment)
        self.wait_for(folder, home)
        return folder


class Smbnetfs(Peer):
    """FUSE over libsmbclient."""

    def mount(self, where: Where, folder: Path, home: Path) -> Path:
        settings = home / ".smb"
        settings.mkdir(mode=0o700)
        login = f'auth "{where.host}" "{where.user}" "{where.password}"\n'
        (settings / "smbnetfs.auth").write_text(login)
        (settings / "smbnetfs.host").write_text(f"host {where.host} visible=true\n")
        (settings / "smbnetfs.conf").write_text(
            'include "smbnetfs.auth"\ninclude "smbnetfs.host"\nuse_kerberos_auth "false"\n'
        )
        (settings / "smb.conf").write_text("[global]\nclient min protocol = SMB2\n")
        for path in settings.iterdir():
            path.chmod(0o600)
        self.start("smbnetfs", "-f", str(folder), home=home)
        self.wait_for(folder, home)
        return folder / where.host / where.share


class Gvfs(Peer):
    """What GNOME mounts with."""

    def mount(self, where: Where, folder: Path, home: Path) -> Path:
        runtime = home / "run"
        runtime.mkdir(mode=0o700)
        bus = f"unix:path={runtime / 'bus'}"
        environment = {
            "DBUS_SESSION_BUS_ADDRESS": bus,
            "XDG_RUNTIME_DIR": str(runtime),
            "HOME": str(home),
            "GVFS_DISABLE_FUSE": "1",
        }
        words = ["dbus-daemon", "--session", f"--address={bus}", "--nofork", "--nopidfile"]
        self.start(*words, home=home, **environment)
        deadline = time.monotonic() + MOUNT_S
        while not (runtime / "bus").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.start("/usr/libexec/gvfsd", "--no-fuse", home=home, **environment)
        self.start("/usr/libexec/gvfsd-fuse", "-f", str(folder), home=home, **environment)
        self.wait_for(folder, home)
        url = f"smb://{where.user}@{where.host}/{where.share}"
        self.run("gio", "mount", url, said=f"\n{where.password}\n", **environment)
        return folder / f"smb-share:server={where.host},share={where.share},user={where.user}"


class Cifs(Peer):
    """The kernel's own client."""

    def mount(self, where: Where, folder: Path, home: Path) -> Path:
        secret = home / "credentials"
        secret.write_text(f"username={where.user}\npassword={where.password}\n")
        secret.chmod(0o600)
        options = f"credentials={secret},port={where.port},vers=3.1.1"
        share = f"//{where.host}/{where.share}"
        self.run("mount", "-t", "cifs", share, str(folder), "-o", options)
        return folder


def all_peers() -> dict[str, Peer]:
    """Every peer by its name."""
    peers: list[Peer] = [
        Smbfs("smbfs"),
        Rclone("rclone", "rclone", "rclone"),
        Smbnetfs("smbnetfs", "smbnetfs", "smbnetfs", needs_445=True),
        Gvfs("gvfs", "gvfs-fuse", "gio", needs_445=True),
        Cifs("cifs.ko", "cifs-utils", "mount.cifs"),
    ]
    return {peer.name: peer for peer in peers}
