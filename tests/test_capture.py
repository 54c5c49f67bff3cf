"""The recording relay keeps what passed, and its tshark finds what is wrong with it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.capture import Capture, is_installed
from tests.samba import Samba

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs tshark")

# An SMB2 ECHO request: header of [MS-SMB2] 2.2.1.2 and body of 2.2.28.
ECHO = b"\xfeSMB" + bytes.fromhex("4000 0000 0000 0000 0d00 0100") + bytes(48) + b"\4\0\0\0"


def framed(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


def sent_to_nobody(message: bytes, pcap: Path) -> list[str]:
    """What is said of a client that sends this to a server that only listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        with (
            Capture(server.getsockname()[1], pcap) as capture,
            socket.create_connection(("127.0.0.1", capture.port)) as client,
        ):
            client.sendall(framed(message))
            peer, _ = server.accept()
            with peer:
                assert peer.recv(4096)
        return capture.complaints()


def through(samba: Samba, capture: Capture, share: str, command: str) -> str:
    """What smbclient says when it goes through the relay."""
    return samba.client(share, command, f"--port={capture.port}")


def test_a_client_in_good_order(samba: Samba, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * 3_000_000)
    with Capture(samba.port, tmp_path / "pcap") as capture:
        through(samba, capture, "share", f"put {big} big; get big /dev/null; rm big")
        assert 10 < capture.requests() < 100
    assert capture.complaints() == []
    commands = [packet.fields[0] for packet in capture.packets("smb2.cmd") if packet.from_client]
    assert {"0", "1", "3", "5", "8", "9"} <= set(commands)
    assert max(len(frame.data) for frame in capture.frames()) > 1_000_000


def test_sealed_traffic_is_read_with_the_password(samba: Samba, tmp_path: Path) -> None:
    with Capture(samba.port, tmp_path / "pcap") as capture:
        through(samba, capture, "sealed", "ls")
    assert capture.complaints(password=samba.password) == []
    listings = ("-Y", "smb2.cmd==14")
    assert capture.packets(options=listings) == []
    assert capture.packets(options=listings, password=samba.password)


def test_a_good_message_is_no_complaint(tmp_path: Path) -> None:
    assert sent_to_nobody(ECHO, tmp_path / "pcap") == []


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (ECHO[:66], "Malformed"),
        (ECHO[:12] + b"\x40" + ECHO[13:], "unknown command 64"),
        (b"\xfeABC" + ECHO[4:], "not SMB2"),
    ],
    ids=["cut short", "unknown command", "something else"],
)
def test_a_bad_message_is_one(tmp_path: Path, message: bytes, said: str) -> None:
    complaints = sent_to_nobody(message, tmp_path / "pcap")
    assert said in "\n".join(complaints)


def test_a_server_that_is_gone_ends_the_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with (
        Capture(port, tmp_path / "pcap") as capture,
        socket.create_connection(("127.0.0.1", capture.port)) as client,
    ):
        client.settimeout(10)
        assert client.recv(1) == b""
    assert capture.frames() == []
