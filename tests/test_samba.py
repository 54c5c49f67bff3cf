"""The private Samba does what the other tests believe of it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Sambas
from tests.processes import members, named
from tests.samba import SHARES, Place, Samba, SambaError, tool

pytestmark = pytest.mark.usefixtures("sambas")  # which knows whether Samba is installed


def test_what_is_put_is_on_the_disk(samba: Samba, share: Place, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"music")
    samba.client("share", f"put {source} song; ls")
    assert (share.path / "song").read_bytes() == b"music"
    samba.client("share", "rename song tune; del tune")
    assert list(share.path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(SHARES))
def test_every_share_is_there(samba: Samba, name: str) -> None:
    if name == "denied":
        with pytest.raises(SambaError, match="NT_STATUS_ACCESS_DENIED"):
            samba.client(name, "ls")
    else:
        assert "blocks available" in samba.client(name, "ls")


def test_a_read_only_share_is(samba: Samba) -> None:
    with pytest.raises(SambaError, match=r"NT_STATUS_(ACCESS_DENIED|MEDIA_WRITE_PROTECTED)"):
        samba.client("readonly", "mkdir new")


def test_a_nested_directory_is_there(samba: Samba) -> None:
    assert "file.txt" in samba.client("nested", r"ls sub\dir\*")


def test_a_guest_may_enter_and_write_where_guests_may(samba: Samba) -> None:
    samba.client("public", "mkdir made; rmdir made", anonymous=True)
    with pytest.raises(SambaError, match="NT_STATUS_ACCESS_DENIED"):
        samba.client("share", "ls", anonymous=True)


def test_a_sealed_share_needs_a_sealed_session(samba: Samba) -> None:
    with pytest.raises(SambaError, match="NT_STATUS_ACCESS_DENIED"):
        samba.client("sealed", "ls", "--max-protocol=SMB2_10")


def test_no_such_share(samba: Samba) -> None:
    with pytest.raises(KeyError):
        samba["nowhere"]
    with pytest.raises(SambaError, match="NT_STATUS_BAD_NETWORK_NAME"):
        samba.client("nowhere", "ls")


def test_a_command_that_fails_after_one_that_works_is_an_error(samba: Samba) -> None:
    with pytest.raises(SambaError, match="NT_STATUS_NO_SUCH_FILE"):
        samba.client("share", "ls; del nothing-of-this-name; volume")


def test_attributes_are_kept(samba: Samba, share: Place) -> None:
    (share.path / "file").write_bytes(b"")
    samba.client("share", 'setmode file +h; setea "file" "user.colour" "blue"')
    said = samba.client("share", "allinfo file; geteas file")
    assert re.search(r"attributes: .*H", said)
    assert "COLOUR" in said.upper()


def test_settings_are_settings(sambas: Sambas) -> None:
    old = sambas({"server max protocol": "SMB2_10"})
    with pytest.raises(SambaError, match="NT_STATUS_NOT_SUPPORTED"):
        old.client("share", "ls", "--option=client min protocol=SMB3")
    assert old is sambas({"server max protocol": "SMB2_10"})
    assert old is not sambas({})


def test_a_share_can_be_added_and_changed() -> None:
    extra = {"extra": {"read only": "yes"}, "share": {"read only": "yes"}}
    with Samba(shares=extra) as server:
        assert "blocks available" in server.client("extra", "ls")
        with pytest.raises(SambaError, match="NT_STATUS_"):
            server.client("share", "mkdir new")


def test_it_leaves_nothing_behind() -> None:
    with Samba() as server:
        server.client("share", "ls")
        group, home = server.pid, server.directory
        assert members(group)
    assert members(group) == []
    assert named(str(home)) == []
    assert not home.exists()
    with pytest.raises(SambaError, match="not running"):
        server.freeze()


def test_it_restarts_on_its_port_and_with_its_files() -> None:
    with Samba() as server:
        (server["share"].path / "kept").write_text("here")
        port, first = server.port, server.pid
        server.restart()
        assert server.pid != first
        assert server.port == port
        assert "kept" in server.client("share", "ls")


def test_frozen_it_is_silent_and_thawed_it_answers() -> None:
    with Samba() as server, socket.create_connection((server.host, server.port)) as connection:
        connection.settimeout(0.2)
        server.freeze()
        connection.sendall(SESSION_REQUEST)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        server.thaw()
        connection.settimeout(10)
        assert connection.recv(1) == b"\x82"  # positive session response, RFC 1002 4.3.3


# RFC 1002 4.3.2: called name *SMBSERVER, calling name empty, both in the first-level encoding.
SESSION_REQUEST = bytes.fromhex("8100004420") + b"CKFDENECFDEFFCFGEFFCCACACACACACA\0"
SESSION_REQUEST += b"\x20" + b"CA" * 15 + b"AA" + b"\0"


def test_connections_can_be_dropped_while_the_server_stays() -> None:
    with Samba() as server, socket.create_connection((server.host, server.port)) as connection:
        connection.settimeout(10)
        connection.sendall(SESSION_REQUEST)
        assert connection.recv(4)  # somebody serves us now
        assert server.drop_connections() == 1
        assert connection.recv(1) == b""
        assert server.is_answering()


def test_it_dies_with_who_started_it(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys; from tests.samba import Samba\n"
        "server = Samba(directory=pathlib.Path(sys.argv[1])); server.start()\n"
        "print(server.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, cwd=root, check=False
    )
    group, deadline = int(done.stdout), time.monotonic() + 10
    while members(group):
        assert time.monotonic() < deadline, "smbd outlived us"
        time.sleep(0.02)


def test_a_server_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.samba.START_S", 5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(SambaError, match="did not start on port"), Samba(port=port):
            pytest.fail("it started")


def test_a_missing_tool_is_named() -> None:
    with pytest.raises(SambaError, match="no-such-tool is not installed"):
        tool("no-such-tool")
