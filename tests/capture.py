"""A relay that notes what passes between a client and a server, and what tshark makes of it.

The client connects to the relay's port.  What goes through is kept twice: as whole frames, for
counting round trips and for cutting test vectors, and as a pcap file whose TCP packets are made
up around the real bytes.  So nothing has to sniff an interface: no privilege, no lost packet, no
waiting until a sniffer is ready.  tshark then reads the file.

Knows where a frame ends, nothing of what is in it: what is right is tshark's verdict, since a
verdict of our own parser would prove nothing.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.relay import Relay

SMB_PORT = 445  # the server's port in the pcap, whatever the real one is: tshark knows it
CHUNK = 32 * 1024  # one made-up packet; an IP packet ends at 64 KiB
RAW_IP = 101  # the pcap link type without a link layer
SYN, ACK, PUSH = 0x02, 0x10, 0x08
EXPERT = ("_ws.expert.severity", "_ws.expert.message")
WARNING = 0x600000  # tshark's expert severities: note 0x400000, warning, error 0x800000
LAST_COMMAND = 18  # OPLOCK_BREAK, [MS-SMB2] 2.2.1


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame, without its four length bytes."""

    from_client: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Packet:
    """What tshark says of one packet: the fields that were asked for, in that order."""

    from_client: bool
    fields: tuple[str, ...]


def is_installed() -> bool:
    """Whether tshark is there to read a capture."""
    return shutil.which("tshark") is not None


class Capture(Relay):
    """A recording relay in front of a server on a loopback port; connect to its `port`."""

    def __init__(self, server_port: int, pcap: Path) -> None:
        super().__init__(server_port)
        self._pcap = pcap
        self._frames: list[Frame] = []
        self._file = pcap.open("wb")
        self._file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, RAW_IP))
        self._packets = 0

    def close(self) -> None:
        """End the relay and every connection through it; the pcap is whole afterwards."""
        super().close()
        self._file.close()

    def frames(self) -> list[Frame]:
        """The whole frames that went through so far, both ways, in the order of their ends."""
        with self._lock:
            return list(self._frames)

    def requests(self) -> int:
        """How many frames the client sent so far: turnarounds, if it sends no two at once."""
        return sum(frame.from_client for frame in self.frames())

    # What tshark says

    def packets(
        self, *fields: str, options: Sequence[str] = (), password: str = ""
    ) -> list[Packet]:
        """The dissection of what was captured: these fields of each packet that holds data.

        A field that occurs several times in a packet has its values joined by commas.
        ``options`` are tshark's (``-Y``).  With the ``password`` of the account tshark also reads
        what is sealed.
        """
        if not self._file.closed:
            with self._lock:
                self._file.flush()
        command = ["tshark", "-n", "-r", str(self._pcap), "-T", "fields", *options]
        if password:
            command += ["-o", f"ntlmssp.nt_password:{password}"]
        for field in ("tcp.dstport", "tcp.len", *fields):
            command += ["-e", field]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"tshark could not read the capture: {done.stderr.strip()}")
        rows = [line.split("\t") for line in done.stdout.splitlines()]
        return [Packet(row[0] == str(SMB_PORT), tuple(row[2:])) for row in rows if row[1] != "0"]

    def complaints(self, *, password: str = "") -> list[str]:
        """What tshark finds wrong with the client's packets; empty if it understood every one.

        The server's side is left out: tshark 4.0 calls Samba's own first token malformed.
        """
        fields = ("frame.number", "frame.protocols", "smb2.cmd", "nbss.length", *EXPERT)
        found: list[str] = []
        dissected = 0
        for packet in self.packets(*fields, password=password):
            number, protocols, commands, lengths, *expert = packet.fields
            if packet.from_client:
                dissected += len(_values(lengths))
                found += (
                    f"packet {number}: {one}" for one in _faults(protocols, commands, *expert)
                )
        if dissected != self.requests():
            found.append(f"{self.requests()} frames were sent, tshark saw {dissected}")
        return found

    # The relay

    def _joined(self, client: socket.socket, server: socket.socket) -> None:
        conversation = _Conversation(client.getpeername()[1])
        with self._lock:
            for from_client, flags in ((True, SYN), (False, SYN | ACK), (True, ACK)):
                self._write(conversation.packet(from_client, flags, b""))
        self.spawn(self._pump, client, server, conversation, True)
        self.spawn(self._pump, server, client, conversation, False)

    def _pump(
        self,
        source: socket.socket,
        target: socket.socket,
        conversation: _Conversation,
        from_client: bool,
    ) -> None:
        pending = bytearray()
        with contextlib.suppress(OSError):  # either end may go at any time
            while data := source.recv(CHUNK):
                with self._lock:
                    self._write(conversation.packet(from_client, PUSH | ACK, data))
                    pending += data
                    self._frames += (Frame(from_client, one) for one in _cut(pending))
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _write(self, packet: bytes) -> None:
        self._packets += 1  # a clock of one packet a microsecond: real time is of no use here
        moment = divmod(self._packets, 1_000_000)
        if not self._file.closed:
            self._file.write(struct.pack("<IIII", *moment, len(packet), len(packet)) + packet)


class _Conversation:
    """The made-up TCP connection around real bytes: it counts sequence numbers."""

    def __init__(self, client_port: int) -> None:
        self._ports = {True: client_port, False: SMB_PORT}
        self._next = {True: 1, False: 1}

    def packet(self, from_client: bool, flags: int, data: bytes) -> bytes:
        """One IPv4 packet; checksums stay zero, which tshark does not mind."""
        ours, theirs = self._next[from_client], self._next[not from_client]
        self._next[from_client] = (ours + len(data) + bool(flags & SYN)) & 0xFFFFFFFF
        ports = self._ports[from_client], self._ports[not from_client]
        acknowledged = theirs if flags & ACK else 0
        tcp = struct.pack("!HHIIBBHHH", *ports, ours, acknowledged, 0x50, flags, 65535, 0, 0)
        addresses = b"\x7f\0\0\1" if from_client else b"\x7f\0\0\2"
        addresses += b"\x7f\0\0\2" if from_client else b"\x7f\0\0\1"
        size = 20 + len(tcp) + len(data)
        ip = struct.pack("!BBHHHBBH", 0x45, 0, size, 0, 0, 64, socket.IPPROTO_TCP, 0)
        return ip + addresses + tcp + data


def _values(joined: str) -> list[str]:
    """The values of a field that may occur several times in a packet."""
    return joined.split(",") if joined else []


def _faults(protocols: str, commands: str, severities: str, message: str) -> Iterator[str]:
    """What is wrong with one packet of the client."""
    if any(int(severity, 0) >= WARNING for severity in _values(severities)):
        yield message
    if protocols.endswith("nbss:data"):
        yield f"not SMB2 ({protocols})"
    for command in _values(commands):
        if int(command, 0) > LAST_COMMAND:
            yield f"unknown command {command}"


def _cut(pending: bytearray) -> list[bytes]:
    """The whole frames at the head of ``pending``, which keeps the rest."""
    found = []
    while len(pending) >= 4:
        end = 4 + int.from_bytes(pending[1:4], "big")
        if len(pending) < end:
            break
        found.append(bytes(pending[4:end]))
        del pending[:end]
    return found
