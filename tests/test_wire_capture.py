"""tshark reads what a mounted workload sends, in each dialect, and finds nothing wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from smbfs.wire.header import Command
from tests.capture import Capture, is_installed
from tests.conftest import Sambas
from tests.mounted import MountedShare
from tests.samba import Place, Samba
from tests.wire.conversation import SETTINGS, converse
from tests.workload import use

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs tshark")
SENT = {
    Command.NEGOTIATE,
    Command.SESSION_SETUP,
    Command.LOGOFF,
    Command.TREE_CONNECT,
    Command.TREE_DISCONNECT,
    Command.CREATE,
    Command.CLOSE,
    Command.FLUSH,
    Command.READ,
    Command.WRITE,
    Command.QUERY_DIRECTORY,
    Command.QUERY_INFO,
    Command.SET_INFO,
}
DIALECTS = {"2.0": 0x0202, "2.1": 0x0210, "3.0": 0x0300, "3.1.1": 0x0311}


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize("version", DIALECTS)
def test_every_packet_is_understood(
    version: str, samba: Samba, share: Place, tmp_path: Path
) -> None:
    with Capture(samba.port, tmp_path / "pcap") as capture:
        mounted = MountedShare(samba, "share", f"vers={version}", f"port={capture.port}")
        with mounted:
            use(mounted.path)
    assert capture.complaints() == []
    fields = ("smb2.cmd", "smb2.flags.signature", "smb2.dialect", "smb2.nt_status")
    packets = capture.packets(*fields)
    sent = [packet.fields for packet in packets if packet.from_client]
    commands = [int(one) for row in sent for one in row[0].split(",") if one]
    assert set(commands) >= SENT
    signed = [one in ("1", "True") for row in sent for one in row[1].split(",") if one]
    plain = commands.count(Command.NEGOTIATE) + commands.count(Command.SESSION_SETUP)
    assert signed.count(False) == plain  # everything else shows who sent it
    [chosen] = {row.fields[2] for row in packets if not row.from_client and row.fields[2]}
    assert int(chosen, 0) == DIALECTS[version]


@pytest.mark.logs("WARNING smbfs.engine.link: .*connection lost")  # on purpose, for durable handles
@pytest.mark.parametrize("dialect", [*DIALECTS.values(), 0x0302], ids=hex)
def test_what_a_mount_does_not_say_yet_is_understood_too(
    dialect: int, sambas: Sambas, tmp_path: Path
) -> None:
    server = sambas(SETTINGS)
    with Capture(server.port, tmp_path / "pcap") as capture:
        trio.run(converse, server, capture.port, dialect)
    assert capture.complaints() == []
    commands = [
        int(one)
        for packet in capture.packets("smb2.cmd")
        for one in packet.fields[0].split(",")
        if packet.from_client
    ]
    rare = {Command.LOCK, Command.IOCTL, Command.CANCEL, Command.ECHO}
    assert rare | {Command.CHANGE_NOTIFY, Command.OPLOCK_BREAK} <= set(commands)


@pytest.mark.usefixtures("transport")
def test_what_is_sealed_is_understood_as_well(samba: Samba, share: Place, tmp_path: Path) -> None:
    with Capture(samba.port, tmp_path / "pcap") as capture:
        mounted = MountedShare(samba, "share", "seal", f"port={capture.port}")
        with mounted:
            use(mounted.path)
    assert capture.complaints(password=samba.password) == []
    readable = ("-Y", "smb2.cmd == 5")
    assert capture.packets(options=readable) == []
    assert capture.packets(options=readable, password=samba.password)
