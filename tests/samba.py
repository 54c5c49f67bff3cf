"""A private Samba server: a real SMB server for the tests and the demo, on a loopback port.

It needs no privilege beyond those of whoever starts it, touches nothing of a Samba server that
this machine may already run, and keeps all it writes in one directory of its own.  It dies with
the process that started it, unless it was told to stay.

Knows smbd and its settings; imports the standard library only, since the demo uses it as well.
Easily broken: every smbd process must stay in the one process group, which is what the signals
go to; and no setting may be left at a default that points into /var or /run.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.ports import HOST, Port
from tests.processes import established_on, members, named, open_files, signal_group

USER = "tester"
PASSWORD = "not, a =secret%"  # with what an option string or a credentials file trips over
START_S = 20.0  # it takes 0.2 s; a machine may be busy
STOP_S = 5.0

SHARES: dict[str, dict[str, str]] = {
    "share": {},
    "public": {"guest ok": "yes"},
    "readonly": {"read only": "yes"},
    "nested": {},  # holds sub/dir/file.txt
    "sealed": {"smb encrypt": "required"},
    "denied": {"valid users": "nobody-may-enter"},
}

KEPT = {  # where smbd would otherwise write to /var and /run
    "private dir": "private",
    "state directory": "state",
    "cache directory": "cache",
    "lock directory": "lock",
    "pid directory": "pid",
    "ncalrpc dir": "rpc",
    "winbindd socket directory": "winbind",
}


class SambaError(RuntimeError):
    """The private Samba, or a tool of Samba's, did not do what it was asked."""


def tool(name: str) -> str:
    """The path of one of Samba's programs, which an ordinary user's PATH may not hold."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise SambaError(f"{name} is not installed; packaging/bootstrap installs it")
    return found


def is_installed() -> bool:
    """Whether this machine has what a private server needs."""
    with contextlib.suppress(SambaError):
        return bool(tool("smbd") and tool("pdbedit") and tool("smbclient"))
    return False


def keeps_attributes(directory: str | Path) -> bool:
    """Whether files in this directory can carry ``user.*`` attributes (tmpfs often cannot)."""
    try:
        with tempfile.TemporaryDirectory(dir=directory) as probe:
            os.setxattr(probe, "user.smbfs.probe", b"")
    except OSError:
        return False
    return True


def new_directory() -> Path:
    """A temporary directory, if possible one whose files can carry attributes."""
    places = [place for place in (tempfile.gettempdir(), "/var/tmp") if keeps_attributes(place)]
    return Path(tempfile.mkdtemp(prefix="smbfs-samba-", dir=next(iter(places), None)))


@dataclass(frozen=True)
class Place:
    """A shared directory as both sides see it."""

    name: str
    path: Path  # on this machine's disk: writing here is "behind the client's back"
    unc: str  # //127.0.0.1/NAME

    def empty(self) -> None:
        """Remove everything in it, the directory itself excepted."""
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


class Samba:
    """One private smbd with its shares, its user and its port.

    ``settings`` are added to [global] (``{"server smb encrypt": "required"}``), ``shares`` to the
    standard ones, or change them.  With ``directory`` the state is kept there and left behind;
    otherwise it is temporary.  ``stays`` lets the server outlive this process.
    """

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        shares: Mapping[str, Mapping[str, str]] | None = None,
        *,
        directory: Path | None = None,
        port: int = 0,
        stays: bool = False,
    ) -> None:
        self._port = None if port else Port()
        self.host, self.port = HOST, self._port.number if self._port else port
        self.user, self.password, self.domain = USER, PASSWORD, "WORKGROUP"
        self._is_temporary = directory is None
        self.directory = directory or new_directory()
        self.settings = dict(settings or {})  # a change holds from the next start
        self._shares = {name: dict(more) for name, more in SHARES.items()}
        for name, more in (shares or {}).items():
            self._shares.setdefault(name, {}).update(more)
        self._stays = stays
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    # What a client needs to know

    @property
    def credentials(self) -> Path:
        """A file with the user's name and password, as ``-o credentials=`` and ``-A`` want it."""
        return self.directory / "credentials"

    @property
    def pid(self) -> int:
        """The listening smbd, which is also the number of its process group."""
        if self._process is None:
            raise SambaError("the private Samba is not running")
        return self._process.pid

    def __getitem__(self, name: str) -> Place:
        """The share of that name."""
        if name not in self._shares:
            raise KeyError(name)
        return Place(name, self.directory / "shares" / name, f"//{self.host}/{name}")

    # Its life

    def start(self) -> None:
        """Start it and wait until it answers; on the same port as before, if it ran before.

        Raises SambaError with the end of the log if it does not come up.
        """
        self._config.write_text(self._written(self._owner))
        logs = self.directory / "logs"
        command = [tool("smbd"), "--foreground", "--no-process-group"]
        with (logs / "console").open("ab") as console:
            # A pipe on stdin is how smbd learns that we are gone: it leaves at its end.
            self._process = subprocess.Popen(
                [*command, f"--configfile={self._config}", f"--log-basename={logs}"],
                stdin=subprocess.DEVNULL if self._stays else subprocess.PIPE,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while not self.is_answering():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise SambaError(f"smbd did not start on port {self.port}:\n{self.logs()}")
            time.sleep(0.02)

    def is_answering(self) -> bool:
        """Whether something accepts connections on the port."""
        try:
            socket.create_connection((self.host, self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it politely; by force if it does not listen."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would: every process of it at once, connections included."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        signal_group(process.pid, number)
        signal_group(process.pid, signal.SIGCONT)  # one that is frozen cannot end
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        signal_group(process.pid, signal.SIGKILL)
        process.wait(STOP_S)
        # While one still holds Samba's databases, the next smbd goes on with them as they are.
        deadline = time.monotonic() + STOP_S
        while members(process.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        for helper in named(str(self._config)):  # samba-dcerpcd left the group
            signal_group(helper, signal.SIGKILL)
        if process.stdin is not None:
            process.stdin.close()

    def restart(self) -> None:
        """Kill it and start it again, on the same port and with the same files."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Make it silent: connections stay open and nothing answers (SIGSTOP)."""
        signal_group(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        signal_group(self.pid, signal.SIGCONT)

    def drop_connections(self) -> int:
        """Kill the processes that serve a client and say how many; new ones are still accepted."""
        sockets = established_on(self.port)
        serving = [pid for pid in members(self.pid) if not sockets.isdisjoint(open_files(pid))]
        for pid in serving:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(serving)

    def close(self) -> None:
        """Stop it and remove what it kept, unless it was told where to keep it."""
        self.stop()
        if self._port is not None:
            self._port.release()
        if self._is_temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # The other client

    def client(self, share: str, command: str, *options: str, anonymous: bool = False) -> str:
        """What smbclient prints for ``command`` (``put a b; ls``) on that share.

        ``options`` are more of smbclient's (``--max-protocol=NT1``).  Raises SambaError with its
        words if it fails.
        """
        who = "--no-pass" if anonymous else f"--authentication-file={self.credentials}"
        arguments = [tool("smbclient"), f"//{self.host}/{share}", f"--port={self.port}", who]
        arguments += ["--user=%"] * anonymous + list(options)
        arguments += [f"--configfile={self._config}", f"--command={command}"]
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
        # Its exit status tells of the last command only.
        if done.returncode != 0 or "NT_STATUS_" in done.stdout:
            raise SambaError(f"smbclient {share}: {command}: {done.stdout.strip()}")
        return done.stdout

    def logs(self, lines: int = 40) -> str:
        """The ends of its log files, for the reader of a failed test."""
        parts = []
        for path in sorted((self.directory / "logs").glob("*")):
            if path.is_file() and (text := path.read_text(errors="replace").strip()):
                parts.append(f"--- {path.name}\n" + "\n".join(text.splitlines()[-lines:]))
        return "\n".join(parts)

    # How it is made

    @property
    def _config(self) -> Path:
        return self.directory / "smb.conf"

    def _prepare(self) -> None:
        for name in (*KEPT.values(), "logs"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "private").chmod(0o700)
        for name in self._shares:
            (self.directory / "shares" / name).mkdir(parents=True, exist_ok=True)
        deep = self.directory / "shares" / "nested" / "sub" / "dir"
        deep.mkdir(parents=True, exist_ok=True)
        (deep / "file.txt").write_text("found\n")
        owner = self._owner
        (self.directory / "users").write_text(f"{owner} = {USER}\n")
        self.credentials.write_text(f"username={USER}\npassword={PASSWORD}\n")
        self.credentials.chmod(0o600)
        self._config.write_text(self._written(owner))
        self._add_user(owner)

    @property
    def _owner(self) -> str:
        return pwd.getpwuid(os.getuid()).pw_name

    def _written(self, owner: str) -> str:
        home = self.directory
        settings = {key: str(home / name) for key, name in KEPT.items()}
        settings |= {
            "server role": "standalone server",
            "netbios name": "SMBFSTEST",
            "workgroup": self.domain,
            "smb ports": str(self.port),
            "interfaces": f"{HOST}/8",
            "bind interfaces only": "yes",
            "disable netbios": "yes",
            "usershare max shares": "0",
            "load printers": "no",
            "disable spoolss": "yes",
            "printcap name": "/dev/null",
            "passdb backend": f"tdbsam:{home / 'private' / 'passdb.tdb'}",
            # The account is whoever runs this, under a name of ours: files written behind the
            # client's back then have the same owner as those that the client writes.
            "username map": str(home / "users"),
            "guest account": owner if os.getuid() else "nobody",
            "map to guest": "Bad User",
            "case sensitive": "auto",
            "read only": "no",
            "ea support": "yes",
            "store dos attributes": "yes",
        }
        if not keeps_attributes(home):  # a module of Samba's keeps them elsewhere
            settings["vfs objects"] = "xattr_tdb"
        sections = {"global": settings | self.settings}
        for name, more in self._shares.items():
            if "guest ok" in more:  # nobody may not write to our files
                more = {"force user": owner} | more
            sections[name] = {"path": str(home / "shares" / name)} | more
        return "\n".join(_section(name, rows) for name, rows in sections.items())

    def _add_user(self, owner: str) -> None:
        done = subprocess.run(
            [tool("pdbedit"), f"--configfile={self._config}", "-a", "-t", "-u", owner],
            input=f"{PASSWORD}\n{PASSWORD}\n",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise SambaError(f"cannot make the user of the private Samba: {done.stdout.strip()}")


def _section(name: str, rows: Mapping[str, str]) -> str:
    return "\n".join([f"[{name}]", *(f"  {key} = {value}" for key, value in rows.items()), ""])
