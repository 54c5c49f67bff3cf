"""NetBIOS over TCP: encoded names, and the packets that open a session on port 139.

Knows RFC 1001 section 14 and RFC 1002 section 4.3, as far as SMB needs them: one session request
and its three answers.  Frames of an open session belong to the engine.

Easily broken: a NetBIOS name is 16 bytes, of which the last is no letter but says what it names.
"""

from __future__ import annotations

from smbfs.wire.codec import U8, U16, Structure, WireError

SESSION_MESSAGE = 0x00
SESSION_REQUEST = 0x81
POSITIVE_RESPONSE = 0x82
NEGATIVE_RESPONSE = 0x83
RETARGET_RESPONSE = 0x84
KEEP_ALIVE = 0x85

WORKSTATION = 0x00  # the sixteenth byte: who calls, ...
SERVER = 0x20  # ... and who is called
ANY_SERVER = "*SMBSERVER"  # answers to this name who does not know its own

ENCODED_SIZE = 34  # a length byte, two letters for each of 16 bytes, and the empty scope
REASONS = {  # RFC 1002 4.3.4
    0x80: "it does not listen on the name called",
    0x81: "it does not listen for the name calling",
    0x82: "the name called is not there",
    0x83: "it has no resources left",
    0x8F: "it gives no reason",
}


class SessionHeader(Structure, at=0, endian=">"):
    """What every session service packet begins with, RFC 1002 4.3.1."""

    packet_type: U8
    flags: U8 = 0
    length: U16


def encode_name(name: str, suffix: int) -> bytes:
    """A name as it travels, RFC 1001 14.1; ``suffix`` is its sixteenth byte.

    Raises ValueError if it is longer than 15 bytes of cp437 upper case.
    """
    raw = name.upper().encode("cp437")
    if len(raw) > 15:
        raise ValueError(f"{name} is too long for a NetBIOS name")
    raw = raw.ljust(15, b"\0" if name == "*" else b" ") + bytes([suffix])
    letters = bytes(ord("A") + half for byte in raw for half in (byte >> 4, byte & 15))
    return bytes([len(letters)]) + letters + b"\0"


def decode_name(view: memoryview) -> tuple[str, int]:
    """The name ``view`` begins with, and its suffix; `WireError` if there is none."""
    letters = bytes(view[1 : ENCODED_SIZE - 1])
    if len(view) < ENCODED_SIZE or view[0] != 32 or any(not 65 <= c <= 80 for c in letters):
        raise WireError("not an encoded NetBIOS name")
    halves = [c - ord("A") for c in letters]
    raw = bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))
    return raw[:15].decode("cp437").rstrip(" \0"), raw[15]


def session_request(called: str, calling: str) -> bytes:
    """The packet that asks for a session between two names, RFC 1002 4.3.2."""
    names = encode_name(called, SERVER) + encode_name(calling, WORKSTATION)
    return bytes(SessionHeader(packet_type=SESSION_REQUEST, length=len(names))) + names


def session_refusal(packet: memoryview) -> str:
    """Why a session request was refused, in words; "" if it was granted.

    Raises WireError if ``packet`` answers no session request.
    """
    header = SessionHeader.parse(packet)
    if header.packet_type == POSITIVE_RESPONSE:
        return ""
    if header.packet_type == RETARGET_RESPONSE:
        return "it sends us to another address"
    if header.packet_type != NEGATIVE_RESPONSE or len(packet) < SessionHeader.FIXED + 1:
        raise WireError(f"a session packet of type {header.packet_type:#x} as an answer")
    code = packet[SessionHeader.FIXED]
    return REASONS.get(code, f"error {code:#x}")
