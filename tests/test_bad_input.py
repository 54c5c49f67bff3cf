"""What a mount says that cannot be: one clear sentence, the right exit status, nothing mounted."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from smbfs.cli.main import command
from tests.conftest import Sambas
from tests.mounted import SMBFS
from tests.samba import Samba

USAGE, FILE_IO, FAILED = 1, 16, 32
LIMIT_S = 20.0  # the default `timeout=` is 15
OLD = {"server min protocol": "NT1", "server max protocol": "NT1"}
PLAIN = {"smb encrypt": "off"}
SMB2 = {"server max protocol": "SMB2_10"}


def by_command(words: list[str]) -> tuple[int, str]:
    """Mount as a person does; the exit status and what is said."""
    done = subprocess.run(
        [str(SMBFS), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,  # no terminal to ask for a password
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@dataclass
class Ground:
    """Where a mount that will fail is tried."""

    home: Path
    samba: Samba
    run: Callable[[list[str]], tuple[int, str]] = by_command

    @property
    def mountpoint(self) -> Path:
        return self.home / "mnt"

    def credentials(self, text: str, mode: int = 0o600) -> str:
        file = self.home / "credentials"
        file.write_text(text)
        file.chmod(mode)
        return f"credentials={file}"

    def options(self, *more: str) -> str:
        return ",".join([f"port={self.samba.port}", f"credentials={self.samba.credentials}", *more])

    def fails(
        self,
        options: str,
        service: str = "//127.0.0.1/share",
        *,
        mountpoint: Path | None = None,
        limit_s: float = LIMIT_S,
    ) -> tuple[int, str]:
        """The exit status and the sentence, without what comes before it."""
        place = str(mountpoint or self.mountpoint)
        started = time.monotonic()
        status, error = self.run([service, place, "-o", options])
        assert time.monotonic() - started < limit_s
        assert str(self.home) not in Path("/proc/mounts").read_text()
        [line] = error.splitlines()
        assert re.fullmatch(r"smbfs: [A-Z/`].*[.?]", line), line
        for ugly in ("Traceback", "Errno", "STATUS_", "Error(", "0x", ".."):
            assert ugly not in line.replace("server/share", ""), line
        return status, line.removeprefix("smbfs: ")


@pytest.fixture
def ground(tmp_path: Path, samba: Samba) -> Ground:
    (tmp_path / "mnt").mkdir()
    return Ground(tmp_path, samba)


@pytest.fixture
def desk(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ground:
    """The same for what fails before any server is asked: in this process, which is faster."""

    def run(words: list[str]) -> tuple[int, str]:
        status = command("smbfs", words)
        return status, capsys.readouterr().err

    monkeypatch.setattr("smbfs.cli.mount.background", None)
    monkeypatch.setattr("smbfs.cli.mount.hide", bool)
    ground.run = run
    return ground


def elsewhere(sambas: Sambas, settings: dict[str, str], ground: Ground) -> Ground:
    return Ground(ground.home, sambas(settings))


@pytest.fixture
def listener() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """A server that does with every connection what it is told, and never speaks SMB."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peers = []

        def serve(act: Callable[[socket.socket], None]) -> int:
            def accept() -> None:
                while True:
                    try:
                        peer, _ = server.accept()
                    except OSError:
                        return
                    peers.append(peer)
                    act(peer)

            threading.Thread(target=accept, daemon=True).start()
            return int(server.getsockname()[1])

        yield serve
        server.shutdown(socket.SHUT_RDWR)
    for peer in peers:
        peer.close()


# Who


def test_wrong_password(ground: Ground) -> None:
    options = f"port={ground.samba.port}," + ground.credentials("username=tester\npassword=x\n")
    assert ground.fails(options) == (
        FAILED,
        "//127.0.0.1/share: 127.0.0.1 refuses the login: the server does not know this user, or "
        "the password is wrong; check user name, domain and password.",
    )


def test_a_user_nobody_knows(ground: Ground) -> None:
    """Samba lets such a one in as a guest, which is not what was asked for."""
    options = f"port={ground.samba.port}," + ground.credentials("username=who\npassword=x\n")
    status, said = ground.fails(options)
    assert status == FAILED
    assert "does not know this user and lets us in only as a guest" in said


def test_a_guest_where_none_are_let_in(ground: Ground) -> None:
    assert ground.fails(f"port={ground.samba.port},guest") == (
        FAILED,
        "//127.0.0.1/share: 127.0.0.1 does not let this user into the share 'share'.",
    )


def test_a_share_of_others(ground: Ground) -> None:
    assert ground.fails(ground.options(), "//127.0.0.1/denied") == (
        FAILED,
        "//127.0.0.1/denied: 127.0.0.1 does not let this user into the share 'denied'.",
    )


def test_no_password_and_nobody_to_ask(ground: Ground) -> None:
    status, said = ground.fails(f"port={ground.samba.port},username=tester")
    assert status == USAGE
    assert said.startswith("There is no password and nobody to ask for one: use `credentials=FILE`")


# Credentials files


@pytest.mark.parametrize(
    ("text", "mode", "status", "said"),
    [
        ("username=x\npassword=y\n", 0o644, USAGE, "can be read by other users. Run `chmod 600 "),
        ("username=x\npassword=y\n", 0o640, USAGE, "can be read by other users. Run `chmod 600 "),
        ("tester:secret\n", 0o600, USAGE, "has no line `username=`, `password=` or `domain=`."),
        ("", 0o600, USAGE, "has no line `username=`, `password=` or `domain=`."),
        ("username=x\npassword=\udcff\n", 0o600, USAGE, "is not UTF-8."),
    ],
    ids=["open to all", "open to the group", "malformed", "empty", "no text"],
)
def test_credentials(text: str, mode: int, status: int, said: str, desk: Ground) -> None:
    raw = text.encode(errors="surrogateescape").decode("latin-1")
    options = desk.credentials(raw, mode)
    (desk.home / "credentials").write_bytes(text.encode(errors="surrogateescape"))
    result = desk.fails(options)
    assert result[0] == status
    assert said in result[1]
    assert str(desk.home / "credentials") in result[1]
    assert "secret" not in result[1]


@pytest.mark.parametrize("name", ["none", "mnt"])
def test_credentials_that_cannot_be_read(name: str, desk: Ground) -> None:
    file = desk.home / name
    status, said = desk.fails(f"credentials={file}")
    assert status == FILE_IO
    assert said.startswith(f"Cannot read the password from {file}: ")


# What and where


@pytest.mark.parametrize(
    ("service", "status", "said"),
    [
        (
            "//127.0.0.1/nowhere",
            FAILED,
            "//127.0.0.1/nowhere: 127.0.0.1 has no share called 'nowhere'. Check the name after "
            "the host.",
        ),
        (
            "//127.0.0.1/nested/no/folder",
            FAILED,
            "//127.0.0.1/nested/no/folder: the path to mount does not exist in the share.",
        ),
        (
            "//127.0.0.1/nested/sub/dir/file.txt",
            FAILED,
            "//127.0.0.1/nested/sub/dir/file.txt: what should be mounted is a file, not a folder.",
        ),
        (
            "//127.0.0.1/IPC$",
            FAILED,
            "//127.0.0.1/IPC$: //127.0.0.1/IPC$ is no folder share (a printer or a pipe).",
        ),
    ],
)
def test_the_share(service: str, status: int, said: str, ground: Ground) -> None:
    assert ground.fails(ground.options(), service) == (status, said)


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ("//127.0.0.1", "`//127.0.0.1` names no share: write //127.0.0.1/SHARE."),
        (
            "127.0.0.1:share",
            "`127.0.0.1:share` names no share. Write it as //server/share or smb://server/share.",
        ),
    ],
)
def test_no_share_at_all(service: str, said: str, desk: Ground) -> None:
    assert desk.fails(desk.options(), service) == (USAGE, said)


def test_no_such_host(ground: Ground) -> None:
    status, said = ground.fails(ground.options(), "//no-such-host.invalid/share")
    assert status == FAILED
    assert "no host is known as 'no-such-host.invalid'" in said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none", "The mount point {place} does not exist."),
        ("file", "The mount point {place} is not a folder."),
    ],
)
def test_the_mount_point(name: str, said: str, desk: Ground) -> None:
    (desk.home / "file").touch()
    place = desk.home / name
    found = desk.fails(desk.options(), mountpoint=place)
    assert found == (FAILED, said.format(place=place))


# The server


def test_nobody_listens(ground: Ground) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        options = f"port={port},credentials={ground.samba.credentials}"
        assert ground.fails(options) == (
            FAILED,
            f"//127.0.0.1/share: cannot connect to 127.0.0.1 on port {port}: 127.0.0.1 refuses "
            "the connection, so nothing serves SMB there.",
        )


def test_a_silent_server(
    ground: Ground, listener: Callable[[Callable[[socket.socket], None]], int]
) -> None:
    port = listener(lambda peer: None)
    options = f"port={port},credentials={ground.samba.credentials},timeout=1"
    assert ground.fails(options, limit_s=12) == (
        FAILED,
        "//127.0.0.1/share: 127.0.0.1 did not answer within 1 s.",
    )


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        (b"", "the server closed the connection"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "answers, but not in SMB"),
        (b"\0\0\0\x04\xfeSMB", "answers, but not in SMB"),
    ],
    ids=["hangs up", "another protocol", "half a header"],
)
def test_something_else_listens(
    greeting: bytes,
    said: str,
    ground: Ground,
    listener: Callable[[Callable[[socket.socket], None]], int],
) -> None:
    def act(peer: socket.socket) -> None:
        peer.recv(4)
        peer.sendall(greeting)
        peer.shutdown(socket.SHUT_WR)

    options = f"port={listener(act)},credentials={ground.samba.credentials}"
    status, found = ground.fails(options, limit_s=10)
    assert status == FAILED
    assert said in found


def test_a_server_of_another_age(ground: Ground, sambas: Sambas) -> None:
    old = elsewhere(sambas, OLD, ground)
    assert old.fails(old.options()) == (
        FAILED,
        "//127.0.0.1/share: 127.0.0.1 speaks only SMB1, which is obsolete and unsafe; smbfs does "
        "not. Look for an SMB2 or SMB3 setting or a newer system for it.",
    )


@pytest.mark.parametrize(
    ("settings", "option", "said"),
    [
        (PLAIN, "seal", "nothing can be encrypted, which `seal` asks for."),
        (SMB2, "seal", "`seal` needs 3.0 or later."),
        (SMB2, "vers=3.1.1", "the server speaks none of the SMB versions we ask for (3.1.1)."),
    ],
)
def test_what_the_server_cannot(
    settings: dict[str, str], option: str, said: str, ground: Ground, sambas: Sambas
) -> None:
    weak = elsewhere(sambas, settings, ground)
    status, found = weak.fails(weak.options(option))
    assert status == FAILED
    assert found.endswith(said)


# Options


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (
            "vers=1.0",
            "SMB1 is obsolete and unsafe, and smbfs does not speak it. Enable SMB2 or SMB3 on the "
            "server.",
        ),
        ("sael", "Unknown option `sael`. Did you mean `seal`?"),
        (
            "actimeo=soon",
            "`actimeo=soon` is not possible: the value must be a whole number from 0 to "
            "1000000000 seconds.",
        ),
        ("port=http", "`port=http` is not possible: "),
        ("seal,vers=2.1", ""),
        ("remount", "`remount` is not built yet: unmount the share and mount it again."),
    ],
)
def test_options(option: str, said: str, desk: Ground) -> None:
    status, found = desk.fails(desk.options(option))
    assert status == USAGE
    assert said in found


def test_a_log_that_cannot_be_written(ground: Ground) -> None:
    assert ground.fails(ground.options("log=info:/none/log")) == (
        FILE_IO,
        "Cannot write the log to /none/log: No such file or directory.",
    )
