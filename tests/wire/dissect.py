"""What tshark reads in a frame, byte range by byte range.

Each frame becomes one packet of a made-up capture, so that tshark's positions are ours.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.capture import Frame

BEFORE = 14 + 20 + 20 + 4  # Ethernet, IPv4 and TCP headers, and the frame's length
LONGEST = 65535 - BEFORE
PORTS = ["-4", "127.0.0.1,127.0.0.2", "-T", "40000,445"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One field as tshark has it: bytes of the frame, its name, its value as shown."""

    start: int
    size: int
    name: str
    value: str


def dissect(frames: Sequence[Frame], directory: Path) -> list[tuple[Frame, list[Reading]]]:
    """Each frame that fits into a packet, and what tshark reads in it."""
    frames = [frame for frame in frames if len(frame.data) < LONGEST]
    text, pcap = directory / "frames.txt", directory / "frames.pcap"
    text.write_text("".join(map(dumped, frames)))
    command = ["text2pcap", "-q", "-D", *PORTS, str(text), str(pcap)]
    subprocess.run(command, check=True, capture_output=True)
    command = ["tshark", "-n", "-r", str(pcap), "-T", "pdml"]
    pdml = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
    packets = ElementTree.fromstring(pdml).iter("packet")
    return [(frame, list(readings(packet))) for frame, packet in zip(frames, packets, strict=True)]


def dumped(frame: Frame) -> str:
    """One frame as text2pcap wants it; what we send goes out."""
    data = len(frame.data).to_bytes(4, "big") + frame.data
    lines = [f"{at:06x} {data[at : at + 32].hex(' ')}" for at in range(0, len(data), 32)]
    return "\n".join(["O" if frame.from_client else "I", *lines, "", ""])


def readings(packet: ElementTree.Element) -> Iterator[Reading]:
    """The named fields of SMB2 in one packet, outer ones first."""
    for field in packet.iter("field"):
        name = field.get("name", "")
        if name.startswith(("smb2.", "smb.")):
            start, size = int(field.get("pos", 0)) - BEFORE, int(field.get("size", 0))
            yield Reading(start, size, name, field.get("show", ""))


def version() -> str:
    """The tshark that reads."""
    said = subprocess.run(["tshark", "--version"], check=True, capture_output=True, text=True)
    return said.stdout.split()[2]
