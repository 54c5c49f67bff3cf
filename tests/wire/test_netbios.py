"""NetBIOS names and the packets of port 139."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.wire.codec import WireError
from smbfs.wire.netbios import (
    ANY_SERVER,
    ENCODED_SIZE,
    KEEP_ALIVE,
    NEGATIVE_RESPONSE,
    POSITIVE_RESPONSE,
    REASONS,
    RETARGET_RESPONSE,
    SERVER,
    SESSION_MESSAGE,
    decode_name,
    encode_name,
    session_refusal,
    session_request,
)

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_$!"


def test_published_name() -> None:
    """The example of RFC 1001 section 14.1, without its scope."""
    assert encode_name("Fred", ord(" ")) == b"\x20EGFCEFEECACACACACACACACACACACACA\0"


def test_server_name() -> None:
    """Padded with spaces to fifteen, then what it names."""
    assert encode_name(ANY_SERVER, SERVER) == b"\x20CKFDENECFDEFFCFGEFFCCACACACACACA\0"
    assert decode_name(memoryview(encode_name("nas", SERVER))) == ("NAS", SERVER)


def test_any_name() -> None:
    """The one name that is padded with zeros, for a status query of whoever is there."""
    assert encode_name("*", 0) == b"\x20CK" + b"A" * 30 + b"\0"
    assert decode_name(memoryview(encode_name("*", 0))) == ("*", 0)


@given(st.text(LETTERS, min_size=1, max_size=15), st.integers(0, 255))
def test_names_come_back(name: str, suffix: int) -> None:
    """Every name, with every suffix."""
    encoded = encode_name(name, suffix)
    assert len(encoded) == ENCODED_SIZE
    assert decode_name(memoryview(encoded)) == (name, suffix)


def test_names_there_are_not() -> None:
    """Too long, or with letters the old code page lacks."""
    with pytest.raises(ValueError, match="too long"):
        encode_name("sixteen-letters-", 0)
    with pytest.raises(ValueError, match="charmap"):
        encode_name("\u65e5\u672c", 0)


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        encode_name("NAS", 0)[:-1],
        b"\x1f" + encode_name("NAS", 0)[1:],
        encode_name("NAS", 0).replace(b"CA", b"QA"),
        encode_name("NAS", 0).replace(b"CA", b"@A"),
    ],
)
def test_what_is_no_name(wire: bytes) -> None:
    """Cut short, of another length, with other letters."""
    with pytest.raises(WireError, match="not an encoded NetBIOS name"):
        decode_name(memoryview(wire))


def test_session_request() -> None:
    """Called first, calling second, RFC 1002 4.3.2."""
    packet = session_request("nas", "laptop")
    assert packet[:4] == bytes.fromhex("81000044")
    assert decode_name(memoryview(packet)[4:]) == ("NAS", 0x20)
    assert decode_name(memoryview(packet)[38:]) == ("LAPTOP", 0x00)
    assert len(packet) == 4 + 68


def test_session_answers() -> None:
    """Granted, sent elsewhere, refused with a reason known or not."""
    assert session_refusal(memoryview(bytes([POSITIVE_RESPONSE, 0, 0, 0]))) == ""
    elsewhere = memoryview(bytes([RETARGET_RESPONSE, 0, 0, 6]) + bytes(6))
    assert session_refusal(elsewhere) == "it sends us to another address"
    for code, reason in REASONS.items():
        assert session_refusal(memoryview(bytes([NEGATIVE_RESPONSE, 0, 0, 1, code]))) == reason
    assert session_refusal(memoryview(bytes([NEGATIVE_RESPONSE, 0, 0, 1, 7]))) == "error 0x7"


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x82\0\0",
        bytes([NEGATIVE_RESPONSE, 0, 0, 1]),
        bytes([SESSION_MESSAGE, 0, 0, 0]),
        bytes([KEEP_ALIVE, 0, 0, 0]),
    ],
)
def test_what_is_no_answer(packet: bytes) -> None:
    """Cut short, or something else."""
    with pytest.raises(WireError):
        session_refusal(memoryview(packet))


@given(st.binary(max_size=40))
def test_random_bytes(data: bytes) -> None:
    """WireError and nothing else."""
    for parse in (session_refusal, decode_name):
        with contextlib.suppress(WireError):
            parse(memoryview(data))
