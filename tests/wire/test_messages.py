"""What the vectors do not show: rules between fields, two forms of one message, the tables."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.wire import file_messages, messages, query_messages
from smbfs.wire.codec import HEADER_SIZE, Structure, WireError
from smbfs.wire.file_messages import (
    CreateRequest,
    IoctlResponse,
    LockElement,
    LockRequest,
    ReadResponse,
    WriteRequest,
    lock_elements,
)
from smbfs.wire.header import Command
from smbfs.wire.messages import (
    REQUESTS,
    RESPONSES,
    LeaseBreakAcknowledgment,
    LeaseBreakNotification,
    LeaseBreakResponse,
    NegotiateRequest,
    NegotiateResponse,
    OplockBreakAcknowledgment,
    OplockBreakNotification,
    OplockBreakResponse,
    SessionSetupResponse,
    break_acknowledgment,
    break_notification,
    break_response,
    dialects,
    pack_dialects,
)

FILE_ID = bytes(range(16))


def whole(body: Structure) -> memoryview:
    """The message ``body`` is in; its header is all zero."""
    return memoryview(bytes(HEADER_SIZE) + bytes(body))


def create(name: bytes, contexts: bytes) -> CreateRequest:
    """A CREATE with these two parts."""
    request = CreateRequest(
        desired_access=1, share_access=7, create_disposition=1, name=name, contexts=contexts
    )
    bytes(request)
    return request


@pytest.mark.parametrize(
    ("name", "contexts", "offset", "length"),
    [
        (b"", b"", 0, 121),  # one byte there must be
        (b"a\0", b"", 0, 122),
        (b"", b"c" * 8, 120, 128),
        (b"a\0", b"c" * 8, 128, 136),
        (b"a\0b\0c\0d\0", b"c" * 8, 128, 136),
        (b"a\0b\0c\0d\0e\0", b"c" * 8, 136, 144),
    ],
)
def test_create_alignment(name: bytes, contexts: bytes, offset: int, length: int) -> None:
    """The name at 120, the contexts 8-aligned after it, counted from the header's start."""
    request = create(name, contexts)
    assert request.name_offset == 120
    assert (request.create_contexts_offset, request.create_contexts_length) == (
        offset,
        len(contexts),
    )
    assert len(whole(request)) == length
    parsed = CreateRequest.parse(whole(request))
    assert (bytes(parsed.name), bytes(parsed.contexts)) == (name, contexts)


@pytest.mark.parametrize("count", range(6))
def test_negotiate_contexts_are_aligned(count: int) -> None:
    """After a dialect array of any length; their place is ClientStartTime's."""
    request = NegotiateRequest(
        security_mode=1,
        capabilities=0,
        client_guid=bytes(16),
        dialects=bytes(2 * count),
        contexts=b"context!",
        negotiate_context_count=1,
    )
    wire = whole(request)
    assert request.negotiate_context_offset % 8 == 0
    assert bytes(wire[request.negotiate_context_offset :]) == b"context!"
    assert bytes(wire[92:100]) == bytes([request.negotiate_context_offset, 0, 0, 0, 1, 0, 0, 0])


def test_negotiate_without_contexts_has_no_start_time() -> None:
    """ClientStartTime MUST be zero, [MS-SMB2] 2.2.3."""
    request = NegotiateRequest(
        security_mode=1, capabilities=0, client_guid=bytes(16), dialects=pack_dialects([0x0210])
    )
    assert bytes(whole(request)[92:100]) == bytes(8)
    assert bytes(NegotiateRequest.parse(whole(request)).contexts) == b""


def test_dialects() -> None:
    """They keep their order."""
    request = NegotiateRequest(
        security_mode=1,
        capabilities=0,
        client_guid=bytes(16),
        dialects=pack_dialects((0x0311, 0x0202)),
    )
    assert request.dialects == bytes.fromhex("11030202")
    assert dialects(NegotiateRequest.parse(whole(request))) == [0x0311, 0x0202]
    assert request.dialect_count == 2


def test_rubbish_in_reserved_context_offset() -> None:
    """Windows fills Reserved2 of a 2.1 answer with "  LM": nothing to stumble over."""
    wire = bytearray(
        whole(
            NegotiateResponse(
                security_mode=1,
                dialect_revision=0x0210,
                server_guid=bytes(16),
                capabilities=7,
                max_transact_size=65536,
                max_read_size=65536,
                max_write_size=65536,
            )
        )
    )
    wire[124:128] = b"  LM"
    assert bytes(NegotiateResponse.parse(memoryview(wire)).contexts) == b""


def test_empty_security_buffer_at_offset_zero() -> None:
    """Azure does so."""
    wire = memoryview(bytes(HEADER_SIZE) + b"\x09\0" + bytes(6))
    assert bytes(SessionSetupResponse.parse(wire).security_buffer) == b""


def test_data_elsewhere() -> None:
    """A server may leave a gap before its data."""
    wire = bytearray(whole(ReadResponse(data=b"abc")))
    wire[66] = 82  # DataOffset
    assert bytes(ReadResponse.parse(memoryview(wire + b"de")).data) == b"cde"
    with pytest.raises(WireError, match=r"ReadResponse\.data runs past the end"):
        ReadResponse.parse(memoryview(wire))


def test_write_carries_its_data_uncopied() -> None:
    """A megabyte goes to the socket as it was given."""
    data = memoryview(bytes(1 << 20))
    fixed, part = WriteRequest(offset=0, file_id=FILE_ID, data=data).parts()
    assert part is data
    assert len(fixed) == 48


def test_ioctl_response_without_output() -> None:
    """No padding where nothing follows."""
    response = IoctlResponse(ctl_code=1, file_id=FILE_ID, input=b"abc")
    assert len(bytes(response)) == 48 + 3


def test_lock_elements() -> None:
    """They come back in order; one cut short is not there at all."""
    elements = [LockElement(offset=n, length=n + 1, flags=2) for n in range(3)]
    request = LockRequest(file_id=FILE_ID, locks=b"".join(map(bytes, elements)))
    wire = whole(request)
    assert request.lock_count == 3
    assert lock_elements(LockRequest.parse(wire)) == elements
    with pytest.raises(WireError, match=r"LockRequest\.locks runs past the end"):
        LockRequest.parse(wire[:-1])


BREAKS = [
    (break_notification, OplockBreakNotification(oplock_level=1, file_id=FILE_ID)),
    (
        break_notification,
        LeaseBreakNotification(lease_key=FILE_ID, current_lease_state=7, new_lease_state=3),
    ),
    (break_acknowledgment, OplockBreakAcknowledgment(oplock_level=1, file_id=FILE_ID)),
    (break_acknowledgment, LeaseBreakAcknowledgment(lease_key=FILE_ID, lease_state=3)),
    (break_response, OplockBreakResponse(oplock_level=1, file_id=FILE_ID)),
    (break_response, LeaseBreakResponse(lease_key=FILE_ID, lease_state=3)),
]


@pytest.mark.parametrize(("parse", "body"), BREAKS)
def test_two_forms_of_a_break(parse: Callable[[memoryview], Structure], body: Structure) -> None:
    """One command, told apart by StructureSize: 24 for oplocks, 44 or 36 for leases."""
    assert parse(whole(body)) == body
    with pytest.raises(WireError, match="truncated"):
        parse(whole(body)[:-1])


@pytest.mark.parametrize("parse", [break_notification, break_acknowledgment, break_response])
def test_a_break_of_no_form(parse: Callable[[memoryview], Structure]) -> None:
    """Neither size, or none at all."""
    with pytest.raises(WireError, match="OPLOCK_BREAK is truncated"):
        parse(memoryview(bytes(65)))
    with pytest.raises(WireError, match="StructureSize 25"):
        parse(memoryview(bytes(64) + b"\x19" + bytes(60)))


@given(st.binary(max_size=120))
def test_random_breaks(data: bytes) -> None:
    """WireError and nothing else."""
    for size in (b"", b"\x18\0", b"\x24\0", b"\x2c\0"):
        view = memoryview(bytes(HEADER_SIZE) + size + data)
        for parse in (break_notification, break_acknowledgment, break_response):
            with contextlib.suppress(WireError):
                parse(view)


def test_tables_are_complete() -> None:
    """Every command has its request; every one but CANCEL its response."""
    assert set(REQUESTS) == set(Command)
    assert set(RESPONSES) == set(Command) - {Command.CANCEL}


@pytest.mark.parametrize("command", Command)
def test_tables_and_names_agree(command: Command) -> None:
    """A request knows its command, and its response has its name."""
    request = REQUESTS[command]
    assert vars(request)["command"] is command
    if command in RESPONSES and command != Command.OPLOCK_BREAK:
        stem = request.__name__.removesuffix("Request")
        assert RESPONSES[command].__name__ == f"{stem}Response"


@pytest.mark.parametrize("module", [messages, file_messages, query_messages])
def test_every_request_is_in_the_table(module: object) -> None:
    """Whoever adds one is reminded here."""
    requests = {
        cls
        for name, cls in vars(module).items()
        if name.endswith("Request") and isinstance(cls, type) and issubclass(cls, Structure)
    }
    assert requests <= set(REQUESTS.values())
